//! What one layer says: run options by name, and the rules of trials.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde_json::Value;

use super::item::{Entry, Item};
use super::knobs::{self, RULES, knob};
use super::policy::{Misnamed, OnFail, Order};
use super::source::{Fault, Faults, Place};
use super::typed::{shown, typed};
use crate::options::{RunOptions, Span};

/// A value, and where it was given.
#[derive(Clone, Debug)]
pub(crate) struct Given<T = Value> {
    pub(crate) value: T,
    pub(crate) place: Place,
    /// The same for people, without the line.
    pub(crate) origin: String,
}

/// What one layer says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    pub(crate) options: BTreeMap<String, Given>,
    pub(crate) rules: Rules,
}

/// How often trials run, how long, and in which order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) repeats: Option<Given<u32>>,
    pub(crate) target_ci: Option<Given<f64>>,
    pub(crate) max_time: Option<Given<Span>>,
    pub(crate) order: Option<Given<Order>>,
    pub(crate) on_fail: Option<Given<OnFail>>,
}

impl Rules {
    /// Returns `self` where it speaks, `lower` elsewhere.
    #[must_use]
    pub(crate) fn over(self, lower: Self) -> Self {
        let Self { repeats, target_ci, max_time, order, on_fail } = self;
        Self {
            repeats: repeats.or(lower.repeats),
            target_ci: target_ci.or(lower.target_ci),
            max_time: max_time.or(lower.max_time),
            order: order.or(lower.order),
            on_fail: on_fail.or(lower.on_fail),
        }
    }

    /// Returns each rule that is given: name, value, place and origin.
    pub(crate) fn spoken(&self) -> Vec<(&'static str, Value, &Place, &str)> {
        let mut all = Vec::new();
        let Self { repeats, target_ci, max_time, order, on_fail } = self;
        if let Some(given) = repeats {
            all.push(("repeats", given.value.into(), &given.place, &*given.origin));
        }
        if let Some(given) = target_ci {
            all.push(("target-ci", given.value.into(), &given.place, &*given.origin));
        }
        if let Some(given) = max_time {
            all.push(("max-time", given.value.to_string().into(), &given.place, &*given.origin));
        }
        if let Some(given) = order {
            all.push(("order", given.value.to_string().into(), &given.place, &*given.origin));
        }
        if let Some(given) = on_fail {
            all.push(("on-fail", given.value.to_string().into(), &given.place, &*given.origin));
        }
        all
    }
}

impl Layer {
    /// Reads a table that holds options and rules, and nothing else but what `others` names.
    pub(super) fn read(
        entries: &[Entry<'_>],
        section: &str,
        others: &[&str],
        faults: &mut Faults,
    ) -> Self {
        let mut layer = Self::default();
        for entry in entries {
            if others.contains(&entry.name.as_str()) {
                continue;
            }
            let read = layer.take(entry, section, others);
            faults.keep(read);
        }
        layer
    }

    /// Takes one entry.
    pub(super) fn take(
        &mut self,
        entry: &Entry<'_>,
        section: &str,
        others: &[&str],
    ) -> Result<(), Fault> {
        let Entry { name, key, item } = entry;
        let origin = section.to_owned();
        if RULES.contains(&name.as_str()) {
            return self.rules.take(name, item, origin);
        }
        if knob(name).is_none() {
            let mut known = knobs::option_names();
            known.extend(RULES);
            known.extend(others);
            return Err(knobs::unknown(name, key, section, &known));
        }
        let value = typed(name, item)?;
        refuse_stdout(name, &value, &item.place)?;
        self.options.insert(name.clone(), Given { value, place: key.clone(), origin });
        Ok(())
    }

    /// Returns what the command line and the environment say.
    pub(super) fn above(
        above: &RunOptions,
        origin: &dyn Fn(&str) -> String,
    ) -> Result<Self, Fault> {
        let mut layer = Self::default();
        for (name, value) in above.spoken() {
            let given = |value| Given { value, place: Place::Unknown, origin: origin(&name) };
            match (name.as_str(), value) {
                ("repeats", _) => {
                    layer.rules.repeats = above.repeats.map(|repeats| Given {
                        value: repeats.get(),
                        place: Place::Unknown,
                        origin: origin("repeats"),
                    });
                }
                ("param", Value::Array(pairs)) => {
                    for pair in pairs.iter().filter_map(Value::as_str) {
                        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                        layer.options.insert(format!("param.{key}"), given(value.into()));
                    }
                }
                (_, value) => {
                    refuse_stdout(&name, &value, &Place::Unknown)?;
                    layer.options.insert(name.clone(), given(value));
                }
            }
        }
        Ok(layer)
    }

    /// Returns the built-in defaults.
    pub(super) fn built_in(options: &RunOptions) -> Self {
        let given = |value| Given { value, place: Place::Unknown, origin: "default".to_owned() };
        let spoken = options.spoken().into_iter().filter(|(name, _)| name != "repeats");
        let options = spoken.map(|(name, value)| (name, given(value))).collect();
        Self { options, rules: Rules::default() }
    }
}

impl Rules {
    fn take(&mut self, name: &str, item: &Item<'_>, origin: String) -> Result<(), Fault> {
        let place = item.place.clone();
        let wrong = |(what, hint): Misnamed| Fault::new(item.place.clone(), what).hint(hint);
        match name {
            "repeats" => {
                let value = typed_rule(item)?;
                self.repeats = Some(Given { value: value.get(), place, origin });
            }
            "target-ci" => {
                let value = item.share()?;
                if value <= 0.0 || value >= 1.0 {
                    let what = format!(
                        "`target-ci` is {value}, {} % of the median: a share above 0 and below 1",
                        value * 100.0
                    );
                    return Err(Fault::new(place, what)
                        .hint("half the interval's width, as a share of the median: \"2%\""));
                }
                self.target_ci = Some(Given { value, place, origin });
            }
            "max-time" => {
                // Spelled as `timeout` is.
                let value =
                    typed("timeout", item).map_err(|fault| fault.instead("timeout", "max-time"))?;
                let span = value.as_str().and_then(|text| text.parse().ok());
                let value = span.ok_or_else(|| {
                    Fault::new(place.clone(), format!("`{}` is no length of time", shown(&value)))
                })?;
                self.max_time = Some(Given { value, place, origin });
            }
            "order" => {
                let value = item.text()?.parse().map_err(wrong)?;
                self.order = Some(Given { value, place, origin });
            }
            "on-fail" => {
                let value = item.text()?.parse().map_err(wrong)?;
                self.on_fail = Some(Given { value, place, origin });
            }
            _ => {}
        }
        Ok(())
    }
}

fn typed_rule(item: &Item<'_>) -> Result<NonZeroU32, Fault> {
    let count = item.number()?.to_json().as_u64();
    count.and_then(|count| u32::try_from(count).ok()).and_then(NonZeroU32::new).ok_or_else(|| {
        Fault::new(item.place.clone(), "`repeats` is a whole number from 1 on")
            .hint("how often each point is run; target-ci and max-time may end it earlier")
    })
}

/// In a batch stdout is not a place for results: every trial would write there.
pub(super) fn refuse_stdout(name: &str, value: &Value, place: &Place) -> Result<(), Fault> {
    if name == "output" && value.as_str() == Some("-") {
        return Err(Fault::new(place.clone(), "a batch cannot write results to standard output")
            .hint("leave `output` out, or name a file; the digest is in every sample"));
    }
    if name == "input" && value.as_str() == Some("-") {
        return Err(Fault::new(place.clone(), "a batch cannot read standard input more than once")
            .hint("store it in a file, and name that"));
    }
    Ok(())
}
