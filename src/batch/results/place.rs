//! Where results are: a directory that is ours, and the files in it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::visits::put;
use super::{lock, samples};
use crate::data::{is_hidden, reason, shown_path};
use crate::error::{Error, Explained};
use crate::host::leftover::{self, Deed, Young};

/// What says that a directory is a batch's.
const FILE: &str = "batch.toml";
/// What may be there before that is.
const EARLY: [&str; 2] = [lock::NAME, "lost+found"];

/// Makes a directory unless it is there.
pub(super) fn make(path: &Path) -> Result<(), Error> {
    let shown = shown_path(path);
    match fs::create_dir_all(path) {
        Ok(()) => {}
        Err(error) if path.exists() => {
            let why = if path.is_dir() { reason(&error) } else { "it is no directory".to_owned() };
            return Err(Error::rejected(format!("cannot keep results in `{shown}`: {why}")));
        }
        Err(error) => {
            return Err(Error::rejected(
                Explained::new(format!("cannot make directory `{shown}`: {}", reason(&error)))
                    .hint("--out names a directory that can be written to"),
            ));
        }
    }
    Ok(())
}

/// Refuses a directory in which there is something, and not the results of a batch.
pub(super) fn check_free(path: &Path) -> Result<(), Error> {
    let shown = shown_path(path);
    // A `batch.toml` alone may be somebody's own, which is not to be written over.
    let begun = [lock::NAME, samples::NAME].iter().any(|name| path.join(name).exists());
    if begun && path.join(FILE).exists() {
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|error| unreadable(&shown, &error))?;
    for entry in entries {
        let name = entry.map_err(|error| unreadable(&shown, &error))?.file_name();
        if !EARLY.iter().any(|early| name == OsStr::new(early)) && !is_hidden(&name) {
            let name = shown_path(Path::new(&name));
            return Err(Error::rejected(
                Explained::new(format!(
                    "`{shown}` has other things in it (`{name}`), and no results of a batch"
                ))
                .hint("--out names a directory that is new, empty, or a batch's own"),
            ));
        }
    }
    Ok(())
}

/// Keeps the batch file as it was read, unless that is what is kept.
pub(super) fn keep_file(path: &Path, text: &str) -> Result<(), Error> {
    let path = path.join(FILE);
    if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
        return Ok(());
    }
    put("batch file", &path, text)
}

/// Removes what a batch left that was killed while a file took its name.
pub(super) fn sweep(path: &Path) -> Result<(), Error> {
    let swept = leftover::sweep(path, &is_hidden, Young::Keep, Deed::Remove);
    swept.map(drop).map_err(|error| unreadable(&shown_path(path), &error))
}

/// Opens a file to read it, if it is there; with what messages call it.
pub(super) fn existing(dir: &Path, name: &str) -> Result<(Option<File>, String), Error> {
    let path = dir.join(name);
    let shown = shown_path(&path);
    match File::open(&path) {
        Ok(file) => Ok((Some(file), shown)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, shown)),
        Err(error) => Err(unreadable(&shown, &error)),
    }
}

/// Opens a file to read it and to append to it, or makes it; with what messages call it.
pub(super) fn growing(dir: &Path, name: &str) -> Result<(File, String), Error> {
    let path = dir.join(name);
    let shown = shown_path(&path);
    match OpenOptions::new().read(true).append(true).create(true).open(&path) {
        Ok(file) => Ok((file, shown)),
        Err(error) => Err(unreadable(&shown, &error)),
    }
}

/// Makes names of new files as lasting as the files; some file systems have no such thing.
pub(super) fn sync_names(path: &Path) {
    let _ = File::open(path).and_then(|dir| dir.sync_all());
}

pub(super) fn unreadable(shown: &str, error: &io::Error) -> Error {
    Error::refused(format!("cannot open `{shown}`: {}", reason(error)))
}
