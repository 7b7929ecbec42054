//! What a rank counts of its own work.

use super::instruments::Instruments;
use crate::host::affinity;
use crate::host::huge::{self, Advice};
use crate::host::own::Own;
use crate::host::procs::{self, Whose};
use crate::job::Job;
use crate::shm::{NO_CPU, RankSlot, Relaxed};

/// One pass, from this rank's side: times in nanoseconds, and what was done.
#[derive(Clone, Default)]
pub(super) struct Tally {
    /// When this rank began it; `None` while it has not.
    pub(super) begin: Option<u64>,
    pub(super) items: u64,
    pub(super) chunks: u64,
    pub(super) busy: u64,
    pub(super) claim: u64,
    pub(super) map: u64,
    pub(super) wait: u64,
}

impl Tally {
    /// Returns what was added since.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            begin: self.begin,
            items: self.items - before.items,
            chunks: self.chunks - before.chunks,
            busy: self.busy - before.busy,
            claim: self.claim - before.claim,
            map: self.map - before.map,
            wait: self.wait - before.wait,
        }
    }

    /// Writes the figures into the rank's slot.
    pub(super) fn record(&self, slot: &RankSlot) {
        // All Relaxed: figures, read after this rank has left.
        slot.items.store(self.items, Relaxed);
        slot.chunks.store(self.chunks, Relaxed);
        slot.busy.store(self.busy, Relaxed);
        slot.claim.store(self.claim, Relaxed);
        slot.map.store(self.map, Relaxed);
        slot.wait.store(self.wait, Relaxed);
    }
}

/// What the kernel counts for this process, and had counted when the rank's world began: nothing, if it was
/// started for that.
#[derive(Debug)]
pub(super) struct Counts {
    status: Own,
    sched: Own,
    switches: u64,
    migrations: u64,
    /// Of timed passes alone.
    pub(super) instruments: Instruments,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            status: Own::status(),
            sched: Own::sched(),
            switches: 0,
            migrations: 0,
            instruments: Instruments::default(),
        }
    }
}

impl Counts {
    /// Counts from now on.
    pub(super) fn begin_anew(&mut self) {
        self.switches();
        self.migrations();
    }

    /// Returns how often the kernel took the CPU away since the last time this was asked.
    fn switches(&mut self) -> u64 {
        let now = procs::involuntary_switches(Whose::Own);
        now.saturating_sub(std::mem::replace(&mut self.switches, now))
    }

    /// Returns how often the kernel moved it to another CPU since the last time this was asked.
    fn migrations(&mut self) -> u64 {
        let now = self.sched.migrations().unwrap_or(0);
        now.saturating_sub(std::mem::replace(&mut self.migrations, now))
    }
}

/// Writes down what the kernel counted for this process in this world. The peak of memory is that of the
/// process: nobody can begin it anew.
pub(super) fn account(slot: &RankSlot, job: &Job, counts: &mut Counts) {
    // All Relaxed: figures, read after this rank has left.
    slot.max_rss.store(counts.status.peak_rss().unwrap_or(0), Relaxed);
    slot.nivcsw.store(counts.switches(), Relaxed);
    let pinned = slot.pinned.load(Relaxed) != NO_CPU;
    slot.migrations.store(if pinned { 0 } else { counts.migrations() }, Relaxed);
    slot.cpu.store(affinity::current().unwrap_or(NO_CPU), Relaxed);
    if matches!(job.huge, Advice::Huge | Advice::Collapse) {
        slot.huge.store(huge::mapped(), Relaxed);
    }
}
