#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| akurai_server::fuzzing::resp(data));
