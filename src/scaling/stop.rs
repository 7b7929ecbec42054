//! When there are enough samples: once the median is known well enough, and not before six.
//!
//! To look after each round and stop at a narrow interval stops a little too early at times, when samples
//! happen to agree: of many studies, slightly fewer than 95 in 100 intervals then hold the median. What ended
//! a point is therefore part of its result.

use serde::Serialize;

use crate::statistics::{FEWEST, interval, median};

/// Half of an interval that is narrow enough, as a share of the median, where nobody says otherwise.
pub(crate) const TARGET: f64 = 0.02;

/// How far a point's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    /// Too few for any interval; this many are wanting.
    Few(usize),
    /// Half of the interval, as a share of the median, is more than was asked for.
    Wide(f64),
    /// It is not: no more samples are wanted.
    Narrow(f64),
}

impl Standing {
    /// Judges samples by the target for half of the interval, as a share of the median.
    pub(crate) fn of(times: &[f64], target: f64) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        match (interval(&sorted), median(&sorted)) {
            (Some([low, high]), Some(median)) => {
                let half = (high - low) / 2.0 / median;
                if half <= target { Self::Narrow(half) } else { Self::Wide(half) }
            }
            _ => Self::Few(FEWEST.saturating_sub(times.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_samples_that_agree_are_enough_and_five_never() {
        let times = [1.0, 1.01, 0.99, 1.02, 1.0, 0.98, 3.0];
        assert_eq!(Standing::of(&times[..5], TARGET), Standing::Few(1));
        assert_eq!(Standing::of(&[], TARGET), Standing::Few(6));
        assert!(matches!(Standing::of(&times[..6], 0.021), Standing::Narrow(half) if half < 0.021));
        assert!(matches!(Standing::of(&times[..6], 0.019), Standing::Wide(half) if half > 0.019));
        assert!(matches!(Standing::of(&times, TARGET), Standing::Wide(_)));
    }
}
