//! A small file of `/proc` or `/sys` that is read again and again.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::root::Root;

/// A file that stays open: to read it anew is one system call.
#[derive(Debug)]
pub(crate) struct Kept {
    file: File,
    buffer: Vec<u8>,
}

impl Kept {
    /// Opens a file of which so many bytes, from its beginning, are of interest; `None` if there is none.
    pub(crate) fn open(root: &Root, path: &str, bytes: usize) -> Option<Self> {
        Some(Self { file: File::open(root.path(path)).ok()?, buffer: vec![0; bytes] })
    }

    /// Reads it as it is now.
    pub(crate) fn read(&mut self) -> Option<Cow<'_, str>> {
        // Whole: the system makes such a file in one piece, as far as there is room for it.
        let read = self.file.read_at(&mut self.buffer, 0).ok()?;
        self.buffer.get(..read).map(String::from_utf8_lossy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::root::tests::Tree;

    #[test]
    fn a_file_is_read_as_it_is_now_and_no_further_than_asked() {
        let tree = Tree::new(&[("proc/a", "12\n")]);
        let mut file = Kept::open(&tree.root, "proc/a", 4).unwrap();
        assert_eq!(file.read().unwrap(), "12\n");
        tree.put("proc/a", "123456\n");
        assert_eq!(file.read().unwrap(), "1234");
        assert!(Kept::open(&tree.root, "proc/b", 4).is_none());
    }
}
