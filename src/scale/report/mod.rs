//! What a study found, as files: made from findings alone, the same bytes for the same findings.
//!
//! ```text
//! html      report.html: everything, with pictures, in one file
//! markdown  report.md: tables, for a paper's appendix or a merge request
//! summary   summary.csv: a row a point
//! pictures  which pictures there are, and what each shows; each is a file, too
//! tables    the tables, which each of them writes in its own way
//! terminal  the same for a terminal, with a chart of bars
//! trial     what each rank did in one trial, from its trace
//! page      how a page is written, so that no text becomes a tag
//! words     how figures are written
//! ```

mod html;
mod markdown;
mod page;
mod pictures;
#[cfg(test)]
mod screenshots;
mod summary;
mod tables;
mod terminal;
#[cfg(test)]
mod tests;
mod trial;
mod words;

pub(crate) use self::terminal::Glyphs;
pub(crate) use self::trial::Trial;
use self::words::{estimate, ranks};
use crate::data::grouped;
use crate::figures::time;
use crate::scaling::{Estimate, Figures, Fit, Kind, Law, Losses, Prediction};

/// All that reports of a study are made of.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    pub(crate) kernel: String,
    /// Its parameters and what else was asked for, as `param=value`.
    pub(crate) options: Vec<(String, String)>,
    /// Indices; of a weak study those of one rank.
    pub(crate) size: u64,
    pub(crate) dtype: String,
    pub(crate) kind: Kind,
    pub(crate) verdict: Option<String>,
    /// What speedups are multiples of.
    pub(crate) base: &'static str,
    pub(crate) base_time: Estimate,
    /// By procs.
    pub(crate) points: Vec<Point>,
    pub(crate) fits: Vec<Fit>,
    /// Laws that were not fitted, and why.
    pub(crate) refused: Vec<(Law, String)>,
    pub(crate) predictions: Vec<(Law, Prediction)>,
    /// By procs.
    pub(crate) losses: Vec<Losses>,
    pub(crate) roofline: Option<Roofline>,
    pub(crate) trial: Option<Trial>,
    pub(crate) noise: Noise,
    /// Why no more samples were taken.
    pub(crate) ended: String,
    pub(crate) seed: u64,
    /// Where it was measured, by name; the command first.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What else a reader should know.
    pub(crate) notes: Vec<String>,
}

/// One number of ranks.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) figures: Figures,
    /// Medians over its samples; `None`: nobody knows.
    pub(crate) imbalance: Option<f64>,
    pub(crate) items_per_s: Option<f64>,
    pub(crate) bytes_per_s: Option<f64>,
    pub(crate) flops_per_s: Option<f64>,
    pub(crate) counters: Counters,
    /// Samples that were marked as disturbed, of all that were taken.
    pub(crate) marked: usize,
    /// Samples that were taken in place of marked ones.
    pub(crate) rerun: usize,
    /// Samples that stayed marked, and count.
    pub(crate) stayed: usize,
    /// Why it was not sampled longer: `narrow`, `budget` and so on.
    pub(crate) ended: String,
}

/// What the processor counted while the ranks were in user space: medians over samples; `None`: it did not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Instructions for each cycle.
    pub(crate) per_cycle: Option<f64>,
    /// Cycles for each second on a CPU.
    pub(crate) frequency: Option<f64>,
    /// The same, as a multiple of what it is with one rank.
    pub(crate) against_one: Option<f64>,
    /// Misses of the last cache for each index.
    pub(crate) cache_misses: Option<f64>,
    /// The share of the time in which was counted, of the sample with the least.
    pub(crate) counted: Option<f64>,
}

/// What disturbed the samples, all together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noise {
    /// By what they were marked, and how many.
    pub(crate) labels: Vec<(String, usize)>,
}

/// What the kernel declares, and what the machine does.
#[derive(Clone, Debug)]
pub(crate) struct Roofline {
    /// Of an index.
    pub(crate) flops: f64,
    pub(crate) bytes: f64,
    /// Bytes a second that so many ranks were measured to move, by procs.
    pub(crate) ceilings: Vec<(u32, f64)>,
    /// Flops a second that the CPUs can do; `None`: nobody measured it.
    pub(crate) peak: Option<f64>,
}

/// Every picture that some study has; which, its points decide.
pub(crate) const PICTURES: [&str; 7] =
    ["time", "speedup", "efficiency", "serial-share", "losses", "roofline", "gantt"];

impl Findings {
    fn question(&self) -> String {
        format!("How far does {} scale, and why not further?", self.kernel)
    }

    fn answer(&self) -> String {
        let verdict = self.verdict.as_deref();
        let verdict =
            verdict.unwrap_or("no verdict: losses are known from two numbers of ranks on");
        let mut letters = verdict.chars();
        letters.next().map_or_else(String::new, |first| {
            format!("{}{}.", first.to_uppercase(), letters.as_str())
        })
    }

    /// What was computed, in half a sentence.
    fn problem(&self) -> String {
        let size = grouped(self.size);
        match self.kind {
            Kind::Strong => format!("{} on {size} × {}, strong scaling", self.kernel, self.dtype),
            Kind::Weak => {
                format!("{} on {size} × {} a rank, weak scaling", self.kernel, self.dtype)
            }
        }
    }

    /// The numbers of ranks that were measured.
    fn numbers(&self) -> String {
        let procs: Vec<u32> = self.points.iter().map(|point| point.figures.procs).collect();
        match procs.as_slice() {
            [one] => ranks(u64::from(*one)),
            all => {
                let all: Vec<String> = all.iter().map(u32::to_string).collect();
                format!("{} ranks", all.join(", "))
            }
        }
    }

    fn base_words(&self) -> &'static str {
        match self.base {
            "one rank" => "one rank",
            _ => "the plain serial loop",
        }
    }

    /// What every picture says about where it is from.
    fn provenance(&self) -> String {
        let n = |least: usize, most: usize| match (least, most) {
            (least, most) if least == most => format!("{least}"),
            (least, most) => format!("{least} to {most}"),
        };
        let counts = || self.points.iter().map(|point| point.figures.n);
        let known = |name: &str| {
            self.environment.iter().find(|(other, _)| *other == name).map(|(_, fact)| &**fact)
        };
        format!(
            "{}; base: {}, {}; {}; n {} a point; {}; seed {}",
            self.problem(),
            self.base,
            estimate(self.base_time, time),
            self.numbers(),
            n(counts().min().unwrap_or(0), counts().max().unwrap_or(0)),
            known("cpu model").unwrap_or("machine not known"),
            self.seed
        )
    }

    /// How many samples were marked, taken again, and stayed marked.
    fn noise_words(&self) -> String {
        let sum = |of: fn(&Point) -> usize| self.points.iter().map(of).sum::<usize>();
        let (n, marked) = (sum(|point| point.figures.n), sum(|point| point.marked));
        let labels: Vec<String> =
            self.noise.labels.iter().map(|(label, count)| format!("{label} {count}")).collect();
        let by =
            if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
        format!(
            "{n} samples count. {marked} were marked as disturbed{by}; {} were taken in place of marked \
             ones; {} stayed marked, and count.",
            sum(|point| point.rerun),
            sum(|point| point.stayed),
        )
    }

    /// Returns all reports, by the names of their files.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let pictures = self.pictures();
        let plots = pictures
            .iter()
            .map(|shown| (format!("{}.svg", shown.picture.name), shown.picture.file()));
        let mut files: Vec<(String, String)> = plots.collect();
        files.push(("summary.csv".to_owned(), summary::text(self)));
        files.push(("report.md".to_owned(), markdown::text(self, &pictures)));
        files.push(("report.html".to_owned(), html::text(self, &pictures)));
        files
    }
}
