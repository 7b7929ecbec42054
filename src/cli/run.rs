//! `spmd run`, which the bare command is too, and `spmd plan`: one problem.

use std::io;

use clap::ArgMatches;
use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;

use super::fail;
use super::screen::Screen;
use crate::data::OutputSpec;
use crate::engine::{Orders, World};
use crate::error::{Error, Exit};
use crate::host::signals::Signals;
use crate::job::Accounts;
use crate::options::{DEFAULTS, RunOptions};
use crate::panics::caught;
use crate::plan::Plan;
use crate::record;
use crate::report::{self, Color, Reporter, Talk};
use crate::run::{Finished, Run};

#[derive(Debug, clap::Args)]
pub(super) struct RunCommand {
    #[command(flatten)]
    pub(super) options: RunOptions,
    #[command(flatten)]
    pub(super) talk: TalkOptions,
}

/// How one invocation speaks: not part of what runs.
#[derive(Debug, clap::Args)]
pub(super) struct TalkOptions {
    /// Show the plan and run nothing
    #[arg(long, help_heading = "Output")]
    pub(super) dry_run: bool,
    /// Say which CPU each rank was bound to, and where it was seen
    #[arg(long, help_heading = "Output")]
    pub(super) report_bindings: bool,
    /// Print one JSON document on stdout and nothing else
    #[arg(long, env = "SPMD_JSON", value_parser = FalseyValueParser::new(), help_heading = "Output")]
    pub(super) json: bool,
    /// Progress bar on a terminal, for work over a second: auto, never
    #[arg(
        long,
        value_name = "WHEN",
        env = "SPMD_PROGRESS",
        help_heading = "Output",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(super) progress: Progress,
    /// Colour of messages: auto, always, never
    #[arg(
        long,
        value_name = "WHEN",
        env = "SPMD_COLOR",
        help_heading = "Output",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(super) color: Color,
    /// Say nothing but errors
    #[arg(short, long, env = "SPMD_QUIET", value_parser = FalseyValueParser::new(), help_heading = "Output", conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say where each option came from
    #[arg(short, long, env = "SPMD_VERBOSE", value_parser = FalseyValueParser::new(), help_heading = "Output")]
    pub(super) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Progress {
    Auto,
    Never,
}

impl TalkOptions {
    pub(super) fn talk(&self) -> Talk {
        match (self.quiet, self.verbose) {
            (true, _) => Talk::Quiet,
            (false, true) => Talk::Verbose,
            (false, false) => Talk::Normal,
        }
    }
}

pub(super) fn run(command: RunCommand, matches: &ArgMatches) -> Exit {
    if command.talk.dry_run {
        return plan(command, matches);
    }
    let RunCommand { options, talk } = command;
    let options = layered(options, matches);
    let reporter = Reporter::new(talk.talk(), talk.color);
    match run_to_end(options, &talk, reporter, matches) {
        Ok(finished) => match conclude(&finished, &talk, reporter) {
            Ok(()) => Exit::Complete,
            Err(error) => {
                reporter.error(&error);
                error.exit()
            }
        },
        Err(error) => fail(&error, reporter, talk.json),
    }
}

/// Lets the command line's word on what to compute stand alone, above that of the environment.
///
/// `--size` and `--input` are two ways to say one thing, which clap, laying one variable under one
/// flag, does not know.
pub(super) fn layered(mut options: RunOptions, matches: &ArgMatches) -> RunOptions {
    let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    match (typed("size"), typed("input")) {
        (true, false) => options.input = None,
        (false, true) => options.size = None,
        (true, true) | (false, false) => {}
    }
    options
}

fn run_to_end(
    options: RunOptions,
    talk: &TalkOptions,
    reporter: Reporter,
    matches: &ArgMatches,
) -> Result<Finished, Error> {
    let mut plan = Run::from_options(options).plan()?;
    if !talk.json {
        plan.job.accounts = Accounts::Unwanted;
    }
    if talk.json && plan.options.output == Some(OutputSpec::Stdout) {
        reporter
            .warning("--json has stdout for the record: the results of --output - are not shown");
    }
    reporter.resolved(&plan, &|name| origin(matches, name));
    for warning in &plan.placement.warnings {
        reporter.warning(warning);
    }
    let spmd_failed = |what: &str, error: io::Error| Error::refused(format!("{what}: {error}"));
    let limit = plan.options.timeout.map(|span| span.0);
    let mut orders = Orders::new(limit).map_err(|e| spmd_failed("cannot make a pipe", e))?;
    let world = World::build(plan)?;
    // Only for as long as there are ranks: before, nothing is there to be cleaned up, and after,
    // writing to a pipe may block for ever. The default action is right then.
    orders.attend(Signals::take().map_err(|e| spmd_failed("cannot receive signals", e))?);
    let mut screen = Screen::new(reporter, talk);
    let run = caught(|| world.run(&orders, &mut screen));
    screen.clear();
    match run {
        Ok(collected) => Ok(Finished { collected: collected? }),
        Err(said) => Err(Error::refused(format!("spmd itself failed: {said}"))),
    }
}

/// Prints what a finished run has to show.
fn conclude(finished: &Finished, talk: &TalkOptions, reporter: Reporter) -> Result<(), Error> {
    if talk.report_bindings {
        let collected = &finished.collected;
        reporter.bindings(&collected.results.world().plan, Some(&collected.ranks));
    }
    let shown = if talk.json {
        report::document(&finished.record().to_json())
    } else {
        report::results(finished)
    };
    reporter.run(finished);
    if shown.is_ok() {
        finished.collected.results.world().release();
    }
    shown.and_then(|()| finished.collected.verdict())
}

pub(super) fn plan(command: RunCommand, matches: &ArgMatches) -> Exit {
    let RunCommand { options, talk } = command;
    let options = layered(options, matches);
    let reporter = Reporter::new(talk.talk(), talk.color);
    let shown = Run::from_options(options).plan().and_then(|plan| {
        for warning in &plan.placement.warnings {
            reporter.warning(warning);
        }
        if talk.report_bindings {
            reporter.bindings(&plan, None);
        }
        if talk.json {
            report::document(&plan_json(&plan))
        } else {
            report::document(report::plan(&plan, &|name| origin(matches, name)).trim_end())
        }
    });
    match shown {
        Ok(()) => Exit::Complete,
        Err(error) => fail(&error, reporter, talk.json),
    }
}

fn plan_json(plan: &Plan) -> String {
    serde_json::json!({
        "schema": 1,
        "status": "planned",
        "params": record::resolved(plan),
        "warnings": plan.placement.warnings,
        "chunks": plan.job.partition.count(),
        "result_bytes": plan.result_bytes(),
        "cpus": plan.placement.pins,
    })
    .to_string()
}

/// Says which layer an option's value is from.
pub(super) fn origin(matches: &ArgMatches, name: &str) -> String {
    let id = name.replace('-', "_");
    let source = matches.try_contains_id(&id).ok().and_then(|_| matches.value_source(&id));
    match source {
        Some(ValueSource::CommandLine) => "command line".to_owned(),
        Some(ValueSource::EnvVariable) => format!("SPMD_{}", id.to_uppercase()),
        _ if DEFAULTS.lines().any(|line| line.starts_with(&format!("{name} ="))) => {
            "default".to_owned()
        }
        _ => "from kernel and input".to_owned(),
    }
}
