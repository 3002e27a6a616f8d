//! What the compiler says about wrong handlers.
//!
//! The texts are those of the toolchain named in `rust-version`. After a change that is meant, look
//! at them anew with `TRYBUILD=overwrite cargo test -p sala --test ui`.

#[test]
fn wrong_handlers_are_answered_with_what_is_right() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
