//! `spmd tune`: its options, and how what it predicts is shown.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;

use super::fail;
use crate::error::Exit;
use crate::report::{self, Color, Reporter, Talk};
use crate::tune::{self, Schedules, Wish, Worlds};

#[derive(Debug, clap::Args)]
pub(super) struct TuneCommand {
    /// What a run with --trace has written
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Numbers of ranks to try: 1,2,4; as a rule powers of two up to the machine's CPUs
    #[arg(long, short = 'n', value_name = "LIST")]
    procs: Option<Worlds>,
    /// Schedules to try: `static,dynamic,64,steal`; as a rule all. One without a chunk is tried with many
    #[arg(
        long,
        value_name = "LIST",
        help = "Schedules to try: static,dynamic,64,steal; as a rule all. One without a chunk is tried with many"
    )]
    schedule: Option<Schedules>,
    /// How many to show, the fastest first
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Print one JSON document on stdout and nothing else
    #[arg(long, env = "SPMD_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

/// Ranks ways to run by a trace, and shows them.
pub(super) fn tune(command: TuneCommand) -> Exit {
    /// As many as a screen has room for.
    const SHOWN: usize = 15;
    let wish = Wish { procs: command.procs, schedules: command.schedule };
    let shown = tune::tune(&command.trace, &wish).and_then(|ranking| {
        if command.json {
            report::document(&ranking.to_json(command.top.unwrap_or(usize::MAX)))
        } else {
            let top = command.top.unwrap_or(SHOWN);
            report::document(report::ranking(&ranking, &command.trace, top).trim_end())
        }
    });
    match shown {
        Ok(()) => Exit::Complete,
        Err(error) => fail(&error, Reporter::new(Talk::Normal, Color::Auto), command.json),
    }
}
