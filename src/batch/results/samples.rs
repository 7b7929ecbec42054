//! `samples.jsonl`: a line for each trial, and the only truth about which were done.
//!
//! Of a line that was written the batch itself needs little: whose trial it was, how it ended, and a few
//! figures ([`super::done`]). That is what is kept in memory, for each point the trials that count.
//!
//! A trial is named by its point's key, its repeat, and its attempt, from 1 on. A failed one that is run
//! again has the next attempt. `--rerun` begins a new *round*, in which every trial of a point has an attempt
//! that none of it had before; of a point only its latest round counts, and of a repeat only its latest
//! attempt.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::done::{Added, Done, Figures, NOTHING, Outcome, Status, Trial};
use super::lines::{self, Extent};
use super::place;
use crate::batch::key::{Key, Short};
use crate::error::Error;
use crate::host::clock::rfc3339;

pub(super) const NAME: &str = "samples.jsonl";
/// What to do about a line that is wrong.
const REMEDY: &str = "remove the line, and its trial runs again";

/// One trial, to be written down.
pub(crate) struct Sample<'a> {
    pub(crate) batch: &'a str,
    pub(crate) job: &'a str,
    pub(crate) key: &'a Key,
    pub(crate) id: &'a str,
    pub(crate) repeat: u32,
    /// As [`Done::next_attempt`] says.
    pub(crate) attempt: u32,
    /// That of its point, [`Done::round`]; or the one a `--rerun` is in.
    pub(crate) round: u32,
    pub(crate) start: SystemTime,
    /// What the job varies.
    pub(crate) options: &'a Map<String, Value>,
    /// The record of the run, or [`failure`].
    pub(crate) record: &'a Map<String, Value>,
}

impl Sample<'_> {
    fn name<M: SerializeMap>(&self, map: &mut M, warmup: bool) -> Result<(), M::Error> {
        map.serialize_entry("batch", self.batch)?;
        map.serialize_entry("job", self.job)?;
        map.serialize_entry("key", &self.key.to_string())?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry("repeat", &self.repeat)?;
        map.serialize_entry("attempt", &self.attempt)?;
        map.serialize_entry("round", &self.round)?;
        map.serialize_entry("warmup", &warmup)?;
        map.serialize_entry("start", &rfc3339(self.start))?;
        map.serialize_entry("options", self.options)
    }

    /// Returns the passes before the timed one, as far as the record has them.
    fn warmups(&self) -> impl Iterator<Item = Warmup<'_>> {
        let times = self.record.get("time").and_then(|time| time.get("warmup_s")?.as_array());
        let times = times.into_iter().flatten().filter_map(Value::as_f64);
        times.enumerate().map(|(pass, time)| Warmup { sample: self, pass, time })
    }
}

/// One pass before the timed one: a timing of its own, which nothing but a reader of the file counts.
struct Warmup<'a> {
    sample: &'a Sample<'a>,
    pass: usize,
    time: f64,
}

impl Serialize for Warmup<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.sample.name(&mut map, true)?;
        map.serialize_entry("pass", &self.pass)?;
        for name in ["schema", "kernel", "procs", "size", "dtype", "schedule"] {
            if let Some(value) = self.sample.record.get(name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("status", Status::Ok.name())?;
        map.serialize_entry("exit", &0)?;
        let time = self.time;
        let passes = json!({"n": 1, "median": time, "min": time, "max": time, "samples": [time]});
        map.serialize_entry("time", &json!({"pass_s": passes}))?;
        map.end()
    }
}

impl Serialize for Sample<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.name(&mut map, false)?;
        for (name, value) in self.record {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Returns what stands in for the record of a run that left none.
pub(crate) fn failure(
    kernel: &str,
    procs: Option<u32>,
    params: Map<String, Value>,
    error: &Error,
) -> Map<String, Value> {
    let exit = error.exit();
    let mut record = json!({
        "schema": 1,
        "kernel": kernel,
        "params": params,
        "status": exit.status(),
        "exit": exit.code(),
        "error": {
            "message": error.to_string(),
            "details": error.details(),
            "hint": error.hint(),
        },
    });
    if let Some(procs) = procs {
        record["procs"] = procs.into(); // What is not known is missing.
    }
    match record {
        Value::Object(record) => record,
        _ => Map::new(),
    }
}

/// What was done of all points.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    points: HashMap<Short, Done>,
    count: u64,
    round: u32,
    /// How many lines were of a trial that had one, and the first of these.
    doubled: Option<(u64, String)>,
}

impl Samples {
    /// Reads the file of a directory; one that is not there has no lines.
    pub(super) fn read(&mut self, dir: &Path) -> Result<Extent, Error> {
        match place::existing(dir, NAME)? {
            (Some(file), shown) => self.read_file(&file, &shown),
            (None, _) => Ok(Extent::default()),
        }
    }

    /// Reads an open file.
    pub(super) fn read_file(&mut self, file: &File, shown: &str) -> Result<Extent, Error> {
        lines::read(file, shown, REMEDY, |text| self.take(text))
    }

    /// Gives each sample that counts and succeeded, with its point, to `look`: the file is read once more.
    pub(super) fn each(
        &self,
        file: &File,
        shown: &str,
        mut look: impl FnMut(Short, &Value) -> serde_json::Result<()>,
    ) -> Result<(), Error> {
        self.all(file, shown, |key, record| key.map_or(Ok(()), |key| look(key, record)))
    }

    /// Gives every line to `look`, of a sample that counts and succeeded with its point.
    pub(super) fn all(
        &self,
        file: &File,
        shown: &str,
        mut look: impl FnMut(Option<Short>, &Value) -> serde_json::Result<()>,
    ) -> Result<(), Error> {
        let extent = lines::read(file, shown, REMEDY, |text| {
            let record: Value = serde_json::from_slice(text)?;
            look(self.counts(&record), &record)
        });
        extent.map(drop)
    }

    /// Takes a line of the file.
    pub(super) fn take(&mut self, text: &[u8]) -> serde_json::Result<()> {
        let line = Line::read(text)?;
        if line.warmup {
            return Ok(());
        }
        let (name, round) = (line.name()?, line.round);
        self.add(name, round, line.trial()?);
        Ok(())
    }

    /// Takes a trial, as it was read or as it was written.
    pub(super) fn add(&mut self, name: Short, round: u32, trial: Trial) {
        let (repeat, attempt) = (trial.repeat, trial.attempt);
        self.round = self.round.max(round);
        let done = match self.points.entry(name) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Done::default()),
        };
        match done.add(round, trial) {
            Added::Once => self.count += 1,
            Added::Twice => {
                let first = || format!("{name}, repeat {repeat}, attempt {attempt}");
                self.doubled.get_or_insert_with(|| (0, first())).0 += 1;
            }
        }
    }

    /// Writes a sample as its line, and after that those of its warm-up passes, which may be lost without
    /// it; returns what is read of it. Refuses one that could not be read, or is there already.
    pub(super) fn line(&self, sample: &Sample<'_>, line: &mut Vec<u8>) -> Result<Trial, Error> {
        let named = || format!("sample of `{}`, repeat {}", sample.id, sample.repeat);
        let (round, repeat, attempt) = (sample.round, sample.repeat, sample.attempt);
        if self.done(sample.key).has(round, repeat, attempt) {
            return Err(Error::refused(format!("{} is there already", named())));
        }
        line.clear();
        let cannot = |error: serde_json::Error| {
            Error::refused(format!("{} cannot be written: {error}", named()))
        };
        let written = serde_json::to_writer(&mut *line, sample);
        let trial = written.and_then(|()| Line::read(line)?.trial()).map_err(cannot)?;
        line.push(b'\n');
        for warmup in sample.warmups() {
            serde_json::to_writer(&mut *line, &warmup).map_err(cannot)?;
            line.push(b'\n');
        }
        Ok(trial)
    }

    /// Returns what was done of a point.
    pub(crate) fn done(&self, key: &Key) -> &Done {
        self.points.get(&key.short()).unwrap_or(&NOTHING)
    }

    /// Returns the point of a line, if it is a sample that succeeded and counts.
    fn counts(&self, line: &Value) -> Option<Short> {
        let name: Short = line["key"].as_str()?.parse().ok()?;
        let number = |field: &str| line[field].as_u64().and_then(|n| u32::try_from(n).ok());
        let (repeat, attempt) = (number("repeat")?, number("attempt").unwrap_or(1));
        let done = self.points.get(&name)?;
        let is_one = line["warmup"] != true && line["status"] == Status::Ok.name();
        (is_one && done.has(number("round").unwrap_or(0), repeat, attempt)).then_some(name)
    }

    /// Returns how many samples there are, of all attempts.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the latest round of any point.
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    /// Says that trials are in the file more than once, if they are.
    pub(crate) fn warning(&self) -> Option<String> {
        self.doubled.as_ref().map(|(count, first)| {
            format!("{count} samples are of a trial that has one, which counts: {first}")
        })
    }
}

/// What is read of a line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    repeat: u32,
    #[serde(default = "first")]
    attempt: u32,
    #[serde(default)]
    round: u32,
    #[serde(default)]
    warmup: bool,
    status: Status,
    #[serde(default)]
    exit: i32,
    time: Option<Time>,
    throughput: Option<Throughput>,
    imbalance: Option<f64>,
    #[serde(default)]
    workers: Busy,
    #[serde(default)]
    recovered: u32,
    #[serde(default)]
    warnings: Vec<IgnoredAny>,
    noise: Option<Noise>,
    #[serde(borrow)]
    error: Option<Failure<'a>>,
}

fn first() -> u32 {
    1
}

#[derive(Deserialize)]
struct Noise {
    #[serde(default)]
    marked: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Time {
    total_s: Option<f64>,
    pass_s: Option<Passes>, // Of a trial that failed, maybe none came to its end.
}

#[derive(Deserialize)]
struct Passes {
    median: f64,
}

#[derive(Deserialize)]
struct Throughput {
    items_per_s: Option<f64>,
    bytes_per_s: Option<f64>,
    flops_per_s: Option<f64>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

impl<'a> Line<'a> {
    fn read(text: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }

    fn name(&self) -> serde_json::Result<Short> {
        self.key.parse().map_err(serde_json::Error::custom)
    }

    fn trial(self) -> serde_json::Result<Trial> {
        let passes = self.time.as_ref().and_then(|time| time.pass_s.as_ref());
        let total = self.time.as_ref().and_then(|time| time.total_s);
        let seconds = total.or(passes.map(|passes| passes.median)).unwrap_or(0.0);
        let outcome = match (self.status, passes) {
            (Status::Ok, None) => {
                return Err(serde_json::Error::custom("status is ok, and there is no time"));
            }
            (Status::Ok, Some(passes)) => Outcome::Ok(Figures {
                time: passes.median,
                total: seconds,
                items_per_s: self.throughput.as_ref().and_then(|rates| rates.items_per_s),
                bytes_per_s: self.throughput.as_ref().and_then(|rates| rates.bytes_per_s),
                flops_per_s: self.throughput.as_ref().and_then(|rates| rates.flops_per_s),
                imbalance: self.imbalance,
                busy: self.workers.0,
                recovered: self.recovered,
                warned: !self.warnings.is_empty(),
                disturbed: self.noise.is_some_and(|noise| !noise.marked.is_empty()),
            }),
            (status, _) => Outcome::Failed {
                status,
                exit: self.exit,
                why: self.error.map_or_else(|| status.name().into(), |e| e.message.into()),
            },
        };
        Ok(Trial { repeat: self.repeat, attempt: self.attempt, seconds, outcome })
    }
}

/// The busy times of a record's workers, added up while they are read.
#[derive(Default)]
struct Busy(f64);

impl<'de> Deserialize<'de> for Busy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Workers;

        #[derive(Deserialize)]
        struct Worker {
            busy_s: Option<f64>,
        }

        impl<'de> Visitor<'de> for Workers {
            type Value = Busy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of workers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Busy, A::Error> {
                let mut sum = 0.0;
                while let Some(worker) = list.next_element::<Worker>()? {
                    sum += worker.busy_s.unwrap_or(0.0);
                }
                Ok(Busy(sum))
            }
        }

        deserializer.deserialize_seq(Workers)
    }
}

#[cfg(test)]
mod tests;
