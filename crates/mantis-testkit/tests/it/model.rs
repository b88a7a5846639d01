//! The key-value model against an ordered map, with reopening, kills and crashes in between: on a
//! simulated machine (log and memory engine) and on the real disk (log and tables).
//!
//! A failing case prints its seed and is repeated by `RIG_SEED`.

mod act;
mod shadow;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use act::{Act, acts};
use shadow::Shadow;
use world::{DiskWorld, SimWorld, World};

use crate::setting;

/// Runs the acts on both; an error is the first difference.
fn play(world: &mut dyn World, acts: &[Act]) -> Result<(), String> {
    let mut shadow = Shadow::default();
    for (number, act) in acts.iter().enumerate() {
        shadow
            .play(world, act)
            .map_err(|wrong| format!("act {number}, {act:?}: {wrong}"))?;
    }
    shadow.compare_all(world)
}

fn run(name: &str, cases: u64, acts_max: usize, make: impl Fn() -> Box<dyn World>) {
    let seed = setting::seed(name);
    let config = Config {
        cases: u32::try_from(cases).expect("a small number"),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&acts(acts_max), |acts| {
        play(&mut *make(), &acts).map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => println!("{name}: {cases} cases of up to {acts_max} acts"),
        Err(TestError::Fail(why, acts)) => {
            panic!("{name}, RIG_SEED={seed}: {why}\nsmallest case: {acts:#?}")
        }
        Err(TestError::Abort(why)) => panic!("{name}, RIG_SEED={seed}: {why}"),
    }
}

#[test]
fn the_model_holds_on_a_simulated_machine() {
    let cases = setting::size("RIG_MODEL_CASES", 150);
    run("model, simulated", cases, 120, || {
        Box::new(SimWorld::new(7))
    });
}

#[test]
fn the_model_holds_on_the_disk() {
    let cases = setting::size("RIG_MODEL_CASES", 150) / 10;
    run("model, disk", cases, 60, || Box::new(DiskWorld::new()));
}

/// A world that forgets a key at every reopening must be told from a right one.
#[test]
fn a_world_that_forgets_is_caught() {
    let acts = [
        Act::put(1, b"one"),
        Act::put(2, b"two"),
        Act::Reopen(act::Ending::Kill),
    ];
    assert_eq!(play(&mut SimWorld::new(7), &acts), Ok(()));
    let caught = play(&mut world::Forgetful::new(), &acts);
    assert!(caught.is_err(), "a forgotten key went unnoticed");
}
