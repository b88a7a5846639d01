//! Mutation runs in process; sizes and seeds from `RIG_MUTATIONS` and `RIG_SEED`.

use super::*;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn mutated_inputs_break_no_decoder() {
    let seed = number("RIG_SEED", u64::from(std::process::id()));
    let rounds = number("RIG_MUTATIONS", 20_000);
    println!("mutations: repeat with RIG_SEED={seed}");
    for target in &TARGETS {
        if let Some(input) = mutate(target, seed, rounds) {
            // Once more, with its message.
            println!("{}: input {}", target.name, input.escape_ascii());
            (target.check)(&input);
        }
        println!("{}: {rounds} mutated inputs", target.name);
    }
}

#[test]
fn the_control_of_the_mutations_is_found() {
    let records = TARGETS
        .iter()
        .find(|target| target.name == "record_codec")
        .unwrap();
    let planted = FuzzTarget {
        check: planted_record,
        ..*records
    };
    let found = mutate(&planted, 1, 200_000);
    assert!(found.is_some(), "the planted panic was not found");
}

#[test]
#[should_panic(expected = "planted")]
fn the_control_of_libfuzzer_panics_behind_its_prefix() {
    planted(b"MANTIS and more");
}
