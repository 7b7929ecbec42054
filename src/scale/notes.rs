//! What a reader of a study has to know beside its figures, in sentences.

use super::report::Point;
use super::trials::{Ended, Measured, Trial};
use crate::figures::scaled;

/// A clock that is slower by less says nothing: medians are no nearer.
const SLOWER: f64 = 0.02;

/// Says in a sentence why no point has more samples.
pub(crate) fn ending(points: &[Measured]) -> String {
    let by = |ended: Ended| {
        let procs: Vec<String> = points
            .iter()
            .filter(|point| point.ended == ended)
            .map(|point| point.procs.to_string())
            .collect();
        (!procs.is_empty()).then(|| procs.join(", "))
    };
    let settled = by(Ended::Settled).map(|procs| format!("{procs}: the interval is narrow"));
    let time = by(Ended::Time)
        .map(|procs| format!("{procs}: the time was over, the interval is not narrow"));
    let repeats =
        by(Ended::Repeats).map(|procs| format!("{procs}: as many samples as were asked for"));
    let said: Vec<String> = [settled, time, repeats].into_iter().flatten().collect();
    said.join("; ")
}

/// Says which samples are of runs that survived deaths: they count, and the deaths cost time.
pub(super) fn deaths(points: &[Measured]) -> Option<String> {
    let trials = points.iter().flat_map(|point| &point.trials);
    let count = trials.filter(|trial| trial.recovered > 0).count();
    (count > 0).then(|| {
        format!("ranks died and were replaced in the runs of {count} of the samples that count")
    })
}

/// Says what the serial loop's figures rest on.
pub(super) fn about_serial(serial: &Measured) -> String {
    let marked = |trial: &&Trial| !trial.noise.marked.is_empty();
    format!(
        "the plain serial loop: one rank, memory of its own, no claims, nothing saved; {} samples count, {} of \
         them marked, {} were made again; its end: {}",
        serial.trials.len(),
        serial.trials.iter().filter(marked).count(),
        serial.replaced.len(),
        serial.ended.name(),
    )
}

/// Names the points at which the clock was slower than with one rank.
pub(super) fn slower(points: &[Point]) -> Option<String> {
    let clock = |point: &Point| point.counters.frequency.map(|rate| format!("{}Hz", scaled(rate)));
    let one = points.iter().find(|point| point.figures.procs == 1).and_then(clock)?;
    let slower: Vec<String> = points
        .iter()
        .filter_map(|point| {
            let below = 1.0 - point.counters.against_one?;
            let procs = point.figures.procs;
            (below > SLOWER).then(|| {
                Some(format!("{:.1} % with {procs} ranks ({})", below * 100.0, clock(point)?))
            })?
        })
        .collect();
    (!slower.is_empty()).then(|| {
        format!(
            "the clock was slower than with one rank ({one}): by {}; cycles for each second on a CPU",
            slower.join(", by ")
        )
    })
}

/// Says of how much of the time counts are, where they are not of all of it.
pub(super) fn shared(points: &[Point]) -> Option<String> {
    let least = points.iter().filter_map(|point| point.counters.counted).reduce(f64::min)?;
    (least < 1.0).then(|| {
        format!(
            "the processor's counters were shared with others: what they say is of {:.1} % of the time at \
             least, and scaled up",
            least * 100.0
        )
    })
}
