//! What a batch was to show, held against what its samples say: performance, and values that were expected
//! only after the samples were made.

use std::collections::HashMap;

use super::campaign::Planned;
use super::file::{Batch, Expect, Judgement, Metric};
use super::key::Short;
use super::results::{Directory, Figures};
use crate::error::{Error, Explained};
use crate::statistics::median;

/// A point, by its name, and what is wrong with it.
pub(crate) type Complaint = (String, String);

/// Returns the references that points did not reach, by the median of their samples.
pub(crate) fn missed(
    batch: &Batch,
    points: &[Planned],
    directory: &Directory,
) -> Result<Vec<Complaint>, Error> {
    let mut missed = Vec::new();
    for planned in points {
        let job = &batch.jobs[planned.job];
        if job.references.is_empty() {
            continue;
        }
        let settings = job.settings(planned.point)?;
        let done = directory.done(&planned.key);
        for reference in job.references.iter().filter(|reference| reference.applies(&settings)) {
            let figures: Vec<f64> =
                done.figures().filter_map(|figures| of(figures, reference.metric)).collect();
            let why = match median(&figures).map(|median| reference.check(median)) {
                Some(Judgement::Met) => continue,
                Some(Judgement::Missed { found, allowed }) => format!("{found}, {allowed}"),
                None => format!("there is no {} to compare", reference.metric),
            };
            missed.push((planned.id.clone(), why));
        }
    }
    Ok(missed)
}

/// Checks that each reference is about a point at least: one that is about none gates nothing.
pub(crate) fn check(batch: &Batch) -> Result<(), Error> {
    for job in &batch.jobs {
        let mut idle: Vec<_> = job.references.iter().filter(|it| !it.when.is_empty()).collect();
        for point in job.points() {
            if idle.is_empty() {
                break;
            }
            let settings = job.settings(point)?;
            idle.retain(|reference| !reference.applies(&settings));
        }
        if let Some(reference) = idle.first() {
            let what = format!(
                "job `{}`: the reference for `{}` is about no point: no point has all of its `when`",
                job.name, reference.metric
            );
            let hint = "--dry-run shows the points";
            return Err(Error::rejected(Explained::new(what).hint(hint)));
        }
    }
    Ok(())
}

/// Returns the points that have samples with other values than their job expects: samples that were made
/// before anybody expected anything, or for another job.
pub(crate) fn unexpected(
    batch: &Batch,
    points: &[Planned],
    directory: &Directory,
) -> Result<Vec<Complaint>, Error> {
    let mut expected: HashMap<Short, Vec<(&Planned, &Expect)>> = HashMap::new();
    for planned in points {
        if let Some(expect) = &batch.jobs[planned.job].expect {
            expected.entry(planned.key.short()).or_default().push((planned, expect));
        }
    }
    let mut found: HashMap<&str, (u32, String)> = HashMap::new();
    if !expected.is_empty() {
        directory.each(|key, record| {
            for (planned, expect) in expected.get(&key).into_iter().flatten() {
                if let Err(why) = expect.check(record) {
                    found.entry(&planned.id).or_insert((0, why)).0 += 1;
                }
            }
        })?;
    }
    let mut complaints: Vec<Complaint> = found
        .into_iter()
        .map(|(id, (count, why))| (id.to_owned(), format!("{count} samples: {why}")))
        .collect();
    complaints.sort();
    Ok(complaints)
}

fn of(figures: &Figures, metric: Metric) -> Option<f64> {
    match metric {
        Metric::Time => Some(figures.time),
        Metric::Throughput => figures.items_per_s,
        Metric::BytesPerS => figures.bytes_per_s,
        Metric::FlopsPerS => figures.flops_per_s,
    }
}
