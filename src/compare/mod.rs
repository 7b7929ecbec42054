//! `spmd compare`: two sets of samples, and whether the second is slower.
//!
//! ```text
//! asked     what makes two points the same: what was asked, not where or by whom
//! reading   a results directory, a file of samples, or records, as points with their times
//! pairing   the points of two of them held against each other, by `scaling`'s comparison
//! document  that as JSON
//! allowance how much slower is let pass
//! ```

mod allowance;
mod asked;
mod document;
mod pairing;
mod reading;

use std::path::Path;

pub(crate) use self::allowance::Allowance;
pub(crate) use self::asked::Asked;
pub(crate) use self::pairing::{Compared, Missing, Pair};
use self::reading::Source;
use crate::error::Error;

/// Compares what two paths hold: B against A.
pub(crate) fn compare(
    a: &Path,
    b: &Path,
    allowance: Allowance,
    missing: Missing,
) -> Result<Compared, Error> {
    Compared::of(Source::read(a)?, Source::read(b)?, allowance.share(), missing)
}
