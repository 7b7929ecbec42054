//! What many samples of one thing say together; pure.

mod bootstrap;

use serde::Serialize;

pub(crate) use self::bootstrap::{Bootstrap, FEWEST, Pairing};

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
        let (median, ci95) = (middle(&sorted)?, interval(&sorted));
        Some(Self { n, median, min, max, ci95, samples })
    }
}

/// Returns the middle of the samples, or of the middle two; `None` if there are none.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted)
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    Some(f64::midpoint(*sorted.get(n.saturating_sub(1) / 2)?, *sorted.get(n / 2)?))
}

/// Returns what a share of the samples is not above, between two of them where it falls there; of sorted
/// ones. `None` if there are none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = (place.floor() as usize).min(last);
    let (low, high) = (*sorted.get(below)?, *sorted.get((below + 1).min(last))?);
    Some(low + (high - low) * (place - below as f64))
}

/// Returns the mean; `None` if there are no samples.
pub(crate) fn mean(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / samples.len() as f64)
}

/// Returns the standard deviation of what the samples are drawn from; `None` if there are fewer than two.
pub(crate) fn deviation(samples: &[f64]) -> Option<f64> {
    let mean = mean(samples)?;
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    (samples.len() > 1).then(|| (squares / (samples.len() - 1) as f64).sqrt())
}

/// Returns the standard deviation as a share of the mean: the coefficient of variation. `None` if there are
/// fewer than two samples, or their mean is nothing.
pub(crate) fn variation(samples: &[f64]) -> Option<f64> {
    let mean = mean(samples).filter(|mean| *mean != 0.0)?;
    Some(deviation(samples)? / mean.abs())
}

/// A sample with a greater modified z-score is labelled as one apart: hyperfine's limit, 14.826 deviations.
pub(crate) const APART: f64 = 10.0;

/// Returns how far each sample lies from the median, as a multiple of how far samples do (Iglewicz and
/// Hoaglin 1993): a few wild ones do not hide one another, as they do from a standard deviation.
///
/// Where more than half of the samples are alike, any other is infinitely far. A label, never a reason to
/// drop a sample.
pub(crate) fn modified_z_scores(samples: &[f64]) -> Vec<f64> {
    // The median deviation of a normal distribution, in standard deviations.
    const NORMAL: f64 = 0.674_489_75;
    let Some(middle) = median(samples) else { return Vec::new() };
    let away: Vec<f64> = samples.iter().map(|sample| (sample - middle).abs()).collect();
    let usual = median(&away).unwrap_or(0.0);
    let score = |sample: &f64| match sample - middle {
        0.0 => 0.0,
        away => NORMAL * away / usual,
    };
    samples.iter().map(score).collect()
}

/// Returns what holds the median with 95 %, whatever the distribution; of sorted samples. `None` if they
/// are too few.
pub(crate) fn interval(sorted: &[f64]) -> Option<[f64; 2]> {
    let below = rank_of_lower(sorted.len())?;
    Some([*sorted.get(below)?, *sorted.get(sorted.len().checked_sub(below + 1)?)?])
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
        let first = [6, 9, 12, 15, 17, 20, 23, 25, 28, 30, 33, 35, 37, 40];
        for n in 6..=40 {
            let expected = first.iter().filter(|&&from| from <= n).count();
            assert_eq!(rank_of_lower(n).map(|below| below + 1), Some(expected), "{n}");
        }
    }

    #[test]
    fn quantiles_lie_between_samples() {
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
        let found =
            [0.0, 0.25, 0.5, 0.75, 0.875, 1.0].map(|share| quantile(&sorted, share).unwrap());
        assert_eq!(found, [1.0, 2.0, 4.0, 8.0, 12.0, 16.0]);
        assert_eq!((quantile(&[], 0.5), quantile(&[3.0], 0.25)), (None, Some(3.0)));
    }

    #[test]
    fn what_too_few_samples_do_not_say_is_not_said() {
        assert_eq!(
            (median(&[]), mean(&[]), deviation(&[1.0]), interval(&[1.0; 5])),
            Default::default()
        );
        assert_eq!((median(&[4.0, 1.0]), mean(&[1.0, 4.0])), (Some(2.5), Some(2.5)));
        assert_eq!(deviation(&[1.0, 3.0]), Some(2f64.sqrt()));
    }

    #[test]
    fn a_spike_is_apart_and_does_not_hide_another() {
        // Median 3, deviations 2 1 0 1 97: the median one is 1.
        let scores = modified_z_scores(&[1.0, 2.0, 3.0, 4.0, 100.0]);
        assert!((scores[0] + 2.0 * 0.674_489_75).abs() < 1e-12 && scores[2] == 0.0, "{scores:?}");
        let apart = |samples: &[f64]| {
            modified_z_scores(samples).into_iter().filter(|score| score.abs() > APART).count()
        };
        assert_eq!(apart(&[1.0, 1.1, 0.9, 1.05, 0.95, 9.0, 9.0]), 2);
        assert_eq!((apart(&[2.0, 2.0, 2.0, 2.1]), apart(&[1.0, 1.1, 0.9]), apart(&[])), (1, 0, 0));
        assert_eq!(variation(&[1.0, 3.0]), Some(2f64.sqrt() / 2.0));
        assert_eq!((variation(&[1.0]), variation(&[-1.0, 1.0])), (None, None));
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
