//! The named limits of the whole store. Configuration shows them under `limits.*`.

use std::time::Duration;

/// What the store refuses to exceed. Each field names its unit and what happens at the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest user key in bytes, as the caller gave it. Beyond: `too_large`.
    pub key_bytes_max: usize,
    /// Largest value in bytes. Beyond: `too_large`. At most half the memtable budget.
    pub value_bytes_max: u64,
    /// Values above this many bytes are stored as chunks of this size.
    pub chunk_bytes: usize,
    /// Most operations in one batch. Beyond: `too_large`.
    pub batch_ops_max: usize,
    /// Most bytes of one commit, keys and values together. Beyond: `too_large`.
    pub batch_bytes_max: u64,
    /// Page size of a list when the caller gives none.
    pub list_limit_default: usize,
    /// Largest page of a list; larger wishes are cut to it.
    pub list_limit_max: usize,
    /// Most keys a list counts for its `total`; beyond, the total is unknown.
    pub count_scan_max: u64,
    /// Bytes of values in one answer. A page of a list ends there and goes on with its cursor; a get
    /// of a batch beyond it is `too_large`.
    pub answer_bytes_max: u64,
    /// Nesting depth of JSON that is taken. Beyond: `invalid_json`.
    pub json_depth_max: usize,
    /// Most tags on one value. Beyond: `too_large`.
    pub tags_max: usize,
    /// Longest tag or content type in bytes. Beyond: `too_large`.
    pub tag_bytes_max: usize,
    /// Largest expiry span in seconds (100 years). Beyond: `invalid_value`.
    pub ttl_seconds_max: u64,
    /// Most keys that one transaction remembers as read, and most ranges. Beyond, they are remembered
    /// as one range that holds them all: it may then conflict with changes of keys between them.
    pub txn_reads_max: usize,
    /// Most savepoints that are open in one transaction. Beyond: `too_large`.
    pub txn_savepoints_max: usize,
    /// Most keys that commits leave in the conflict index while transactions live, about 40 bytes
    /// each. Beyond, the oldest are forgotten: a transaction older than that ends with
    /// `snapshot_too_old` when it commits.
    pub conflict_keys_max: usize,
    /// Most rows that one transaction locks. Beyond: `too_large`. A lock takes some 200 bytes and its
    /// key.
    pub row_locks_max: usize,
    /// Most that wait in the queue of one row lock. Beyond: `pool_exhausted`.
    pub lock_waiters_max: usize,
    /// Most transactions that are open under an id which other requests may join. Beyond:
    /// `pool_exhausted`.
    pub transactions_max: usize,
    /// Most ended transactions whose outcome is remembered, some 200 bytes each, for those who ask
    /// again within five minutes. Beyond, the oldest are forgotten: `not_found`.
    pub transactions_ended_max: usize,
    /// Most requests that wait for their turn in one transaction. Beyond: `pool_exhausted`.
    pub transaction_queue_max: usize,
    /// Most keys and ranges that are watched for commits which touch them, some 100 bytes and the key
    /// each. Beyond: `pool_exhausted`.
    pub watched_max: usize,
    /// Most that follow the commits at once. Beyond: `pool_exhausted`.
    pub feeds_max: usize,
    /// How long the answer of a request with an idempotency key is kept.
    pub idempotency_ttl: Duration,
    /// Bytes of commits that are kept in memory for those who follow them; who is further behind reads
    /// from the log. At least the newest commit is kept.
    pub feed_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_bytes_max: 32 << 10,
            value_bytes_max: 32 << 20,
            chunk_bytes: 256 << 10,
            batch_ops_max: 10_000,
            batch_bytes_max: 40 << 20,
            list_limit_default: 100,
            list_limit_max: 1000,
            count_scan_max: 1_000_000,
            answer_bytes_max: 64 << 20,
            json_depth_max: 128,
            tags_max: 64,
            tag_bytes_max: 256,
            ttl_seconds_max: 100 * 366 * 86_400,
            txn_reads_max: 100_000,
            txn_savepoints_max: 1000,
            conflict_keys_max: 1_000_000,
            row_locks_max: 100_000,
            lock_waiters_max: 10_000,
            transactions_max: 10_000,
            transactions_ended_max: 100_000,
            transaction_queue_max: 128,
            watched_max: 4_000_000,
            feeds_max: 1000,
            idempotency_ttl: Duration::from_secs(86_400),
            feed_memory: 8 << 20,
        }
    }
}
