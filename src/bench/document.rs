//! The JSON of a bench: one schema, versioned, that only grows.

use serde_json::{Map, Value, json};

use super::{Measurement, Unit};
use crate::record;

impl Measurement {
    /// Returns it as one JSON document.
    pub(crate) fn to_json(&self) -> String {
        let mut document = Map::from_iter([
            ("schema".to_owned(), json!(1)),
            ("bench".to_owned(), json!(self.name.name())),
            ("status".to_owned(), json!("ok")),
            ("exit".to_owned(), json!(0)),
            ("procs".to_owned(), json!(self.procs)),
            ("cpus".to_owned(), json!(self.cpus)),
            ("definition".to_owned(), json!(self.definition)),
        ]);
        let unit = match self.unit {
            Unit::NsPerOp => "ns_per_op",
            Unit::BytesPerS => "bytes_per_s",
        };
        let mut parts = Map::new();
        for row in &self.rows {
            let summary = json!(row.summary);
            let figures = [
                (unit.to_owned(), summary.clone()),
                ("undisturbed_median".to_owned(), json!(row.undisturbed)),
            ];
            if row.name == self.main {
                document.extend(figures);
            } else {
                parts.insert(row.name.to_owned(), Value::Object(Map::from_iter(figures)));
            }
        }
        document.insert("measured".to_owned(), json!(self.main));
        document.insert("parts".to_owned(), Value::Object(parts));
        document.extend(self.facts.clone());
        document.insert("noise".to_owned(), json!(self.noise));
        document.insert("warnings".to_owned(), json!(self.warnings));
        document.insert("environment".to_owned(), Value::Object(record::environment()));
        Value::Object(document).to_string()
    }
}
