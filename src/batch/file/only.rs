//! `--only 'procs=4 kernel=square'`: some points of a batch.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::knobs::{knob, option_names};
use super::top::Batch;
use super::typed::{canonical, shown};
use crate::batch::expand::Point;
use crate::batch::job::Job;
use crate::error::{Error, Explained, nearest};

/// Which points are meant: those that have every value listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Only {
    job: Option<String>,
    values: Vec<(String, Value)>,
}

impl Only {
    /// Says whether a point is meant.
    pub(crate) fn selects(&self, job: &Job, point: Point) -> bool {
        let has = |(name, wanted): &(String, Value)| {
            job.value(point, name).is_some_and(|value| shown(&value) == shown(wanted))
        };
        self.job.as_deref().is_none_or(|wanted| wanted == job.name) && self.values.iter().all(has)
    }

    /// Checks that the job that is named is one of the batch.
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), Error> {
        let Some(job) = &self.job else { return Ok(()) };
        let names = || batch.jobs.iter().map(|job| job.name.as_str());
        if names().any(|name| name == job) {
            return Ok(());
        }
        let hint = nearest(job, names()).map_or_else(
            || format!("the jobs are {}", names().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        Err(Error::rejected(Explained::new(format!("--only: no job `{job}`")).hint(hint)))
    }
}

/// As it can be given again; the same for the same points, however it was spaced and ordered.
impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = self.job.iter().map(|job| format!("job={job}"));
        let values = self.values.iter().map(|(name, value)| format!("{name}={}", shown(value)));
        let mut pairs: Vec<String> = job.chain(values).collect();
        pairs.sort();
        f.write_str(&pairs.join(" "))
    }
}

impl FromStr for Only {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |what: String, hint: String| {
            Error::rejected(Explained::new(format!("--only {text}: {what}")).hint(hint))
        };
        let mut only = Self::default();
        for pair in text.split_whitespace() {
            let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(refused(
                    format!("`{pair}` is not of the form KEY=VALUE"),
                    "pairs separated by spaces: --only 'procs=4 kernel=square'".to_owned(),
                ));
            };
            if key == "job" {
                only.job = Some(value.to_owned());
                continue;
            }
            if knob(key).is_none() {
                let mut known = option_names();
                known.push("job");
                let hint = nearest(key, known).map_or_else(
                    || "job, or any option of a run".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(refused(format!("unknown key `{key}`"), hint));
            }
            let value = canonical(key, Value::from(value))
                .map_err(|(what, hint)| refused(what, hint.unwrap_or_default()))?;
            only.values.push((key.to_owned(), value));
        }
        if only == Self::default() {
            let hint = "pairs separated by spaces: --only 'procs=4 kernel=square'";
            return Err(refused("names nothing".to_owned(), hint.to_owned()));
        }
        Ok(only)
    }
}
