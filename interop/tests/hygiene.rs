//! What must not be in a committed file: paths of the machine it was written on, hosts of package registries.

use std::path::{Path, PathBuf};
use std::process::Command;

use sala_interop::project_dir;

fn root() -> &'static Path {
    project_dir()
        .parent()
        .expect("the package lies in the workspace")
}

/// The committed files, or none outside of a repository.
fn committed() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let Ok(listed) = listed else { return vec![] };
    let names = listed
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| root().join(String::from_utf8_lossy(name).as_ref()))
        .collect()
}

/// Folders whose names tell where something was written.
fn folders_of_this_machine() -> Vec<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let parent = root().parent().map(Path::to_path_buf);
    let folders = [Some(root().to_path_buf()), parent, home]
        .into_iter()
        .flatten();
    // The root of the file system is no secret.
    folders
        .filter(|folder| folder.components().count() > 1)
        .map(|folder| format!("{}/", folder.display()))
        .collect()
}

/// Whether `text` names `folder` as a path of its own, not as the end of another one.
fn names_folder(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|char| char.is_alphanumeric() || "._-~*}$/".contains(char))
    })
}

/// Marks of registries, in two parts so that this file does not hold them.
const REGISTRIES: [(&str, &str); 4] = [
    ("https://", "registry."),
    ("npm", "js.org/"),
    ("index.", "crates.io"),
    ("\"resolved\":", " \""),
];

#[test]
fn no_committed_file_names_this_machine_or_a_registry() {
    let folders = folders_of_this_machine();
    for file in committed() {
        // Deleted but not yet committed, or no text.
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        for folder in &folders {
            assert!(
                !names_folder(&text, folder),
                "{} names the folder {folder}",
                file.display()
            );
        }
        for (left, right) in REGISTRIES {
            let mark = format!("{left}{right}");
            assert!(
                !text.contains(&mark),
                "{} names a package registry: {mark}",
                file.display()
            );
        }
    }
}

#[test]
fn a_folder_is_found_only_as_a_path_of_its_own() {
    assert!(names_folder("see `/some/folder/file`", "/some/folder/"));
    assert!(names_folder("/some/folder/file", "/some/folder/"));
    assert!(!names_folder("net/some/folder/file", "/some/folder/"));
    assert!(!names_folder("../some/folder/file", "/some/folder/"));
}
