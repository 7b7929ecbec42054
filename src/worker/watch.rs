//! What disturbs this rank while passes are timed.
//!
//! A rank reads its own figures before the barrier that the first timed pass begins with, and again after the
//! last one: nothing that is read is in what is timed, and next to nothing that came before, exec or the touching
//! of pages, is in what is read. Not after that barrier: the clock runs as soon as one rank has left it, and
//! another that has to wait for its CPU then makes the pass longer by all of that. What concerns the machine, and
//! takes longer to read, rank 0 reads for all, there too: the others wait a little longer.

use super::rank::Rank;
use crate::host::affinity::{self, CpuSet};
use crate::host::disturbance::Stealing;
use crate::host::frequency::Clockwork;
use crate::host::kept::Kept;
use crate::host::limits::Throttling;
use crate::host::own;
use crate::host::procs::{Usage, Whose, usage};
use crate::host::root::Root;
use crate::shm::{Disturbed, NO_CPU, RankSlot, Relaxed};

/// Watches one world after another; files stay open between them.
#[derive(Debug, Default)]
pub(super) struct Watch {
    schedstat: Option<Kept>,
    machine: Option<Machine>,
    began: Option<Began>,
    machine_began: Option<Seen>,
}

/// What was there before the first timed pass.
#[derive(Debug)]
struct Began {
    usage: Usage,
    delayed: Option<u64>,
    cpu: Option<u32>,
}

/// What rank 0 reads for all.
#[derive(Debug)]
struct Machine {
    stealing: Stealing,
    throttling: Throttling,
    /// The CPU of this rank, if it has one.
    cpu: Option<u32>,
    clockwork: Option<Clockwork>,
}

/// What the machine has said.
#[derive(Clone, Copy, Debug)]
struct Seen {
    stolen: Option<u64>,
    throttled: Option<u64>,
    khz: Option<u64>,
    overheated: Option<u64>,
}

impl Machine {
    fn open(cpus: CpuSet, cpu: Option<u32>) -> Self {
        let root = Root::system();
        Self {
            stealing: Stealing::open(&root, cpus),
            throttling: Throttling::open(&root),
            cpu,
            clockwork: cpu.map(|cpu| Clockwork::open(&root, cpu)),
        }
    }

    fn look(&mut self) -> Seen {
        let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Seen {
            stolen: self.stealing.time().map(ns),
            throttled: self.throttling.time().map(ns),
            khz: self.clockwork.as_mut().and_then(Clockwork::khz),
            overheated: self.clockwork.as_mut().and_then(Clockwork::overheated),
        }
    }
}

impl Watch {
    /// Opens what is to be read, long before it is.
    pub(super) fn get_ready(&mut self, rank: &Rank<'_>, confined: Option<&CpuSet>) {
        (self.began, self.machine_began) = (None, None);
        if self.schedstat.is_none() {
            self.schedstat = Kept::open(&Root::system(), "proc/self/schedstat", 128);
        }
        if rank.number != 0 {
            return;
        }
        let pinned = rank.slot.pinned.load(Relaxed); // This rank's own word.
        let cpu = (pinned != NO_CPU).then_some(pinned);
        let cpus = cpus(rank.control.ranks(), confined);
        let same = |known: &Machine| known.cpu == cpu && *known.stealing.cpus() == cpus;
        if !self.machine.as_ref().is_some_and(same) {
            self.machine = Some(Machine::open(cpus, cpu));
        }
    }

    /// The next barrier is the one that the first timed pass begins with.
    pub(super) fn before_barrier(&mut self) {
        self.machine_began = self.machine.as_mut().map(Machine::look);
        self.begin();
    }

    /// A timed pass begins. It counts in a process that was not there before the first one's barrier.
    pub(super) fn begin(&mut self) {
        if self.began.is_none() {
            self.began = Some(Began {
                delayed: self.schedstat.as_mut().and_then(own::run_delay),
                cpu: affinity::current(),
                usage: usage(Whose::Own),
            });
        }
    }

    /// The last timed pass is over: writes down what has happened since.
    pub(super) fn end(&mut self, slot: &RankSlot) {
        let Some(began) = self.began.take() else { return };
        let now = usage(Whose::Own);
        let since = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
        let mut seen = Disturbed {
            switches: Some(
                now.involuntary_switches.saturating_sub(began.usage.involuntary_switches),
            ),
            major_faults: Some(now.major_faults.saturating_sub(began.usage.major_faults)),
            moved: affinity::current().zip(began.cpu).map(|(now, before)| (now != before).into()),
            delayed: since(self.schedstat.as_mut().and_then(own::run_delay), began.delayed),
            ..Disturbed::default()
        };
        if let Some((before, machine)) = self.machine_began.take().zip(self.machine.as_mut()) {
            let now = machine.look();
            seen.stolen = since(now.stolen, before.stolen);
            seen.throttled = since(now.throttled, before.throttled);
            seen.overheated = since(now.overheated, before.overheated);
            seen.slowed = before.khz.zip(now.khz).and_then(|(before, now)| {
                before.saturating_sub(now).saturating_mul(1_000_000).checked_div(before)
            });
        }
        slot.disturbed.store(&seen);
    }
}

/// Returns the CPUs that ranks may run on.
fn cpus(slots: &[RankSlot], confined: Option<&CpuSet>) -> CpuSet {
    let pins: Option<Vec<u32>> = slots.iter().map(RankSlot::wanted).collect();
    let pins = pins.map(|pins| pins.into_iter().collect());
    pins.or_else(|| confined.cloned()).or_else(|| affinity::allowed().ok()).unwrap_or_default()
}
