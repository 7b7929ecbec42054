//! The JSON Schema of a batch file, for editors: made from the table the reader uses.

use serde_json::{Map, Value, json};

use super::expect::Expect;
use super::hooks::Hooks;
use super::knobs::{Form, Knob, is_numeric, knobs};
use super::policy::Order;
use super::reference::Metric;

/// Returns the schema.
pub(crate) fn schema() -> Value {
    let options =
        knobs().iter().map(|knob| (knob.name.clone(), described(value(knob), &knob.about)));
    let defaults: Map<String, Value> = options.clone().chain(rules()).collect();
    let mut job: Map<String, Value> =
        options.chain(rules().into_iter().filter(|(name, _)| name != "order")).collect();
    job.insert("name".to_owned(), reference("name"));
    job.insert("matrix".to_owned(), table(varied(axis), "Axes: the cross product of all of them"));
    let columns = table(varied(|item| json!({"type": "array", "items": item, "minItems": 1})), "");
    job.insert(
        "zip".to_owned(),
        json!({"type": "array", "items": columns, "description": "Lists that advance together"}),
    );
    let some = table(varied(|item| item), "");
    for (name, about) in [
        ("exclude", "Points to drop: those in which all keys are equal"),
        ("include", "Points to add: each gives a value to every axis"),
    ] {
        job.insert(name.to_owned(), json!({"type": "array", "items": some, "description": about}));
    }
    let text = json!({"type": "string"});
    let numeric = varied_of(|knob| is_numeric(&knob.name), |_| text.clone());
    job.insert("derive".to_owned(), table(numeric, "Expressions: \"25_000 * procs\""));
    for name in ["hooks", "expect", "reference"] {
        job.insert(name.to_owned(), reference(name));
    }
    let mut job = closed(job);
    if let Some(job) = job.as_object_mut() {
        job.insert("required".to_owned(), json!(["name"]));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spmd batch",
        "type": "object",
        "required": ["version", "job"],
        "additionalProperties": false,
        "properties": {
            "version": {"const": 1, "description": "The version of this format"},
            "name": reference("name"),
            "defaults": reference("defaults"),
            "job": {"type": "array", "items": job, "minItems": 1, "description": "What to run"},
            "profile": {"type": "object", "additionalProperties": reference("defaults"),
                "description": "Layers above the jobs, chosen by --profile"},
            "hooks": reference("hooks"),
            "expect": reference("expect"),
            "reference": reference("reference"),
        },
        "$defs": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", "maxLength": 100},
            "defaults": closed(defaults),
            "hooks": hooks(),
            "expect": expect(),
            "reference": references(),
            "range": {
                "type": "object",
                "description": "Both ends included; by steps or by factors",
                "required": ["from", "to"],
                "additionalProperties": false,
                "properties": {"from": number(), "to": number(), "step": number(), "mul": number()},
            },
            "point": table(varied(|item| item), "Options that a point has"),
        },
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn number() -> Value {
    json!({"type": ["number", "string"]})
}

fn share() -> Value {
    json!({"type": ["number", "string"], "description": "A share: 0.1 or \"10%\""})
}

fn closed(properties: Map<String, Value>) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn table(properties: Map<String, Value>, about: &str) -> Value {
    described(closed(properties), about)
}

fn described(mut schema: Value, about: &str) -> Value {
    if let Some(schema) = schema.as_object_mut().filter(|_| !about.is_empty()) {
        schema.insert("description".to_owned(), about.into());
    }
    schema
}

/// Returns the schema of one value of an option: what its flag takes is fine as text too.
fn value(knob: &Knob) -> Value {
    match &knob.form {
        Form::Switch => json!({"type": ["boolean", "string"]}),
        Form::Number => json!({"type": ["number", "string"]}),
        Form::Words(words) => json!({"type": "string", "enum": words}),
        Form::Text => json!({"type": ["string", "number"]}),
        Form::List => json!({"type": "array", "items": {"type": "string"}}),
        Form::Parameters => json!({"type": "object", "additionalProperties": parameter()}),
    }
}

fn parameter() -> Value {
    json!({"type": ["number", "string", "boolean"]})
}

/// Returns every option as a key, its schema made from that of one of its values.
fn varied(of: impl Fn(Value) -> Value) -> Map<String, Value> {
    varied_of(|_| true, of)
}

fn varied_of(wanted: impl Fn(&Knob) -> bool, of: impl Fn(Value) -> Value) -> Map<String, Value> {
    let wanted =
        knobs().iter().filter(|knob| matches!(knob.form, Form::Parameters) || wanted(knob));
    wanted
        .map(|knob| {
            let schema = match knob.form {
                Form::Parameters => {
                    json!({"type": "object", "additionalProperties": of(parameter())})
                }
                _ => of(value(knob)),
            };
            (knob.name.clone(), described(schema, &knob.about))
        })
        .collect()
}

/// An axis: a list, or a range.
fn axis(item: Value) -> Value {
    json!({"anyOf": [{"type": "array", "items": item, "minItems": 1}, reference("range")]})
}

fn rules() -> Vec<(String, Value)> {
    let orders = Order::NAMES.map(|(name, _)| name);
    [
        ("repeats", json!({"type": "integer", "minimum": 1, "description": "Trials of each point, at most"})),
        ("target-ci", described(share(), "A point is finished when half its interval is this share of the median")),
        ("max-time", json!({"type": ["string", "number"], "description": "For all trials of a point: 30s, 5m"})),
        ("order", json!({"type": "string", "enum": orders, "description": "In which order trials run"})),
        ("on-fail", json!({
            "type": "string",
            "pattern": "^(continue|skip-job|stop|stop-after:[0-9.]+%?)$",
            "description": "What a failed trial does: continue, skip-job, stop, stop-after:3, stop-after:10%",
        })),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
    .into()
}

fn hooks() -> Value {
    let names = Hooks::NAMES.map(|name| (name.to_owned(), json!({"type": "string"})));
    table(names.into_iter().collect(), "Shell commands around trials")
}

fn expect() -> Value {
    let any = json!({"type": ["number", "string", "boolean"]});
    let near = json!({
        "type": "object",
        "required": ["value"],
        "additionalProperties": false,
        "properties": {"value": number(), "rel": share(), "abs": number()},
    });
    let property = |name: &str| match name {
        "len" => json!({"type": "integer", "minimum": 0}),
        "digest" => json!({"type": "string", "pattern": "^blake3:"}),
        "values" => json!({"type": "object", "additionalProperties": {"anyOf": [any, near]}}),
        "first" => json!({"type": "array", "items": any, "maxItems": 3}),
        _ => json!({"type": "array", "items": any, "maxItems": 1}),
    };
    let properties = Expect::NAMES.map(|name| (name.to_owned(), property(name)));
    table(properties.into_iter().collect(), "What results must be")
}

fn references() -> Value {
    let one = json!({
        "type": "object",
        "required": ["value", "tolerance"],
        "additionalProperties": false,
        "properties": {"value": number(), "tolerance": share(), "when": reference("point")},
    });
    let either = json!({"anyOf": [one, {"type": "array", "items": one}]});
    let properties = Metric::NAMES.map(|(name, _)| (name.to_owned(), either.clone()));
    table(
        properties.into_iter().collect(),
        "How fast points must be: missed, the batch exits with 4",
    )
}
