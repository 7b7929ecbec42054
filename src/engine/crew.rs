//! Ranks that stay alive between runs, for whoever runs many: the next run finds them attached to nothing,
//! pinned, with their program loaded, and waiting.
//!
//! # What is kept, and what is not
//!
//! Each run has a world of its own, built as ever: its own segment, input, output, counter, barrier. So no
//! protocol in the segment knows of crews, nothing an earlier run has left can be read, and results have the same
//! bits as those of ranks that were started for one run. What is kept is what costs more to make than to clear:
//! processes, and of small worlds the memory of the segment.
//!
//! # The memory of small worlds
//!
//! To make a segment, map it, fault its pages in and unmap it again, in the launcher and in every rank, is half of
//! what a trial costs beside its work. So a [`Region`] may hold one segment after another of the same layout, one
//! at a time. The launcher keeps it after a run in which nobody has died, so that no process but those that have
//! answered could still write there, and takes it for another run once nothing in this process refers to it: results
//! that somebody still reads stay what they are. It writes the bookkeeping anew, from zeroes; arrays are cleared by
//! the ranks, each its slice, before the first barrier, as they are first touched in a segment that is new. A rank
//! keeps the mapping, and an order calls it by its number; both ends remember the same few (`host/recent.rs`). One
//! that was sent an order for a region it does not know, or whose header says another layout, exits, and is replaced.
//!
//! Ranks of one crew are grouped by where they sit, a [`Company`] for each: the same number of ranks on the
//! same CPUs. A run of another placement gets other processes. The companies used last are kept, so that
//! runs may alternate; a rank without orders sleeps in `recvmsg` and costs a process and its memory.
//!
//! # The protocol
//!
//! Each rank of a crew is born with one end of a socket pair (`host/line.rs`) in place of a world's
//! descriptors. Then, as often as there are runs:
//!
//! ```text
//! launcher                                       rank
//! order: segment, input, result  ──────────────► attaches, does its part of the world
//!   (a segment it has: its number)               closes the descriptors, unmaps what is not kept
//! reads what is in the segment   ◄────────────── answer: one byte, the status a rank of one run exits with
//! ```
//!
//! There is one order on its way, or one answer, and never both; an order that was given is answered once or
//! not at all. The launcher owns the processes and their lines; a world borrows them (`ranks.rs`), and gives
//! back those that have answered. A rank that is asked to end before it has answered is never given back:
//! its answer could cross the signal.
//!
//! A rank goes on to the next order if it did its part, or was told to stop by somebody else's fault. After
//! an error of its own, a kernel's too, and after a panic it exits, as it would have.
//!
//! # Who dies when
//!
//! | When | What follows |
//! |---|---|
//! | between runs; or stopped there | seen when the next run begins; another process takes the seat, and no run has noticed |
//! | order sent, not attached | a death in the world (`deaths.rs`): the rank is started again, as a new process with a new line in the same seat, and told as recovered |
//! | in the world | the same |
//! | answered | it has done its part: as between runs |
//! | the launcher, or the thread that has the crew | ranks are killed with it, as ever, those that other threads have started (`spawners.rs`) with the launcher alone; one that was not would see the end of its line and exit |
//! | the crew is dropped | ranks see the end of their lines and exit; those that do not are killed |
//!
//! # What a process keeps
//!
//! What a kernel leaves in its process is there in the next run: memory that it holds, threads, its current
//! directory. The built-in kernels leave nothing. A thread or a child that goes on writing to an array after its
//! kernel has returned, which no safe code does, would write into the next world's.
//!
//! Each run pins anew, installs the handler of memory faults anew, and counts switches and migrations from its own beginning; the peak of memory is the process's, over
//! all runs. The environment is that of the first run of the company, `SPMD_RUN_ID` too.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::birth::{Birth, enough_descriptors};
use super::process::{self, Process};
use super::spawners::Birthplace;
use super::world::World;
use crate::error::Error;
use crate::host::affinity::CpuSet;
use crate::host::line::Order;
use crate::host::procs::{self, Change};
use crate::plan::Plan;
use crate::shm::{Backing, Layout, Region, Segment};

/// So many placements are kept.
const COMPANIES: usize = 4;
/// So many ranks may wait in companies other than the one at work.
const WAITING: usize = 256;
/// The memory of so many worlds is kept,
const REGIONS: u32 = 8;
/// each no larger than this: whose pages cost more to make than to clear.
const KEPT: usize = 512 << 10;
/// A rank of a crew has two descriptors in its launcher: its pidfd and its line.
pub(crate) const DESCRIPTORS: u64 = 2;

/// Ranks that stay alive between runs. Stays on its thread, with which they die, all or but for many: see above.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    /// The one used last comes first.
    companies: Vec<Company>,
    /// Memory of worlds that are over, and how it was laid out; the latest comes first.
    regions: Vec<(Layout, Arc<Region>)>,
    here: PhantomData<*const ()>,
}

impl Crew {
    /// Returns ranks for this world, all of them alive; `None` if it must have ranks of its own.
    pub(super) fn company(&mut self, world: &World) -> Result<Option<&mut Company>, Error> {
        let plan = &world.plan;
        if !fit_beside_regions(plan.procs()) {
            self.regions.clear();
        }
        // A fault on purpose may be one that only the run it was meant for survives.
        if !plan.job.inject.is_empty() || enough_descriptors(plan.procs(), DESCRIPTORS).is_err() {
            return Ok(None);
        }
        let place = Place::of(plan);
        match self.companies.iter().position(|company| company.place == place) {
            Some(at) => self.companies[..=at].rotate_right(1),
            None => self.companies.insert(0, Company::new(place, plan)),
        }
        self.make_room();
        let Some(company) = self.companies.first_mut() else { return Ok(None) };
        let filled = company.fill();
        if filled.is_err() && self.companies.len() > 1 {
            self.companies.truncate(1); // Those that wait may be what there is no room beside.
            let Some(company) = self.companies.first_mut() else { return Ok(None) };
            company.fill()?;
        } else {
            filled?;
        }
        Ok(self.companies.first_mut())
    }

    /// Returns memory that was laid out like this, and is nobody's now.
    pub(super) fn vacant(&mut self, layout: &Layout, backing: Backing) -> Option<Region> {
        let is_free = |(kept, region): &(Layout, Arc<Region>)| {
            kept == layout && region.backing() == backing && Arc::strong_count(region) == 1
        };
        let at = self.regions.iter().position(is_free)?;
        Arc::into_inner(self.regions.remove(at).1)
    }

    /// Keeps the memory of a world that is over, and in which nobody has died.
    pub(super) fn keep(&mut self, segment: &Segment) {
        if may_be_kept(segment.layout()) && fit_beside_regions(segment.layout().dims.procs) {
            self.regions.insert(0, (*segment.layout(), Arc::clone(segment.region())));
            self.regions.truncate(REGIONS as usize);
        }
    }

    /// Lets the companies go that were not used for longest, while there are too many ranks.
    fn make_room(&mut self) {
        let fits = |companies: &[Company]| {
            let all: usize = companies.iter().map(|company| company.seats.len()).sum();
            let waiting: usize = companies.iter().skip(1).map(|company| company.seats.len()).sum();
            companies.len() <= COMPANIES
                && waiting <= WAITING
                && fit_beside_regions(u32::try_from(all).unwrap_or(u32::MAX))
        };
        while self.companies.len() > 1 && !fits(&self.companies) {
            self.companies.pop();
        }
    }
}

/// Says whether the descriptors of so many ranks, and of all memory that may be kept, can be open at once.
fn fit_beside_regions(procs: u32) -> bool {
    // A region has two, as a rank has.
    enough_descriptors(procs.saturating_add(REGIONS), DESCRIPTORS).is_ok()
}

/// Says whether memory of this layout may serve another world.
pub(super) fn may_be_kept(layout: &Layout) -> bool {
    layout.total <= KEPT
}

/// Where ranks sit: what they cannot change between runs.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    pins: Vec<Option<u32>>,
    /// How many CPUs there are for them, which is in their environment.
    cpus: usize,
    /// The CPUs that one without a pin keeps to.
    confined: Option<CpuSet>,
}

impl Place {
    fn of(plan: &Plan) -> Self {
        let placement = &plan.placement;
        let confined = plan.job.cpus.clone();
        Self { pins: placement.pins.clone(), cpus: placement.cpus, confined }
    }
}

/// The ranks of one placement.
#[derive(Debug)]
pub(super) struct Company {
    place: Place,
    birth: Arc<Birth>,
    /// By the number of the rank. Empty where it is at work, or has died.
    seats: Vec<Option<Process>>,
}

impl Company {
    fn new(place: Place, plan: &Plan) -> Self {
        let seats = (0..plan.procs()).map(|_| None).collect();
        Self { place, birth: Arc::new(Birth::of(plan)), seats }
    }

    /// Puts a living process into every seat.
    fn fill(&mut self) -> Result<(), Error> {
        self.clear()?;
        let empty = (0..).zip(&self.seats).filter(|(_, seat)| seat.is_none());
        let empty: Vec<u32> = empty.map(|(rank, _)| rank).collect();
        let birth = Arc::clone(&self.birth);
        let begin = move |rank| birth.in_crew(rank).map(Process::in_crew);
        let end = |process: &Process| process::end(std::iter::once(process));
        let born = Birthplace { begin, end, cpus: self.place.cpus };
        for (rank, process, spawner) in born.start(&empty, |some| self.birth.cpus(some))? {
            self.seats[rank as usize] = Some(process.with(spawner));
        }
        Ok(())
    }

    /// Empties the seats of ranks that are of no use any more.
    fn clear(&mut self) -> Result<(), Error> {
        let lines = self.seats.iter().flatten().filter_map(Process::line).map(AsFd::as_fd);
        let pidfds = self.seats.iter().flatten().map(|process| process.child.pidfd.as_fd());
        let descriptors: Vec<BorrowedFd<'_>> = lines.chain(pidfds).collect();
        let ready = procs::poll(&descriptors, 0)
            .map_err(|error| Error::refused(format!("cannot watch the ranks: {error}")))?;
        let (lines, pidfds) = ready.split_at(ready.len() / 2);
        // Nobody has anything to say between runs: whoever does is dead, or not right.
        let mut loud = lines.iter().zip(pidfds).map(|(line, pidfd)| *line || *pidfd);
        for seat in &mut self.seats {
            let Some(process) = seat else { continue };
            let stopped = matches!(process.child.change(), Some(Change::Stopped(_)));
            if loud.next() == Some(true) || stopped {
                tracing::debug!("pid {} is replaced between two runs", process.child.pid);
                process::end(std::iter::once(&*process));
                *seat = None;
            }
        }
        Ok(())
    }

    /// Gives the order for this world to a rank, which becomes the caller's.
    pub(super) fn order(
        &mut self,
        rank: u32,
        order: Order<BorrowedFd<'_>>,
    ) -> Result<Process, Error> {
        if let Some(mut process) = self.seats.get_mut(rank as usize).and_then(Option::take) {
            if process.order(order).is_ok() {
                return Ok(process);
            }
            process::end(std::iter::once(&process)); // It has died this very moment.
        }
        let mut process = Process::in_crew(self.birth.in_crew(rank)?);
        match process.order(order) {
            Ok(()) => Ok(process),
            Err(error) => {
                process::end(std::iter::once(&process));
                let what = format!("cannot give rank {rank} its order: {error}");
                Err(Error::refused(what))
            }
        }
    }

    /// Takes back a rank that has answered.
    pub(super) fn take_back(&mut self, rank: u32, process: Process) {
        match self.seats.get_mut(rank as usize) {
            Some(seat @ None) => *seat = Some(process),
            Some(Some(_)) | None => process::end(std::iter::once(&process)),
        }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        process::dismiss(std::mem::take(&mut self.seats).into_iter().flatten().collect());
    }
}
