//! Which word a rank arrives in, and which word whoever completes that one goes on to.
//!
//! Ranks are in groups of 2^k consecutive ones, each with a word, the leaves; up to [`FANOUT`] leaves have a word
//! above them, and so on, up to one, the root. A world of one group has that one word alone.

use super::word::WIDEST;

/// Words that have one word above them, at most.
const FANOUT: u32 = 1 << WIDEST;
/// Words below the root: sixteen of the middle, then the leaves.
const MIDDLE: u32 = FANOUT;
/// (Loom keeps account of each word that there is, and has worlds of few.)
const LEAVES: u32 = if cfg!(spmd_loom) { 4 } else { FANOUT * FANOUT };
/// Enough for the largest world, 4096 ranks.
pub(super) const BELOW: usize = (MIDDLE + LEAVES) as usize;
/// Ranks that poll the word they arrive in. More would take it from one another at each arrival; the root of more
/// is written by few.
const TOGETHER: u32 = 8;

/// Who is in which group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    k: u32,
    procs: u32,
}

/// A word of the tree, and the how-manieth of its members somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// 0 for leaves.
    pub(super) level: u32,
    /// Of the words of this level.
    pub(super) index: u32,
    pub(super) member: u32,
}

/// Returns k for so many ranks, of which so many consecutive ones, or fewer, are to be a group.
pub(super) fn grouped(procs: u32, neighbours: u32) -> u32 {
    let fewest = procs.div_ceil(LEAVES).next_power_of_two();
    // A world of one group is one, whatever its size.
    let wanted = if neighbours < procs { neighbours.max(1) } else { procs.next_power_of_two() };
    wanted.min(TOGETHER).ilog2().max(fewest.ilog2()).min(WIDEST)
}

impl Tree {
    /// The tree of groups of 2^k ranks. Any numbers make a tree; where there are too many groups for it, some
    /// share words, which is wrong and within bounds.
    pub(super) fn new(k: u32, procs: u32) -> Self {
        Self { k: k.min(WIDEST), procs: procs.max(1) }
    }

    /// Returns how many words a level has.
    pub(super) fn width(self, level: u32) -> u32 {
        (0..level).fold(self.procs.div_ceil(1 << self.k), |below, _| below.div_ceil(FANOUT))
    }

    /// Returns the level of the root.
    pub(super) fn top(self) -> u32 {
        (0..2).find(|level| self.width(*level) == 1).unwrap_or(2)
    }

    /// Returns where a rank arrives.
    pub(super) fn spot(self, rank: u32) -> Spot {
        Spot { level: 0, index: rank >> self.k, member: rank & ((1 << self.k) - 1) }
    }

    /// Returns whose spot of a leaf this is.
    pub(super) fn rank(self, index: u32, member: u32) -> u32 {
        (index << self.k) + member
    }

    /// Returns how many members a word has.
    pub(super) fn members(self, level: u32, index: u32) -> u32 {
        if level == 0 {
            self.procs.saturating_sub(index << self.k).min(1 << self.k)
        } else {
            self.width(level - 1).saturating_sub(index * FANOUT).min(FANOUT)
        }
    }

    /// Returns where a completed word is a member; `None` for the root.
    pub(super) fn above(self, Spot { level, index, .. }: Spot) -> Option<Spot> {
        (level < self.top()).then(|| Spot {
            level: level + 1,
            index: index / FANOUT,
            member: index % FANOUT,
        })
    }

    /// Returns the number of a word below the root; `None` for the root.
    pub(super) fn below_root(self, level: u32, index: u32) -> Option<usize> {
        let number = if level == self.top() {
            return None;
        } else if level == 0 {
            MIDDLE + index
        } else {
            index
        };
        Some((number as usize).min(BELOW - 1))
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_rank_has_a_seat_of_its_own_and_all_ways_lead_to_the_root() {
        for procs in [1, 2, 7, 8, 9, 16, 63, 64, 65, 300, 2048, 2049, 4095, 4096] {
            for neighbours in [0, 1, 3, 8, 16, 64, 5000] {
                let tree = Tree::new(grouped(procs, neighbours), procs);
                let mut members: HashMap<(u32, u32), u32> = HashMap::new();
                let mut spots: Vec<Spot> = (0..procs).map(|rank| tree.spot(rank)).collect();
                for (rank, spot) in (0..procs).zip(&spots) {
                    assert_eq!(tree.rank(spot.index, spot.member), rank);
                }
                let mut words = std::collections::HashSet::new();
                while let Some(spot) = spots.pop() {
                    let here = members.entry((spot.level, spot.index)).or_default();
                    assert_eq!(*here >> spot.member & 1, 0, "{procs} {neighbours}: {spot:?} twice");
                    *here |= 1 << spot.member;
                    if *here == (1 << tree.members(spot.level, spot.index)) - 1 {
                        let word = tree.below_root(spot.level, spot.index);
                        assert!(words.insert(word), "{procs} {neighbours}: a word twice");
                        assert!(spot.index < tree.width(spot.level));
                        spots.extend(tree.above(spot));
                    }
                }
                assert!(words.contains(&None), "{procs} {neighbours}: the root is completed");
                assert_eq!(words.len(), members.len(), "all words are");
            }
        }
    }

    #[test]
    fn few_ranks_share_one_word_and_neighbours_share_theirs() {
        for (procs, neighbours, leaves, top) in [
            (1, 64, 1, 0),
            (8, 64, 1, 0),
            (9, 64, 2, 1),
            (8, 4, 2, 1),
            (8, 3, 4, 1),
            (128, 128, 16, 1),
            (129, 128, 17, 2),
            (4096, 64, 256, 2),
        ] {
            let tree = Tree::new(grouped(procs, neighbours), procs);
            assert_eq!((tree.width(0), tree.top()), (leaves, top), "{procs} {neighbours}");
        }
    }

    #[test]
    fn a_damaged_grouping_stays_within_the_words() {
        for k in [0, 1, 4, 5, u32::MAX] {
            for procs in [0, 1, 4096, 70_000] {
                let tree = Tree::new(k, procs);
                let mut spot = Some(tree.spot(procs));
                while let Some(at) = spot {
                    assert!(tree.below_root(at.level, at.index).is_none_or(|word| word < BELOW));
                    let _ = tree.members(at.level, at.index);
                    spot = tree.above(at);
                }
            }
        }
    }
}
