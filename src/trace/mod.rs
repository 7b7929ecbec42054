//! A trace: when each rank asked for, computed and waited for what, as a file that Perfetto and Chrome
//! open and that `spmd tune` replays.
//!
//! The file is a JSON object of the trace-event format. `traceEvents` holds complete events, in
//! microseconds from the first on, one process a rank:
//!
//! ```text
//! pass    one rank's part of a pass, from its begin to its leaving the barrier      args: pass
//! claim   from asking for a chunk to having one                                     args: pass
//! chunk   from there to its end                             args: first, end (half-open), pass
//! wait    from finding that no chunk is left to leaving the barrier                 args: pass
//! ```
//!
//! `spmd` says what was run ([`About`]); viewers do not look at it.
//!
//! [`write()`] and [`Trace::read`] are the two directions; both know no ranks and no segment.

mod read;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::DType;
use crate::schedule::{Chunk, Schedule};

pub(crate) use self::write::write;

/// The version of `spmd` in a trace.
pub(crate) const SCHEMA: u32 = 1;

/// A trace that was read, checked: see [`Trace::read`].
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) about: About,
    pub(crate) spans: Vec<Span>,
}

/// What was run, when it was traced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) schema: u32,
    /// The version of the program.
    pub(crate) version: String,
    pub(crate) kernel: String,
    pub(crate) procs: u32,
    pub(crate) size: u64,
    pub(crate) dtype: DType,
    /// With its chunk settled; `auto` as such.
    pub(crate) schedule: Schedule,
    /// What `auto` came to; else the same.
    pub(crate) chosen: Schedule,
    /// Nanoseconds an index that the kernel states: by it chunks that are not given are chosen.
    pub(crate) stated_ns: f64,
    /// CPUs that the ranks had between them.
    pub(crate) cpus: u32,
    pub(crate) warmup: u32,
    pub(crate) repeats: u32,
    /// How many of the timed passes were recorded, from the first on.
    pub(crate) passes: u32,
    /// Chunks of those passes that did not fit.
    pub(crate) left_out: u64,
    /// Seconds of each timed pass.
    pub(crate) pass_s: Vec<f64>,
    /// The processes of the ranks; of one that died, there are several.
    pub(crate) ranks: Vec<Process>,
    /// Every option of the run, by the name of its flag.
    pub(crate) options: Map<String, Value>,
}

/// A process, and which rank it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) rank: u32,
    pub(crate) pid: u32,
}

/// Some time of a rank, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) rank: u32,
    pub(crate) pid: u32,
    /// Which of the timed passes.
    pub(crate) pass: u32,
    pub(crate) kind: Kind,
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

/// What the time was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All of a pass.
    Pass,
    /// Asking for a chunk.
    Claim,
    /// Computing one.
    Chunk(Chunk),
    /// Waiting for the others.
    Wait,
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Claim => "claim",
            Self::Chunk(_) => "chunk",
            Self::Wait => "wait",
        }
    }
}
