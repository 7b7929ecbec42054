//! The ranks of a world: who is in which seat, and what became of them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use super::birth::{Birth, enough_descriptors};
use super::crew::Company;
use super::process::{self, Process};
use super::spawners::{Begun, Birthplace};
use super::world::World;
use crate::error::{Error, Explained};
use crate::host::procs::{Child, Ended};
use crate::inject::Action;
use crate::shm::Point;

/// The ranks of a world. Dropped before all have been seen to end, it kills and reaps the rest.
pub(super) struct Ranks<'w> {
    world: &'w World,
    origin: Origin<'w>,
    seats: Vec<Seat>,
}

/// Where processes come from, and where they go.
pub(super) enum Origin<'w> {
    /// Each is started for this world, and exits at its end.
    Started(Arc<Birth>),
    /// They are a crew's, which gets back whoever has answered.
    Lent(&'w mut Company),
}

/// One rank: its latest process, and what became of that.
#[derive(Debug)]
struct Seat {
    process: Process,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// It was sent a signal that ends it: nothing counts any more but that.
    Condemned,
    /// It has answered, and waits for the next world.
    AtRest,
    /// Dead, and to be started again once the barrier it had arrived at has opened.
    Awaiting,
    /// It has ended, and is needed no more.
    Left,
}

impl State {
    fn is_living(self) -> bool {
        matches!(self, Self::Running | Self::Condemned)
    }
}

impl Drop for Ranks<'_> {
    fn drop(&mut self) {
        let living = self.seats.iter().filter(|seat| seat.state.is_living());
        process::end(living.map(|seat| &seat.process));
        let Origin::Lent(company) = &mut self.origin else { return };
        for (rank, seat) in (0..).zip(std::mem::take(&mut self.seats)) {
            if seat.state == State::AtRest {
                company.take_back(rank, seat.process);
            }
        }
    }
}

impl<'w> Ranks<'w> {
    /// Lets every rank of a world begin, or none.
    pub(super) fn start(world: &'w World, lent: Option<&'w mut Company>) -> Result<Self, Error> {
        let procs = world.plan.procs();
        let origin = match lent {
            Some(company) => Origin::Lent(company),
            None => {
                enough_descriptors(procs, 1)?;
                Origin::Started(Arc::new(Birth::of(&world.plan)))
            }
        };
        let mut ranks = Self { world, origin, seats: Vec::with_capacity(procs as usize) };
        match &ranks.origin {
            Origin::Started(birth) => {
                let birth = Arc::clone(birth);
                ranks.seats = ranks.born(&birth)?;
            }
            Origin::Lent(_) => {
                for rank in 0..procs {
                    let process = ranks.begin(rank)?;
                    ranks.seats.push(Seat { process, state: State::Running });
                }
            }
        }
        Ok(ranks)
    }

    /// Starts all ranks, or none.
    fn born(&self, birth: &Arc<Birth>) -> Result<Vec<Seat>, Error> {
        let ranks: Vec<u32> = (0..self.world.plan.procs()).collect();
        let faults: Vec<_> = ranks.iter().map(|rank| self.fault_at_start(*rank)).collect();
        // Once more, as threads that start ranks outlive a look at the world.
        let descriptors = self.world.descriptors().map(|fd| fd.try_clone_to_owned());
        let descriptors: Vec<OwnedFd> =
            descriptors.into_iter().collect::<Result<_, _>>().map_err(|error| {
                let what = Explained::new(format!("cannot hand the segment to ranks: {error}"));
                Error::refused(what.hint("the limit on open files (ulimit -n)"))
            })?;
        let own = Arc::clone(birth);
        let begin = move |rank| {
            let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            let fault = faults.get(rank as usize).copied().flatten();
            own.once(rank, fault, &descriptors).map(Process::once)
        };
        let end = |process: &Process| process::end(std::iter::once(process));
        let cpus = self.world.plan.placement.cpus;
        let begun = Birthplace { begin, end, cpus }.start(&ranks, |some| birth.cpus(some))?;
        let seat = |(_, process, spawner): Begun<Process>| Seat {
            process: process.with(spawner),
            state: State::Running,
        };
        Ok(begun.into_iter().map(seat).collect())
    }

    /// Starts a rank that has died once more.
    pub(super) fn replace(&mut self, rank: u32) -> Result<(), Error> {
        self.world.segment.control().ranks()[rank as usize].renew();
        let process = self.begin(rank)?;
        self.seats[rank as usize] = Seat { process, state: State::Running };
        Ok(())
    }

    /// Lets a process begin with a rank's part of the world.
    fn begin(&mut self, rank: u32) -> Result<Process, Error> {
        let fault = self.fault_at_start(rank);
        match &mut self.origin {
            Origin::Started(birth) => {
                birth.once(rank, fault, &self.world.descriptors()).map(Process::once)
            }
            Origin::Lent(company) => company.order(rank, self.world.order()),
        }
    }

    /// Returns the injected fault that strikes this process before it can read of it in the segment.
    fn fault_at_start(&self, rank: u32) -> Option<Action> {
        let header = self.world.segment.control().header();
        let faults = self.world.plan.job.inject.iter().enumerate();
        let mut meant = faults.filter(|(_, fault)| {
            fault.point == Point::Started && fault.rank.is_none_or(|only| only == rank)
        });
        let (_, fault) = meant.find(|&(number, fault)| header.strike(number, fault.times))?;
        Some(fault.action)
    }

    /// Returns the ranks whose process has not been seen to end, or to be done.
    pub(super) fn living(&self) -> impl Iterator<Item = (u32, &Child)> {
        let numbered = (0..).zip(&self.seats);
        numbered
            .filter(|(_, seat)| seat.state.is_living())
            .map(|(rank, seat)| (rank, &seat.process.child))
    }

    /// Returns what becomes readable when a living rank has something to say; with its number.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>)> {
        (0..).zip(&self.seats).filter(|(_, seat)| seat.state.is_living()).flat_map(
            |(rank, seat)| {
                // What a condemned one has answered is not heard, and would be readable for ever.
                let line = seat.process.line().filter(|_| seat.state == State::Running);
                let pidfd = seat.process.child.pidfd.as_fd();
                line.map(AsFd::as_fd).into_iter().chain([pidfd]).map(move |fd| (rank, fd))
            },
        )
    }

    /// Returns how a rank ended, if it has: it exited, was killed, or has answered in place of exiting.
    pub(super) fn end_of(&mut self, rank: u32) -> Option<Ended> {
        let seat = &mut self.seats[rank as usize];
        if seat.state == State::Running
            && let Some(end) = seat.process.answered()
        {
            seat.state = State::AtRest;
            return Some(end);
        }
        seat.process.child.reap()
    }

    /// Sends a rank a signal that is to end it.
    pub(super) fn condemn(&mut self, rank: u32, signal: i32) {
        let seat = &mut self.seats[rank as usize];
        seat.process.child.signal(signal);
        seat.state = State::Condemned;
    }

    /// Sends all living ranks a signal that is to end them.
    pub(super) fn condemn_all(&mut self, signal: i32) {
        let living: Vec<u32> = self.living().map(|(rank, _)| rank).collect();
        living.into_iter().for_each(|rank| self.condemn(rank, signal));
    }

    /// Returns the dead ranks that wait to be started again.
    pub(super) fn awaiting(&self) -> Vec<u32> {
        let numbered = (0..).zip(&self.seats);
        numbered.filter(|(_, seat)| seat.state == State::Awaiting).map(|(rank, _)| rank).collect()
    }

    /// Notes that a rank has ended, and whether another process is to follow.
    pub(super) fn ended(&mut self, rank: u32, follow: Follow) {
        let seat = &mut self.seats[rank as usize];
        seat.state = match (follow, seat.state) {
            (Follow::Nobody, State::AtRest) => State::AtRest,
            (Follow::Nobody, _) => State::Left,
            (Follow::Replacement, was) => {
                if was == State::AtRest {
                    // It stopped, and nobody knows why: as if it had exited.
                    process::end(std::iter::once(&seat.process));
                }
                State::Awaiting
            }
        };
    }

    pub(super) fn child(&self, rank: u32) -> &Child {
        &self.seats[rank as usize].process.child
    }

    /// Returns when the latest process of a rank was started, unless it is known to be a rank's.
    pub(super) fn began(&self, rank: u32) -> Option<Instant> {
        self.seats[rank as usize].process.began
    }

    /// Returns the pid of each rank's latest process.
    pub(super) fn pids(&self) -> Vec<i32> {
        self.seats.iter().map(|seat| seat.process.child.pid).collect()
    }
}

/// Whether a process that has ended is to be followed by another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Replacement,
    Nobody,
}
