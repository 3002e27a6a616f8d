#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sala_fuzz::target("classic_broadcast").expect("the target exists")(input);
});
