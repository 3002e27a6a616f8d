#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sala_fuzz::target("http_head").expect("the target exists")(input);
});
