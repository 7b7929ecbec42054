//! In which order trials run, and what a failed one does to the rest.

use std::fmt;
use std::str::FromStr;

use crate::error::nearest;

/// In which order trials run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// The first repeat of all points, then the second: what drifts, drifts for all.
    #[default]
    Interleaved,
    /// A point is finished before the next begins.
    Sequential,
    /// Interleaved, each round permuted by the seed.
    Shuffled,
}

/// What a trial that is not ok does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum OnFail {
    /// The batch goes on.
    #[default]
    Continue,
    /// The remaining points of its job are left out.
    SkipJob,
    /// The batch ends.
    Stop,
    /// The batch ends after so many.
    StopAfter(Limit),
}

/// How many trials may fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// So many.
    Trials(u32),
    /// So many of a hundred of all trials planned.
    Percent(f64),
}

impl Order {
    /// What they are called.
    pub(crate) const NAMES: [(&'static str, Self); 3] = [
        ("interleaved", Self::Interleaved),
        ("sequential", Self::Sequential),
        ("shuffled", Self::Shuffled),
    ];
}

/// Why a text is none of these, and what to do.
pub(super) type Misnamed = (String, String);

impl FromStr for Order {
    type Err = Misnamed;

    fn from_str(text: &str) -> Result<Self, Misnamed> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, order)| *order).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name);
            let hint = nearest(text, names).map_or_else(
                || format!("one of {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            (format!("`{text}` is no order"), hint)
        })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            Self::NAMES.iter().find(|(_, order)| order == self).map_or("?", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for OnFail {
    type Err = Misnamed;

    fn from_str(text: &str) -> Result<Self, Misnamed> {
        let limit = |text: &str| match text.strip_suffix('%') {
            Some(percent) => {
                let percent = percent.parse().ok();
                percent.filter(|p| (0.0..=100.0).contains(p)).map(Limit::Percent)
            }
            None => text.parse().ok().filter(|count| *count > 0).map(Limit::Trials),
        };
        match text {
            "continue" => Some(Self::Continue),
            "skip-job" => Some(Self::SkipJob),
            "stop" => Some(Self::Stop),
            _ => text.strip_prefix("stop-after:").and_then(limit).map(Self::StopAfter),
        }
        .ok_or_else(|| {
            let near = nearest(text, ["continue", "skip-job", "stop"]);
            let hint = near.map_or_else(
                || "continue, skip-job, stop, stop-after:3 or stop-after:10%".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            (format!("`{text}` is nothing to do on a failure"), hint)
        })
    }
}

impl fmt::Display for OnFail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("continue"),
            Self::SkipJob => f.write_str("skip-job"),
            Self::Stop => f.write_str("stop"),
            Self::StopAfter(Limit::Trials(count)) => write!(f, "stop-after:{count}"),
            Self::StopAfter(Limit::Percent(percent)) => write!(f, "stop-after:{percent}%"),
        }
    }
}
