//! What looks on while passes are timed: each if it was asked for.

use super::meter::Meter;
use super::rank::Rank;
use super::watch::Watch;
use crate::job::{Accounts, Counters, Job};
use crate::shm::RankSlot;

/// What a process has to look on with, in one world after another.
#[derive(Debug, Default)]
pub(super) struct Instruments {
    watch: Watch,
    meter: Meter,
}

/// Those of them that one world asked for.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    watch: Option<&'a mut Watch>,
    meter: Option<&'a mut Meter>,
}

impl Instruments {
    /// Gets ready what the job asks for, long before the first timed pass.
    pub(super) fn get_ready(&mut self, rank: &Rank<'_>, job: &Job) -> Asked<'_> {
        let mut asked = Asked::default();
        if job.accounts == Accounts::Wanted {
            self.watch.get_ready(rank, job.cpus.as_ref());
            asked.watch = Some(&mut self.watch);
        }
        if job.counters == Counters::Wanted {
            self.meter.get_ready();
            asked.meter = Some(&mut self.meter);
        }
        asked
    }
}

impl Asked<'_> {
    /// The next barrier is the one that the first timed pass begins with.
    pub(super) fn before_barrier(&mut self) {
        self.watch.as_deref_mut().into_iter().for_each(Watch::before_barrier);
    }

    /// A timed pass begins; the first one counts.
    pub(super) fn begin(&mut self) {
        // The counters last, and below first: so little of this is in what they count.
        self.watch.as_deref_mut().into_iter().for_each(Watch::begin);
        self.meter.as_deref_mut().into_iter().for_each(Meter::begin);
    }

    /// The last timed pass is over: writes down what has happened since.
    pub(super) fn end(self, slot: &RankSlot) {
        self.meter.into_iter().for_each(|meter| meter.end(slot));
        self.watch.into_iter().for_each(|watch| watch.end(slot));
    }
}
