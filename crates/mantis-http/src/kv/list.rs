//! `GET /api/v1/kv`.

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, NO_PAD};
use bytes::Bytes;
use http::Uri;
use mantis_session::{Command, List, ListItem, ListPage, Reply};
use serde::Serialize;

use super::show::EntryView;
use crate::answer::{Meta, enveloped, shown_version};
use crate::app::App;
use crate::call::{Call, strange_reply};
use crate::failure::{Failure, Outcome};
use crate::openapi::{Answer, FormatWord, ListShape};
use crate::params::Params;
use crate::value::{Format, TextOrBase64};

/// Cursors are keys in the alphabet of URLs; every text of the right length means some key.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CURSOR_CONFIG);
const CURSOR_CONFIG: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);

/// List keys
///
/// In byte order, from one snapshot. Keys that are no UTF-8 text show as `{"base64": "..."}`.
#[utoipa::path(
    get, path = "/api/v1/kv", tag = "kv", operation_id = "kvList",
    params(
        ("prefix" = Option<String>, Query, description = "Only keys that begin with this."),
        ("start" = Option<String>, Query, description = "Only keys at or above."),
        ("end" = Option<String>, Query, description = "Only keys below."),
        ("reverse" = Option<bool>, Query, description = "From the last key to the first."),
        ("limit" = Option<u64>, Query, description = "Page size, default 100; above 1000 counts as 1000."),
        ("offset" = Option<u64>, Query, description = "How many keys to skip, counted from the cursor if there is one."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", pattern = r"^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2,3})?$"),
        ("total" = Option<bool>, Query, description = "`false` skips the count."),
        ("values" = Option<bool>, Query, description = "Objects with values in place of keys."),
        ("format" = Option<FormatWord>, Query, description = "How values are shown, with `values=true`."),
    ),
    responses((status = 200, description = "A page of keys.", body = Answer<ListShape>, example = json!({"success": true, "data": ["user:1", "user:2"], "error": null, "meta": {"count": 2, "total": 2, "page": 0, "per_page": 100, "next_cursor": null}}))),
)]
pub(crate) async fn list(State(app): State<App>, call: Call, uri: Uri) -> Outcome<Response> {
    let (list, format) = read_list(&app, &uri)?;
    let (limit, offset) = (list.limit, list.offset);
    let page = page_of(&app, &call, list.clone()).await?;
    let meta = Meta {
        count: page.items.len(),
        total: page.total,
        page: u64::try_from(limit)
            .ok()
            .and_then(|limit| offset.checked_div(limit))
            .unwrap_or(0),
        per_page: limit,
        next_cursor: page.next_cursor.as_ref().map(|key| BASE64_URL.encode(key)),
    };
    if list.values {
        let rows = page.items.iter().map(|item| Row::new(item, format));
        return enveloped(&rows.collect::<Outcome<Vec<_>>>()?, Some(&meta));
    }
    let keys: Vec<_> = page
        .items
        .iter()
        .map(|item| TextOrBase64(&item.key))
        .collect();
    enveloped(&keys, Some(&meta))
}

/// One page.
///
/// # Errors
/// What the session answers.
pub(crate) async fn page_of(app: &App, call: &Call, list: List) -> Outcome<ListPage> {
    match app.execute(call, Command::KvList(list)).await? {
        Reply::KvList(page) => Ok(page),
        _ => Err(strange_reply()),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Value(EntryView<'a>),
    /// A key that holds a collection has no value here.
    Other {
        key: TextOrBase64<'a>,
        value: Option<()>,
        error: &'static str,
        version: Option<u64>,
    },
}

impl<'a> Row<'a> {
    fn new(item: &'a ListItem, format: Format) -> Outcome<Self> {
        match &item.entry {
            Some(entry) => EntryView::listed(entry, format).map(Self::Value),
            None => Ok(Self::Other {
                key: TextOrBase64(&item.key),
                value: None,
                error: "wrong_type",
                version: shown_version(item.version),
            }),
        }
    }
}

fn read_list(app: &App, uri: &Uri) -> Outcome<(List, Format)> {
    let mut params = Params::parse(uri.query())?;
    let cursor = params
        .bytes("cursor")
        .map(|text| read_cursor(&text))
        .transpose()?;
    let format = params
        .text("format")?
        .map(|word| Format::from_word(&word))
        .transpose()?;
    let list = List {
        prefix: params.bytes("prefix").unwrap_or_default(),
        start: params.bytes("start"),
        end: params.bytes("end"),
        reverse: params.flag("reverse")?.unwrap_or(false),
        limit: params.limit(app.database.limits())?,
        offset: params.number("offset")?.unwrap_or(0),
        cursor,
        values: params.flag("values")?.unwrap_or(false),
        total: params.flag("total")?.unwrap_or(true),
    };
    params.finish()?;
    Ok((list, format.unwrap_or_default()))
}

fn read_cursor(text: &[u8]) -> Outcome<Bytes> {
    let key = BASE64_URL.decode(text).map(Bytes::from);
    key.map_err(|_| Failure::invalid_value("cursor must be a next_cursor of an earlier answer"))
}
