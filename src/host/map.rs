//! Windows into files and segments: the only user of `memmap2`.
//!
//! Raw windows only, never slices: memory that another process may write must not be promised to
//! anybody as `&[u8]`. Lengths are compared with the file's own, because a mapping longer than its
//! file is accepted and then kills whoever touches the end.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

/// The size of a huge page, and what its address and its offset in the file are multiples of.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// A mapped run of bytes of a file or segment; empty ones map nothing.
#[derive(Debug)]
pub(crate) struct Window {
    /// The mapping it is all, or a part, of.
    map: Option<Arc<MmapRaw>>,
    /// Where in the mapping it begins.
    offset: usize,
    len: usize,
}

/// What the window is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading; a store through it is a fault.
    Read,
    /// Reading and writing, shared with everyone who maps the same bytes.
    Write,
}

impl Window {
    /// Maps `len` bytes from `offset` on.
    pub(crate) fn new(
        fd: BorrowedFd<'_>,
        offset: usize,
        len: usize,
        access: Access,
    ) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::none()); // mmap refuses length 0.
        }
        let (need, size) = ((offset as u64).saturating_add(len as u64), file_len(fd)?);
        if need > size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{need} bytes are to be mapped, the file has {size}"),
            ));
        }
        let mut options = MmapOptions::new();
        options.offset(offset as u64).len(len);
        let map = match access {
            Access::Read => options.map_raw_read_only(fd.as_raw_fd())?,
            Access::Write => options.map_raw(fd.as_raw_fd())?,
        };
        Ok(Self { map: Some(Arc::new(map)), offset: 0, len })
    }

    /// Maps the first `len` bytes where a huge page may begin: huge pages are for mappings in which addresses and
    /// offsets are the same multiples of their size. Elsewhere if there is no such place.
    pub(crate) fn for_huge_pages(
        fd: BorrowedFd<'_>,
        len: usize,
        access: Access,
    ) -> io::Result<Self> {
        if len > 0
            && len as u64 <= file_len(fd)?
            && let Ok(window) = Self::at_huge_page(fd, len, access)
        {
            return Ok(window);
        }
        Self::new(fd, 0, len, access)
    }

    /// Reserves addresses, and maps the first `len` bytes, which the file has, over those from where a huge page may
    /// begin.
    ///
    /// All of them go with the reservation in the end; what was not mapped over is never touched, so there is
    /// no memory behind it.
    #[expect(unsafe_code, reason = "mmap over a mapping of our own, which memmap2 cannot")]
    fn at_huge_page(fd: BorrowedFd<'_>, len: usize, access: Access) -> io::Result<Self> {
        let room =
            len.checked_add(HUGE_PAGE).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        let reserved = MmapRaw::from(MmapOptions::new().len(room).no_reserve_swap().map_anon()?);
        let start = reserved.as_mut_ptr();
        let offset = start.addr().next_multiple_of(HUGE_PAGE) - start.addr();
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::Write => libc::PROT_READ | libc::PROT_WRITE,
        };
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let at = start.wrapping_add(offset).cast();
        // SAFETY: `offset` is less than a huge page, so all of it lies in the reservation, which nobody else knows.
        let mapped = unsafe { libc::mmap(at, len, protection, flags, fd.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { map: Some(Arc::new(reserved)), offset, len })
    }

    /// Maps `len` bytes of this process's own memory, which are 0.
    pub(crate) fn own(len: usize) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::none());
        }
        let map = MmapOptions::new().len(len).map_anon()?;
        Ok(Self { map: Some(Arc::new(map.into())), offset: 0, len })
    }

    /// Returns how many bytes it shows.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns a window onto nothing.
    pub(crate) fn none() -> Self {
        Self { map: None, offset: 0, len: 0 }
    }

    /// Returns a window onto a part of this one's mapping, which stays as long as any part does; an error if
    /// it has no such part.
    pub(crate) fn part(&self, offset: usize, len: usize) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::none());
        }
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(io::Error::other("the window has no such part"));
        }
        Ok(Self { map: self.map.clone(), offset: self.offset + offset, len })
    }

    /// Returns the address of the first byte; dangling, and aligned, if the window is empty.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.map.as_ref().map_or(std::ptr::without_provenance_mut(1 << 16), |map| {
            map.as_ptr().cast_mut().wrapping_add(self.offset)
        })
    }
}

/// Reads the first `len` bytes of a file to `to`; fewer are an error.
///
/// # Safety
/// `to` points at that many writable bytes that nobody else uses.
#[expect(unsafe_code, reason = "pread on a descriptor that is only borrowed")]
pub(crate) unsafe fn read_start(fd: BorrowedFd<'_>, to: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let read = unsafe { libc::pread(fd.as_raw_fd(), to.cast(), len, 0) };
    match usize::try_from(read) {
        Ok(read) if read == len => Ok(()),
        Ok(read) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{len} bytes are to be read, the file has {read}"),
        )),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Returns the length of an open file.
#[expect(unsafe_code, reason = "fstat on a descriptor that is only borrowed")]
pub(crate) fn file_len(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: writable memory of its type.
    if unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, then filled in.
    let stat = unsafe { stat.assume_init() };
    u64::try_from(stat.st_size).map_err(io::Error::other)
}

/// What came of asking for pages ahead of their first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Populated {
    /// They are there.
    Yes,
    /// This kernel cannot populate (before Linux 5.14).
    Unsupported,
}

/// Returns the size of this machine's pages.
#[expect(unsafe_code, reason = "sysconf")]
fn page_size() -> usize {
    // SAFETY: no memory is involved.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Makes the pages of `len` bytes at `at` present and writable: the first touch, by this process.
///
/// An error says that the machine has no memory, or no room in `/dev/shm` or on the disk, for
/// them; without this the first store there would kill the process with SIGBUS.
///
/// # Safety
/// The bytes must lie in one shared, writable mapping of this process.
#[expect(unsafe_code, reason = "madvise")]
pub(crate) unsafe fn populate(at: *mut u8, len: usize) -> io::Result<Populated> {
    if len == 0 {
        return Ok(Populated::Yes);
    }
    let offset = at.addr() % page_size();
    loop {
        // SAFETY: the caller's promise; rounding down stays in the mapping, which begins on a page.
        let done = unsafe {
            libc::madvise(at.wrapping_sub(offset).cast(), len + offset, libc::MADV_POPULATE_WRITE)
        };
        if done == 0 {
            return Ok(Populated::Yes);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EINVAL) => return Ok(Populated::Unsupported),
            _ => return Err(error),
        }
    }
}

#[cfg(all(test, not(spmd_loom)))]
pub(crate) mod tests {
    use std::fs::File;
    use std::os::fd::{AsFd, FromRawFd};

    use super::*;

    /// A nameless file in memory.
    #[expect(unsafe_code, reason = "memfd_create")]
    pub(crate) fn shared(len: usize) -> File {
        // SAFETY: a C string.
        let fd = unsafe { libc::memfd_create(c"spmd-test".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: just returned to us alone.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(len as u64).unwrap();
        file
    }

    #[test]
    #[expect(unsafe_code, reason = "reads and writes windows of the test's own")]
    fn a_window_for_huge_pages_begins_with_one_and_shows_the_file() {
        let file = shared(HUGE_PAGE + 5000);
        for len in [1, 4096, HUGE_PAGE + 5000] {
            let window = Window::for_huge_pages(file.as_fd(), len, Access::Write).unwrap();
            assert_eq!((window.as_ptr().addr() % HUGE_PAGE, window.len()), (0, len));
            let other = Window::new(file.as_fd(), 0, len, Access::Write).unwrap();
            let last = |window: &Window| window.as_ptr().wrapping_add(len - 1);
            // SAFETY: the last byte of this window.
            unsafe { last(&window).write(7) };
            // SAFETY: the last byte of the other one.
            assert_eq!(unsafe { last(&other).read() }, 7);
        }
        let beyond = Window::for_huge_pages(file.as_fd(), HUGE_PAGE + 5001, Access::Write);
        assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let nothing = Window::for_huge_pages(file.as_fd(), 0, Access::Write).unwrap();
        assert_eq!(nothing.len(), 0);
    }
}
