//! What would go wrong with a run on this machine, and the exact fix: for `spmd doctor`.
//!
//! [`Facts`] are looked up first, all of them; each check is a pure function of them. A check says what was
//! found also where all is well: who reads that something is right need not look for it.

mod access;
mod cpus;
mod document;
mod facts;
mod limits;
mod memory;
mod quiet;
#[cfg(test)]
mod tests;

pub(crate) use self::facts::Facts;
use crate::error::Exit;
use crate::host::limits::Bounded;

/// How much a finding matters to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// As it should be.
    Well,
    /// Worth knowing.
    Note,
    /// Runs are slower than need be, or their times not to be trusted.
    Warning,
    /// A run with the built-in defaults would not start, or not end well.
    Stop,
}

impl Grade {
    /// Returns its word; what stops a run is a warning too, and says so beside it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Note => "note",
            Self::Warning | Self::Stop => "warning",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What was looked at: the same name on every machine, for scripts.
    pub(crate) name: &'static str,
    pub(crate) grade: Grade,
    /// What was found.
    pub(crate) found: String,
    /// Why that matters to a run.
    pub(crate) why: &'static str,
    /// A command, or an option; nothing where nothing is to be done.
    pub(crate) fix: Option<String>,
}

impl Finding {
    fn new(name: &'static str, grade: Grade, found: impl Into<String>, why: &'static str) -> Self {
        Self { name, grade, found: found.into(), why, fix: None }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Says how a bound is lifted: by whoever made the container, else in the control group itself.
fn lifted(facts: &Facts, bound: Bounded, docker: String) -> String {
    let at = match bound {
        Bounded::Cpu => 0,
        Bounded::Memory => 1,
        Bounded::Tasks => 2,
    };
    match (facts.container, &facts.lifts[at]) {
        (None, Some(lift)) => lift.clone(),
        _ => docker,
    }
}

/// All findings about a machine.
#[derive(Clone, Debug)]
pub(crate) struct Diagnosis {
    pub(crate) findings: Vec<Finding>,
}

/// What is looked at, in the order in which it is shown.
const CHECKS: [fn(&Facts) -> Vec<Finding>; 5] =
    [cpus::check, memory::check, limits::check, quiet::check, access::check];

/// Judges what was found.
pub(crate) fn diagnose(facts: &Facts) -> Diagnosis {
    Diagnosis { findings: CHECKS.iter().flat_map(|check| check(facts)).collect() }
}

/// Which findings make the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// What would stop a run.
    Stops,
    /// Every warning.
    Warnings,
}

impl Diagnosis {
    /// Returns how many findings are of a grade.
    pub(crate) fn count(&self, grade: Grade) -> usize {
        self.findings.iter().filter(|finding| finding.grade == grade).count()
    }

    pub(crate) fn exit(&self, strictness: Strictness) -> Exit {
        let bad = match strictness {
            Strictness::Stops => Grade::Stop,
            Strictness::Warnings => Grade::Warning,
        };
        let worst = self.findings.iter().map(|finding| finding.grade).max();
        if worst.is_some_and(|worst| worst >= bad) { Exit::Failed } else { Exit::Complete }
    }
}
