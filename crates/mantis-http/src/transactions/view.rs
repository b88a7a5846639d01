//! A transaction as answers show it.

use std::time::Duration;

use mantis_session::{TransactionState, TransactionStatus};
use serde::Serialize;

use crate::app::App;

/// What is known about a transaction.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TransactionView {
    /// For `X-Mantis-Transaction`, and for the paths below `/api/v1/transactions/`.
    #[schema(example = "6f1d0c9a5b7e4f2386a0d1c2b3e4f506")]
    transaction_id: String,
    /// active, committed, rolled_back, failed or expired.
    #[schema(example = "active")]
    state: &'static str,
    /// Its level.
    #[schema(example = "snapshot")]
    isolation: &'static str,
    /// Whether it refuses writes.
    read_only: bool,
    /// The newest commit that it saw when it began.
    snapshot_seq: u64,
    /// When it is rolled back if nobody uses it until then; null when it has ended.
    #[schema(required, example = "2026-01-01T00:00:30.000Z")]
    expires_at: Option<String>,
    /// How many keys it changes, or has changed, entries of indexes included.
    writes: u64,
}

impl TransactionView {
    pub(super) fn new(app: &App, status: &TransactionStatus) -> Self {
        let open = status.state == TransactionState::Active;
        let expires_at = open.then(|| crate::time::rfc3339(app.now_ms() + millis(status.left)));
        Self {
            transaction_id: status.key.to_string(),
            state: status.state.as_str(),
            isolation: status.isolation.as_str(),
            read_only: status.read_only,
            snapshot_seq: status.snapshot.get(),
            expires_at,
            writes: status.writes as u64,
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
