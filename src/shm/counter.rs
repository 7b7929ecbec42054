//! The work counter: the lock, and the claim it protects.

use std::io;

use super::claims::{Claimer, Claims, Lease};
use super::header::Header;
use super::lock::{Lock, LockFault};
use super::point::Probe;
use super::rank_slot::RankSlot;
use super::sync::Relaxed;
use crate::schedule::{Choice, Partition, Seen};

/// Hands out chunks, one at a time, under the lock.
pub(crate) struct Counter<'a> {
    lock: Lock<'a>,
    claims: Claims<'a>,
    header: &'a Header,
    ranks: &'a [RankSlot],
    element: usize,
}

/// What came of asking for a chunk.
pub(crate) enum Claimed<'a> {
    /// A chunk.
    Chunk(Lease<'a>),
    /// Nothing is left for this rank in this pass.
    Drained,
    /// The run was aborted.
    Aborted,
}

impl<'a> Counter<'a> {
    /// Takes the counter of a segment. What `auto` chooses depends on what `ranks` say of themselves, and
    /// on the bytes of an element.
    pub(crate) fn attach(
        header: &'a Header,
        claims: Claims<'a>,
        ranks: &'a [RankSlot],
        element: usize,
    ) -> io::Result<Self> {
        Ok(Self { lock: Lock::attach(header)?, claims, header, ranks, element })
    }

    /// Claims a chunk. One of the rank's own range needs no lock.
    pub(crate) fn claim(
        &self,
        partition: &Partition,
        claimer: Claimer,
        probe: &impl Probe,
    ) -> io::Result<Claimed<'a>> {
        loop {
            if self.header.aborted() {
                return Ok(Claimed::Aborted);
            }
            if let Some(lease) = self.claims.own(partition, claimer.rank) {
                return Ok(Claimed::Chunk(lease));
            }
            match self.lock.acquire() {
                Ok(held) => {
                    let decide = |partition: &Partition| self.decide(partition);
                    let lease = self.claims.claim(partition, claimer, decide, probe);
                    drop(held);
                    return Ok(lease.map_or(Claimed::Drained, Claimed::Chunk));
                }
                Err(LockFault::Busy) => {}
                Err(LockFault::Broken(error)) => return Err(error),
            }
        }
    }

    /// Chooses for `auto`, by the figures of all ranks.
    fn decide(&self, partition: &Partition) -> (Choice, Seen) {
        let mut seen = Seen::default();
        for rank in self.ranks {
            // All Relaxed: figures; any mixture of earlier and later ones will do, and any at all is read.
            seen.items = seen.items.saturating_add(rank.items.load(Relaxed));
            seen.chunks = seen.chunks.saturating_add(rank.chunks.load(Relaxed));
            seen.busy = seen.busy.saturating_add(rank.busy.load(Relaxed));
            seen.claim = seen.claim.saturating_add(rank.claim.load(Relaxed));
            seen.map = seen.map.saturating_add(rank.map.load(Relaxed));
        }
        let choice = Choice::of(seen, partition.undecided(), partition.procs(), self.element);
        (choice, seen)
    }
}
