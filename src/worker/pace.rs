//! How fast this rank computes, for the schedule that gives fast ranks more.
//!
//! AWF-B's figure for a rank is π = Σ k·tₖ / Σ k·nₖ over its chunks k, so that later chunks count for
//! more, and its weights change with the batch (LB4OMP's `awf_b`; Banicescu et al. 2003). The
//! figures lie beside what each rank says of itself. A replacement begins without one.

use crate::schedule::{Partition, Weight};
use crate::shm::{Claimer, RankSlot, Relaxed};

/// One rank's pace, and its weight by it.
pub(super) struct Pace {
    rank: u32,
    /// Chunks so far.
    chunks: f64,
    /// Σ k·tₖ and Σ k·nₖ.
    time: f64,
    items: f64,
    weight: Weight,
    /// The length of chunks in the batch the weight is for.
    batch: Option<u64>,
}

impl Pace {
    pub(super) fn new(rank: u32) -> Self {
        Self { rank, chunks: 0.0, time: 0.0, items: 0.0, weight: Weight::EVEN, batch: None }
    }

    /// Returns who claims.
    pub(super) fn claimer(&self) -> Claimer {
        Claimer { rank: self.rank, weight: self.weight }
    }

    /// Takes in a chunk, and weighs anew if it was of another batch than the one before.
    pub(super) fn add(
        &mut self,
        partition: &Partition,
        first: u64,
        items: u64,
        ns: u64,
        ranks: &[RankSlot],
    ) {
        let Some(batch) = partition.batch(first) else { return };
        self.chunks += 1.0;
        self.time += self.chunks * ns as f64;
        self.items += self.chunks * items as f64;
        let own = self.time / self.items;
        // Relaxed, here and below: figures, any of which may be a moment old.
        ranks[self.rank as usize].pace.store(own.to_bits(), Relaxed);
        if self.batch.replace(batch) != Some(batch) {
            let all = ranks.iter().map(|rank| {
                let bits = rank.pace.load(Relaxed);
                (bits != 0).then(|| f64::from_bits(bits))
            });
            self.weight = Weight::of(Some(own), all);
        }
    }
}
