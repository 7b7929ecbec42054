//! All points of a batch, resolved and checked against this machine before the first one runs.

use serde_json::Map;

use super::campaign::Planned;
use super::file::{Batch, Only};
use super::key::Inputs;
use super::results::PlanLine;
use crate::data::OutputSpec;
use crate::error::{Error, Explained};
use crate::host::program;
use crate::placement::{Survey, ThisMachine};
use crate::record;
use crate::run::Run;

/// What a batch comes to on this machine.
pub(crate) struct Points {
    /// Those that are meant by `--only`; without it, all.
    pub(crate) planned: Vec<Planned>,
    /// A line for each point, meant or not.
    pub(crate) lines: Vec<PlanLine>,
    /// What was read for them.
    pub(crate) inputs: Inputs,
}

/// Resolves every point. Nothing is started, and nothing is written.
pub(crate) fn resolve(
    batch: &Batch,
    only: Option<&Only>,
    machine: &Survey<ThisMachine>,
) -> Result<Points, Error> {
    let program = program::digest().map_err(|error| {
        Error::refused(format!("cannot read this program, /proc/self/exe: {error}"))
    })?;
    if let Some(only) = only {
        only.check(batch)?;
    }
    let inputs = Inputs::default();
    let mut points = Points { planned: Vec::new(), lines: Vec::new(), inputs };
    for (number, job) in batch.jobs.iter().enumerate() {
        for point in job.points() {
            let id = job.label(point);
            let options = job.options(point)?;
            let plan = Run::from_options(options.clone())
                .plan_on(machine)
                .map_err(|error| error.about(&format!("point `{id}`")))?;
            if plan.options.output == Some(OutputSpec::Stdout) {
                let what = format!("point `{id}` writes its results to stdout");
                let hint = "a batch has no stdout for them: an output file, or none";
                return Err(Error::rejected(Explained::new(what).hint(hint)));
            }
            let input = points.inputs.digest(plan.options.input.as_ref())?;
            let mut resolved = record::resolved(&plan);
            if let Some(asked) = plan.options.schedule {
                // `auto` is what the point is, whatever it settles on.
                resolved.insert("schedule".to_owned(), asked.to_string().into());
            }
            let line = PlanLine::new(&job.name, &id, resolved, program, input)?;
            if only.is_none_or(|only| only.selects(job, point)) {
                let axes: Map<_, _> = job.axes(point).into_iter().collect();
                points.planned.push(Planned {
                    key: line.key,
                    id,
                    job: number,
                    point,
                    options,
                    input: line.input.clone(),
                    axes,
                    round: 0,
                });
            }
            points.lines.push(line);
        }
    }
    if points.planned.is_empty() && only.is_some() {
        let what = "--only names no point of the batch";
        return Err(Error::rejected(Explained::new(what).hint("--dry-run shows all of them")));
    }
    Ok(points)
}
