//! Where the ranks of a crowded world run: which of those that are waited for may need this CPU.
//!
//! Ranks that outnumber the CPUs give theirs away while they wait, and each such turn costs a microsecond or
//! two. It is of use only if somebody who has not arrived is to run here. So each rank says where it runs
//! when it arrives, and whoever waits spins once all that were last seen on its CPU have come. That may
//! be out of date, and then a turn is taken too early or a few microseconds too late; nothing else
//! depends on it.

use super::inject::Injector;
use crate::host::affinity;
use crate::job::Job;
use crate::shm::{Aborted, Company, Control, RankSlot, Relaxed};

/// Waits at the barrier for all ranks.
pub(super) fn meet(
    control: &Control<'_>,
    job: &Job,
    number: u32,
    injector: &Injector<'_>,
) -> Result<(), Aborted> {
    let (barrier, procs) = (control.barrier(), control.layout().dims.procs);
    if !job.is_crowded() {
        return barrier.wait(number, procs, job.patience(), injector).map(|_| ());
    }
    let ranks = control.ranks();
    if let (Some(slot), Some(cpu)) = (ranks.get(number as usize), affinity::current()) {
        slot.cpu.store(cpu, Relaxed); // A hint.
    }
    barrier.wait_among(number, procs, job.patience(), &Crowd { ranks }, injector).map(|_| ())
}

/// The ranks, each of which has said where it runs.
struct Crowd<'a> {
    ranks: &'a [RankSlot],
}

impl Company for Crowd<'_> {
    fn may_need_this_cpu(&self, rank: u32) -> bool {
        let there = self.ranks.get(rank as usize).map(|slot| slot.cpu.load(Relaxed)); // A hint.
        there == affinity::current()
    }
}
