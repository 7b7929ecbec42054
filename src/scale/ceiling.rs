//! How many bytes a second this machine's memory gives to so many ranks: measured once a study, and kept.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::trials::Measured;
use crate::bench::{self, Name, Request};
use crate::calibration::Loops;
use crate::engine::{Audience, Orders};
use crate::error::Error;
use crate::options::{Procs, RunOptions};

/// A rank that moves fewer bytes a second is not held up by any memory: that of small boards gives some 10⁹.
const IDLE: f64 = 1e8;
/// How long each number of ranks is measured, if arrays let it be that short.
const BUDGET: Duration = Duration::from_millis(500);
/// The file that keeps them.
pub(crate) const NAME: &str = "bandwidth.json";

/// Bytes a second, by numbers of ranks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ceilings(pub(crate) Vec<(u32, f64)>);

/// Says whether no point moves as much as could ever be held up by memory.
pub(crate) fn is_idle(points: &[Measured]) -> bool {
    points
        .iter()
        .filter_map(|point| Some((point.procs, point.middle()?)))
        .all(|(procs, trial)| trial.throughput.bytes_per_s < IDLE * f64::from(procs))
}

impl Ceilings {
    /// Names what decides them beside the number of ranks.
    fn place(options: &RunOptions) -> String {
        let RunOptions { bind, map, cpus, wait, backing, .. } = options.clone();
        let place = RunOptions { bind, map, cpus, wait, backing, ..RunOptions::default() };
        Value::Object(place.spoken()).to_string()
    }

    /// Measures those that are not known yet, on the CPUs that the study's ranks have.
    pub(crate) fn measure(
        &mut self,
        options: &RunOptions,
        procs: &[u32],
        orders: &Orders,
        audience: &mut dyn Audience,
    ) -> Result<(), Error> {
        for &procs in procs {
            if self.of(procs).is_some() {
                continue;
            }
            let RunOptions { bind, map, cpus, wait, backing, .. } = options.clone();
            let exactly = std::num::NonZeroU32::new(procs).map(Procs::Exactly);
            let options = RunOptions {
                procs: exactly,
                bind,
                map,
                cpus,
                wait,
                backing,
                ..RunOptions::default()
            };
            let request = Request {
                name: Name::Bandwidth,
                options,
                array: None,
                loops: Loops::Triad,
                budget: BUDGET,
            };
            let measured = bench::run(&request, orders, audience)?;
            let main = measured.rows.iter().find(|row| row.name == measured.main);
            self.0.extend(main.map(|row| (procs, row.summary.median)));
        }
        Ok(())
    }

    /// Returns the ceiling of so many ranks.
    pub(crate) fn of(&self, procs: u32) -> Option<f64> {
        self.0.iter().find(|(known, _)| *known == procs).map(|(_, ceiling)| *ceiling)
    }

    /// Reads what an earlier visit has measured; what is not understood is measured again.
    pub(crate) fn read(directory: &Path, options: &RunOptions) -> Self {
        let text = fs::read_to_string(directory.join(NAME)).unwrap_or_default();
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        if document["place"].as_str() != Some(&Self::place(options)) {
            return Self::default(); // Of other CPUs, or of none.
        }
        let points = document["points"].as_array().into_iter().flatten();
        let known = points.filter_map(|point| {
            let procs = u32::try_from(point["procs"].as_u64()?).ok()?;
            let ceiling = point["bytes_per_s"].as_f64()?;
            (ceiling.is_finite() && ceiling > 0.0).then_some((procs, ceiling))
        });
        Self(known.collect())
    }

    /// Returns the file.
    pub(crate) fn text(&self, options: &RunOptions) -> String {
        let point = |(procs, ceiling): &(u32, f64)| json!({"procs": procs, "bytes_per_s": ceiling});
        let points: Vec<Value> = self.0.iter().map(point).collect();
        format!(
            "{:#}\n",
            json!({
                "schema": 1, "measured": "triad", "place": Self::place(options), "points": points,
            })
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_visit_measures_the_next_one_knows() {
        let directory = tempfile_dir();
        let options = RunOptions::default();
        let ceilings = Ceilings(vec![(1, 1.25e10), (2, 2.0e10)]);
        assert_eq!(Ceilings::read(&directory, &options), Ceilings::default());
        fs::write(directory.join(NAME), ceilings.text(&options)).unwrap();
        assert_eq!(Ceilings::read(&directory, &options), ceilings);
        assert_eq!((ceilings.of(2), ceilings.of(4)), (Some(2.0e10), None));
        let others = RunOptions { cpus: Some("1".parse().unwrap()), ..RunOptions::default() };
        assert_eq!(Ceilings::read(&directory, &others), Ceilings::default(), "of other cpus");
        for strange in
            ["", "[", "{\"points\": 1}", "{\"points\": [{\"procs\": 1, \"bytes_per_s\": -1}]}"]
        {
            fs::write(directory.join(NAME), strange).unwrap();
            assert_eq!(Ceilings::read(&directory, &options), Ceilings::default(), "{strange}");
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    fn tempfile_dir() -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("spmd-ceilings-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }
}
