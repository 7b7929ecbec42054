//! Replays a trace under other schedules, chunks and numbers of ranks, and ranks the predicted times.
//!
//! ```text
//! costs      what each index costs, from the chunks of the trace
//! overheads  what claims cost, and how late ranks begin
//! grid       what is tried
//! simulator  a pass, played in simulated time with the schedules' own arithmetic
//! ranking    what it comes to
//! ```
//!
//! Everything here is pure but for reading the file. Nothing is run.

mod costs;
mod grid;
mod overheads;
mod ranking;
mod simulator;

use std::path::Path;

use self::costs::Costs;
pub(crate) use self::costs::Grain;
pub(crate) use self::grid::{Schedules, Worlds};
pub(crate) use self::overheads::Origin;
use self::overheads::Overheads;
pub(crate) use self::ranking::{Doubt, Prediction, Ranking};
use self::simulator::Stage;
use crate::error::{Error, Explained};
use crate::schedule::{Schedule, settle};
use crate::trace::{About, Trace};

/// A trace of less than this share of the indices tells too little.
const LEAST_COVERED: f64 = 0.5;
/// A recorded chunk of a smaller share of the predicted time hides no imbalance worth a word.
const HIDDEN: f64 = 0.02;

/// What is to be tried; `None` is whatever makes sense for the trace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) procs: Option<Worlds>,
    pub(crate) schedules: Option<Schedules>,
}

/// Predicts how long the traced run would have taken under other schedules, chunks and numbers of ranks.
pub(crate) fn tune(path: &Path, wish: &Wish) -> Result<Ranking, Error> {
    let trace = Trace::read(path)?;
    let about = &trace.about;
    let costs = Costs::of(about.size, &trace.chunks());
    told_enough(&trace, &costs)?;
    let stage =
        Stage { costs: &costs, overheads: Overheads::of(&trace), element: about.dtype.size() };
    let mut predictions = Vec::new();
    for procs in grid::worlds(wish.procs.as_ref(), about)? {
        for schedule in grid::schedules(wish.schedules.as_ref(), about, procs) {
            predictions.push(predict(&stage, about, procs, schedule));
        }
    }
    predictions.sort_by(|a, b| {
        a.seconds.total_cmp(&b.seconds).then(a.procs.cmp(&b.procs)).then(a.claims.cmp(&b.claims))
    });
    Ok(Ranking {
        grain: costs.grain,
        overheads: stage.overheads,
        work: costs.total(),
        predictions,
        about: trace.about,
    })
}

/// Refuses a trace that tells too little to predict anything.
fn told_enough(trace: &Trace, costs: &Costs) -> Result<(), Error> {
    let covered = costs.grain.covered;
    if trace.about.size > 0 && covered >= LEAST_COVERED {
        return Ok(());
    }
    let what = format!(
        "the trace has times of {:.0} % of the {} indices, and a prediction needs half",
        covered * 100.0,
        trace.about.size
    );
    let hint = if trace.about.left_out > 0 {
        "its chunks were too many to be written down; trace a run with larger ones: --schedule dynamic,C"
    } else {
        "trace a run that computes something"
    };
    Err(Error::rejected(Explained::new(what).hint(hint)))
}

fn predict(stage: &Stage<'_>, about: &About, procs: u32, schedule: Schedule) -> Prediction {
    let element = stage.element;
    let partition = settle(schedule, about.size, procs, about.stated_ns, element);
    // What is measured of several passes is the middle one, and that is not the first.
    let pass = if about.warmup > 0 || about.repeats > 1 { 1 } else { 0 };
    let played = stage.play(partition, pass);
    let settled = partition.with(played.choice).schedule();
    let mean = played.busy.iter().sum::<f64>() / played.busy.len() as f64;
    let most = played.busy.iter().copied().fold(0.0, f64::max);
    let recorded = procs == about.procs && schedule == about.schedule;
    let mut doubts = Vec::new();
    if procs != about.procs {
        doubts.push(Doubt::OtherProcs);
    }
    let Grain { length, largest, .. } = stage.costs.grain;
    let smallest = settled.chunk().map_or(f64::INFINITY, |chunk| chunk.get() as f64);
    if smallest < length / 2.0 && largest > HIDDEN * played.time && !recorded {
        doubts.push(Doubt::Finer);
    }
    Prediction {
        procs,
        schedule,
        settled,
        seconds: played.time / 1e9,
        imbalance: if mean > 0.0 { most / mean - 1.0 } else { 0.0 },
        claims: played.claims,
        measured: recorded.then(|| middle(&about.pass_s)).flatten(),
        doubts,
    }
}

fn middle(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[n / 2]),
        n => Some(f64::midpoint(sorted[n / 2 - 1], sorted[n / 2])),
    }
}
