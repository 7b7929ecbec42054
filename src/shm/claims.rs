//! Who owns which chunk: one word, one store, the only truth.
//!
//! # Protocol
//!
//! Each queue has a `tail` word, {last ticket claimed, slot it went to}, and there are as many
//! *lease slots* as ranks. All tails and the choice of a slot are under the counter's lock.
//!
//! ```text
//! claim    (lock held)  t = the ticket after tail's;  s = a slot whose lease is not RUN
//!                       undo[s] = NONE
//!                       tail    = {t, s}            -- this one store decides: chunk t is taken
//!                       lease[s] = {t, RUN, rank}
//! run      no lock.     in place, for each block b of the chunk:
//!                       copy block -> saved[s];  undo[s] = ARMED(b);  compute;  undo[s] = NEXT(b+1)
//! commit   no lock.     lease[s] = {t, DONE, rank}  -- the last store of the owner to this slot
//! audit    a pass is complete when every tail is past its queue's end and no lease is RUN
//! ```
//!
//! A chunk is owned from the moment `tail` names it. A claimer that dies between the two stores
//! leaves a lease that disagrees with its queue's tail: idle, or of another ticket. That is enough to
//! find the chunk again without a second record of who owns what, but only until the next claim moves
//! the tail. So whoever claims after a death has to look first. Today nobody does, because a death
//! ends the run: an audit after a death proves nothing. `tests/model/` has the recovery that these
//! words are made for, and what goes wrong without each of its rules.
//!
//! Bookkeeping is one word per queue and two per rank, whatever n and the chunk are. A free slot
//! always exists: a rank runs at most one chunk, so at most procs - 1 slots are RUN when the last
//! rank comes to claim.
//!
//! # Why `undo` cannot lie
//!
//! The owner stores `undo[s]` only between its claim and its commit, and the next claimer of `s`
//! resets it only after it has read that commit (Acquire on `lease`). So the word always belongs
//! to the chunk its lease names. Chunks of a queue owned by one rank (`static`) use that rank's slot
//! and no other: a lease does not say of which queue its ticket is. Chunks of the shared queue use any.

use super::sync::{Acquire, AtomicU64, Relaxed, Release, fence};
use crate::schedule::{Chunk, Partition, Ticket};

const SLOT_BITS: u32 = 64 - Ticket::BITS;
const NO_SLOT: u64 = (1 << SLOT_BITS) - 1;

/// The tail of one queue, alone on its line. Written under the counter's lock only.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Tail(AtomicU64);

/// One lease slot, alone on its line. Written by the rank that claimed it.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct LeaseSlot {
    /// {ticket: 48, executor: 12, attempts: 2, state: 2}.
    lease: AtomicU64,
    /// {block: 62, state: 2}; meaningful while the lease is RUN, for chunks computed in place.
    undo: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseState {
    Idle,
    Run,
    Done,
}

impl LeaseState {
    fn of(word: u64) -> Self {
        match word & 3 {
            0 => Self::Idle,
            2 => Self::Done,
            // 1, and 3: kept for a chunk whose owner is dead, which is not done either.
            _ => Self::Run,
        }
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
}

/// Proof in memory that a rank owns a chunk, until it commits.
#[derive(Debug)]
#[must_use = "a chunk that is claimed and not committed is never done"]
pub(crate) struct Lease<'a> {
    chunk: Chunk,
    ticket: Ticket,
    rank: u32,
    number: usize,
    slot: &'a LeaseSlot,
}

/// Why a pass is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incomplete {
    /// A queue holds chunks that nobody claimed.
    Unclaimed {
        /// The first of them.
        next: Chunk,
    },
    /// A chunk was claimed and not finished.
    Running {
        /// The rank that claimed it; `None` if it died before it could say so.
        rank: Option<u32>,
        /// The chunk; `None` if the words do not name one.
        chunk: Option<Chunk>,
    },
}

impl<'a> Claims<'a> {
    /// Views the claim words; there are as many tails as queues, and as many slots as ranks.
    pub(crate) fn new(tails: &'a [Tail], slots: &'a [LeaseSlot]) -> Self {
        Self { tails, slots }
    }

    /// Makes every chunk unclaimed again. Only while no rank can claim: between two barriers.
    pub(crate) fn reset(&self) {
        for tail in self.tails {
            tail.0.store(tail_word(Ticket::from_raw(0), NO_SLOT), Relaxed); // Published by the barrier.
        }
        for slot in self.slots {
            slot.lease.store(0, Relaxed); // Published by the barrier.
            slot.undo.store(0, Relaxed); // Published by the barrier.
        }
    }

    /// Claims the next chunk of the rank's queue. The counter's lock must be held.
    pub(crate) fn claim(&self, partition: &Partition, rank: u32) -> Option<Lease<'a>> {
        let queue = if self.tails.len() == 1 { 0 } else { rank };
        let tail = &self.tails.get(queue as usize)?.0;
        // Relaxed: tails are read and written under the lock.
        let last = tail.load(Relaxed);
        let ticket = if last & NO_SLOT == NO_SLOT {
            partition.first(queue)
        } else {
            partition.next(queue, Ticket::from_raw(last >> SLOT_BITS))
        };
        let chunk = partition.chunk(queue, ticket)?;
        let number = self.free_slot(rank)?;
        let slot = &self.slots[number];
        slot.undo.store(0, Relaxed); // Before `tail` in program order: a death leaves a prefix.
        // Release, pairs with Acquire in `audit_tails` [tail]: the store that decides. A death leaves
        // a prefix of the stores in machine order, and Release keeps the compiler from moving the
        // ones above below it.
        tail.store(tail_word(ticket, number as u64), Release);
        // Release, pairs with Acquire in `free_slot` [lease].
        slot.lease.store(lease_word(ticket, rank, LeaseState::Run), Release);
        Some(Lease { chunk, ticket, rank, number, slot })
    }

    /// Finds a slot that is not RUN, this rank's own first, and no other if queues have owners. The
    /// counter's lock must be held.
    fn free_slot(&self, rank: u32) -> Option<usize> {
        let own = rank as usize;
        let count = self.slots.len();
        let choices = if self.tails.len() == 1 { count } else { 1 };
        (0..choices).map(|step| (own + step) % count).find(|&number| {
            // Acquire, pairs with Release in `claim` and `commit` [lease].
            LeaseState::of(self.slots[number].lease.load(Acquire)) != LeaseState::Run
        })
    }

    /// Returns the chunk `rank` is in, for messages. Racy by nature, never out of range.
    pub(crate) fn current(&self, partition: &Partition, rank: u32) -> Option<Chunk> {
        self.slots.iter().enumerate().find_map(|(number, slot)| {
            let word = slot.lease.load(Acquire); // Pairs with Release in `claim` [lease].
            (LeaseState::of(word) == LeaseState::Run && executor(word) == rank)
                .then(|| self.chunk_of(partition, number, word))
                .flatten()
        })
    }

    /// Checks that every chunk was claimed and finished. `Ok` is true at any time, and of the pass
    /// whose words these are.
    ///
    /// Tails before slots: a tail at its queue's end means that every claim was made, and seeing it
    /// means seeing the leases of all claims but the last (which the tail names). So no slot that is
    /// found DONE below can be RUN again. The other way round, a slot could be claimed behind this
    /// reader's back.
    pub(crate) fn audit(&self, partition: &Partition) -> Result<(), Incomplete> {
        let claimed = self.audit_tails(partition);
        for (number, slot) in self.slots.iter().enumerate() {
            let word = slot.lease.load(Acquire); // Pairs with Release in `commit` [lease].
            if LeaseState::of(word) == LeaseState::Run {
                let chunk = self.chunk_of(partition, number, word);
                return Err(Incomplete::Running { rank: Some(executor(word)), chunk });
            }
        }
        claimed
    }

    /// Checks that every chunk was claimed, and the last of each queue finished.
    fn audit_tails(&self, partition: &Partition) -> Result<(), Incomplete> {
        for (queue, tail) in (0_u32..).zip(self.tails) {
            // Acquire, pairs with Release in `claim` [tail]; the lock orders that one after all
            // earlier claims of the queue.
            let last = tail.0.load(Acquire);
            let ticket = Ticket::from_raw(last >> SLOT_BITS);
            let next = if last & NO_SLOT == NO_SLOT {
                partition.first(queue)
            } else {
                // A claimer that died between its two stores shows here: the tail names a slot
                // whose lease is of another ticket.
                let slot = self.slots.get((last & NO_SLOT) as usize);
                let done = slot.is_some_and(|slot| {
                    let word = slot.lease.load(Acquire); // Pairs with Release in `commit` [lease].
                    Ticket::from_raw(word >> SLOT_BITS) == ticket
                        && LeaseState::of(word) == LeaseState::Done
                });
                if !done {
                    let chunk = partition.chunk(queue, ticket);
                    return Err(Incomplete::Running { rank: None, chunk });
                }
                partition.next(queue, ticket)
            };
            if let Some(next) = partition.chunk(queue, next) {
                return Err(Incomplete::Unclaimed { next });
            }
        }
        Ok(())
    }

    fn chunk_of(&self, partition: &Partition, slot: usize, word: u64) -> Option<Chunk> {
        let queue = if self.tails.len() == 1 { 0 } else { u32::try_from(slot).ok()? };
        partition.chunk(queue, Ticket::from_raw(word >> SLOT_BITS))
    }
}

fn executor(word: u64) -> u32 {
    (word >> 4 & 0xfff) as u32
}

impl Lease<'_> {
    /// Returns the chunk.
    pub(crate) fn chunk(&self) -> Chunk {
        self.chunk.clone()
    }

    /// Returns the number of the slot, and so of the saved block, that goes with this lease.
    pub(crate) fn slot(&self) -> usize {
        self.number
    }

    /// Records that the saved block is a true copy of block `block`, which may now be overwritten.
    pub(crate) fn arm(&self, block: u64) {
        // Release: the copy comes before the claim that it is complete.
        self.slot.undo.store(block << 2 | 1, Release);
        // Release: that claim comes before the first overwrite. (A store's own Release orders only
        // what is before it; a death leaves a prefix in machine order, so the compiler must keep it.)
        fence(Release);
    }

    /// Records that all blocks up to and including `block` are final; the saved block may be reused.
    pub(crate) fn disarm(&self, block: u64) {
        // Release: the results come before the claim that they are final.
        self.slot.undo.store((block + 1) << 2 | 2, Release);
        // Release: that claim comes before the saved block is used again.
        fence(Release);
    }

    /// Returns the undo word: zero from the claim until this lease arms it.
    #[cfg(all(test, spmd_loom))]
    pub(super) fn undo(&self) -> u64 {
        self.slot.undo.load(Relaxed) // Ordered by whatever orders the leases: that is the question.
    }

    /// Marks the chunk as done. The owner touches the slot no more.
    pub(crate) fn commit(self) {
        // Release, pairs with Acquire in `free_slot` and `audit` [lease]: the results come first.
        self.slot.lease.store(lease_word(self.ticket, self.rank, LeaseState::Done), Release);
    }
}

#[cfg(test)]
impl Tail {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(tail_word(Ticket::from_raw(0), NO_SLOT)))
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
    use crate::schedule::Schedule;
    use std::num::NonZeroU64;

    fn partition(schedule: &str, n: u64, procs: u32) -> Partition {
        let schedule: Schedule = schedule.parse().unwrap();
        Partition::new(schedule, n, procs, NonZeroU64::new(3).unwrap(), NonZeroU64::MIN)
    }

    fn words(partition: &Partition, procs: u32) -> (Vec<Tail>, Vec<LeaseSlot>) {
        (
            (0..partition.queues()).map(|_| Tail::new()).collect(),
            (0..procs).map(|_| LeaseSlot::new()).collect(),
        )
    }

    #[test]
    fn ranks_that_take_turns_claim_every_chunk_once() {
        for schedule in ["static", "static,2", "dynamic,3", "guided"] {
            for procs in [1_u32, 2, 3, 7] {
                let partition = partition(schedule, 25, procs);
                let (tails, slots) = words(&partition, procs);
                let claims = Claims::new(&tails, &slots);
                let mut seen = [0; 25];
                let mut idle = 0;
                for turn in (0..procs).cycle() {
                    let Some(lease) = claims.claim(&partition, turn) else {
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
                assert_eq!(seen, [1; 25], "{schedule} {procs}");
                assert_eq!(claims.audit(&partition), Ok(()));
                claims.reset();
                assert!(claims.audit(&partition).is_err());
            }
        }
    }

    #[test]
    fn the_audit_names_a_chunk_that_was_claimed_and_not_finished() {
        let partition = partition("dynamic,5", 10, 2);
        let (tails, slots) = words(&partition, 2);
        let claims = Claims::new(&tails, &slots);
        let _dropped = claims.claim(&partition, 1).unwrap();
        claims.claim(&partition, 0).unwrap().commit();
        let found = claims.audit(&partition);
        assert_eq!(found, Err(Incomplete::Running { rank: Some(1), chunk: Some(0..5) }));
    }

    #[test]
    fn the_audit_names_the_first_chunk_that_nobody_claimed() {
        let partition = partition("dynamic,5", 10, 2);
        let (tails, slots) = words(&partition, 2);
        let claims = Claims::new(&tails, &slots);
        claims.claim(&partition, 1).unwrap().commit();
        assert_eq!(claims.audit(&partition), Err(Incomplete::Unclaimed { next: 5..10 }));
    }

    #[test]
    fn the_audit_sees_a_claimer_that_died_between_its_two_stores() {
        let partition = partition("dynamic,5", 5, 1);
        let (tails, slots) = words(&partition, 1);
        tails[0].0.store(tail_word(Ticket::from_raw(0), 0), Release);
        let claims = Claims::new(&tails, &slots);
        assert_eq!(
            claims.audit(&partition),
            Err(Incomplete::Running { rank: None, chunk: Some(0..5) })
        );
    }

    #[test]
    fn a_queue_with_an_owner_uses_the_slot_of_that_owner_only() {
        let partition = partition("static,1", 4, 2);
        let (tails, slots) = words(&partition, 2);
        let claims = Claims::new(&tails, &slots);
        let first = claims.claim(&partition, 1).unwrap();
        assert_eq!(first.slot(), 1);
        assert!(claims.claim(&partition, 1).is_none(), "slot 0 is of the other queue");
        first.commit();
        assert_eq!(claims.claim(&partition, 1).unwrap().slot(), 1);
    }

    #[test]
    fn a_state_that_nobody_writes_is_not_done() {
        for word in [1, 3] {
            assert_eq!(LeaseState::of(word), LeaseState::Run);
        }
    }

    #[test]
    fn a_slot_still_running_is_not_given_out_again() {
        let partition = partition("dynamic,1", 4, 2);
        let (tails, slots) = words(&partition, 2);
        let claims = Claims::new(&tails, &slots);
        let first = claims.claim(&partition, 0).unwrap();
        let second = claims.claim(&partition, 0).unwrap();
        assert_ne!(first.slot(), second.slot());
        assert!(claims.claim(&partition, 0).is_none(), "no third slot");
        first.commit();
        second.commit();
    }
}
