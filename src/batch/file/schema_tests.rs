//! The schema and the reader agree: on every file of `configs/`, and on files that are wrong.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Asked, Batch, schema};
use crate::options::RunOptions;

const EVERYTHING: &str = include_str!("any_text.toml");

/// Says what a value breaks of a schema, of as much of the standard as ours uses.
fn broken(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let rule = |name: &str| schema.get(name);
    if let Some(target) = rule("$ref").and_then(Value::as_str) {
        return broken(root, root.pointer(target.trim_start_matches('#')).unwrap(), value, at);
    }
    if let Some(any) = rule("anyOf").and_then(Value::as_array) {
        return any
            .iter()
            .all(|schema| broken(root, schema, value, at).is_some())
            .then(|| format!("{at}: none of anyOf"));
    }
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("{other}"),
    };
    let right = rule("type").is_none_or(|kind| match kind.as_array() {
        Some(kinds) => kinds.iter().any(is),
        None => is(kind),
    });
    if !right {
        return Some(format!("{at}: {value} is not {}", rule("type").unwrap()));
    }
    if rule("const").is_some_and(|wanted| wanted != value) {
        return Some(format!("{at}: {value} is not the constant"));
    }
    if rule("enum").is_some_and(|words| !words.as_array().unwrap().contains(value)) {
        return Some(format!("{at}: {value} is no word of it"));
    }
    if let Some(map) = value.as_object() {
        let required = rule("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.map(|name| name.as_str().unwrap()) {
            if !map.contains_key(name) {
                return Some(format!("{at}: no {name}"));
            }
        }
        return map.iter().find_map(|(key, value)| {
            let at = format!("{at}/{key}");
            let known = rule("properties").and_then(|properties| properties.get(key));
            match known.or(rule("additionalProperties")) {
                Some(Value::Bool(false)) => Some(format!("{at}: not known")),
                Some(schema) => broken(root, schema, value, &at),
                None => None,
            }
        });
    }
    let items = value.as_array().zip(rule("items"))?;
    items.0.iter().find_map(|value| broken(root, items.1, value, at))
}

fn by_schema(text: &str) -> Option<String> {
    let value = serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
    broken(&schema(), &schema(), &value, "")
}

fn by_reader(text: &str) -> Option<String> {
    let above = RunOptions::default();
    let asked = Asked { profile: None, sets: &[], above: &above, origin: &|_| String::new() };
    let read = Batch::parse(Path::new("x.toml"), text, &asked);
    read.err().map(|error| format!("{error} {:?}", error.details()))
}

#[test]
fn every_config_is_right_by_the_schema_and_by_the_reader() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let files = fs::read_dir(configs).unwrap().map(|entry| entry.unwrap().path());
    let mut texts = vec![("any_text.toml".into(), EVERYTHING.to_owned())];
    for file in files.filter(|file| file.file_name().unwrap() != "defaults.toml") {
        if file.extension().is_some_and(|extension| extension == "toml") {
            texts.push((file.clone(), fs::read_to_string(file).unwrap()));
        }
    }
    for (file, text) in texts {
        assert_eq!((by_schema(&text), by_reader(&text)), (None, None), "{}", file.display());
    }
}

#[test]
fn what_the_schema_refuses_the_reader_refuses() {
    for (from, to) in [
        ("version = 1", "version = 2"),
        ("version = 1", ""),
        ("[defaults]", "[default]"),
        ("kernel = \"square\"\ndtype", "kernal = \"square\"\ndtype"),
        ("verify = \"sample\"", "verify = \"some\""),
        ("order = \"shuffled\"", "order = \"random\""),
        ("repeats = 10", "repeats = \"ten\""),
        ("setup = \"true\"", "start = \"true\""),
        ("first = [0, 1.5, \"4\"]", "frist = []"),
        ("rel = 1e-9", "relative = 1e-9"),
        ("tolerance = \"10%\"", "tol = \"10%\""),
        ("when = { procs = 4, ", "when = { proc = 4, "),
        ("name = \"strong\"", "title = \"strong\""),
        ("matrix.procs = [1, 2, 4]", "matrix.proc = [1, 2, 4]"),
        ("matrix.procs = [1, 2, 4]", "matrix.procs = 4"),
        ("mul = 2 }", "times = 2 }"),
        ("derive.size = \"25_000", "derive.dtype = \"25_000"),
        ("[[job.zip]]\nkernel", "[[job.zips]]\nkernel"),
        ("procs = 4\n", "progress = \"never\"\n"),
    ] {
        let text = EVERYTHING.replacen(from, to, 1);
        assert_ne!(text, EVERYTHING, "{from}");
        assert!(by_schema(&text).is_some(), "{to}: the schema accepts it");
        assert!(by_reader(&text).is_some(), "{to}: the reader accepts it");
    }
}

#[test]
fn the_schema_says_which_standard_it_follows() {
    let standard = json!("https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema().get("$schema"), Some(&standard));
}
