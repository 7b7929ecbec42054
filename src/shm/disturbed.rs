//! What disturbed one rank while passes were timed, in its slot.

use super::sync::{AtomicU64, Relaxed};

/// What one rank has seen from the first timed pass to the last; `None`: nobody says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disturbed {
    /// How often the kernel took its CPU away.
    pub(crate) switches: Option<u64>,
    /// How often a page had to be fetched from a disk.
    pub(crate) major_faults: Option<u64>,
    /// 1 if it was on another CPU at the end than at the beginning.
    pub(crate) moved: Option<u64>,
    /// Nanoseconds that it could have run, and had no CPU.
    pub(crate) delayed: Option<u64>,
    /// Nanoseconds that the host kept the CPUs of all ranks; rank 0 alone looks, here and below.
    pub(crate) stolen: Option<u64>,
    /// Nanoseconds that a quota held the control group back.
    pub(crate) throttled: Option<u64>,
    /// By how many millionths the clock of its CPU had become slower.
    pub(crate) slowed: Option<u64>,
    /// How often that CPU, or its package, was too hot.
    pub(crate) overheated: Option<u64>,
}

/// The same as words: each one more than what it says, or 0.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct DisturbedWords([AtomicU64; 8]);

impl DisturbedWords {
    /// Words in memory of their own: loom's atomics cannot lie in a mapping.
    #[cfg(all(test, spmd_loom))]
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Writes them down. The rank is the only writer.
    pub(crate) fn store(&self, seen: &Disturbed) {
        let Disturbed { switches, major_faults, moved, delayed, .. } = *seen;
        let Disturbed { stolen, throttled, slowed, overheated, .. } = *seen;
        let all = [switches, major_faults, moved, delayed, stolen, throttled, slowed, overheated];
        for (word, value) in self.0.iter().zip(all) {
            // Figures, read after the rank has left.
            word.store(value.map_or(0, |value| value.saturating_add(1)), Relaxed);
        }
    }

    pub(crate) fn load(&self) -> Disturbed {
        let all = self.0.each_ref().map(|word| word.load(Relaxed).checked_sub(1)); // The rank has left.
        let [switches, major_faults, moved, delayed, stolen, throttled, slowed, overheated] = all;
        Disturbed { switches, major_faults, moved, delayed, stolen, throttled, slowed, overheated }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_says_is_not_nothing() {
        let words = DisturbedWords(std::array::from_fn(|_| AtomicU64::new(0)));
        assert_eq!(words.load(), Disturbed::default());
        let seen = Disturbed { switches: Some(0), stolen: Some(7), ..Disturbed::default() };
        words.store(&seen);
        assert_eq!(words.load(), seen);
    }
}
