//! The ratio of two contenders, taken in pairs: what the machine does meanwhile meets both.

use crate::shared::{interval, median};

/// The median of the ratios of all rounds, and its distribution-free 95 % interval.
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// Writes two columns: the ratio, and its interval.
    pub(crate) fn shown(&self) -> String {
        // Three digits that say something, for very small ratios too.
        let digits = if self.median < 0.01 { 6 } else { 3 };
        format!("{:.digits$} | {:.digits$} .. {:.digits$}", self.median, self.low, self.high)
    }
}

/// Compares round by round: both have one sample of each.
pub(crate) fn ratio(own: &[f64], other: &[f64]) -> Ratio {
    let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| own / other).collect();
    let (low, high) = interval(&ratios);
    Ratio { median: median(&ratios), low, high }
}
