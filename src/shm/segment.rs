//! The shared memory segment: a region of memory, laid out, reserved and furnished for one world.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::control::Control;
use super::layout::{Layout, Span};
use super::lock::Lock;
use super::region::Region;
use crate::error::{Error, Explained};
use crate::host::limits;
use crate::host::map::{self, Window};
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
    region: Arc<Region>,
    layout: Layout,
    /// The words that say what is finished, where they lie in a file.
    words: Option<Window>,
}

/// What is written into a segment before anybody may read it.
pub(crate) struct Contents<'a> {
    /// The job's description.
    pub(crate) job: &'a [u8],
    pub(crate) partition: &'a Partition,
    pub(crate) seats: Seats<'a>,
    /// Where what is finished is written down, if that is a file.
    pub(crate) words: Option<Window>,
}

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
    /// Creates a segment of this layout, with no name left and the bookkeeping reserved.
    pub(crate) fn create(
        layout: Layout,
        backing: Backing,
        contents: Contents<'_>,
    ) -> Result<Self, Error> {
        check_room(&layout, backing)?;
        let region = Region::create(layout.total, backing)
            .map_err(|refused| refused.told(|error| cannot_create(&layout, error)))?;
        Self::furnish(region, layout, contents)
    }

    /// Lays out a segment where another one of this layout was, whose world is over: every rank has left it, or
    /// has been seen to end.
    #[expect(unsafe_code, reason = "clears the region")]
    pub(crate) fn again(
        region: Region,
        layout: Layout,
        contents: Contents<'_>,
    ) -> Result<Self, Error> {
        if !region.has(layout.total) {
            return Err(Error::refused("a region of another size cannot be used again"));
        }
        // Each rank clears its slice of the arrays, as it would have been the first to touch it; inputs are all
        // written anew. What lies between was never written to.
        let bookkeeping = Span { offset: 0, len: layout.used() };
        for Span { offset, len } in [bookkeeping, layout.saved] {
            // SAFETY: the span lies in the region, which is mapped whole, and is nobody else's: it is owned
            // here, and no rank is in it.
            unsafe { region.base().wrapping_add(offset).write_bytes(0, len) };
        }
        let segment = Self::furnish(region, layout, contents)?;
        segment.control().header().note_arrays_used();
        Ok(segment)
    }

    fn furnish(region: Region, layout: Layout, contents: Contents<'_>) -> Result<Self, Error> {
        let Contents { job, partition, seats, words } = contents;
        if words.as_ref().is_some_and(|words| words.len() < layout.words().len) {
            return Err(Error::refused("there is no room for the claim words in their file"));
        }
        let segment = Self { region: Arc::new(region), layout, words };
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

    /// Returns the memory it lies in.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn base(&self) -> *mut u8 {
        self.region.base()
    }

    /// Returns the descriptor ranks get.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.region.fd()
    }

    /// Declares everything written; ranks may be started from now on.
    pub(crate) fn publish(&self) {
        self.control().header().publish();
    }

    #[expect(unsafe_code, reason = "references into the segment")]
    pub(crate) fn control(&self) -> Control<'_> {
        // SAFETY: the whole segment is mapped for as long as `self` lives.
        let control = unsafe { Control::new(self.base(), self.layout) };
        // `furnish` has seen that they fit.
        self.words.as_ref().and_then(|words| control.with_words(words).ok()).unwrap_or(control)
    }

    /// Returns where the input array lies; nobody else looks at it before [`Segment::publish`].
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
                crate::host::link::reserve(self.fd(), used as u64)
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
                crate::host::link::reserve(self.fd(), self.layout.total as u64)
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
            crate::host::link::reserve(self.fd(), self.layout.total as u64)
                .map_err(|e| cannot_create(&self.layout, &e))?;
        }
        Ok(())
    }
}

/// Refuses what cannot fit before anything is created: a clear message instead of a late SIGBUS.
fn check_room(layout: &Layout, backing: Backing) -> Result<(), Error> {
    let need = layout.needed() as u64;
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
    let size = limits::bytes(layout.needed() as u64);
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
