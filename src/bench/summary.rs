//! What many samples of one thing say together; pure.

use serde::Serialize;

/// Median, extremes, and how sure the median is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) n: usize,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The median lies in here with 95 %, whatever the distribution; `None` if samples are too few.
    pub(crate) ci95: Option<[f64; 2]>,
    /// In the order they were taken.
    pub(crate) samples: Vec<f64>,
}

impl Summary {
    /// Summarises samples; `None` if there are none.
    pub(crate) fn of(samples: Vec<f64>) -> Option<Self> {
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let median = f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]);
        let ci95 = rank_of_lower(n).map(|below| [sorted[below], sorted[n - 1 - below]]);
        Some(Self { n, median, min, max, ci95, samples })
    }
}

/// Returns how many of n samples lie outside of the interval on either side; `None` if all of them, taken
/// as the interval, would still miss the median more often than one time in twenty.
///
/// How many samples lie below the median is binomial, with a half: what the values are has no part in it.
/// (That samples are independent has. Those of one world are of one placement in memory, and of one hour.)
fn rank_of_lower(n: usize) -> Option<usize> {
    let all = n as f64;
    // Of k samples below: in logarithms, as 2^-n is beyond what a number can be.
    let mut chance = -all * std::f64::consts::LN_2;
    let (mut tail, mut outside) = (0.0, None);
    for k in 0..n {
        tail += chance.exp();
        if tail > 0.025 {
            break;
        }
        outside = Some(k);
        chance += ((all - k as f64) / (k as f64 + 1.0)).ln();
    }
    outside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_published_one_for_each_number_of_samples() {
        // The tables give l, the order statistic from 1 on: 6 → 1, 9 → 2, 20 → 6, 30 → 10, 100 → 40.
        let lower = [5, 6, 9, 20, 30, 100].map(rank_of_lower);
        assert_eq!(lower, [None, Some(0), Some(1), Some(5), Some(9), Some(39)]);
        let below = rank_of_lower(10_001).unwrap();
        assert!((4_890..4_910).contains(&below), "{below}");
    }

    #[test]
    fn a_summary_is_of_the_values_and_not_of_their_order() {
        let summary = Summary::of(vec![5.0, 1.0, 3.0, 2.0, 4.0, 6.0]).unwrap();
        assert_eq!((summary.n, summary.median, summary.min, summary.max), (6, 3.5, 1.0, 6.0));
        assert_eq!(summary.ci95, Some([1.0, 6.0]));
        assert_eq!(summary.samples[0], 5.0);
        assert_eq!(Summary::of(vec![7.0]).unwrap().ci95, None);
        assert_eq!(Summary::of(Vec::new()), None);
    }
}
