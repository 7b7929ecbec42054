//! `[reference]`: how fast a point must be, with a tolerance; missed, the batch exits with 4.

use std::fmt;

use serde_json::{Map, Value};

use super::item::{Entry, Item};
use super::knobs::{self, knob};
use super::source::{Fault, Faults, Place};
use super::typed::{shown, typed};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Seconds of the median pass; less is better, all others the other way.
    Time,
    /// Indices a second.
    Throughput,
    /// Bytes a second.
    BytesPerS,
    /// Floating-point operations a second.
    FlopsPerS,
}

/// One figure that the points it is about must reach.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    /// What is measured.
    pub(crate) metric: Metric,
    /// What it should be.
    pub(crate) value: f64,
    /// By which share it may be worse.
    pub(crate) tolerance: f64,
    /// Which points it is about: those with these values.
    pub(crate) when: Vec<(String, Value)>,
    /// Where it stands.
    pub(crate) place: Place,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Judgement {
    /// Good enough.
    Met,
    /// Too slow: what was found and what is allowed.
    Missed {
        /// `time is 0.02 s`.
        found: String,
        /// `at most 0.011 s (0.01 + 10%)`.
        allowed: String,
    },
}

impl Metric {
    /// What they are called.
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("time", Self::Time),
        ("throughput", Self::Throughput),
        ("bytes-per-s", Self::BytesPerS),
        ("flops-per-s", Self::FlopsPerS),
    ];

    fn unit(self) -> &'static str {
        match self {
            Self::Time => "s",
            Self::Throughput => "items/s",
            Self::BytesPerS => "B/s",
            Self::FlopsPerS => "flop/s",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, metric)| metric == self);
        f.write_str(name.map_or("?", |(name, _)| name))
    }
}

impl Reference {
    /// Reads a table of references: a metric's name, and one or a list of figures.
    pub(super) fn read(item: &Item<'_>, faults: &mut Faults) -> Vec<Self> {
        let mut all = Vec::new();
        for entry in faults.keep(item.entries()).unwrap_or_default() {
            let metric = Metric::NAMES.iter().find(|(name, _)| *name == entry.name);
            let Some((_, metric)) = metric else {
                let known = Metric::NAMES.map(|(name, _)| name);
                faults.add(knobs::unknown(&entry.name, &entry.key, "reference", &known));
                continue;
            };
            let items = match entry.item.value {
                toml::de::DeValue::Array(_) => faults.keep(entry.item.tables()),
                _ => Some(vec![entry.item.clone()]),
            };
            for item in items.unwrap_or_default() {
                all.extend(faults.keep(Self::one(*metric, &item, &entry)));
            }
        }
        all
    }

    fn one(metric: Metric, item: &Item<'_>, at: &Entry<'_>) -> Result<Self, Fault> {
        let (mut value, mut tolerance, mut when) = (None, None, Vec::new());
        for entry in item.entries()? {
            match entry.name.as_str() {
                "value" => value = Some(entry.item.real()?),
                "tolerance" => tolerance = Some(entry.item.share()?),
                "when" => when = conditions(&entry)?,
                other => {
                    let known = ["value", "tolerance", "when"];
                    return Err(knobs::unknown(other, &entry.key, "a reference", &known));
                }
            }
        }
        let form =
            "{ value = 2.1e9, tolerance = \"10%\" }, and when = { procs = 4 } for some points";
        let missing = |what: &str| Fault::new(item.place.clone(), what).hint(form);
        let value = value.ok_or_else(|| missing("a reference without `value`"))?;
        let tolerance = tolerance.ok_or_else(|| missing("a reference without `tolerance`"))?;
        if value <= 0.0 {
            return Err(missing("a reference is above 0"));
        }
        Ok(Self { metric, value, tolerance, when, place: at.key.clone() })
    }

    /// Says whether it is about a point with these options, as a job's `settings` are.
    pub(crate) fn applies(&self, settings: &Map<String, Value>) -> bool {
        self.when.iter().all(|(name, wanted)| {
            settings.get(name).is_some_and(|value| shown(value) == shown(wanted))
        })
    }

    /// Compares a figure, such as the median of a point's samples.
    pub(crate) fn check(&self, found: f64) -> Judgement {
        let Self { metric, value, tolerance, .. } = self;
        let (bound, word, sign, met) = match metric {
            Metric::Time => {
                let bound = value * (1.0 + tolerance);
                (bound, "at most", '+', found <= bound)
            }
            Metric::Throughput | Metric::BytesPerS | Metric::FlopsPerS => {
                let bound = value * (1.0 - tolerance);
                (bound, "at least", '-', found >= bound)
            }
        };
        if met {
            return Judgement::Met;
        }
        let unit = metric.unit();
        let percent = (tolerance * 1e6).round() / 1e4;
        Judgement::Missed {
            found: format!("{metric} is {found:.4e} {unit}"),
            allowed: format!("{word} {bound:.4e} {unit} ({value:.4e} {sign} {percent}%)"),
        }
    }
}

fn conditions(entry: &Entry<'_>) -> Result<Vec<(String, Value)>, Fault> {
    let mut when = Vec::new();
    for entry in entry.item.options()? {
        if knob(&entry.name).is_none() {
            let known = knobs::option_names();
            return Err(knobs::unknown(&entry.name, &entry.key, "`when`", &known));
        }
        let value = typed(&entry.name, &entry.item)?;
        when.push((entry.name, value));
    }
    Ok(when)
}
