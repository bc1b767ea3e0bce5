#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| akurai_ws::fuzzing::session(
    data,
    akurai_fuzz::live_bytes
));
