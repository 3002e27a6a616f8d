//! Tells the tests whether Valkey is installed: what cannot be run is not there, rather than passing untried.

use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(valkey)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let file = |folder: PathBuf| folder.join("valkey-server");
    if std::env::split_paths(&path)
        .map(file)
        .any(|file| file.is_file())
    {
        println!("cargo::rustc-cfg=valkey");
    }
}
