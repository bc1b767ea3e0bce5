#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| akurai_http::fuzzing::credentials(data));
