//! What tuning comes to: predictions, the fastest first, and the command line of the one to take.

use serde_json::{Map, Value, json};

use super::costs::Grain;
use super::overheads::{Origin, Overheads};
use crate::options::RunOptions;
use crate::schedule::Schedule;
use crate::trace::About;

/// Predictions this near to one another are taken for equal.
const ALIKE: f64 = 1.005;

/// All predictions for a trace.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    pub(crate) about: About,
    pub(crate) grain: Grain,
    pub(crate) overheads: Overheads,
    /// Nanoseconds that all indices take one rank.
    pub(crate) work: f64,
    /// The fastest first.
    pub(crate) predictions: Vec<Prediction>,
}

/// What one way to run is predicted to take.
#[derive(Clone, Debug)]
pub(crate) struct Prediction {
    pub(crate) procs: u32,
    /// As it would be typed.
    pub(crate) schedule: Schedule,
    /// With its chunk; what `auto` comes to.
    pub(crate) settled: Schedule,
    /// Seconds of a pass.
    pub(crate) seconds: f64,
    /// max/mean − 1 of the ranks' busy times.
    pub(crate) imbalance: f64,
    pub(crate) claims: u64,
    /// Seconds that were measured, if this is how the traced run went.
    pub(crate) measured: Option<f64>,
    pub(crate) doubts: Vec<Doubt>,
}

/// Why a prediction may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It has another number of ranks: where they share memory or caches, indices cost something else.
    OtherProcs,
    /// Its chunks are smaller than those recorded, within which all indices seem alike.
    Finer,
}

impl Doubt {
    fn name(self) -> &'static str {
        match self {
            Self::OtherProcs => "other-procs",
            Self::Finer => "finer-than-trace",
        }
    }
}

impl Prediction {
    /// Returns by how much the prediction is off, if it was measured: 0.1 is ten per cent too long.
    pub(crate) fn error(&self) -> Option<f64> {
        self.measured
            .filter(|measured| *measured > 0.0)
            .map(|measured| self.seconds / measured - 1.0)
    }
}

impl Ranking {
    /// Returns the prediction of how the traced run went.
    pub(crate) fn recorded(&self) -> Option<&Prediction> {
        self.predictions.iter().find(|prediction| prediction.measured.is_some())
    }

    /// Returns the one to take: of those that are about as fast as the fastest, one without doubts, then
    /// with the fewest ranks, then with the most chunks: what disturbs a rank then costs least.
    pub(crate) fn best(&self) -> Option<&Prediction> {
        let fastest = self.predictions.first()?.seconds;
        let alike = |prediction: &&Prediction| prediction.seconds <= fastest * ALIKE;
        let effort = |prediction: &&Prediction| {
            (prediction.doubts.len(), prediction.procs, std::cmp::Reverse(prediction.claims))
        };
        self.predictions.iter().filter(alike).min_by_key(effort)
    }

    /// Returns the command line that runs the traced problem so.
    pub(crate) fn command(&self, prediction: &Prediction) -> String {
        let mut words = vec!["spmd".to_owned()];
        let defaults = RunOptions::built_in().map_or_else(|_| Map::new(), |all| all.spoken());
        let mut options = self.about.options.clone();
        for name in ["trace", "inject", "repeats", "warmup", "counters"] {
            options.remove(name);
        }
        options.insert("procs".to_owned(), prediction.procs.into());
        options.insert("schedule".to_owned(), prediction.schedule.to_string().into());
        for (name, value) in &options {
            if defaults.get(name) == Some(value) && name != "schedule" {
                continue;
            }
            for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                match text.as_str() {
                    "true" => words.push(format!("--{name}")),
                    _ => words.extend([format!("--{name}"), quoted(&text)]),
                }
            }
        }
        words.join(" ")
    }

    /// Returns it as one JSON document, with the `top` fastest predictions.
    pub(crate) fn to_json(&self, top: usize) -> String {
        let About { kernel, procs, size, dtype, schedule, passes, left_out, .. } = &self.about;
        let prediction = |prediction: &Prediction| {
            json!({
                "procs": prediction.procs,
                "schedule": prediction.schedule,
                "settled": prediction.settled,
                "predicted_s": prediction.seconds,
                "imbalance": prediction.imbalance,
                "claims": prediction.claims,
                "measured_s": prediction.measured,
                "error": prediction.error(),
                "doubts": prediction.doubts.iter().map(|doubt| doubt.name()).collect::<Vec<_>>(),
            })
        };
        json!({
            "schema": 1,
            "trace": {
                "kernel": kernel, "procs": procs, "size": size, "dtype": dtype, "schedule": schedule,
                "passes": passes, "left_out": left_out,
                "chunks": self.grain.chunks,
                "chunk_length": self.grain.length,
                "covered": self.grain.covered,
                "work_s": self.work / 1e9,
                "claim_ns": self.overheads.locked,
                "claim_measured": self.overheads.origin == Origin::Measured,
            },
            "recorded": self.recorded().map(prediction),
            "best": self.best().map(|best| {
                let mut object = prediction(best);
                object["command"] = Value::String(self.command(best));
                object
            }),
            "predictions": self.predictions.iter().take(top).map(prediction).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// Quotes a word for a shell, where it needs that.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,.:/@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_a_shell_needs_it() {
        assert_eq!(quoted("dist=heavy,1.5"), "dist=heavy,1.5");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
