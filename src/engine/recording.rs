//! What the ranks wrote down of their chunks, as a trace file: see `crate::trace`.

use std::io::{BufWriter, Write};

use super::history::History;
use super::world::World;
use crate::data::{StagedFile, grouped, shown_path};
use crate::error::Error;
use crate::plan::Plan;
use crate::schedule::{Schedule, ScheduleKind};
use crate::shm::{Step, What};
use crate::trace::{About, Kind, Process, SCHEMA, Span, write};

/// Prepares the trace file, so that whatever can be refused about it is refused now.
pub(super) fn stage(plan: &Plan) -> Result<Option<StagedFile>, Error> {
    let path = plan.options.trace.as_ref();
    path.map(|path| StagedFile::create_as("trace", &path.0, None)).transpose()
}

/// Writes the trace of a run whose ranks have all left, `passes` being the seconds of each.
pub(super) fn record(
    world: &World,
    to: &StagedFile,
    pids: &[i32],
    passes: &[f64],
    history: &mut History,
) -> Result<(), Error> {
    let control = world.segment.control();
    let trails = || (0..world.plan.procs()).filter_map(|rank| Some((rank, control.trail(rank)?)));
    let spans =
        trails().flat_map(|(rank, trail)| trail.steps().flat_map(move |step| spans(rank, &step)));
    let mut ranks: Vec<Process> = trails()
        .flat_map(|(rank, trail)| trail.steps().map(move |step| Process { rank, pid: step.pid }))
        .collect();
    ranks.extend((0..).zip(pids).map(|(rank, pid)| Process { rank, pid: pid.unsigned_abs() }));
    ranks.sort_unstable_by_key(|process| (process.rank, process.pid));
    ranks.dedup();
    let left_out = trails().map(|(_, trail)| trail.left_out()).sum();
    let about = about(world, ranks, passes, left_out);
    let cannot = |error: std::io::Error| {
        let shown =
            world.plan.options.trace.as_ref().map_or(String::new(), |path| shown_path(&path.0));
        Error::failed(format!("cannot write trace `{shown}`: {}", crate::data::reason(&error)))
    };
    let mut out = BufWriter::with_capacity(1 << 16, to.file());
    write(&mut out, &about, spans).and_then(|()| out.flush()).map_err(cannot)?;
    if left_out > 0 {
        history.warnings.push(format!(
            "the trace has no room for {} of its chunks; larger ones, or fewer ranks, fit",
            grouped(left_out)
        ));
    }
    Ok(())
}

/// Says what was run.
fn about(world: &World, ranks: Vec<Process>, passes: &[f64], left_out: u64) -> About {
    let plan = &world.plan;
    let auto = plan.job.partition.is_chosen_late();
    About {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: plan.kernel.name().to_owned(),
        procs: plan.procs(),
        size: plan.size(),
        dtype: plan.job.dtype,
        schedule: if auto {
            Schedule::new(ScheduleKind::Auto, None)
        } else {
            plan.job.partition.schedule()
        },
        chosen: world.partition().schedule(),
        stated_ns: plan.cost.ns,
        cpus: u32::try_from(plan.placement.cpus).unwrap_or(u32::MAX),
        warmup: plan.job.warmup,
        repeats: plan.job.repeats,
        passes: plan.job.recording.passes,
        left_out,
        pass_s: passes.to_vec(),
        ranks,
        options: plan.options.spoken(),
    }
}

/// Returns the times that a step is of.
fn spans(rank: u32, step: &Step) -> impl Iterator<Item = Span> + Clone + use<> {
    let Step { pid, pass, asked, ready, done, .. } = *step;
    let span = move |kind, begin, end| Span { rank, pid, pass, kind, begin, end };
    let [first, second, third] = match &step.what {
        What::Chunk(chunk) => [
            Some(span(Kind::Claim, asked, ready)),
            Some(span(Kind::Chunk(chunk.clone()), ready, done)),
            None,
        ],
        What::Wait { begun } => [
            Some(span(Kind::Pass, *begun, done)),
            Some(span(Kind::Claim, asked, ready)),
            Some(span(Kind::Wait, ready, done)),
        ],
    };
    [first, second, third].into_iter().flatten()
}
