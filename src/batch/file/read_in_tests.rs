//! How tests read a batch file, and the one that most of them begin with.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::batch::job::Job;
use crate::error::{Error, Exit};
use crate::options::RunOptions;

/// What is said beside the file.
#[derive(Default)]
pub(super) struct Said {
    pub(super) profile: Option<&'static str>,
    pub(super) sets: &'static [&'static str],
    pub(super) above: RunOptions,
}

pub(super) fn read(text: &str, said: &Said) -> Result<Batch, Error> {
    let sets = said.sets.iter().map(|set| set.parse()).collect::<Result<Vec<Set>, _>>()?;
    let asked = Asked {
        profile: said.profile,
        sets: &sets,
        above: &said.above,
        origin: &|name| format!("SPMD_{}", name.to_uppercase()),
    };
    Batch::parse(Path::new("dir/x.toml"), text, &asked)
}

pub(super) fn batch(text: &str) -> Batch {
    read(text, &Said::default()).unwrap_or_else(|error| panic!("{}", shown_error(&error)))
}

pub(super) fn with(text: &str, sets: &'static [&'static str]) -> Batch {
    let said = Said { sets, ..Said::default() };
    read(text, &said).unwrap_or_else(|error| panic!("{}", shown_error(&error)))
}

/// An error as a person reads it.
pub(super) fn shown_error(error: &Error) -> String {
    let mut lines = vec![error.to_string()];
    lines.extend(error.details().iter().cloned());
    lines.extend(error.hint().map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}

pub(super) fn refused(text: &str, said: &Said) -> String {
    let error = read(text, said).map(|_| ()).expect_err(text);
    assert_eq!(error.exit(), Exit::Rejected);
    shown_error(&error)
}

pub(super) fn wrong(text: &str) -> String {
    refused(text, &Said::default())
}

pub(super) fn wrong_with(text: &str, sets: &'static [&'static str]) -> String {
    refused(text, &Said { sets, ..Said::default() })
}

/// A file of one job.
pub(super) fn of_job(body: &str) -> String {
    format!("version = 1\n[[job]]\nname = \"j\"\n{body}")
}

pub(super) fn job(body: &str) -> Job {
    batch(&of_job(body)).jobs.remove(0)
}

pub(super) fn labels(job: &Job) -> Vec<String> {
    job.points().map(|point| job.label(point)).collect()
}

/// The value of an option at every point.
pub(super) fn values(job: &Job, name: &str) -> Vec<Value> {
    let of = |point| job.settings(point).unwrap().get(name).cloned().unwrap_or(Value::Null);
    job.points().map(of).collect()
}

pub(super) const SQUARES: &str = "\
version = 1
name    = \"square-study\"

[defaults]
kernel   = \"square\"
dtype    = \"f64\"
size     = 100_000_000
timeout  = \"60s\"
warmup   = 1
repeats  = 10
order    = \"sequential\"
on-fail  = \"stop-after:10%\"

[profile.quick]
repeats = 2
seed = 7

[hooks]
setup = \"true\"

[expect]
len = 100

[[job]]
name = \"strong\"
matrix.procs    = [1, 2, 4, 8]
matrix.schedule = [\"static\", \"dynamic,4096\", \"fac2\"]
exclude = [{ procs = 1, schedule = \"fac2\" }]
include = [{ procs = 3, schedule = \"guided,1024\" }]
target-ci = \"2%\"
max-time = \"5m\"

[[job]]
name   = \"weak\"
kernel = \"spin\"
param.cost   = \"1us\"
matrix.procs = { from = 1, to = 16, mul = 2 }
derive.size  = \"25_000 * procs\"
hooks.before-each = \"sync\"
on-fail = \"skip-job\"

[[job]]
name  = \"kernels\"
procs = 4
[[job.zip]]
kernel = [\"square\", \"spin\"]
size   = [1e8, \"2e5\"]
";
