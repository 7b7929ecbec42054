//! What the samples of a study say of each of its points: read from their file, not remembered.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::question::Effort;
use crate::batch::{Directory, Planned};
use crate::error::Error;
use crate::scaling::{self, RankTime, Spent, Standing};

/// One number of ranks, measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) procs: u32,
    /// Those that count and succeeded, by repeat.
    pub(crate) trials: Vec<Trial>,
    /// What disturbed those that others were made in place of.
    pub(crate) replaced: Vec<Noise>,
    pub(crate) ended: Ended,
}

/// Why a point has no more samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its interval is as narrow as was asked for.
    Settled,
    /// It had its time.
    Time,
    /// It has as many as were asked for.
    Repeats,
}

impl Ended {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Time => "time",
            Self::Repeats => "repeats",
        }
    }

    fn of(effort: Effort, times: &[f64]) -> Self {
        match effort {
            Effort::Repeats(_) => Self::Repeats,
            Effort::Until { target, .. } => match Standing::of(times, target) {
                Standing::Narrow(_) => Self::Settled,
                Standing::Few(_) | Standing::Wide(_) => Self::Time,
            },
        }
    }
}

/// One line of the samples, as far as a study looks at it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Trial {
    pub(crate) repeat: u32,
    pub(crate) size: u64,
    pub(crate) dtype: String,
    pub(crate) schedule: String,
    pub(crate) time: Time,
    pub(crate) throughput: Throughput,
    pub(crate) imbalance: f64,
    /// Deaths of ranks that it survived.
    #[serde(default)]
    pub(crate) recovered: u32,
    pub(crate) workers: Vec<Worker>,
    /// What disturbed it, of trials that looked.
    #[serde(default)]
    pub(crate) noise: Noise,
    /// What the processor counted in it, of trials that asked, on machines that count.
    #[serde(default)]
    counters: Option<Counters>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Time {
    spawn_s: f64,
    attach_s: f64,
    init_s: f64,
    output_s: f64,
    #[serde(default)]
    warmup_s: Vec<f64>,
    pass_s: Passes,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Noise {
    /// What the host kept of the ranks' CPUs, all together.
    #[serde(default)]
    steal_s: Option<f64>,
    /// How long ranks could have run, and had no CPU, all together.
    #[serde(default)]
    run_delay_s: Option<f64>,
    /// The labels of what was above its threshold.
    #[serde(default)]
    pub(crate) marked: Vec<String>,
}

/// Of all ranks, in user space.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Counters {
    #[serde(default, deserialize_with = "count")]
    cycles: Option<f64>,
    #[serde(default, deserialize_with = "count")]
    instructions: Option<f64>,
    #[serde(default, deserialize_with = "count")]
    cache_misses: Option<f64>,
    cpu_s: f64,
    running: f64,
}

/// Reads an integer, which beyond 2^53 is text.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    })
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Passes {
    median: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Throughput {
    pub(crate) items_per_s: f64,
    pub(crate) bytes_per_s: f64,
    pub(crate) flops_per_s: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Worker {
    busy_s: f64,
    claim_s: f64,
    wait_s: f64,
}

impl Trial {
    /// Says whether it can be a trial of so many ranks. A billionth round would be a vector of as many, and no
    /// pass takes thirty years.
    fn is_of(&self, procs: Option<u32>) -> bool {
        const ROUNDS: u32 = 1 << 20;
        const LONGEST: f64 = 1e9;
        let is_time = |seconds: f64| (0.0..LONGEST).contains(&seconds);
        let Time { spawn_s, attach_s, init_s, output_s, .. } = self.time;
        let ranks = self.workers.iter().flat_map(|rank| [rank.busy_s, rank.claim_s, rank.wait_s]);
        self.repeat < ROUNDS
            && Some(self.workers.len()) == procs.map(|procs| procs as usize)
            && self.pass() > 0.0
            && [self.pass(), spawn_s, attach_s, init_s, output_s].into_iter().all(is_time)
            && ranks.into_iter().all(is_time)
    }

    /// The same with what a record says of counters.
    #[cfg(test)]
    pub(super) fn with(self, counters: Value) -> Self {
        Self { counters: serde_json::from_value(counters).unwrap(), ..self }
    }

    /// Returns the seconds of its timed pass, of the slowest rank.
    pub(crate) fn pass(&self) -> f64 {
        self.time.pass_s.median
    }

    /// Returns the seconds of its first pass, where another one is timed.
    pub(crate) fn first_pass(&self) -> Option<f64> {
        self.time.warmup_s.first().copied()
    }

    /// Returns the seconds until all ranks had attached.
    pub(crate) fn launch(&self) -> f64 {
        self.time.spawn_s + self.time.attach_s
    }

    /// Returns the seconds from there until all had touched their pages.
    pub(crate) fn touch(&self) -> f64 {
        self.time.init_s
    }

    /// Returns the seconds after the last pass.
    pub(crate) fn output(&self) -> f64 {
        self.time.output_s
    }

    fn ranks(&self) -> Vec<RankTime> {
        let ranks = self.workers.iter();
        ranks
            .map(|rank| RankTime { busy: rank.busy_s, claim: rank.claim_s, wait: rank.wait_s })
            .collect()
    }

    /// Returns where the time of its timed pass went.
    pub(crate) fn pass_spent(&self) -> Spent {
        let Noise { steal_s, run_delay_s, .. } = self.noise;
        Spent {
            stolen: steal_s,
            delayed: run_delay_s,
            clock: self.frequency(),
            ..Spent::pass(self.pass(), self.ranks())
        }
    }

    /// Returns where the time of a run would have gone whose only pass was the timed one.
    pub(crate) fn run_spent(&self) -> Spent {
        let (launch, touch, output) = (self.launch(), self.touch(), self.output());
        let time = launch + touch + self.pass() + output;
        Spent { time, launch, touch, output, ..self.pass_spent() }
    }

    /// Returns the cycles of its ranks for each second that they were on a CPU.
    pub(crate) fn frequency(&self) -> Option<f64> {
        let counters = self.counters?;
        ratio(counters.cycles?, counters.cpu_s)
    }

    /// Returns their instructions for each cycle.
    pub(crate) fn per_cycle(&self) -> Option<f64> {
        let counters = self.counters?;
        ratio(counters.instructions?, counters.cycles?)
    }

    /// Returns their misses of the last cache for each index; there may be none.
    pub(crate) fn cache_misses(&self) -> Option<f64> {
        let misses = self.counters?.cache_misses?;
        if misses == 0.0 { Some(0.0) } else { ratio(misses, self.size as f64) }
    }

    /// Returns the share of the time in which was counted.
    pub(crate) fn counted(&self) -> Option<f64> {
        self.counters.map(|counters| counters.running).filter(|share| (0.0..=1.0).contains(share))
    }

    /// Returns the bytes that its pass moved, by what the kernel declares.
    pub(crate) fn bytes(&self) -> f64 {
        self.throughput.bytes_per_s * self.pass()
    }
}

/// Divides what a file says; nothing but a number above 0 is one.
fn ratio(count: f64, of: f64) -> Option<f64> {
    Some(count / of).filter(|ratio| *ratio > 0.0 && ratio.is_finite())
}

impl Measured {
    /// Returns the trial in the middle, by its time: parts of a median add up only in one trial.
    pub(crate) fn middle(&self) -> Option<&Trial> {
        let mut trials: Vec<&Trial> = self.trials.iter().collect();
        trials.sort_by(|a, b| a.pass().total_cmp(&b.pass()));
        trials.get(trials.len().checked_sub(1)? / 2).copied()
    }

    /// Returns by what samples were marked, those that were replaced among them.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        let standing = self.trials.iter().map(|trial| &trial.noise);
        standing.chain(&self.replaced).flat_map(|noise| &noise.marked).map(String::as_str)
    }

    /// Returns a figure of each trial.
    pub(crate) fn each(&self, of: impl Fn(&Trial) -> Option<f64>) -> Vec<f64> {
        self.trials.iter().filter_map(of).collect()
    }

    /// Returns its times, each at its round; a round without one is left open.
    pub(crate) fn point(&self) -> scaling::Point {
        let rounds = self.trials.last().map_or(0, |trial| trial.repeat as usize + 1);
        let mut point = scaling::Point {
            procs: self.procs,
            size: self.trials.first().map_or(0, |trial| trial.size),
            rounds: vec![None; rounds],
        };
        for trial in &self.trials {
            if let Some(round) = point.rounds.get_mut(trial.repeat as usize) {
                *round = Some(trial.pass());
            }
        }
        point
    }
}

/// Reads the samples of these points. A point of which no trial succeeded has none.
pub(crate) fn measured(
    directory: &Directory,
    points: &[Planned],
    procs: &[u32],
    effort: Effort,
) -> Result<Vec<Measured>, Error> {
    let mut all: Vec<Vec<Trial>> = vec![Vec::new(); points.len()];
    let mut replaced: Vec<Vec<Noise>> = vec![Vec::new(); points.len()];
    let mut strange = None;
    directory.all(|key, record: &Value| {
        let Some(key) = key else {
            let at = points.iter().position(|point| is_of(point, record));
            let noise = Noise::deserialize(&record["noise"]).unwrap_or_default();
            if let (Some(at), false) = (at, noise.marked.is_empty()) {
                replaced[at].push(noise);
            }
            return;
        };
        let at = points.iter().position(|point| point.key.short() == key);
        let Some((at, trials)) = at.and_then(|at| Some((at, all.get_mut(at)?))) else { return };
        match Trial::deserialize(record) {
            // A billionth round would be a vector of as many.
            Ok(trial) if trial.is_of(procs.get(at).copied()) => trials.push(trial),
            Ok(trial) => {
                let (repeat, ranks) = (trial.repeat, trial.workers.len());
                strange = Some(format!("repeat {repeat}, of {ranks} ranks, {} s", trial.pass()));
            }
            Err(error) => strange = Some(error.to_string()),
        }
    })?;
    if let Some(why) = strange {
        let what = format!("`samples.jsonl` has a sample that is none of a study: {why}");
        return Err(Error::rejected(what));
    }
    let read = procs.iter().zip(all).zip(replaced).map(|((procs, mut trials), replaced)| {
        trials.sort_by_key(|trial| trial.repeat);
        let times: Vec<f64> = trials.iter().map(Trial::pass).collect();
        let ended = Ended::of(effort, &times);
        Measured { procs: *procs, trials, replaced, ended }
    });
    Ok(read.collect())
}

/// Says whether a line that does not count is of a point's round, and had a result.
fn is_of(point: &Planned, record: &Value) -> bool {
    record["warmup"] == false
        && record["status"] == "ok"
        && record["round"] == point.round
        && record["key"].as_str() == Some(&point.key.to_string())
}
