//! The values of an axis: a list, or a range.

use serde_json::Value;

use super::item::Entry;
use super::knobs::{self, knob};
use super::layer::refuse_stdout;
use super::source::Fault;
use super::typed::{alone, canonical, typed};
use crate::batch::expand::{MOST_POINTS, Number};

fn check_name(entry: &Entry<'_>, section: &str) -> Result<(), Fault> {
    if entry.name == "repeats" {
        return Err(Fault::new(entry.key.clone(), "`repeats` cannot be an axis")
            .hint("it says how often each point is run, and is the same for a whole job"));
    }
    if knob(&entry.name).is_none() {
        let known = knobs::option_names();
        return Err(knobs::unknown(&entry.name, &entry.key, section, &known));
    }
    Ok(())
}

/// Reads a list of values.
pub(super) fn list(entry: &Entry<'_>, section: &str) -> Result<Vec<Value>, Fault> {
    check_name(entry, section)?;
    let items = entry.item.list().map_err(|fault| {
        fault.hint("values of an axis are a list, or { from, to, step } or { from, to, mul }")
    })?;
    if items.is_empty() {
        return Err(Fault::new(
            entry.item.place.clone(),
            format!("`{}` has no values", entry.name),
        ));
    }
    items
        .iter()
        .map(|item| {
            let value = typed(&entry.name, item)?;
            refuse_stdout(&entry.name, &value, &item.place)?;
            Ok(value)
        })
        .collect()
}

/// Reads `{ from, to, step }` or `{ from, to, mul }`: both ends included.
pub(super) fn range(entry: &Entry<'_>, section: &str) -> Result<Vec<Value>, Fault> {
    check_name(entry, section)?;
    let place = &entry.item.place;
    let wrong = |what: String| Fault::new(place.clone(), what);
    let (mut from, mut to, mut step, mut mul) = (None, None, None, None);
    for part in entry.item.entries()? {
        let slot = match part.name.as_str() {
            "from" => &mut from,
            "to" => &mut to,
            "step" => &mut step,
            "mul" => &mut mul,
            other => {
                let known = ["from", "to", "step", "mul"];
                return Err(knobs::unknown(other, &part.key, "a range", &known));
            }
        };
        *slot = Some(part.item.exact()?);
    }
    let form = "{ from = 1, to = 16, step = 1 } or { from = 1, to = 16, mul = 2 }";
    let (Some(from), Some(to)) = (from, to) else {
        return Err(wrong("a range needs `from` and `to`".to_owned()).hint(form));
    };
    let zero = Number::whole(0);
    let one = Number::whole(1);
    let upwards = match (step, mul) {
        (Some(step), None) if step.order(zero).is_ne() => step.order(zero).is_gt(),
        (None, Some(mul))
            if mul.order(zero).is_gt()
                && mul.order(one).is_ne()
                && from.order(zero).is_gt()
                && to.order(zero).is_gt() =>
        {
            mul.order(one).is_gt()
        }
        (Some(_), None) => return Err(wrong("a range with a step of 0 has no end".to_owned())),
        (None, Some(_)) => {
            let what =
                "a range that multiplies needs ends above 0, and a factor above 0 that is not 1";
            return Err(wrong(what.to_owned()));
        }
        _ => return Err(wrong("a range needs either `step` or `mul`".to_owned()).hint(form)),
    };
    let beyond = |at: Number| if upwards { at.order(to).is_gt() } else { at.order(to).is_lt() };
    // A range of steps that is too long is seen before it is made; one of factors never lasts.
    let steps = step.map_or(0.0, |step| (to.real() - from.real()) / step.real());
    if steps >= MOST_POINTS as f64 {
        return Err(wrong(format!("a range of more than {MOST_POINTS} values")));
    }
    let mut values = Vec::new();
    let mut at = from;
    let mut count = 0_i128;
    while !beyond(at) {
        if values.len() as u64 >= MOST_POINTS {
            return Err(wrong(format!("a range of more than {MOST_POINTS} values")));
        }
        let value = at.to_json();
        values.push(match alone(&entry.name, &value) {
            Ok(_) if value.is_number() && !entry.name.starts_with("param.") => value,
            _ => canonical(&entry.name, value).map_err(|(what, hint)| wrong(what).hint_if(hint))?,
        });
        count += 1;
        at = match (step, mul) {
            // From the start: where these are floats, their errors do not add up.
            (Some(step), _) => Number::whole(count).times(step).and_then(|way| from.plus(way)),
            (_, Some(mul)) => at.times(mul),
            (None, None) => break,
        }
        .map_err(wrong)?;
    }
    if values.is_empty() {
        return Err(wrong(format!(
            "a range from {} to {} has no values",
            from.shown(),
            to.shown()
        )));
    }
    Ok(values)
}
