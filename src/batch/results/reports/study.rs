//! All that reports are made of: each point's figures, and what varies between points.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use crate::batch::results::Outcome;
use crate::batch::results::done::{Done, Figures, Status, Trial};
use crate::batch::results::machine::Machine;
use crate::batch::results::plan::{self, PlanLine, Standing, flat, shown};
use crate::batch::results::samples::Samples;
use crate::batch::results::visits::Visits;
use crate::error::Error;
use crate::statistics::{deviation, interval, mean, median, quantile};

/// What the samples of a batch say.
#[derive(Clone, Debug)]
pub(crate) struct Study {
    /// The name of the batch.
    pub(crate) name: String,
    /// What the last visit found.
    pub(crate) machine: Machine,
    /// How many machines the samples are of.
    pub(crate) machines: usize,
    /// Options that are not the same for all points, as `procs` or `param.cost`.
    pub(crate) varying: Vec<String>,
    /// In the order of the file.
    pub(crate) points: Vec<Point>,
    /// Options that are the same for all points.
    pub(crate) constant: Vec<(String, Value)>,
    /// Points that are no longer in the file; they are left out.
    pub(crate) orphans: usize,
    /// What else a reader should know, a line each.
    pub(crate) notes: Vec<String>,
}

/// One point, and what it came to.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) job: String,
    pub(crate) id: String,
    pub(crate) key: String,
    /// Its values of what varies; `None`: it has no such option.
    pub(crate) options: Vec<Option<Value>>,
    /// Seconds of each pass that counts, by repeat.
    pub(crate) times: Vec<f64>,
    /// Seconds of all trials that succeeded, with their beginnings and ends.
    pub(crate) total: f64,
    /// The exit code of each trial that counts, by repeat.
    pub(crate) exits: Vec<i32>,
    pub(crate) failures: Vec<Failure>,
    /// How many of the times are of passes that were disturbed.
    pub(crate) disturbed: usize,
    /// Of the times; `None` if there are none.
    pub(crate) figures: Option<Summary>,
    /// What a reader should know: `failed`, `few` (less than six times, so no interval), `missing` (never
    /// run), `retried` (not all of one attempt), `recovered` (ranks died in it), `warned` (its samples say of
    /// what), `disturbed` (so do they); and what whoever ran it adds by [`Remarks`].
    pub(crate) flags: Vec<&'static str>,
    /// References that it did not reach.
    pub(crate) missed: Vec<String>,
}

/// A trial that did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) repeat: u32,
    pub(crate) attempt: u32,
    pub(crate) status: Status,
    pub(crate) exit: i32,
    pub(crate) why: String,
}

/// What the samples do not say, and whoever ran the batch knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remarks {
    pub(crate) notes: Vec<String>,
    /// By the name of the point.
    pub(crate) flags: HashMap<String, Vec<&'static str>>,
    pub(crate) missed: HashMap<String, Vec<String>>,
}

/// A point's figures, in seconds where nothing else is said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) p25: f64,
    pub(crate) median: f64,
    pub(crate) p75: f64,
    pub(crate) p95: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) deviation: Option<f64>,
    /// The median lies in here with 95 %, whatever the distribution; of fewer than six samples none.
    pub(crate) interval: Option<[f64; 2]>,
    /// Medians, too.
    pub(crate) items_per_s: Option<f64>,
    pub(crate) bytes_per_s: Option<f64>,
    pub(crate) imbalance: Option<f64>,
    /// The mean of what all ranks computed together.
    pub(crate) busy: f64,
}

impl Summary {
    fn of(figures: &[&Figures]) -> Option<Self> {
        let mut times: Vec<f64> = figures.iter().map(|figures| figures.time).collect();
        times.sort_by(f64::total_cmp);
        let at = |share| quantile(&times, share);
        let middle = |of: fn(&Figures) -> Option<f64>| {
            median(&figures.iter().filter_map(|figures| of(figures)).collect::<Vec<f64>>())
        };
        let busy: Vec<f64> = figures.iter().map(|figures| figures.busy).collect();
        Some(Self {
            min: at(0.0)?,
            p25: at(0.25)?,
            median: median(&times)?,
            p75: at(0.75)?,
            p95: at(0.95)?,
            max: at(1.0)?,
            mean: mean(&times)?,
            deviation: deviation(&times),
            interval: interval(&times),
            items_per_s: middle(|figures| figures.items_per_s),
            bytes_per_s: middle(|figures| figures.bytes_per_s),
            imbalance: middle(|figures| figures.imbalance),
            busy: mean(&busy)?,
        })
    }
}

impl Point {
    fn new(line: &PlanLine, varying: &[String], done: &Done) -> Self {
        let own = flat(&line.options);
        let value = |name: &String| {
            own.iter().find(|(other, _)| other == name).map(|(_, value)| (*value).clone())
        };
        let figures: Vec<&Figures> = done.figures().collect();
        let failures: Vec<Failure> = done.trials().iter().filter_map(Failure::of).collect();
        let mut flags = Vec::new();
        if !failures.is_empty() {
            flags.push("failed");
        }
        if (1..6).contains(&figures.len()) {
            flags.push("few");
        }
        if figures.is_empty() && failures.is_empty() {
            flags.push("missing");
        }
        if figures.iter().any(|figures| figures.recovered > 0) {
            flags.push("recovered");
        }
        if figures.iter().any(|figures| figures.warned) {
            flags.push("warned");
        }
        let disturbed = figures.iter().filter(|figures| figures.disturbed).count();
        if disturbed > 0 {
            flags.push("disturbed");
        }
        let mut attempts = done.trials().iter().map(|trial| trial.attempt);
        if let Some(first) = attempts.next()
            && attempts.any(|attempt| attempt != first)
        {
            flags.push("retried");
        }
        Self {
            job: line.job.clone(),
            id: line.id.clone(),
            key: line.key.to_string(),
            options: varying.iter().map(value).collect(),
            times: figures.iter().map(|figures| figures.time).collect(),
            // From 0.0: the sum of nothing would be -0.
            total: figures.iter().fold(0.0, |sum, figures| sum + figures.total),
            exits: done.trials().iter().map(exit).collect(),
            failures,
            disturbed,
            figures: Summary::of(&figures),
            flags,
            missed: Vec::new(),
        }
    }
}

fn exit(trial: &Trial) -> i32 {
    match trial.outcome {
        Outcome::Ok(_) => 0,
        Outcome::Failed { exit, .. } => exit,
    }
}

impl Failure {
    fn of(trial: &Trial) -> Option<Self> {
        match &trial.outcome {
            Outcome::Ok(_) => None,
            Outcome::Failed { status, exit, why } => Some(Self {
                repeat: trial.repeat,
                attempt: trial.attempt,
                status: *status,
                exit: *exit,
                why: why.to_string(),
            }),
        }
    }
}

impl Study {
    /// Reads a directory, at which a batch may be at work.
    #[cfg(test)]
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let mut samples = Samples::default();
        samples.read(dir)?;
        Self::of(dir, &samples)
    }

    /// Puts the plan of a directory together with what was done.
    pub(crate) fn of(dir: &Path, samples: &Samples) -> Result<Self, Error> {
        let visits = Visits::read(dir)?;
        let machines: HashSet<_> = visits
            .visits
            .iter()
            .map(|past| past.machine.fingerprint().map(|(_, fact)| fact))
            .collect();
        let machines = machines.len();
        let (name, machine) = match visits.visits.into_iter().next_back() {
            Some(last) => (last.batch, last.machine),
            None => Default::default(),
        };
        // Twice read rather than all kept: of a point only what varies is of interest.
        let mut variety = Variety::default();
        plan::read(dir, |line| {
            if line.standing == Standing::Planned {
                variety.add(&line);
            }
        })?;
        let (varying, constant) = variety.names();
        let (mut points, mut orphans) = (Vec::new(), 0);
        plan::read(dir, |line| match line.standing {
            Standing::Planned => points.push(Point::new(&line, &varying, samples.done(&line.key))),
            Standing::Orphan => orphans += 1,
        })?;
        let notes = Vec::new();
        Ok(Self { name, machine, machines, varying, constant, points, orphans, notes })
    }

    /// Adds what the samples do not say.
    pub(crate) fn remark(&mut self, remarks: &Remarks) {
        self.notes.extend_from_slice(&remarks.notes);
        for point in &mut self.points {
            point.flags.extend(remarks.flags.get(&point.id).into_iter().flatten());
            point.missed.extend(remarks.missed.get(&point.id).into_iter().flatten().cloned());
        }
    }

    /// Returns the jobs and their points, in the order of the file.
    pub(super) fn jobs(&self) -> Vec<(&str, Vec<&Point>)> {
        let mut jobs: Vec<(&str, Vec<&Point>)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for point in &self.points {
            let at = *places.entry(&point.job).or_insert_with(|| {
                jobs.push((&point.job, Vec::new()));
                jobs.len() - 1
            });
            if let Some((_, points)) = jobs.get_mut(at) {
                points.push(point);
            }
        }
        jobs
    }

    /// Returns facts of where the figures are from, for people, by name.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let machine = &self.machine;
        let mut facts = vec![
            ("command", machine.command.clone()),
            (
                "spmd",
                format!("{} ({})", machine.spmd, machine.program.get(..19).unwrap_or_default()),
            ),
            ("start", machine.start.clone()),
            ("host", machine.host.clone()),
        ];
        facts.extend(machine.fingerprint());
        let caches: Vec<String> = machine.caches.iter().map(cache).collect();
        if !caches.is_empty() {
            facts.push(("caches", caches.join(", ")));
        }
        if !machine.numa.is_empty() {
            facts.push(("NUMA nodes", machine.numa.len().to_string()));
        }
        let bytes = crate::host::limits::bytes;
        facts.extend(machine.memory_bytes.map(|count| ("memory", bytes(count))));
        facts.extend(machine.memory_limit_bytes.map(|count| ("memory limit", bytes(count))));
        facts.extend(machine.shm_bytes.map(|count| ("/dev/shm", bytes(count))));
        if self.machines > 1 {
            facts.push(("machines", format!("{}, mixed; this is the last", self.machines)));
        }
        facts
    }
}

fn cache(cache: &crate::host::caches::Cache) -> String {
    let kind = match cache.kind.as_str() {
        "Data" => "d",
        "Instruction" => "i",
        _ => "",
    };
    format!("L{}{kind} {}", cache.level, crate::host::limits::bytes(cache.bytes))
}

/// What a row names even where it is the same in all: so that rows of several studies can be put together.
const ALWAYS: [&str; 5] = ["kernel", "procs", "size", "dtype", "schedule"];

/// Finds the options that are not the same for all points.
#[derive(Default)]
struct Variety {
    seen: Vec<Seen>,
    places: HashMap<String, usize>,
    points: usize,
    /// Points whose input is not just their indices.
    inputs: usize,
}

struct Seen {
    name: String,
    first: Value,
    /// In how many points it is given.
    points: usize,
    varies: bool,
}

impl Variety {
    fn add(&mut self, line: &PlanLine) {
        self.points += 1;
        let indices = line.options.get("size").map(|size| format!("range:0:{}", shown(size)));
        let input = line.options.get("input").and_then(Value::as_str);
        self.inputs += usize::from(input.is_some() && input != indices.as_deref());
        for (name, value) in flat(&line.options) {
            let at = self.places.get(&name).copied();
            match at.and_then(|at| self.seen.get_mut(at)) {
                Some(seen) => {
                    seen.points += 1;
                    seen.varies |= seen.first != *value;
                }
                None => {
                    self.places.insert(name.clone(), self.seen.len());
                    self.seen.push(Seen { name, first: value.clone(), points: 1, varies: false });
                }
            }
        }
    }

    /// Returns the names of what varies, and of what every table names; and what is the same for all.
    fn names(self) -> (Vec<String>, Vec<(String, Value)>) {
        let (mut varying, mut constant) = (Vec::new(), Vec::new());
        for seen in self.seen {
            if seen.name == "input" && self.inputs == 0 {
                continue; // `size` says the same.
            }
            let varies = seen.varies || seen.points < self.points;
            if varies || ALWAYS.contains(&seen.name.as_str()) {
                varying.push(seen.name);
            } else {
                constant.push((seen.name, seen.first));
            }
        }
        (varying, constant)
    }
}

/// Writes a value of an option as tables have it; nothing where there is none.
pub(super) fn cell(value: Option<&Value>) -> String {
    value.map(shown).unwrap_or_default()
}
