//! The JSON of a diagnosis: one schema, versioned, that only grows.

use serde_json::{Value, json};

use super::{Diagnosis, Finding, Grade};
use crate::error::Exit;

impl Diagnosis {
    /// Returns it as one JSON document, with the exit code it comes to.
    pub(crate) fn to_json(&self, exit: Exit) -> String {
        let finding = |finding: &Finding| {
            json!({
                "name": finding.name,
                "level": finding.grade.word(),
                "stops": finding.grade == Grade::Stop,
                "found": finding.found,
                "why": finding.why,
                "fix": finding.fix,
            })
        };
        json!({
            "schema": 1,
            "status": exit.status(),
            "exit": exit.code(),
            "ok": self.count(Grade::Well),
            "notes": self.count(Grade::Note),
            "warnings": self.count(Grade::Warning) + self.count(Grade::Stop),
            "stops": self.count(Grade::Stop),
            "findings": self.findings.iter().map(finding).collect::<Vec<Value>>(),
        })
        .to_string()
    }
}
