//! Seeded simulation of transactions: one thread interleaves up to sixteen of them at all levels, with
//! commits outside of transactions, over log and memory engine on a simulated machine that is killed
//! and cut off from power. A model predicts every answer and every refusal.

mod life;
mod model;
mod run;
mod shadow;
mod works;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mantis_env::Env;

pub use run::{Bug, Summary, interleave};

use super::liar::{Lie, LyingFs};
use super::sim::words_of;

/// Steps of one run.
const STEPS: u64 = 2000;
/// After so many findings a sweep ends: they have most likely one cause.
const FINDINGS_MAX: usize = 20;

/// What came out of many runs.
#[derive(Clone, Debug, Default)]
pub struct Interleaved {
    /// Runs, one for each seed.
    pub seeds: u64,
    /// What happened in those that came to their end.
    pub total: Summary,
    /// What was wrong, with the seed.
    pub findings: Vec<String>,
}

/// Runs `seeds` seeds from `first` on.
#[must_use]
pub fn sweep(first: u64, seeds: u64) -> Interleaved {
    let mut tally = Interleaved::default();
    for seed in (0..seeds).map(|n| first.wrapping_add(n)) {
        tally.seeds += 1;
        let run = || interleave(&Env::simulated(seed), seed, STEPS, None);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(summary) => tally.total.add(&summary),
            Err(panic) => {
                let text = words_of(&*panic);
                tally.findings.push(format!("seed {seed}: {text}"));
            }
        }
        if tally.findings.len() >= FINDINGS_MAX {
            break;
        }
    }
    tally
}

/// The control of the model: in how many runs of a store that detects no conflicts it finds something.
#[must_use]
pub fn blindness_caught(first: u64, seeds: u64) -> u64 {
    caught(first, seeds, |seed| {
        interleave(&Env::simulated(seed), seed, STEPS, Some(Bug::NoConflicts));
    })
}

/// The control of the stops: in how many runs over a disk that answers syncs and does not sync.
#[must_use]
pub fn lies_caught(first: u64, seeds: u64) -> u64 {
    caught(first, seeds, |seed| {
        let env = Env::simulated(seed);
        let inner = Arc::clone(env.fs());
        let lie = Lie::Skip;
        let lying = env.with_fs(Arc::new(LyingFs { inner, lie }));
        interleave(&lying, seed, STEPS, None);
    })
}

/// The control of repeating: how many seeds leave the same trace and the same answers twice, and
/// others than the next seed.
#[must_use]
pub fn traces_repeated(first: u64, seeds: u64) -> u64 {
    let trace = |seed: u64| {
        let env = Env::simulated(seed);
        let summary = interleave(&env, seed, STEPS, None);
        let hash = env.simulation().map(|simulation| simulation.trace_hash());
        (hash, summary)
    };
    let repeats = |seed: u64| {
        let once = trace(seed);
        once == trace(seed) && once != trace(seed.wrapping_add(1))
    };
    count(first, seeds, repeats)
}

fn caught(first: u64, seeds: u64, run: impl Fn(u64)) -> u64 {
    count(first, seeds, |seed| {
        catch_unwind(AssertUnwindSafe(|| run(seed))).is_err()
    })
}

fn count(first: u64, seeds: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let all = (0..seeds).map(|n| first.wrapping_add(n));
    u64::try_from(all.filter(|&seed| holds(seed)).count()).unwrap_or(u64::MAX)
}
