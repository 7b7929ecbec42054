//! All points of a batch, resolved and checked against this machine before the first one runs.

use std::collections::HashMap;

use serde_json::Map;

use super::campaign::Planned;
use super::file::{Batch, Only};
use super::gates;
use super::key::Inputs;
use super::results::PlanLine;
use crate::data::{OutputSpec, shown_path};
use crate::error::{Error, Explained};
use crate::host::program;
use crate::options::RunOptions;
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
    gates::check(batch)?;
    let program = program::digest().map_err(|error| {
        Error::refused(format!("cannot read this program, /proc/self/exe: {error}"))
    })?;
    if let Some(only) = only {
        only.check(batch)?;
    }
    let inputs = Inputs::default();
    let mut files = Files::default();
    let mut points = Points { planned: Vec::new(), lines: Vec::new(), inputs };
    for (number, job) in batch.jobs.iter().enumerate() {
        for point in job.points() {
            let id = job.label(point);
            let options = job.options(point)?;
            let plan = Run::from_options(options.clone()).plan_on(machine).map_err(|error| {
                error.about(&format!("{}: point `{id}`", shown_path(&batch.path)))
            })?;
            if plan.options.output == Some(OutputSpec::Stdout) {
                let what = format!("point `{id}` writes its results to stdout");
                let hint = "a batch has no stdout for them: an output file, or none";
                return Err(Error::rejected(Explained::new(what).hint(hint)));
            }
            if plan.options.checkpoint.is_some() {
                let what = format!("point `{id}` keeps a checkpoint");
                let hint = "a trial that goes on from one would have the time of what was left; leave it out";
                return Err(Error::rejected(Explained::new(what).hint(hint)));
            }
            files.check(&plan.options, &id)?;
            let input = points.inputs.digest(plan.options.input.as_ref())?;
            let mut resolved = record::resolved(&plan);
            if let Some(asked) = plan.options.schedule {
                // `auto` is what the point is, whatever it settles on.
                resolved.insert("schedule".to_owned(), asked.to_string().into());
            }
            // What runs around a trial may change what it finds.
            for (name, [outer, inner]) in [
                ("before-each", [&batch.hooks.before_each, &job.hooks.before_each]),
                ("after-each", [&batch.hooks.after_each, &job.hooks.after_each]),
            ] {
                let commands: Vec<&str> =
                    [outer, inner].into_iter().flatten().map(String::as_str).collect();
                if !commands.is_empty() {
                    resolved.insert(name.to_owned(), commands.join("; ").into());
                }
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

/// The files that points write, and whose they are.
#[derive(Default)]
struct Files(HashMap<String, String>);

impl Files {
    /// Refuses a file that another point writes.
    fn check(&mut self, options: &RunOptions, id: &str) -> Result<(), Error> {
        let output = options.output.as_ref().map(ToString::to_string);
        let trace = options.trace.as_ref().map(ToString::to_string);
        for file in output.into_iter().chain(trace) {
            if let Some(other) = self.0.insert(file.clone(), id.to_owned()) {
                let what = format!("points `{other}` and `{id}` both write `{file}`");
                let hint = "a file for each: as a value of the matrix, a zip or the job";
                return Err(Error::rejected(Explained::new(what).hint(hint)));
            }
        }
        Ok(())
    }
}
