//! What tells one state of a file from another.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

/// Which file, how long, and when last written: equal before and after a run, or it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
}

impl Stamp {
    /// Takes the stamp of an open file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self {
            dev: found.dev(),
            ino: found.ino(),
            size: found.size(),
            mtime: (found.mtime(), found.mtime_nsec()),
        })
    }

    /// Says which state of which file this is, the same after a restart of the machine: without the
    /// number of its device, which may be another one then.
    pub(crate) fn lasting(&self) -> String {
        let Self { ino, size, mtime: (seconds, nanoseconds), .. } = self;
        format!("a file of {size} bytes, inode {ino}, written at {seconds}.{nanoseconds:09}")
    }

    /// Returns the length of the file in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::data::testing::Folder;

    #[test]
    fn changes_with_the_file() {
        let folder = Folder::new();
        fs::write(folder.path("a"), "1").unwrap();
        let file = File::open(folder.path("a")).unwrap();
        let before = Stamp::of(&file).unwrap();
        assert_eq!(before, Stamp::of(&file).unwrap());
        fs::OpenOptions::new()
            .append(true)
            .open(folder.path("a"))
            .unwrap()
            .write_all(b"2")
            .unwrap();
        assert_ne!(before, Stamp::of(&file).unwrap());
    }
}
