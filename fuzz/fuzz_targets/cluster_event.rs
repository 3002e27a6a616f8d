#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sala_fuzz::target("cluster_event").expect("the target exists")(input);
});
