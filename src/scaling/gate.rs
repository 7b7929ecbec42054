//! What a study has to reach, `--require 'efficiency@4>=0.7'`, and whether it did.
//!
//! `METRIC[@PROCS] OP NUMBER`: of that many ranks, or of the most that were measured. What is compared is the
//! estimate, so that the same samples always give the same answer; where its interval holds the wanted
//! value, the text says so: another study may end otherwise.

use std::fmt;
use std::str::FromStr;

use super::point::Estimate;
use crate::error::{Explained, nearest};
use crate::figures::{scaled, time};

/// What can be required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Efficiency,
    Speedup,
    /// Seconds of the median.
    Time,
    /// Indices a second.
    Throughput,
    /// max/mean − 1 of the ranks' busy times.
    Imbalance,
}

impl Metric {
    const ALL: [(&'static str, Self); 5] = [
        ("efficiency", Self::Efficiency),
        ("speedup", Self::Speedup),
        ("time", Self::Time),
        ("throughput", Self::Throughput),
        ("imbalance", Self::Imbalance),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }

    /// Writes a value as people read it.
    fn shown(self, value: f64) -> String {
        match self {
            Self::Efficiency | Self::Imbalance => format!("{value:.3}"),
            Self::Speedup => format!("{value:.2}"),
            Self::Time => time(value),
            Self::Throughput => format!("{}items/s", scaled(value)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    AtLeast,
    AtMost,
    Above,
    Below,
}

impl Relation {
    /// Those of two characters first: they begin like those of one.
    const ALL: [(&'static str, Self); 4] =
        [(">=", Self::AtLeast), ("<=", Self::AtMost), (">", Self::Above), ("<", Self::Below)];

    fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(_, relation)| *relation == self).map_or("", |(sign, _)| sign)
    }

    fn holds(self, found: f64, wanted: f64) -> bool {
        match self {
            Self::AtLeast => found >= wanted,
            Self::AtMost => found <= wanted,
            Self::Above => found > wanted,
            Self::Below => found < wanted,
        }
    }
}

/// One requirement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gate {
    pub(crate) metric: Metric,
    /// `None`: the most ranks that were measured.
    pub(crate) procs: Option<u32>,
    pub(crate) relation: Relation,
    pub(crate) wanted: f64,
    /// As it was typed.
    text: String,
}

/// What was measured of one number of ranks; `None`: nobody measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reached {
    pub(crate) procs: u32,
    pub(crate) efficiency: Option<Estimate>,
    pub(crate) speedup: Option<Estimate>,
    pub(crate) time: Option<Estimate>,
    pub(crate) throughput: Option<Estimate>,
    pub(crate) imbalance: Option<Estimate>,
}

impl Reached {
    fn of(&self, metric: Metric) -> Option<Estimate> {
        match metric {
            Metric::Efficiency => self.efficiency,
            Metric::Speedup => self.speedup,
            Metric::Time => self.time,
            Metric::Throughput => self.throughput,
            Metric::Imbalance => self.imbalance,
        }
    }
}

/// Whether a gate was met, with the text that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Met(String),
    Missed(String),
    /// There is nothing to compare: not met either.
    Unmeasured(String),
}

impl Gate {
    /// Judges what was reached, of points in any order.
    pub(crate) fn judge(&self, points: &[Reached]) -> Outcome {
        let point = match self.procs {
            Some(procs) => points.iter().find(|point| point.procs == procs),
            None => points.iter().max_by_key(|point| point.procs),
        };
        let Some(point) = point else {
            let mut measured: Vec<u32> = points.iter().map(|point| point.procs).collect();
            measured.sort_unstable();
            let measured: Vec<String> = measured.iter().map(u32::to_string).collect();
            let measured = match measured.as_slice() {
                [] => "nothing was measured".to_owned(),
                _ => format!("measured were {}", measured.join(", ")),
            };
            return Outcome::Unmeasured(format!("{self}: {measured}"));
        };
        let (name, procs) = (self.metric.name(), point.procs);
        // Of a metric that is not a number nothing holds, and nothing should.
        let Some(found) = point.of(self.metric).filter(|found| !found.value.is_nan()) else {
            return Outcome::Unmeasured(format!("{self}: no {name} of {procs} ranks was measured"));
        };
        let shown = |value: f64| self.metric.shown(value);
        let mut text = format!("{self}: found {}", shown(found.value));
        if let Some([low, high]) = found.ci95 {
            text.push_str(&format!(" [{}, {}]", shown(low), shown(high)));
        }
        if self.procs.is_none() {
            text.push_str(&format!(" with {procs} ranks"));
        }
        text.push_str(&format!(", wanted {} {}", self.relation.sign(), shown(self.wanted)));
        if found.may_be(self.wanted) {
            text.push_str("; the interval holds both answers");
        }
        if self.relation.holds(found.value, self.wanted) {
            Outcome::Met(text)
        } else {
            Outcome::Missed(text)
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Gate {
    type Err = Explained;

    fn from_str(text: &str) -> Result<Self, Explained> {
        const FORM: &str = "METRIC[@PROCS] OP NUMBER, such as efficiency@4>=0.7";
        let text = text.trim();
        let about = |what: &str| format!("gate `{text}`: {what}");
        let at = text.find(['<', '>', '=']).ok_or_else(|| {
            Explained::new(about("nothing is compared: there is no >=, <=, > or <")).hint(FORM)
        })?;
        let (left, right) = text.split_at(at);
        let (sign, relation) = Relation::ALL
            .into_iter()
            .find(|(sign, _)| right.starts_with(sign))
            .ok_or_else(|| {
                Explained::new(about("measured values are equal to nothing"))
                    .hint("compare with >= or <=")
            })?;
        let (metric, procs) = match left.split_once('@') {
            Some((metric, procs)) => (metric.trim(), Some(procs.trim())),
            None => (left.trim(), None),
        };
        let metric = named(metric).map_err(|explained| match explained {
            Some(near) => Explained::new(about(&format!("no metric is named `{metric}`")))
                .hint(format!("did you mean `{near}`?")),
            None => Explained::new(about(&format!("no metric is named `{metric}`")))
                .hint("metrics: efficiency, speedup, time, throughput, imbalance"),
        })?;
        let procs = procs
            .map(|procs| {
                procs.parse::<u32>().ok().filter(|procs| *procs > 0).ok_or_else(|| {
                    Explained::new(about(&format!("`{procs}` is not a number of ranks"))).hint(FORM)
                })
            })
            .transpose()?;
        let number = right[sign.len()..].trim();
        let wanted = value(metric, number).ok_or_else(|| {
            let what = about(&format!("`{number}` is not a value of {}", metric.name()));
            Explained::new(what).hint(match metric {
                Metric::Time => "seconds, or with a unit: 0.5, 500ms, 20us",
                Metric::Efficiency | Metric::Imbalance => "a share: 0.7, or 70%",
                Metric::Speedup | Metric::Throughput => "a number: 3.5, 1e9",
            })
        })?;
        Ok(Self { metric, procs, relation, wanted, text: text.to_owned() })
    }
}

/// Returns the metric of this name, or else the name that was most likely meant.
fn named(name: &str) -> Result<Metric, Option<&'static str>> {
    let found = Metric::ALL.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, metric)| *metric)
        .ok_or_else(|| nearest(name, Metric::ALL.iter().map(|(known, _)| *known)))
}

fn value(metric: Metric, text: &str) -> Option<f64> {
    let units: &[(&str, f64)] = match metric {
        Metric::Time => &[("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("", 1.0)],
        Metric::Efficiency | Metric::Imbalance => &[("%", 0.01), ("", 1.0)],
        Metric::Speedup => &[("x", 1.0), ("", 1.0)],
        Metric::Throughput => &[("", 1.0)],
    };
    let (number, unit) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let number: f64 = number.trim().replace('_', "").parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gate(text: &str) -> Gate {
        text.parse().unwrap()
    }

    fn reached(procs: u32, efficiency: f64) -> Reached {
        let estimate =
            |value: f64| Some(Estimate { value, ci95: Some([value * 0.98, value * 1.02]) });
        Reached {
            procs,
            efficiency: estimate(efficiency),
            time: estimate(0.0015 / efficiency),
            ..Reached::default()
        }
    }

    #[test]
    fn gates_are_read_with_or_without_ranks_spaces_and_units() {
        for (text, metric, procs, relation, wanted) in [
            ("efficiency@4>=0.7", Metric::Efficiency, Some(4), Relation::AtLeast, 0.7),
            (" efficiency @ 4 >= 70 % ", Metric::Efficiency, Some(4), Relation::AtLeast, 0.7),
            ("speedup>3.5x", Metric::Speedup, None, Relation::Above, 3.5),
            ("time@2<=20us", Metric::Time, Some(2), Relation::AtMost, 20e-6),
            ("time < 1.5", Metric::Time, None, Relation::Below, 1.5),
            ("throughput>=1_000e6", Metric::Throughput, None, Relation::AtLeast, 1e9),
            ("imbalance<5%", Metric::Imbalance, None, Relation::Below, 0.05),
        ] {
            let found = gate(text);
            assert_eq!(
                (found.metric, found.procs, found.relation),
                (metric, procs, relation),
                "{text}"
            );
            assert!((found.wanted / wanted - 1.0).abs() < 1e-12, "{text}: {}", found.wanted);
        }
    }

    #[test]
    fn what_is_no_gate_is_refused_with_the_nearest_right_one() {
        for (text, message, hint) in [
            ("efficency@4>=0.7", "no metric is named `efficency`", "did you mean `efficiency`?"),
            ("bananas>1", "no metric is named `bananas`", "metrics: efficiency, speedup"),
            ("efficiency@4", "nothing is compared", "METRIC[@PROCS] OP NUMBER"),
            ("efficiency=0.7", "equal to nothing", "compare with >= or <="),
            ("efficiency@x>=0.7", "`x` is not a number of ranks", "METRIC"),
            ("efficiency@0>=0.7", "`0` is not a number of ranks", "METRIC"),
            ("efficiency>=high", "`high` is not a value of efficiency", "a share: 0.7, or 70%"),
            ("time<=-1", "`-1` is not a value of time", "500ms"),
            ("time<=nan", "`nan` is not a value of time", "500ms"),
            ("speedup>=", "`` is not a value of speedup", "a number"),
            ("time=>1", "equal to nothing", "compare with >="),
        ] {
            let refusal = crate::Error::rejected(text.parse::<Gate>().unwrap_err());
            assert!(refusal.to_string().contains(message), "{text}: {refusal}");
            assert!(refusal.hint().unwrap().contains(hint), "{text}: {:?}", refusal.hint());
        }
    }

    #[test]
    fn found_is_held_against_wanted() {
        let points = [reached(1, 1.0), reached(4, 0.65), reached(2, 0.9)];
        assert_eq!(
            gate("efficiency@4>=0.7").judge(&points),
            Outcome::Missed(
                "efficiency@4>=0.7: found 0.650 [0.637, 0.663], wanted >= 0.700".to_owned()
            )
        );
        assert_eq!(
            gate("efficiency>=64%").judge(&points),
            Outcome::Met(
                "efficiency>=64%: found 0.650 [0.637, 0.663] with 4 ranks, wanted >= 0.640; the interval \
                 holds both answers"
                    .to_owned()
            )
        );
        assert_eq!(
            gate("time@1<2ms").judge(&points),
            Outcome::Met(
                "time@1<2ms: found 1.50 ms [1.47 ms, 1.53 ms], wanted < 2.00 ms".to_owned()
            )
        );
        assert_eq!(
            gate("efficiency@8>=0.7").judge(&points),
            Outcome::Unmeasured("efficiency@8>=0.7: measured were 1, 2, 4".to_owned())
        );
        assert_eq!(
            gate("imbalance<0.1").judge(&points),
            Outcome::Unmeasured("imbalance<0.1: no imbalance of 4 ranks was measured".to_owned())
        );
        let none = gate("time<1").judge(&[]);
        assert_eq!(none, Outcome::Unmeasured("time<1: nothing was measured".to_owned()));
    }

    #[test]
    fn at_least_and_at_most_hold_at_the_very_value() {
        let points = [reached(1, 1.0)];
        for (sign, met) in [(">=", true), ("<=", true), (">", false), ("<", false)] {
            let outcome = gate(&format!("efficiency{sign}1")).judge(&points);
            assert_eq!(matches!(outcome, Outcome::Met(_)), met, "{sign}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,24}|[a-z]{0,9}@?[0-9]{0,12}[<>=]{0,3}[0-9.e%-]{0,6}") {
            if let Err(refusal) = text.parse::<Gate>() {
                crate::Error::rejected(refusal).check_printable();
            }
        }
    }
}
