#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| akurai_http::fuzzing::deflate(
    data,
    akurai_fuzz::live_bytes
));
