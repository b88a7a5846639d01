//! The control: a panic behind a magic prefix, which libFuzzer must find.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mantis_testkit::fuzz::planted(input));
