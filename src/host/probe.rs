//! Whether the system calls that a run needs work here, found out by calling each once.
//!
//! A filter in a container refuses calls that the kernel has; only trying tells. Nothing is changed by it.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::map::{Access, Populated, Window};
use super::{affinity, clock, link, map, procs};

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `pidfd_open`: the launcher learns by it that a rank is gone.
    Pidfd,
    /// `memfd_create`, for `--backing memfd`.
    Memfd,
    /// A file in `/dev/shm`, for `--backing shm`.
    DevShm,
    /// `sched_setaffinity`: ranks are pinned by it.
    Affinity,
    /// `madvise(MADV_POPULATE_WRITE)`: each rank makes its own pages present.
    Populate,
    /// `mbind`. Ranks place pages by touching them first; spmd itself never calls it.
    Mbind,
}

impl Call {
    pub(crate) const ALL: [Self; 6] =
        [Self::Pidfd, Self::Memfd, Self::DevShm, Self::Affinity, Self::Populate, Self::Mbind];

    /// Tries it.
    pub(crate) fn works(self) -> io::Result<()> {
        match self {
            Self::Pidfd => procs::pidfd_open(std::process::id().cast_signed()).map(drop),
            Self::Memfd => memory(4096).map(drop),
            Self::DevShm => OpenOptions::new()
                .write(true)
                .custom_flags(libc::O_TMPFILE)
                .mode(0o600)
                .open("/dev/shm")
                .map(drop),
            // The mask it has already.
            Self::Affinity => affinity::allowed().and_then(|cpus| affinity::confine(&cpus)),
            Self::Populate => populate(),
            Self::Mbind => mbind(),
        }
    }
}

/// A page or more of memory without a name.
#[expect(unsafe_code, reason = "memfd_create")]
fn memory(bytes: u64) -> io::Result<OwnedFd> {
    // SAFETY: a C string; the descriptor that comes back is nobody else's.
    let fd = owned(unsafe {
        libc::syscall(libc::SYS_memfd_create, c"spmd-probe".as_ptr(), libc::MFD_CLOEXEC)
    })?;
    link::reserve(fd.as_fd(), bytes)?;
    Ok(fd)
}

fn populate() -> io::Result<()> {
    let memory = memory(4096)?;
    let window = Window::new(memory.as_fd(), 0, 4096, Access::Write)?;
    #[expect(unsafe_code, reason = "populates a page of this function's own")]
    // SAFETY: the whole of one writable mapping, which lives until the call is over.
    let done = unsafe { map::populate(window.as_ptr(), window.len()) };
    match done? {
        Populated::Yes => Ok(()),
        Populated::Unsupported => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

fn mbind() -> io::Result<()> {
    const DEFAULT: libc::c_long = 0; // MPOL_DEFAULT: what the page has anyway.
    let memory = memory(4096)?;
    let window = Window::new(memory.as_fd(), 0, 4096, Access::Write)?;
    let (at, none) = (window.as_ptr(), std::ptr::null::<libc::c_ulong>());
    #[expect(unsafe_code, reason = "mbind")]
    // SAFETY: the whole of one mapping, which lives until the call is over; no mask is read.
    let done = unsafe { libc::syscall(libc::SYS_mbind, at, window.len(), DEFAULT, none, 0, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(unsafe_code, reason = "takes a descriptor the kernel has just made")]
fn owned(made: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(made) {
        // SAFETY: a descriptor nobody else has.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the least step between two readings of the clock that runs are timed with, of many.
pub(crate) fn clock_step() -> Duration {
    let step = || {
        let begun = clock::now_ns();
        // A clock that stands still is no reason to wait for ever.
        (0..1_000_000).map(|_| clock::now_ns() - begun).find(|&step| step > 0)
    };
    let least = (0..1000).map_while(|_| step()).min();
    least.map_or(Duration::MAX, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_every_run_of_these_tests_needs_work() {
        for call in [Call::Pidfd, Call::Memfd, Call::DevShm, Call::Affinity] {
            call.works().unwrap_or_else(|error| panic!("{call:?}: {error}"));
        }
        let before = affinity::allowed().unwrap();
        for call in Call::ALL {
            let _ = call.works(); // What it came to is another machine's business.
        }
        assert_eq!(affinity::allowed().unwrap(), before);
        assert!(clock_step() > Duration::ZERO);
    }
}
