//! Puts that are on disk when they are answered.

use std::time::Duration;

use anyhow::Result;

use crate::keys::{Values, scattered};
use crate::measure::{Figure, Load, rest};
use crate::store::Store;

/// Random puts by so many writers. What others have left to be written is on disk before.
pub(super) fn puts(
    store: &dyn Store,
    values: &Values,
    writers: u64,
    span: Duration,
) -> Result<Figure> {
    store.warm_up()?;
    rustix::fs::sync();
    rest();
    Load::timed(writers, span).run(|number, _| store.put(&scattered(number), values.of(number)))
}
