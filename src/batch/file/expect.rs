//! `[expect]`: what a result must be, whatever its time.

use serde_json::Value;

use super::item::{Entry, Item};
use super::knobs;
use super::source::{Fault, Faults};
use super::typed::shown;
use crate::error::nearest;

/// What is expected of every record of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Expect {
    /// Results.
    pub(crate) len: Option<u64>,
    /// Of the output's bytes.
    pub(crate) digest: Option<String>,
    /// The first results.
    pub(crate) first: Option<Vec<Value>>,
    /// The last results.
    pub(crate) last: Option<Vec<Value>>,
    /// A kernel's named results.
    pub(crate) values: Vec<(String, Wanted)>,
}

/// A value that is expected, and how near is near enough.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// This one.
    Exactly(Value),
    /// One within `abs`, or within `rel` of the value.
    Near {
        /// What it should be.
        value: f64,
        /// Of its size.
        rel: f64,
        /// In its unit.
        abs: f64,
    },
}

impl Expect {
    /// What the keys are called.
    pub(super) const NAMES: [&str; 5] = ["len", "digest", "first", "last", "values"];

    /// Reads a table of expectations.
    pub(super) fn read(item: &Item<'_>, faults: &mut Faults) -> Self {
        let mut expect = Self::default();
        for entry in faults.keep(item.entries()).unwrap_or_default() {
            let taken = expect.take(&entry, faults);
            faults.keep(taken);
        }
        expect
    }

    fn take(&mut self, entry: &Entry<'_>, faults: &mut Faults) -> Result<(), Fault> {
        let item = &entry.item;
        match entry.name.as_str() {
            "len" => {
                let len = item.number()?.to_json().as_u64();
                let wrong = || Fault::new(item.place.clone(), "`len` is a whole number from 0 on");
                self.len = Some(len.ok_or_else(wrong)?);
            }
            "digest" => {
                let text = item.text()?;
                if !text.starts_with("blake3:") {
                    let what = format!("`{text}` is no digest of a result");
                    return Err(Fault::new(item.place.clone(), what)
                        .hint("blake3: and 64 hexadecimal digits, as `--json` shows it"));
                }
                self.digest = Some(text.to_owned());
            }
            "first" => self.first = Some(few(item, 3, "first")?),
            "last" => self.last = Some(few(item, 1, "last")?),
            "values" => {
                for entry in item.entries()? {
                    if let Some(wanted) = faults.keep(wanted(&entry.item)) {
                        self.values.push((entry.name, wanted));
                    }
                }
            }
            other => return Err(knobs::unknown(other, &entry.key, "expect", &Self::NAMES)),
        }
        Ok(())
    }

    /// Returns `self` where it speaks, `lower` elsewhere.
    #[must_use]
    pub(super) fn over(self, lower: &Self) -> Self {
        let Self { len, digest, first, last, mut values } = self;
        for (name, wanted) in &lower.values {
            if !values.iter().any(|(own, _)| own == name) {
                values.push((name.clone(), wanted.clone()));
            }
        }
        Self {
            len: len.or(lower.len),
            digest: digest.or_else(|| lower.digest.clone()),
            first: first.or_else(|| lower.first.clone()),
            last: last.or_else(|| lower.last.clone()),
            values,
        }
    }

    /// Compares a record with what is expected, and says everything that differs.
    pub(crate) fn check(&self, record: &Value) -> Result<(), String> {
        let result = record.get("result");
        let of = |key: &str| result.and_then(|result| result.get(key));
        let mut wrong = Vec::new();
        let mut compare = |what: &str, found: Option<&Value>, expected: &Value| match found {
            Some(found) if same(found, expected) => {}
            Some(found) => wrong.push(format!("{what} is {found}, expected {expected}")),
            None => wrong.push(format!("the record has no {what}, expected {expected}")),
        };
        if let Some(len) = self.len {
            compare("result.len", of("len"), &len.into());
        }
        if let Some(digest) = &self.digest {
            compare("result.digest", of("digest"), &Value::from(digest.as_str()));
        }
        if let Some(first) = &self.first {
            let found = of("first").and_then(Value::as_array);
            let start = found.map(|all| all.iter().take(first.len()).cloned().collect());
            compare("result.first", start.as_ref(), &first.clone().into());
        }
        if let Some(last) = &self.last {
            let found = of("last").and_then(Value::as_array);
            let skipped = found.map_or(0, Vec::len).saturating_sub(last.len());
            let end = found.map(|all| all.iter().skip(skipped).cloned().collect());
            compare("result.last", end.as_ref(), &last.clone().into());
        }
        for (name, wanted) in &self.values {
            wrong.extend(check_value(name, wanted, record));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

fn check_value(name: &str, wanted: &Wanted, record: &Value) -> Option<String> {
    let values = record.get("values").and_then(Value::as_object);
    let Some(found) = values.and_then(|values| values.get(name)) else {
        let names = values.into_iter().flat_map(|values| values.keys().map(String::as_str));
        let near = nearest(name, names);
        let near = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        return Some(format!("the record has no values.{name}{near}"));
    };
    match wanted {
        Wanted::Exactly(value) if same(found, value) => None,
        Wanted::Exactly(value) => Some(format!("values.{name} is {found}, expected {value}")),
        Wanted::Near { value, rel, abs } => {
            let off = real(found).map(|found| (found - value).abs());
            let allowed = abs.max(rel * value.abs());
            match off {
                Some(off) if off <= allowed => None,
                _ => Some(format!("values.{name} is {found}, expected {value} ± {allowed}")),
            }
        }
    }
}

/// Compares as numbers what are numbers: a record writes large integers as text.
fn same(found: &Value, expected: &Value) -> bool {
    if let (Value::Array(found), Value::Array(expected)) = (found, expected) {
        let both = || found.iter().zip(expected);
        return found.len() == expected.len()
            && both().all(|(found, expected)| same(found, expected));
    }
    let (found_text, expected_text) = (shown(found), shown(expected));
    match (found_text.parse::<i128>(), expected_text.parse::<i128>()) {
        (Ok(found), Ok(expected)) => found == expected,
        _ => match (real(found), real(expected)) {
            (Some(found), Some(expected)) => {
                found.to_bits() == expected.to_bits() || found == expected
            }
            _ => found_text.eq_ignore_ascii_case(&expected_text),
        },
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().filter(|value: &f64| !value.is_nan()),
        _ => None,
    }
}

/// Reads values of results, of which a record shows only a few.
fn few(item: &Item<'_>, most: usize, name: &str) -> Result<Vec<Value>, Fault> {
    let items = item.list()?;
    if items.len() > most {
        let what = format!("`{name}` has {} values, and a record shows {most}", items.len());
        return Err(Fault::new(item.place.clone(), what).hint("`digest` compares all of them"));
    }
    items.iter().map(value).collect()
}

fn value(item: &Item<'_>) -> Result<Value, Fault> {
    match item.value {
        toml::de::DeValue::String(text) => Ok(text.clone().into_owned().into()),
        toml::de::DeValue::Boolean(value) => Ok((*value).into()),
        toml::de::DeValue::Float(float) => {
            let text = float.as_str();
            let finite = text.parse().ok().filter(|value: &f64| value.is_finite());
            Ok(finite.map_or_else(|| Value::from(text.trim_start_matches('+')), Value::from))
        }
        _ => item.number().map(crate::batch::expand::Number::to_json),
    }
}

fn wanted(item: &Item<'_>) -> Result<Wanted, Fault> {
    if !item.value.is_table() {
        return value(item).map(Wanted::Exactly);
    }
    let (mut value, mut rel, mut abs) = (None, None, None);
    for entry in item.entries()? {
        match entry.name.as_str() {
            "value" => value = Some(entry.item.real()?),
            "rel" => rel = Some(entry.item.share()?),
            "abs" => abs = Some(entry.item.share()?),
            other => {
                let known = ["value", "rel", "abs"];
                return Err(knobs::unknown(other, &entry.key, "an expected value", &known));
            }
        }
    }
    let form = "{ value = 1.5, rel = 1e-12 }, or abs for a distance";
    match (value, rel, abs) {
        (None, ..) => {
            Err(Fault::new(item.place.clone(), "an expected value without `value`").hint(form))
        }
        (Some(_), None, None) => {
            Err(Fault::new(item.place.clone(), "neither `rel` nor `abs` says how near").hint(form))
        }
        (Some(value), rel, abs) => {
            Ok(Wanted::Near { value, rel: rel.unwrap_or(0.0), abs: abs.unwrap_or(0.0) })
        }
    }
}
