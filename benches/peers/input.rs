//! Numbers in memory that spmd reads as a file.

use std::fs;
use std::path::Path;

use crate::memory::MemoryFile;

/// A file of f64 in memory, i + 0.5 at index i; gone when dropped.
pub(crate) struct Input(MemoryFile);

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
        let file = usize::try_from(n).map_err(|error| format!("skipped: {error}"))?;
        let file = MemoryFile::new(file);
        file.map(Self).map_err(|error| format!("skipped: no file in memory: {error}"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Returns how many bytes of memory can be had.
pub(crate) fn available() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}
