//! Seeded simulation of log, pipeline and memory engine: commits of all classes that overlap,
//! failing and full disks, kills and power cuts. After each of them the store must hold exactly the
//! commits up to some Seq, which covers everything that was promised.

mod run;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mantis_env::Env;

pub use run::{Summary, simulate};

use super::liar::{Lie, LyingFs};

/// Steps of one run.
const STEPS: u64 = 400;
/// After so many findings a sweep ends: they have most likely one cause.
const FINDINGS_MAX: usize = 20;

/// What came out of many runs.
#[derive(Clone, Debug, Default)]
pub struct SimTally {
    /// Runs, one for each seed.
    pub seeds: u64,
    /// What happened in those that came to their end.
    pub total: Summary,
    /// What was wrong, with the seed.
    pub findings: Vec<String>,
}

/// Runs `seeds` seeds from `first` on.
#[must_use]
pub fn sweep(first: u64, seeds: u64) -> SimTally {
    let mut tally = SimTally::default();
    for seed in (0..seeds).map(|n| first.wrapping_add(n)) {
        tally.seeds += 1;
        let run = || simulate(&Env::simulated(seed), seed, STEPS);
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

/// The control of the checks: in how many of the runs a disk that answers syncs and does not sync is
/// caught.
#[must_use]
pub fn lies_caught(first: u64, seeds: u64) -> u64 {
    let is_caught = |seed: u64| {
        let env = Env::simulated(seed);
        let inner = Arc::clone(env.fs());
        let lying = env.with_fs(Arc::new(LyingFs {
            inner,
            lie: Lie::Skip,
        }));
        catch_unwind(AssertUnwindSafe(|| simulate(&lying, seed, STEPS))).is_err()
    };
    let all = (0..seeds).map(|n| first.wrapping_add(n));
    u64::try_from(all.filter(|&seed| is_caught(seed)).count()).unwrap_or(u64::MAX)
}

/// The control of repeating: how many seeds leave the same trace twice, and another one than the next
/// seed.
#[must_use]
pub fn traces_repeated(first: u64, seeds: u64) -> u64 {
    let trace = |seed: u64| {
        let env = Env::simulated(seed);
        let summary = simulate(&env, seed, STEPS);
        let hash = env.simulation().map(|simulation| simulation.trace_hash());
        (hash, format!("{summary:?}"))
    };
    let repeats = |seed: u64| {
        let once = trace(seed);
        once == trace(seed) && once.0 != trace(seed.wrapping_add(1)).0
    };
    let all = (0..seeds).map(|n| first.wrapping_add(n));
    u64::try_from(all.filter(|&seed| repeats(seed)).count()).unwrap_or(u64::MAX)
}

pub(super) fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
