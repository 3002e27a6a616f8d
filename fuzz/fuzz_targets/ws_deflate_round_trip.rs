#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sala_fuzz::target("ws_deflate_round_trip").expect("the target exists")(input);
});
