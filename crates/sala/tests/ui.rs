//! What the compiler says about wrong handlers.
//!
//! Only what our own notes say is pinned. Errors about types that serde does not know end in a list
//! of types it knows, which changes with the features of other crates.
//!
//! The texts are those of the toolchain named in `rust-version`. After a change that is meant, look
//! at them anew with `TRYBUILD=overwrite cargo test -p sala --test ui`.

#[test]
fn wrong_handlers_are_answered_with_what_is_right() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
