//! `--set KEY=VALUE`: one value of the file, overridden for this invocation.

use std::str::FromStr;

use super::knobs::{RULES, knob};
use crate::error::{Error, Explained};

/// What one `--set` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    /// As typed.
    pub(crate) text: String,
    /// The one job it is for; without one, all.
    pub(crate) job: Option<String>,
    /// What it sets.
    pub(crate) target: Target,
    /// The value, as typed.
    pub(crate) value: String,
}

/// What is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An option, `param.x`, or a rule such as `repeats`.
    Plain(String),
    /// The values of an axis.
    Matrix(String),
    /// The expression of a derived option.
    Derive(String),
}

impl Target {
    fn read(key: &str) -> Self {
        if let Some(name) = key.strip_prefix("matrix.") {
            Self::Matrix(name.to_owned())
        } else if let Some(name) = key.strip_prefix("derive.") {
            Self::Derive(name.to_owned())
        } else {
            Self::Plain(key.to_owned())
        }
    }

    /// Returns the name of the option it is about.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Plain(name) | Self::Matrix(name) | Self::Derive(name) => name,
        }
    }

    fn is_known(&self) -> bool {
        knob(self.name()).is_some()
            || matches!(self, Self::Plain(name) if RULES.contains(&name.as_str()))
    }
}

impl FromStr for Set {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::rejected(
                Explained::new(format!("`{text}` is not of the form KEY=VALUE"))
                    .hint("size=1e4, repeats=2, matrix.procs=[1,2], or JOB.size=1e4 for one job"),
            )
        };
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(wrong());
        }
        // A job's name may hold dots: what is left of a known key is the job.
        let mut job = None;
        let mut target = Target::read(key);
        if !target.is_known() && !key.starts_with("matrix.") && !key.starts_with("derive.") {
            let dots = key.match_indices('.').map(|(at, _)| at);
            let split = dots
                .filter_map(|at| Some((key.get(..at)?, key.get(at + 1..)?)))
                .map(|(job, rest)| (job, Target::read(rest)));
            let mut split =
                split.filter(|(job, target)| !job.is_empty() && !target.name().is_empty());
            if let Some((name, found)) = split.clone().find(|(_, target)| target.is_known()) {
                (job, target) = (Some(name.to_owned()), found);
            } else if let Some((name, found)) = split.next() {
                (job, target) = (Some(name.to_owned()), found);
            }
        }
        Ok(Self { text: text.to_owned(), job, target, value: value.to_owned() })
    }
}
