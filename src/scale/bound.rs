//! What memory bounds a study's points by: its ceiling, where caches do not hold what is moved.

use super::ceiling::Ceilings;
use super::trials::{Measured, Trial};
use crate::scaling::Memory;

/// What memory bounds the points by, and which it does not.
///
/// Where all that a pass moves fits in the last caches, they may hold it, whatever its rate: it then happens to
/// be near memory's. Where it does not, a rate far beyond memory's says that they hold a part. Not every rate
/// beyond it does: the ceiling is that of triad, which reads, too, what it overwrites, a third more than is
/// counted; what overwrites its input does not.
pub(super) struct Bound<'a> {
    caches: Option<u64>,
    ceilings: &'a Ceilings,
    /// From so many ranks on caches hold a part.
    from: Option<u32>,
}

impl<'a> Bound<'a> {
    pub(super) fn of(points: &[Measured], ceilings: &'a Ceilings, caches: Option<u64>) -> Self {
        /// Times memory's rate: a third by what is read to be overwritten, and the noise of both.
        const BEYOND: f64 = 1.45;
        let beyond = |point: &&Measured| {
            let pair = point.middle().zip(ceilings.of(point.procs));
            pair.is_some_and(|(trial, most)| trial.throughput.bytes_per_s > BEYOND * most)
        };
        let from = points.iter().filter(beyond).map(|point| point.procs).min();
        Self { caches, ceilings, from }
    }

    fn fits(&self, trial: &Trial) -> bool {
        self.caches.is_some_and(|caches| trial.bytes() <= caches as f64)
    }

    /// Returns what memory bounds a point by.
    pub(super) fn memory(&self, procs: u32, trial: &Trial) -> Option<Memory> {
        let ceiling = self.ceilings.of(procs)?;
        let held = self.fits(trial) || self.from.is_some_and(|from| procs >= from);
        (!held).then(|| Memory { bytes: trial.bytes(), ceiling })
    }

    /// Says why points are not held against memory.
    pub(super) fn notes(&self, points: &[Measured]) -> Vec<String> {
        let mut fit = Vec::new();
        let mut largest = 0.0_f64;
        for point in points {
            if let Some((trial, _)) = point.middle().zip(self.ceilings.of(point.procs))
                && self.fits(trial)
            {
                fit.push(point.procs.to_string());
                largest = largest.max(trial.bytes());
            }
        }
        let caches = self.caches.unwrap_or(0) as f64;
        let fit = (!fit.is_empty()).then(|| {
            format!(
                "{}: a pass moves {:.1} MB at most, and the last caches hold {:.1} MB: nothing is held against \
                 memory's ceiling there",
                fit.join(", "),
                largest / 1e6,
                caches / 1e6
            )
        });
        let beyond = self.from.map(|from| {
            format!(
                "from {from} on, ranks move far more than memory gives, so that caches hold a part of what they \
                 work on; nothing is held against memory's ceiling there"
            )
        });
        fit.into_iter().chain(beyond).collect()
    }
}
