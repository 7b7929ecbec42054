//! What `auto` decides, from what it has seen: pure arithmetic.
//!
//! `auto` begins on the counter, with chunks that grow from tiny to the preferred size, over the first
//! part of the index space. Then whoever claims next decides, once, from the figures of all ranks: the
//! chunk by time, and whether to stay. It leaves the counter for ranges that each rank owns only where
//! claiming was seen to cost something: on the counter the order of chunks is the order of indices, and
//! an idle rank never has to look for work.

use std::num::NonZeroU64;

use super::{Balance, chunk_by_time};

/// Claims may take this share of the time on the counter.
const BEARABLE: f64 = 0.01;

/// What the ranks have seen so far, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// Indices computed.
    pub(crate) items: u64,
    /// Chunks they came in.
    pub(crate) chunks: u64,
    /// Nanoseconds in kernels.
    pub(crate) busy: u64,
    /// Nanoseconds in claims.
    pub(crate) claim: u64,
    /// Nanoseconds in mapping what another rank had touched.
    pub(crate) map: u64,
}

impl Seen {
    /// Returns what an index takes, where anything is known of it.
    pub(crate) fn ns_per_index(&self) -> f64 {
        if self.items == 0 { 1.0 } else { self.busy as f64 / self.items as f64 }
    }

    /// Returns the share of the time that claims would take on the counter, with chunks of this length. A
    /// claim costs the same for each chunk, mapping for each index.
    pub(crate) fn share_of_claims(&self, chunk: NonZeroU64) -> f64 {
        if self.items == 0 || self.chunks == 0 {
            return 0.0;
        }
        let length = chunk.get() as f64;
        let claim = self.claim as f64 / self.chunks as f64;
        let map = self.map as f64 / self.items as f64 * length;
        (claim + map) / (claim + map + self.ns_per_index() * length)
    }
}

/// Where chunks come from after `auto` has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The counter, as `dynamic`.
    Counter,
    /// Ranges of the ranks, as `steal`.
    Ranges,
}

/// What `auto` has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) source: Source,
    pub(crate) chunk: NonZeroU64,
    /// Whether it holds from index 0 on: in later passes, which need not look again.
    pub(crate) scope: Scope,
}

/// What part of the index space a choice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What follows the part that was looked at.
    Rest,
    /// Everything.
    Whole,
}

impl Choice {
    const CHUNK_BITS: u32 = 48;

    /// Decides for n indices that are left, and procs ranks.
    pub(crate) fn of(seen: Seen, n: u64, procs: u32, element: usize) -> Self {
        let ns = seen.ns_per_index();
        let chunk = chunk_by_time(n, procs, ns, element, Balance::Fine);
        if seen.share_of_claims(chunk) <= BEARABLE {
            return Self { source: Source::Counter, chunk, scope: Scope::Rest };
        }
        // Where claims are nearly free, smaller chunks balance better.
        let chunk = chunk_by_time(n, procs, ns, element, Balance::Finest);
        Self { source: Source::Ranges, chunk, scope: Scope::Rest }
    }

    /// Returns it as a word of the segment, which is not zero.
    pub(crate) fn to_word(self) -> u64 {
        let source = if self.source == Source::Ranges { 2 } else { 1 };
        let scope = if self.scope == Scope::Whole { 4 } else { 0 };
        self.chunk.get() | (source | scope) << Self::CHUNK_BITS
    }

    /// Reads a word of the segment; `None` if nothing is decided, or the word is none of ours.
    pub(crate) fn of_word(word: u64) -> Option<Self> {
        let chunk = NonZeroU64::new(word & ((1 << Self::CHUNK_BITS) - 1))?;
        let flags = word >> Self::CHUNK_BITS;
        let source = match flags & 3 {
            1 => Source::Counter,
            2 => Source::Ranges,
            _ => return None,
        };
        let scope = if flags & 4 == 0 { Scope::Rest } else { Scope::Whole };
        Some(Self { source, chunk, scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_on_the_counter_where_claims_are_cheap_and_takes_a_chunk_by_time() {
        let seen = Seen { items: 1_000, chunks: 100, busy: 1_000_000, claim: 40_000, map: 0 };
        let choice = Choice::of(seen, 1_000_000, 2, 8);
        assert_eq!((choice.source, choice.chunk.get()), (Source::Counter, 50));
    }

    #[test]
    fn leaves_the_counter_where_claims_are_dear() {
        let seen = Seen { items: 1_000, chunks: 100, busy: 1_000_000, claim: 100_000, map: 0 };
        let choice = Choice::of(seen, 1_000_000, 2, 8);
        assert_eq!((choice.source, choice.chunk.get()), (Source::Ranges, 50));
    }

    #[test]
    fn leaves_the_counter_where_every_chunk_has_to_be_mapped_first() {
        let seen = Seen { items: 1_000, chunks: 100, busy: 1_000_000, claim: 0, map: 50_000 };
        assert_eq!(Choice::of(seen, 1_000_000, 2, 8).source, Source::Ranges);
    }

    #[test]
    fn figures_of_nothing_decide_something() {
        let choice = Choice::of(Seen::default(), 10, 3, 8);
        assert!(choice.chunk.get() >= 1);
    }

    #[test]
    fn a_word_says_the_choice_back() {
        for source in [Source::Counter, Source::Ranges] {
            for scope in [Scope::Rest, Scope::Whole] {
                let choice = Choice { source, scope, chunk: NonZeroU64::new(1 << 40).unwrap() };
                assert_eq!(Choice::of_word(choice.to_word()), Some(choice));
            }
        }
        assert_eq!(Choice::of_word(0), None);
        assert_eq!(Choice::of_word(5), None);
        assert_eq!(Choice::of_word(u64::MAX), None);
    }
}
