#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sala_fuzz::target("json_assembler").expect("the target exists")(input);
});
