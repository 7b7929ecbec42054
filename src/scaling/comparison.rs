//! Two sets of samples of the same thing: which is faster, if that can be said at all.
//!
//! The ratio of the medians has an interval; a difference is shown where the interval does not hold 1.
//! Whether the second is *worse than allowed* is another question, with three answers: only an interval that
//! lies wholly beyond the allowance shows it, only one that lies wholly within refutes it, and in between
//! samples are too few to say. So a gate that fails at the first alone is set off by noise at most one time
//! in forty.

use serde::Serialize;

use super::point::Estimate;
use crate::statistics::{Bootstrap, Pairing, median};

/// How much slower is let pass where nobody says otherwise.
pub(crate) const ALLOWANCE: f64 = 0.03;
/// Below this, nothing is claimed on a machine that gives its time to others.
const UNCLAIMED: f64 = 0.05;

/// How much of the CPUs' time the host kept for others while samples were taken, and how much is too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steal {
    pub(crate) share: f64,
    pub(crate) threshold: f64,
}

/// The second set, held against the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// The median of the second, as a multiple of the first's: above 1 it is slower.
    pub(crate) ratio: Estimate,
    pub(crate) verdict: Verdict,
    pub(crate) allowed: Allowed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Faster,
    Slower,
    NoDifferenceShown(Why),
}

/// Why no difference is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// The interval of the ratio holds 1.
    Alike,
    /// Fewer than six samples.
    Few,
    /// A difference under 5 %, on a machine that gives its time to others.
    Steal,
}

/// Whether the second is slower than the allowance lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Allowed {
    /// It is not.
    Within,
    /// The samples do not say.
    Undecided,
    /// It is.
    Beyond,
}

impl Comparison {
    /// Compares times by round; `None` if there are none of one. The same seed gives the same interval.
    pub(crate) fn of(
        [before, after]: [&[Option<f64>]; 2],
        pairing: Pairing,
        allowance: f64,
        steal: Option<Steal>,
        seed: u64,
    ) -> Option<Self> {
        let middle = |rounds: &[Option<f64>]| {
            median(&rounds.iter().copied().flatten().collect::<Vec<f64>>())
        };
        let ratio = Estimate {
            value: middle(after)? / middle(before)?,
            ci95: Bootstrap::of(&[before, after], pairing, seed)?
                .interval(&[0, 1], |m| m[1] / m[0]),
        };
        let small = ratio.value.max(1.0 / ratio.value) < 1.0 + UNCLAIMED;
        let unsure = small && steal.is_some_and(|steal| steal.share > steal.threshold);
        let verdict = match ratio.ci95 {
            None => Verdict::NoDifferenceShown(Why::Few),
            Some([low, high]) if low <= 1.0 && high >= 1.0 => {
                Verdict::NoDifferenceShown(Why::Alike)
            }
            Some(_) if unsure => Verdict::NoDifferenceShown(Why::Steal),
            Some([low, _]) if low > 1.0 => Verdict::Slower,
            Some(_) => Verdict::Faster,
        };
        let bound = 1.0 + allowance;
        let allowed = match ratio.ci95 {
            Some([_, high]) if high <= bound => Allowed::Within,
            Some([low, _]) if low > bound && !unsure => Allowed::Beyond,
            _ => Allowed::Undecided,
        };
        Some(Self { ratio, verdict, allowed })
    }
}

impl Verdict {
    /// Returns the words that reports and gates use.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::NoDifferenceShown(_) => "no difference shown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(middle: f64, spread: f64) -> Vec<Option<f64>> {
        let places = [-1.0, 0.4, -0.3, 1.0, 0.2, -0.6, 0.7, -0.1, 0.0, 0.5, -0.4, 0.1];
        places.map(|place: f64| Some(middle * (1.0 + spread * place))).to_vec()
    }

    fn judged(after: f64, spread: f64, steal: Option<Steal>) -> (Verdict, Allowed) {
        let [one, two] = [times(1.0, spread), times(after, spread)];
        let found = Comparison::of([&one, &two], Pairing::Apart, ALLOWANCE, steal, 1).unwrap();
        (found.verdict, found.allowed)
    }

    #[test]
    fn a_difference_is_claimed_only_where_the_interval_shows_it() {
        let alike = Verdict::NoDifferenceShown(Why::Alike);
        assert_eq!(judged(1.0, 0.01, None), (alike, Allowed::Within));
        assert_eq!(judged(1.02, 0.01, None), (Verdict::Slower, Allowed::Within));
        assert_eq!(judged(1.1, 0.01, None), (Verdict::Slower, Allowed::Beyond));
        assert_eq!(judged(0.9, 0.01, None), (Verdict::Faster, Allowed::Within));
        assert_eq!(judged(1.1, 0.4, None), (alike, Allowed::Undecided));
        assert_eq!(judged(1.03, 0.005, None), (Verdict::Slower, Allowed::Undecided));
        assert_eq!([alike, Verdict::Slower].map(Verdict::words), ["no difference shown", "slower"]);
    }

    #[test]
    fn where_time_is_stolen_nothing_is_claimed_under_five_percent() {
        let steal = |share| Some(Steal { share, threshold: 0.01 });
        let unsure = Verdict::NoDifferenceShown(Why::Steal);
        assert_eq!(judged(1.04, 0.005, steal(0.1)), (unsure, Allowed::Undecided));
        assert_eq!(judged(0.96, 0.005, steal(0.1)), (unsure, Allowed::Within));
        assert_eq!(judged(1.04, 0.005, steal(0.001)), (Verdict::Slower, Allowed::Beyond));
        assert_eq!(judged(1.2, 0.005, steal(0.1)), (Verdict::Slower, Allowed::Beyond));
    }

    #[test]
    fn too_few_samples_decide_nothing() {
        let few = vec![Some(1.0); 5];
        let found =
            Comparison::of([&few, &times(9.0, 0.01)], Pairing::Apart, 0.03, None, 1).unwrap();
        assert_eq!(found.verdict, Verdict::NoDifferenceShown(Why::Few));
        assert_eq!((found.allowed, found.ratio.ci95), (Allowed::Undecided, None));
        assert_eq!(Comparison::of([&few, &[]], Pairing::Apart, 0.03, None, 1), None);
    }
}
