//! What was asked of a run: by this, points of two results are the same.
//!
//! It is the options that can change a result or its time, as a batch's key has them, and neither program,
//! machine nor job: these are what is compared. How often a pass was made before and what was verified
//! after the timed ones does not count either.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::batch::deciding;

/// Options that do not change the time of a pass.
const APART: [&str; 3] = ["warmup", "verify", "tag"];
/// Fields that a record has beside its `params`, in the order they are shown.
const FIELDS: [&str; 4] = ["kernel", "procs", "size", "dtype"];

/// Options by name, their values as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Asked(BTreeMap<String, String>);

impl Asked {
    /// Reads it off a record; `Err` says which field is missing.
    pub(crate) fn of(record: &Value) -> Result<Self, String> {
        let params = record["params"].as_object().cloned().unwrap_or_default();
        let mut asked = BTreeMap::new();
        flatten(&mut asked, "", &deciding(params));
        asked.retain(|name, _| !APART.contains(&name.as_str()));
        for name in FIELDS {
            match &record[name] {
                Value::Null if asked.contains_key(name) => {}
                Value::Null => return Err(format!("there is no `{name}`")),
                value => drop(asked.insert(name.to_owned(), text(value))),
            }
        }
        Ok(Self(asked))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns what the two do not agree on: name, and both values.
    pub(crate) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
        let others = other.0.keys().filter(|name| !self.0.contains_key(*name));
        let names = self.0.keys().chain(others).map(String::as_str);
        let pairs = names.map(|name| (name, self.get(name), other.get(name)));
        pairs.filter(|(_, one, two)| one != two).collect()
    }

    /// Returns the names of which not all have the same value, most telling first.
    pub(crate) fn varying<'a>(all: &[&'a Self]) -> Vec<&'a str> {
        let Some(first) = all.first() else { return Vec::new() };
        let mut names: Vec<&str> = Vec::new();
        for one in all {
            for (name, ..) in first.differences(one) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let place = |name: &str| FIELDS.iter().position(|field| *field == name);
        names.sort_by_key(|name| (place(name).unwrap_or(FIELDS.len()), *name));
        names
    }
}

fn flatten(into: &mut BTreeMap<String, String>, before: &str, options: &Map<String, Value>) {
    for (name, value) in options {
        match value {
            // One level is all there is; deeper is shown as it is.
            Value::Object(inner) if before.is_empty() => flatten(into, &format!("{name}."), inner),
            value => drop(into.insert(format!("{before}{name}"), text(value))),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(procs: u32, params: Value) -> Value {
        json!({"kernel": "square", "procs": procs, "size": 10, "dtype": "i64", "params": params})
    }

    fn asked(procs: u32, params: Value) -> Asked {
        Asked::of(&record(procs, params)).unwrap()
    }

    #[test]
    fn the_same_question_has_the_same_name_whoever_asked() {
        let one = asked(2, json!({"schedule": "static", "repeats": 3, "timeout": "3s"}));
        let mut other = record(2, json!({"schedule": "static", "repeats": 9, "warmup": 2}));
        other["job"] = "nightly".into();
        other["key"] = "0123456789ab".into();
        other["environment"] = json!({"host": "elsewhere"});
        assert_eq!(one, Asked::of(&other).unwrap());
    }

    #[test]
    fn what_may_change_the_time_is_told_apart() {
        let one = asked(2, json!({"schedule": "static", "param": {"work": "3"}}));
        let two = asked(2, json!({"schedule": "steal", "param": {"work": "4"}, "in-place": true}));
        let differences = one.differences(&two);
        assert_eq!(
            differences,
            [
                ("param.work", Some("3"), Some("4")),
                ("schedule", Some("static"), Some("steal")),
                ("in-place", None, Some("true")),
            ]
        );
        let three = asked(4, json!({"schedule": "static", "param": {"work": "3"}}));
        assert_eq!(Asked::varying(&[&one, &two, &three])[..2], ["procs", "in-place"]);
    }

    #[test]
    fn a_record_without_a_kernel_is_no_point() {
        assert_eq!(Asked::of(&json!([])), Err("there is no `kernel`".to_owned()));
        assert_eq!(Asked::of(&json!({"kernel": "x"})), Err("there is no `procs`".to_owned()));
    }
}
