//! The segment's first bytes.

use super::layout::Dims;
use super::rank_slot::RankSlot;
use super::sync::{Acquire, AtomicU32, AtomicU64, Relaxed, Release};

/// "SPMDSHM\0" as a little-endian word; written last.
const MAGIC: u64 = u64::from_le_bytes(*b"SPMDSHM\0");
/// The version of the layout: bumped with any change to a type in the segment.
const LAYOUT: u32 = 12;
/// Sizes of what lies in the segment folded into one word, so that a stranger is recognised even
/// where somebody forgot to bump [`LAYOUT`].
const ABI: u32 = (size_of::<Header>() as u32)
    ^ (size_of::<RankSlot>() as u32).rotate_left(8)
    ^ (size_of::<super::barrier::Barrier>() as u32).rotate_left(16)
    ^ (size_of::<super::exceptions::Exceptions>() as u32).rotate_left(22)
    ^ (size_of::<super::trail::StepWords>() as u32).rotate_left(4)
    ^ (size_of::<usize>() as u32).rotate_left(28);

/// The segment's first bytes.
///
/// ```text
///   0  magic    u64   "SPMDSHM\0"; written last, Release; read first, Acquire
///   8  layout   u32
///  12  abi      u32
///  16  total    u64   bytes in the segment
///  24  dims     u64 × 9
/// 128  lock     40 bytes: a robust pthread mutex, alone with nothing else on its line
/// 256  abort    u32   why every rank must stop; 0: go on
/// 260  used     u32   whether the arrays hold what another world has left there
/// 264  offence  u64   the least index whose input the kernel cannot take; MAX: none
/// 272  injected u64   how often each injected fault has struck, a byte each
/// ```
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Header {
    magic: AtomicU64,
    layout: AtomicU32,
    abi: AtomicU32,
    total: AtomicU64,
    dims: [AtomicU64; 9],
    pad: [AtomicU64; 4],
    lock: LockBytes,
    abort: AtomicU32,
    used: AtomicU32,
    offence: AtomicU64,
    injected: AtomicU64,
}

/// Room for the mutex of [`super::lock`].
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct LockBytes([AtomicU64; 16]);

#[cfg(not(spmd_loom))] // loom's atomics are larger; only real memory has a layout.
const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Header, lock) == 128);
    assert!(offset_of!(Header, abort) == 256);
    assert!(size_of::<Header>() == 384);
    assert!(size_of::<RankSlot>() == 640);
    assert!(size_of::<super::claims::Tail>() == 128);
    assert!(size_of::<super::claims::LeaseSlot>() == 128);
    assert!(size_of::<super::claims::RangeSlot>() == 128);
    assert!(size_of::<super::claims::Handover>() == 128);
    assert!(size_of::<super::trail::TrailHead>() == 128);
    assert!(size_of::<super::trail::StepWords>() == 48);
};

/// Why all ranks must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Abort {
    /// Go on.
    None = 0,
    /// The launcher says so: a rank is lost, time is up, or the user asked.
    Launcher = 1,
    /// A rank failed and has written why into its slot.
    Rank = 2,
}

/// Why a segment is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttachError {
    #[error("this is no spmd segment: magic {0:#018x}")]
    Magic(u64),
    #[error(
        "segment has layout {found}; this worker understands layout {LAYOUT} (built from another version?)"
    )]
    Layout { found: u32 },
    #[error("segment was laid out by another build: abi word {found:#x}, expected {ABI:#x}")]
    Abi { found: u32 },
    #[error("segment header is inconsistent: {0}")]
    Inconsistent(&'static str),
}

impl Header {
    /// A header in memory of its own: loom's atomics cannot lie in a mapping.
    #[cfg(all(test, spmd_loom))]
    pub(super) fn new() -> Self {
        Self {
            magic: AtomicU64::new(0),
            layout: AtomicU32::new(0),
            abi: AtomicU32::new(0),
            total: AtomicU64::new(0),
            dims: std::array::from_fn(|_| AtomicU64::new(0)),
            pad: std::array::from_fn(|_| AtomicU64::new(0)),
            lock: LockBytes(std::array::from_fn(|_| AtomicU64::new(0))),
            abort: AtomicU32::new(0),
            used: AtomicU32::new(0),
            offence: AtomicU64::new(0),
            injected: AtomicU64::new(0),
        }
    }

    /// Writes everything but the magic.
    pub(crate) fn write(&self, dims: &Dims, total: usize) {
        self.layout.store(LAYOUT, Relaxed); // This and all below: published by [magic].
        self.abi.store(ABI, Relaxed);
        self.total.store(total as u64, Relaxed);
        let numbers = [
            u64::from(dims.procs),
            u64::from(dims.queues),
            dims.samples,
            dims.job,
            dims.saved_block,
            dims.source,
            dims.result,
            dims.operands,
            dims.trail,
        ];
        for (word, number) in self.dims.iter().zip(numbers) {
            word.store(number, Relaxed);
        }
        self.abort.store(Abort::None as u32, Relaxed);
        self.offence.store(u64::MAX, Relaxed);
    }

    /// Says that the arrays hold what another world has left there.
    pub(super) fn note_arrays_used(&self) {
        self.used.store(1, Relaxed); // Published by [magic].
    }

    /// Says whether the arrays may hold what another world has left there.
    pub(crate) fn arrays_were_used(&self) -> bool {
        self.used.load(Relaxed) != 0 // Published by [magic].
    }

    /// Declares the segment ready: the last thing the launcher writes before the first spawn.
    pub(crate) fn publish(&self) {
        // Release, pairs with Acquire in `read` [magic].
        self.magic.store(MAGIC, Release);
    }

    /// Checks that this is a segment of ours, ready, and `mapped` bytes long; returns its numbers.
    pub(crate) fn read(&self, mapped: u64) -> Result<Dims, AttachError> {
        // Acquire, pairs with Release in `publish` [magic].
        let magic = self.magic.load(Acquire);
        if magic != MAGIC {
            return Err(AttachError::Magic(magic));
        }
        let found = self.layout.load(Relaxed);
        if found != LAYOUT {
            return Err(AttachError::Layout { found });
        }
        let found = self.abi.load(Relaxed);
        if found != ABI {
            return Err(AttachError::Abi { found });
        }
        if self.total.load(Relaxed) != mapped {
            return Err(AttachError::Inconsistent("its length is not the mapped length"));
        }
        let number = |at: usize| self.dims[at].load(Relaxed);
        let small = |at: usize| {
            u32::try_from(number(at)).map_err(|_| AttachError::Inconsistent("a count exceeds 2^32"))
        };
        Ok(Dims {
            procs: small(0)?,
            queues: small(1)?,
            samples: number(2),
            job: number(3),
            saved_block: number(4),
            source: number(5),
            result: number(6),
            operands: number(7),
            trail: number(8),
        })
    }

    /// Returns where the mutex lies.
    pub(crate) fn lock(&self) -> *mut u8 {
        (&raw const self.lock).cast_mut().cast()
    }

    /// Tells every rank to stop; the first reason stays.
    pub(crate) fn abort(&self, why: Abort) {
        // Release, pairs with Acquire in `aborted` [abort]: what a rank wrote about its failure.
        let _ = self.abort.compare_exchange(Abort::None as u32, why as u32, Release, Relaxed);
    }

    /// Says whether every rank must stop.
    #[inline]
    pub(crate) fn aborted(&self) -> bool {
        // Acquire, pairs with Release in `abort` [abort].
        self.abort.load(Acquire) != Abort::None as u32
    }

    /// Lets an injected fault strike, unless it has done so `times` already. Its count is a byte of
    /// the word.
    pub(crate) fn strike(&self, number: usize, times: u8) -> bool {
        let shift = number % 8 * 8;
        let mut word = self.injected.load(Relaxed); // The exchange decides.
        while word >> shift & 0xff < u64::from(times) {
            // Relaxed: the number matters, not what came before it.
            match self.injected.compare_exchange_weak(word, word + (1 << shift), Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Returns how often an injected fault has struck.
    pub(crate) fn strikes(&self, number: usize) -> u64 {
        self.injected.load(Relaxed) >> (number % 8 * 8) & 0xff // Read after all ranks have left.
    }

    /// Returns how often each injected fault has struck.
    pub(crate) fn strikes_of_all(&self) -> u64 {
        self.injected.load(Relaxed) // Read after all ranks have left.
    }

    /// Goes on counting from there.
    pub(crate) fn set_strikes(&self, strikes: u64) {
        self.injected.store(strikes, Relaxed); // Before the first rank exists.
    }

    /// Records an index whose input the kernel cannot take; the least one stays.
    pub(crate) fn offend(&self, index: u64) {
        self.offence.fetch_min(index, Relaxed); // Read after a barrier, or after all ranks left.
    }

    /// Returns the least index whose input the kernel cannot take.
    pub(crate) fn offence(&self) -> Option<u64> {
        let index = self.offence.load(Relaxed); // Written before a barrier this reader passed.
        (index != u64::MAX).then_some(index)
    }
}
