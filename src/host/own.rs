//! What `/proc/self` says about this process, for whoever asks often.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::kept::Kept;

/// A file of `/proc/self`, open once it was read.
#[derive(Debug)]
pub(crate) struct Own {
    path: &'static str,
    file: Option<File>,
}

impl Own {
    pub(crate) fn status() -> Self {
        Self { path: "/proc/self/status", file: None }
    }

    pub(crate) fn sched() -> Self {
        Self { path: "/proc/self/sched", file: None }
    }

    /// Reads the number of the line that begins with `name`.
    pub(crate) fn number(&mut self, name: &str) -> Option<u64> {
        let mut buffer = [0; 4096];
        if self.file.is_none() {
            self.file = File::open(self.path).ok();
        }
        // All of it at once, unless there is very much.
        let read = self.file.as_ref().and_then(|file| file.read_at(&mut buffer, 0).ok());
        read.and_then(|read| number(buffer.get(..read)?, name))
            .or_else(|| number(&fs::read(self.path).ok()?, name))
    }

    /// Returns this program's peak of resident memory, in bytes, from its status.
    ///
    /// Not `ru_maxrss`: that begins with the peak of whoever called exec, here the launcher's.
    pub(crate) fn peak_rss(&mut self) -> Option<u64> {
        self.number("VmHWM:").map(|kib| kib.saturating_mul(1024))
    }

    /// Returns how often the kernel moved this process to another CPU, from its scheduling figures.
    pub(crate) fn migrations(&mut self) -> Option<u64> {
        self.number("se.nr_migrations")
    }
}

/// Reads from `/proc/self/schedstat` how long this process has waited for a CPU since it began, in
/// nanoseconds.
pub(crate) fn run_delay(schedstat: &mut Kept) -> Option<u64> {
    schedstat.read()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Bytes, of which one line alone is text: every rank of every trial asks.
fn number(bytes: &[u8], name: &str) -> Option<u64> {
    let line = bytes.split(|byte| *byte == b'\n').find(|line| line.starts_with(name.as_bytes()))?;
    let line = std::str::from_utf8(line).ok()?;
    line.split_once(':')?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_anew_each_time() {
        let mut status = Own::status();
        let before = status.peak_rss().unwrap();
        // More than ever was: other tests may have had much, and given it back.
        let more = usize::try_from(before).unwrap() + (16 << 20);
        let more = std::hint::black_box(vec![1_u8; more]);
        assert!(status.peak_rss().unwrap() > before);
        drop(more);
        assert_eq!(status.number("Nothing"), None);
    }

    #[test]
    fn a_line_is_found_by_its_name() {
        let text =
            b"\xff (7, #threads: 1)\nse.sum : 3.5\nse.nr_migrations    :    12\nVmHWM:\t 40 kB\n";
        assert_eq!(number(text.as_slice(), "se.nr_migrations"), Some(12));
        assert_eq!(number(text.as_slice(), "VmHWM:"), Some(40));
        assert_eq!(number(text.as_slice(), "se.sum"), None);
    }
}
