//! Opening an input file, which must be a regular one.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::data::shown;
use crate::data::staged::kind;
use crate::data::stamp::Stamp;
use crate::error::{Error, Explained};

/// Opens a regular file to read, without waiting for anything that is not one.
pub(crate) fn open(path: &Path) -> Result<(File, Stamp), Error> {
    let shown = shown::path(path);
    let unreadable = |error: &std::io::Error| {
        Error::rejected(format!("cannot read input `{shown}`: {}", shown::reason(error)))
    };
    let irregular = |found: fs::FileType| {
        let message = format!("input `{shown}` is {}, not a regular file", kind(found));
        Error::rejected(if found.is_dir() {
            Explained::new(message)
        } else {
            Explained::new(message).hint("`--input -` reads a stream from standard input")
        })
    };
    // Not blocking: opening a FIFO would wait for a writer, and a terminal must not become ours.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        // A socket cannot be opened at all: say so, not "no such device".
        Err(error) => match fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(irregular(found.file_type())),
            _ => return Err(unreadable(&error)),
        },
    };
    let found = file.metadata().map_err(|error| unreadable(&error))?;
    if !found.is_file() {
        return Err(irregular(found.file_type()));
    }
    let stamp = Stamp::of(&file).map_err(|error| unreadable(&error))?;
    Ok((file, stamp))
}
