//! What a batch would run, without running any of it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::counted;
use crate::batch::{Again, Batch, Earlier, Edited, Only, Points, Tally, count};
use crate::data::grouped;
use crate::error::Error;

/// Of more points than that, the first and the last are shown.
const SHOWN: usize = 60;

/// How a batch stands, by what its directory has.
pub(super) struct Standing {
    tally: Tally,
    edited: Edited,
}

impl Standing {
    /// Reads the directory, and leaves it as it is.
    pub(super) fn of(
        batch: &Batch,
        points: Points,
        out: &Path,
        only: Option<&str>,
        again: Again,
    ) -> Result<Self, Error> {
        let Points { lines, mut planned, .. } = points;
        let earlier = Earlier::read(out)?;
        let rerun = if again == Again::All { earlier.rerun(only) } else { 0 };
        for point in &mut planned {
            point.round = earlier.done(&point.key).round().max(rerun);
        }
        let (tally, _) = count(batch, &planned, |key| earlier.done(key), again);
        Ok(Self { tally, edited: earlier.edited(lines.into_iter())? })
    }

    fn left(&self) -> u64 {
        self.tally.total - self.tally.done
    }
}

/// Lists the points of a batch; with `explain`, where each value of theirs is from. With the standing and a
/// wish for it, why points are to be made that were made.
pub(super) fn points(
    batch: &Batch,
    only: Option<&Only>,
    explain: bool,
    standing: Option<(&Standing, bool)>,
    as_json: bool,
) -> Result<String, Error> {
    if let Some(only) = only {
        only.check(batch)?;
    }
    let mut text = String::new();
    let (mut points, mut trials) = (0_u64, 0_u64);
    for job in &batch.jobs {
        let is_meant = |point: &_| only.is_none_or(|only| only.selects(job, *point));
        let meant: Vec<_> = job.points().filter(is_meant).collect();
        points += meant.len() as u64;
        trials += meant.len() as u64 * u64::from(job.repeats);
        let edge = if meant.len() > SHOWN { SHOWN / 2 } else { meant.len() };
        let skipped = meant.len() - meant.len().min(2 * edge);
        for (at, &point) in meant.iter().enumerate() {
            if at == edge && skipped > 0 {
                let _ = writeln!(text, "... {} more of {}", grouped(skipped as u64), job.name);
            }
            if at >= edge && at < meant.len() - edge {
                continue;
            }
            let _ = writeln!(text, "{}", job.label(point));
            if explain {
                for (name, value, origin) in job.origins(point)? {
                    let _ = writeln!(text, "  {:<38} # {origin}", format!("{name} = {value}"));
                }
            }
        }
    }
    if as_json {
        let jobs: Vec<Value> = batch
            .jobs
            .iter()
            .map(|job| json!({"name": job.name, "points": job.len(), "repeats": job.repeats}))
            .collect();
        let mut plan = json!({
            "schema": 1, "batch": batch.name, "status": "planned", "points": points,
            "trials": trials, "jobs": jobs,
        });
        if let Some((standing, why)) = standing {
            plan["done"] = standing.tally.done.into();
            plan["left"] = standing.left().into();
            if why {
                let changed = standing.edited.changed.iter();
                plan["changed"] = changed
                    .map(|(id, differences)| json!({"id": id, "why": differences}))
                    .collect();
            }
        }
        return Ok(plan.to_string());
    }
    let changed = standing.filter(|(_, why)| *why).map(|(standing, _)| &standing.edited.changed);
    for (id, differences) in changed.into_iter().flatten() {
        let _ = writeln!(text, "changed: {id}: {}", differences.join("; "));
    }
    let _ = write!(text, "{}, {} at most", counted(points, "point"), counted(trials, "trial"));
    if let Some((standing, _)) = standing {
        let (done, left) = (grouped(standing.tally.done), grouped(standing.left()));
        let _ = write!(text, ": {done} done, {left} to be made");
    }
    Ok(text)
}
