//! What claim words say to somebody who only reads them: the audit, the checkpoint, and messages.

use super::{Acquire, Claims, LeaseState, NO_SLOT, SLOT_BITS, executor, ticket_of};
use crate::schedule::{Chunk, Partition, Ticket, Weight, merged};

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

impl Claims<'_> {
    /// Returns the chunk `rank` is in, for messages, if it is in a pass. Racy by nature, never out of range.
    pub(crate) fn current(&self, partition: &Partition, rank: u32) -> Option<Chunk> {
        let of_range = || {
            let partition = self.settled(partition);
            if partition.has_ranges() { self.ranges.in_hand(&partition, rank) } else { None }
        };
        self.leased(partition, rank).or_else(of_range)
    }

    fn leased(&self, partition: &Partition, rank: u32) -> Option<Chunk> {
        self.slots.iter().enumerate().find_map(|(number, slot)| {
            let word = slot.lease.load(Acquire); // Pairs with Release in `claim` [lease].
            (LeaseState::of(word) == LeaseState::Run && executor(word) == rank)
                .then(|| self.chunk_of(partition, number, word))
                .flatten()
        })
    }

    /// Returns the chunk whose claimer has stored the tail and not the lease, if there is one in the queue
    /// of `rank`. For messages: it may be a living claimer, seen between its two stores.
    pub(crate) fn half_claimed(&self, partition: &Partition, rank: u32) -> Option<Chunk> {
        let queue = self.queue_of(rank);
        // Acquire, pairs with Release in `claim` [tail].
        let last = self.tails.get(queue as usize)?.word.load(Acquire);
        let (_, ticket) = self.half_way(last)?;
        self.settled(partition).chunk(queue, ticket)
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
            let state = LeaseState::of(word);
            if state.taken() {
                let chunk = self.chunk_of(partition, number, word);
                let rank = (state == LeaseState::Run).then(|| executor(word));
                return Err(Incomplete::Running { rank, chunk });
            }
        }
        claimed?;
        let partition = self.settled(partition);
        if partition.has_ranges() { self.audit_ranges(&partition) } else { Ok(()) }
    }

    /// Checks that every range is empty, and nothing on its way from one to another.
    fn audit_ranges(&self, partition: &Partition) -> Result<(), Incomplete> {
        let Some(ranges) = self.ranges.snapshot(partition) else {
            return Err(Incomplete::Running { rank: None, chunk: None });
        };
        match ranges.first() {
            Some(range) => Err(match partition.numbered(range.lo) {
                Some(next) => Incomplete::Unclaimed { next },
                None => Incomplete::Running { rank: None, chunk: None },
            }),
            // Whoever leaves has ended what a dead thief began.
            None if self.ranges.is_passing() => {
                Err(Incomplete::Running { rank: None, chunk: None })
            }
            None => Ok(()),
        }
    }

    /// Checks that every chunk was claimed, and the last of each queue finished.
    fn audit_tails(&self, partition: &Partition) -> Result<(), Incomplete> {
        for (queue, tail) in (0_u32..).zip(self.tails) {
            // Acquire, pairs with Release in `claim` [tail]; the lock orders that one after all
            // earlier claims of the queue.
            let last = tail.word.load(Acquire);
            let ticket = Ticket::from_raw(last >> SLOT_BITS);
            let partition = self.settled(partition);
            let next = if last & NO_SLOT == NO_SLOT {
                partition.first(queue, Weight::EVEN)
            } else {
                // A claimer that died between its two stores shows here: the tail names a slot
                // whose lease is of another ticket.
                let slot = self.slots.get((last & NO_SLOT) as usize);
                let done = slot.is_some_and(|slot| {
                    let word = slot.lease.load(Acquire); // Pairs with Release in `commit` [lease].
                    ticket_of(word) == ticket && LeaseState::of(word) == LeaseState::Done
                });
                if !done {
                    let chunk = partition.chunk(queue, ticket);
                    return Err(Incomplete::Running { rank: None, chunk });
                }
                partition.next(queue, ticket, Weight::EVEN)
            };
            if let Some(next) = partition.chunk(queue, next) {
                return Err(Incomplete::Unclaimed { next });
            }
        }
        Ok(())
    }

    /// Returns what is not surely finished, sorted and merged; `None` if a word names a chunk that the
    /// partition does not have, which words that were read from a file may.
    ///
    /// True at any time, also of words whose ranks were killed all at once, because a rank leaves a
    /// prefix of its stores. Tails are read before slots. Take a chunk that this does not return: its
    /// ticket is not after the tail that was read, so its claim came before (the lock orders the claims
    /// of a queue, and the tail's Acquire shows them). From its claim on its slot says RUN, or ORPHAN, until
    /// the commit; a claim that stopped half-way is the tail's own, or was repaired before the tail
    /// moved on. It was not found RUN or ORPHAN, so its slot had been committed: it says DONE, or is
    /// another chunk's, whose claimer had read that DONE (Acquire). Either way the results are seen. Read
    /// the other way round, a chunk could be claimed in a slot that was passed, and be covered by the
    /// tail. A chunk that commits while this reads, or is claimed, may be returned: that is safe.
    pub(crate) fn remaining(&self, partition: &Partition) -> Option<Vec<Chunk>> {
        let mut chunks = Vec::new();
        let mut next = Vec::with_capacity(self.tails.len());
        for (queue, tail) in (0_u32..).zip(self.tails) {
            // Acquire, pairs with Release in `claim` [tail].
            let last = tail.word.load(Acquire);
            let partition = self.settled(partition);
            if last & NO_SLOT == NO_SLOT {
                next.push(partition.first(queue, Weight::EVEN));
                continue;
            }
            let ticket = Ticket::from_raw(last >> SLOT_BITS);
            let chunk = partition.chunk(queue, ticket)?;
            let slot = self.slots.get(usize::try_from(last & NO_SLOT).ok()?)?;
            let word = slot.lease.load(Acquire); // Pairs with Release in `commit` [lease].
            if ticket_of(word) != ticket || LeaseState::of(word) != LeaseState::Done {
                chunks.push(chunk); // Half-way, or running, or finished just now and its slot reused.
            }
            next.push(partition.next(queue, ticket, Weight::EVEN));
        }
        for (number, slot) in self.slots.iter().enumerate() {
            let word = slot.lease.load(Acquire); // Pairs with Release in `commit` [lease].
            if LeaseState::of(word).taken() {
                chunks.push(self.chunk_of(partition, number, word)?);
            }
        }
        let partition = self.settled(partition);
        chunks.extend(partition.rest(&next));
        if partition.has_ranges() {
            self.remaining_of_ranges(&partition, &mut chunks)?;
        }
        Some(merged(chunks))
    }

    fn remaining_of_ranges(&self, partition: &Partition, chunks: &mut Vec<Chunk>) -> Option<()> {
        let Some(ranges) = self.ranges.snapshot(partition) else {
            // Never still: then all of it may be left, which is safe to say.
            let first = partition.numbered(0)?;
            chunks.push(first.start..partition.size());
            return Some(());
        };
        for range in ranges {
            if range.is_empty() {
                return None; // No rank stored that.
            }
            let (first, last) = (partition.numbered(range.lo)?, partition.numbered(range.hi - 1)?);
            chunks.push(first.start..last.end);
        }
        Some(())
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::super::tests::{partition, words};
    use super::super::*;

    #[test]
    fn the_audit_names_a_chunk_that_was_claimed_and_not_finished() {
        let partition = partition("dynamic,5", 10, 2);
        let words = words(&partition, 2);
        let claims = words.claims(&partition);
        let _dropped = claims.next(&partition, 1).unwrap();
        claims.next(&partition, 0).unwrap().commit();
        let found = claims.audit(&partition);
        assert_eq!(found, Err(Incomplete::Running { rank: Some(1), chunk: Some(0..5) }));
    }

    #[test]
    fn the_audit_names_the_first_chunk_that_nobody_claimed() {
        let partition = partition("dynamic,5", 10, 2);
        let words = words(&partition, 2);
        let claims = words.claims(&partition);
        claims.next(&partition, 1).unwrap().commit();
        assert_eq!(claims.audit(&partition), Err(Incomplete::Unclaimed { next: 5..10 }));
    }

    #[test]
    fn the_audit_sees_a_claimer_that_died_between_its_two_stores() {
        let partition = partition("dynamic,5", 5, 1);
        let words = words(&partition, 1);
        words.tails[0].word.store(tail_word(Ticket::from_raw(0), 0), Release);
        let claims = words.claims(&partition);
        assert_eq!(
            claims.audit(&partition),
            Err(Incomplete::Running { rank: None, chunk: Some(0..5) })
        );
    }

    #[test]
    fn what_remains_is_what_was_not_committed() {
        for schedule in ["static", "static,2", "dynamic,3", "guided,2", "tss", "fac2", "steal,2"] {
            for procs in [1_u32, 2, 3] {
                let partition = partition(schedule, 25, procs);
                let words = words(&partition, procs);
                let claims = words.claims(&partition);
                let mut left: Vec<u64> = (0..25).collect();
                let remaining = || -> Vec<u64> {
                    claims.remaining(&partition).unwrap().into_iter().flatten().collect()
                };
                let mut held: Vec<Option<Lease<'_>>> = (0..procs).map(|_| None).collect();
                // Ranks commit one turn after they claim, so that others hold chunks meanwhile.
                for turn in 0..60_u32 {
                    let rank = turn * 7 % procs;
                    assert_eq!(remaining(), left, "{schedule} {procs}");
                    match held[rank as usize].take() {
                        Some(lease) => {
                            left.retain(|index| !lease.chunk().contains(index));
                            lease.commit();
                        }
                        None => held[rank as usize] = claims.next(&partition, rank),
                    }
                    if turn % 9 == 0 && held[rank as usize].take().is_some() {
                        claims.give_up(&partition, rank); // Killed: an orphan remains, too.
                    }
                }
            }
        }
    }

    #[test]
    fn a_claim_that_stopped_half_way_remains() {
        let partition = partition("dynamic,5", 20, 2);
        let words = words(&partition, 2);
        let claims = words.claims(&partition);
        // In a slot that was never used, and in one whose last chunk is done.
        for (ticket, expected) in [(0, 0..20), (1, 5..20)] {
            let before = words.slots[0].lease.load(Relaxed);
            words.tails[0].word.store(tail_word(Ticket::from_raw(ticket), 0), Relaxed);
            assert_eq!(claims.remaining(&partition).unwrap(), [expected]);
            assert_eq!(words.slots[0].lease.load(Relaxed), before);
            words.slots[0]
                .lease
                .store(lease_word(Ticket::from_raw(ticket), 0, LeaseState::Done), Relaxed);
        }
        assert_eq!(claims.remaining(&partition).unwrap(), [10..20]);
    }

    #[test]
    fn words_that_name_no_chunk_are_not_believed() {
        let partition = partition("dynamic,5", 20, 2);
        let words = words(&partition, 2);
        let claims = words.claims(&partition);
        for (ticket, slot) in [(4, 0), (0, 2), (1 << 40, 1)] {
            words.tails[0].word.store(tail_word(Ticket::from_raw(ticket), slot), Relaxed);
            assert_eq!(claims.remaining(&partition), None);
        }
        claims.reset(&partition);
        words.slots[1].lease.store(lease_word(Ticket::from_raw(9), 1, LeaseState::Run), Relaxed);
        assert_eq!(claims.remaining(&partition), None);
    }
}
