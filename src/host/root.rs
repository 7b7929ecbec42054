//! Where `/sys` and `/proc` are read: on this machine, or in a copy of another's.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::affinity::CpuSet;

/// The directory above `sys` and `proc`. Paths are written without the first slash: `proc/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root(Option<PathBuf>);

impl Root {
    /// Returns the root of this machine.
    pub(crate) fn system() -> Self {
        Self(None)
    }

    /// Returns a directory that holds another machine's `sys` and `proc`, or parts of them.
    pub(crate) fn copy(dir: impl Into<PathBuf>) -> Self {
        Self(Some(dir.into()))
    }

    /// Says whether it is this machine: only then may this process be asked about itself.
    pub(crate) fn is_system(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the path that a file has from here.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.as_deref().unwrap_or(Path::new("/")).join(path)
    }

    /// Reads a file whole.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    /// Reads a file of one line.
    pub(crate) fn line(&self, path: &str) -> Option<String> {
        self.text(path).map(|text| text.trim().to_owned())
    }

    /// Reads a file of one number.
    pub(crate) fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.line(path)?.parse().ok()
    }

    /// Reads a file that lists CPUs; none is a list too, of a node that has only memory.
    pub(crate) fn cpus(&self, path: &str) -> Option<CpuSet> {
        let list = self.line(path)?;
        if list.is_empty() { Some(CpuSet::default()) } else { list.parse().ok() }
    }

    /// Returns the names in a directory, in order.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A copy of a machine that a test has written, removed at its end.
    #[derive(Debug)]
    pub(crate) struct Tree {
        dir: PathBuf,
        pub(crate) root: Root,
    }

    impl Tree {
        /// Writes these files, each with its text.
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let number = NEXT.fetch_add(1, Relaxed);
            let dir =
                std::env::temp_dir().join(format!("spmd-tree-{}-{number}", std::process::id()));
            let tree = Self { root: Root::copy(&dir), dir };
            for (path, text) in files {
                tree.put(path, text);
            }
            tree
        }

        pub(crate) fn put(&self, path: &str, text: &str) {
            let path = self.dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    #[test]
    fn a_copy_is_read_where_it_lies() {
        let tree =
            Tree::new(&[("proc/a", " 12\n"), ("sys/none", "\n"), ("sys/b/cpulist", "0-3\n")]);
        let root = &tree.root;
        assert_eq!(root.number::<u32>("proc/a"), Some(12));
        assert_eq!(root.number::<u32>("proc/b"), None);
        assert_eq!(root.cpus("sys/none"), Some(CpuSet::default()));
        assert_eq!(root.cpus("sys/b/cpulist").unwrap().len(), 4);
        assert_eq!(root.names("sys"), ["b", "none"]);
        assert!(!root.is_system() && Root::system().has("proc/self/status"));
    }
}
