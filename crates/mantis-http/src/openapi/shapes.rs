//! Shapes of answers for the OpenAPI document, where the answer itself is written without a type
//! that could say it: keys and values take several forms.
#![expect(dead_code, reason = "these types are read by the derive only")]

use serde_json::Value;
use utoipa::ToSchema;

use crate::value::{KeyForm, ValueType};

/// The envelope.
#[derive(ToSchema)]
pub(crate) struct Answer<T: ToSchema> {
    success: bool,
    data: T,
    /// Null in an answer without failure.
    #[schema(required)]
    error: Option<String>,
    #[schema(required)]
    meta: Option<ListMeta>,
}

/// Where a page stands in its list.
#[derive(ToSchema)]
pub(crate) struct ListMeta {
    /// Entries of this page.
    count: u64,
    /// All entries; null when not counted.
    #[schema(required)]
    total: Option<u64>,
    /// Counted from 0.
    page: u64,
    per_page: u64,
    /// Null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A failure in the envelope.
#[derive(ToSchema)]
pub(crate) struct FailureAnswer {
    /// Always false.
    #[schema(example = false)]
    success: bool,
    /// Always null.
    #[schema(required, value_type = Option<Object>)]
    data: Option<Value>,
    /// What is wrong.
    #[schema(example = "query parameter limit must be a whole number, at least 0")]
    error: String,
    #[schema(required)]
    meta: Option<ListMeta>,
    /// The machine word.
    #[schema(example = "invalid_value")]
    code: String,
    /// What else is known: the limit's name, the member, the index.
    #[schema(value_type = Object)]
    details: Value,
    /// Stands in the server's log, too.
    request_id: String,
    /// Whether the same request may succeed when it is made again.
    retryable: bool,
}

/// A failure of the admin API.
#[derive(ToSchema)]
pub(crate) struct AdminFailure {
    /// Always false.
    #[schema(example = false)]
    success: bool,
    /// What is wrong.
    error: String,
    /// The machine word.
    #[schema(example = "unauthenticated")]
    code: String,
    /// What else is known.
    #[schema(value_type = Object)]
    details: Value,
    /// Stands in the server's log, too.
    request_id: String,
}

/// How a value is shown.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum FormatWord {
    Bytes,
    String,
    Json,
    Base64,
}

/// What a commit has survived when it is answered.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum DurabilityWord {
    Sync,
    Interval,
    None,
}

/// Bytes that are no UTF-8 text.
#[derive(ToSchema)]
pub(crate) struct WrappedShape {
    base64: String,
}

/// A key: text, or wrapped bytes.
#[derive(ToSchema)]
#[schema(example = "user:1")]
#[serde(untagged)]
pub(crate) enum KeyShape {
    Text(String),
    Bytes(WrappedShape),
}

/// A value with what is stored with it.
#[derive(ToSchema)]
pub(crate) struct EntryShape {
    key: KeyShape,
    /// A byte array, or as `format` says.
    #[schema(value_type = Value)]
    value: Value,
    content_type: String,
    /// Seconds left; null for never.
    #[schema(required)]
    ttl: Option<u64>,
    /// The commit that wrote it, and the `ETag`; null for what the transaction of the request has
    /// written itself.
    #[schema(required)]
    version: Option<u64>,
}

/// Answer of a write.
#[derive(ToSchema)]
pub(crate) struct WrittenShape {
    key: KeyShape,
    message: String,
    /// Whether the key was absent before.
    created: bool,
    /// Null inside a transaction.
    #[schema(required)]
    version: Option<u64>,
}

/// Answer of a delete.
#[derive(ToSchema)]
pub(crate) struct RemovedShape {
    key: KeyShape,
    message: String,
    deleted: bool,
}

/// Answer of an increment.
#[derive(ToSchema)]
pub(crate) struct IncrementedShape {
    key: KeyShape,
    value: i64,
    /// Null inside a transaction.
    #[schema(required)]
    version: Option<u64>,
}

/// One entry of a list: a key, or with `values=true` an object.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum ListEntry {
    Key(String),
    /// A key that is no text (member `base64`), or an entry with its value.
    Entry(std::collections::HashMap<String, Value>),
}

/// A page.
#[derive(ToSchema)]
pub(crate) struct ListShape(Vec<ListEntry>);

/// One operation of a batch.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum OperationShape {
    Get(GetShape),
    Set(SetShape),
    Delete(DeleteShape),
    Increment(IncrementShape),
}

/// Reads a value.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetShape {
    op: GetWord,
    key: KeyForm,
}

/// Writes a value.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetShape {
    /// `put` is another name of `set`.
    op: SetWord,
    key: KeyForm,
    #[schema(value_type = Value)]
    value: Value,
    /// Overrides the guess.
    value_type: Option<ValueType>,
    /// Seconds until it expires.
    #[schema(minimum = 1, maximum = 3_162_240_000_u64)]
    ttl: Option<u64>,
    /// Milliseconds until it expires; counts before `ttl`.
    #[schema(minimum = 1, maximum = 3_162_240_000_000_u64)]
    ttl_ms: Option<u64>,
    /// Labels for invalidation by tag.
    #[schema(max_items = 64)]
    tags: Option<Vec<String>>,
}

/// Removes a key.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteShape {
    op: DeleteWord,
    key: KeyForm,
}

/// Adds to an integer.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncrementShape {
    op: IncrementWord,
    key: KeyForm,
    by: i64,
    /// What an absent key counts as; 0 without it.
    initial: Option<i64>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum GetWord {
    Get,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum SetWord {
    Set,
    Put,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum DeleteWord {
    Delete,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum IncrementWord {
    Increment,
}

/// One commit of a stream.
#[derive(ToSchema)]
pub(crate) struct ChangeSetShape {
    seq: u64,
    /// When it was committed; null from logs that have no times.
    #[schema(required)]
    time: Option<String>,
    /// internal, rust, http or resp; null from logs that do not say.
    #[schema(required)]
    origin: Option<String>,
    /// In key order; empty for bookkeeping of the store.
    changes: Vec<ChangeShape>,
}

/// One change; members that do not belong to it are left out.
#[derive(ToSchema)]
pub(crate) struct ChangeShape {
    /// put, delete, or clear: every key is gone.
    op: String,
    /// Always kv so far.
    space: String,
    key: Option<KeyShape>,
    content_type: Option<String>,
    value_bytes: Option<u64>,
    tags: Option<Vec<String>>,
    expires_at: Option<String>,
    /// With `values=true`: stored JSON as it is, text as a string, other bytes as
    /// `{"base64": "..."}`.
    #[schema(value_type = Option<Value>)]
    value: Option<Value>,
    /// With `old=true`: what the key held before; null when nothing, left out when it is not known.
    old: Option<OldShape>,
    /// With `old=true`: true when that is not known.
    old_unknown: Option<bool>,
}

/// What a key held before a commit.
#[derive(ToSchema)]
pub(crate) struct OldShape {
    content_type: String,
    value_bytes: u64,
    tags: Vec<String>,
    #[schema(required)]
    expires_at: Option<String>,
    /// As above.
    #[schema(value_type = Option<Value>)]
    value: Option<Value>,
}

/// What the operations of a batch did, in the order asked.
#[derive(ToSchema)]
pub(crate) struct BatchShape {
    results: Vec<BatchResult>,
}

/// What one operation did; members that do not belong to it are left out.
#[derive(ToSchema)]
pub(crate) struct BatchResult {
    key: KeyShape,
    success: bool,
    #[schema(value_type = Option<Value>)]
    value: Option<Value>,
    content_type: Option<String>,
    created: Option<bool>,
    deleted: Option<bool>,
    version: Option<u64>,
    /// The machine word of its failure.
    error: Option<String>,
    message: Option<String>,
}

/// A value with everything that is stored with it.
#[derive(ToSchema)]
pub(crate) struct AdminEntryView {
    key: KeyShape,
    /// Stored JSON as it is, text as a string, other bytes as `{"base64": "..."}`.
    #[schema(value_type = Value)]
    value: Value,
    #[schema(required)]
    ttl: Option<u64>,
    #[schema(required)]
    created_at: Option<String>,
    #[schema(required)]
    updated_at: Option<String>,
    version: u64,
    metadata: AdminMetadata,
}

/// What is known about a value.
#[derive(ToSchema)]
pub(crate) struct AdminMetadata {
    content_type: String,
    tags: Vec<String>,
    properties: AdminProperties,
}

/// What is measured about a value.
#[derive(ToSchema)]
pub(crate) struct AdminProperties {
    size_bytes: u64,
}

/// Answer of a delete.
#[derive(ToSchema)]
pub(crate) struct AdminRemoved {
    key: KeyShape,
    deleted: bool,
}

/// Whether a key is there.
#[derive(ToSchema)]
pub(crate) struct AdminExistence {
    key: KeyShape,
    exists: bool,
}

/// A page of keys.
#[derive(ToSchema)]
pub(crate) struct AdminKeys {
    keys: Vec<KeyShape>,
    /// Null for more than `limits.count_scan_max`.
    #[schema(required)]
    total: Option<u64>,
    has_more: bool,
}

/// What the operations of a batch did.
#[derive(ToSchema)]
pub(crate) struct AdminBatch {
    results: Vec<BatchResult>,
    success: bool,
}
