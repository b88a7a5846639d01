//! Rows whose transactions are counted out: on loaded stores, or of new keys into empty ones.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result};
use mantis_types::Durability;
use tempfile::TempDir;

use super::Bench;
use super::column::Column;
use super::mix::Mix;
use super::model::Model;
use super::plan::Plan;
use super::store::Store;
use crate::keys::scattered;
use crate::measure::{Commits, Figure, Load, rest};
use crate::report::Row;
use crate::run::found;

/// A transaction for every so many keys: a round is about as long as one of `bench peers`.
const KEYS_PER_TRANSACTION: u64 = 4;

impl Bench<'_> {
    /// Rounds over stores that are loaded once; then every key is read back.
    pub(super) fn mixed(&self, plan: &Plan, mix: Mix, threads: u64, row: &mut Row) -> Result<()> {
        let mut model = Model::new(
            usize::try_from(self.options.keys)?,
            &self.values,
            &self.zipf,
        );
        let count = self.options.keys / mix_keys(mix);
        let mut held = Vec::new();
        for column in self.measured(plan, row) {
            let dir = TempDir::new_in(self.place.path())?;
            let store = self.load(column, &dir, &model);
            let store = store.with_context(|| format!("loading {column}"))?;
            held.push((column, store, dir));
        }
        for round in (1..).take(self.options.rounds) {
            for (column, store, _) in &held {
                rest();
                let figure = measure(&**store, mix, threads, count, (&model, round));
                let figure = figure.with_context(|| format!("{}: {column}", plan.id))?;
                row.note(&column.to_string(), figure);
            }
            model.replay(mix, threads, count, round)?;
        }
        for (column, store, _) in &held {
            let checked = model.check(&**store);
            checked.with_context(|| format!("{}: {column}", plan.id))?;
        }
        Ok(())
    }

    /// Rounds of one put each, by one thread, each round into a store of its own; class none.
    pub(super) fn new_keys(&self, plan: &Plan, row: &mut Row) -> Result<()> {
        let (mix, count) = (Mix::OnePut, self.options.keys);
        let mut model = Model::new(usize::try_from(count)?, &self.values, &self.zipf);
        for round in (1..).take(self.options.rounds) {
            model.replay(mix, 1, count, round)?;
            for column in self.measured(plan, row) {
                let dir = TempDir::new_in(self.place.path())?;
                let store = column.open(dir.path(), &self.memory, Durability::None)?;
                rest();
                let figure = measure(&*store, mix, 1, count, (&model, round));
                let checked = model.check(&*store);
                let figure = checked.and(figure);
                let figure = figure.with_context(|| format!("{}: {column}", plan.id))?;
                row.note(&column.to_string(), figure);
            }
        }
        Ok(())
    }

    /// The columns that are there and wanted; the row notes why others are not.
    pub(super) fn measured(&self, plan: &Plan, row: &mut Row) -> Vec<Column> {
        let mut columns = Vec::new();
        for column in plan.columns {
            let name = column.to_string();
            match column.missing() {
                Some(why) => row.note_missing(&name, why),
                None if self.options.wants_store(&name) => columns.push(*column),
                None => {}
            }
        }
        columns
    }

    /// A store with all keys in merged tables and caches as full as they get. Class interval: what
    /// the peers do.
    fn load(&self, column: Column, dir: &TempDir, model: &Model<'_>) -> Result<Box<dyn Store>> {
        let store = column.open(dir.path(), &self.memory, Durability::Interval)?;
        let keys = self.options.keys;
        Load::operations(1, keys)
            .run(|number, _| store.load(&scattered(number), model.value(number, 0)))?;
        store.merge_tables()?;
        Load::operations(1, keys).run(|number, _| {
            let value = store.newest(&scattered(number))?;
            found(value.map_or(0, |value| value.len()))
        })?;
        Ok(store)
    }
}

const fn mix_keys(mix: Mix) -> u64 {
    match mix {
        Mix::TwoAndTwo => KEYS_PER_TRANSACTION,
        Mix::YcsbA | Mix::OnePut => 1,
    }
}

/// One round: so many transactions over so many threads.
fn measure(
    store: &dyn Store,
    mix: Mix,
    threads: u64,
    count: u64,
    (model, round): (&Model<'_>, u8),
) -> Result<Figure> {
    let conflicts = AtomicU64::new(0);
    let mut figure = Load::operations(threads, count).run(|number, dice| {
        let step = mix.draw(number, dice, model.keys(), model.zipf());
        let refused = store.transact(&step, model, round)?;
        if refused > 0 {
            conflicts.fetch_add(refused, Relaxed);
        }
        Ok(())
    })?;
    figure.commits = Some(Commits {
        conflicts: conflicts.into_inner(),
        per_sync: None,
    });
    Ok(figure)
}

#[cfg(test)]
mod tests;
