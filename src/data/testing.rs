//! A folder for one test, removed afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        // Tests are threads of one process, or (under other runners) processes of their own.
        let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "-");
        let root = std::env::temp_dir().join(format!("spmd-data-{}-{thread}", process::id()));
        fs::create_dir(&root).unwrap();
        Self(root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
