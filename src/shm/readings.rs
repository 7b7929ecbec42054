//! What the ranks of a calibration measured: words in the segment's result array.
//!
//! ```text
//! sample   0  1  2 ...       64 bytes each
//! rank 0  [ ][ ][ ]          `asked` here is for all ranks
//! rank 1  [ ][ ][ ]
//! ```
//!
//! A place is written once, by its rank alone. Before each sample rank 0 says in its own place what all
//! are to do; the others look there after the barrier that follows, which orders it. So no rank, however
//! late, can read what was said of another sample. The launcher reads when all ranks have left.
#![expect(unsafe_code, reason = "references into the segment")]

use std::marker::PhantomData;

use super::sync::{AtomicU64, Relaxed};

/// What one rank measured of one sample. Times are by CLOCK_MONOTONIC, in nanoseconds.
#[derive(Debug)]
#[repr(C, align(64))]
struct Place {
    /// {warm-up: 1, operations: 63}, of rank 0 for all; 0: there are no more samples.
    asked: AtomicU64,
    begin: AtomicU64,
    end: AtomicU64,
    done: AtomicU64,
    items: AtomicU64,
    handed: AtomicU64,
    switches: AtomicU64,
}

#[cfg(not(spmd_loom))] // loom's atomics are larger; only real memory has a layout.
const _: () = assert!(size_of::<Place>() == 64);

/// The bit of `asked` that says that the sample does not count.
const WARM_UP: u64 = 1 << 63;

/// What all ranks are to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// So many operations, which nobody will count: caches, pages and the pace are found.
    WarmUp(u64),
    /// So many operations, as a sample.
    Sample(u64),
    /// Nothing: that was all.
    Stop,
}

/// What one rank measured of one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// Operations this rank did.
    pub(crate) done: u64,
    /// Indices those were for.
    pub(crate) items: u64,
    /// Operations that followed one of another rank.
    pub(crate) handed: u64,
    /// How often the kernel took the CPU away meanwhile.
    pub(crate) switches: u64,
}

/// The places of all ranks and samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readings<'a> {
    first: *const Place,
    procs: u32,
    samples: u64,
    memory: PhantomData<&'a Place>,
}

impl Readings<'_> {
    /// Returns how many bytes so many places are; `None` if more than there can be.
    pub(crate) fn bytes(procs: u32, samples: u64) -> Option<u64> {
        u64::from(procs).checked_mul(samples)?.checked_mul(size_of::<Place>() as u64)
    }

    /// Views the places in memory that all ranks share.
    ///
    /// # Safety
    /// `first` points at that many bytes, aligned to 64, that stay mapped for the lifetime and hold
    /// nothing else.
    pub(crate) unsafe fn new(first: *const u8, procs: u32, samples: u64) -> Self {
        Self { first: first.cast(), procs, samples, memory: PhantomData }
    }

    fn place(&self, rank: u32, sample: u64) -> Option<&Place> {
        if rank >= self.procs || sample >= self.samples {
            return None;
        }
        let at = usize::try_from(u64::from(rank) * self.samples + sample).ok()?;
        // SAFETY: one of the places that `new` was promised; atomics, valid for any bytes (I1).
        unsafe { self.first.wrapping_add(at).as_ref() }
    }

    /// Says what all are to do in this sample. For rank 0, before the barrier that begins it.
    pub(crate) fn ask(&self, sample: u64, ask: Ask) {
        let word = match ask {
            Ask::WarmUp(operations) => operations | WARM_UP,
            Ask::Sample(operations) => operations,
            Ask::Stop => 0,
        };
        if let Some(place) = self.place(0, sample) {
            place.asked.store(word, Relaxed); // Published by the barrier that follows.
        }
    }

    /// Returns what all are to do in this sample.
    pub(crate) fn asked(&self, sample: u64) -> Ask {
        // Stored before a barrier that this reader passed.
        match self.place(0, sample).map_or(0, |place| place.asked.load(Relaxed)) {
            0 => Ask::Stop,
            word if word & WARM_UP != 0 => Ask::WarmUp(word & !WARM_UP),
            word => Ask::Sample(word),
        }
    }

    /// Writes down what this rank measured.
    pub(crate) fn write(&self, rank: u32, sample: u64, reading: &Reading) {
        let Some(place) = self.place(rank, sample) else { return };
        // All Relaxed: figures, read after this rank has left.
        place.begin.store(reading.begin, Relaxed);
        place.end.store(reading.end, Relaxed);
        place.done.store(reading.done, Relaxed);
        place.items.store(reading.items, Relaxed);
        place.handed.store(reading.handed, Relaxed);
        place.switches.store(reading.switches, Relaxed);
    }

    /// Returns what each rank measured of a sample; zeroes where it has not.
    pub(crate) fn of(&self, sample: u64) -> Vec<Reading> {
        let places = (0..self.procs).filter_map(|rank| self.place(rank, sample));
        places
            .map(|place| Reading {
                // All Relaxed: every rank has left.
                begin: place.begin.load(Relaxed),
                end: place.end.load(Relaxed),
                done: place.done.load(Relaxed),
                items: place.items.load(Relaxed),
                handed: place.handed.load(Relaxed),
                switches: place.switches.load(Relaxed),
            })
            .collect()
    }
}
