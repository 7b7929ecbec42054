//! Who owns which chunk: one word, one store, the only truth.
//!
//! # Protocol
//!
//! Each queue has a `tail` word, {last ticket claimed, slot it went to}, and there are as many
//! *lease slots* as ranks. All tails and the choice of a slot are under the counter's lock.
//!
//! ```text
//! claim    (lock held)  1. if lease[tail.slot] is idle, or of another ticket than the tail's:
//!                              lease[tail.slot] = {tail.ticket, ORPHAN}      -- its claimer died half-way
//!                       2. if a slot s is ORPHAN:
//!                              lease[s] = {same ticket, RUN, me}             -- adopted, one store
//!                       3. else t = the ticket after tail's;  s = a slot neither RUN nor ORPHAN
//!                              undo[s] = NONE
//!                              tail    = {t, s}            -- this one store decides: chunk t is taken
//!                              lease[s] = {t, RUN, me}
//! run      no lock.     an adopter first: if undo[s] = ARMED(b): copy saved[s] -> block b; undo[s] = NEXT(b)
//!                       in place, for each block b from the one NEXT names:
//!                       copy block -> saved[s];  undo[s] = ARMED(b);  compute;  undo[s] = NEXT(b+1)
//! commit   no lock.     lease[s] = {t, DONE, me}   -- the last store of the owner to this slot
//! give up  the launcher, once the death of w is confirmed, no lock:
//!                       for each slot RUN by w: lease[s] = {same ticket, ORPHAN}
//! audit    a pass is complete when every tail is past its queue's end and every lease is DONE
//! ```
//!
//! A chunk is owned from the moment `tail` names it. A claimer that dies between the two stores
//! leaves a lease that disagrees with its queue's tail: idle, or of another ticket. The next claimer
//! looks for that before it moves the tail, because afterwards nothing would say it any more.
//!
//! Every dead rank is replaced by a new process of the same number, which begins by claiming. So
//! nobody has to wait for orphans: who finds the queue empty leaves, and what is orphaned after that
//! is adopted by the replacement. `tests/model` searches every interleaving of these stores, and
//! `loom_deaths.rs` what weak memory makes of them.
//!
//! Bookkeeping is one word per queue and two per rank, whatever n and the chunk are. A free slot
//! always exists: a rank runs at most one chunk, and the replacement of one that left an orphan takes
//! no new chunk while there is any.
//!
//! # Why `undo` cannot lie
//!
//! The owner stores `undo[s]` only between its claim and its commit, and the next claimer of `s`
//! resets it only after it has read that commit (Acquire on `lease`). So the word always belongs
//! to the chunk its lease names. Chunks of a queue owned by one rank (`static`) use that rank's slot
//! and no other: a lease does not say of which queue its ticket is. Chunks of the shared queue use any.
//!
//! # Chunks that no queue has
//!
//! Under `steal` ranks own ranges of chunks: see `ranges.rs`. `auto` begins with the shared queue. Whoever
//! would claim the first ticket after the part that is looked at decides instead, under the lock: it
//! lays out the ranges, empty ones if it wants none, and then stores the choice, one word. A death before
//! that store leaves ranges that nobody looks at, and the next claimer decides, perhaps otherwise. The
//! words of the queue stay what they are; what they hold is finished as ever: a rank looks for orphans
//! whenever it takes the lock, and it leaves only from there.

mod lease;
mod look;
mod ranges;

use self::lease::Hold;
pub(crate) use self::lease::{Lease, Progress};
pub(crate) use self::look::Incomplete;
pub(crate) use self::ranges::{Handover, RangeSlot, Ranges};
use super::point::{Point, Probe};
use super::sync::{Acquire, AtomicU64, Relaxed, Release};
use crate::schedule::{Choice, Chunk, Partition, Scope, Seen, Ticket, Weight};

const SLOT_BITS: u32 = 64 - Ticket::BITS;
const NO_SLOT: u64 = (1 << SLOT_BITS) - 1;

/// The tail of one queue, alone on its line.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Tail {
    /// {last ticket claimed: 48, slot it went to: 16}. Written under the counter's lock only.
    word: AtomicU64,
    /// Not zero once a slot of this queue was an orphan: until then claimers need not look for one.
    orphaned: AtomicU64,
}

/// One lease slot, alone on its line. Written by the rank that claimed it, and by whoever recovers it.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct LeaseSlot {
    /// {ticket: 48, executor: 12, unused: 2, state: 2}.
    lease: AtomicU64,
    /// {block: 62, state: 2}; meaningful while the lease is RUN, for chunks computed in place.
    undo: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseState {
    /// Never used in this pass.
    Idle,
    /// Its executor computes the chunk.
    Run,
    /// The chunk is computed.
    Done,
    /// The chunk is claimed, and its executor is dead.
    Orphan,
}

impl LeaseState {
    fn of(word: u64) -> Self {
        match word & 3 {
            0 => Self::Idle,
            1 => Self::Run,
            2 => Self::Done,
            _ => Self::Orphan,
        }
    }

    /// Says whether a slot in this state holds a chunk that is not done.
    fn taken(self) -> bool {
        matches!(self, Self::Run | Self::Orphan)
    }
}

fn lease_word(ticket: Ticket, executor: u32, state: LeaseState) -> u64 {
    ticket.raw() << SLOT_BITS | u64::from(executor & 0xfff) << 4 | state as u64
}

fn tail_word(ticket: Ticket, slot: u64) -> u64 {
    ticket.raw() << SLOT_BITS | slot
}

/// The claim words of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims<'a> {
    tails: &'a [Tail],
    slots: &'a [LeaseSlot],
    ranges: Ranges<'a>,
}

/// Who asks for a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimer {
    pub(crate) rank: u32,
    /// How fast it has been, for schedules that care.
    pub(crate) weight: Weight,
}

impl Claimer {
    /// A rank of which nothing is known but its number.
    #[cfg(test)]
    pub(crate) fn of(rank: u32) -> Self {
        Self { rank, weight: Weight::EVEN }
    }
}

impl<'a> Claims<'a> {
    /// Views the claim words; there are as many tails as queues, and as many slots as ranks.
    pub(crate) fn new(tails: &'a [Tail], slots: &'a [LeaseSlot], ranges: Ranges<'a>) -> Self {
        Self { tails, slots, ranges }
    }

    /// Makes every chunk unclaimed, for ranks on these NUMA nodes. Before any rank exists.
    pub(crate) fn begin(&self, partition: &Partition, nodes: &[u32]) {
        self.ranges.place(nodes);
        self.ranges.choose(None, Seen::default());
        self.reset(partition);
    }

    /// Makes every chunk unclaimed again. Only while no rank can claim: between two barriers. What `auto`
    /// has chosen stays, and holds from the first index on.
    pub(crate) fn reset(&self, partition: &Partition) {
        if let Some(choice) = self.ranges.choice() {
            let choice = Choice { scope: Scope::Whole, ..choice };
            self.ranges.choose(Some(choice), self.ranges.seen());
        }
        self.ranges.lay_out(&self.settled(partition));
        for tail in self.tails {
            let none = tail_word(Ticket::from_raw(0), NO_SLOT);
            tail.word.store(none, Relaxed); // Published by the barrier.
        }
        for slot in self.slots {
            slot.lease.store(0, Relaxed); // Published by the barrier.
            slot.undo.store(0, Relaxed); // Published by the barrier.
        }
    }

    /// Returns the partition with what `auto` has chosen by now.
    ///
    /// Words that speak of what follows the choice must be read before this.
    pub(crate) fn settled(&self, partition: &Partition) -> Partition {
        if partition.is_chosen_late() { partition.with(self.ranges.choice()) } else { *partition }
    }

    /// Returns what `auto` has chosen by, once it has.
    pub(crate) fn seen(&self) -> Seen {
        self.ranges.seen()
    }

    /// Returns the chunk a rank has in hand in its own range, if it has one. No lock, and no store.
    pub(crate) fn own(&self, partition: &Partition, rank: u32) -> Option<Lease<'a>> {
        // A partition is many words: only one that changes is copied.
        if partition.is_chosen_late() {
            let partition = self.settled(partition);
            if partition.has_ranges() { self.ranges.own(&partition, rank) } else { None }
        } else if partition.has_ranges() {
            self.ranges.own(partition, rank)
        } else {
            None
        }
    }

    /// Claims a chunk for a rank: an orphan, or else the next of its queue, or else one that waits with
    /// another rank. The counter's lock must be held. `decide` is asked if it is time for `auto` to choose.
    pub(crate) fn claim(
        &self,
        partition: &Partition,
        claimer: Claimer,
        decide: impl FnOnce(&Partition) -> (Choice, Seen),
        probe: &impl Probe,
    ) -> Option<Lease<'a>> {
        let rank = claimer.rank;
        let queue = self.queue_of(rank);
        let tail = self.tails.get(queue as usize)?;
        probe.at(Point::LockHeld);
        // Relaxed: tails are read and written under the lock.
        let last = tail.word.load(Relaxed);
        self.repair(tail, last, probe);
        // A partition is many words: only one that changes is copied.
        let mut settled;
        let mut partition = partition;
        if partition.is_chosen_late() {
            settled = self.settled(partition);
            partition = &settled;
        }
        if let Some(lease) = self.adopt(partition, tail, rank, probe) {
            return Some(lease);
        }
        let ticket = if last & NO_SLOT == NO_SLOT {
            partition.first(queue, claimer.weight)
        } else {
            partition.next(queue, Ticket::from_raw(last >> SLOT_BITS), claimer.weight)
        };
        if partition.is_undecided_at(ticket) {
            let (choice, seen) = decide(partition);
            settled = partition.with(Some(choice));
            partition = &settled;
            self.ranges.lay_out(partition);
            probe.at(Point::ChoiceLaidOut);
            self.ranges.choose(Some(choice), seen);
            probe.at(Point::ChoiceMade);
        }
        if partition.has_ranges() {
            return self
                .ranges
                .own(partition, rank)
                .or_else(|| self.ranges.steal(partition, rank, probe));
        }
        let chunk = partition.chunk(queue, ticket)?;
        let number = self.slots_of(rank).find(|&number| !self.state(number).taken())?;
        let slot = &self.slots[number];
        slot.undo.store(0, Relaxed); // Before `tail` in program order: a death leaves a prefix.
        // Release, pairs with Acquire in `audit_tails` [tail]: the store that decides. A death leaves
        // a prefix of the stores in machine order, and Release keeps the compiler from moving the
        // ones above below it.
        tail.word.store(tail_word(ticket, number as u64), Release);
        probe.at(Point::LockTail);
        // Release, pairs with Acquire in `state` [lease].
        slot.lease.store(lease_word(ticket, rank, LeaseState::Run), Release);
        probe.at(Point::LockLease);
        Some(Lease::of_slot(chunk, ticket, rank, number, slot, Progress::Nothing))
    }

    /// Makes an orphan of the last claim of a queue, if its claimer died before it stored the lease.
    fn repair(&self, tail: &Tail, last: u64, probe: &impl Probe) {
        if let Some((slot, ticket)) = self.half_way(last) {
            tail.orphaned.store(1, Relaxed); // Read under the lock, or by nobody: see `give_up`.
            // Release, pairs with Acquire in `state` [lease].
            slot.lease.store(lease_word(ticket, 0, LeaseState::Orphan), Release);
            probe.at(Point::LockRepaired);
        }
    }

    /// Returns slot and ticket of a tail's last claim, if its lease does not say the same yet.
    fn half_way(&self, tail: u64) -> Option<(&'a LeaseSlot, Ticket)> {
        let number = usize::try_from(tail & NO_SLOT).ok()?;
        let slot = self.slots.get(number)?; // None: no claim yet.
        let ticket = Ticket::from_raw(tail >> SLOT_BITS);
        let word = slot.lease.load(Acquire); // Pairs with Release in `claim` and `commit` [lease].
        // An idle lease is all zero, and so "of ticket 0": its state has to be looked at too.
        let half = LeaseState::of(word) == LeaseState::Idle || ticket_of(word) != ticket;
        half.then_some((slot, ticket))
    }

    /// Returns the queue that a rank, or the slot of that number, belongs to.
    fn queue_of(&self, owner: u32) -> u32 {
        if self.tails.len() == 1 { 0 } else { owner }
    }

    /// Takes over a chunk whose executor died, if there is one that this rank may take.
    fn adopt(
        &self,
        partition: &Partition,
        tail: &Tail,
        rank: u32,
        probe: &impl Probe,
    ) -> Option<Lease<'a>> {
        // Acquire, pairs with Release in `give_up` [orphaned].
        if tail.orphaned.load(Acquire) == 0 {
            return None;
        }
        let number = self.slots_of(rank).find(|&at| self.state(at) == LeaseState::Orphan)?;
        let slot = &self.slots[number];
        let word = slot.lease.load(Acquire); // Pairs with Release in `give_up` [lease].
        let chunk = self.chunk_of(partition, number, word)?;
        let ticket = ticket_of(word);
        // Relaxed: its writer is dead, and whoever made an orphan of the slot came after it.
        let progress = Progress::of(slot.undo.load(Relaxed));
        probe.at(Point::AdoptBefore);
        // Release, pairs with Acquire in `state` [lease]: one store, and the chunk is ours.
        slot.lease.store(lease_word(ticket, rank, LeaseState::Run), Release);
        probe.at(Point::AdoptAfter);
        Some(Lease::of_slot(chunk, ticket, rank, number, slot, progress))
    }

    /// Gives away what a dead rank had in hand, and returns it.
    ///
    /// For the launcher alone, once the death is confirmed and before the rank's replacement exists:
    /// nobody else then writes to a slot that is RUN by that rank, so no lock is needed.
    pub(crate) fn give_up(&self, partition: &Partition, rank: u32) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for (number, slot) in self.slots.iter().enumerate() {
            let word = slot.lease.load(Acquire); // Pairs with Release in `claim` and `adopt` [lease].
            if LeaseState::of(word) != LeaseState::Run || executor(word) != rank {
                continue;
            }
            chunks.extend(self.chunk_of(partition, number, word));
            let queue = if self.tails.len() == 1 { 0 } else { number };
            // Release, pairs with Acquire in `state` [lease].
            slot.lease.store(lease_word(ticket_of(word), 0, LeaseState::Orphan), Release);
            if let Some(tail) = self.tails.get(queue) {
                // Release, pairs with Acquire in `adopt` [orphaned]. A claimer that misses it takes a
                // new chunk; the replacement, started after this, does not miss it.
                tail.orphaned.store(1, Release);
            }
        }
        chunks
    }

    /// Returns the slots a rank may use, its own first; no other if queues have owners.
    fn slots_of(&self, rank: u32) -> impl Iterator<Item = usize> + use<> {
        let own = rank as usize;
        let count = self.slots.len();
        let choices = if self.tails.len() == 1 { count } else { 1 };
        (0..choices).map(move |step| (own + step) % count)
    }

    fn state(&self, number: usize) -> LeaseState {
        // Acquire, pairs with Release in `claim`, `give_up` and `commit` [lease].
        LeaseState::of(self.slots[number].lease.load(Acquire))
    }

    fn chunk_of(&self, partition: &Partition, slot: usize, word: u64) -> Option<Chunk> {
        let queue = self.queue_of(u32::try_from(slot).ok()?);
        self.settled(partition).chunk(queue, ticket_of(word))
    }
}

fn ticket_of(word: u64) -> Ticket {
    Ticket::from_raw(word >> SLOT_BITS)
}

fn executor(word: u64) -> u32 {
    (word >> 4 & 0xfff) as u32
}

#[cfg(test)]
impl Tail {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(tail_word(Ticket::from_raw(0), NO_SLOT)),
            orphaned: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
impl LeaseSlot {
    pub(crate) fn new() -> Self {
        Self { lease: AtomicU64::new(0), undo: AtomicU64::new(0) }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests;
