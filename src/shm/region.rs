//! The memory of a segment: created, and nameless before anybody else exists that uses it.
//!
//! The only user of `shared_memory`, which leaves much to us: it reserves nothing (the first store
//! into a full `/dev/shm` would be a SIGBUS), it unlinks only in `Drop` (any abnormal end leaks the
//! name), and it keeps its descriptor to itself. So: create under a random name, open a second
//! descriptor, unlink, and only then reserve what is to be used, and start ranks, which inherit the
//! descriptor. A launcher killed between create and unlink leaves a name behind, in a window of
//! microseconds; the next run sweeps it ([`super::sweep`]).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::Backing;
use super::sweep::{prefix, sweep};
use crate::error::Error;
use crate::host::leftover::effective_uid;
use crate::host::map::{Access, Window};
use crate::host::signals::undisturbed;

/// The memory of a segment, as its creator holds it: zeroes, until somebody writes there.
pub(crate) struct Region {
    memory: Memory,
    file: File,
    len: usize,
    backing: Backing,
    number: u64,
}

enum Memory {
    Named(Shmem),
    Anonymous(Window),
}

// SAFETY: the pointers inside are to shared mappings that are not tied to a thread; everything
// reached through them is atomics, or raw bytes handled under I3.
#[expect(unsafe_code, reason = "Shmem holds raw pointers")]
unsafe impl Send for Region {}
// SAFETY: as above; no method hands out mutable access by shared reference.
#[expect(unsafe_code, reason = "Shmem holds raw pointers")]
unsafe impl Sync for Region {}

impl std::fmt::Debug for Region {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { len, backing, number, .. } = self;
        write!(to, "Region {{ number: {number}, {len} bytes, {backing:?} }}")
    }
}

impl Region {
    /// Makes so many bytes of memory that can be shared, with no name left. None of it is reserved.
    pub(super) fn create(len: usize, backing: Backing) -> Result<Self, Refused> {
        let (memory, file) = match backing {
            Backing::Shm => named(len)?,
            Backing::Memfd => anonymous(len).map_err(Refused::Machine)?,
        };
        /// How many there were in this process.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed); // Distinct is all that it has to be.
        Ok(Self { memory, file, len, backing, number })
    }

    pub(super) fn base(&self) -> *mut u8 {
        match &self.memory {
            Memory::Named(memory) => memory.as_ptr(),
            Memory::Anonymous(window) => window.as_ptr(),
        }
    }

    /// Returns the descriptor ranks get.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Says whether it is so many bytes.
    pub(super) fn has(&self, len: usize) -> bool {
        self.len == len
    }

    pub(crate) fn backing(&self) -> Backing {
        self.backing
    }

    /// Returns what tells it from all others that this process has made.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// Why there is no region.
pub(super) enum Refused {
    /// The machine says no.
    Machine(io::Error),
    /// No name was free.
    Names,
}

impl Refused {
    /// Returns the error of a run.
    pub(super) fn told(self, explained: impl FnOnce(&io::Error) -> Error) -> Error {
        match self {
            Self::Machine(error) => explained(&error),
            Self::Names => Error::refused("no usable shared memory name after 8 attempts"),
        }
    }
}

fn named(len: usize) -> Result<(Memory, File), Refused> {
    sweep();
    for _ in 0..8 {
        let name = random_name().map_err(Refused::Machine)?;
        // A signal that ends this process would leave the name behind.
        if let Some((memory, file)) = undisturbed(|| under(&name, len)).map_err(Refused::Machine)? {
            return Ok((Memory::Named(memory), file));
        }
    }
    Err(Refused::Names)
}

/// Creates memory under a name and removes the name; `None` if another one has to be tried.
fn under(name: &str, len: usize) -> io::Result<Option<(Shmem, File)>> {
    let mut memory = match ShmemConf::new().os_id(name).size(len).create() {
        Ok(memory) => memory,
        Err(ShmemError::MappingIdExists) => return Ok(None),
        Err(error) => return Err(with_errno(error)),
    };
    let reopened = reopen(name).and_then(|file| {
        check_is_ours(&file, len)?;
        // Refused while a sweep is looking at it, which is about to remove the name.
        file.try_lock().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(file)
    });
    unlink(name);
    memory.set_owner(false); // A later Drop must not unlink a name we no longer hold.
    match reopened {
        Ok(file) => Ok(Some((memory, file))),
        // A sweep by another run was faster; nothing is lost but the name.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[expect(unsafe_code, reason = "memfd_create")]
fn anonymous(len: usize) -> io::Result<(Memory, File)> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: a C string.
    let fd = unsafe { libc::memfd_create(c"spmd".as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just returned to us alone.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(len as u64)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: no memory is involved. Nobody can shrink it under the ranks from now on.
    if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let window = Window::new(file.as_fd(), 0, len, Access::Write)?;
    Ok((Memory::Anonymous(window), file))
}

/// Turns the package's bare number back into an error that says what it means.
fn with_errno(error: ShmemError) -> io::Error {
    match error {
        ShmemError::MapCreateFailed(number)
        | ShmemError::MapOpenFailed(number)
        | ShmemError::UnknownOsError(number) => {
            i32::try_from(number).map_or_else(io::Error::other, io::Error::from_raw_os_error)
        }
        other => io::Error::other(other.to_string()),
    }
}

/// Returns `/spmd-UID-` and 128 random bits: not to be guessed, and recognisable to a sweep.
#[expect(unsafe_code, reason = "getrandom")]
fn random_name() -> io::Result<String> {
    let mut random = [0_u8; 16];
    // SAFETY: as many writable bytes. So few are never returned in part.
    let got = unsafe { libc::getrandom(random.as_mut_ptr().cast(), random.len(), 0) };
    if got != 16 {
        return Err(io::Error::last_os_error());
    }
    Ok(format!("/{}{:032x}", prefix(), u128::from_le_bytes(random)))
}

/// Opens the segment once more: the package keeps its own descriptor to itself.
#[expect(unsafe_code, reason = "shm_open")]
fn reopen(name: &str) -> io::Result<File> {
    let name = std::ffi::CString::new(name).map_err(io::Error::other)?;
    // SAFETY: a C string.
    let fd = unsafe { libc::shm_open(name.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just returned to us alone.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Checks that the name still stands for what we created.
fn check_is_ours(file: &File, len: usize) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let stat = file.metadata()?;
    let ours = stat.is_file()
        && stat.uid() == effective_uid()
        && stat.mode() & 0o077 == 0
        && stat.len() == len as u64;
    if ours { Ok(()) } else { Err(io::Error::other("the segment's name was taken over")) }
}

#[expect(unsafe_code, reason = "shm_unlink")]
fn unlink(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        // SAFETY: a C string. Already gone is as good.
        unsafe { libc::shm_unlink(name.as_ptr()) };
    }
}
