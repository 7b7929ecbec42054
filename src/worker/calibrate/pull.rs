//! Passes over an index space in which nothing is computed: what is left is claiming and committing.

use std::hint::black_box;

use super::{Bench, Seat, Work};
use crate::shm::{Claimed, Counter};
use crate::worker::pace::Pace;
use crate::worker::{Stop, internal};

/// The counter, as ranks draw from it.
pub(super) struct Pull<'a> {
    seat: &'a Seat<'a>,
    counter: Counter<'a>,
    queue: Queue,
}

/// Whether chunks go from rank to rank.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    /// All ranks draw from one.
    Shared,
    /// Each has its own.
    Own,
}

impl<'a> Pull<'a> {
    pub(super) fn new(seat: &'a Seat<'a>) -> Result<Self, Stop> {
        let control = seat.control;
        let element = seat.job.dtype.size();
        let counter = Counter::attach(control.header(), control.claims(), control.ranks(), element)
            .map_err(internal("cannot use the counter's lock"))?;
        let queue = if seat.job.partition.queues() == 1 { Queue::Shared } else { Queue::Own };
        Ok(Self { seat, counter, queue })
    }

    /// Does with one chunk all that a run does, but for computing it and for looking at the clock.
    fn one(&self, after: &mut Option<u64>, work: &mut Work) -> Result<More, Stop> {
        let Seat { number, control, job, injector, .. } = self.seat;
        let claimed = self
            .counter
            .claim(&job.partition, Pace::new(*number).claimer(), *injector)
            .map_err(internal("the counter's lock is broken"))?;
        let lease = match claimed {
            Claimed::Chunk(lease) => lease,
            Claimed::Drained => return Ok(More::No),
            Claimed::Aborted => return Err(Stop::Aborted),
        };
        let chunk = lease.chunk();
        black_box((lease.progress(), control.exceptions().touch(&chunk)));
        work.done += 1;
        work.items += chunk.end - chunk.start;
        if self.queue == Queue::Shared {
            // The chunk before this one was another rank's.
            work.handed += u64::from(after.is_some_and(|after| after != chunk.start));
        }
        *after = Some(chunk.end);
        lease.commit();
        Ok(More::Yes)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

impl Bench for Pull<'_> {
    fn again(&mut self) {
        self.seat.control.claims().reset(&self.seat.job.partition);
    }

    fn work(&mut self, _: u64, _: u64) -> Result<Work, Stop> {
        let (mut work, mut after) = (Work::default(), None);
        while self.one(&mut after, &mut work)? == More::Yes {}
        Ok(work)
    }
}
