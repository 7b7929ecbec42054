//! What `spmd scale` takes.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{StringValueParser, TypedValueParser};

use crate::cli::TalkOptions;
use crate::error::{Error, Explained};
use crate::options::{Procs, RunOptions, Span};
use crate::scale::{Baseline, Numbers};
use crate::scaling::{Gate, TARGET};

/// As long as a study takes where nobody says otherwise, all its points together.
const BUDGET: &str = "60s";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ScaleCommand {
    /// Let the size grow with the ranks: --size is that of each rank's part
    #[arg(long, help_heading = "Study")]
    pub(super) weak: bool,
    /// Half of a narrow interval, as a share of the median: 2%, 0.01 (default 2%)
    #[arg(long, value_name = "SHARE", help_heading = "Study")]
    target_ci: Option<Share>,
    /// How long the trials of all points may take together
    #[arg(long, value_name = "TIME", default_value = BUDGET, help_heading = "Study")]
    pub(super) max_time: Span,
    /// What speedups are multiples of: rank (one rank), serial (a plain loop, measured beside the ranks)
    #[arg(long, value_name = "WHAT", default_value = "rank", help_heading = "Study")]
    pub(super) baseline: Baseline,
    /// Directory of samples and reports; the same command again continues there
    #[arg(long, value_name = "DIR", help_heading = "Study")]
    pub(super) out: Option<PathBuf>,
    /// What has to be reached, or else exit 4: 'efficiency@4>=0.7'; also speedup, time, throughput, imbalance; may be repeated
    #[arg(long = "require", value_name = "GATE", value_parser = gate, help_heading = "Study")]
    pub(super) gates: Vec<Gate>,
    /// Measure memory's ceiling, which kernels are held against that move bytes: auto, never
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Study"
    )]
    pub(super) ceiling: Ceiling,
    #[command(flatten)]
    pub(super) options: RunOptions,
    #[command(flatten)]
    pub(super) talk: TalkOptions,
}

/// Whether memory is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Ceiling {
    /// Where the kernel moves enough for it to matter.
    Auto,
    Never,
}

/// A share, above 0 and below 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share(f64);

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let value = match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
            None => text.trim().parse(),
        };
        value.ok().filter(|value| *value > 0.0 && *value < 1.0).map(Self).ok_or_else(|| {
            Error::rejected(
                Explained::new(format!("`{text}` is no share above 0 and below 1"))
                    .hint("--target-ci 2%, or 0.02"),
            )
        })
    }
}

fn gate(text: &str) -> Result<Gate, Error> {
    text.parse().map_err(|why: Explained| Error::rejected(why))
}

impl ScaleCommand {
    /// Returns how narrow is narrow enough.
    pub(super) fn target(&self) -> f64 {
        self.target_ci.map_or(TARGET, |share| share.0)
    }

    /// Returns how many trials each point has, where that was said; a narrow interval then ends nothing.
    pub(super) fn repeats(&self) -> Result<Option<u32>, Error> {
        match (self.options.repeats, self.target_ci) {
            (Some(_), Some(_)) => {
                let what = Explained::new("--repeats and --target-ci are two ways to end a study");
                Err(Error::rejected(what.hint("one of them")))
            }
            (repeats, _) => Ok(repeats.map(NonZeroU32::get)),
        }
    }
}

/// Lets `--procs` take several numbers, and checks them; a run's options have no place for them, so that
/// they are read from what was typed.
pub(in crate::cli) fn with_numbers(command: clap::Command) -> clap::Command {
    command.mut_arg("procs", |argument| {
        let checked = StringValueParser::new()
            .try_map(|text| text.parse::<Numbers>().map(|_| Procs::Auto));
        argument
            .value_name("LIST")
            .help("Numbers of ranks: 1,2,4,8 or 1..16, or auto: doubled from 1 on as far as CPUs allow")
            .value_parser(checked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_a_number_or_in_percent() {
        for (text, value) in [("2%", 0.02), ("0.02", 0.02), (" 5 % ", 0.05)] {
            assert_eq!(text.parse::<Share>().unwrap().0, value, "{text}");
        }
        for text in ["", "0", "1", "2", "-1%", "nan", "x"] {
            text.parse::<Share>().unwrap_err();
        }
    }
}
