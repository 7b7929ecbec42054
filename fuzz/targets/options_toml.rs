#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    spmd::fuzzing::options_toml(bytes);
});
