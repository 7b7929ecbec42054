//! What one number of ranks took, round by round, and the figures made of such points.

use serde::Serialize;

use crate::statistics::median;

/// The samples of one number of ranks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) procs: u32,
    /// How many indices were computed.
    pub(crate) size: u64,
    /// Seconds, by round; `None`: this round has no sample that counts.
    pub(crate) rounds: Vec<Option<f64>>,
}

impl Point {
    /// Takes a sample of each round.
    pub(crate) fn new(procs: u32, size: u64, times: &[f64]) -> Self {
        Self { procs, size, rounds: times.iter().copied().map(Some).collect() }
    }

    /// Returns the samples there are, in the order of their rounds.
    pub(crate) fn times(&self) -> Vec<f64> {
        self.rounds.iter().copied().flatten().collect()
    }

    /// Returns the middle of the samples; `None` if there are none.
    pub(super) fn median(&self) -> Option<f64> {
        median(&self.times())
    }
}

/// A figure, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Estimate {
    /// May be infinite, as the peak of a curve that never turns down; in JSON that is `null`.
    pub(crate) value: f64,
    /// Holds it with 95 %; `None`: samples are too few.
    pub(crate) ci95: Option<[f64; 2]>,
}

impl Estimate {
    /// Returns a function of it that only rises or only falls: the interval is then that of its ends.
    pub(super) fn through(self, function: impl Fn(f64) -> f64) -> Self {
        let ends = |[a, b]: [f64; 2]| [function(a), function(b)];
        Self {
            value: function(self.value),
            ci95: self.ci95.map(ends).map(|[a, b]| [a.min(b), a.max(b)]),
        }
    }

    /// Says whether the interval holds this value; never, where there is none.
    pub(crate) fn may_be(&self, value: f64) -> bool {
        self.ci95.is_some_and(|[low, high]| low <= value && value <= high)
    }
}
