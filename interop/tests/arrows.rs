//! Which crate must never depend on which. Only crates that exist are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use sala_interop::project_dir;
use serde_json::Value;

/// Dependencies other than for tests and build scripts, package by package, over all of the lock file.
struct Graph {
    names: BTreeMap<String, String>,
    arrows: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
}

impl Graph {
    fn read() -> Self {
        let host = output(Command::new("rustc").arg("-vV"));
        let host = host.lines().find_map(|line| line.strip_prefix("host: "));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let metadata = output(
            Command::new(cargo)
                .args([
                    "metadata",
                    "--format-version",
                    "1",
                    "--locked",
                    "--filter-platform",
                ])
                .arg(host.expect("rustc knows its host"))
                .current_dir(project_dir()),
        );
        let metadata: Value = serde_json::from_str(&metadata).expect("metadata is JSON");
        let mut graph = Self {
            names: BTreeMap::new(),
            arrows: BTreeMap::new(),
            members: BTreeSet::new(),
        };
        for package in list(&metadata["packages"]) {
            graph
                .names
                .insert(text(&package["id"]), text(&package["name"]));
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let shipped = list(&node["deps"]).iter().filter(|dep| {
                list(&dep["dep_kinds"])
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            });
            let targets = shipped.map(|dep| text(&dep["pkg"])).collect();
            graph.arrows.insert(text(&node["id"]), targets);
        }
        graph.members = list(&metadata["workspace_members"])
            .iter()
            .map(text)
            .collect();
        graph
    }

    /// The members of the workspace, by name.
    fn member_names(&self) -> BTreeSet<&str> {
        self.members
            .iter()
            .map(|id| self.names[id].as_str())
            .collect()
    }

    /// Everything that the member of this name is built from.
    fn reach(&self, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&String> = self
            .members
            .iter()
            .filter(|id| self.names[*id] == name)
            .collect();
        while let Some(id) = open.pop() {
            for target in &self.arrows[id] {
                if found.insert(self.names[target].as_str()) {
                    open.push(target);
                }
            }
        }
        found
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("the program can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("its output is text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

const BACKENDS: [&str; 6] = [
    "sala-redis",
    "sala-postgres",
    "sala-mongodb",
    "sala-gcp-pubsub",
    "sala-aws-sqs",
    "sala-azure-service-bus",
];

const ENGINE: [&str; 2] = ["sala-engine", "sala-engine-proto"];

/// What a crate must never be built from, and why.
fn forbidden(name: &str) -> (Vec<&'static str>, &'static str) {
    let io = ["tokio", "hyper", "tracing-subscriber"];
    match name {
        "sala-engine-proto" => (
            [&io[..], &["sala-proto"]].concat(),
            "it runs in a fuzzer, in wasm and under a fake clock",
        ),
        "sala-proto" => (
            [&io[..], &ENGINE].concat(),
            "it runs in a fuzzer, in wasm and under a fake clock",
        ),
        "sala" => (
            vec!["sala-memory", "mimalloc"],
            "the allocator is the application's choice",
        ),
        "sala-engine" => (
            vec!["sala", "sala-proto", "sala-adapter", "sala-admin"],
            "Engine.IO is a product of its own",
        ),
        "sala-adapter" => (
            [&["sala"][..], &ENGINE].concat(),
            "brokers must not compile a web server",
        ),
        "sala-emitter" => (
            [&["sala"][..], &ENGINE].concat(),
            "processes that only emit stay small",
        ),
        "sala-cluster" => (
            vec!["sala", "sala-engine"],
            "its router moves bytes and knows only the query string",
        ),
        name if BACKENDS.contains(&name) => {
            let others = BACKENDS.into_iter().filter(|other| *other != name);
            (
                ["sala", "sala-engine"].into_iter().chain(others).collect(),
                "contract crates exist for this",
            )
        }
        _ => (vec![], ""),
    }
}

/// Packages that are tests and may be built from the test support.
const TESTS: [&str; 2] = ["sala-interop", "sala-benches"];

#[test]
fn no_crate_depends_on_one_it_must_not_know() {
    let graph = Graph::read();
    let members = graph.member_names();
    assert!(
        members.contains("sala") && members.contains("sala-proto"),
        "{members:?}"
    );
    assert!(
        graph.reach("sala-engine").contains("hyper"),
        "the graph holds what crates are built from"
    );
    for name in members {
        let reach = graph.reach(name);
        let (never, why) = forbidden(name);
        for other in never {
            assert!(
                !reach.contains(other),
                "{name} must not depend on {other}: {why}"
            );
        }
        let ships_tests = reach.contains("sala-testkit") && !TESTS.contains(&name);
        assert!(
            !ships_tests,
            "{name} must not ship the test support: make it a dev-dependency"
        );
        assert!(
            !reach.contains("sala-cli"),
            "{name} must not depend on the command: binaries are leaves"
        );
    }
}
