//! `spmd bench`: its options, and how what it measures is shown.

use std::io;
use std::time::Duration;

use clap::ArgMatches;
use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;

use super::fail;
use crate::bench::{self, Measurement, Name, Request};
use crate::calibration::Loops;
use crate::engine::{Audience, Orders};
use crate::error::{Error, Exit, Explained};
use crate::host::affinity::CpuSet;
use crate::host::signals::Signals;
use crate::options::{Bind, Count, Map, Procs, RunOptions, Span, Wait};
use crate::panics::caught;
use crate::report::{self, Color, Reporter, Talk};
use crate::schedule::Schedule;
use crate::shm::{Backing, Segment};

#[derive(Debug, clap::Args)]
pub(super) struct BenchCommand {
    /// What to measure: launch, barrier, pull, bandwidth; without it, what each of them answers
    name: Option<String>,
    /// Ranks to start: a number, or auto: as many as the CPUs this process may use allow
    #[arg(
        short = 'n',
        long,
        visible_alias = "np",
        value_name = "N|auto",
        env = "SPMD_PROCS",
        allow_hyphen_values = true
    )]
    procs: Option<Procs>,
    /// What a rank is pinned to: core (one rank a core), hwthread, none
    #[arg(long, value_name = "WHAT", env = "SPMD_BIND")]
    bind: Option<Bind>,
    /// How ranks are laid over the machine: close together, or spread over packages and nodes
    #[arg(long = "map", value_name = "HOW", env = "SPMD_MAP")]
    map: Option<Map>,
    /// CPUs to use, of those this process may use: 0-3,8
    #[arg(long, value_name = "LIST", env = "SPMD_CPUS", allow_hyphen_values = true)]
    cpus: Option<CpuSet>,
    /// How ranks wait: hybrid (spin, yield, sleep), spin, block
    #[arg(long, value_name = "HOW", env = "SPMD_WAIT")]
    wait: Option<Wait>,
    /// What holds the segment: shm (/dev/shm), memfd (bounded by memory only)
    #[arg(long, value_name = "WHAT", env = "SPMD_BACKING")]
    backing: Option<Backing>,
    /// How chunks are handed out, for pull; chunks are as small as it allows (default dynamic,1)
    #[arg(long, value_name = "KIND[,C]", env = "SPMD_SCHEDULE")]
    schedule: Option<Schedule>,
    /// Bytes of each of three arrays, for bandwidth: 256Mi (default 4 times the last-level caches)
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    size: Option<Count>,
    /// Go on for about so long
    #[arg(long, value_name = "TIME", default_value = "1s")]
    time: Span,
    /// Give up after this long: 30s, 5m, 1h
    #[arg(long, value_name = "TIME", env = "SPMD_TIMEOUT")]
    timeout: Option<Span>,
    /// Print one JSON document on stdout and nothing else
    #[arg(long, env = "SPMD_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// Say nothing but errors
    #[arg(short, long, env = "SPMD_QUIET", value_parser = FalseyValueParser::new())]
    quiet: bool,
    /// Colour of messages: auto, always, never
    #[arg(
        long,
        value_name = "WHEN",
        env = "SPMD_COLOR",
        default_value = "auto",
        hide_default_value = true
    )]
    color: Color,
}

/// Measures, and shows what came of it.
pub(super) fn bench(command: BenchCommand, matches: &ArgMatches) -> Exit {
    let talk = if command.quiet { Talk::Quiet } else { Talk::Normal };
    let (reporter, json) = (Reporter::new(talk, command.color), command.json);
    let shown = match &command.name {
        None => report::document(&report::benches()),
        Some(name) => name
            .parse::<Name>()
            .and_then(|name| request(name, command, matches))
            .and_then(|(request, limit)| measured(&request, limit, reporter))
            .and_then(|measured| {
                report::document(&if json { measured.to_json() } else { report::bench(&measured) })
            }),
    };
    match shown {
        Ok(()) => Exit::Complete,
        Err(error) => fail(&error, reporter, json),
    }
}

/// Reads what is to be measured, and the time limit.
fn request(
    name: Name,
    command: BenchCommand,
    matches: &ArgMatches,
) -> Result<(Request, Option<Duration>), Error> {
    let BenchCommand { procs, bind, map, cpus, wait, backing, schedule, size, .. } = command;
    let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    for (id, takes) in [("schedule", Name::Pull), ("size", Name::Bandwidth)] {
        if typed(id) && name != takes {
            let what = format!("bench `{}` takes no --{id}", name.name());
            let hint = format!("--{id} is for `spmd bench {}`", takes.name());
            return Err(Error::rejected(Explained::new(what).hint(hint)));
        }
    }
    // A variable that is set for runs is no reason to refuse a bench that has no use for it.
    let schedule = schedule.filter(|_| name == Name::Pull);
    let options =
        RunOptions { procs, bind, map, cpus, wait, backing, schedule, ..RunOptions::default() };
    let array = size.map(|Count(bytes)| bytes);
    let loops = Loops::All;
    let request = Request { name, options, array, loops, budget: command.time.0 };
    Ok((request, command.timeout.map(|limit| limit.0)))
}

fn measured(
    request: &Request,
    limit: Option<Duration>,
    reporter: Reporter,
) -> Result<Measurement, Error> {
    let spmd_failed = |what: &str, error: io::Error| Error::refused(format!("{what}: {error}"));
    let mut orders = Orders::new(limit).map_err(|e| spmd_failed("cannot make a pipe", e))?;
    // Dropped with the orders, before anything is printed: writing to a pipe may block for ever.
    orders.attend(Signals::take().map_err(|e| spmd_failed("cannot receive signals", e))?);
    let run = caught(|| bench::run(request, &orders, &mut Listener { reporter }));
    run.unwrap_or_else(|said| Err(Error::refused(format!("spmd itself failed: {said}"))))
}

/// Whoever sits in front of a bench.
pub(super) struct Listener {
    pub(super) reporter: Reporter,
}

impl Audience for Listener {
    fn began(&mut self, _: &Segment, _: u64) {}

    fn note(&mut self, text: &str) {
        self.reporter.note(text);
    }

    fn warn(&mut self, text: &str) {
        self.reporter.warning(text);
    }

    fn progress(&mut self, _: u64, _: u64) {}

    fn wants_progress(&self) -> bool {
        false
    }
}
