//! Commits as JSON, each as an event or as a line.

use mantis_session::{Change, ChangeSet, Old, Written};
use mantis_types::Seq;
use serde::Serialize;

use crate::failure::Failure;
use crate::negotiate::StreamForm;
use crate::value::{Readable, TextOrBase64};

#[derive(Serialize)]
struct SetView<'a> {
    seq: u64,
    time: Option<String>,
    origin: Option<&'static str>,
    changes: Vec<ChangeView<'a>>,
}

/// Members that do not belong to a change are left out.
#[derive(Serialize)]
struct ChangeView<'a> {
    op: &'static str,
    space: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<TextOrBase64<'a>>,
    #[serde(flatten)]
    written: Option<WrittenView<'a>>,
    /// `Some(None)` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Option<WrittenView<'a>>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    old_unknown: bool,
}

#[derive(Serialize)]
struct WrittenView<'a> {
    content_type: &'a str,
    value_bytes: u64,
    tags: &'a [String],
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Readable<'a>>,
}

impl<'a> WrittenView<'a> {
    fn new(written: &'a Written) -> Self {
        let value = written.value.as_ref();
        Self {
            content_type: &written.content_type,
            value_bytes: written.value_bytes,
            tags: &written.tags,
            expires_at: written.expires_ms.map(crate::time::rfc3339),
            value: value.map(|bytes| Readable::of(bytes, &written.content_type)),
        }
    }
}

impl<'a> ChangeView<'a> {
    fn new(change: &'a Change) -> Self {
        let (op, key, written, old) = match change {
            Change::Put { new, old } => ("put", Some(&new.key), Some(new), old.as_ref()),
            Change::Delete { key, old } => ("delete", Some(key), None, old.as_ref()),
            Change::Clear => ("clear", None, None, None),
        };
        Self {
            op,
            space: "kv",
            key: key.map(|key| TextOrBase64(key)),
            written: written.map(WrittenView::new),
            old: match old {
                None | Some(Old::Unknown) => None,
                Some(Old::Absent) => Some(None),
                Some(Old::Was(written)) => Some(Some(WrittenView::new(written))),
            },
            old_unknown: old == Some(&Old::Unknown),
        }
    }
}

/// One commit.
pub(super) fn commit(form: StreamForm, set: &ChangeSet) -> Result<String, serde_json::Error> {
    let view = SetView {
        seq: set.seq.get(),
        time: set.time_ms.map(crate::time::rfc3339),
        origin: set.origin.map(mantis_types::Origin::as_str),
        changes: set.changes.iter().map(ChangeView::new).collect(),
    };
    let json = serde_json::to_string(&view)?;
    Ok(line(form, "commit", Some(set.seq), &json))
}

/// How far a stream has come on which nothing happens.
pub(super) fn position(form: StreamForm, seq: Seq) -> String {
    let json = serde_json::json!({ "position": seq.get() }).to_string();
    line(form, "position", Some(seq), &json)
}

/// Why a stream ends.
pub(super) fn failed(form: StreamForm, failure: &Failure, request_id: &str) -> String {
    let json = serde_json::to_string(&failure.bare_object(request_id)).unwrap_or_default();
    line(form, failure.code(), None, &json)
}

fn line(form: StreamForm, name: &str, id: Option<Seq>, json: &str) -> String {
    match (form, id) {
        (StreamForm::Lines, _) => format!("{json}\n"),
        (StreamForm::Sse, Some(id)) => format!("event: {name}\nid: {id}\ndata: {json}\n\n"),
        (StreamForm::Sse, None) => format!("event: {name}\ndata: {json}\n\n"),
    }
}
