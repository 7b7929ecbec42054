//! What a rank counts of its own work.

use crate::host::affinity;
use crate::host::huge::{self, Advice};
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

/// What the kernel had counted for this process when its world began: nothing, if it was started for that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    switches: u64,
    migrations: u64,
}

impl Before {
    /// Asks the kernel what it has counted so far.
    pub(super) fn now() -> Self {
        let switches = procs::involuntary_switches(Whose::Own);
        Self { switches, migrations: migrations().unwrap_or(0) }
    }

    /// Takes note of these counts, and returns how many there are more of each.
    fn more(&mut self, now: Self) -> Self {
        let before = std::mem::replace(self, now);
        Self {
            switches: now.switches.saturating_sub(before.switches),
            migrations: now.migrations.saturating_sub(before.migrations),
        }
    }
}

/// Writes down what the kernel counted for this process since `before`, which is now. The peak of memory is
/// that of the process: nobody can begin it anew.
pub(super) fn account(slot: &RankSlot, job: &Job, before: &mut Before) {
    let usage = procs::usage();
    // All Relaxed: figures, read after this rank has left.
    slot.max_rss.store(usage.max_rss_bytes, Relaxed);
    let pinned = slot.pinned.load(Relaxed) != NO_CPU;
    let migrations = if pinned { 0 } else { migrations().unwrap_or(0) };
    let more = before.more(Before { switches: usage.involuntary_switches, migrations });
    slot.nivcsw.store(more.switches, Relaxed);
    slot.migrations.store(more.migrations, Relaxed);
    slot.cpu.store(affinity::current().unwrap_or(NO_CPU), Relaxed);
    if job.huge == Advice::Huge {
        slot.huge.store(huge::mapped(), Relaxed);
    }
}

/// Reads how often the kernel moved this process to another CPU.
fn migrations() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/sched").ok()?;
    let line = text.lines().find(|line| line.starts_with("se.nr_migrations"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}
