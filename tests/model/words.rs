//! What the segment holds, where processes are, and what may happen next.

use std::fmt;

pub(crate) const RANKS: usize = 3;
pub(crate) const ELEMENTS: usize = 8;
pub(crate) const IN_BLOCK: usize = 2;
/// With two passes there are half as many elements: a value says of which pass it is.
pub(crate) const OF_ONE_PASS: usize = ELEMENTS / 2;
/// A process for each rank, and one that was replaced before it was dead.
pub(crate) const PROCESSES: usize = RANKS + 1;
pub(crate) const OLD: usize = RANKS;

/// What an element holds: whose value it is, and how often the kernel was applied to it. Whose it
/// is matters: a block saved over another's copy is restored into the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Value {
    Raw(u8),
    Once(u8),
    Wrong,
    /// Half a write.
    Torn,
}

impl Value {
    /// What the kernel makes of it.
    pub(crate) fn effect(self) -> Self {
        match self {
            Self::Raw(of) => Self::Once(of),
            Self::Once(_) | Self::Wrong | Self::Torn => Self::Wrong,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lease {
    Idle,
    Run { ticket: u8, rank: u8 },
    Orphan { ticket: u8 },
    Done { ticket: u8 },
}

impl Lease {
    pub(crate) fn taken(self) -> bool {
        matches!(self, Self::Run { .. } | Self::Orphan { .. })
    }

    pub(crate) fn run_by(self, rank: usize) -> bool {
        matches!(self, Self::Run { rank: by, .. } if usize::from(by) == rank)
    }

    /// The ticket in the word; an idle word is all zero.
    pub(crate) fn ticket(self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Run { ticket, .. } | Self::Orphan { ticket } | Self::Done { ticket } => ticket,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Undo {
    None,
    Armed(u8),
    Next(u8),
}

/// {last ticket claimed, slot it went to}.
pub(crate) type Tail = Option<(u8, u8)>;

/// A lease slot and the saved block that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) lease: Lease,
    pub(crate) undo: Undo,
    pub(crate) saved: [Value; IN_BLOCK],
}

/// A chunk in the hands of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Work {
    pub(crate) queue: u8,
    pub(crate) ticket: u8,
    pub(crate) slot: u8,
    pub(crate) block: u8,
    pub(crate) element: u8,
}

/// Where a process is: the store it does next. From `Locked` to `Unlock` it holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum At {
    /// Just started in place of a dead one: does not know the phase.
    Start,
    /// Knows whether the dead one had arrived, and reads the epoch only now. Broken.
    Asked(bool),
    Outside,
    Locked,
    /// Claims a new chunk: saw no orphan.
    Choosing,
    /// Claims; so many of the claim's stores are done.
    Claiming(Work, u8),
    /// Has adopted the state of an orphan, but not the executor. Broken.
    Adopting(Work),
    Unlock(Work),
    Restore(Work),
    RestoreTorn(Work),
    /// The armed block is restored.
    Restored(Work),
    Save(Work),
    SaveTorn(Work),
    Arm(Work),
    Compute(Work),
    /// Half of the write is done; the value that was there before.
    ComputeTorn(Work, Value),
    Disarm(Work),
    Commit(Work),
    /// Commits after it has arrived. Broken.
    CommitLate(Work),
    /// Clears `undo` after its commit. Broken.
    Clear(Work),
    /// Makes a claim word zero again: rank 0, between two passes.
    Reset(u8),
    /// Sets an element of its slice to its first value, between two passes.
    Init(u8),
    InitTorn(u8),
    Arriving,
    /// Has arrived, and waits for an epoch that is not this one.
    Waiting(u8),
    /// Has arrived last, and moves the epoch only now. Broken.
    Moving,
    /// Killed. The launcher knows, and gives its slots up.
    Dead,
    /// Dead, its slots are given up, and it is not started again, or not yet.
    Gone,
}

impl At {
    pub(crate) fn alive(self) -> bool {
        !matches!(self, Self::Dead | Self::Gone)
    }

    /// Whether a process that is here holds the lock. Who dies holding it leaves it free: the next
    /// one is told, and goes on.
    pub(crate) fn holds(self) -> bool {
        matches!(
            self,
            Self::Locked
                | Self::Choosing
                | Self::Claiming(..)
                | Self::Adopting(_)
                | Self::Unlock(_)
        )
    }

    /// The chunk it has in its hands.
    pub(crate) fn work(mut self) -> Option<Work> {
        self.work_mut().copied()
    }

    /// The same, with its chunk in that slot.
    pub(crate) fn in_slot(mut self, slot: u8) -> Self {
        if let Some(work) = self.work_mut() {
            work.slot = slot;
        }
        self
    }

    fn work_mut(&mut self) -> Option<&mut Work> {
        match self {
            Self::Claiming(work, _)
            | Self::Adopting(work)
            | Self::Unlock(work)
            | Self::Restore(work)
            | Self::RestoreTorn(work)
            | Self::Restored(work)
            | Self::Save(work)
            | Self::SaveTorn(work)
            | Self::Arm(work)
            | Self::Compute(work)
            | Self::ComputeTorn(work, _)
            | Self::Disarm(work)
            | Self::Commit(work)
            | Self::CommitLate(work)
            | Self::Clear(work) => Some(work),
            _ => None,
        }
    }
}

/// What the launcher has in its head from one step to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Launcher {
    Watching,
    /// Takes this slot for one of a dead rank's. Broken.
    GivingUp {
        slot: u8,
        ticket: u8,
    },
    /// Has still to give up the slots of this rank, which runs again. Broken.
    Late {
        rank: u8,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) elements: [Value; ELEMENTS],
    pub(crate) slots: [Slot; RANKS],
    pub(crate) tails: [Tail; RANKS],
    /// The barrier, one word: a bit per rank, and the epoch.
    pub(crate) arrived: u8,
    pub(crate) epoch: u8,
    pub(crate) at: [At; PROCESSES],
    /// The epoch whose phase a process believes to be in.
    pub(crate) phase: [u8; PROCESSES],
    /// The rank of the last process, which was replaced and may be alive.
    pub(crate) old: u8,
    pub(crate) launcher: Launcher,
    pub(crate) deaths: u8,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tails {:?} slots {:?} elements {:?} arrived {:b} epoch {} processes {:?} {:?}",
            self.tails, self.slots, self.elements, self.arrived, self.epoch, self.at, self.launcher
        )
    }
}

/// One step, of a rank or of the launcher, and what it leads to.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) who: Who,
    pub(crate) what: &'static str,
    pub(crate) state: State,
}

#[derive(Clone, Copy)]
pub(crate) enum Who {
    Process(usize),
    LauncherOf(usize),
    Launcher,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Who::Process(OLD) => write!(f, "old process of rank {}: ", self.state.old)?,
            Who::Process(rank) => write!(f, "rank {rank}: ")?,
            Who::LauncherOf(OLD) => write!(f, "launcher, of an old process: ")?,
            Who::LauncherOf(rank) => write!(f, "launcher, of rank {rank}: ")?,
            Who::Launcher => write!(f, "launcher: ")?,
        }
        f.write_str(self.what)
    }
}

pub(crate) fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

pub(crate) fn bit(rank: usize) -> u8 {
    1 << rank
}

/// Passes are even epochs; what is between them, odd ones.
pub(crate) fn is_pass(epoch: u8) -> bool {
    epoch.is_multiple_of(2)
}

/// The pass of an epoch, or the one it prepares.
pub(crate) fn pass_of(epoch: u8) -> u8 {
    epoch.div_ceil(2)
}
