//! What is left of an index space of which a part is finished already: pure arithmetic.
//!
//! What is left is a sorted list of ranges of indices. A schedule does not see them: it cuts the
//! *positions* 0..m, where m is how many indices are left and position p is the p-th of them. So a chunk of
//! positions is one or more *pieces*, ranges of indices, in order. Where everything is left, positions
//! are indices and every chunk is one piece.

use serde::{Deserialize, Serialize};

use crate::schedule::{Chunk, merged};

/// What is left to be computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Vec<[u64; 2]>>", into = "Option<Vec<[u64; 2]>>")]
pub(crate) enum Left {
    /// Every index.
    #[default]
    Everything,
    /// These ranges: sorted, apart from one another, none empty.
    Ranges(Vec<Range>),
}

/// One range of what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The position of its first index.
    position: u64,
    start: u64,
    end: u64,
}

impl Left {
    /// Takes ranges in any order, which may overlap.
    pub(crate) fn ranges(ranges: Vec<Chunk>) -> Self {
        let mut position = 0_u64;
        let place = |range: Chunk| {
            let placed = Range { position, start: range.start, end: range.end };
            position = position.saturating_add(range.end - range.start);
            placed
        };
        Self::Ranges(merged(ranges).into_iter().map(place).collect())
    }

    /// Says whether every index is left.
    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::Everything
    }

    /// Returns how many of `size` indices are left, which is how many positions there are.
    pub(crate) fn count(&self, size: u64) -> u64 {
        match self {
            Self::Everything => size,
            Self::Ranges(ranges) => {
                ranges.last().map_or(0, |last| last.position.saturating_add(last.end - last.start))
            }
        }
    }

    /// Says whether all that is left lies below `size`, as it must.
    pub(crate) fn within(&self, size: u64) -> bool {
        match self {
            Self::Everything => true,
            Self::Ranges(ranges) => ranges.last().is_none_or(|last| last.end <= size),
        }
    }

    /// Returns the indices of a chunk of positions, in order.
    pub(crate) fn pieces(&self, chunk: &Chunk) -> Pieces<'_> {
        match self {
            Self::Everything => Pieces { whole: Some(chunk.clone()), ranges: &[], chunk: 0..0 },
            Self::Ranges(ranges) => {
                let first = ranges.partition_point(|range| {
                    range.position + (range.end - range.start) <= chunk.start
                });
                Pieces { whole: None, ranges: &ranges[first..], chunk: chunk.clone() }
            }
        }
    }

    /// Returns the least run of indices that holds all of a chunk of positions.
    pub(crate) fn hull(&self, chunk: &Chunk) -> Chunk {
        let mut pieces = self.pieces(chunk);
        let Some(first) = pieces.next() else { return 0..0 };
        first.start..pieces.last().map_or(first.end, |last| last.end)
    }

    /// Returns the indices of many chunks of positions, sorted and merged.
    pub(crate) fn indices(&self, chunks: &[Chunk]) -> Vec<Chunk> {
        merged(chunks.iter().flat_map(|chunk| self.pieces(chunk)).collect())
    }
}

impl From<Option<Vec<[u64; 2]>>> for Left {
    fn from(ranges: Option<Vec<[u64; 2]>>) -> Self {
        ranges.map_or(Self::Everything, |ranges| {
            Self::ranges(ranges.into_iter().map(|[start, end]| start..end).collect())
        })
    }
}

impl From<Left> for Option<Vec<[u64; 2]>> {
    fn from(left: Left) -> Self {
        match left {
            Left::Everything => None,
            Left::Ranges(ranges) => {
                Some(ranges.into_iter().map(|range| [range.start, range.end]).collect())
            }
        }
    }
}

/// The ranges of indices of one chunk of positions.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'a> {
    /// The one piece, where positions are indices.
    whole: Option<Chunk>,
    /// What the rest of the chunk is to be found in, from where it begins.
    ranges: &'a [Range],
    /// The rest of the chunk.
    chunk: Chunk,
}

impl Iterator for Pieces<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        if let Some(whole) = self.whole.take() {
            return Some(whole).filter(|whole| whole.start < whole.end);
        }
        let (range, rest) = self.ranges.split_first()?;
        if self.chunk.start >= self.chunk.end {
            return None;
        }
        let first = range.start + (self.chunk.start - range.position);
        let length = (self.chunk.end - self.chunk.start).min(range.end - first);
        self.chunk.start += length;
        self.ranges = rest;
        Some(first..first + length)
    }
}

/// Returns at most `most` ranges that hold all of these, which are sorted and apart.
///
/// Where there are more, the smallest gaps are filled: what lies in them is finished, and is computed
/// once more.
pub(crate) fn coarsened(ranges: Vec<Chunk>, most: usize) -> Vec<Chunk> {
    let surplus = ranges.len().saturating_sub(most.max(1));
    if surplus == 0 {
        return ranges;
    }
    let gap = |at: usize| ranges[at + 1].start - ranges[at].end;
    let mut gaps: Vec<usize> = (0..ranges.len() - 1).collect();
    gaps.sort_unstable_by_key(|&at| gap(at));
    let mut filled = vec![false; ranges.len()];
    gaps[..surplus].iter().for_each(|&at| filled[at] = true);
    let mut coarse: Vec<Chunk> = Vec::with_capacity(ranges.len() - surplus);
    for (at, range) in ranges.into_iter().enumerate() {
        match coarse.last_mut() {
            Some(last) if filled[at - 1] => last.end = range.end,
            _ => coarse.push(range),
        }
    }
    coarse
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = Vec<Chunk>> {
        let range = (0_u64..500, 0_u64..40).prop_map(|(start, len)| start..start + len);
        proptest::collection::vec(range, 0..30)
    }

    fn all(ranges: &[Chunk]) -> Vec<u64> {
        let mut indices: Vec<u64> = ranges.iter().cloned().flatten().collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    proptest! {
        #[test]
        fn chunks_of_positions_cover_what_is_left_once_and_in_order(
            ranges in ranges(), cuts in proptest::collection::vec(0_u64..1000, 0..20),
        ) {
            let left = Left::ranges(ranges.clone());
            let count = left.count(1000);
            let expected = all(&ranges);
            prop_assert_eq!(count, expected.len() as u64);
            prop_assert!(left.within(540));
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut.min(count)).collect();
            cuts.extend([0, count]);
            cuts.sort_unstable();
            let mut found = Vec::new();
            for pair in cuts.windows(2) {
                let chunk = pair[0]..pair[1];
                let pieces: Vec<Chunk> = left.pieces(&chunk).collect();
                let length: u64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
                prop_assert_eq!(length, chunk.end - chunk.start);
                prop_assert!(pieces.windows(2).all(|pair| pair[0].end < pair[1].start));
                if let (Some(first), Some(last)) = (pieces.first(), pieces.last()) {
                    prop_assert_eq!(left.hull(&chunk), first.start..last.end);
                }
                found.extend(pieces.into_iter().flatten());
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_is_left_survives_being_written_down(ranges in ranges()) {
            let left = Left::ranges(ranges);
            let text = serde_json::to_string(&left).unwrap();
            prop_assert_eq!(serde_json::from_str::<Left>(&text).unwrap(), left);
        }

        #[test]
        fn fewer_ranges_hold_all_that_more_did(ranges in ranges(), most in 1_usize..10) {
            let fine = merged(ranges);
            let coarse = coarsened(fine.clone(), most);
            prop_assert!(coarse.len() <= most.max(1));
            prop_assert!(coarse.windows(2).all(|pair| pair[0].end < pair[1].start));
            let held = all(&coarse);
            prop_assert!(all(&fine).iter().all(|index| held.binary_search(index).is_ok()));
        }
    }

    #[test]
    fn where_everything_is_left_a_chunk_is_one_piece() {
        let left = Left::Everything;
        assert_eq!(left.count(7), 7);
        assert_eq!(left.pieces(&(2..5)).collect::<Vec<_>>(), [2..5]);
        assert_eq!(left.pieces(&(2..2)).count(), 0);
        assert_eq!(serde_json::to_string(&left).unwrap(), "null");
    }

    #[test]
    fn nothing_left_is_not_everything() {
        let left = Left::ranges(Vec::new());
        assert_eq!(left.count(7), 0);
        assert_eq!(left.pieces(&(0..1)).count(), 0);
        assert!(!left.is_everything());
    }

    #[test]
    fn the_smallest_gaps_are_filled_first() {
        assert_eq!(coarsened(vec![0..1, 2..3, 10..11, 12..13], 2), [0..3, 10..13]);
    }
}
