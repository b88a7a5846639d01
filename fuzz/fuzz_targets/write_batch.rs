//! libFuzzer over the checks of `write_batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mantis_testkit::fuzz::run("write_batch", input));
