//! What a batch would run, without running any of it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::counted;
use crate::batch::{Batch, Only};
use crate::data::grouped;
use crate::error::Error;

/// Of more points than that, the first and the last are shown.
const SHOWN: usize = 60;

/// Lists the points of a batch; with `explain`, where each value of theirs is from.
pub(super) fn points(
    batch: &Batch,
    only: Option<&Only>,
    explain: bool,
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
        let plan = json!({
            "schema": 1, "batch": batch.name, "status": "planned", "points": points,
            "trials": trials, "jobs": jobs,
        });
        return Ok(plan.to_string());
    }
    let _ = write!(text, "{}, {} at most", counted(points, "point"), counted(trials, "trial"));
    Ok(text)
}
