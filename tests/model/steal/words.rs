//! What the segment holds of ranges, where ranks are, and what may happen next.

use std::fmt;

use crate::words::{RANKS, Undo, Value};

pub(super) const ELEMENTS: usize = 6;

/// {lo, hi}: chunk `lo` is in hand, those up to `hi` wait.
pub(super) type Range = (u8, u8);

pub(super) fn is_empty(range: Range) -> bool {
    range.0 >= range.1
}

/// Whether a chunk waits behind the one in hand.
pub(super) fn waits(range: Range) -> bool {
    range.0 + 1 < range.1
}

/// What `auto` has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Choice {
    /// More tickets, of one element each.
    Counter,
    /// Ranges, of chunks of so many elements.
    Ranges(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lease {
    Idle,
    Run { ticket: u8, rank: u8 },
    Orphan { ticket: u8 },
    Done { ticket: u8 },
}

impl Lease {
    pub(super) fn taken(self) -> bool {
        matches!(self, Self::Run { .. } | Self::Orphan { .. })
    }

    pub(super) fn run_by(self, rank: usize) -> bool {
        matches!(self, Self::Run { rank: by, .. } if usize::from(by) == rank)
    }

    /// The ticket of a lease that is not idle.
    pub(super) fn ticket(self) -> Option<u8> {
        match self {
            Self::Idle => None,
            Self::Run { ticket, .. } | Self::Orphan { ticket } | Self::Done { ticket } => {
                Some(ticket)
            }
        }
    }
}

/// What makes a chunk a rank's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hold {
    Range,
    Slot(u8),
}

/// A chunk in the hands of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Work {
    pub(super) hold: Hold,
    /// Of a ticket or of a chunk.
    pub(super) number: u8,
    pub(super) block: u8,
}

/// A theft: from whom, and the victim's range as the thief last saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Theft {
    pub(super) victim: u8,
    pub(super) seen: Range,
    pub(super) what: Range,
}

/// Where a rank is: what it does next. From `Locked` to `Unlock` it holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// Looks at its own range.
    Outside,
    /// Found it empty: locks.
    Wanting,
    Locked,
    /// Has stored the tail: the lease is next.
    Leasing {
        ticket: u8,
        slot: u8,
    },
    /// Lays out ranges for a choice; so many are done.
    LayingOut(Choice, u8),
    Choosing(Choice),
    /// Looks whether a thief died.
    Ending,
    /// One did, and its range has to be stored.
    EndingOwn,
    EndingClear,
    /// Looks at its own range, then for a victim.
    Seeking,
    Reading {
        victim: u8,
    },
    /// Nothing waits with the victim any more.
    Cancelling,
    What(Theft),
    Who(Theft),
    Exchange(Theft),
    Own(Theft),
    Clear,
    Unlock(Work),
    Restore(Work),
    RestoreTorn(Work),
    Restored(Work),
    Save(Work),
    SaveTorn(Work),
    Arm(Work),
    Compute(Work),
    ComputeTorn(Work, Value),
    Disarm(Work),
    Commit(Work),
    /// Computes its last block after it has committed. Broken.
    ComputeLate(Work),
    /// Stores a range that it read before, one further. Broken.
    CommitStore(Work, Range),
    /// Resets its undo word after the commit. Broken.
    ResetUndo,
    /// Found nothing: has arrived.
    Left,
    /// Killed. The launcher gives up what it had by lease, and starts it again.
    Dead,
}

impl At {
    pub(super) fn alive(self) -> bool {
        !matches!(self, Self::Dead | Self::Left)
    }

    /// Whether a rank that is here holds the lock. Who dies holding it leaves it free.
    pub(super) fn holds(self) -> bool {
        matches!(
            self,
            Self::Locked
                | Self::Leasing { .. }
                | Self::LayingOut(..)
                | Self::Choosing(_)
                | Self::Ending
                | Self::EndingOwn
                | Self::EndingClear
                | Self::Seeking
                | Self::Reading { .. }
                | Self::Cancelling
                | Self::What(_)
                | Self::Who(_)
                | Self::Exchange(_)
                | Self::Own(_)
                | Self::Clear
                | Self::Unlock(_)
        )
    }

    /// The chunk it computes.
    pub(super) fn work(self) -> Option<Work> {
        match self {
            Self::Unlock(work)
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
            | Self::ComputeLate(work)
            | Self::CommitStore(work, _) => Some(work),
            _ => None,
        }
    }
}

/// Somebody who only reads: what is left, as elements, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    pub(super) at: Look,
    /// Elements it has named as left; and those before it came to the ranges.
    pub(super) named: u8,
    pub(super) base: u8,
    /// How many elements a chunk has, as it read that.
    pub(super) blocks: u8,
    pub(super) before: Option<(u8, u8)>,
    /// Whether `who` has been stored since: it counts transfers.
    pub(super) changed: bool,
    pub(super) what: Range,
    /// Whether what passes had arrived.
    pub(super) arrived: bool,
}

/// What the reader looks at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Look {
    /// There is none.
    Nobody,
    Tail,
    TailSlot {
        ticket: u8,
        slot: u8,
    },
    Slot {
        slot: u8,
        next: u8,
    },
    Choice {
        next: u8,
    },
    Who,
    What,
    Range(u8),
    WhoAgain,
    /// All else is finished, it says.
    Said,
}

impl Reader {
    pub(super) fn nothing_seen(at: Look) -> Self {
        Self {
            at,
            named: 0,
            base: 0,
            blocks: 0,
            before: None,
            changed: false,
            what: (0, 0),
            arrived: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) elements: [Value; ELEMENTS],
    pub(super) ranges: [Range; RANKS],
    /// Of which chunk, and what.
    pub(super) undo: [(u8, Undo); RANKS],
    pub(super) saved: [Value; RANKS],
    /// {thief, victim}.
    pub(super) who: Option<(u8, u8)>,
    pub(super) what: Range,
    pub(super) choice: Option<Choice>,
    /// {last ticket claimed, slot it went to}.
    pub(super) tail: Option<(u8, u8)>,
    pub(super) slots: [Lease; RANKS],
    pub(super) at: [At; RANKS],
    pub(super) reader: Reader,
    pub(super) deaths: u8,
}

impl State {
    /// Every store to `who` counts transfers, or begins or ends one.
    pub(super) fn set_who(&mut self, who: Option<(u8, u8)>) {
        self.who = who;
        // Whoever has looked at it already will find another word.
        self.reader.changed |=
            matches!(self.reader.at, Look::What | Look::Range(_) | Look::WhoAgain);
    }
}

#[derive(Clone, Copy)]
pub(super) enum Who {
    Rank(usize),
    LauncherOf(usize),
    Reader,
}

/// One step, and what it leads to.
pub(crate) struct Step {
    pub(super) who: Who,
    pub(super) what: &'static str,
    pub(super) state: State,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Who::Rank(rank) => write!(f, "rank {rank}: ")?,
            Who::LauncherOf(rank) => write!(f, "launcher, of rank {rank}: ")?,
            Who::Reader => write!(f, "reader: ")?,
        }
        f.write_str(self.what)
    }
}
