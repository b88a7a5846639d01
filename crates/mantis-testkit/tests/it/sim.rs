//! Seeded simulation of log, pipeline and memory engine: commits of all classes that overlap,
//! failing and full disks, kills and power cuts. After each of them the store must hold exactly the
//! commits up to some Seq, which covers everything that was promised.
//!
//! A run is repeated by its seed, and the same seed must leave the same trace.

mod run;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mantis_env::Env;

use run::{Summary, simulate};

use crate::liar::{Lie, LyingFs};
use crate::setting;

const STEPS: u64 = 400;

#[test]
fn promised_commits_survive_every_simulated_crash() {
    let first = setting::seed("simulation");
    let seeds = setting::size("RIG_SIM_SEEDS", 60);
    let mut total = Summary::default();
    for seed in first..first + seeds {
        let run = catch_unwind(AssertUnwindSafe(|| {
            simulate(&Env::simulated(seed), seed, STEPS)
        }));
        match run {
            Ok(summary) => total.add(&summary),
            Err(panic) => {
                println!("repeat with RIG_SEED={seed} RIG_SIM_SEEDS=1");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("simulation: {seeds} seeds of {STEPS} steps: {total:?}");
    assert!(
        total.crashes > seeds && total.promised > 10 * seeds,
        "{total:?}"
    );
    assert!(total.sync_failures > 0 && total.torn_away > 0, "{total:?}");
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    for seed in 0..5 {
        let trace = |seed| {
            let env = Env::simulated(seed);
            let summary = simulate(&env, seed, STEPS);
            (
                env.simulation().unwrap().trace_hash(),
                format!("{summary:?}"),
            )
        };
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
        assert_ne!(
            trace(seed).0,
            trace(seed + 1).0,
            "seeds {seed} and {}",
            seed + 1
        );
    }
}

/// A disk that says that it synced and did not must be found by the same checks.
#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    let caught = (0..20).filter(|&seed| {
        let env = Env::simulated(seed);
        let inner = Arc::clone(env.fs());
        let lying = env.with_fs(Arc::new(LyingFs {
            inner,
            lie: Lie::Skip,
        }));
        let run = catch_unwind(AssertUnwindSafe(|| simulate(&lying, seed, STEPS)));
        run.is_err()
    });
    let caught = caught.count();
    println!("a lying disk was caught in {caught} of 20 runs");
    assert!(caught >= 10, "{caught} of 20");
}
