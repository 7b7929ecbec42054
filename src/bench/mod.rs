//! `spmd bench`: what the parts of a run cost on this machine, measured by the code that runs.
//!
//! ```text
//! launch    whole runs of ranks that do next to nothing      in the launcher
//! world     barrier, pull, bandwidth: ranks that measure     worker/calibrate
//! room      how large arrays are to be, and may be
//! noise     what disturbed it
//! document  the JSON
//! ```

mod document;
mod launch;
mod noise;
mod room;
mod world;

use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

pub(crate) use self::noise::Noise;
use crate::calibration::{Loops, Measured};
use crate::engine::{Audience, Orders};
use crate::error::{Error, Explained, nearest};
use crate::options::RunOptions;
use crate::statistics::Summary;

/// Samples at least: an interval of the median then leaves out a third of them.
const LEAST: u64 = 31;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Launch,
    Barrier,
    Pull,
    Bandwidth,
}

impl Name {
    pub(crate) const ALL: [Self; 4] = [Self::Launch, Self::Barrier, Self::Pull, Self::Bandwidth];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Barrier => "barrier",
            Self::Pull => "pull",
            Self::Bandwidth => "bandwidth",
        }
    }

    /// Returns the question it answers.
    pub(crate) fn answers(self) -> &'static str {
        match self {
            Self::Launch => "how long does a run take in which nothing is to be done?",
            Self::Barrier => "how long does it take all ranks to meet?",
            Self::Pull => "how long does the counter take for each chunk it hands out?",
            Self::Bandwidth => "how many bytes a second can all ranks read, update, copy, combine?",
        }
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|bench| bench.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let what = match text {
                "allreduce" | "pingpong" => format!("there is no bench `{text}` yet"),
                _ => format!("there is no bench `{text}`"),
            };
            let hint = nearest(text, names).map_or_else(
                || format!("one of {}", names.join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            Error::rejected(Explained::new(what).hint(hint))
        })
    }
}

/// What is to be measured, and how.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) name: Name,
    /// Ranks, placement, waiting and schedule; nothing of what a run computes.
    pub(crate) options: RunOptions,
    /// Bytes of an array, where that was asked for.
    pub(crate) array: Option<u64>,
    /// Which loops, of a bench that has loops.
    pub(crate) loops: Loops,
    /// How long to go on.
    pub(crate) budget: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    pub(crate) name: Name,
    pub(crate) procs: u32,
    /// The CPUs ranks may run on, as a list.
    pub(crate) cpus: String,
    pub(crate) unit: Unit,
    /// The first is what the bench is named for, but for those that have several.
    pub(crate) rows: Vec<Row>,
    /// Which row stands for all of it.
    pub(crate) main: &'static str,
    /// What a sample is.
    pub(crate) sample: String,
    /// What is measured, to the letter.
    pub(crate) definition: String,
    /// What else a script may want, by name.
    pub(crate) facts: Map<String, Value>,
    pub(crate) noise: Noise,
    pub(crate) warnings: Vec<String>,
}

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds for each operation.
    NsPerOp,
    /// Bytes in each second.
    BytesPerS,
}

/// One thing that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) summary: Summary,
    /// The median of those samples in which no rank lost its CPU.
    pub(crate) undisturbed: Option<f64>,
}

impl Row {
    /// Summarises samples, each with how often a rank lost its CPU in it.
    fn new(name: &'static str, samples: &[(f64, u64)]) -> Result<Self, Error> {
        let calm = samples.iter().filter(|(_, switches)| *switches == 0);
        let calm = Summary::of(calm.map(|(value, _)| *value).collect());
        let summary = Summary::of(samples.iter().map(|(value, _)| *value).collect())
            .ok_or_else(|| Error::refused("the bench has no sample: a bug in spmd"))?;
        Ok(Self { name, summary, undisturbed: calm.map(|calm| calm.median) })
    }
}

/// Measures. The calling thread owns the ranks, as those of a run.
pub(crate) fn run(
    request: &Request,
    orders: &Orders,
    audience: &mut dyn Audience,
) -> Result<Measurement, Error> {
    let measured = match request.name {
        Name::Launch => return launch::measure(request, orders, audience),
        Name::Barrier => Measured::Barrier,
        Name::Pull => Measured::Pull,
        Name::Bandwidth => Measured::Bandwidth { array: 0, loops: request.loops },
    };
    world::measure(measured, request, orders, audience)
}

/// Names a number of things.
fn counted(n: u64, one: &str, more: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {more}", crate::data::grouped(n)) }
}
