//! Chunks that ranks own by ranges, and take from one another: `steal`, and `auto` where it chose that.
//!
//! # Protocol
//!
//! Chunks have numbers. Each rank has a word {lo, hi}: chunk `lo` is in its hand, those up to `hi` wait.
//!
//! ```text
//! begin    range[r] = the r-th part of all numbers, or empty        -- while nobody claims
//! claim    if lo < hi: chunk lo is mine, and was from the moment range[r] said so. No lock, no store.
//! commit   lo += 1, one addition: that chunk is done, and the next one in hand
//! steal    (lock held, range[me] empty)
//!          1. if who = {thief, victim}:                             -- the last thief died half-way
//!                if range[victim].hi = what.lo and range[thief].hi != what.hi:  range[thief] = what
//!                who = none
//!             if range[me] is not empty now: claim from it
//!          2. v = the rank with the most waiting, of my NUMA node, else of all; none: nothing is left for me
//!          3. {lo, hi} = range[v];  m = hi - half of hi - lo, so lo < m
//!             what = {m, hi};  who = {me, v}
//!             exchange range[v]: {lo, hi} -> {lo, m};  it differs: again from {lo, hi} = range[v]
//!             range[me] = {m, hi}
//!             who = none
//! audit    who = none, and every range is empty
//! ```
//!
//! # Why it is right
//!
//! *Every chunk has one owner.* Ranges are disjoint at first. As long as one is not empty its owner only
//! raises its `lo`, and its `hi` only falls, by the exchange, to above `lo`; what the exchange cuts off is
//! in `what` before, and in the thief's range after. Nobody but the owner stores to the victim's word
//! while the thief has the lock, and `lo` never comes back, so the exchange cannot be deceived.
//! *An addition is enough for the owner*: whatever thieves do, `lo < hi` holds while a chunk is in hand.
//! *No chunk is lost or doubled by a death.* A dead owner's word says what is done, what it had in hand,
//! and what waits. Its replacement goes on from the same word, and meanwhile others may steal what waits.
//! A dead thief held the lock, so nobody else has stolen since. Between `who = {me, v}` and `who = none`
//! only the exchange can lower the victim's `hi`, so `hi` says whether it took place. If it did, the
//! thief's word says whether it was told: until then it is empty, and an empty range never ends where a
//! range ends that waits (0 is no end of one that waits; else the chunk before the end would have been in
//! both). The thief's replacement may have begun on the range by then; its `hi` is still the same.
//! *Nobody leaves too early.* Who finds nothing waiting leaves; what others have in hand is theirs or
//! their replacement's, and what a dead thief has in transit is put into its range by its
//! replacement, at the latest, before that can leave.
//!
//! *Who only reads* (`snapshot`) reads `who`, `what`, all ranges, and `who` again. Whatever it saw of a
//! transfer, it then sees in `who` that this has begun, or has ended: who reads what the exchange made of a
//! range, what a thief stored, or a later `what`, reads all that came before (Acquire of a Release). So
//! where `who` is the same word, at most one transfer was going on, the one it names.
//!
//! *In place*, `undo[r]` says {chunk, block, state}, as a lease slot's does, and names the chunk: it is
//! not reset when `lo` moves on, a word of another chunk says nothing.
//!
//! `tests/model/steal.rs` searches every interleaving of these stores with deaths, and `loom_ranges.rs`
//! runs this code on weak memory.

use super::super::point::{Point, Probe};
use super::super::sync::{Acquire, AtomicU64, Relaxed, Release, spin_loop};
use super::{Hold, Lease, Progress};
use crate::schedule::{Choice, Chunk, Partition, Seen};

/// A rank's range, alone on its line.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct RangeSlot {
    /// {hi: 32, lo: 32}. Raised in `lo` by its owner; otherwise written under the counter's lock only.
    pub(super) range: AtomicU64,
    /// {chunk: 32, block: 30, state: 2}; by the owner, for chunks computed in place.
    pub(super) undo: AtomicU64,
    /// The NUMA node of this rank's CPU; written before any rank exists.
    pub(super) node: AtomicU64,
}

/// What passes from one rank to another, and what `auto` has decided. Written under the lock.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Handover {
    /// {moves: 32, unused: 7, thief: 12, victim: 12, armed: 1}; `moves` counts those that ended.
    who: AtomicU64,
    /// The range that passes, as in [`RangeSlot`].
    what: AtomicU64,
    /// See [`Choice`]; 0: nothing is decided.
    choice: AtomicU64,
    /// What was decided on: items, chunks, busy, claim, map.
    seen: [AtomicU64; 5],
}

/// The ranges of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranges<'a> {
    slots: &'a [RangeSlot],
    handover: &'a Handover,
}

/// A range, as a word says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) lo: u32,
    pub(super) hi: u32,
}

impl Range {
    #[expect(clippy::cast_possible_truncation, reason = "halves of a word")]
    fn of(word: u64) -> Self {
        Self { lo: word as u32, hi: (word >> 32) as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.hi) << 32 | u64::from(self.lo)
    }

    pub(super) fn is_empty(self) -> bool {
        self.lo >= self.hi
    }

    /// Says whether nothing is left of it: it has come to its end, and that is one.
    fn is_done(self, partition: &Partition) -> bool {
        let last = self.hi.checked_sub(1);
        self.lo == self.hi && last.is_none_or(|last| partition.numbered(last).is_some())
    }

    /// Returns how many chunks wait behind the one in hand.
    fn waiting(self) -> u32 {
        self.hi.saturating_sub(self.lo).saturating_sub(1)
    }
}

/// Who takes from whom.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    thief: usize,
    victim: usize,
}

impl Transfer {
    fn of(who: u64) -> Option<Self> {
        let number = |shift: u32| (who >> shift & 0xfff) as usize;
        (who & 1 != 0).then(|| Self { thief: number(13), victim: number(1) })
    }

    /// Returns the word of this transfer, after `moves` others.
    fn word(self, moves: u64) -> u64 {
        moves << 32 | (self.thief as u64 & 0xfff) << 13 | (self.victim as u64 & 0xfff) << 1 | 1
    }
}

impl<'a> Ranges<'a> {
    pub(crate) fn new(slots: &'a [RangeSlot], handover: &'a Handover) -> Self {
        Self { slots, handover }
    }

    /// Gives each rank its first range. While no rank can claim: the barrier, or the choice, publishes it.
    pub(super) fn lay_out(&self, partition: &Partition) {
        for (rank, slot) in (0..).zip(self.slots) {
            let range = partition.range(rank);
            // An empty one is 0..0: an end that no range which waits has. (Of even parts none waits
            // where one is empty; nothing here leans on that.)
            let range = if range.is_empty() { 0..0 } else { range };
            let word = Range { lo: range.start, hi: range.end }.word();
            slot.range.store(word, Relaxed); // Published by the barrier, or by [choice].
            slot.undo.store(0, Relaxed); // Published by the barrier, or by [choice].
        }
        self.handover.who.store(0, Relaxed); // Published by the barrier, or by [choice].
    }

    /// Returns what `auto` has chosen.
    pub(crate) fn choice(&self) -> Option<Choice> {
        // Acquire, pairs with Release in `choose` [choice]: the ranges were laid out before.
        Choice::of_word(self.handover.choice.load(Acquire))
    }

    /// Returns what the choice was made by.
    pub(crate) fn seen(&self) -> Seen {
        let [items, chunks, busy, claim, map] =
            [0, 1, 2, 3, 4].map(|at: usize| self.handover.seen[at].load(Relaxed)); // Published by [choice].
        Seen { items, chunks, busy, claim, map }
    }

    /// Makes a choice known; what it needs is laid out. Under the lock, or while no rank can claim.
    pub(super) fn choose(&self, choice: Option<Choice>, seen: Seen) {
        let figures = [seen.items, seen.chunks, seen.busy, seen.claim, seen.map];
        for (word, figure) in self.handover.seen.iter().zip(figures) {
            word.store(figure, Relaxed); // Published by [choice].
        }
        // Release, pairs with Acquire in `choice` [choice].
        self.handover.choice.store(choice.map_or(0, Choice::to_word), Release);
    }

    fn range(&self, rank: usize) -> Range {
        // Acquire, pairs with Release in `take`, `finish` and `commit` [range].
        self.slots
            .get(rank)
            .map_or(Range { lo: 0, hi: 0 }, |slot| Range::of(slot.range.load(Acquire)))
    }

    /// Returns the chunk this rank has in hand, as long as its range is not empty.
    pub(super) fn own(&self, partition: &Partition, rank: u32) -> Option<Lease<'a>> {
        let slot = self.slots.get(rank as usize)?;
        let range = self.range(rank as usize);
        let chunk = self.chunk(partition, range)?;
        // Relaxed: its only writers are this rank, and the processes before it, which are dead.
        let undo = slot.undo.load(Relaxed);
        let progress = if undo >> 32 == u64::from(range.lo) {
            Progress::of(undo & u64::from(u32::MAX))
        } else {
            Progress::Nothing
        };
        Some(Lease {
            chunk,
            number: self.slots.len() + rank as usize,
            undo: &slot.undo,
            tag: u64::from(range.lo) << 32,
            hold: Hold::Range(slot),
            progress,
        })
    }

    fn chunk(&self, partition: &Partition, range: Range) -> Option<Chunk> {
        if range.is_empty() { None } else { partition.numbered(range.lo) }
    }

    /// Returns the chunk a rank has in hand, for messages: of one that is in a pass.
    pub(super) fn in_hand(&self, partition: &Partition, rank: u32) -> Option<Chunk> {
        self.chunk(partition, self.range(rank as usize))
    }

    /// Takes half of what waits with the rank that has the most. The counter's lock must be held, and
    /// this rank's range be empty.
    pub(super) fn steal(
        &self,
        partition: &Partition,
        rank: u32,
        probe: &impl Probe,
    ) -> Option<Lease<'a>> {
        self.finish(probe);
        if let Some(lease) = self.own(partition, rank) {
            return Some(lease);
        }
        while let Some(victim) = self.richest(rank as usize) {
            if self.take(Transfer { thief: rank as usize, victim }, probe) {
                return self.own(partition, rank);
            }
        }
        None
    }

    /// Says on which node each rank's memory is. Before any rank exists.
    pub(super) fn place(&self, nodes: &[u32]) {
        for (slot, &node) in self.slots.iter().zip(nodes) {
            slot.node.store(node.into(), Relaxed); // Published by [magic].
        }
    }

    /// Returns the rank with the most chunks waiting, of those on the thief's NUMA node if any of them has
    /// one, for its memory is near; of those alike the next one in the ring.
    fn richest(&self, thief: usize) -> Option<usize> {
        let count = self.slots.len();
        let node = |rank: usize| self.slots[rank].node.load(Relaxed); // Published by [magic].
        let others = (1..count).map(|step| (thief + step) % count);
        let mut best = (false, 0, None);
        for rank in others {
            let waiting = self.range(rank).waiting();
            let near = waiting > 0 && node(rank) == node(thief);
            if (near, waiting) > (best.0, best.1) {
                best = (near, waiting, Some(rank));
            }
        }
        best.2
    }

    /// Moves half of what waits with the victim to the thief; false if nothing waits there any more.
    fn take(&self, transfer: Transfer, probe: &impl Probe) -> bool {
        let (victim, thief) = (&self.slots[transfer.victim], &self.slots[transfer.thief]);
        let handover = self.handover;
        let moves = handover.who.load(Relaxed) >> 32; // Written under the lock, as all of it.
        let mut seen = victim.range.load(Relaxed); // The exchange decides.
        let taken = loop {
            let Range { lo, hi } = Range::of(seen);
            if Range::of(seen).waiting() == 0 {
                handover.who.store((moves + 1) << 32, Release); // As below.
                return false;
            }
            let middle = hi - (hi - lo) / 2;
            let what = Range { lo: middle, hi };
            // Again, if the owner was faster: only `middle` differs, and `hi` still says "not taken".
            // Release, pairs with Acquire in `snapshot` [what]: who sees it sees that the transfer
            // before, of whatever rank, has ended. Itself it is published by `who`, or the exchange.
            handover.what.store(what.word(), Release);
            // Release, pairs with Acquire in `finish` and `snapshot` [who].
            handover.who.store(transfer.word(moves), Release);
            probe.at(Point::StealBegun);
            let cut = Range { lo, hi: middle }.word();
            // Release, pairs with Acquire in `range` [range]: `who` comes before. What follows is a Release
            // too, and so comes after; of what the victim did the thief needs nothing.
            match victim.range.compare_exchange(seen, cut, Release, Relaxed) {
                Ok(_) => break what,
                Err(now) => seen = now,
            }
        };
        probe.at(Point::StealTaken);
        thief.range.store(taken.word(), Release); // Pairs with Acquire in `range` [range].
        probe.at(Point::StealMoved);
        // Release, pairs with Acquire in `snapshot` [who]: the ranges come before.
        handover.who.store((moves + 1) << 32, Release);
        true
    }

    /// Ends what a thief began that died with the lock.
    fn finish(&self, probe: &impl Probe) {
        let who = self.handover.who.load(Acquire); // Pairs with Release in `take` [who].
        let Some(transfer) = Transfer::of(who) else { return };
        let what = self.handover.what.load(Relaxed); // Ordered by [who].
        let Range { lo: middle, hi } = Range::of(what);
        let taken = self.range(transfer.victim).hi == middle;
        if taken
            && self.range(transfer.thief).hi != hi
            && let Some(thief) = self.slots.get(transfer.thief)
        {
            thief.range.store(what, Release); // Pairs with Acquire in `range` [range].
        }
        probe.at(Point::StealFinished);
        // Release, pairs with Acquire in `snapshot` [who].
        self.handover.who.store(((who >> 32) + 1) << 32, Release);
    }

    /// Says whether a transfer is open.
    pub(super) fn is_passing(&self) -> bool {
        // Acquire, pairs with Release in `take` and `finish` [who].
        Transfer::of(self.handover.who.load(Acquire)).is_some()
    }

    /// Returns all that is in ranges or between them, at one moment; `None` if they never hold still.
    /// A word that no rank can have stored, past the last chunk or with its end before its begin, is
    /// returned as it is.
    ///
    /// `who` changes when a transfer begins and when it ends. Where it was the same before and after
    /// all words were read, at most one was going on, and what that moves is counted too, unless it had
    /// arrived: its thief's replacement may have begun on it.
    pub(super) fn snapshot(&self, partition: &Partition) -> Option<Vec<Range>> {
        const TRIES: u32 = 1000;
        for _ in 0..TRIES {
            let before = self.handover.who.load(Acquire); // Pairs with Release in `take` [who].
            // Acquire, pairs with Release in `take` [what]: if it is a later transfer's, `who` differs
            // below. An earlier `middle` of the same transfer is a larger range.
            let what = Range::of(self.handover.what.load(Acquire));
            let mut ranges: Vec<Range> = (0..self.slots.len()).map(|at| self.range(at)).collect();
            // Relaxed: all loads above are Acquire, so they come before this one.
            if self.handover.who.load(Relaxed) == before {
                if let Some(transfer) = Transfer::of(before)
                    && ranges.get(transfer.thief).is_none_or(|thief| thief.hi != what.hi)
                {
                    ranges.push(what);
                }
                ranges.retain(|range| !range.is_done(partition));
                return Some(ranges);
            }
            spin_loop();
        }
        None
    }
}

#[cfg(test)]
impl RangeSlot {
    pub(crate) fn new() -> Self {
        Self { range: AtomicU64::new(0), undo: AtomicU64::new(0), node: AtomicU64::new(0) }
    }
}

#[cfg(test)]
impl Handover {
    pub(crate) fn new() -> Self {
        Self {
            who: AtomicU64::new(0),
            what: AtomicU64::new(0),
            choice: AtomicU64::new(0),
            seen: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests;
