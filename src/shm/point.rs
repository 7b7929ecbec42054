//! Named moments of a rank's life, at which a fault may be injected.
//!
//! They lie between the stores of the protocols in this folder: a protocol that survives a death at
//! each of them survives a death anywhere, as far as its own stores go.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Explained, nearest};

/// A moment between two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The process runs, and has not attached.
    Started,
    /// It is attached.
    Attached,
    /// Its slice is half initialised: before the first pass, or between two.
    PrepareMid,
    /// It holds the counter's lock, and has stored nothing.
    LockHeld,
    /// It has put a half-way claim of another in order.
    LockRepaired,
    /// It holds the lock and has stored the tail: the chunk is its own, and no lease says so.
    LockTail,
    /// It holds the lock and has stored the lease.
    LockLease,
    /// It holds the lock and has found an orphan to adopt.
    AdoptBefore,
    /// It holds the lock and has adopted it.
    AdoptAfter,
    /// It holds the lock and has laid out what `auto` chooses; the choice is not known yet.
    ChoiceLaidOut,
    /// It holds the lock, and the choice is known.
    ChoiceMade,
    /// It holds the lock and has said what it is about to take from whom.
    StealBegun,
    /// It holds the lock and has cut a range off another's; it is nobody's yet.
    StealTaken,
    /// It holds the lock, and what it took is its own; it still says that it is about to take it.
    StealMoved,
    /// It holds the lock and has ended what another thief began; that is still said to go on.
    StealFinished,
    /// It has a chunk, and computed nothing of it.
    RunFirst,
    /// It has computed half of a block.
    RunMid,
    /// Half of a block is copied to the saved block.
    UndoHalf,
    /// A block is saved and armed, and computed in no part.
    UndoArmed,
    /// A block is computed, and still armed.
    UndoComputed,
    /// A block is final, and the next one not yet saved.
    UndoBetween,
    /// An adopter has copied a saved block back, and not said so.
    UndoRestored,
    /// All of a chunk is computed, and not committed.
    CommitBefore,
    /// A chunk is committed.
    CommitAfter,
    /// It has come to a barrier, and not arrived.
    BarrierBefore,
    /// It has arrived, and done nothing else.
    BarrierArrived,
    /// It came last of its group, in a world of several, and has not told the others.
    BarrierCompleted,
    /// It came last of all: the epoch has moved, nobody is woken.
    BarrierMoved,
    /// It is about to sleep.
    BarrierSleep,
    /// It has left a barrier.
    BarrierExit,
    /// It has done all of its work.
    Exit,
}

impl Point {
    /// Every point, with its name.
    pub(crate) const ALL: [(&'static str, Self); 31] = [
        ("start", Self::Started),
        ("attached", Self::Attached),
        ("prepare.mid", Self::PrepareMid),
        ("lock.held", Self::LockHeld),
        ("lock.repaired", Self::LockRepaired),
        ("lock.tail", Self::LockTail),
        ("lock.lease", Self::LockLease),
        ("adopt.before", Self::AdoptBefore),
        ("adopt.after", Self::AdoptAfter),
        ("choice.laid", Self::ChoiceLaidOut),
        ("choice.made", Self::ChoiceMade),
        ("steal.begun", Self::StealBegun),
        ("steal.taken", Self::StealTaken),
        ("steal.moved", Self::StealMoved),
        ("steal.finished", Self::StealFinished),
        ("run.first", Self::RunFirst),
        ("run.mid", Self::RunMid),
        ("undo.half", Self::UndoHalf),
        ("undo.armed", Self::UndoArmed),
        ("undo.computed", Self::UndoComputed),
        ("undo.between", Self::UndoBetween),
        ("undo.restored", Self::UndoRestored),
        ("commit.before", Self::CommitBefore),
        ("commit.after", Self::CommitAfter),
        ("barrier.before", Self::BarrierBefore),
        ("barrier.arrived", Self::BarrierArrived),
        ("barrier.completed", Self::BarrierCompleted),
        ("barrier.moved", Self::BarrierMoved),
        ("barrier.sleep", Self::BarrierSleep),
        ("barrier.exit", Self::BarrierExit),
        ("exit", Self::Exit),
    ];
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.iter().find(|(_, point)| point == self);
        f.write_str(named.map_or("?", |(name, _)| name))
    }
}

impl FromStr for Point {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let named = Self::ALL.iter().find(|(name, _)| *name == text);
        named.map(|&(_, point)| point).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name);
            let hint = nearest(text, names).map_or_else(
                || format!("one of {}", names.join(" ")),
                |name| format!("did you mean `{name}`?"),
            );
            Error::rejected(Explained::new(format!("there is no point `{text}`")).hint(hint))
        })
    }
}

/// Whoever wants to be told that a rank has come to a point.
pub(crate) trait Probe {
    /// The rank is here.
    fn at(&self, point: Point);
}

/// Nobody.
impl Probe for () {
    fn at(&self, _: Point) {}
}
