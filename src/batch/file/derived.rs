//! `derive.<option>`: expressions of a job, resolved once and checked at every point.

use std::collections::BTreeMap;

use super::axes::Axes;
use super::item::Entry;
use super::knobs::{self, is_numeric, knob};
use super::layer::{Given, Layer};
use super::source::{Fault, Faults, Place};
use super::typed::{alone, canonical, shown};
use crate::batch::expand::{Expression, Number};
use crate::batch::job::{Derived, Job, Operand};
use crate::error::nearest;

/// A derived option as it was read, its names not yet looked up.
pub(super) struct Pending {
    pub(super) name: String,
    pub(super) given: Given<Expression>,
    /// Where its text begins, if every byte of that is a byte of the file.
    text: Option<usize>,
    value: Place,
}

impl Pending {
    /// Reads an entry of `derive`.
    pub(super) fn read(entry: &Entry<'_>, section: &str, origin: &str) -> Result<Self, Fault> {
        let Entry { name, key, item } = entry;
        if knob(name).is_none() {
            let known: Vec<&str> =
                knobs::option_names().into_iter().filter(|name| is_numeric(name)).collect();
            return Err(knobs::unknown(name, key, section, &known));
        }
        if !is_numeric(name) {
            let what = format!("`{name}` is no number, so it cannot be derived");
            return Err(Fault::new(key.clone(), what).hint("a zip pairs values of any kind"));
        }
        let text = item.text().map_err(|fault| {
            fault.hint(format!("an expression: derive.{name} = \"25_000 * procs\""))
        })?;
        let begins = match &item.place {
            // Quotes of one character, and nothing escaped.
            Place::File(span) if span.len() == text.len() + 2 => Some(span.start + 1),
            _ => None,
        };
        let read = |value| Self {
            name: name.clone(),
            given: Given { value, place: key.clone(), origin: origin.to_owned() },
            text: begins,
            value: item.place.clone(),
        };
        Expression::read(text).map(read).map_err(|misread| {
            let place = match begins {
                Some(begins) => Place::File(begins + misread.at..begins + misread.at + 1),
                None => item.place.clone(),
            };
            Fault::new(place, format!("expression `{text}`: {}", misread.what)).hint(
                "+ - * / %, parentheses, min max floor ceil round, and names of numeric options",
            )
        })
    }

    fn place(&self, at: usize, length: usize) -> Place {
        match self.text {
            Some(begins) => Place::File(begins + at..begins + at + length),
            None => self.value.clone(),
        }
    }
}

/// Looks up every name, and orders expressions so that each needs only those before it.
pub(super) fn resolve(
    read: Vec<Pending>,
    axes: &Axes,
    plain: &BTreeMap<String, Given>,
    built_in: &Layer,
    faults: &mut Faults,
) -> Vec<Derived> {
    let mut waiting = read;
    let mut done: Vec<Derived> = Vec::new();
    while !waiting.is_empty() {
        let names: Vec<String> = waiting.iter().map(|read| read.name.clone()).collect();
        let ready = waiting.iter().position(|read| {
            !read.given.value.names().iter().any(|name| names.contains(&name.text))
        });
        let Some(ready) = ready else {
            faults.add(cycle(&waiting));
            return done;
        };
        let read = waiting.remove(ready);
        let mut operands = Vec::new();
        for name in read.given.value.names() {
            let place = read.place(name.at, name.text.len());
            let found = operand(&name.text, place, axes, plain, built_in, &done);
            operands.extend(faults.keep(found));
        }
        done.push(Derived { given: read.given, name: read.name, operands });
    }
    done
}

fn operand(
    name: &str,
    place: Place,
    axes: &Axes,
    plain: &BTreeMap<String, Given>,
    built_in: &Layer,
    done: &[Derived],
) -> Result<Operand, Fault> {
    let no_number = |value: &serde_json::Value| {
        let what = format!("`{name}` is `{}`, which is no number", shown(value));
        Fault::new(place.clone(), what)
    };
    if let Some(at) = done.iter().position(|derived| derived.name == name) {
        return Ok(Operand::Derived(at));
    }
    if let Some(at) = axes.axes.iter().position(|axis| axis.name == name) {
        let values = axes.axes.get(at).map_or(&[][..], |axis| &axis.values);
        return match values.iter().find(|value| Number::of(value).is_none()) {
            Some(value) => Err(no_number(value)),
            None => Ok(Operand::Axis(at)),
        };
    }
    if let Some(given) = plain.get(name).or_else(|| built_in.options.get(name)) {
        let number = Number::of(&given.value).map(Operand::Number);
        return number.ok_or_else(|| no_number(&given.value));
    }
    if knob(name).is_some() {
        let what = format!("`{name}` has no value in this job");
        return Err(
            Fault::new(place, what).hint("give it by itself, in matrix, in a zip, or derive it")
        );
    }
    let fault = Fault::new(place, format!("no option is called `{name}`"));
    let own =
        axes.axes.iter().map(|axis| axis.name.as_str()).chain(plain.keys().map(String::as_str));
    let known = knobs::option_names().into_iter().filter(|name| is_numeric(name)).chain(own);
    Err(match nearest(name, known) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint("names are numeric options of the point: procs, size, seed, param.x"),
    })
}

/// Says which expressions need one another: at least one is its own operand in the end.
fn cycle(waiting: &[Pending]) -> Fault {
    let next = |read: &Pending| {
        let names = read.given.value.names();
        names.iter().find_map(|name| waiting.iter().position(|other| other.name == name.text))
    };
    // Whoever follows names for as long as there are expressions is on a cycle.
    let mut at = 0;
    for _ in 0..waiting.len() {
        at = waiting.get(at).and_then(next).unwrap_or(at);
    }
    let start = at;
    let mut path = Vec::new();
    let mut place = Place::Unknown;
    while let Some(read) = waiting.get(at) {
        if path.is_empty() {
            place = read.given.place.clone();
        }
        path.push(format!("`{}`", read.name));
        at = next(read).unwrap_or(start);
        if at == start {
            break;
        }
    }
    path.extend(path.first().cloned());
    Fault::new(place, format!("derived from itself: {}", path.join(" needs ")))
}

/// Computes every derived option of every point, and checks that it is a value of its option.
pub(super) fn check(job: &Job) -> Result<(), Fault> {
    if job.derived.is_empty() {
        return Ok(());
    }
    let mut numbers = Vec::new();
    let mut accepted: Vec<Option<Number>> = vec![None; job.derived.len()];
    for point in job.points() {
        let fault = |at: usize, why: String| {
            let place = job.derived.get(at).map_or(Place::Unknown, |d| d.given.place.clone());
            Fault::new(place, format!("at `{}`: {why}", job.label(point)))
        };
        if let Err((at, why)) = job.derive(point, &mut numbers) {
            let rounded = "floor(…), ceil(…) or round(…) makes a fraction whole";
            let hint = why.contains("no whole number").then(|| rounded.to_owned());
            return Err(fault(at, why).hint_if(hint));
        }
        for (at, ((derived, number), last)) in
            job.derived.iter().zip(&numbers).zip(&mut accepted).enumerate()
        {
            if *last == Some(*number) {
                continue;
            }
            let value = number.to_json();
            if !derived.name.starts_with("param.") && alone(&derived.name, &value).is_err() {
                // Some forms are accepted that are not the option's own.
                let (what, hint) = match canonical(&derived.name, value) {
                    Ok(_) => (format!("`{}` is {}", derived.name, number.shown()), None),
                    Err(refusal) => refusal,
                };
                return Err(fault(at, what).hint_if(hint));
            }
            *last = Some(*number);
        }
    }
    Ok(())
}
