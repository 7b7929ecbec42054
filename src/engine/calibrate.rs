//! Runs a plan whose ranks measure in place of computing, and reads what they wrote down.

use super::Watched;
use super::audience::Audience;
use super::collect::{RankReport, audit, reports};
use super::deaths::Ledger;
use super::history::History;
use super::orders::Orders;
use super::supervisor::Ended;
use super::world::World;
use crate::error::Error;
use crate::plan::Plan;
use crate::shm::{Ask, Readings};

/// What a calibration has come to.
pub(crate) struct Calibrated {
    pub(crate) plan: Plan,
    /// In the order they were taken; without the warm-up.
    pub(crate) samples: Vec<Sample>,
    pub(crate) ranks: Vec<RankReport>,
    pub(crate) warnings: Vec<String>,
}

/// One sample, over all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Its place among all, warm-up included.
    pub(crate) number: u64,
    /// How many operations rank 0 asked for.
    pub(crate) asked: u64,
    /// Nanoseconds from when the first rank began to when the last was done.
    pub(crate) wall: u64,
    /// Nanoseconds that the ranks were at work, added up.
    pub(crate) time: u64,
    /// Operations done, by all ranks together.
    pub(crate) done: u64,
    pub(crate) items: u64,
    pub(crate) handed: u64,
    /// How often the kernel took the CPU away from a rank.
    pub(crate) switches: u64,
}

impl World {
    /// Lets the ranks measure. The calling thread owns them, as those of a run.
    pub(crate) fn calibrate(
        self,
        orders: &Orders,
        audience: &mut dyn Audience,
    ) -> Result<Calibrated, Error> {
        let mut history = History::default();
        let mut ledger = Ledger::new(self.plan.procs());
        orders.check()?;
        let watched = self.watch(None, orders, &mut ledger, &mut history, audience)?;
        let Watched { ended: Ended::Complete, pids, .. } = watched else {
            // No death is survived here, so nothing asks for another beginning.
            return Err(Error::failed("a rank of the bench was lost"));
        };
        audit(&self)?;
        let ranks = reports(&self, &pids);
        let samples = self.samples()?;
        Ok(Calibrated { plan: self.plan, samples, ranks, warnings: history.warnings })
    }

    #[expect(unsafe_code, reason = "the readings' part of the segment")]
    fn samples(&self) -> Result<Vec<Sample>, Error> {
        let procs = self.plan.procs();
        let calibration = self.plan.job.calibration;
        let places = calibration.map_or(0, |calibration| calibration.places);
        if Readings::bytes(procs, places).is_none_or(|bytes| bytes > self.plan.result_bytes()) {
            return Err(Error::refused("there is no room for the readings: a bug in spmd"));
        }
        // SAFETY: the result array lies in the segment's one mapping, begins on a page, and is as long
        // as that.
        let readings = unsafe { Readings::new(self.segment.result().cast_const(), procs, places) };
        let asked = (0..places).map(|number| (number, readings.asked(number)));
        let samples = asked.take_while(|(_, ask)| *ask != Ask::Stop).filter_map(|(number, ask)| {
            let Ask::Sample(asked) = ask else { return None };
            let ranks = readings.of(number);
            let sum = |of: fn(&crate::shm::Reading) -> u64| {
                ranks.iter().map(of).fold(0, u64::saturating_add)
            };
            let begin = ranks.iter().map(|rank| rank.begin).min().unwrap_or(0);
            let end = ranks.iter().map(|rank| rank.end).max().unwrap_or(0);
            Some(Sample {
                number,
                asked,
                wall: end.saturating_sub(begin),
                time: sum(|rank| rank.end.saturating_sub(rank.begin)),
                done: sum(|rank| rank.done),
                items: sum(|rank| rank.items),
                handed: sum(|rank| rank.handed),
                switches: sum(|rank| rank.switches),
            })
        });
        Ok(samples.collect())
    }
}
