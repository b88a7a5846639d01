//! libFuzzer over the checks of `log_recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mantis_testkit::fuzz::run("log_recovery", input));
