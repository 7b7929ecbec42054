//! Numbers in memory that a program reads as a file, and that no death leaves behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A file of f64 in memory, i + 0.5 at index i.
///
/// It has no name in memory, so that it ends with this process, however that ends. Others find it
/// through a link in the folder of the build.
pub(crate) struct MemoryFile {
    #[allow(dead_code, reason = "one bench maps it, for the others it is only kept open")]
    pub(crate) file: File,
    link: PathBuf,
}

impl MemoryFile {
    /// Writes a file of `n` numbers.
    pub(crate) fn new(n: usize) -> io::Result<Self> {
        let file = nameless()?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        for index in 0..n {
            // Not zeroes: some processors drop stores of zero over zero.
            out.write_all(&(index as f64 + 0.5).to_le_bytes())?;
        }
        out.flush()?;
        drop(out);
        let name = format!("input-{}-{n}.bin", std::process::id());
        let link = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        symlink(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()), &link)?;
        Ok(Self { file, link })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.link
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.link);
    }
}

/// Opens a file in memory that has no name.
pub(crate) fn nameless() -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE).open("/dev/shm")
}
