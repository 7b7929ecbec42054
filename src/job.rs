//! What a rank needs to know beyond the segment's layout: written once, as JSON, into the segment.

use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::data::{ByteOrder, DType, Overflow};
use crate::host::affinity::CpuSet;
use crate::host::huge::Advice;
use crate::inject::Injection;
use crate::kernel::{Kernel, Params, Setting};
use crate::left::Left;
use crate::schedule::Partition;
use crate::shm::Patience;

/// The resolved run, as the ranks see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) kernel: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) dtype: DType,
    pub(crate) overflow: Overflow,
    pub(crate) seed: u64,
    /// The size of the index space.
    pub(crate) size: u64,
    /// What of it is to be computed.
    #[serde(default, skip_serializing_if = "Left::is_everything")]
    pub(crate) left: Left,
    /// Cuts the positions of what is left.
    pub(crate) partition: Partition,
    pub(crate) input: InputAt,
    pub(crate) result: ResultAt,
    pub(crate) words: WordsAt,
    pub(crate) mode: Mode,
    /// Where the arrays lie while they are computed on.
    pub(crate) home: Home,
    pub(crate) check: Option<Bounds>,
    /// The CPUs an unpinned rank is to keep to, where `--cpus` named some.
    pub(crate) cpus: Option<CpuSet>,
    /// What pages the arrays are to have.
    pub(crate) huge: Advice,
    pub(crate) spins: u32,
    pub(crate) yields: u32,
    /// Whether ranks look up what the kernel counted for them: for the record, not for the report.
    pub(crate) accounts: Accounts,
    /// Whether the processor's counters are asked.
    pub(crate) counters: Counters,
    pub(crate) warmup: u32,
    pub(crate) repeats: u32,
    /// What is written down of the chunks.
    pub(crate) recording: Recording,
    /// What is measured in place of computing: then kernel, input and passes are nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) calibration: Option<Calibration>,
    /// Faults on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inject: Vec<Injection>,
}

/// Where the inputs come from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum InputAt {
    /// x\[i\] = first + i: nothing is stored.
    Index { negative: bool, magnitude: u64 },
    /// An array in a file, mapped read-only through descriptor [`INPUT_FD`].
    File { offset: u64, order: ByteOrder },
    /// The segment's input array.
    Segment,
}

impl InputAt {
    pub(crate) fn index(first: i128) -> Option<Self> {
        let magnitude = u64::try_from(first.unsigned_abs()).ok()?;
        Some(Self::Index { negative: first < 0, magnitude })
    }
}

/// Where the results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ResultAt {
    /// The segment's result array.
    Segment,
    /// The output file itself, or a checkpoint, mapped through descriptor [`RESULT_FD`].
    File { offset: u64 },
}

/// Where the words lie that say what is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WordsAt {
    /// In the segment.
    Segment,
    /// In the file of the results, mapped through descriptor [`RESULT_FD`].
    File { offset: u64 },
}

/// Whether ranks look up what the kernel counted for them before they leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Accounts {
    /// They do: peak memory, switches, migrations.
    Wanted,
    /// Nobody will read it.
    Unwanted,
}

/// Whether ranks ask the processor's counters while passes are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Counters {
    /// They do, where there are some.
    Wanted,
    /// Not a call is made for it.
    Unwanted,
}

/// What the ranks write down of their chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recording {
    /// How many of the timed passes, from the first on; 0 if no trace was asked for.
    pub(crate) passes: u32,
    /// Steps that each rank has room for.
    pub(crate) steps: u64,
}

impl Recording {
    /// All ranks together write down so many steps at most: 12 MiB, and ten times that as text.
    const MOST: u64 = 1 << 18;

    /// Settles how much is recorded of so many passes: as many as fit, if each rank computes at most
    /// twice its share of the chunks.
    pub(crate) fn of(asked: Option<&Partition>, repeats: u32) -> Self {
        let Some(partition) = asked else { return Self { passes: 0, steps: 0 } };
        let procs = u64::from(partition.procs());
        let room = (Self::MOST / procs).max(1);
        // Where chunks are found late, there may be eight passes, and each have an eighth.
        let (share, all) = match partition.count() {
            Some(count) => (2 * count.div_ceil(procs) + 1, count + 1),
            None => ((room / 8).max(1), room),
        };
        let passes = (room / share).clamp(1, u64::from(repeats));
        // In whole lines of the segment, so that no two ranks write to one.
        let steps = all.saturating_mul(passes).min(room).next_multiple_of(8);
        Self { passes: u32::try_from(passes).unwrap_or(repeats), steps }
    }

    /// Returns which of the timed passes a pass is, if it is one that is recorded.
    pub(crate) fn number(self, pass: u64, warmup: u32) -> Option<u32> {
        let timed = u32::try_from(pass.checked_sub(warmup.into())?).ok()?;
        (timed < self.passes).then_some(timed)
    }
}

/// Whether results have an array of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// Inputs are read-only; results are written beside them.
    Apart,
    /// The result array first holds the inputs, and each block overwrites its own, saved before.
    InPlace,
    /// The same with nothing saved: no death is survived.
    InPlaceUnsaved,
}

impl Mode {
    /// Says whether the result array first holds the inputs.
    pub(crate) fn is_in_place(self) -> bool {
        self != Self::Apart
    }
}

/// Where the arrays lie while they are computed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Home {
    /// In memory that all processes share.
    Shared,
    /// In memory of the one rank's own, as a program has it that knows of no others. Results are handed over
    /// after the last pass.
    Own,
}

/// The integers the kernel takes; anything else stops the run before it begins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Bounds {
    pub(crate) least: i64,
    pub(crate) greatest: u64,
}

impl Bounds {
    pub(crate) fn contains(self, value: i128) -> bool {
        i128::from(self.least) <= value && value <= i128::from(self.greatest)
    }
}

/// The segment, in a rank.
pub(crate) const SEGMENT_FD: i32 = 3;
/// The input file, in a rank.
pub(crate) const INPUT_FD: i32 = 4;
/// The output file, or the checkpoint, in a rank.
pub(crate) const RESULT_FD: i32 = 5;
/// Where a rank that waits for orders finds its line: it has nothing else yet.
pub(crate) const LINE_FD: i32 = 3;

impl Job {
    pub(crate) fn patience(&self) -> Patience {
        Patience { spins: self.spins, yields: self.yields }
    }

    pub(crate) fn setting<'a>(&self, params: &'a Params) -> Setting<'a> {
        Setting {
            params,
            dtype: self.dtype,
            size: self.size,
            overflow: self.overflow,
            seed: self.seed,
        }
    }

    pub(crate) fn resolve_params(&self, kernel: &dyn Kernel) -> Result<Params, crate::Error> {
        Params::resolve(kernel.name(), kernel.params(), &self.params)
    }

    /// Returns the number of passes, timed or not.
    pub(crate) fn passes(&self) -> u64 {
        u64::from(self.warmup) + u64::from(self.repeats)
    }
}
