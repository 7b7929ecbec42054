//! The performance that a batch was to show, held against what it has shown.

use super::campaign::Planned;
use super::file::{Batch, Judgement, Metric};
use super::results::{Directory, Figures};
use crate::error::Error;
use crate::statistics::median;

/// Returns a line for each reference that a point did not reach, by the median of its samples.
pub(crate) fn missed(
    batch: &Batch,
    points: &[Planned],
    directory: &Directory,
) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
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
            match median(&figures).map(|median| reference.check(median)) {
                Some(Judgement::Met) => {}
                Some(Judgement::Missed { found, allowed }) => {
                    lines.push(format!("{}: {found}, {allowed}", planned.id));
                }
                None => lines.push(format!("{}: there are no samples to compare", planned.id)),
            }
        }
    }
    Ok(lines)
}

fn of(figures: &Figures, metric: Metric) -> Option<f64> {
    match metric {
        Metric::Time => Some(figures.time),
        Metric::Throughput => figures.items_per_s,
        Metric::BytesPerS => figures.bytes_per_s,
        Metric::FlopsPerS => figures.flops_per_s,
    }
}
