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

mod look;
mod ranges;

pub(crate) use self::look::Incomplete;
pub(crate) use self::ranges::{Handover, RangeSlot, Ranges};
use super::point::{Point, Probe};
use super::sync::{Acquire, AtomicU64, Relaxed, Release, fence};
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

/// Proof in memory that a rank owns a chunk, until it commits.
#[derive(Debug)]
#[must_use = "a chunk that is claimed and not committed is never done"]
pub(crate) struct Lease<'a> {
    chunk: Chunk,
    number: usize,
    undo: &'a AtomicU64,
    /// What `undo` says besides block and state.
    tag: u64,
    hold: Hold<'a>,
    progress: Progress,
}

/// What makes a chunk a rank's, and done.
#[derive(Debug)]
enum Hold<'a> {
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
    fn of(undo: u64) -> Self {
        match undo & 3 {
            1 => Self::Saved(undo >> 2),
            2 => Self::Final(undo >> 2),
            _ => Self::Nothing,
        }
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
        let mut partition = self.settled(partition);
        if let Some(lease) = self.adopt(&partition, tail, rank, probe) {
            return Some(lease);
        }
        let ticket = if last & NO_SLOT == NO_SLOT {
            partition.first(queue, claimer.weight)
        } else {
            partition.next(queue, Ticket::from_raw(last >> SLOT_BITS), claimer.weight)
        };
        if partition.is_undecided_at(ticket) {
            let (choice, seen) = decide(&partition);
            partition = partition.with(Some(choice));
            self.ranges.lay_out(&partition);
            probe.at(Point::ChoiceLaidOut);
            self.ranges.choose(Some(choice), seen);
            probe.at(Point::ChoiceMade);
        }
        if partition.has_ranges() {
            return self
                .ranges
                .own(&partition, rank)
                .or_else(|| self.ranges.steal(&partition, rank, probe));
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

impl<'a> Lease<'a> {
    fn of_slot(
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
    pub(super) fn undo(&self) -> u64 {
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
mod tests {
    use super::*;
    use crate::schedule::{Schedule, Source};
    use std::num::NonZeroU64;

    pub(super) fn partition(schedule: &str, n: u64, procs: u32) -> Partition {
        let schedule: Schedule = schedule.parse().unwrap();
        Partition::new(schedule, n, procs, NonZeroU64::new(3).unwrap(), NonZeroU64::MIN)
    }

    /// Words in memory of their own.
    pub(super) struct Words {
        pub(super) tails: Vec<Tail>,
        pub(super) slots: Vec<LeaseSlot>,
        pub(super) ranges: Vec<RangeSlot>,
        pub(super) handover: Handover,
    }

    pub(super) fn words(partition: &Partition, procs: u32) -> Words {
        Words {
            tails: (0..partition.queues()).map(|_| Tail::new()).collect(),
            slots: (0..procs).map(|_| LeaseSlot::new()).collect(),
            ranges: (0..procs).map(|_| RangeSlot::new()).collect(),
            handover: Handover::new(),
        }
    }

    impl Words {
        /// The claims of a pass that begins.
        pub(super) fn claims(&self, partition: &Partition) -> Claims<'_> {
            let ranges = Ranges::new(&self.ranges, &self.handover);
            ranges.lay_out(partition);
            Claims::new(&self.tails, &self.slots, ranges)
        }
    }

    impl<'a> Claims<'a> {
        /// Claims as the counter does.
        pub(super) fn next(&self, partition: &Partition, rank: u32) -> Option<Lease<'a>> {
            let chunk = NonZeroU64::new(2).unwrap();
            let choice = Choice { source: Source::Ranges, chunk, scope: Scope::Rest };
            let decide = |_: &Partition| (choice, Seen::default());
            self.own(partition, rank)
                .or_else(|| self.claim(partition, Claimer::of(rank), decide, &()))
        }
    }

    const SCHEDULES: [&str; 9] =
        ["static", "static,2", "dynamic,3", "guided", "tss", "fac2,1", "awf-b", "steal,2", "auto"];

    #[test]
    fn ranks_that_take_turns_claim_every_chunk_once() {
        for schedule in SCHEDULES {
            for procs in [1_u32, 2, 3, 7] {
                // `auto` does not look first if there are few.
                let n = if schedule == "auto" { 4000 } else { 25 };
                let partition = partition(schedule, n, procs);
                let words = words(&partition, procs);
                let claims = words.claims(&partition);
                let mut seen = vec![0; usize::try_from(n).unwrap()];
                let mut idle = 0;
                for turn in (0..procs).cycle() {
                    let Some(lease) = claims.next(&partition, turn) else {
                        idle += 1;
                        if idle == procs {
                            break;
                        }
                        continue;
                    };
                    idle = 0;
                    assert_eq!(claims.current(&partition, turn), Some(lease.chunk()));
                    lease.chunk().for_each(|index| seen[usize::try_from(index).unwrap()] += 1);
                    lease.commit();
                }
                assert!(seen.iter().all(|&times| times == 1), "{schedule} {procs}");
                assert_eq!(claims.audit(&partition), Ok(()));
                claims.reset(&partition);
                assert!(claims.audit(&partition).is_err());
            }
        }
    }

    #[test]
    fn a_queue_with_an_owner_uses_the_slot_of_that_owner_only() {
        let partition = partition("static,1", 4, 2);
        let words = words(&partition, 2);
        let claims = words.claims(&partition);
        let first = claims.next(&partition, 1).unwrap();
        assert_eq!(first.slot(), 1);
        assert!(claims.next(&partition, 1).is_none(), "slot 0 is of the other queue");
        first.commit();
        assert_eq!(claims.next(&partition, 1).unwrap().slot(), 1);
    }

    #[test]
    fn a_slot_still_running_is_not_given_out_again() {
        let partition = partition("dynamic,1", 4, 2);
        let words = words(&partition, 2);
        let claims = words.claims(&partition);
        let first = claims.next(&partition, 0).unwrap();
        let second = claims.next(&partition, 0).unwrap();
        assert_ne!(first.slot(), second.slot());
        assert!(claims.next(&partition, 0).is_none(), "no third slot");
        first.commit();
        second.commit();
    }

    #[test]
    fn what_a_dead_rank_had_is_adopted_before_anything_new_is_claimed() {
        let partition = partition("dynamic,5", 20, 2);
        let words = words(&partition, 2);
        let claims = words.claims(&partition);
        let lost = claims.next(&partition, 1).unwrap();
        lost.arm(3);
        assert_eq!(claims.give_up(&partition, 0), []);
        assert_eq!(claims.give_up(&partition, 1), [0..5]);
        assert_eq!(claims.give_up(&partition, 1), [], "it is given away once");
        assert!(matches!(
            claims.audit(&partition),
            Err(Incomplete::Running { rank: None, chunk: Some(_) })
        ));
        let adopted = claims.next(&partition, 0).unwrap();
        assert_eq!((adopted.chunk(), adopted.progress()), (0..5, Progress::Saved(3)));
        adopted.restored(3);
        adopted.commit();
        assert_eq!(claims.next(&partition, 0).unwrap().chunk(), 5..10);
    }

    #[test]
    fn a_claim_that_stopped_half_way_is_found_by_the_next_claimer_or_by_the_replacement() {
        for schedule in ["dynamic,5", "static,5"] {
            for former in [0, 1] {
                let partition = partition(schedule, 20, 2);
                let words = words(&partition, 2);
                let claims = words.claims(&partition);
                for _ in 0..former {
                    claims.next(&partition, 1).unwrap().commit();
                }
                let last = words.tails.last().unwrap();
                let before = last.word.load(Relaxed);
                let half = claims.next(&partition, 1).unwrap().chunk();
                let word = last.word.load(Relaxed);
                // Its second store never happened.
                let was = if former == 0 {
                    0
                } else {
                    lease_word(ticket_of(before), 1, LeaseState::Done)
                };
                words.slots[1].lease.store(was, Relaxed);
                assert_eq!(claims.give_up(&partition, 1), []);
                assert_eq!(claims.next(&partition, 1).unwrap().chunk(), half);
                assert_eq!(last.word.load(Relaxed), word);
            }
        }
    }

    #[test]
    fn any_words_at_all_are_read_without_a_panic_and_never_pass_for_done() {
        let partition = partition("dynamic,5", 20, 2);
        for raw in [u64::MAX, 0x8000_0000_0000_0003, 3, 1, 0xffff_0000_ffff_0001] {
            for tail in [u64::MAX, u64::MAX - 1, raw] {
                let words = words(&partition, 2);
                words.tails[0].word.store(tail, Relaxed);
                words.tails[0].orphaned.store(raw, Relaxed);
                words.slots[0].lease.store(raw, Relaxed);
                words.slots[1].undo.store(raw, Relaxed);
                let claims = words.claims(&partition);
                let _ = claims.next(&partition, 0);
                let _ = claims.give_up(&partition, 1);
                assert!(claims.audit(&partition).is_err());
                let _ = claims.remaining(&partition);
            }
        }
    }
}
