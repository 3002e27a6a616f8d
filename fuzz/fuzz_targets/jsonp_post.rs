#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    sala_fuzz::target("jsonp_post").expect("the target exists")(input);
});
