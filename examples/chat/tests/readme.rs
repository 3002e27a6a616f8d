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

#[test]
fn the_guide_names_every_option() {
    let guide = include_str!("../../../docs/guide/options.md");
    let sources = [
        include_str!("../../../crates/sala/src/builder.rs"),
        include_str!("../../../crates/sala-engine/src/config.rs"),
    ];
    let setters = sources.iter().flat_map(|source| {
        let starts = source.split("pub fn ").skip(1);
        starts.filter(|start| {
            start
                .split('{')
                .next()
                .is_some_and(|head| head.contains("mut self"))
        })
    });
    let names: Vec<_> = setters
        .filter_map(|start| start.split(['(', '<']).next())
        .collect();
    assert!(names.len() > 40, "the options have moved: {names:?}");
    for name in names
        .iter()
        .filter(|name| **name != "$name" && **name != "engine")
    {
        assert!(
            guide.contains(name),
            "docs/guide/options.md does not name {name}"
        );
    }
}
