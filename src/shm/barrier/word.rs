//! What a word of the barrier holds: who is here, and in which epoch.
//!
//! ```text
//! bits  0..3    aborted, asleep in an even epoch, asleep in an odd one: of the root alone
//! bits  3..19   who of at most 16 members is here: the sum of their weights
//! bits 19..64   the epoch
//! ```
//!
//! Member i weighs 2^i, and the last one what is then missing to 2^16. So any members that are not all have a
//! sum of their own, below 2^16; and all of them have just that: the addition of whoever comes last leaves zero
//! and carries one into the epoch. To arrive, to clear and to open are one instruction.

/// Members of a word, at most: 2 to this.
pub(super) const WIDEST: u32 = 4;
const MEMBERS: u32 = 1 << WIDEST;
/// The run is aborted, for good.
pub(super) const ABORTED: u64 = 1 << 0;
const ASLEEP: u64 = 1 << 1;
const FIRST: u32 = 3;
const EPOCH: u32 = FIRST + MEMBERS;
const ONE_EPOCH: u64 = 1 << EPOCH;
/// The bits of the sum.
const SUM: u64 = ONE_EPOCH - (1 << FIRST);

/// A word as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// Returns the epoch, of which there are 2^45.
    pub(super) fn epoch(self) -> u64 {
        self.0 >> EPOCH
    }

    /// Says whether this is the epoch that follows `epoch`.
    pub(super) fn follows(self, epoch: u64) -> bool {
        self.epoch() == Self((epoch << EPOCH).wrapping_add(ONE_EPOCH)).epoch()
    }

    pub(super) fn is_aborted(self) -> bool {
        self.0 & ABORTED != 0
    }

    /// Says whether somebody slept in an epoch, which is this word's or the one before, and was not woken since.
    pub(super) fn has_sleepers(self, epoch: u64) -> bool {
        self.0 & asleep(epoch) != 0
    }

    /// Returns who of so many members is here, a bit each.
    pub(super) fn here(self, members: u32) -> u32 {
        let sum = (self.0 & SUM) >> FIRST;
        let last = members.clamp(1, MEMBERS) - 1;
        let others = (1 << last) - 1;
        let here = match sum.checked_sub((1 << MEMBERS) - others) {
            Some(rest) => rest & others | 1 << last,
            None => sum & others,
        };
        u32::try_from(here).unwrap_or(0)
    }

    /// Says whether this addition completes the word.
    pub(super) fn is_completed_by(self, weight: u64) -> bool {
        Self(self.0.wrapping_add(weight)).epoch() != self.epoch()
    }

    /// Returns what all who are not here weigh together.
    pub(super) fn missing(self) -> u64 {
        ONE_EPOCH - (self.0 & SUM)
    }

    /// Returns the half that a sleeper's system call compares.
    #[expect(clippy::cast_possible_truncation, reason = "a half")]
    pub(super) fn lower(self) -> u32 {
        self.0 as u32
    }
}

/// Returns the flag that somebody sets who is about to sleep in this epoch.
pub(super) fn asleep(epoch: u64) -> u64 {
    ASLEEP << (epoch & 1)
}

/// Returns what a member of so many adds to its word.
pub(super) fn weight(member: u32, members: u32) -> u64 {
    let last = members.clamp(1, MEMBERS) - 1;
    let weight = if member < last { 1 << member } else { (1 << MEMBERS) - ((1 << last) - 1) };
    weight << FIRST
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_is_here_can_be_told_of_any_members_and_all_of_them_are_the_next_epoch() {
        for members in 1..=MEMBERS {
            for flags in [0, ABORTED, asleep(6), asleep(7), ABORTED | asleep(6) | asleep(7)] {
                for here in 0..1_u32 << members {
                    let present = (0..members).filter(|member| here >> member & 1 == 1);
                    let added: u64 = present.map(|member| weight(member, members)).sum();
                    let word = Word((7 << EPOCH | flags) + added);
                    if here == (1 << members) - 1 {
                        assert_eq!((word.epoch(), word.here(members)), (8, 0));
                        assert!(word.follows(7));
                    } else {
                        assert_eq!((word.epoch(), word.here(members)), (7, here), "{members}");
                        assert!(!word.follows(7));
                        let all = Word(word.0 + word.missing());
                        assert_eq!((all.epoch(), all.here(members)), (8, 0));
                    }
                    assert_eq!(word.is_aborted(), flags & ABORTED != 0);
                    for epoch in [6, 7] {
                        assert_eq!(word.has_sleepers(epoch), flags & asleep(epoch) != 0);
                    }
                }
            }
        }
    }

    #[test]
    fn the_last_epoch_is_followed_by_the_first() {
        let last = Word(u64::MAX << EPOCH);
        let next = Word(last.0.wrapping_add(weight(0, 1)));
        assert!(last.is_completed_by(weight(0, 1)));
        assert_eq!((next.epoch(), next.follows(last.epoch())), (0, true));
    }

    #[test]
    fn a_damaged_word_says_something() {
        for members in [0, 1, 5, 16, u32::MAX] {
            for word in [0, u64::MAX, 0x2_8001 << 3, 0xAAAA_AAAA_AAAA_AAAA] {
                let word = Word(word);
                let _ = (word.here(members), word.missing(), word.follows(word.epoch()));
            }
        }
    }
}
