//! How large the arrays of the bandwidth bench are: beyond the caches, and within memory.

use crate::calibration::{ARRAYS, PAGE};
use crate::host::affinity::CpuSet;
use crate::host::caches;
use crate::host::limits::{self, bytes};
use crate::shm::Backing;

/// An array is this many times the last-level caches: what is in them at the end of a loop is not what
/// its next run begins with.
const BEYOND: u64 = 4;
/// An array where the system does not say what the caches hold.
const USUAL: u64 = 256 << 20;
/// An array at most, unless more is asked for: time is spent on touching it.
const MOST: u64 = 4 << 30;

/// What there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Bytes of the last-level caches of all ranks' CPUs together.
    pub(super) caches: Option<u64>,
    /// Bytes that there is memory for.
    memory: Option<u64>,
    /// Bytes free in `/dev/shm`, if that is to hold the arrays.
    shm: Option<u64>,
}

impl Room {
    pub(super) fn here(cpus: &CpuSet, backing: Backing) -> Self {
        let shm = match backing {
            Backing::Shm => limits::free_bytes(c"/dev/shm"),
            Backing::Memfd => None,
        };
        let limits = [limits::available_memory(), limits::memory_limit()];
        let memory = limits.into_iter().flatten().min();
        Self { caches: caches::last_level(cpus), memory, shm }
    }

    /// Returns the bytes of each array, and what is to be said about that.
    pub(super) fn array(&self, procs: u32, asked: Option<u64>) -> (u64, Option<String>) {
        let whole = |bytes: u64| {
            let pages = (bytes / PAGE).max(u64::from(procs));
            pages.saturating_mul(PAGE)
        };
        let large = self.caches.map(|caches| caches.saturating_mul(BEYOND));
        let wanted = large.unwrap_or(USUAL);
        // Half of what is free: somebody else may want some.
        let free = self.memory.into_iter().chain(self.shm).min();
        let room = free.map_or(u64::MAX, |free| free / 2 / ARRAYS).min(MOST);
        let array = whole(asked.unwrap_or(wanted.min(room)));
        let small = match (self.caches, asked) {
            (Some(caches), _) if array < caches.saturating_mul(BEYOND) => Some(format!(
                "arrays of {} are less than {BEYOND} times the last-level caches ({}): in part it is caches \
                 that are measured{}",
                bytes(array),
                bytes(caches),
                self.way_out(asked),
            )),
            (None, None) => Some(format!(
                "this system does not say what its caches hold: arrays are {}; --size for others",
                bytes(array)
            )),
            _ => None,
        };
        (array, small)
    }

    /// Says how arrays could be larger, where something other than memory keeps them small.
    fn way_out(&self, asked: Option<u64>) -> &'static str {
        let narrow = self.shm.is_some_and(|shm| self.memory.is_none_or(|memory| shm < memory));
        if asked.is_none() && narrow { "; --backing memfd is not bound by /dev/shm" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn arrays_are_four_times_the_caches_where_there_is_room() {
        let room = Room { caches: Some(32 * MIB), memory: Some(24 << 30), shm: None };
        assert_eq!(room.array(2, None), (128 * MIB, None));
    }

    #[test]
    fn arrays_that_are_too_small_say_so() {
        let room = Room { caches: Some(32 * MIB), memory: Some(24 << 30), shm: Some(60 * MIB) };
        let (array, said) = room.array(2, None);
        assert_eq!(array, 10 * MIB);
        let said = said.unwrap();
        assert!(said.contains("less than 4 times the last-level caches (32.0 MiB)"), "{said}");
        assert!(said.contains("--backing memfd"), "{said}");
        let (array, said) = room.array(3, Some(1));
        assert_eq!(array, 3 * PAGE, "a page for each rank");
        assert!(said.is_some());
    }

    #[test]
    fn what_is_asked_for_is_not_cut() {
        let room = Room { caches: None, memory: Some(60 * MIB), shm: None };
        assert_eq!(room.array(2, Some(100 * MIB)), (100 * MIB, None));
        assert!(room.array(2, None).1.unwrap().contains("does not say"));
    }
}
