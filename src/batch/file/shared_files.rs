//! Files that more than one point of a job would write.

use std::collections::HashMap;

use super::source::{Fault, Place};
use super::typed::shown;
use crate::batch::expand::Point;
use crate::batch::job::Job;

/// Checks that no two points of a job write the same file: the second would replace the first's.
pub(super) fn check(job: &Job) -> Result<(), Fault> {
    for name in ["output", "checkpoint", "trace"] {
        if let Some((first, second, file, place)) = shared(job, name) {
            let what = format!(
                "`{}` and `{}` both write {name} `{file}`",
                job.label(first),
                job.label(second)
            );
            let hint = format!("leave `{name}` out, or give each point its own file in a zip");
            return Err(Fault::new(place, what).hint(hint));
        }
    }
    Ok(())
}

fn shared(job: &Job, name: &str) -> Option<(Point, Point, String, Place)> {
    if let Some(given) = job.plain.get(name) {
        let mut points = job.points();
        let (first, second) = (points.next()?, points.next()?);
        return Some((first, second, shown(&given.value), given.place.clone()));
    }
    let axis = job.axes.axes.iter().find(|axis| axis.name == name)?;
    let mut seen: HashMap<String, Point> = HashMap::new();
    for point in job.points() {
        let file = shown(axis.values.get(job.space.row(point, axis.group))?);
        if let Some(first) = seen.insert(file.clone(), point) {
            return Some((first, point, file, axis.place.clone()));
        }
    }
    None
}
