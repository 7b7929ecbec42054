//! What earlier visits left in a directory: read, and left as it is, also where a batch is at work in it.

use std::path::{Path, PathBuf};

use super::done::Done;
use super::journal::{self, Reruns};
use super::plan::{self, Edited, PlanLine};
use super::samples::Samples;
use super::{lines, place};
use crate::batch::key::Key;
use crate::error::Error;

/// Samples, plan and journal of a directory; none of these, if there is no such directory yet.
#[derive(Debug)]
pub(crate) struct Earlier {
    path: PathBuf,
    samples: Samples,
    reruns: Reruns,
}

impl Earlier {
    /// Reads a directory. Refused is one of other things, as it would be if a batch began.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let (mut samples, mut reruns) = (Samples::default(), Reruns::default());
        if path.exists() {
            place::check_free(path)?;
            samples.read(path)?;
            if let (Some(file), shown) = place::existing(path, journal::NAME)? {
                lines::read(&file, &shown, "", |text| {
                    reruns.take(text);
                    Ok(())
                })?;
            }
        }
        Ok(Self { path: path.to_path_buf(), samples, reruns })
    }

    /// Returns what was done of a point.
    pub(crate) fn done(&self, key: &Key) -> &Done {
        self.samples.done(key)
    }

    /// Returns the round that a `--rerun` of these points would be in.
    pub(crate) fn rerun(&self, only: Option<&str>) -> u32 {
        self.reruns.round(only, &self.samples)
    }

    /// Says how a plan differs from that of the last visit.
    pub(crate) fn edited(&self, lines: impl Iterator<Item = PlanLine>) -> Result<Edited, Error> {
        let has_samples = |key: &Key| !self.samples.done(key).trials().is_empty();
        plan::compare(&self.path, lines, has_samples, |_| Ok(()))
    }
}
