//! What the times of one problem with several numbers of ranks say: how far it scales, and why not further.
//!
//! ```text
//! point       samples by round; figures with intervals
//! study       points against a base: speedup, efficiency, Karp and Flatt's serial share
//! law         Amdahl, Gustafson, the Universal Scalability Law, as sums that can be fitted
//! fit         the parameters that fit best, their intervals, predictions
//! least_squares  what they are fitted with
//! losses      where the ranks' time went, in parts that add up to all of it
//! verdict     one sentence
//! stop        when there are enough samples
//! comparison  two sets of samples: faster, slower, or no difference shown
//! gate        what a study has to reach
//! extrap      points as Extra-P reads them
//! ```
//!
//! All of it is arithmetic: no file, no clock, nothing kept. Randomness is the caller's seed. Every figure
//! that is not exact has an interval, or says that samples are too few for one; a law that could not be wrong
//! with so few points is refused, not shown.

mod comparison;
mod extrap;
mod fit;
mod gate;
mod law;
mod least_squares;
mod losses;
mod point;
mod stop;
mod study;
mod verdict;

pub(crate) use self::comparison::{ALLOWANCE, Allowed, Comparison, Steal, Verdict, Why};
pub(crate) use self::point::Estimate;
pub(crate) use self::{
    extrap::{Measured, lines},
    fit::{Doubt, Fit, Prediction, Reach},
    gate::{Gate, Outcome, Reached},
    law::Law,
    losses::{Cause, Losses, Memory, Part, RankTime, Spent},
    point::Point,
    stop::{Standing, TARGET},
    study::{Base, Figures, Kind, Study},
    verdict::verdict,
};

#[cfg(test)]
mod planted;
