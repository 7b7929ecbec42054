//! Proof in memory that a chunk is a rank's, until it is done.

use super::{LeaseSlot, LeaseState, RangeSlot, lease_word};
use crate::schedule::{Chunk, Ticket};
#[cfg(all(test, spmd_loom))]
use crate::shm::sync::Relaxed;
use crate::shm::sync::{AtomicU64, Release, fence};

/// Proof in memory that a rank owns a chunk, until it commits.
#[derive(Debug)]
#[must_use = "a chunk that is claimed and not committed is never done"]
pub(crate) struct Lease<'a> {
    pub(super) chunk: Chunk,
    pub(super) number: usize,
    pub(super) undo: &'a AtomicU64,
    /// What `undo` says besides block and state.
    pub(super) tag: u64,
    pub(super) hold: Hold<'a>,
    pub(super) progress: Progress,
}

/// What makes a chunk a rank's, and done.
#[derive(Debug)]
pub(super) enum Hold<'a> {
    /// A lease slot, and the word that says it is done.
    Slot(&'a LeaseSlot, u64),
    /// The rank's own range, of which it is the first.
    Range(&'a RangeSlot),
}

/// How far former executors of a chunk came, where that can be known: in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is known to be final, and nothing is to be put back.
    Nothing,
    /// This block is saved and may be overwritten in part; those before it are final.
    Saved(u64),
    /// The blocks before this one are final.
    Final(u64),
}

impl Progress {
    pub(super) fn of(undo: u64) -> Self {
        match undo & 3 {
            1 => Self::Saved(undo >> 2),
            2 => Self::Final(undo >> 2),
            _ => Self::Nothing,
        }
    }
}

impl<'a> Lease<'a> {
    pub(super) fn of_slot(
        chunk: Chunk,
        ticket: Ticket,
        rank: u32,
        number: usize,
        slot: &'a LeaseSlot,
        progress: Progress,
    ) -> Self {
        let done = lease_word(ticket, rank, LeaseState::Done);
        Self { chunk, number, undo: &slot.undo, tag: 0, hold: Hold::Slot(slot, done), progress }
    }

    /// Returns the chunk.
    pub(crate) fn chunk(&self) -> Chunk {
        self.chunk.clone()
    }

    /// Returns the number of the saved block that goes with this lease: those of slots, then those of ranges.
    pub(crate) fn slot(&self) -> usize {
        self.number
    }

    /// Returns how far former executors came.
    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// Records that the saved block is a true copy of block `block`, which may now be overwritten.
    pub(crate) fn arm(&self, block: u64) {
        // Release: the copy comes before the claim that it is complete.
        self.undo.store(self.tag | block << 2 | 1, Release);
        // Release: that claim comes before the first overwrite. (A store's own Release orders only
        // what is before it; a death leaves a prefix in machine order, so the compiler must keep it.)
        fence(Release);
    }

    /// Records that all blocks up to and including `block` are final; the saved block may be reused.
    pub(crate) fn disarm(&self, block: u64) {
        self.next(block + 1);
    }

    /// Records that a saved block was copied back: it is as it was, and those before it are final.
    pub(crate) fn restored(&self, block: u64) {
        self.next(block);
    }

    fn next(&self, block: u64) {
        // Release: the results, or what was put back, come before the claim that they are there.
        self.undo.store(self.tag | block << 2 | 2, Release);
        // Release: that claim comes before the saved block is used again.
        fence(Release);
    }

    /// Returns the undo word: zero from the claim until this lease arms it.
    #[cfg(all(test, spmd_loom))]
    pub(in crate::shm) fn undo(&self) -> u64 {
        self.undo.load(Relaxed) // Ordered by whatever orders the leases: that is the question.
    }

    /// Marks the chunk as done. The owner touches a slot no more; of a range the next chunk is in hand.
    pub(crate) fn commit(self) {
        match self.hold {
            // Release, pairs with Acquire in `state` and `audit` [lease]: the results come first.
            Hold::Slot(slot, done) => slot.lease.store(done, Release),
            // Release, pairs with Acquire in `Ranges::range` [range]: likewise. It raises `lo`, which is
            // less than `hi` as long as a chunk is in hand.
            Hold::Range(slot) => {
                slot.range.fetch_add(1, Release);
            }
        }
    }
}
