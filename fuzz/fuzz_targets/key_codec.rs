//! libFuzzer over the checks of `key_codec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mantis_testkit::fuzz::run("key_codec", input));
