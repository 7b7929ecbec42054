//! `spmd batch`: its options, and what is done in which order.

mod dry;
pub(super) mod screen;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde_json::json;

use self::screen::{BatchScreen, Events};
use super::screen::bar_wanted;
use super::{TalkOptions, fail, layered, origin};
use crate::batch::{
    Again, Asked, Batch, Campaign, Directory, Disturbed, Early, Edited, End, Event, Key, Machine,
    Made, Means, MixMachines, Only, Planned, Points, Ranks, Remarks, Set, Visit, missed, resolve,
    schema, unexpected,
};
use crate::data::grouped;
use crate::engine::{Crew, Orders, signal_name};
use crate::error::{Error, Exit, Explained};
use crate::host::signals::Signals;
use crate::options::RunOptions;
use crate::panics::caught;
use crate::placement::Survey;
use crate::report::{self, Reporter};

/// More points than that are run only if somebody means it.
const MANY: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct BatchCommand {
    /// The batch file
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Directory of the results; the same command again continues there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Override a value: size=1e4, repeats=2, JOB.size=1e4, `matrix.procs=[1,2]`; may be repeated
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
    made: Made,
    how: End,
    points: usize,
    out: PathBuf,
    /// The command that continues.
    again: String,
    /// Trials that failed, of those that count, in this visit or before it.
    failed: u64,
    /// References that were not reached.
    missed: Vec<(String, String)>,
    /// Samples of earlier visits that are not what is expected now.
    unexpected: Vec<(String, String)>,
    reported: bool,
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
    let Some(file) = &command.file else {
        let what = Explained::new("no batch file");
        return Err(Error::rejected(
            what.hint("spmd batch FILE.toml --out DIR; configs/ has some"),
        ));
    };
    for path in [&command.export_junit, &command.export_hyperfine].into_iter().flatten() {
        check_folder(path)?;
    }
    let above = layered(command.options.clone(), matches);
    let asked = Asked {
        profile: command.profile.as_deref(),
        sets: &command.sets,
        above: &above,
        origin: &|name| origin(matches, name),
    };
    let batch = Batch::read(file, &asked)?;
    if command.talk.dry_run {
        let all: usize = batch.jobs.iter().map(|job| job.len()).sum();
        let mut earlier = None;
        if all <= MANY {
            // What would be refused, is.
            let points = resolve(&batch, command.only.as_ref(), &Survey::default())?;
            let only = command.only.as_ref().map(ToString::to_string);
            let standing =
                |out| dry::Standing::of(&batch, points, out, only.as_deref(), again(command));
            earlier = command.out.as_deref().map(standing).transpose()?;
        }
        let text = dry::points(
            &batch,
            command.only.as_ref(),
            command.explain,
            earlier.as_ref().map(|earlier| (earlier, command.why)),
            command.talk.json,
        )?;
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
        let what = format!("these are {} points", grouped(meant as u64));
        let hint = "--yes runs them; --dry-run shows them, --only chooses some";
        return Err(Error::rejected(Explained::new(what).hint(hint)));
    }
    let visited = visit(command, &batch, out, reporter)?;
    conclude(command, &batch, visited, reporter)
}

fn again(command: &BatchCommand) -> Again {
    match (command.rerun, command.retry_failed) {
        (true, _) => Again::All,
        (false, true) => Again::Failed,
        (false, false) => Again::Nothing,
    }
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
    let again = again(command);
    let only = command.only.as_ref().map(ToString::to_string);
    let rerun = (again == Again::All).then(|| directory.rerun(only.as_deref()));
    for point in &mut planned {
        point.round = directory.done(&point.key).round().max(rerun.unwrap_or(0));
    }
    if rerun.is_none() && directory.has_unfinished_rerun() {
        reporter.warning(
            "a --rerun was ended before its end: old samples stand beside new ones until --rerun is given again",
        );
    }
    let begin = Event::Begin {
        batch: &batch.name,
        pid: std::process::id(),
        command: &machine.command,
        rerun,
        only,
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
            disturbed: Disturbed::Counts,
        };
        let campaign = Campaign::new(batch, &planned, again, means);
        caught(|| campaign.run())
    };
    screen.clear();
    let made = made
        .unwrap_or_else(|said| Made { early: Some(Early::Error(crash(&said))), ..Made::default() });
    let how = match &made.early {
        None => End::Complete,
        Some(Early::Failures) => End::Stopped,
        Some(Early::Error(Error::Interrupted { .. })) => End::Interrupted,
        Some(Early::Error(_)) => End::Failed,
    };
    let tally = made.tally;
    screen.happens("batch_end", json!({"how": how, "made": tally.made, "failed": tally.failed}));
    if let Some(error) = screen.events_fault() {
        reporter.warning(&error.to_string());
    }
    let ending = Ending { how, made, count, again: machine.command.clone() };
    finish(command, batch, directory, &planned, ending)
}

/// How the trials of a visit came to their end.
struct Ending {
    how: End,
    made: Made,
    /// Points of the whole batch.
    count: usize,
    again: String,
}

/// Writes the reports, whatever ended the visit: what there is can be read.
fn finish(
    command: &BatchCommand,
    batch: &Batch,
    mut directory: Directory,
    planned: &[Planned],
    ending: Ending,
) -> Result<Visited, Error> {
    let Ending { how, mut made, count, again } = ending;
    let out = directory.path().to_path_buf();
    // Of a batch that was ended early, what has no samples was not missed.
    let missed =
        if made.early.is_none() { missed(batch, planned, &directory)? } else { Vec::new() };
    let unexpected = unexpected(batch, planned, &directory)?;
    // A point of two jobs is one.
    let mut repeats: HashMap<Key, u32> = HashMap::new();
    for point in planned {
        let most = repeats.entry(point.key).or_default();
        *most = batch.jobs[point.job].repeats.max(*most);
    }
    let failed = repeats.iter().map(|(key, repeats)| directory.done(key).failures(*repeats)).sum();
    let remarks = remarks(how, &made, &missed, &unexpected);
    let written = directory.note(&Event::End { how }).and_then(|()| directory.study()).and_then(
        |mut study| {
            study.remark(&remarks);
            study.write(&out)?;
            if let Some(path) = &command.export_junit {
                study.export_junit(path)?;
            }
            if let Some(path) = &command.export_hyperfine {
                study.export_hyperfine(path)?;
            }
            Ok(())
        },
    );
    let reported = written.is_ok();
    if let Err(error) = written.and_then(|()| directory.close()) {
        // What ended the batch is the more useful thing to know, and a full disk is both.
        made.early.get_or_insert(Early::Error(error));
    }
    Ok(Visited { made, how, points: count, out, again, failed, missed, unexpected, reported })
}

/// What the reports say beside the samples.
fn remarks(
    how: End,
    made: &Made,
    missed: &[(String, String)],
    unexpected: &[(String, String)],
) -> Remarks {
    let mut remarks = Remarks::default();
    match how {
        End::Complete => {}
        End::Stopped => remarks.notes.push("Ended by `on-fail`.".to_owned()),
        End::Interrupted => remarks.notes.push("Ended by a signal.".to_owned()),
        End::Failed => remarks.notes.push("Ended by an error.".to_owned()),
    }
    let left = made.tally.total.saturating_sub(made.tally.done);
    if left > 0 {
        remarks.notes.push(format!("{} yet to be made.", counted(left, "trial")));
    }
    if !made.unsettled.is_empty() {
        remarks.notes.push(format!(
            "{} not as sure as `target-ci` asks, after all trials that `repeats` and `max-time` allow.",
            counted(made.unsettled.len() as u64, "point")
        ));
    }
    for id in &made.unsettled {
        remarks.flags.entry(id.clone()).or_default().push("unsettled");
    }
    for (id, why) in missed {
        remarks.flags.entry(id.clone()).or_default().push("slow");
        remarks.missed.entry(id.clone()).or_default().push(why.clone());
    }
    for (id, why) in unexpected {
        remarks.flags.entry(id.clone()).or_default().push("unexpected");
        remarks.missed.entry(id.clone()).or_default().push(why.clone());
    }
    remarks
}

fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Refuses an export that could not be written when all is done.
fn check_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_none_or(Path::is_dir) && !path.is_dir() {
        return Ok(());
    }
    let what = Explained::new(format!("cannot write an export to `{}`", path.display()));
    Err(Error::rejected(what.hint("it names a file in a directory that exists")))
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
    let rebuilt = |differences: &Vec<String>| matches!(differences.as_slice(), [one] if one.starts_with("program"));
    let only_built =
        !changed.is_empty() && changed.iter().all(|(_, differences)| rebuilt(differences));
    reporter.note(&format!(
        "{}: {added} new points, {kept} as before, {orphaned} orphans (their samples stay), {dropped} gone \
         that had none",
        if only_built {
            "this spmd is another build than the samples are of"
        } else {
            "the points are not those of the last visit"
        }
    ));
    if why {
        for (id, differences) in changed {
            reporter.note(&format!("{id}: {}", differences.join("; ")));
        }
    } else if !changed.is_empty() && !only_built {
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
    let Visited { made, how, points, out, again, failed, missed, unexpected, reported } = visited;
    let Made { tally, needless, hooks_failed, early, .. } = made;
    let left = tally.total.saturating_sub(tally.done);
    let exit = match &early {
        Some(Early::Error(error)) => error.exit(),
        Some(Early::Failures) => Exit::Failed,
        None if failed > 0 || hooks_failed || !unexpected.is_empty() => Exit::Failed,
        None if !missed.is_empty() => Exit::GateMissed,
        None => Exit::Complete,
    };
    let mut text = format!(
        "{}: {} made now, {} done",
        counted(points as u64, "point"),
        counted(tally.made, "trial"),
        grouped(tally.done)
    );
    for (count, what) in [(left, "to be made"), (needless, "not needed"), (failed, "failed")] {
        if count > 0 {
            text.push_str(&format!(", {} {what}", grouped(count)));
        }
    }
    if reported {
        text.push_str(&format!("; {}", out.join("report.md").display()));
    }
    reporter.note(&text);
    if tally.made == 0 && early.is_none() && failed == 0 {
        reporter.note("nothing to do: every trial has its sample (--rerun makes them again)");
    }
    for (id, why) in &unexpected {
        reporter.warning(&format!("{id}: {why}"));
    }
    if command.talk.json {
        let summary = json!({
            "schema": 1,
            "batch": batch.name,
            "status": exit.status(),
            "exit": exit.code(),
            "how": how,
            "out": out.display().to_string(),
            "points": points,
            "trials": {"made": tally.made, "done": tally.done, "failed": failed, "left": left},
            "not_reached": missed.iter().map(|(id, why)| format!("{id}: {why}")).collect::<Vec<_>>(),
        });
        if early.is_none() || matches!(early, Some(Early::Failures)) {
            report::document(&summary.to_string())?;
        }
    }
    let error = match early {
        Some(Early::Error(Error::Interrupted { signal, .. })) => {
            let what =
                format!("stopped by {}; every finished trial has its sample", signal_name(signal));
            return Err(Error::Interrupted {
                what: Explained::new(what).hint(format!("to continue: {again}")),
                signal,
            });
        }
        // A machine that refuses may not do so the next time.
        Some(Early::Error(error @ Error::Refused(_))) => {
            return Err(error.also(&format!("to continue: {again}")));
        }
        Some(Early::Error(error)) => return Err(error),
        Some(Early::Failures) => Some(
            Explained::new(format!(
                "stopped as `on-fail` says: {} failed",
                counted(failed, "trial")
            ))
            .hint("--retry-failed makes failed trials again"),
        ),
        None if failed > 0 => Some(
            Explained::new(format!("{} failed", counted(failed, "trial")))
                .hint("the report says why; --retry-failed makes them again"),
        ),
        None if !unexpected.is_empty() => Some(
            Explained::new(format!(
                "{} samples with unexpected values",
                counted(unexpected.len() as u64, "point")
            ))
            .hint("--rerun makes them again, if it was not the expectation that is wrong"),
        ),
        None if hooks_failed => {
            Some(Explained::new("a hook failed after its trial").hint("logs/ has what it wrote"))
        }
        None if !missed.is_empty() => Some(
            Explained::new(format!("{} not reached", counted(missed.len() as u64, "reference")))
                .details(missed.iter().map(|(id, why)| format!("{id}: {why}"))),
        ),
        None => None,
    };
    if let Some(what) = error {
        reporter.error(&Error::Failed(what));
    }
    Ok(exit)
}
