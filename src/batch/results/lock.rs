//! One batch at a time on a directory: a lock that the system drops with whoever holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::data::{reason, shown_path};
use crate::error::{Error, Explained};

/// What the locked file is called. It stays when the batch ends: removing it would be a race.
pub(super) const NAME: &str = "lock";
/// A batch that was killed a moment ago may not be gone yet: so often is asked again, after such a pause.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);
/// As much of it as a message quotes.
const QUOTED: u64 = 100;

/// Held for as long as a batch writes to a directory; no child inherits it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks a directory, or says who has.
    pub(super) fn take(dir: &Path, host: &str) -> Result<Self, Error> {
        let shown = shown_path(dir);
        let cannot = |error| {
            let why = reason(&error);
            Error::refused(
                Explained::new(format!("cannot lock `{shown}/{NAME}`: {why}"))
                    .hint("results need a directory that can be written to and knows locks"),
            )
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(dir.join(NAME)).map_err(cannot)?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < TRIES => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(held(&shown, file)),
                Err(TryLockError::Error(error)) => return Err(cannot(error)),
            }
            tries += 1;
        }
        // For messages only; a disk that is full still has a lock.
        let _ = file.set_len(0);
        let _ = writeln!(file, "pid {} on {host}", std::process::id());
        Ok(Self { _file: file })
    }
}

fn held(shown: &str, file: File) -> Error {
    let mut text = String::new();
    let _ = file.take(QUOTED).read_to_string(&mut text);
    let holder = match text.trim() {
        "" => String::new(),
        holder => format!(" ({holder})"),
    };
    Error::rejected(
        Explained::new(format!("another batch{holder} is at work on `{shown}`"))
            .hint("wait until it has ended, or give this one another --out"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::Folder;

    #[test]
    fn a_second_one_is_refused_and_told_who_is_there() {
        let folder = Folder::new();
        let lock = Lock::take(folder.root(), "here").unwrap();
        let error = Lock::take(folder.root(), "there").unwrap_err();
        let holder = format!("another batch (pid {} on here) is at work", std::process::id());
        assert!(error.to_string().starts_with(&holder), "{error}");
        assert_eq!(error.exit().code(), 2);
        drop(lock);
        Lock::take(folder.root(), "there").unwrap();
    }

    #[test]
    fn children_do_not_hold_it() {
        let folder = Folder::new();
        let lock = Lock::take(folder.root(), "here").unwrap();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        drop(lock);
        let again = Lock::take(folder.root(), "here").is_ok();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(again);
    }
}
