//! The output file: written aside, and given its name in one step when it is complete.
//!
//! Until [`StagedFile::publish`] the file has no name (or, where the file system cannot do that, a
//! hidden one), so a run that ends in any way leaves the old output as it was and nothing beside
//! it. The one moment at which a kill can leave a hidden name is between the last two system
//! calls of a replacement. The file is locked for as long as any process of the run has it, so that
//! hidden names ([`super::hidden`]) can be removed once nobody does (`spmd clean`).

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, FileType, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::data::hidden::hidden;
use crate::data::shown;
use crate::error::{Error, Explained};
use crate::host::link;

/// As many symbolic links in a row as Linux follows.
const MAX_LINKS: usize = 40;

/// How often another random name is tried.
const MAX_TRIES: usize = 16;

/// An output file that is not there yet.
#[derive(Debug)]
pub(crate) struct StagedFile {
    file: File,
    dir: File,
    name: CString,
    /// What messages call it, `output` as a rule.
    noun: &'static str,
    shown: String,
    standing: Standing,
}

/// A file that has its name.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Open to read and write.
    pub(crate) file: File,
    /// Where it is.
    pub(crate) dir: File,
    /// What it is called there.
    pub(crate) name: CString,
}

/// What a staged file is called while it is written.
#[derive(Debug)]
enum Standing {
    /// Nothing: the kernel drops it with its last descriptor.
    Unnamed,
    /// This, until it is renamed or removed.
    Hidden(CString),
    /// What it is to be called.
    Published,
}

impl StagedFile {
    /// Prepares to write `target`, of `len` bytes if that is known.
    ///
    /// To be called before anything runs: everything that can be refused is refused here.
    pub(crate) fn create(target: &Path, len: Option<u64>) -> Result<Self, Error> {
        Self::create_as("output", target, len)
    }

    /// As [`StagedFile::create`], for a file that messages call a `noun`.
    pub(crate) fn create_as(
        noun: &'static str,
        target: &Path,
        len: Option<u64>,
    ) -> Result<Self, Error> {
        let shown = shown::path(target);
        let Destination { parent, name, replaced } = Destination::find(noun, target)?;
        let dir = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(&parent)
            .map_err(|error| not_creatable(noun, &shown, &parent, &error))?;
        let (file, standing) =
            open(&parent, &name).map_err(|error| not_creatable(noun, &shown, &parent, &error))?;
        let name = CString::new(name.into_vec())
            .map_err(|_| Error::rejected(format!("{noun} `{shown}` has a NUL in its name")))?;
        let staged = Self { file, dir, name, noun, shown, standing };
        if let Some(permissions) = replaced {
            staged.file.set_permissions(permissions).map_err(|error| {
                let (shown, why) = (&staged.shown, shown::reason(&error));
                Error::refused(format!("cannot keep the mode of {noun} `{shown}`: {why}"))
            })?;
        }
        if let Some(len) = len {
            staged.reserve(len)?;
        }
        Ok(staged)
    }

    /// Returns the file to write to, of the reserved length if one was given.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file durable, then visible under its name in place of what was there.
    pub(crate) fn publish(mut self) -> Result<(), Error> {
        let result = self.settle();
        result.map_err(|(what, error)| {
            let (noun, shown, why) = (self.noun, &self.shown, shown::reason(&error));
            Error::failed(format!("cannot write {noun} `{shown}`: {what}: {why}"))
        })
    }

    /// Makes the file durable, then visible under its name; `None` if that name is taken by now.
    pub(crate) fn publish_new(self) -> Result<Option<Placed>, Error> {
        let cannot = |what: &str, error: &io::Error| {
            let (noun, shown, why) = (self.noun, &self.shown, shown::reason(error));
            Error::refused(format!("cannot create {noun} `{shown}`: {what}: {why}"))
        };
        let (fd, dir) = (self.file.as_fd(), self.dir.as_fd());
        self.file.sync_all().map_err(|error| cannot("fsync", &error))?;
        // A hidden name, where the file has one, goes when this is dropped.
        match link::link_descriptor(fd, dir, &self.name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(cannot("link", &error)),
        }
        let _ = self.dir.sync_all(); // Some file systems have no such thing for directories.
        let copied = |file: &File| file.try_clone().map_err(|error| cannot("dup", &error));
        let (file, dir) = (copied(&self.file)?, copied(&self.dir)?);
        Ok(Some(Placed { file, dir, name: self.name.clone() }))
    }

    fn settle(&mut self) -> Result<(), (&'static str, io::Error)> {
        self.file.sync_all().map_err(|error| ("fsync", error))?;
        if matches!(self.standing, Standing::Unnamed) {
            match link::link_descriptor(self.file.as_fd(), self.dir.as_fd(), &self.name) {
                Ok(()) => self.standing = Standing::Published,
                // A name cannot be taken over by a link, only by a rename.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.link_hidden().map_err(|error| ("link", error))?;
                }
                Err(error) => return Err(("link", error)),
            }
        }
        if let Standing::Hidden(hidden) = &self.standing {
            link::rename_within(self.dir.as_fd(), hidden, &self.name)
                .map_err(|error| ("rename", error))?;
            self.standing = Standing::Published;
        }
        // The lock spoke for a hidden name; whoever locks the output now is not to wait for us.
        let _ = self.file.unlock();
        match self.dir.sync_all() {
            // Some file systems have no such thing for directories.
            Err(error) if error.raw_os_error() != Some(libc::EINVAL) => {
                Err(("fsync of its directory", error))
            }
            _ => Ok(()),
        }
    }

    fn link_hidden(&mut self) -> io::Result<()> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..MAX_TRIES {
            let hidden = CString::new(hidden(OsStr::from_bytes(self.name.as_bytes())).into_vec())?;
            match link::link_descriptor(self.file.as_fd(), self.dir.as_fd(), &hidden) {
                Ok(()) => {
                    self.standing = Standing::Hidden(hidden);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn reserve(&self, len: u64) -> Result<(), Error> {
        let fd = self.file.as_fd();
        let (noun, shown) = (self.noun, &self.shown);
        let free = link::free(fd).ok();
        let full = || {
            let found = free.map_or_else(String::new, |free| {
                format!("; {} bytes are free on its file system", free.available)
            });
            Error::refused(
                Explained::new(format!("{noun} `{shown}` needs {len} bytes{found}"))
                    .hint(format!("free some space, or name a {noun} on another file system")),
            )
        };
        // Asked first: a reservation that cannot succeed would fill the disk before it fails.
        if free.is_some_and(|free| len > free.total) {
            return Err(full());
        }
        link::reserve(fd, len).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(),
            _ => {
                let why = shown::reason(&error);
                Error::refused(format!("cannot reserve {len} bytes for {noun} `{shown}`: {why}"))
            }
        })
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Standing::Hidden(hidden) = &self.standing {
            // Nobody is left to tell; the name is one that `spmd clean` knows.
            let _ = link::remove(self.dir.as_fd(), hidden);
        }
    }
}

/// Where an output goes, after symbolic links.
struct Destination {
    parent: PathBuf,
    name: OsString,
    /// The permissions of the file that is there.
    replaced: Option<Permissions>,
}

impl Destination {
    fn find(noun: &str, target: &Path) -> Result<Self, Error> {
        let shown = shown::path(target);
        let bad = |what: String| Error::rejected(format!("{noun} `{shown}` {what}"));
        let mut path = target.to_path_buf();
        for _ in 0..=MAX_LINKS {
            // `Path` forgets a final slash, the system does not.
            if path.as_os_str().as_bytes().ends_with(b"/") {
                return Err(bad("names a directory".to_owned()));
            }
            let Some(name) = path.file_name().map(OsStr::to_os_string) else {
                return Err(bad("names a directory".to_owned()));
            };
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
                _ => PathBuf::from("."),
            };
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    let next = fs::read_link(&path).map_err(|error| {
                        bad(format!("is unreadable: {}", shown::reason(&error)))
                    })?;
                    path = parent.join(next);
                }
                Ok(found) if found.is_file() => {
                    writable(&path).map_err(|error| {
                        bad(format!("cannot be replaced: {}", shown::reason(&error)))
                    })?;
                    // Only the permissions: a set-user-id bit was meant for the old content.
                    let mode = found.permissions().mode() & 0o777;
                    let replaced = Some(Permissions::from_mode(mode));
                    return Ok(Self { parent, name, replaced });
                }
                Ok(found) => {
                    let kind = kind(found.file_type());
                    return Err(bad(format!("is {kind}, not a regular file")));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Self { parent, name, replaced: None });
                }
                Err(error) => return Err(not_creatable(noun, &shown, &parent, &error)),
            }
        }
        Err(bad(format!("is behind more than {MAX_LINKS} symbolic links")))
    }
}

/// Checks that a file may be written to, although it will be replaced and not written to: who made
/// it read-only did not mean "unless by rename".
fn writable(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).map(drop)
}

/// Opens a file in `parent` without a name, or with a hidden one where there are no others.
fn open(parent: &Path, name: &OsStr) -> io::Result<(File, Standing)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    // Without /proc the file could never be given its name.
    if Path::new("/proc/self/fd").exists() {
        match options.clone().custom_flags(libc::O_TMPFILE).open(parent) {
            Ok(file) => {
                // Now, because a hidden name may be its first one, for a moment. Without a name nobody
                // else can have locked it; where there are no locks, nobody sweeps by them either.
                let _ = file.try_lock();
                return Ok((file, Standing::Unnamed));
            }
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)
                ) => {}
            Err(error) => return Err(error),
        }
    }
    open_hidden(parent, name)
}

fn open_hidden(parent: &Path, name: &OsStr) -> io::Result<(File, Standing)> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..MAX_TRIES {
        let hidden = hidden(name);
        let path = parent.join(&hidden);
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) if is_locked_in_time(&file) => {
                return Ok((file, Standing::Hidden(CString::new(hidden.into_vec())?)));
            }
            Ok(_) => {
                let _ = fs::remove_file(&path); // Gone already is as good.
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Locks a file that has just been created; false if a sweep was faster, and may have removed it.
fn is_locked_in_time(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => file.metadata().is_ok_and(|stat| stat.nlink() > 0),
        Err(TryLockError::WouldBlock) => false,
        // This file system has no locks, so nobody sweeps by them either.
        Err(TryLockError::Error(_)) => true,
    }
}

fn not_creatable(noun: &str, shown: &str, parent: &Path, error: &io::Error) -> Error {
    let (dir, why) = (shown::path(parent), shown::reason(error));
    let what = match error.kind() {
        // Some directories, such as those of /proc, are there and still have no room for a file.
        io::ErrorKind::NotFound if !parent.exists() => {
            Explained::new(format!("cannot create {noun} `{shown}`: no directory `{dir}`"))
                .hint(format!("mkdir -p '{dir}'"))
        }
        io::ErrorKind::NotADirectory => {
            format!("cannot create {noun} `{shown}`: `{dir}` is not a directory").into()
        }
        _ => format!("cannot create {noun} `{shown}` in `{dir}`: {why}").into(),
    };
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput => Error::Rejected(what),
        _ => Error::Refused(what),
    }
}

/// Names a kind of file that is not a regular one.
pub(crate) fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        "a directory"
    } else if found.is_fifo() {
        "a FIFO"
    } else if found.is_socket() {
        "a socket"
    } else if found.is_char_device() {
        "a character device"
    } else if found.is_block_device() {
        "a block device"
    } else {
        "something else"
    }
}

#[cfg(test)]
mod tests;
