//! The segment's first bytes, and the page each rank writes about itself.

use super::layout::Dims;
use super::sync::{Acquire, AtomicU32, AtomicU64, Relaxed, Release, fence};

/// "SPMDSHM\0" as a little-endian word; written last.
const MAGIC: u64 = u64::from_le_bytes(*b"SPMDSHM\0");
/// The version of the layout: bumped with any change to a type in the segment.
const LAYOUT: u32 = 4;
/// Sizes of what lies in the segment folded into one word, so that a stranger is recognised even
/// where somebody forgot to bump [`LAYOUT`].
const ABI: u32 = (size_of::<Header>() as u32)
    ^ (size_of::<RankSlot>() as u32).rotate_left(8)
    ^ (size_of::<super::barrier::Barrier>() as u32).rotate_left(16)
    ^ (size_of::<super::exceptions::Exceptions>() as u32).rotate_left(22)
    ^ (size_of::<usize>() as u32).rotate_left(28);

/// The segment's first bytes.
///
/// ```text
///   0  magic    u64   "SPMDSHM\0"; written last, Release; read first, Acquire
///   8  layout   u32
///  12  abi      u32
///  16  total    u64   bytes in the segment
///  24  dims     u64 × 8
/// 128  lock     40 bytes: a robust pthread mutex, alone with nothing else on its line
/// 256  abort    u32   why every rank must stop; 0: go on
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
    dims: [AtomicU64; 8],
    pad: [AtomicU64; 5],
    lock: LockBytes,
    abort: AtomicU32,
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
    assert!(size_of::<RankSlot>() == 512);
    assert!(size_of::<super::claims::Tail>() == 128);
    assert!(size_of::<super::claims::LeaseSlot>() == 128);
    assert!(size_of::<super::claims::RangeSlot>() == 128);
    assert!(size_of::<super::claims::Handover>() == 128);
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
        ];
        for (word, number) in self.dims.iter().zip(numbers) {
            word.store(number, Relaxed);
        }
        self.abort.store(Abort::None as u32, Relaxed);
        self.offence.store(u64::MAX, Relaxed);
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

/// How far a rank has come: shown when it dies or hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Stage {
    /// Not attached yet.
    Starting = 0,
    /// Attached and pinned.
    Attached = 1,
    /// Touching its slice of the arrays.
    Init = 2,
    /// In the pass.
    Pass = 3,
    /// Waiting for the others.
    Barrier = 4,
    /// Done, about to exit.
    Done = 5,
}

impl Stage {
    fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::Starting,
            1 => Self::Attached,
            2 => Self::Init,
            3 => Self::Pass,
            4 => Self::Barrier,
            _ => Self::Done,
        }
    }

    /// Returns the stage in words that follow "while".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Attached => "waiting to begin",
            Self::Init => "touching its slice",
            Self::Pass => "computing",
            Self::Barrier => "waiting at the barrier",
            Self::Done => "exiting",
        }
    }
}

/// What kind of failure a rank reports about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Fault {
    /// None.
    None = 0,
    /// The kernel returned an error.
    Kernel = 1,
    /// The kernel panicked.
    Panic = 2,
    /// The machine refused something.
    Machine = 3,
    /// spmd itself failed.
    Internal = 4,
}

impl Fault {
    fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::None,
            1 => Self::Kernel,
            2 => Self::Panic,
            3 => Self::Machine,
            _ => Self::Internal,
        }
    }
}

/// When one pass began and ended, over all ranks, by CLOCK_MONOTONIC. Zero before the pass.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct PassTime {
    /// The complement of the earliest begin, so that a maximum of zeroes is a minimum.
    begin: AtomicU64,
    /// When the last rank was done with its work.
    end: AtomicU64,
}

impl PassTime {
    /// Adds when one rank began and was done.
    pub(crate) fn add(&self, begin: u64, end: u64) {
        self.begin.fetch_max(!begin, Relaxed); // Read after all ranks have left.
        self.end.fetch_max(end, Relaxed); // Read after all ranks have left.
    }

    /// Returns the nanoseconds from the earliest begin to the latest end.
    pub(crate) fn length(&self) -> u64 {
        // Relaxed: all ranks have left.
        self.end.load(Relaxed).saturating_sub(!self.begin.load(Relaxed))
    }
}

const MESSAGE_WORDS: usize = 30;
/// `cpu` and `pinned` when there is none.
pub(crate) const NO_CPU: u32 = u32::MAX;

/// What one rank says about itself. Written by that rank alone, read by the launcher, which wipes it
/// while the rank has no process.
///
/// Times are nanoseconds; those of a pass are of the latest one.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct RankSlot {
    /// Indices finished since the start, over all passes: the progress the launcher shows.
    done: AtomicU64,
    pub(crate) items: AtomicU64,
    pub(crate) chunks: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) claim: AtomicU64,
    /// Mapping what another rank had touched.
    pub(crate) map: AtomicU64,
    pub(crate) wait: AtomicU64,
    /// When it had attached, by CLOCK_MONOTONIC.
    pub(crate) attached: AtomicU64,
    /// When its slice was touched, by CLOCK_MONOTONIC.
    pub(crate) ready: AtomicU64,
    pub(crate) max_rss: AtomicU64,
    pub(crate) nivcsw: AtomicU64,
    pub(crate) migrations: AtomicU64,
    /// Bytes it had mapped in huge pages.
    pub(crate) huge: AtomicU64,
    pub(crate) pid: AtomicU32,
    /// The CPU it is pinned to, verified by reading the mask back.
    pub(crate) pinned: AtomicU32,
    /// The CPU it was seen on last.
    pub(crate) cpu: AtomicU32,
    stage: AtomicU32,
    fault: AtomicU32,
    fault_len: AtomicU32,
    /// The index a fault is about; MAX: none.
    fault_index: AtomicU64,
    message: [AtomicU64; MESSAGE_WORDS],
    /// The CPU it is to be pinned to; written by the launcher before the segment is published.
    wanted: AtomicU64,
    /// The index being computed, of a chunk that is run index by index; MAX: none.
    single: AtomicU64,
    /// {code: 32, signal: 32} of the memory fault this process is dying of; 0: none.
    crash: AtomicU64,
    /// The address it was about.
    crash_address: AtomicU64,
    /// Where the stack was.
    crash_stack: AtomicU64,
    /// Nanoseconds an index, as an f64; 0: none yet.
    pub(crate) pace: AtomicU64,
    pad: [AtomicU64; 11],
}

/// What a rank wrote down of the memory fault it died of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) signal: i32,
    /// `si_code`: at most 0 where a process sent the signal.
    pub(crate) code: i32,
    pub(crate) address: u64,
    pub(crate) stack: u64,
}

impl RankSlot {
    /// A slot in memory of its own: loom's atomics cannot lie in a mapping.
    #[cfg(all(test, spmd_loom))]
    pub(super) fn new() -> Self {
        Self {
            done: AtomicU64::new(0),
            items: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            claim: AtomicU64::new(0),
            map: AtomicU64::new(0),
            wait: AtomicU64::new(0),
            attached: AtomicU64::new(0),
            ready: AtomicU64::new(0),
            max_rss: AtomicU64::new(0),
            nivcsw: AtomicU64::new(0),
            migrations: AtomicU64::new(0),
            huge: AtomicU64::new(0),
            pid: AtomicU32::new(0),
            pinned: AtomicU32::new(0),
            cpu: AtomicU32::new(0),
            stage: AtomicU32::new(0),
            fault: AtomicU32::new(0),
            fault_len: AtomicU32::new(0),
            fault_index: AtomicU64::new(0),
            message: std::array::from_fn(|_| AtomicU64::new(0)),
            wanted: AtomicU64::new(0),
            single: AtomicU64::new(0),
            crash: AtomicU64::new(0),
            crash_address: AtomicU64::new(0),
            crash_stack: AtomicU64::new(0),
            pace: AtomicU64::new(0),
            pad: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Makes the slot say that nothing has happened, and which CPU the rank is to be pinned to.
    pub(crate) fn prepare(&self, cpu: Option<u32>) {
        self.wanted.store(cpu.map_or(u64::MAX, u64::from), Relaxed); // Published by [magic].
        self.renew();
    }

    /// Makes the slot say that nothing has happened to the process that is about to start; what was
    /// done stays. Only while the rank has no process.
    pub(crate) fn renew(&self) {
        // All Relaxed: published by [magic], or by the start of the process.
        self.pid.store(0, Relaxed);
        self.pinned.store(NO_CPU, Relaxed);
        self.cpu.store(NO_CPU, Relaxed);
        self.stage.store(Stage::Starting as u32, Relaxed);
        self.fault.store(Fault::None as u32, Relaxed);
        self.fault_index.store(u64::MAX, Relaxed);
        self.single.store(u64::MAX, Relaxed);
        self.crash.store(0, Relaxed);
        self.pace.store(0, Relaxed);
    }

    /// Names the index that is computed next, alone; `None` when that is over.
    pub(crate) fn set_single(&self, index: Option<u64>) {
        // Release: the store comes before the kernel is called, also in machine order; a death leaves
        // a prefix. Read after the death is confirmed.
        self.single.store(index.unwrap_or(u64::MAX), Release);
        fence(Release); // And nothing of the kernel's moves above it.
    }

    /// Returns the index that was being computed alone.
    pub(crate) fn single(&self) -> Option<u64> {
        let index = self.single.load(Acquire); // Pairs with Release in `set_single`.
        (index != u64::MAX).then_some(index)
    }

    /// Writes down a memory fault. Nothing but stores: it is called in a signal handler.
    pub(crate) fn crashed(&self, crash: Crash) {
        self.crash_address.store(crash.address, Relaxed); // Published by [crash].
        self.crash_stack.store(crash.stack, Relaxed); // Published by [crash].
        let word =
            u64::from(crash.code.cast_unsigned()) << 32 | u64::from(crash.signal.cast_unsigned());
        self.crash.store(word, Release); // Pairs with Acquire in `crash` [crash].
    }

    /// Returns the memory fault that was written down.
    #[expect(clippy::cast_possible_truncation, reason = "halves of a word")]
    pub(crate) fn crash(&self) -> Option<Crash> {
        let word = self.crash.load(Acquire); // Pairs with Release in `crashed` [crash].
        (word != 0).then(|| Crash {
            signal: (word as u32).cast_signed(),
            code: ((word >> 32) as u32).cast_signed(),
            address: self.crash_address.load(Relaxed), // Published by [crash].
            stack: self.crash_stack.load(Relaxed),     // Published by [crash].
        })
    }

    /// Returns the CPU the rank is to be pinned to.
    pub(crate) fn wanted(&self) -> Option<u32> {
        u32::try_from(self.wanted.load(Relaxed)).ok() // Published by [magic].
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u32, Relaxed); // For messages; orders nothing.
    }

    pub(crate) fn stage(&self) -> Stage {
        Stage::from_raw(self.stage.load(Relaxed)) // For messages; orders nothing.
    }

    /// Records when the rank had attached; of its processes the first one counts.
    pub(crate) fn note_attached(&self, now: u64) {
        if self.attached.load(Relaxed) == 0 {
            self.attached.store(now, Relaxed); // Read after all ranks have left.
        }
    }

    /// Records when the rank's slice was ready; of its processes the last one that did it counts.
    pub(crate) fn note_ready(&self, now: u64) {
        self.ready.store(now, Relaxed); // Read after all ranks have left.
    }

    /// Adds finished indices to the progress. The rank is the only writer.
    #[inline]
    pub(crate) fn add_done(&self, items: u64) {
        self.done.store(self.done.load(Relaxed) + items, Relaxed); // A figure; orders nothing.
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Relaxed) // A figure; orders nothing.
    }

    /// Records why this rank gives up; text beyond 240 bytes is cut.
    pub(crate) fn report(&self, fault: Fault, index: Option<u64>, text: &str) {
        let mut cut = text.len().min(MESSAGE_WORDS * 8);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        for (word, bytes) in self.message.iter().zip(text.as_bytes()[..cut].chunks(8)) {
            let mut raw = [0; 8];
            raw[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(raw), Relaxed); // Published by [fault].
        }
        self.fault_len.store(u32::try_from(cut).unwrap_or(0), Relaxed); // Published by [fault].
        self.fault_index.store(index.unwrap_or(u64::MAX), Relaxed); // Published by [fault].
        // Release, pairs with Acquire in `reported` [fault].
        self.fault.store(fault as u32, Release);
    }

    /// Returns what the rank reported about its failure.
    pub(crate) fn reported(&self) -> Option<(Fault, Option<u64>, String)> {
        // Acquire, pairs with Release in `report` [fault].
        let fault = Fault::from_raw(self.fault.load(Acquire));
        if fault == Fault::None {
            return None;
        }
        let mut bytes: Vec<u8> =
            self.message.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        bytes.truncate(self.fault_len.load(Relaxed) as usize);
        let index = self.fault_index.load(Relaxed);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some((fault, (index != u64::MAX).then_some(index), text))
    }
}
