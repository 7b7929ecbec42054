//! The page each rank writes about itself.

use super::counted::CountedWords;
use super::disturbed::DisturbedWords;
use super::sync::{Acquire, AtomicU32, AtomicU64, Relaxed, Release, fence};

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
    /// What disturbed it while passes were timed.
    pub(crate) disturbed: DisturbedWords,
    /// What the processor counted meanwhile.
    pub(crate) counted: CountedWords,
    pad: [AtomicU64; 13],
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
            disturbed: DisturbedWords::new(),
            counted: CountedWords::new(),
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
