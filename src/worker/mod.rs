//! One rank's life: attach, make its slice ready, then for every pass claim, compute, commit, until the
//! barrier; and exit.
//!
//! ```text
//! mod     the process: descriptors, attachment, how it ends
//! rank    the phases of a run (`crate::phase`)
//! chunk   one leased chunk, from its first block to its commit
//! crew    orders of a launcher that runs more than one world
//! memory  what a process remembers of the worlds before
//! crash   the last words after a memory fault
//! inject  faults on purpose
//! instruments  what looks on while passes are timed: `watch`, for what disturbs them; `meter`, for what the
//!         processor counts
//! calibrate/  what is measured in place of computing: `spmd bench`
//! ```
//!
//! A rank prints nothing. What it has to say it writes into its slot of the segment, where the
//! launcher finds it also after a `kill -9`.

mod calibrate;
mod chunk;
mod crash;
mod crew;
mod inject;
mod instruments;
mod memory;
mod meter;
mod own;
mod pace;
mod pages;
mod rank;
mod tally;
mod watch;
mod windows;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use self::memory::Memory;
use self::rank::Rank;
use crate::host::line::{Order, SegmentAt};
use crate::host::procs;
use crate::job::{INPUT_FD, RESULT_FD, SEGMENT_FD};
use crate::kernel::{Catalog, Kernel, KernelError};
use crate::panics::caught;
use crate::shm::{Aborted, Attached, Fault, Release, Stage};

/// Tells a rank apart from everything else this program can be: `PARENT_PID` for a rank of one world,
/// `PARENT_PID:FAULT` for one that is to meet an injected fault before it has attached, and
/// `PARENT_PID:crew` for one that waits for orders.
pub(crate) const MARK: &str = "SPMD_WORKER";
/// What follows the pid in the mark of a rank that waits for orders.
pub(crate) const IN_CREW: &str = "crew";
/// Where a rank finds its number.
pub(crate) const RANK: &str = "SPMD_RANK";

/// How a rank ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its work is done.
    Done,
    /// Somebody else's fault, or decision, ended it.
    Stopped,
    /// It has met a fault, and told of it in its slot.
    Faulty,
}

impl End {
    /// Returns the exit status, or what is answered in its place.
    fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Stopped | Self::Faulty => 1,
        }
    }
}

/// Runs this process's rank and exits, if it is one; returns otherwise.
///
/// First thing in `main`: before the command line is parsed, before anything is allocated.
pub(crate) fn enter_if_rank(tables: &[&[&'static dyn Kernel]]) {
    let Some(mark) = std::env::var_os(MARK) else { return };
    let status = match live(&mark, &Catalog::new(tables)) {
        Ok(end) => end.status(),
        Err(error) => {
            // Counts the segment is attached stderr is all there is.
            use std::io::Write;
            let _ = writeln!(io::stderr(), "spmd: error: a rank could not start: {error}");
            125
        }
    };
    std::process::exit(status.into());
}

fn live(mark: &std::ffi::OsStr, catalog: &Catalog) -> io::Result<End> {
    forget_mark();
    crate::log::start_if_asked();
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let mark = mark.to_str().unwrap_or_default();
    let (parent, part) = mark.split_once(':').map_or((mark, None), |(pid, part)| (pid, Some(part)));
    let parent = number(Some(parent)).ok_or_else(|| io::Error::other("SPMD_WORKER is no pid"))?;
    let rank = number(std::env::var(RANK).ok().as_deref())
        .ok_or_else(|| io::Error::other("SPMD_RANK is no number"))?;
    if !procs::die_with(parent) {
        return Ok(End::Stopped); // The launcher is gone: nobody waits for us.
    }
    procs::no_core_dumps();
    if part == Some(IN_CREW) {
        return crew::serve(rank, catalog);
    }
    if let Some(Ok(fault)) = part.map(str::parse) {
        inject::strike(fault);
    }
    let order = inherited_order()?;
    procs::close_from(RESULT_FD as u32 + 1);
    let Some(segment) = order.segment.file() else {
        return Err(io::Error::other("the order came without a segment"));
    };
    let attached = Attached::new(segment.as_fd())?;
    take_part(rank, &attached, &order, &mut Memory::default(), catalog)
}

/// Does a rank's part of one world.
fn take_part(
    rank: u32,
    attached: &Attached,
    order: &Order<OwnedFd>,
    memory: &mut Memory,
    catalog: &Catalog,
) -> io::Result<End> {
    let control = attached.control();
    let slot = control
        .ranks()
        .get(rank as usize)
        .ok_or_else(|| io::Error::other("SPMD_RANK is beyond the world"))?;
    slot.set_stage(Stage::Attached);
    slot.pid.store(std::process::id(), Release); // Pairs with Acquire in the supervisor [pid].
    let _last_words = crash::LastWords::go_to(slot);
    let rank = Rank::new(rank, control, slot);

    // Kernels are called all over this, so a panic is most likely one's; either way it is told.
    let run = caught(|| rank.run(attached, order, memory, catalog));
    let run = run.unwrap_or_else(|said| Err(Stop::Fault(Fault::Panic, None, said)));
    let end = match run {
        Ok(()) => End::Done,
        Err(Stop::Aborted) => End::Stopped,
        Err(Stop::Fault(fault, index, text)) => {
            rank.report(fault, index, &text);
            return Ok(End::Faulty); // Its stage stays: it says what it was doing.
        }
    };
    slot.set_stage(Stage::Done);
    Ok(end)
}

/// Removes the mark from the environment: a program that a kernel starts is not a rank.
#[expect(unsafe_code, reason = "changes the environment")]
fn forget_mark() {
    // SAFETY: a rank's first act; no other thread exists that could read the environment.
    unsafe { std::env::remove_var(MARK) };
}

/// Takes over what the launcher placed at fixed numbers. Input and result are the segment once more when
/// there is no such file.
#[expect(unsafe_code, reason = "takes over inherited descriptors")]
fn inherited_order() -> io::Result<Order<OwnedFd>> {
    // SAFETY: a rank's first act; nothing else in this process owns these numbers.
    let take = |number| unsafe { procs::inherited(number) };
    let segment = take(SEGMENT_FD)?;
    let segment = SegmentAt::Once(segment);
    Ok(Order { segment, input: Some(take(INPUT_FD)?), result: Some(take(RESULT_FD)?) })
}

/// Why a rank gives up.
enum Stop {
    /// Someone else decided.
    Aborted,
    /// This rank found a fault.
    Fault(Fault, Option<u64>, String),
}

impl From<Aborted> for Stop {
    fn from(_: Aborted) -> Self {
        Self::Aborted
    }
}

impl From<KernelError> for Stop {
    fn from(error: KernelError) -> Self {
        Self::Fault(Fault::Kernel, error.index, error.message)
    }
}

fn internal(what: &str) -> impl Fn(io::Error) -> Stop + '_ {
    move |error| Stop::Fault(Fault::Internal, None, format!("{what}: {error}"))
}

fn machine(what: &str) -> impl Fn(io::Error) -> Stop + '_ {
    move |error| Stop::Fault(Fault::Machine, None, format!("{what}: {error}"))
}
