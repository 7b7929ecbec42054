//! `spmd scale`: its options, and what is done in which order.

mod command;

use std::fs::DirBuilder;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use self::command::Ceiling;
pub(super) use self::command::{ScaleCommand, with_numbers};
use super::batch::screen::BatchScreen;
use super::bench::Listener;
use super::screen::bar_wanted;
use super::{fail, layered, origin};
use crate::batch::{
    Again, Asked, Batch, Campaign, Directory, Disturbed, Early, End, Event, Machine, Made, Means,
    MixMachines, Planned, Points, Ranks, Visit, resolve,
};
use crate::data::shown_path;
use crate::engine::{Crew, Orders, refusal, signal_name};
use crate::error::{Error, Exit, Explained};
use crate::host::events::{EventGroup, Source};
use crate::host::signals::Signals;
use crate::host::{affinity, caches};
use crate::options::RunOptions;
use crate::panics::caught;
use crate::placement::Survey;
use crate::plan::Plan;
use crate::report::{self, Reporter};
use crate::run::Run;
use crate::scale::{self, Baseline, Ceilings, Effort, Found, Given, Measured, Numbers, Question};
use crate::scaling::{Kind, Outcome};
use crate::trace::Trace;

/// The file of the one trial that is looked at rank by rank.
const TRACE: &str = "trace.json";
/// And that of the key of its point: of another, it is no trace of this study.
const TRACE_KEY: &str = "trace.key";

pub(super) fn scale(command: ScaleCommand, matches: &ArgMatches) -> Exit {
    let reporter = Reporter::new(command.talk.talk(), command.talk.color);
    let json = command.talk.json;
    perform(&command, matches, reporter).unwrap_or_else(|error| fail(&error, reporter, json))
}

fn perform(
    command: &ScaleCommand,
    matches: &ArgMatches,
    reporter: Reporter,
) -> Result<Exit, Error> {
    let machine = Survey::default();
    let question = question(command, matches, &machine)?;
    question.check()?;
    let one = RunOptions { procs: None, ..question.options.clone() };
    if Run::from_options(one).plan_on(&machine)?.size() == 0 {
        let what = Explained::new("a study of no indices has no times to compare");
        return Err(Error::rejected(what.hint("a --size above 0, or another --input")));
    }
    let above = question.above();
    let asked =
        Asked { profile: None, sets: &[], above: &above, origin: &|name| origin(matches, name) };
    let batch = Batch::parse(Path::new("study"), &question.batch(), &asked)?;
    let points = resolve(&batch, None, &machine)?;
    for gate in &command.gates {
        if let Some(procs) = gate.procs.filter(|procs| !question.procs.contains(procs)) {
            let what = format!("gate `{gate}`: no point with {procs} ranks is measured");
            return Err(Error::rejected(Explained::new(what).hint("add it to --procs")));
        }
    }
    if command.talk.dry_run {
        return dry(command, &question).map(|()| Exit::Complete);
    }
    let place = Place::of(command.out.as_deref())?;
    let study = Study { command, question, batch, machine };
    let (found, out) = study.visit(points, place.path(), reporter)?;
    study.conclude(&found, &out, reporter)
}

/// Shows the batch that a study is, and runs nothing.
fn dry(command: &ScaleCommand, question: &Question) -> Result<(), Error> {
    let text = question.batch();
    if !command.talk.json {
        return report::document(text.trim_end());
    }
    let document = serde_json::json!({
        "schema": 1,
        "status": "planned",
        "kind": question.kind,
        "procs": question.procs,
        "batch": text,
    });
    report::document(&document.to_string())
}

/// Reads what is asked from all that was typed.
fn question(
    command: &ScaleCommand,
    matches: &ArgMatches,
    machine: &Survey<crate::placement::ThisMachine>,
) -> Result<Question, Error> {
    let mut options = layered(command.options.clone(), matches);
    options.procs = None;
    let typed = matches.get_raw("procs").and_then(Iterator::last);
    let numbers = match typed {
        Some(text) => text.to_string_lossy().parse()?,
        None => Numbers::Auto,
    };
    let procs = match numbers {
        Numbers::These(_) => numbers.up_to(1),
        Numbers::Auto => {
            let plan = Run::from_options(options.clone()).plan_on(machine)?;
            numbers.up_to(plan.procs())
        }
    };
    let effort = match command.repeats()? {
        Some(repeats) => Effort::Repeats(repeats),
        None => Effort::Until { target: command.target(), budget: command.max_time.0 },
    };
    let kind = if command.weak { Kind::Weak } else { Kind::Strong };
    Ok(Question { kind, procs, baseline: command.baseline, options, effort })
}

/// Where the samples lie while they are taken.
enum Place {
    /// Where the user wants to have them.
    Kept(PathBuf),
    /// Nobody asked for them: gone when this is.
    Passing(PathBuf),
}

impl Place {
    fn of(out: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = out else { return Self::passing() };
        Ok(Self::Kept(path.to_path_buf()))
    }

    /// Makes a directory that was not there, and that nobody else can look into: where temporary files are,
    /// somebody else may have put anything under a name that can be guessed.
    fn passing() -> Result<Self, Error> {
        let random = RandomState::new().build_hasher().finish();
        let path = std::env::temp_dir().join(format!("spmd-scale-{random:016x}"));
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            let what = format!("cannot make {}: {error}", shown_path(&path));
            Error::refused(Explained::new(what).hint("--out DIR, or another TMPDIR"))
        })?;
        Ok(Self::Passing(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Passing(path) => path,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Passing(path) = self {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// A study on its way.
struct Study<'a> {
    command: &'a ScaleCommand,
    question: Question,
    batch: Batch,
    machine: Survey<crate::placement::ThisMachine>,
}

impl Study<'_> {
    /// Measures what is left to be measured, and answers; with --out, the answer is written there.
    fn visit(
        &self,
        points: Points,
        out: &Path,
        reporter: Reporter,
    ) -> Result<(Found, PathBuf), Error> {
        let Points { lines, mut planned, inputs } = points;
        let here = Machine::capture()?;
        let visit = Visit {
            name: &self.batch.name,
            text: &self.batch.text,
            machine: &here,
            mix: MixMachines::No,
        };
        let spmd_failed = |what: &str, error: io::Error| Error::refused(format!("{what}: {error}"));
        let mut orders = Orders::new(None).map_err(|e| spmd_failed("cannot make a pipe", e))?;
        // Before the directory's own thread is there, which would receive them otherwise, and end us.
        orders.attend(Signals::take().map_err(|e| spmd_failed("cannot receive signals", e))?);
        let mut directory = Directory::open(out, &visit)?;
        for text in directory.warnings().to_vec() {
            reporter.warning(&text);
        }
        directory.plan(lines.into_iter())?;
        for point in &mut planned {
            point.round = directory.done(&point.key).round();
        }
        let begin = Event::Begin {
            batch: &self.batch.name,
            pid: std::process::id(),
            command: &here.command,
            rerun: None,
            only: None,
        };
        directory.note(&begin)?;
        let notes = self.warn_of_placement(&planned, reporter)?;
        let talk = &self.command.talk;
        let mut screen = BatchScreen::new(reporter, talk.talk(), bar_wanted(talk), None);
        let made = {
            let means = Means {
                directory: &mut directory,
                orders: &mut orders,
                ranks: Ranks::Warm(Crew::default()),
                machine: &self.machine,
                inputs,
                watcher: &mut screen,
                disturbed: Disturbed::MadeAgain,
            };
            // What failed is made again: a study has no use for a point with a gap.
            let campaign = Campaign::new(&self.batch, &planned, Again::Failed, means);
            caught(|| campaign.run())
        };
        screen.clear();
        let made = made.unwrap_or_else(|said| Made {
            early: Some(Early::Error(Error::refused(format!("spmd itself failed: {said}")))),
            ..Made::default()
        });
        let how = match &made.early {
            None => End::Complete,
            Some(Early::Failures) => End::Stopped,
            Some(Early::Error(Error::Interrupted { .. })) => End::Interrupted,
            Some(Early::Error(_)) => End::Failed,
        };
        if let Some(early) = made.early {
            let _ = directory.note(&Event::End { how }).and_then(|()| directory.close());
            return Err(self.ended_early(early, &here));
        }
        let answered = self.answer(&directory, &planned, &here, notes, &mut orders, reporter);
        let found = answered?;
        directory.note(&Event::End { how })?;
        directory.close()?;
        Ok((found, out.to_path_buf()))
    }

    /// Warns of what a reader of the figures has to know, such as more ranks than CPUs, and returns it.
    fn warn_of_placement(
        &self,
        planned: &[Planned],
        reporter: Reporter,
    ) -> Result<Vec<String>, Error> {
        let mut notes = Vec::new();
        for (point, procs) in planned.iter().zip(&self.question.procs) {
            let plan = Run::from_options(point.options.clone()).plan_on(&self.machine)?;
            for warning in &plan.placement.warnings {
                reporter.warning(&format!("{}: {warning}", point.id));
                notes.push(format!("{procs} ranks: {warning}"));
            }
        }
        Ok(notes)
    }

    fn answer(
        &self,
        directory: &Directory,
        planned: &[Planned],
        here: &Machine,
        notes: Vec<String>,
        orders: &mut Orders,
        reporter: Reporter,
    ) -> Result<Found, Error> {
        let Question { procs, effort, baseline, .. } = &self.question;
        // The serial loop, where there is one, is the last point.
        let numbers: Vec<u32> = procs.iter().copied().chain([1]).collect();
        let mut measured = scale::measured(directory, planned, &numbers, *effort)?;
        let serial = if *baseline == Baseline::Serial { measured.pop() } else { None };
        if self.question.options.counters != Some(false)
            && let Err(error) = EventGroup::open(Source::Processor)
        {
            reporter.detail(&format!("nothing is counted: {}", refusal(&error)));
        }
        let mut listener = Listener { reporter };
        let mut ceilings = Ceilings::read(directory.path(), &self.question.options);
        if self.command.ceiling == Ceiling::Auto && !scale::is_idle(&measured) {
            if procs.iter().any(|procs| ceilings.of(*procs).is_none()) {
                reporter.note(
                    "measuring memory's ceiling, once a study (--ceiling never leaves it out)",
                );
            }
            ceilings.measure(&self.question.options, procs, orders, &mut listener)?;
            directory.put("ceilings", scale::CEILINGS, &ceilings.text(&self.question.options))?;
        }
        let trace = directory.path().join(TRACE);
        let most = planned.iter().zip(procs).max_by_key(|(_, procs)| **procs);
        let mut shown = None;
        if let Some((point, _)) = most {
            let plan = Run::from_options(point.options.clone()).plan_on(&self.machine)?;
            let key = point.key.to_string();
            let kept = std::fs::read_to_string(directory.path().join(TRACE_KEY));
            if kept.is_ok_and(|kept| kept.trim_end() == key) {
                shown = read_trace(&trace, &plan);
            }
            if shown.is_none() {
                scale::traced(&point.options, &trace, &self.machine, orders, &mut listener)?;
                shown = read_trace(&trace, &plan);
                directory.put("trace", TRACE_KEY, &format!("{key}\n"))?;
            }
        }
        let given = self.given(&measured, here, ceilings, shown, notes)?;
        let kernel = given.kernel.clone();
        let found = scale::found(&measured, serial.as_ref(), given).map_err(Error::Failed)?;
        if self.command.out.is_some() {
            let files = found.findings.files();
            for (name, text) in &files {
                directory.put("report", name, text)?;
            }
            // Pictures of an earlier question that this one's report does not have.
            for name in scale::report::PICTURES.map(|name| format!("{name}.svg")) {
                if !files.iter().any(|(there, _)| *there == name) {
                    let _ = std::fs::remove_file(directory.path().join(name));
                }
            }
            directory.put("export", "extrap.jsonl", &scale::extrap(&measured, &kernel))?;
        }
        Ok(found)
    }

    /// Gathers what is known beside the samples.
    fn given(
        &self,
        measured: &[Measured],
        here: &Machine,
        ceilings: Ceilings,
        trial: Option<scale::report::Trial>,
        notes: Vec<String>,
    ) -> Result<Given, Error> {
        let plan = Run::from_options(RunOptions { procs: None, ..self.question.options.clone() })
            .plan_on(&self.machine)?;
        let mut options: Vec<(String, String)> = plan
            .params
            .texts()
            .map(|(name, text)| (format!("param.{name}"), text.to_owned()))
            .collect();
        let schedules: Vec<&str> =
            measured.iter().filter_map(Measured::middle).map(|trial| &*trial.schedule).collect();
        let mut different = schedules.clone();
        different.dedup();
        options.push(("schedule".to_owned(), different.join(" ")));
        let mut environment = vec![("command", here.command.clone()), ("spmd", here.spmd.clone())];
        environment.extend(here.fingerprint());
        Ok(Given {
            kind: self.question.kind,
            kernel: plan.kernel.name().to_owned(),
            options,
            flops: plan.cost.flops,
            bytes: plan.cost.bytes,
            ceilings,
            caches: affinity::allowed().ok().and_then(|cpus| caches::last_level(&cpus)),
            trial,
            ended: scale::ending(measured),
            seed: self.batch.seed,
            environment,
            notes,
            gates: self.command.gates.clone(),
        })
    }

    /// Says why there is no answer, and how to go on.
    fn ended_early(&self, early: Early, here: &Machine) -> Error {
        let again = match &self.command.out {
            Some(_) => format!("to continue: {}", here.command),
            None => "with --out DIR the same command would go on from here".to_owned(),
        };
        match early {
            Early::Failures => Error::Failed(
                Explained::new("a trial failed, and a study needs all of them")
                    .hint(format!("what it failed by stands above; {again}")),
            ),
            Early::Error(Error::Interrupted { signal, .. }) => {
                let what = format!("stopped by {}", signal_name(signal));
                Error::Interrupted { what: Explained::new(what).hint(again), signal }
            }
            Early::Error(error) => error,
        }
    }

    /// Shows the answer, and returns the exit code.
    fn conclude(&self, found: &Found, out: &Path, reporter: Reporter) -> Result<Exit, Error> {
        let missed: Vec<String> = found
            .gates
            .iter()
            .filter_map(|(_, outcome)| match outcome {
                Outcome::Met(_) => None,
                Outcome::Missed(said) | Outcome::Unmeasured(said) => Some(said.clone()),
            })
            .collect();
        let exit = if missed.is_empty() { Exit::Complete } else { Exit::GateMissed };
        if self.command.talk.json {
            report::document(&found.to_json(exit))?;
        } else {
            report::document(&report::study(&found.findings))?;
        }
        for (_, outcome) in &found.gates {
            if let Outcome::Met(said) = outcome {
                reporter.note(said);
            }
        }
        if self.command.out.is_some() {
            reporter.note(&shown_path(&out.join("report.html")));
        }
        if !missed.is_empty() {
            let count = missed.len();
            let what = format!("{count} gate{} not met", if count == 1 { "" } else { "s" });
            reporter.error(&Error::Failed(Explained::new(what).details(missed)));
        }
        Ok(exit)
    }
}

/// Reads the timed pass of a trace of this point; one that is not there, not whole, or of another is made anew.
fn read_trace(file: &Path, plan: &Plan) -> Option<scale::report::Trial> {
    let trace = Trace::read(file).ok()?;
    let about = &trace.about;
    let is_this = about.kernel == plan.kernel.name()
        && (about.procs, about.size) == (plan.procs(), plan.size());
    let pass = trace.spans.iter().filter(|_| is_this).map(|span| span.pass).max()?;
    let about = "One more trial, with the most ranks, with a trace; it is no sample.";
    scale::report::Trial::of(&trace.spans, pass, about)
}
