//! The JSON that `hyperfine --export-json` writes, for the tools that read it: plots, trackers of
//! performance.
//!
//! Of a point the command is its name. `times` are those of passes that succeeded, `exit_codes` those of all
//! trials. Their readers insist on `user` and `system`: the first is how long ranks computed, all together;
//! the second is 0, as nobody counted it.

use serde_json::{Map, Value, json};

use super::study::{Point, Study, cell};

pub(super) fn text(study: &Study) -> String {
    let results: Vec<Value> =
        study.points.iter().filter_map(|point| result(study, point)).collect();
    let mut text = serde_json::to_string_pretty(&json!({ "results": results })).unwrap_or_default();
    text.push('\n');
    text
}

/// `None` for a point without a time.
fn result(study: &Study, point: &Point) -> Option<Value> {
    let figures = point.figures.as_ref()?;
    let parameters: Map<String, Value> = study
        .varying
        .iter()
        .zip(&point.options)
        .filter_map(|(name, value)| Some((name.clone(), cell(Some(value.as_ref()?)).into())))
        .collect();
    Some(json!({
        "command": point.id,
        "mean": figures.mean,
        "stddev": figures.deviation,
        "median": figures.median,
        "user": figures.busy,
        "system": 0.0,
        "min": figures.min,
        "max": figures.max,
        "times": point.times,
        "exit_codes": point.exits,
        "parameters": parameters,
    }))
}
