//! What disturbed one rank while passes were timed, in its slot.

use super::told::Told;

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

/// The same as words.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct DisturbedWords(Told<8>);

impl DisturbedWords {
    #[cfg(test)]
    pub(super) fn new() -> Self {
        Self(Told::new())
    }

    /// Writes them down. The rank is the only writer.
    pub(crate) fn store(&self, seen: &Disturbed) {
        let Disturbed { switches, major_faults, moved, delayed, .. } = *seen;
        let Disturbed { stolen, throttled, slowed, overheated, .. } = *seen;
        let all = [switches, major_faults, moved, delayed, stolen, throttled, slowed, overheated];
        self.0.store(all);
    }

    pub(crate) fn load(&self) -> Disturbed {
        let [switches, major_faults, moved, delayed, stolen, throttled, slowed, overheated] =
            self.0.load();
        Disturbed { switches, major_faults, moved, delayed, stolen, throttled, slowed, overheated }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_says_is_not_nothing() {
        let words = DisturbedWords::new();
        assert_eq!(words.load(), Disturbed::default());
        let seen = Disturbed { switches: Some(0), stolen: Some(7), ..Disturbed::default() };
        words.store(&seen);
        assert_eq!(words.load(), seen);
    }
}
