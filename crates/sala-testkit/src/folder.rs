use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

/// A temporary folder of one test, removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty folder.
    ///
    /// # Panics
    ///
    /// When the system's folder for temporary files cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sala-{:016x}", random()));
        match std::fs::create_dir(&path) {
            Ok(()) => Self(path),
            Err(error) => panic!("cannot make the folder {}: {error}", path.display()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now, the system clears away later.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A number that other processes do not get.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
