//! What a path holds, as points with their times: a results directory, a file of samples, or records.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::de::Error as _;
use serde_json::{Deserializer, Value};

use super::asked::Asked;
use crate::batch::{SAMPLES, Short, samples_of};
use crate::data::{reason, shown_path};
use crate::error::{Error, Explained};

/// Records that are longer than this together are none of ours.
const LONGEST: u64 = 64 << 20;
/// What has to agree for times to be comparable, of a record's `environment`.
const MACHINE: [&str; 5] = ["cpu_model", "cpus_online", "cpus_allowed", "cpu_quota", "kernel"];

/// All that a path holds.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) shown: String,
    pub(super) points: BTreeMap<Asked, Times>,
    /// The facts of the machine that the last sample was taken on; empty: nothing is known.
    pub(super) machine: Vec<(&'static str, String)>,
    pub(super) warnings: Vec<String>,
}

/// The samples of one point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Times {
    /// Seconds of a pass, in the order they were taken.
    pub(super) seconds: Vec<f64>,
    /// CPU seconds that the host kept for others.
    pub(super) stolen: f64,
    /// CPU seconds that the passes had.
    pub(super) had: f64,
    /// How many runs they are of.
    pub(super) runs: usize,
    /// How many of those are marked as disturbed.
    pub(super) marked: usize,
}

impl Times {
    /// Returns the share of the CPUs' time that the host kept for others.
    pub(super) fn steal(&self) -> f64 {
        if self.had > 0.0 { self.stolen / self.had } else { 0.0 }
    }

    fn add(&mut self, record: &Value, seconds: &[f64]) {
        let passes = positive(&record["time"]["pass_s"]["samples"]);
        let all: f64 = if passes.is_empty() { seconds } else { &passes }.iter().sum();
        let cpus = [&record["noise"]["cpus"], &record["procs"]];
        self.had += cpus.into_iter().find_map(Value::as_f64).unwrap_or(1.0) * all;
        self.stolen += record["noise"]["steal_s"].as_f64().unwrap_or(0.0).max(0.0);
        self.runs += 1;
        let marks = record["noise"]["marked"].as_array();
        self.marked += usize::from(marks.is_some_and(|marks| !marks.is_empty()));
        self.seconds.extend_from_slice(seconds);
    }
}

/// The samples of one question, by the key of what was run for it.
#[derive(Default)]
struct Builds {
    /// `None`: of records, which have no key.
    of: BTreeMap<Option<String>, Times>,
    last: Option<String>,
}

#[derive(Default)]
struct Gathered {
    points: BTreeMap<Asked, Builds>,
    machine: Vec<(&'static str, String)>,
}

impl Source {
    /// Reads a path; only reads.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let (file, shown) = open(path)?;
        let (mut gathered, mut warnings) = (Gathered::default(), Vec::new());
        if holds_records(&file) {
            rewind(&file, &shown)?;
            records(&file, &shown, &mut gathered)?;
        } else {
            rewind(&file, &shown)?;
            let found = samples_of(&file, &shown, |key, record| gathered.sample(key, record))?;
            if found.torn > 0 {
                let torn = found.torn;
                warnings
                    .push(format!("`{shown}`: the last {torn} bytes are no line, and left out"));
            }
            warnings.extend(found.warning.map(|warning| format!("`{shown}`: {warning}")));
        }
        let mut source = Self { shown, machine: gathered.machine, warnings, ..Self::default() };
        let mut left_out = 0;
        for (asked, mut builds) in gathered.points {
            if let Some(times) = builds.of.remove(&builds.last) {
                source.points.insert(asked, times);
            }
            left_out += builds.of.values().map(|times| times.seconds.len()).sum::<usize>();
        }
        if left_out > 0 {
            source.warnings.push(format!(
                "`{}`: {left_out} samples are of an earlier program or input, and left out",
                source.shown
            ));
        }
        if source.points.is_empty() {
            let message = format!("`{}` has no sample that succeeded", source.shown);
            return Err(Error::rejected(Explained::new(message).hint(
                "a directory of `spmd batch`, its samples.jsonl, or what `spmd … --json` printed",
            )));
        }
        Ok(source)
    }
}

impl Gathered {
    /// Takes a line of samples, which is one trial.
    fn sample(&mut self, key: Short, record: &Value) -> serde_json::Result<()> {
        let pass = &record["time"]["pass_s"]["median"];
        let time = pass.as_f64().filter(|time| *time > 0.0);
        let time = time.ok_or_else(|| {
            serde_json::Error::custom(format!("time.pass_s.median is {pass}, no time"))
        })?;
        self.take(Some(key.to_string()), record, &[time]).map_err(serde_json::Error::custom)
    }

    fn take(&mut self, key: Option<String>, record: &Value, times: &[f64]) -> Result<(), String> {
        let builds = self.points.entry(Asked::of(record)?).or_default();
        builds.of.entry(key.clone()).or_default().add(record, times);
        builds.last = key;
        if let Some(facts) = record["environment"].as_object().filter(|facts| !facts.is_empty()) {
            let fact = |name| facts.get(name).and_then(Value::as_str).unwrap_or("not known");
            self.machine = MACHINE.map(|name| (name, fact(name).to_owned())).to_vec();
        }
        Ok(())
    }
}

/// Opens the file that a path means. Nothing that would have to be waited for is opened.
fn open(path: &Path) -> Result<(File, String), Error> {
    let unreadable = |path: &Path, error: &std::io::Error, hint: &str| {
        let message = format!("cannot read `{}`: {}", shown_path(path), reason(error));
        Error::rejected(Explained::new(message).hint(hint))
    };
    let hint = "a directory of `spmd batch`, its samples.jsonl, or what `spmd … --json` printed";
    let found = fs::metadata(path).map_err(|error| unreadable(path, &error, hint))?;
    let path = if found.is_dir() { path.join(SAMPLES) } else { path.to_path_buf() };
    let found = fs::metadata(&path).map_err(|error| unreadable(&path, &error, hint))?;
    if !found.is_file() {
        let message = format!("`{}` is no regular file", shown_path(&path));
        let hint = "it is read twice: put it into a file first";
        return Err(Error::rejected(Explained::new(message).hint(hint)));
    }
    let file = File::open(&path).map_err(|error| unreadable(&path, &error, hint))?;
    Ok((file, shown_path(&path)))
}

fn rewind(mut file: &File, shown: &str) -> Result<(), Error> {
    let moved = file.seek(SeekFrom::Start(0));
    moved
        .map(drop)
        .map_err(|error| Error::refused(format!("cannot read `{shown}`: {}", reason(&error))))
}

/// Says whether a file begins with a record of a run: a line of samples has a key.
fn holds_records(file: &File) -> bool {
    let reader = BufReader::new(file.take(LONGEST));
    let first = Deserializer::from_reader(reader).into_iter::<Value>().next();
    first.and_then(Result::ok).is_some_and(|first| first.is_object() && first["key"].is_null())
}

/// Takes each record of a file; of one every pass is a sample.
fn records(file: &File, shown: &str, gathered: &mut Gathered) -> Result<(), Error> {
    let rejected = |what: &str| {
        Error::rejected(
            Explained::new(format!("`{shown}`: {what}"))
                .hint("a record is what `spmd --kernel … --json` prints"),
        )
    };
    let reader = BufReader::new(file.take(LONGEST));
    for record in Deserializer::from_reader(reader).into_iter::<Value>() {
        let record = record.map_err(|error| rejected(&error.to_string()))?;
        if record["status"].as_str() != Some("ok") {
            return Err(rejected(&format!("its status is {}, not \"ok\"", record["status"])));
        }
        let times = positive(&record["time"]["pass_s"]["samples"]);
        if times.is_empty() {
            return Err(rejected("there are no times in time.pass_s.samples"));
        }
        gathered.take(None, &record, &times).map_err(|what| rejected(&what))?;
    }
    Ok(())
}

/// Returns the times of a list; none if one of them is no time.
fn positive(list: &Value) -> Vec<f64> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let times = list.iter().map(|time| time.as_f64().filter(|time| *time > 0.0));
    times.collect::<Option<Vec<f64>>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_share_of_steal_is_of_the_time_that_all_ranks_had() {
        let mut times = Times::default();
        let record = json!({"procs": 2, "time": {"pass_s": {"samples": [1.0, 1.5]}},
            "noise": {"steal_s": 0.5}});
        times.add(&record, &[1.0, 1.5]);
        assert_eq!((times.steal(), &times.seconds[..]), (0.1, &[1.0, 1.5][..]));
        assert_eq!(Times::default().steal(), 0.0);
    }

    #[test]
    fn a_list_with_something_else_in_it_is_no_list_of_times() {
        assert_eq!(positive(&json!([0.5, 2])), [0.5, 2.0]);
        for list in [json!([1, 0]), json!([1, -1]), json!([1, null]), json!("1"), json!([])] {
            assert!(positive(&list).is_empty(), "{list}");
        }
    }

    #[test]
    fn of_one_question_the_samples_of_the_last_key_count() {
        let mut gathered = Gathered::default();
        let record = json!({"kernel": "k", "procs": 1, "size": 1, "dtype": "i64"});
        for (key, time) in [("a", 1.0), ("b", 2.0), ("a", 3.0), ("b", 4.0)] {
            gathered.take(Some(key.to_owned()), &record, &[time]).unwrap();
        }
        let builds = gathered.points.into_values().next().unwrap();
        assert_eq!(builds.of[&builds.last].seconds, [2.0, 4.0]);
    }
}
