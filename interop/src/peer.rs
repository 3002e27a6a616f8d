use std::path::{Path, PathBuf};

use sala_testkit::{Child, ChildBuilder};

/// Whose server is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The official JavaScript server.
    Reference,
    /// Ours.
    Sala,
}

/// The peer of this run.
///
/// # Panics
///
/// When `SALA_INTEROP_PEER` names neither.
pub fn peer() -> Peer {
    match std::env::var("SALA_INTEROP_PEER").as_deref() {
        Ok("reference") => Peer::Reference,
        Ok("sala") | Err(_) => Peer::Sala,
        Ok(other) => panic!("SALA_INTEROP_PEER is {other}; it must be `sala` or `reference`"),
    }
}

/// Whether the assertion that follows must be left out, because the peer is the reference and Sala is meant to
/// behave better than it in `row`. `docs/COMPAT.md` lists the same rows.
pub fn differs(row: &str, why: &str) -> bool {
    let reference = peer() == Peer::Reference;
    if reference {
        eprintln!("{row} is not asserted of the reference: {why}");
    }
    reference
}

/// Whether the assertion that follows must be left out, because the peer is Sala, which goes another way in `row`
/// that harms no client. `docs/COMPAT.md` lists the same rows.
pub fn departs(row: &str, why: &str) -> bool {
    let sala = peer() == Peer::Sala;
    if sala {
        eprintln!("{row} is not asserted of Sala: {why}");
    }
    sala
}

/// The directory of this package.
pub fn project_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Prepares to start a fixture server of the peer of this run.
pub fn fixture(name: &str) -> ChildBuilder {
    fixture_of(peer(), name)
}

/// Prepares to start a fixture server: `interop/servers/<name>.rs` or `interop/reference/<name>.js`.
pub fn fixture_of(peer: Peer, name: &str) -> ChildBuilder {
    match peer {
        Peer::Reference => node(&project_dir().join(format!("reference/{name}.js"))),
        Peer::Sala => Child::command(binary(name)),
    }
}

/// Prepares to run a script with Node.js.
pub fn node(script: &Path) -> ChildBuilder {
    assert!(
        project_dir().join("node_modules").is_dir(),
        "run scripts/setup-tests.sh first: interop/node_modules is missing"
    );
    Child::command("node").arg(script)
}

/// A program of this package: cargo puts it beside the `deps` folder in which the test program lies.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its program");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("test programs lie in target/<profile>/deps");
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
