//! System calls on a file before it has its name: reserve its space, give it a name, take it away.
//!
//! All of them work on open descriptors, so they mean the same directory whatever happens to its
//! path meanwhile. Keeps no state.
#![expect(unsafe_code, reason = "std has no linkat, renameat, unlinkat, posix_fallocate, fstatvfs")]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Gives the file behind `fd` the name `name` in `dir`, unless that name is taken.
///
/// Through `/proc`, which every process may do; linking the descriptor itself needs a capability.
pub(crate) fn link_descriptor(fd: BorrowedFd, dir: BorrowedFd, name: &CStr) -> io::Result<()> {
    let source = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    // SAFETY: both paths are valid C strings and `dir` is open for the duration of the call.
    let status = unsafe {
        libc::linkat(
            libc::AT_FDCWD,
            source.as_ptr(),
            dir.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_FOLLOW,
        )
    };
    check(status)
}

/// Renames `from` to `to` within `dir`, in one step that replaces what `to` was.
pub(crate) fn rename_within(dir: BorrowedFd, from: &CStr, to: &CStr) -> io::Result<()> {
    let dir = dir.as_raw_fd();
    // SAFETY: both names are valid C strings and `dir` is open for the duration of the call.
    let status = unsafe { libc::renameat(dir, from.as_ptr(), dir, to.as_ptr()) };
    check(status)
}

/// Removes the name `name` from `dir`.
pub(crate) fn remove(dir: BorrowedFd, name: &CStr) -> io::Result<()> {
    // SAFETY: `name` is a valid C string and `dir` is open for the duration of the call.
    let status = unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), 0) };
    check(status)
}

/// Reserves the first `len` bytes of a file, so that writing them cannot run out of disk.
pub(crate) fn reserve(fd: BorrowedFd, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(()); // The call refuses zero.
    }
    let len = libc::off_t::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    loop {
        // SAFETY: the call takes no pointers, and `fd` is open for its duration.
        match unsafe { libc::posix_fallocate(fd.as_raw_fd(), 0, len) } {
            0 => return Ok(()),
            libc::EINTR => {}
            // The number is returned, not left in errno.
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Bytes of a file system that are not in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free {
    /// For anybody.
    pub(crate) available: u64,
    /// For the superuser too: nothing that is larger fits.
    pub(crate) total: u64,
}

/// Returns how much is free on the file system a file is on.
pub(crate) fn free(fd: BorrowedFd) -> io::Result<Free> {
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `found` has room for what the call writes, and `fd` is open for its duration.
    check(unsafe { libc::fstatvfs(fd.as_raw_fd(), found.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it filled `found`.
    let found = unsafe { found.assume_init() };
    Ok(Free {
        available: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_bfree.saturating_mul(found.f_frsize),
    })
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
