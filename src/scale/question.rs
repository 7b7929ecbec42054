//! What a study is to find out, and the batch file that does: one job over `procs`.
//!
//! The batch is kept as `batch.toml` beside its samples, as that of any batch. Options of the run lie over
//! it, as they do over every batch: they decide what a point is, and so its key.

use std::fmt::Write as _;
use std::time::Duration;

use crate::error::{Error, Explained};
use crate::options::{Count, RunOptions};
use crate::scaling::Kind;

/// What speedups are multiples of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Baseline {
    /// The same program with one rank.
    Rank,
    /// A plain serial loop, measured in the same rounds.
    Serial,
}

/// The name of every study's batch.
const NAME: &str = "scale";
/// Trials of a point, where a narrow interval is what ends it: a bound on the file, not on the time.
const MOST: u32 = 10_000;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effort {
    /// So many trials of each point.
    Repeats(u32),
    /// Until half of an interval is this share of its median, or this time is over, of all points together.
    Until { target: f64, budget: Duration },
}

/// A study, asked for.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) kind: Kind,
    pub(crate) procs: Vec<u32>,
    pub(crate) baseline: Baseline,
    /// What is computed: of a weak study, the size of one rank's part.
    pub(crate) options: RunOptions,
    pub(crate) effort: Effort,
}

impl Question {
    /// Refuses what no study can be made of, before anything runs.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let reject = |what: &str, hint: &str| {
            Err(Error::rejected(Explained::new(what.to_owned()).hint(hint)))
        };
        let RunOptions { output, trace, checkpoint, inject, size, .. } = &self.options;
        if !self.procs.contains(&1) {
            return reject(
                "there is no point with 1 rank, which speedups are multiples of",
                "add 1 to --procs",
            );
        }
        if self.options.plain == Some(true) {
            return reject(
                "a plain loop has one rank, and a study several",
                "leave --plain out; --baseline serial measures one beside the ranks",
            );
        }
        if self.kind == Kind::Weak && size.is_none() {
            return reject(
                "--weak without --size: what each rank computes",
                "--size N; with p ranks, p times N indices are computed",
            );
        }
        if output.is_some() {
            return reject(
                "a study has no output",
                "leave --output out; --out DIR keeps what it finds",
            );
        }
        if trace.is_some() {
            return reject(
                "a study writes a trace of its own",
                "leave --trace out; it is `trace.json` in --out DIR",
            );
        }
        if checkpoint.is_some() || !inject.is_empty() {
            return reject(
                "what goes on from a checkpoint, or fails on purpose, has no time to compare",
                "leave --checkpoint and --inject out",
            );
        }
        Ok(())
    }

    /// Returns how many points are measured, the serial loop among them.
    fn points(&self) -> usize {
        self.procs.len() + usize::from(self.baseline == Baseline::Serial)
    }

    /// Returns the batch file.
    pub(crate) fn batch(&self) -> String {
        let mut text = format!("version = 1\nname = \"{NAME}\"\n\n[defaults]\n");
        text.push_str("order = \"shuffled\"\non-fail = \"stop\"\nwarmup = 1\ncounters = true\n");
        let _ = match self.effort {
            Effort::Repeats(repeats) => writeln!(text, "repeats = {repeats}"),
            Effort::Until { target, budget } => {
                let each = budget.as_secs_f64() / self.points().max(1) as f64;
                writeln!(text, "repeats = {MOST}\ntarget-ci = {target}\nmax-time = \"{each}s\"")
            }
        };
        let name = match self.kind {
            Kind::Strong => "strong",
            Kind::Weak => "weak",
        };
        let _ = writeln!(text, "\n[[job]]\nname = \"{name}\"\nmatrix.procs = {:?}", self.procs);
        if let (Kind::Weak, Some(Count(size))) = (self.kind, self.options.size) {
            let _ = writeln!(text, "derive.size = \"procs * {size}\"");
        }
        if self.baseline == Baseline::Serial {
            text.push_str("\n[[job]]\nname = \"serial\"\nprocs = 1\nplain = true\n");
            if let (Kind::Weak, Some(Count(size))) = (self.kind, self.options.size) {
                let _ = writeln!(text, "size = {size}");
            }
        }
        text
    }

    /// Returns what lies over the batch file: all that does not differ from point to point.
    pub(crate) fn above(&self) -> RunOptions {
        let mut above = RunOptions { procs: None, repeats: None, ..self.options.clone() };
        if self.kind == Kind::Weak {
            above.size = None;
        }
        above
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Asked, Batch};
    use std::path::Path;

    fn question(kind: Kind, effort: Effort) -> Question {
        let options = RunOptions {
            kernel: Some("spin".to_owned()),
            size: Some(Count(1000)),
            ..RunOptions::default()
        };
        Question { kind, procs: vec![1, 2, 4], baseline: Baseline::Rank, options, effort }
    }

    fn read(question: &Question) -> Batch {
        let above = question.above();
        let asked =
            Asked { profile: None, sets: &[], above: &above, origin: &|_| "typed".to_owned() };
        Batch::parse(Path::new("study.toml"), &question.batch(), &asked).unwrap()
    }

    #[test]
    fn a_study_is_a_batch_of_one_job_over_the_numbers_of_ranks() {
        let until = Effort::Until { target: 0.02, budget: Duration::from_secs(60) };
        let batch = read(&question(Kind::Strong, until));
        let [job] = batch.jobs.as_slice() else { panic!("one job") };
        assert_eq!((job.len(), job.target_ci), (3, Some(0.02)));
        assert_eq!(job.max_time.unwrap().0, Duration::from_secs(20), "all points together");
        for (point, procs) in job.points().zip([1, 2, 4]) {
            let options = job.options(point).unwrap();
            assert_eq!(options.procs.unwrap().to_string(), procs.to_string());
            assert_eq!((options.size, options.warmup), (Some(Count(1000)), Some(1)));
            assert_eq!(options.counters, Some(true));
        }
    }

    #[test]
    fn a_study_counts_unless_it_is_told_not_to() {
        let mut question = question(Kind::Strong, Effort::Repeats(7));
        question.options.counters = Some(false);
        let batch = read(&question);
        let [job] = batch.jobs.as_slice() else { panic!("one job") };
        assert!(job.points().all(|point| job.options(point).unwrap().counters == Some(false)));
    }

    #[test]
    fn a_weak_study_has_the_size_of_a_rank_for_each() {
        let batch = read(&question(Kind::Weak, Effort::Repeats(7)));
        let [job] = batch.jobs.as_slice() else { panic!("one job") };
        assert_eq!((job.repeats, job.target_ci, job.max_time), (7, None, None));
        let sizes = job.points().map(|point| job.options(point).unwrap().size.unwrap().0);
        assert_eq!(sizes.collect::<Vec<_>>(), [1000, 2000, 4000]);
    }

    #[test]
    fn a_serial_loop_is_a_point_more_of_the_size_of_one_rank() {
        for (kind, size) in [(Kind::Strong, Some(Count(1000))), (Kind::Weak, Some(Count(1000)))] {
            let until = Effort::Until { target: 0.02, budget: Duration::from_secs(60) };
            let batch = read(&Question { baseline: Baseline::Serial, ..question(kind, until) });
            let [ranks, serial] = batch.jobs.as_slice() else { panic!("two jobs") };
            assert_eq!((ranks.len(), serial.len()), (3, 1));
            assert_eq!(ranks.max_time.unwrap().0, Duration::from_secs(15), "of four points");
            let options = serial.options(serial.points().next().unwrap()).unwrap();
            assert_eq!((options.plain, options.size), (Some(true), size));
            assert_eq!(options.procs.unwrap().to_string(), "1");
        }
    }

    #[test]
    fn what_no_study_can_be_made_of_is_refused() {
        let mut none = question(Kind::Weak, Effort::Repeats(7));
        none.options.size = None;
        assert!(none.check().unwrap_err().to_string().contains("--weak without --size"));
        let mut some = question(Kind::Strong, Effort::Repeats(7));
        some.procs = vec![2, 4];
        assert!(some.check().unwrap_err().to_string().contains("no point with 1 rank"));
        some.procs = vec![1, 2];
        some.check().unwrap();
    }
}
