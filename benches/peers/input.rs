//! Numbers in memory that spmd reads as a file.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// A file of f64 in memory, i + 0.5 at index i; gone when dropped.
pub(crate) struct Input {
    path: PathBuf,
}

impl Input {
    /// Writes the file, if there is memory for it and for `arrays` more of its size.
    pub(crate) fn new(n: u64, arrays: u64) -> Result<Self, String> {
        let bytes = n * 8;
        let needed = bytes * (arrays + 1);
        let free = available();
        if free < needed + needed / 8 {
            return Err(format!(
                "skipped: needs {} MB of memory, {} are free",
                needed / 1_000_000,
                free / 1_000_000
            ));
        }
        let name = format!("spmd-bench-peers-{}-{n}.bin", std::process::id());
        let input = Self { path: Path::new("/dev/shm").join(name) };
        input.write(n).map_err(|error| format!("skipped: {}: {error}", input.path.display()))?;
        Ok(input)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self, n: u64) -> std::io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(&self.path)?);
        for index in 0..n {
            // Not zeroes: some processors drop stores of zero over zero.
            out.write_all(&(index as f64 + 0.5).to_le_bytes())?;
        }
        out.flush()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns how many bytes of memory can be had.
pub(crate) fn available() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}
