//! What the README shows is what runs.

#[test]
fn the_readme_shows_code_of_the_chat() {
    let readme = include_str!("../../../README.md");
    let code = include_str!("../src/lib.rs");
    let shown = readme
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let shown = shown.expect("the README shows Rust").trim_end();
    for function in shown.split("\n\n") {
        assert!(code.contains(function), "not in src/lib.rs:\n{function}");
    }
}
