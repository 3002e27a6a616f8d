#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sala_fuzz::target("ws_reader_deflate").expect("the target exists")(input);
});
