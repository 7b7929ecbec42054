//! One barrier after another, with nothing between them.

use super::{Bench, Seat, Work};
use crate::worker::Stop;

/// The barrier, as passes end with it.
pub(super) struct Barriers<'a> {
    pub(super) seat: &'a Seat<'a>,
}

impl Bench for Barriers<'_> {
    fn work(&mut self, _: u64, operations: u64) -> Result<Work, Stop> {
        let Seat { number, control, job, injector, .. } = *self.seat;
        let (barrier, procs, patience) = (control.barrier(), self.seat.procs(), job.patience());
        for _ in 0..operations {
            barrier.wait(number, procs, patience, injector)?;
        }
        Ok(Work { done: operations, ..Work::default() })
    }
}
