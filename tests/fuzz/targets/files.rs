#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u64, &[u8])| {
    let (len, data) = input;
    // No system has a longer file.
    akurai_http::fuzzing::ranges(data, len >> 1);
    akurai_http::fuzzing::ranges(data, len % 64);
    akurai_http::fuzzing::conditions(data);
    akurai_http::fuzzing::codings_and_names(data);
});
