//! Figures of one rank in its slot, each of which nobody may know.

use super::sync::{AtomicU64, Relaxed};

/// So many figures as words: each one more than what it says, or 0.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Told<const N: usize>([AtomicU64; N]);

impl<const N: usize> Told<N> {
    /// Words in memory of their own: loom's atomics cannot lie in a mapping.
    #[cfg(test)]
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Writes them down. The rank is the only writer.
    pub(super) fn store(&self, figures: [Option<u64>; N]) {
        for (word, value) in self.0.iter().zip(figures) {
            // Figures, read after the rank has left.
            word.store(value.map_or(0, |value| value.saturating_add(1)), Relaxed);
        }
    }

    pub(super) fn load(&self) -> [Option<u64>; N] {
        self.0.each_ref().map(|word| word.load(Relaxed).checked_sub(1)) // The rank has left.
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_says_is_not_nothing() {
        let words = Told::<3>::new();
        assert_eq!(words.load(), [None; 3]);
        words.store([Some(0), None, Some(7)]);
        assert_eq!(words.load(), [Some(0), None, Some(7)]);
    }
}
