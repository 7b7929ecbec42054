//! `spmd batch`: its options, and what is done in which order.

mod dry;
mod screen;

use std::io;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde_json::json;

use self::screen::{BatchScreen, Events};
use super::screen::bar_wanted;
use super::{TalkOptions, fail, layered, origin};
use crate::batch::{
    Again, Asked, Batch, Campaign, Directory, Early, Edited, End, Event, Machine, Means,
    MixMachines, Only, Planned, Points, Ranks, Set, Tally, Visit, missed, resolve, schema,
};
use crate::engine::{Crew, Orders, signal_name};
use crate::error::{Error, Exit, Explained};
use crate::host::signals::Signals;
use crate::options::RunOptions;
use crate::panics::caught;
use crate::placement::Survey;
use crate::report::{self, Reporter, Talk};

/// More points than that are run only if somebody means it.
const MANY: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct BatchCommand {
    /// The batch file
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Directory of the results; the same command again continues there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Override a value: size=1e4, repeats=2, JOB.size=1e4, matrix.procs=[1,2]; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<Set>,
    /// Lay [profile.NAME] over defaults and jobs
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Run only points that have all these values: 'procs=4 kernel=square', job=NAME
    #[arg(long, value_name = "EXPR")]
    only: Option<Only>,
    /// With --dry-run: say where each value came from
    #[arg(long)]
    explain: bool,
    /// Run failed trials again
    #[arg(long, conflicts_with = "rerun")]
    retry_failed: bool,
    /// Run everything again; what was measured before is kept, and no longer counts
    #[arg(long)]
    rerun: bool,
    /// Say which field of a point changed since the last visit
    #[arg(long)]
    why: bool,
    /// Run more than 10 000 points
    #[arg(long)]
    yes: bool,
    /// Add samples of this machine to those of another
    #[arg(long)]
    mix_machines: bool,
    /// Start the ranks of each trial anew
    #[arg(long)]
    cold: bool,
    /// Append a JSON line to FILE for everything that happens
    #[arg(long, value_name = "FILE", env = "SPMD_EVENTS")]
    events: Option<PathBuf>,
    /// Also write the points as JUnit test cases
    #[arg(long, value_name = "FILE")]
    export_junit: Option<PathBuf>,
    /// Also write the times as hyperfine does, as JSON
    #[arg(long, value_name = "FILE")]
    export_hyperfine: Option<PathBuf>,
    /// Print the JSON Schema of batch files, for editors
    #[arg(long, conflicts_with_all = ["file", "out"])]
    schema: bool,
    #[command(flatten)]
    options: RunOptions,
    #[command(flatten)]
    talk: TalkOptions,
}

/// What a visit has come to.
struct Visited {
    tally: Tally,
    points: usize,
    out: PathBuf,
    /// Points whose trials did not all succeed, in this visit or before it.
    failed: usize,
    /// References that were not reached, a line each.
    missed: Vec<String>,
    early: Option<Early>,
}

pub(super) fn batch(command: BatchCommand, matches: &ArgMatches) -> Exit {
    let reporter = Reporter::new(command.talk.talk(), command.talk.color);
    let json = command.talk.json;
    let shown = if command.schema {
        report::document(&format!("{:#}", schema())).map(|()| Exit::Complete)
    } else {
        perform(&command, matches, reporter)
    };
    shown.unwrap_or_else(|error| fail(&error, reporter, json))
}

fn perform(
    command: &BatchCommand,
    matches: &ArgMatches,
    reporter: Reporter,
) -> Result<Exit, Error> {
    let Some(file) = &command.file else { return Err(Error::rejected("no batch file")) };
    let above = layered(command.options.clone(), matches);
    let asked = Asked {
        profile: command.profile.as_deref(),
        sets: &command.sets,
        above: &above,
        origin: &|name| origin(matches, name),
    };
    let batch = Batch::read(file, &asked)?;
    if command.talk.dry_run {
        let text = dry::points(&batch, command.only.as_ref(), command.explain, command.talk.json)?;
        return report::document(&text).map(|()| Exit::Complete);
    }
    let out = command.out.as_deref().ok_or_else(|| {
        Error::rejected(
            Explained::new("no directory for the results")
                .hint(format!("--out results/{}", batch.name)),
        )
    })?;
    let meant: usize = batch
        .jobs
        .iter()
        .map(|job| match &command.only {
            Some(only) => job.points().filter(|point| only.selects(job, *point)).count(),
            None => job.len(),
        })
        .sum();
    if meant > MANY && !command.yes {
        let what = format!("these are {} points", crate::data::grouped(meant as u64));
        let hint = "--yes runs them; --dry-run shows them, --only chooses some";
        return Err(Error::rejected(Explained::new(what).hint(hint)));
    }
    let visited = visit(command, &batch, out, reporter)?;
    conclude(command, &batch, visited, reporter)
}

/// Runs what is left of a batch.
fn visit(
    command: &BatchCommand,
    batch: &Batch,
    out: &Path,
    reporter: Reporter,
) -> Result<Visited, Error> {
    let survey = Survey::default();
    let points = resolve(batch, command.only.as_ref(), &survey)?;
    let events =
        command.events.as_deref().map(|path| Events::open(path, &batch.name)).transpose()?;
    let machine = Machine::capture()?;
    let mix = if command.mix_machines { MixMachines::Yes } else { MixMachines::No };
    let visit = Visit { name: &batch.name, text: &batch.text, machine: &machine, mix };
    // Before the directory's own thread is there, which would receive them otherwise, and end us.
    let spmd_failed = |what: &str, error: io::Error| Error::refused(format!("{what}: {error}"));
    let mut orders = Orders::new(None).map_err(|e| spmd_failed("cannot make a pipe", e))?;
    orders.attend(Signals::take().map_err(|e| spmd_failed("cannot receive signals", e))?);
    let mut directory = Directory::open(out, &visit)?;
    for text in directory.warnings().to_vec() {
        reporter.warning(&text);
        directory.note(&Event::Warning { text: &text })?;
    }

    let Points { lines, mut planned, inputs } = points;
    let count = lines.len();
    let edited = directory.plan(lines.into_iter())?;
    tell_edited(&mut directory, &edited, command.why, reporter)?;
    let again = match (command.rerun, command.retry_failed) {
        (true, _) => Again::All,
        (false, true) => Again::Failed,
        (false, false) => Again::Nothing,
    };
    let rerun = (again == Again::All).then(|| directory.rerun());
    for point in &mut planned {
        point.round = rerun.unwrap_or_else(|| directory.done(&point.key).round());
    }
    let begin = Event::Begin {
        batch: &batch.name,
        pid: std::process::id(),
        command: &machine.command,
        rerun,
    };
    directory.note(&begin)?;

    let ranks = if command.cold { Ranks::Cold } else { Ranks::Warm(Crew::default()) };
    let talk = command.talk.talk();
    let bar = bar_wanted(&command.talk);
    let mut screen = BatchScreen::new(reporter, talk, bar, events);
    screen.happens("batch_start", json!({"points": count, "out": out.display().to_string()}));
    let made = {
        let means = Means {
            directory: &mut directory,
            orders: &mut orders,
            ranks,
            machine: &survey,
            inputs,
            watcher: &mut screen,
        };
        let campaign = Campaign::new(batch, &planned, again, means);
        caught(|| campaign.run())
    };
    screen.clear();
    let (tally, went) =
        made.unwrap_or_else(|said| (Tally::default(), Err(Early::Error(crash(&said)))));
    let how = match &went {
        Ok(()) => End::Complete,
        Err(Early::Failures) => End::Stopped,
        Err(Early::Error(Error::Interrupted { .. })) => End::Interrupted,
        Err(Early::Error(_)) => End::Failed,
    };
    screen.happens("batch_end", json!({"how": how, "made": tally.made, "failed": tally.failed}));
    if let Some(error) = screen.events_fault() {
        reporter.warning(&error.to_string());
    }
    finish(command, batch, directory, &planned, Ending { how, tally, count, early: went.err() })
}

/// How the trials of a visit came to their end.
struct Ending {
    how: End,
    tally: Tally,
    /// Points of the whole batch.
    count: usize,
    early: Option<Early>,
}

/// Writes the reports, whatever ended the visit: what there is can be read.
fn finish(
    command: &BatchCommand,
    batch: &Batch,
    mut directory: Directory,
    planned: &[Planned],
    ending: Ending,
) -> Result<Visited, Error> {
    let Ending { how, tally, count, mut early } = ending;
    let out = directory.path().to_path_buf();
    // Of a batch that was ended early, what has no samples was not missed.
    let gates = if early.is_none() { missed(batch, planned, &directory)? } else { Vec::new() };
    let failed = planned.iter().filter(|point| directory.done(&point.key).has_failed()).count();
    let written = directory
        .note(&Event::End { how })
        .and_then(|()| directory.study())
        .and_then(|study| {
            study.write(&out)?;
            if let Some(path) = &command.export_junit {
                study.export_junit(path)?;
            }
            if let Some(path) = &command.export_hyperfine {
                study.export_hyperfine(path)?;
            }
            Ok(())
        })
        .and_then(|()| directory.close());
    if let Err(error) = written {
        // What ended the batch is the more useful thing to know, and a full disk is both.
        early.get_or_insert(Early::Error(error));
    }
    Ok(Visited { tally, points: count, out, failed, missed: gates, early })
}

fn crash(said: &str) -> Error {
    Error::refused(format!("spmd itself failed: {said}"))
}

fn tell_edited(
    directory: &mut Directory,
    edited: &Edited,
    why: bool,
    reporter: Reporter,
) -> Result<(), Error> {
    let &Edited { added, orphaned, dropped, kept, ref changed } = edited;
    let is_first = kept == 0 && orphaned == 0 && dropped == 0;
    if is_first || (added == 0 && orphaned == 0 && dropped == 0) {
        return Ok(());
    }
    directory.note(&Event::Edited { added, orphaned, dropped, kept })?;
    reporter.note(&format!(
        "the file has changed: {added} new points, {kept} as before, {orphaned} orphans (their samples stay), \
         {dropped} dropped"
    ));
    if why {
        for (id, differences) in changed {
            reporter.note(&format!("{id}: {}", differences.join("; ")));
        }
    } else if !changed.is_empty() {
        reporter.note(&format!("{} of them changed; --why says what", changed.len()));
    }
    Ok(())
}

/// Says what a visit came to, and returns the exit code.
fn conclude(
    command: &BatchCommand,
    batch: &Batch,
    visited: Visited,
    reporter: Reporter,
) -> Result<Exit, Error> {
    let Visited { tally, points, out, failed, missed, early } = visited;
    let again = || {
        format!(
            "the same command continues: spmd batch {} --out {}",
            batch.path.display(),
            out.display()
        )
    };
    for line in &missed {
        reporter.warning(&format!("not reached: {line}"));
    }
    let exit = match &early {
        Some(Early::Error(error)) => error.exit(),
        Some(Early::Failures) => Exit::Failed,
        None if failed > 0 => Exit::Failed,
        None if !missed.is_empty() => Exit::GateMissed,
        None => Exit::Complete,
    };
    let left = tally.total.saturating_sub(tally.done);
    reporter.note(&format!(
        "{}, {} trials made, {} done, {left} left{}; {}",
        if points == 1 { "1 point".to_owned() } else { format!("{points} points") },
        tally.made,
        tally.done,
        if failed > 0 { format!(", {failed} points with failures") } else { String::new() },
        out.join("report.md").display(),
    ));
    if tally.made == 0 && early.is_none() {
        reporter.note("nothing to do: every trial has its sample (--rerun makes them again)");
    }
    if let Some(Early::Failures) = &early {
        reporter.warning("stopped as on-fail says");
    }
    match early {
        Some(Early::Error(Error::Interrupted { signal, .. })) => {
            let what =
                format!("stopped by {}; every finished trial has its sample", signal_name(signal));
            return Err(Error::Interrupted { what: Explained::new(what).hint(again()), signal });
        }
        Some(Early::Error(error)) => return Err(error.also(&again())),
        Some(Early::Failures) | None => {}
    }
    if command.talk.json {
        let summary = json!({
            "schema": 1,
            "batch": batch.name,
            "status": exit.status(),
            "exit": exit.code(),
            "out": out.display().to_string(),
            "points": points,
            "trials": {
                "made": tally.made,
                "done": tally.done,
                "failed": tally.failed,
                "left": left,
            },
            "failed_points": failed,
            "not_reached": missed,
        });
        report::document(&summary.to_string())?;
    }
    if command.talk.talk() >= Talk::Verbose {
        reporter.note(&again());
    }
    Ok(exit)
}
