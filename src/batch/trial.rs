//! One trial: a point, run once in a world of its own.

use std::time::Instant;

use serde_json::{Value, json};

use super::results::failure;
use crate::engine::{Audience, Crew, Orders, World};
use crate::error::Error;
use crate::options::RunOptions;
use crate::placement::{Survey, ThisMachine};
use crate::record::{self, Record};
use crate::run::Run;

/// Where the ranks of a trial come from.
#[derive(Debug)]
pub(crate) enum Ranks {
    /// They are started for the trial, and end with it.
    Cold,
    /// They live on from trial to trial.
    Warm(Crew),
}

/// A trial that has ended, well or not.
pub(crate) struct Ended {
    /// What `--json` would have printed.
    pub(crate) record: Value,
    /// Seconds of wall time, all in all.
    pub(crate) took: f64,
    pub(crate) outcome: Result<(), Error>,
}

impl Ended {
    /// A trial that could not even begin.
    pub(crate) fn without(
        options: &RunOptions,
        machine: &Survey<ThisMachine>,
        error: Error,
    ) -> Self {
        Self { record: failed(options, machine, &error), took: 0.0, outcome: Err(error) }
    }
}

/// Runs a point once. Errors are part of what it gives, but for [`Error::Interrupted`]: then the trial is
/// as if it had not begun.
pub(crate) fn run(
    options: &RunOptions,
    machine: &Survey<ThisMachine>,
    ranks: &mut Ranks,
    orders: &mut Orders,
    audience: &mut dyn Audience,
) -> Result<Ended, Error> {
    let begun = Instant::now();
    let ended = compute(options, machine, ranks, orders, audience);
    let took = begun.elapsed().as_secs_f64();
    match ended {
        Ok((record, outcome)) => Ok(Ended { record, took, outcome }),
        Err(error @ Error::Interrupted { .. }) => Err(error),
        Err(error) => {
            let mut ended = Ended { took, ..Ended::without(options, machine, error) };
            // A later visit has to know, too, what a point has cost: see `max-time`.
            ended.record["time"] = json!({"total_s": took});
            Ok(ended)
        }
    }
}

fn compute(
    options: &RunOptions,
    machine: &Survey<ThisMachine>,
    ranks: &mut Ranks,
    orders: &mut Orders,
    audience: &mut dyn Audience,
) -> Result<(Value, Result<(), Error>), Error> {
    let plan = Run::from_options(options.clone()).plan_on(machine)?;
    orders.limit(plan.options.timeout.map(|span| span.0));
    let collected = match ranks {
        Ranks::Cold => World::build(plan)?.run(orders, audience)?,
        Ranks::Warm(crew) => World::build_in(plan, crew)?.run_in(crew, orders, audience)?,
    };
    let outcome = collected.verdict();
    let record = serde_json::to_value(Record::of(&collected)).unwrap_or_default();
    collected.results.world().release();
    Ok((record, outcome))
}

/// Returns the record of a trial that has no results: with all that can be said of what it was to run.
fn failed(options: &RunOptions, machine: &Survey<ThisMachine>, error: &Error) -> Value {
    let params = match Run::from_options(options.clone()).plan_on(machine) {
        Ok(plan) => record::resolved(&plan),
        Err(_) => options.spoken(),
    };
    let procs = params.get("procs").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let kernel = options.kernel.as_deref().unwrap_or_default();
    let own: Vec<(&str, Value)> = ["size", "dtype", "schedule"]
        .into_iter()
        .filter_map(|name| Some((name, params.get(name)?.clone())))
        .collect();
    let mut record = failure(kernel, procs, params, error);
    for (name, value) in own {
        record.insert(name.to_owned(), value);
    }
    record.into()
}

/// Turns the record of a trial whose values are not those that were expected into one that says so.
pub(crate) fn unexpected(record: &mut Value, error: &Error) {
    let exit = error.exit();
    record["status"] = exit.status().into();
    record["exit"] = exit.code().into();
    record["error"] = json!({
        "message": error.to_string(),
        "details": error.details(),
        "hint": error.hint(),
    });
}
