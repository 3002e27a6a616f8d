#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sala_fuzz::target("cluster_message").expect("the target exists")(input);
});
