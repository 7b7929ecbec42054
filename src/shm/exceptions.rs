//! Ranges of indices that are not computed like all others: with care, or not at all.
//!
//! A chunk whose executors died is run index by index the last time, so that the index that kills is
//! known by name; an index that is known to kill is left out, where the user wants the rest. The
//! launcher adds to the list, and never takes away; ranks read it at the beginning of each chunk.
//!
//! Proof of publication: an entry is written whole before `count` includes it (Release), and a
//! reader looks only at what `count` (Acquire) includes. An entry is added before the chunk it is about
//! is given away (the store of its lease, see `claims/`), so its next executor sees it.
//! Checked by `loom_exceptions_are_whole_and_known_to_whoever_adopts_the_chunk`.

use super::sync::{Acquire, AtomicU64, Relaxed, Release};
use crate::schedule::Chunk;

/// As many as there can be. Beyond that, runs fail rather than go on with what is not remembered.
pub(crate) const CAPACITY: usize = 60;

/// How a range is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Index by index, each named before it is computed.
    Single,
    /// Not at all.
    Omit,
}

#[derive(Debug)]
#[repr(C)]
struct Entry {
    first: AtomicU64,
    /// {end: 62, care: 2}.
    end: AtomicU64,
}

/// The list. All zero is an empty one.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Exceptions {
    count: AtomicU64,
    entries: [Entry; CAPACITY],
}

impl Exceptions {
    /// Adds a range; false if the list is full. The launcher alone may call this.
    pub(crate) fn add(&self, range: &Chunk, care: Care) -> bool {
        let count = self.count.load(Relaxed); // Written by this process alone.
        let Some(entry) = usize::try_from(count).ok().and_then(|at| self.entries.get(at)) else {
            return false;
        };
        entry.first.store(range.start, Relaxed); // Published by [count].
        entry.end.store(range.end << 2 | care as u64, Relaxed); // Published by [count].
        self.count.store(count + 1, Release); // Pairs with Acquire in `iter` [count].
        true
    }

    /// Returns the ranges, in the order they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Chunk, Care)> + '_ {
        let count = self.count.load(Acquire); // Pairs with Release in `add` [count].
        let count = usize::try_from(count).unwrap_or(CAPACITY).min(CAPACITY);
        self.entries[..count].iter().map(|entry| {
            let end = entry.end.load(Relaxed); // Published by [count].
            let care = if end & 3 == Care::Omit as u64 { Care::Omit } else { Care::Single };
            (entry.first.load(Relaxed)..end >> 2, care) // Published by [count].
        })
    }

    /// Says whether any of a range's indices is in the list.
    #[inline]
    pub(crate) fn touch(&self, range: &Chunk) -> bool {
        // Acquire, pairs with Release in `add` [count].
        self.count.load(Acquire) != 0
            && self.iter().any(|(other, _)| other.start < range.end && range.start < other.end)
    }

    /// Says whether an index is to be left out.
    pub(crate) fn omits(&self, index: u64) -> bool {
        self.iter().any(|(range, care)| care == Care::Omit && range.contains(&index))
    }
}

#[cfg(test)]
impl Exceptions {
    pub(crate) fn new() -> Self {
        let entry = || Entry { first: AtomicU64::new(0), end: AtomicU64::new(0) };
        Self { count: AtomicU64::new(0), entries: std::array::from_fn(|_| entry()) }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_what_they_touch_and_omit() {
        let list = Exceptions::new();
        assert!(!list.touch(&(0..u64::from(u32::MAX))));
        assert!(list.add(&(10..20), Care::Single));
        assert!(list.add(&(12..13), Care::Omit));
        assert!(list.touch(&(19..30)) && !list.touch(&(20..30)) && !list.touch(&(0..10)));
        assert!(list.omits(12) && !list.omits(13) && !list.omits(11));
    }

    #[test]
    fn a_full_list_says_so() {
        let list = Exceptions::new();
        for first in 0..CAPACITY as u64 {
            assert!(list.add(&(first..first + 1), Care::Omit));
        }
        assert!(!list.add(&(100..101), Care::Omit));
        assert_eq!(list.iter().count(), CAPACITY);
    }
}
