//! What the samples say: made from the raw data alone, at any time, and written in one step each.
//!
//! ```text
//! study      the figures of each point, and where they are from
//! summary    summary.csv: a row a point
//! markdown   report.md: for people
//! junit      for machines that watch over tests
//! hyperfine  for tools that read hyperfine's JSON
//! ```

mod hyperfine;
mod junit;
mod markdown;
mod study;
mod summary;

use std::path::Path;

pub(crate) use self::study::{Remarks, Study};
use super::visits::put;
use crate::error::Error;

impl Study {
    /// Writes `summary.csv` and `report.md`.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        put("summary", &dir.join("summary.csv"), &summary::text(self))?;
        put("report", &dir.join("report.md"), &markdown::text(self))
    }

    /// Writes a case for each point, as JUnit does.
    pub(crate) fn export_junit(&self, path: &Path) -> Result<(), Error> {
        put("JUnit report", path, &junit::text(self))
    }

    /// Writes the times as hyperfine does.
    pub(crate) fn export_hyperfine(&self, path: &Path) -> Result<(), Error> {
        put("export", path, &hyperfine::text(self))
    }
}

#[cfg(test)]
mod tests;
