//! The command line: what may be typed, and what is done about it.

mod batch;
mod bench;
mod compare;
mod run;
mod scale;
mod screen;
mod topo;
mod tune;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, Resettable, TypedValueParser};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::batch::{BatchCommand, batch};
use self::bench::{BenchCommand, bench};
use self::compare::{CompareCommand, compare};
use self::run::{Progress, RunCommand, TalkOptions, layered, origin, plan, run};
use self::scale::{ScaleCommand, scale};
use self::topo::{DoctorCommand, TopoCommand, doctor, topo};
use self::tune::{TuneCommand, tune};
use self::usage::usage;
use crate::clean::clean;
use crate::error::{Error, Exit};
use crate::host::leftover::Deed;
use crate::host::signals;
#[cfg(all(any(fuzzing, test), not(spmd_loom)))]
use crate::options::RunOptions;
use crate::record;
use crate::report::{self, Color, Reporter, Talk};
use crate::run::catalog;

const AFTER_HELP: &str = "\
Every option up to Measure is a variable too: SPMD_PROCS=4. `spmd plan` shows which one decided.

Exit: 0 complete  1 the run failed  2 usage or input rejected, nothing ran  3 wrong result
      124 time limit  125 this machine refuses  127 no such kernel  128+n ended by signal n

Examples:
  spmd --procs 4 --kernel square --input 1,2,3,4,5
  spmd -k square --input x.npy --output y.npy --verify sample
  spmd -k collatz --size 1e6 --schedule guided --json";

/// Run a compute kernel on every core of this machine.
///
/// Pinned worker processes attach to one shared memory segment, claim chunks of the index space from a
/// lock-protected counter, write results in place, and meet at a barrier.
#[derive(Debug, Parser)]
#[command(name = "spmd", version, args_conflicts_with_subcommands = true, args_override_self = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunCommand,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)] // See `command_line`.
enum Command {
    /// Run one problem (the bare command does the same)
    Run(RunCommand),
    /// Show the resolved options with their origin, placement and sizes; run nothing
    Plan(RunCommand),
    /// List the kernels, or describe one
    Kernels {
        /// Kernel to describe
        kernel: Option<String>,
    },
    /// Run all points of a batch file, and go on where the last visit stopped
    ///
    /// Every trial is a run; its record is a line of DIR/samples.jsonl as soon as there is one. Whatever ends
    /// a batch, the same command continues it. Options of a run given here override those of the file.
    Batch(Box<BatchCommand>),
    /// Measure how far a problem scales, and say why not further
    ///
    /// A batch of one problem over several numbers of ranks, in rounds: points with intervals against a
    /// stated base, laws, losses that add up, and one sentence. With --out the same command again goes on
    /// where the last visit stopped. Exit 4: a --require was not met.
    Scale(Box<ScaleCommand>),
    /// Rank schedules, chunks and numbers of ranks by a trace
    ///
    /// Replays a trace that a run with --trace has written under each of them, in simulated time, and
    /// shows what a pass would take. Nothing is run.
    Tune(TuneCommand),
    /// Tell a regression from noise: two results directories, files of samples, or records
    ///
    /// Pairs points by what was asked, whatever machine, build or job they are of, and shows the ratio of their
    /// medians with its 95 % interval. Exit: 4 if a point of B is slower than allowed beyond noise, 2 if
    /// nothing can be compared, else 0.
    Compare(CompareCommand),
    /// Measure what a launch, a barrier, a chunk and memory cost on this machine
    ///
    /// Real ranks on a real segment, through the code that runs: median, its 95 % interval, and what
    /// disturbed it. Without a name, lists what each bench answers.
    Bench(BenchCommand),
    /// Show what this machine offers: CPUs, caches, memory, limits, and where ranks would go
    Topo(TopoCommand),
    /// Show what would go wrong with a run on this machine, and the exact fix
    ///
    /// Looks at CPUs, memory, limits, at who else runs, and whether the system calls of a run work. Exit: 0
    /// nothing would stop a run, 1 something would, or with --strict a warning was found.
    Doctor(DoctorCommand),
    /// Remove what dead runs left (normally nothing)
    ///
    /// Stale names of segments in /dev/shm, and in the directories named, hidden files that were to
    /// become outputs. What a living run holds a lock on stays.
    Clean(CleanCommand),
}

#[derive(Debug, clap::Args)]
struct CleanCommand {
    /// Directories that runs wrote outputs to, to be cleaned too
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document on stdout and nothing else
    #[arg(long, env = "SPMD_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

/// Runs the command line of this process.
pub(crate) fn main() -> Exit {
    signals::ignore_file_size_limit();
    crate::log::start_if_asked();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Known before parsing, so that a mistyped command line still gets its document.
    let json = arguments.iter().any(|argument| argument == "--json") || json_by_environment();
    let (cli, matches) = match parse(&mut command_line(), &arguments) {
        Ok(parsed) => parsed,
        Err(error) => return unparsed(&error, &arguments, json),
    };
    match cli.command {
        None => run(cli.run, &matches),
        Some(Command::Run(run_command)) => run(run_command, nested(&matches)),
        Some(Command::Plan(command)) => plan(command, nested(&matches)),
        Some(Command::Kernels { kernel }) => kernels(kernel.as_deref()),
        Some(Command::Batch(command)) => batch(*command, nested(&matches)),
        Some(Command::Scale(command)) => scale(*command, nested(&matches)),
        Some(Command::Tune(command)) => tune(command),
        Some(Command::Compare(command)) => compare(&command),
        Some(Command::Bench(command)) => bench(command, nested(&matches)),
        Some(Command::Topo(command)) => topo(command),
        Some(Command::Doctor(command)) => doctor(command),
        Some(Command::Clean(command)) => clean_up(&command),
    }
}

/// Reads a command line, and nothing else.
fn parse(
    command: &mut clap::Command,
    arguments: &[OsString],
) -> Result<(Cli, ArgMatches), clap::Error> {
    let matches = command.try_get_matches_from_mut(arguments)?;
    Ok((Cli::from_arg_matches(&matches)?, matches))
}

/// Returns what a command line says of a run; nothing if it is about something else.
#[cfg(all(any(fuzzing, test), not(spmd_loom)))]
pub(crate) fn options_of(arguments: &[OsString]) -> Result<Option<RunOptions>, Error> {
    thread_local! {
        /// Built once: building takes far longer than parsing.
        static COMMAND: std::cell::RefCell<clap::Command> =
            std::cell::RefCell::new(command_line());
    }
    match COMMAND.with_borrow_mut(|command| parse(command, arguments)) {
        Ok((Cli { command: None, run }, matches)) => Ok(Some(layered(run.options, &matches))),
        Ok((Cli { command: Some(Command::Run(run) | Command::Plan(run)), .. }, matches)) => {
            Ok(Some(layered(run.options, nested(&matches))))
        }
        Ok(_) => Ok(None),
        Err(error) if !error.use_stderr() => Ok(None),
        Err(error) => Err(usage(&error, arguments)),
    }
}

/// Returns the command line that is understood.
///
/// What a command takes is built when that command was typed, or its help is asked for: to build all of them at
/// each start was a quarter of a small run.
fn command_line() -> clap::Command {
    type Built = fn(clap::Command) -> clap::Command;
    let deferred: [(&str, Built); 10] = [
        ("run", plain::<RunCommand>),
        ("plan", plain::<RunCommand>),
        ("batch", plain::<BatchCommand>),
        ("scale", |command| scale::with_numbers(plain::<ScaleCommand>(command))),
        ("tune", plain::<TuneCommand>),
        ("compare", plain::<CompareCommand>),
        ("bench", plain::<BenchCommand>),
        ("topo", plain::<TopoCommand>),
        ("doctor", plain::<DoctorCommand>),
        ("clean", plain::<CleanCommand>),
    ];
    let command = Cli::command().mut_args(without_repetition);
    deferred.into_iter().fold(command, |command, (name, later)| {
        command.mut_subcommand(name, |command| command.defer(later))
    })
}

/// Adds what a command takes. What is said about the command stays: clap would put what is said about a group of
/// its options in that place.
fn plain<T: clap::Args>(command: clap::Command) -> clap::Command {
    let about = Resettable::from(command.get_about().cloned());
    let long = Resettable::from(command.get_long_about().cloned());
    T::augment_args(command).mut_args(without_repetition).about(about).long_about(long)
}

/// Leaves out of the help what every option would say: its variable, and its values once more.
/// (A flag has no values to hide, and clap forbids it.)
fn without_repetition(argument: clap::Arg) -> clap::Arg {
    let hide = argument.get_action().takes_values();
    argument.hide_env(true).hide_possible_values(hide)
}

/// Says whether `SPMD_JSON` asks for a document, as clap reads such a variable.
fn json_by_environment() -> bool {
    std::env::var_os("SPMD_JSON").is_some_and(|value| {
        FalseyValueParser::new().parse_ref(&Cli::command(), None, &value).unwrap_or(false)
    })
}

fn nested(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, nested)| nested)
}

/// Answers a command line that could not be parsed: `--help` and `--version` among them.
fn unparsed(error: &clap::Error, arguments: &[OsString], json: bool) -> Exit {
    if !error.use_stderr() {
        return match report::document(error.to_string().trim_end()) {
            Ok(()) => Exit::Complete,
            Err(error) => fail(&error, Reporter::new(Talk::Normal, Color::Auto), false),
        };
    }
    fail(&usage(error, arguments), Reporter::new(Talk::Normal, Color::Auto), json)
}

fn fail(error: &Error, reporter: Reporter, json: bool) -> Exit {
    reporter.error(error);
    if json {
        // stderr has the message; a stdout that is gone changes neither it nor the exit code.
        let _ = report::document(&record::failure(error));
    }
    if let Error::Interrupted { signal, .. } = error {
        signals::die_by(*signal);
    }
    error.exit()
}

fn kernels(name: Option<&str>) -> Exit {
    let catalog = catalog();
    let text = match name {
        None => Ok(report::kernels(&catalog)),
        Some(name) => catalog.find(name).map(report::kernel),
    };
    match text.and_then(|text| report::document(text.trim_end())) {
        Ok(()) => Exit::Complete,
        Err(error) => fail(&error, Reporter::new(Talk::Normal, Color::Auto), false),
    }
}

fn clean_up(command: &CleanCommand) -> Exit {
    let reporter = Reporter::new(Talk::Normal, Color::Auto);
    let deed = if command.dry_run { Deed::Show } else { Deed::Remove };
    let cleaned = match clean(&command.dirs, deed) {
        Ok(cleaned) => cleaned,
        Err(error) => return fail(&error, reporter, command.json),
    };
    let shown = if command.json {
        report::document(&cleaned.to_json())
    } else {
        report::leftovers(&cleaned)
    };
    let mut exit = Exit::Complete;
    for error in cleaned.errors().chain(shown.err()) {
        reporter.error(&error);
        exit = error.exit();
    }
    reporter.cleaned(&cleaned);
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_one_that_clap_takes() {
        // Where assertions are compiled in, clap checks this at each start, and aborts.
        command_line().debug_assert();
    }

    #[test]
    fn a_command_that_is_built_late_says_of_itself_what_it_says_in_the_list() {
        let listed = command_line();
        let mut built = listed.clone();
        built.build();
        for command in listed.get_subcommands() {
            let name = command.get_name();
            let late = built.find_subcommand(name).unwrap();
            assert_eq!(late.get_about(), command.get_about(), "{name}");
            assert_eq!(late.get_long_about(), command.get_long_about(), "{name}");
            let own = |argument: &&clap::Arg| argument.get_env().is_some();
            assert!(late.get_arguments().filter(own).all(clap::Arg::is_hide_env_set), "{name}");
        }
        assert!(built.find_subcommand("scale").unwrap().get_arguments().count() > 40);
    }
}
