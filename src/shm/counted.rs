//! What the processor's counters said of one rank while passes were timed, in its slot.

use super::sync::{AtomicU64, Relaxed};

/// What one rank has counted from the first timed pass to the last; `None`: nobody says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) cycles: Option<u64>,
    pub(crate) instructions: Option<u64>,
    pub(crate) cache_misses: Option<u64>,
    /// Nanoseconds that it was on a CPU.
    pub(crate) enabled: Option<u64>,
    /// Nanoseconds of that in which the counters were its own.
    pub(crate) running: Option<u64>,
    /// The error number with which the system refused them.
    pub(crate) refused: Option<u64>,
}

/// The same as words: each one more than what it says, or 0.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CountedWords([AtomicU64; 6]);

impl CountedWords {
    /// Words in memory of their own: loom's atomics cannot lie in a mapping.
    #[cfg(all(test, spmd_loom))]
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Writes them down. The rank is the only writer.
    pub(crate) fn store(&self, counted: &Counted) {
        let Counted { cycles, instructions, cache_misses, enabled, running, refused } = *counted;
        let all = [cycles, instructions, cache_misses, enabled, running, refused];
        for (word, value) in self.0.iter().zip(all) {
            // Figures, read after the rank has left.
            word.store(value.map_or(0, |value| value.saturating_add(1)), Relaxed);
        }
    }

    pub(crate) fn load(&self) -> Counted {
        let all = self.0.each_ref().map(|word| word.load(Relaxed).checked_sub(1)); // The rank has left.
        let [cycles, instructions, cache_misses, enabled, running, refused] = all;
        Counted { cycles, instructions, cache_misses, enabled, running, refused }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_counts_is_not_nothing() {
        let words = CountedWords(std::array::from_fn(|_| AtomicU64::new(0)));
        assert_eq!(words.load(), Counted::default());
        let counted = Counted { cycles: Some(0), running: Some(7), ..Counted::default() };
        words.store(&counted);
        assert_eq!(words.load(), counted);
    }
}
