//! The fuzz targets under libFuzzer, where cargo-fuzz is installed.

use std::process::Command;

use mantis_testkit::fuzz::TARGETS;

use crate::setting;

/// Every target for some seconds, and the planted panic, which must be found.
#[test]
fn libfuzzer_breaks_no_codec_and_finds_the_planted_panic() {
    let name = "libfuzzer";
    let is_there = Command::new("cargo").args(["fuzz", "--version"]).output();
    if !is_there.is_ok_and(|out| out.status.success()) {
        println!("SKIP {name}: cargo-fuzz is not installed (cargo install cargo-fuzz --locked)");
        return;
    }
    let seconds = setting::size("RIG_FUZZ_SECONDS", 30);
    if seconds == 0 {
        println!("SKIP {name}: RIG_FUZZ_SECONDS is 0");
        return;
    }
    assert!(
        !run_target("planted", 120),
        "the planted panic was not found"
    );
    for target in &TARGETS {
        assert!(
            run_target(target.name, seconds),
            "{} was broken",
            target.name
        );
    }
}

fn run_target(target: &str, seconds: u64) -> bool {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let out = Command::new("cargo")
        .args([
            "fuzz",
            "run",
            target,
            "--",
            &format!("-max_total_time={seconds}"),
            "-timeout=10",
        ])
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO_TARGET_TMPDIR")
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&out.stderr);
    let tail: Vec<&str> = text.lines().rev().take(12).collect();
    println!(
        "{target}: {}",
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    );
    assert!(
        text.contains("INFO: Running with entropic"),
        "the target did not run: {text}"
    );
    out.status.success()
}
