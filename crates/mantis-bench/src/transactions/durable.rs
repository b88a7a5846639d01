//! Writers whose commits are on disk when they are answered.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mantis_types::Durability;
use tempfile::TempDir;

use super::Bench;
use super::column::Column;
use super::mantis_txns::{How, MantisTxns};
use super::mix::Step;
use super::model::Model;
use super::plan::Plan;
use super::store::Store as _;
use crate::keys::scattered;
use crate::measure::{Commits, Figure, Load, rest};
use crate::report::Row;
use crate::store::{Mantis, Store as _};

impl Bench<'_> {
    /// One put of a new key for each commit, each round in a store of its own.
    pub(super) fn durable(&self, plan: &Plan, writers: u64, row: &mut Row) -> Result<()> {
        let span = Duration::from_secs_f64(self.options.seconds);
        let model = Model::new(0, &self.values, &self.zipf);
        for _ in 0..self.options.rounds {
            for column in self.measured(plan, row) {
                let dir = TempDir::new_in(self.place.path())?;
                let how = how(column)?;
                let store = MantisTxns::open(dir.path(), &self.memory, how, Durability::Sync)?;
                let figure = puts(&store, &model, writers, span);
                let figure = figure.with_context(|| format!("{}: {column}", plan.id))?;
                row.note(&column.to_string(), figure);
            }
        }
        Ok(())
    }
}

fn how(column: Column) -> Result<How> {
    use mantis_types::Isolation::{Serializable, Snapshot};
    Ok(match column {
        Column::Plain => How::Plain,
        Column::Snapshot => How::Txn(Snapshot),
        Column::Serializable => How::Txn(Serializable),
        _ => anyhow::bail!("the row knows no column {column}"),
    })
}

/// As many puts as fit; then every one that was answered must be there, and no other.
fn puts(store: &MantisTxns, model: &Model<'_>, writers: u64, span: Duration) -> Result<Figure> {
    const ROUND: u8 = 1;
    ready_to_sync(store.mantis())?;
    let before = Syncs::of(store.mantis())?;
    let mut figure = Load::timed(writers, span).run(|number, _| {
        let refused = store.transact(&Step::Put(number), model, ROUND)?;
        ensure!(refused == 0, "nobody else writes this key");
        Ok(())
    })?;
    figure.commits = Some(Commits {
        conflicts: 0,
        per_sync: Syncs::of(store.mantis())?.since(&before),
    });
    let held = (0..writers)
        .map(|writer| held(store, model, (writer, writers), ROUND))
        .sum::<Result<u64>>()?;
    ensure!(
        held == figure.operations,
        "{} puts were answered, {held} are there",
        figure.operations
    );
    Ok(figure)
}

/// Keys of one writer that are there, up to the first that is not.
fn held(
    store: &MantisTxns,
    model: &Model<'_>,
    (writer, writers): (u64, u64),
    round: u8,
) -> Result<u64> {
    let mut count = 0;
    loop {
        let number = writer + count * writers;
        let Some(value) = store.newest(&scattered(number))? else {
            return Ok(count);
        };
        ensure!(
            value == model.value(number, round),
            "key {number} holds something else"
        );
        count += 1;
    }
}

/// What others have left to be written is on disk, and the log has a file written ahead.
pub(super) fn ready_to_sync(mantis: &Mantis) -> Result<()> {
    mantis.warm_up()?;
    rustix::fs::sync();
    rest();
    Ok(())
}

/// What the log has synced so far.
pub(super) struct Syncs {
    records: u64,
    syncs: u64,
}

impl Syncs {
    pub(super) fn of(mantis: &Mantis) -> Result<Self> {
        let stats = mantis.log()?.stats();
        Ok(Self {
            records: stats.group_size.sum,
            syncs: stats.syncs,
        })
    }

    /// Commits for each sync since `before`; `None` when nothing was synced.
    pub(super) fn since(&self, before: &Self) -> Option<f64> {
        let syncs = self.syncs - before.syncs;
        (syncs > 0).then(|| (self.records - before.records) as f64 / syncs as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Values, Zipf};
    use crate::store::Memory;

    #[test]
    fn every_durable_put_is_there_and_syncs_are_shared() {
        let (values, zipf) = (Values::new(40), Zipf::new(10));
        let model = Model::new(0, &values, &zipf);
        let memory = Memory::from_parts(8 << 20, 4 << 20);
        for column in [Column::Plain, Column::Snapshot] {
            let dir = tempfile::tempdir().unwrap();
            let how = how(column).unwrap();
            let store = MantisTxns::open(dir.path(), &memory, how, Durability::Sync).unwrap();
            let figure = puts(&store, &model, 8, Duration::from_millis(100)).unwrap();
            let commits = figure.commits.unwrap();
            assert!(figure.operations > 0 && commits.per_sync >= Some(1.0));
            // The control: a key that nobody was told about.
            let extra = Step::Put(figure.operations * 8);
            store.transact(&extra, &model, 1).unwrap();
            let last = held(&store, &model, (0, 8), 1).unwrap() * 8;
            store.transact(&Step::Put(last), &model, 2).unwrap();
            assert!(held(&store, &model, (0, 8), 1).is_err(), "{column}");
        }
    }
}
