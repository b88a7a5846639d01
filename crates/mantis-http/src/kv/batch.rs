//! `POST /api/v1/kv` and `/api/v1/kv/batch`.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{StatusCode, Uri};
use mantis_session::{Batch, BatchDone, BatchOp, Command, Condition, KvError, OpDone, Put, Reply};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::value::expiry;
use crate::answer::{enveloped, shown_version, with_commit};
use crate::app::App;
use crate::body::{list_of_members, maybe_span, maybe_whole, present};
use crate::call::{Call, Payload, strange_reply};
use crate::failure::{Failure, Outcome};
use crate::openapi::{Answer, BatchShape, FailureAnswer, FormatWord, OperationShape};
use crate::params::Params;
use crate::value::{Format, KeyForm, Readable, Shown, Stored, TextOrBase64, ValueType};

/// Several operations.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchForm {
    /// In the order in which they take effect; at most 10,000.
    #[schema(value_type = Vec<OperationShape>, max_items = 10_000)]
    #[serde(deserialize_with = "list_of_members")]
    operations: Vec<OperationForm>,
    /// One commit for all, or each for itself.
    #[serde(default)]
    atomic: bool,
}

/// One operation. `type` and `operation` are other names of `op`, `put` of `set`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationForm {
    #[serde(alias = "type", alias = "operation")]
    op: OperationWord,
    key: KeyForm,
    #[serde(default, deserialize_with = "present")]
    value: Option<Box<RawValue>>,
    value_type: Option<ValueType>,
    #[serde(default, deserialize_with = "maybe_span")]
    ttl: Option<u64>,
    #[serde(default, deserialize_with = "maybe_span")]
    ttl_ms: Option<u64>,
    #[serde(default, deserialize_with = "maybe_whole")]
    by: Option<i64>,
    #[serde(default, deserialize_with = "maybe_whole")]
    initial: Option<i64>,
    tags: Option<Vec<String>>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OperationWord {
    Get,
    #[serde(alias = "put")]
    Set,
    Delete,
    Increment,
}

/// Which API asks: they differ in how a JSON value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchParts {
    Data,
    Admin,
}

/// Several operations at once
///
/// Each stands alone, and 207 says that some failed; with `atomic` all are one commit or nothing.
#[utoipa::path(
    post, path = "/api/v1/kv", tag = "kv", operation_id = "kvBatch",
    params(("format" = Option<FormatWord>, Query, description = "How values are shown.")),
    request_body(content = BatchForm, example = json!({"operations": [{"op": "set", "key": "a", "value": "1"}, {"op": "increment", "key": "a", "by": 2}, {"op": "get", "key": "a"}], "atomic": true})),
    responses(
        (status = 200, description = "None failed.", body = Answer<BatchShape>, example = json!({"success": true, "data": {"results": [{"key": "a", "success": true, "created": true, "version": 7}, {"key": "a", "success": true, "value": 3, "version": 7}, {"key": "a", "success": true, "value": [51], "content_type": "text/plain; charset=utf-8", "version": 7}]}, "error": null, "meta": null})),
        (status = 207, description = "Some failed.", body = Answer<BatchShape>),
        (status = 409, description = "An atomic batch was undone.", body = FailureAnswer),
    ),
)]
pub(crate) async fn batch(
    State(app): State<App>,
    call: Call,
    uri: Uri,
    payload: Payload,
) -> Outcome<Response> {
    let mut params = Params::parse(uri.query())?;
    let format = params
        .text("format")?
        .map(|word| Format::from_word(&word))
        .transpose()?;
    params.finish()?;
    let form: BatchForm = payload.json(&app)?;
    let (keys, done) = run_batch(&app, &call, form, BatchParts::Data).await?;
    let view = ResultForm::Format(format.unwrap_or_default());
    let (results, success) = result_views(&keys, &done, view)?;
    let mut response = enveloped(&Results { results }, None)?;
    if !success {
        *response.status_mut() = StatusCode::MULTI_STATUS;
    }
    Ok(with_commit(response, done.committed))
}

/// Reads and executes a batch.
///
/// # Errors
/// 400 and 413 before anything is done; what the session answers.
pub(crate) async fn run_batch(
    app: &App,
    call: &Call,
    form: BatchForm,
    parts: BatchParts,
) -> Outcome<(Vec<Bytes>, BatchDone)> {
    let max = app.database.limits().batch_ops_max;
    if form.operations.len() > max {
        let message = format!("limits.batch_ops_max allows {max} operations");
        return Err(Failure::too_large("limits.batch_ops_max", message).detail("max", max));
    }
    let ops = form.operations.into_iter().enumerate();
    let ops = ops.map(|(index, form)| form.read(parts).map_err(|f| f.detail("index", index)));
    let ops = ops.collect::<Outcome<Vec<_>>>()?;
    let keys = ops.iter().map(|op| op.key().clone()).collect();
    let batch = Batch {
        ops,
        atomic: form.atomic,
        durability: call.durability,
    };
    match app.execute(call, Command::KvBatch(batch)).await? {
        Reply::KvBatch(done) => Ok((keys, done)),
        _ => Err(strange_reply()),
    }
}

/// How values in results are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResultForm {
    Format(Format),
    /// As the admin API shows values.
    Readable,
}

/// What each operation did, and whether none failed. An absent key of a get is no failure.
///
/// # Errors
/// 406 when a value cannot be shown as asked.
pub(crate) fn result_views<'a>(
    keys: &'a [Bytes],
    done: &'a BatchDone,
    form: ResultForm,
) -> Outcome<(Vec<ResultView<'a>>, bool)> {
    let results = done.results.iter().zip(keys);
    let views = results.map(|(result, key)| ResultView::new(key, result, form));
    Ok((
        views.collect::<Outcome<Vec<_>>>()?,
        done.results.iter().all(Result::is_ok),
    ))
}

impl OperationForm {
    fn read(self, parts: BatchParts) -> Outcome<BatchOp> {
        self.refuse_strangers()?;
        let key = self.key.into_bytes()?;
        Ok(match self.op {
            OperationWord::Get => BatchOp::Get { key },
            OperationWord::Delete => BatchOp::Delete {
                key,
                condition: Condition::Always,
            },
            OperationWord::Increment => {
                let by = self.by.ok_or_else(|| missing("by", "increment"))?;
                BatchOp::Increment {
                    key,
                    by,
                    initial: self.initial,
                }
            }
            OperationWord::Set => {
                let value = self.value.ok_or_else(|| missing("value", "set"))?;
                let Stored {
                    bytes,
                    content_type,
                } = match parts {
                    BatchParts::Admin if self.value_type.is_none() => {
                        Stored::from_admin_json(&value)?
                    }
                    _ => Stored::from_json(&value, self.value_type)?,
                };
                let expiry = expiry(self.ttl, self.ttl_ms)?.unwrap_or_default();
                let (content_type, tags) = (Some(content_type), self.tags.unwrap_or_default());
                BatchOp::Set(Put {
                    key,
                    value: bytes,
                    content_type,
                    tags,
                    expiry,
                    ..Put::default()
                })
            }
        })
    }

    /// A member that the operation would ignore is a mistake.
    fn refuse_strangers(&self) -> Outcome<()> {
        let of_set = self.op == OperationWord::Set;
        let of_increment = self.op == OperationWord::Increment;
        let members = [
            ("value", self.value.is_some(), of_set),
            ("value_type", self.value_type.is_some(), of_set),
            ("ttl", self.ttl.is_some(), of_set),
            ("ttl_ms", self.ttl_ms.is_some(), of_set),
            ("tags", self.tags.is_some(), of_set),
            ("by", self.by.is_some(), of_increment),
            ("initial", self.initial.is_some(), of_increment),
        ];
        match members.iter().find(|(_, given, fits)| *given && !fits) {
            None => Ok(()),
            Some((name, ..)) => {
                let message = format!("member {name} does not belong to this operation");
                Err(Failure::invalid(message).detail("member", *name))
            }
        }
    }
}

fn missing(member: &str, operation: &str) -> Failure {
    Failure::invalid(format!("{operation} needs the member {member}")).detail("member", member)
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<ResultView<'a>>,
}

/// What one operation did; members that do not belong to it are left out.
#[derive(Serialize)]
pub(crate) struct ResultView<'a> {
    key: TextOrBase64<'a>,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<ResultValue<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResultValue<'a> {
    Stored(Shown<'a>),
    Readable(Readable<'a>),
    Number(i64),
}

impl<'a> ResultView<'a> {
    fn new(key: &'a [u8], result: &'a Result<OpDone, KvError>, form: ResultForm) -> Outcome<Self> {
        let mut view = Self {
            key: TextOrBase64(key),
            success: true,
            value: None,
            content_type: None,
            created: None,
            deleted: None,
            version: None,
            error: None,
            message: None,
        };
        match result {
            Ok(OpDone::Got(Some(entry))) => {
                view.value = Some(match form {
                    ResultForm::Format(format) => ResultValue::Stored(format.show(&entry.value)?),
                    ResultForm::Readable => {
                        ResultValue::Readable(Readable::of(&entry.value, &entry.content_type))
                    }
                });
                view.content_type = Some(&entry.content_type);
                view.version = shown_version(entry.version);
            }
            Ok(OpDone::Got(None)) => (view.success, view.error) = (false, Some("not_found")),
            Ok(OpDone::Set { created, version }) => {
                (view.created, view.version) = (Some(*created), shown_version(*version));
            }
            Ok(OpDone::Deleted { deleted }) => view.deleted = Some(*deleted),
            Ok(OpDone::Incremented { value, version }) => {
                view.value = Some(ResultValue::Number(*value));
                view.version = shown_version(*version);
            }
            Err(error) => {
                (view.success, view.error) = (false, Some(error.code().as_str()));
                view.message = Some(error.to_string());
            }
        }
        Ok(view)
    }
}
