//! What the processor's counters said of one rank while passes were timed, in its slot.

use super::told::Told;

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

/// The same as words.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct CountedWords(Told<6>);

impl CountedWords {
    #[cfg(test)]
    pub(super) fn new() -> Self {
        Self(Told::new())
    }

    /// Writes them down. The rank is the only writer.
    pub(crate) fn store(&self, counted: &Counted) {
        let Counted { cycles, instructions, cache_misses, enabled, running, refused } = *counted;
        let all = [cycles, instructions, cache_misses, enabled, running, refused];
        self.0.store(all);
    }

    pub(crate) fn load(&self) -> Counted {
        let [cycles, instructions, cache_misses, enabled, running, refused] = self.0.load();
        Counted { cycles, instructions, cache_misses, enabled, running, refused }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_counts_is_not_nothing() {
        let words = CountedWords::new();
        assert_eq!(words.load(), Counted::default());
        let counted = Counted { cycles: Some(0), running: Some(7), ..Counted::default() };
        words.store(&counted);
        assert_eq!(words.load(), counted);
    }
}
