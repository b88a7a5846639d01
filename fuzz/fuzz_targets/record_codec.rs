//! libFuzzer over the checks of `record_codec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mantis_testkit::fuzz::run("record_codec", input));
