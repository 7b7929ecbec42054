//! `spmd compare`: its options, and how what it finds is shown.

use std::path::PathBuf;

use clap::builder::{FalseyValueParser, OsStringValueParser, TypedValueParser};

use super::fail;
use crate::compare::{self, Allowance, Missing};
use crate::error::Exit;
use crate::report::{self, Color, Reporter, Talk};

#[derive(Debug, clap::Args)]
pub(super) struct CompareCommand {
    /// What B is held against: a results directory, its samples.jsonl, or a file of --json records
    #[arg(value_name = "A", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    a: PathBuf,
    /// What may have become slower
    #[arg(value_name = "B", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    b: PathBuf,
    /// How much slower is let pass: 3% or 0.03, which it is by default
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    allow: Option<Allowance>,
    /// Let points pass that A has and B has no sample of
    #[arg(long)]
    allow_missing: bool,
    /// Print one JSON document on stdout and nothing else
    #[arg(long, env = "SPMD_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

/// Compares two sets of samples, and shows it.
pub(super) fn compare(command: &CompareCommand) -> Exit {
    let reporter = Reporter::new(Talk::Normal, Color::Auto);
    let allowance = command.allow.unwrap_or_default();
    let missing = if command.allow_missing { Missing::Passes } else { Missing::Fails };
    let shown = compare::compare(&command.a, &command.b, allowance, missing).and_then(|found| {
        for warning in &found.warnings {
            reporter.warning(warning);
        }
        let text = if command.json { found.to_json() } else { report::compared(&found) };
        report::document(text.trim_end()).map(|()| found.exit())
    });
    match shown {
        Ok(exit) => exit,
        Err(error) => fail(&error, reporter, command.json),
    }
}
