//! The shared memory segment: created, reserved, and nameless before the first rank exists.
//!
//! The only user of `shared_memory`, which leaves much to us: it reserves nothing (the first store
//! into a full `/dev/shm` would be a SIGBUS), it unlinks only in `Drop` (any abnormal end leaks the
//! name), and it keeps its descriptor to itself. So: create under a random name, open a second
//! descriptor, reserve the bookkeeping, unlink, and only then start ranks, which inherit the
//! descriptor. A launcher killed between create and unlink leaves a name behind, in a window of
//! microseconds; the next run sweeps it ([`super::sweep`]).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};

use serde::{Deserialize, Serialize};
use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::control::Control;
use super::layout::Layout;
use super::lock::Lock;
use super::sweep::{prefix, sweep};
use crate::error::{Error, Explained};
use crate::host::leftover::effective_uid;
use crate::host::limits;
use crate::host::map::{self, Access, Window};
use crate::host::signals::undisturbed;
use crate::schedule::Partition;

/// What holds the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Backing {
    /// POSIX shared memory; bounded by the size of `/dev/shm`.
    Shm,
    /// An anonymous file; bounded by memory only.
    Memfd,
}

/// A segment, as its creator holds it.
pub(crate) struct Segment {
    memory: Memory,
    file: File,
    layout: Layout,
    /// The words that say what is finished, where they lie in a file.
    words: Option<Window>,
}

enum Memory {
    Named(Shmem),
    Anonymous(Window),
}

// SAFETY: the pointers inside are to shared mappings that are not tied to a thread; everything
// reached through them is atomics, or raw bytes handled under I3.
#[expect(unsafe_code, reason = "Shmem holds raw pointers")]
unsafe impl Send for Segment {}
// SAFETY: as above; no method hands out mutable access by shared reference.
#[expect(unsafe_code, reason = "Shmem holds raw pointers")]
unsafe impl Sync for Segment {}

/// Where the ranks are that will use a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seats<'a> {
    /// Each rank's CPU; `None`: not pinned.
    pub(crate) pins: &'a [Option<u32>],
    /// Each rank's NUMA node.
    pub(crate) nodes: &'a [u32],
    /// How many consecutive ranks are near one another.
    pub(crate) neighbours: u32,
}

impl Segment {
    /// Creates a segment of this layout, with no name left and the bookkeeping reserved. With `words`
    /// what is finished is written there.
    pub(crate) fn create(
        layout: Layout,
        backing: Backing,
        job: &[u8],
        partition: &Partition,
        seats: &Seats<'_>,
        words: Option<Window>,
    ) -> Result<Self, Error> {
        check_room(&layout, backing)?;
        if words.as_ref().is_some_and(|words| words.len() < layout.words().len) {
            return Err(Error::refused("there is no room for the claim words in their file"));
        }
        let mut segment = match backing {
            Backing::Shm => Self::named(layout)?,
            Backing::Memfd => Self::anonymous(layout).map_err(|e| cannot_create(&layout, &e))?,
        };
        segment.words = words;
        segment.reserve_control()?;
        let control = segment.control();
        control.header().write(&layout.dims, layout.total);
        Lock::initialise(control.header()).map_err(|e| cannot_create(&layout, &e))?;
        control.barrier().group(layout.dims.procs, seats.neighbours);
        control.claims().begin(partition, seats.nodes);
        for (rank, &cpu) in control.ranks().iter().zip(seats.pins) {
            rank.prepare(cpu);
        }
        control.write_job(job);
        Ok(segment)
    }

    /// Declares everything written; ranks may be started from now on.
    pub(crate) fn publish(&self) {
        self.control().header().publish();
    }

    fn named(layout: Layout) -> Result<Self, Error> {
        sweep();
        for _ in 0..8 {
            let name = random_name().map_err(|e| cannot_create(&layout, &e))?;
            // A signal that ends this process would leave the name behind.
            if let Some(segment) = undisturbed(|| Self::under(&name, layout))? {
                return Ok(segment);
            }
        }
        Err(Error::refused("no usable shared memory name after 8 attempts"))
    }

    /// Creates a segment under a name and removes the name; `None` if another one has to be tried.
    fn under(name: &str, layout: Layout) -> Result<Option<Self>, Error> {
        let mut memory = match ShmemConf::new().os_id(name).size(layout.total).create() {
            Ok(memory) => memory,
            Err(ShmemError::MappingIdExists) => return Ok(None),
            Err(error) => return Err(cannot_create(&layout, &with_errno(error))),
        };
        let reopened = reopen(name).and_then(|file| {
            check_is_ours(&file, layout.total)?;
            // Refused while a sweep is looking at it, which is about to remove the name.
            file.try_lock().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
            Ok(file)
        });
        unlink(name);
        memory.set_owner(false); // A later Drop must not unlink a name we no longer hold.
        match reopened {
            Ok(file) => Ok(Some(Self { memory: Memory::Named(memory), file, layout, words: None })),
            // A sweep by another run was faster; nothing is lost but the name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot_create(&layout, &error)),
        }
    }

    #[expect(unsafe_code, reason = "memfd_create")]
    fn anonymous(layout: Layout) -> io::Result<Self> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: a C string.
        let fd = unsafe { libc::memfd_create(c"spmd".as_ptr(), flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just returned to us alone.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(layout.total as u64)?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: no memory is involved. Nobody can shrink it under the ranks from now on.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let window = Window::new(file.as_fd(), 0, layout.total, Access::Write)?;
        Ok(Self { memory: Memory::Anonymous(window), file, layout, words: None })
    }

    fn base(&self) -> *mut u8 {
        match &self.memory {
            Memory::Named(memory) => memory.as_ptr(),
            Memory::Anonymous(window) => window.as_ptr(),
        }
    }

    /// Returns the descriptor ranks inherit.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    #[expect(unsafe_code, reason = "references into the segment")]
    pub(crate) fn control(&self) -> Control<'_> {
        // SAFETY: the whole segment is mapped for as long as `self` lives.
        let control = unsafe { Control::new(self.base(), self.layout) };
        // `create` has seen that they fit.
        self.words.as_ref().and_then(|words| control.with_words(words).ok()).unwrap_or(control)
    }

    /// Returns where the input array lies; nobody else maps it before [`Segment::publish`].
    pub(crate) fn source(&self) -> *mut u8 {
        self.base().wrapping_add(self.layout.source.offset)
    }

    /// Returns where the result array lies.
    pub(crate) fn result(&self) -> *mut u8 {
        self.base().wrapping_add(self.layout.result.offset)
    }

    /// Reserves the pages of the bookkeeping, and makes them present here in one step.
    #[expect(unsafe_code, reason = "populates the bookkeeping")]
    fn reserve_control(&self) -> Result<(), Error> {
        let used = self.layout.used();
        // SAFETY: they are the first bytes of the segment's one mapping.
        match unsafe { map::populate(self.base(), used) } {
            Ok(map::Populated::Yes) => Ok(()),
            // Where there is no room, this says why better than a bad address does.
            Ok(map::Populated::Unsupported) | Err(_) => {
                crate::host::link::reserve(self.file.as_fd(), used as u64)
                    .map_err(|e| cannot_create(&self.layout, &e))
            }
        }
    }

    /// Reserves the input array's pages, so that writing them cannot fail.
    #[expect(unsafe_code, reason = "populates the source")]
    pub(crate) fn reserve_source(&self) -> Result<(), Error> {
        // SAFETY: the span lies in the segment's one mapping.
        let done = unsafe { map::populate(self.source(), self.layout.source.len) };
        match done {
            Ok(map::Populated::Yes) => Ok(()),
            Ok(map::Populated::Unsupported) => {
                crate::host::link::reserve(self.file.as_fd(), self.layout.total as u64)
                    .map_err(|e| cannot_create(&self.layout, &e))
            }
            Err(error) => Err(cannot_create(&self.layout, &error)),
        }
    }

    /// Reserves all pages at once, where ranks cannot do it each for its own part.
    #[expect(unsafe_code, reason = "asks whether madvise can populate")]
    pub(crate) fn reserve_unless_ranks_can(&self) -> Result<(), Error> {
        // SAFETY: the first page lies in the segment's one mapping.
        let probe = unsafe { map::populate(self.base(), 1) };
        if matches!(probe, Ok(map::Populated::Unsupported)) {
            crate::host::link::reserve(self.file.as_fd(), self.layout.total as u64)
                .map_err(|e| cannot_create(&self.layout, &e))?;
        }
        Ok(())
    }
}

/// Refuses what cannot fit before anything is created: a clear message instead of a late SIGBUS.
fn check_room(layout: &Layout, backing: Backing) -> Result<(), Error> {
    let need = layout.total as u64;
    if backing == Backing::Shm {
        match limits::free_bytes(c"/dev/shm") {
            Some(free) if free < need => {
                return Err(Error::refused(
                    Explained::new(format!(
                        "need {} of shared memory, /dev/shm has {} free",
                        limits::bytes(need),
                        limits::bytes(free)
                    ))
                    .hint("--backing memfd, or mount it larger (docker: --shm-size)"),
                ));
            }
            _ => {}
        }
    }
    // Asking costs a tenth of a small run; a machine without this much cannot run anything.
    const SMALL: u64 = 16 << 20;
    let available = if need > SMALL { limits::available_memory() } else { None };
    match available {
        Some(available) if available < need => Err(Error::refused(
            Explained::new(format!(
                "need {} of memory, this machine has {} available",
                limits::bytes(need),
                limits::bytes(available)
            ))
            .hint("a smaller --size, a smaller --dtype, or an --output file, which holds the result itself"),
        )),
        _ => Ok(()),
    }
}

fn cannot_create(layout: &Layout, error: &io::Error) -> Error {
    let size = limits::bytes(layout.total as u64);
    let what = format!("cannot create a shared memory segment of {size}: {error}");
    Error::refused(match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EFAULT) => {
            Explained::new(what).hint("--backing memfd, or more room in /dev/shm")
        }
        Some(libc::ENOMEM) => Explained::new(what)
            .hint("a smaller problem; is there a limit on address space (ulimit -v)?"),
        Some(libc::ENOENT | libc::EACCES | libc::ENOSYS) => {
            Explained::new(what).hint("--backing memfd needs no /dev/shm")
        }
        _ => Explained::new(what),
    })
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
