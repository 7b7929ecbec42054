//! A value becomes an option's own type: what a flag accepts, a file accepts, with the same message.

use std::error::Error as _;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue};
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde_json::{Map, Value};
use toml::de::DeValue;

use super::item::Item;
use super::knobs::{Form, command, knob};
use super::source::Fault;
use crate::batch::expand::Number;
use crate::error::Error;
use crate::options::RunOptions;

/// Why a value is none of its option, with a hint.
pub(crate) type Refusal = (String, Option<String>);

/// Reads the value of an option, in its one canonical form: `size = "1e6"` is 1000000.
pub(super) fn typed(name: &str, item: &Item<'_>) -> Result<Value, Fault> {
    let plain = plain(item)?;
    canonical(name, plain)
        .map_err(|(what, hint)| Fault::new(item.place.clone(), what).hint_if(hint))
}

/// Writes a value as JSON: a float that is whole is an integer, as `1e6` is.
fn plain(item: &Item<'_>) -> Result<Value, Fault> {
    match item.value {
        DeValue::String(text) => Ok(Value::String(text.clone().into_owned())),
        DeValue::Boolean(value) => Ok(Value::Bool(*value)),
        DeValue::Datetime(date) => Ok(Value::String(date.to_string())),
        DeValue::Integer(_) => item.number().map(Number::to_json),
        DeValue::Float(float) => {
            // What is not finite is for the option's own parser to judge.
            Ok(Number::read(float.as_str())
                .map_or_else(|| Value::String(float.as_str().to_owned()), Number::to_json))
        }
        DeValue::Array(_) => {
            item.list()?.iter().map(plain).collect::<Result<_, _>>().map(Value::Array)
        }
        DeValue::Table(_) => {
            Err(Fault::new(item.place.clone(), "a table where a value is expected"))
        }
    }
}

/// Brings a JSON value into the canonical form of an option.
pub(crate) fn canonical(name: &str, value: Value) -> Result<Value, Refusal> {
    match knob(name).map(|knob| &knob.form) {
        Some(Form::Parameters) => match value {
            Value::Array(_) | Value::Object(_) | Value::Null => {
                Err((format!("`{name}`: a parameter is a number, a string or a boolean"), None))
            }
            scalar => Ok(scalar),
        },
        Some(Form::List) => match value {
            Value::Array(list) => list
                .into_iter()
                .map(|value| element(name, value))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            other => Err((
                format!("`{name}` is a list, and {} is none", shown(&other)),
                Some(format!("{name} = [\"…\"]")),
            )),
        },
        Some(_) => one(name, value),
        None => Err((format!("`{name}` is no option of a run"), None)),
    }
}

/// Brings one value of an option that takes many into its form; what is wrong with it, its own parser says.
fn element(name: &str, value: Value) -> Result<Value, Refusal> {
    let list = match alone(name, &Value::Array(vec![value.clone()])) {
        Ok(options) => options.spoken().swap_remove(name).unwrap_or_default(),
        Err(_) => as_typed(name, &value)?,
    };
    match list {
        Value::Array(mut list) if list.len() == 1 => Ok(list.remove(0)),
        other => Ok(other),
    }
}

fn one(name: &str, value: Value) -> Result<Value, Refusal> {
    if let Ok(options) = alone(name, &value) {
        return match value {
            // What is accepted as an integer is written as one.
            Value::Number(_) => Ok(value),
            _ => Ok(options.spoken().swap_remove(name).unwrap_or(value)),
        };
    }
    as_typed(name, &value)
}

/// Reads the options that consist of one value.
pub(crate) fn alone(name: &str, value: &Value) -> Result<RunOptions, serde_json::Error> {
    RunOptions::deserialize(MapDeserializer::new(std::iter::once((name, value))))
}

/// Reads options from values by name, those of parameters among them.
pub(crate) fn options<'a>(
    values: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Result<RunOptions, Error> {
    let mut map = Map::new();
    let mut parameters = Vec::new();
    for (name, value) in values {
        match name.strip_prefix("param.") {
            Some(key) => parameters.push(Value::String(format!("{key}={}", shown(value)))),
            None => {
                map.insert(name.to_owned(), value.clone());
            }
        }
    }
    if !parameters.is_empty() {
        map.insert("param".to_owned(), Value::Array(parameters));
    }
    RunOptions::deserialize(Value::Object(map)).map_err(|error| {
        Error::refused(format!("options that were read cannot be put together: {error}"))
    })
}

/// Reads a value as if it were typed after its flag, for what a file writes otherwise: a number for a
/// length of time, a text for a number.
fn as_typed(name: &str, value: &Value) -> Result<Value, Refusal> {
    let text = shown(value);
    let refused = |hint: Option<String>| {
        let about = knob(name).map(|knob| knob.about.clone());
        (format!("`{text}` is no value for `{name}`"), hint.or(about))
    };
    if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Array(_)) {
        return Err(refused(None));
    }
    let parsed = command()
        .try_get_matches_from([format!("--{name}={text}")])
        .and_then(|matches| RunOptions::from_arg_matches(&matches));
    match parsed {
        Ok(options) if !value.is_array() => {
            options.spoken().swap_remove(name).ok_or_else(|| refused(None))
        }
        _ if value.is_array() => {
            Err(refused(Some(format!("a list is an axis: matrix.{name} = […]"))))
        }
        Ok(_) => Err(refused(None)),
        Err(error) => {
            if let Some(own) = error.source().and_then(|source| source.downcast_ref::<Error>()) {
                let about = || knob(name).map(|knob| knob.about.clone());
                return Err((
                    format!("`{name}`: {own}"),
                    own.hint().map(str::to_owned).or_else(about),
                ));
            }
            let near = match error.get(ContextKind::SuggestedValue) {
                Some(ContextValue::String(near)) => Some(near.clone()),
                Some(ContextValue::Strings(near)) => near.first().cloned(),
                _ => None,
            };
            let near = near.map(|near| format!("did you mean `{near}`?"));
            let words = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(words)) => Some(format!("one of {}", words.join(", "))),
                _ => None,
            };
            Err(refused(near.or(words)))
        }
    }
}

/// Returns a value as text: as it would be typed after its flag.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(";"),
        other => other.to_string(),
    }
}
