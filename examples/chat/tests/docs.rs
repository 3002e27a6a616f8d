//! What the README and the documents say is what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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

#[test]
fn every_row_in_which_a_test_treats_the_servers_differently_is_explained() {
    let compat = include_str!("../../../docs/COMPAT.md");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/tests");
    let mut rows = 0;
    for_each_source(&tests, &mut |_, source| {
        let calls = source
            .split("differs(")
            .skip(1)
            .chain(source.split("departs(").skip(1));
        for row in calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next()) {
            assert!(names(compat, row), "docs/COMPAT.md does not explain {row}");
            rows += 1;
        }
    });
    assert!(rows > 20, "the calls have moved");
}

/// Whether a page names a row, by itself or in the span of a table.
fn names(page: &str, row: &str) -> bool {
    let tables = page
        .split("## Clients can see it")
        .nth(1)
        .unwrap_or_default();
    let ids = tables
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    ids.flat_map(|ids| ids.split(", "))
        .any(|ids| match ids.split_once('–') {
            Some((first, last)) => first[..1] == row[..1] && (first..=last).contains(&row),
            None => ids == row,
        })
}

#[test]
fn every_row_is_named_by_a_test_or_explained() {
    let groups = [
        ('A', 1, 204),
        ('A', 220, 228),
        ('B', 1, 68),
        ('C', 1, 105),
        ('D', 1, 20),
        ('E', 1, 94),
        ('F', 1, 25),
        ('G', 1, 15),
        ('I', 1, 52),
    ];
    let compat = include_str!("../../../docs/COMPAT.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut tested = BTreeSet::new();
    for folder in ["crates", "interop/tests"] {
        collect_rows(&root.join(folder), &mut tested);
    }
    assert!(tested.len() > 500, "the tests have moved");
    let rows = groups
        .into_iter()
        .flat_map(|(group, first, last)| (first..=last).map(move |row| (group, row)));
    let uncovered: Vec<_> = rows
        .filter(|row| !tested.contains(row))
        .map(|(group, row)| format!("{group}{row:03}"))
        .filter(|row| !names(compat, row))
        .collect();
    assert!(
        uncovered.is_empty(),
        "neither a test nor docs/COMPAT.md names {uncovered:?}"
    );
}

/// A group and a number in it, such as A042.
type Row = (char, u16);

/// Adds the rows that the tests below a folder name, be it in comments or in names of functions.
fn collect_rows(folder: &Path, rows: &mut BTreeSet<Row>) {
    for_each_source(folder, &mut |path, source| {
        let is_test = path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs");
        let tests = match is_test {
            true => Some(source),
            false => source
                .split_once("#[cfg(test)]\nmod tests {")
                .map(|(_, tests)| tests),
        };
        rows.extend(tests.into_iter().flat_map(rows_in));
    });
}

/// Shows all Rust below a folder.
fn for_each_source(folder: &Path, show: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            for_each_source(&path, show);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("sources are text");
            show(&path, &source);
        }
    }
}

/// The rows that a text names: `A042`, `a042`, and all those of `A042–A044` or `a042_to_a044`.
fn rows_in(text: &str) -> Vec<Row> {
    let text = text.replace("_to_", "–");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '–');
    let spans = words.filter_map(|word| {
        let (first, last) = word.split_once('–').unwrap_or((word, word));
        let (group, first) = row(first)?;
        let (_, last) = row(last).filter(|last| last.0 == group)?;
        Some((first..=last).map(move |number| (group, number)))
    });
    spans.flatten().collect()
}

fn row(word: &str) -> Option<Row> {
    let number = word.strip_prefix(|c: char| c.is_ascii_alphabetic())?;
    let group = word.chars().next()?.to_ascii_uppercase();
    (number.len() == 3).then_some((group, number.parse().ok()?))
}

#[test]
fn every_dependency_has_its_reason() {
    let page = include_str!("../../../docs/DEPENDENCIES.md");
    let manifest = include_str!("../../../Cargo.toml");
    let list = manifest
        .split("[workspace.dependencies]\n")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next());
    let lines = list.expect("the workspace lists its dependencies").lines();
    for name in lines
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, _)| name)
    {
        if name != "sala" && !name.starts_with("sala-") {
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/DEPENDENCIES.md does not explain {name}"
            );
        }
    }
}
