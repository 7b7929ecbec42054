//! A job as it was read: its points, and what each of them is to run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::expand::{Expression, Number, Point, Space};
use super::file::{
    Axes, Expect, Given, Hooks, Layer, OnFail, Reference, Rules, Source, options, shown,
};
use crate::error::{Error, Explained};
use crate::options::{RunOptions, Span};

/// One `[[job]]`, with every layer but the built-in one laid over another.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Unique in its batch.
    pub(crate) name: String,
    /// Trials of a point, at most.
    pub(crate) repeats: u32,
    /// A point is finished when half the interval of its median is this share of it.
    pub(crate) target_ci: Option<f64>,
    /// No trial of a point begins after its trials have taken this long together.
    pub(crate) max_time: Option<Span>,
    /// What a trial that is not ok does.
    pub(crate) on_fail: OnFail,
    /// Its own hooks, beside those of the batch.
    pub(crate) hooks: Hooks,
    /// What its results must be.
    pub(crate) expect: Option<Expect>,
    /// How fast its points must be.
    pub(crate) references: Vec<Reference>,
    pub(super) rules: Rules,
    /// Options that are the same for all points.
    pub(super) plain: BTreeMap<String, Given>,
    /// The same, put together.
    pub(super) base: RunOptions,
    /// Below everything.
    pub(super) built_in: Arc<Layer>,
    pub(super) axes: Axes,
    /// In an order in which each needs only those before it.
    pub(super) derived: Vec<Derived>,
    pub(super) space: Space,
    pub(super) source: Arc<Source>,
}

/// A derived option.
#[derive(Clone, Debug)]
pub(crate) struct Derived {
    pub(crate) given: Given<Expression>,
    pub(crate) name: String,
    /// Where each name of the expression has its number from.
    pub(crate) operands: Vec<Operand>,
}

/// Where a number of an expression is from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operand {
    /// It is the same for all points.
    Number(Number),
    /// The axis of this number.
    Axis(usize),
    /// The derived option of this number.
    Derived(usize),
}

impl Job {
    /// Returns the number of points.
    pub(crate) fn len(&self) -> usize {
        self.space.len()
    }

    /// Returns the points, in the order of the file: the first axis slowest, includes last.
    pub(crate) fn points(&self) -> impl ExactSizeIterator<Item = Point> + use<> {
        self.space.points()
    }

    /// Returns what a point is to run: all layers but the built-in one. Repeats are not in it: they are
    /// trials of their own.
    pub(crate) fn options(&self, point: Point) -> Result<RunOptions, Error> {
        let varied = self.varied(point)?;
        let patch = options(varied.iter().map(|(name, value)| (*name, &**value)))?;
        let parameters = patch.param.clone();
        // What varies is nothing that the base speaks of, so that an empty list is one here too.
        let mut all = patch.over(self.base.clone());
        // Parameters are merged one by one: a point varies one, and keeps the others.
        all.param = self.base.param.clone();
        all.param.extend(parameters);
        Ok(all)
    }

    /// Returns every option of a point by name, `param.x` for a parameter, with the built-in defaults.
    pub(crate) fn settings(&self, point: Point) -> Result<Map<String, Value>, Error> {
        let mut all = Map::new();
        for (name, given) in self.built_in.options.iter().chain(&self.plain) {
            all.insert(name.clone(), given.value.clone());
        }
        for (name, value) in self.varied(point)? {
            all.insert(name.to_owned(), value.into_owned());
        }
        Ok(all)
    }

    /// Returns the value of one option of a point, the built-in default among them.
    pub(crate) fn value(&self, point: Point, name: &str) -> Option<Cow<'_, Value>> {
        if let Some((_, value)) = self.axis_values(point).find(|(axis, _)| *axis == name) {
            return Some(Cow::Borrowed(value));
        }
        if let Some(at) = self.derived.iter().position(|derived| derived.name == name) {
            let mut numbers = Vec::new();
            self.derive(point, &mut numbers).ok()?;
            return numbers.get(at).map(|number| Cow::Owned(number.to_json()));
        }
        let given = self.plain.get(name).or_else(|| self.built_in.options.get(name));
        given.map(|given| Cow::Borrowed(&given.value))
    }

    /// Returns the values of a point's axes.
    pub(crate) fn axes(&self, point: Point) -> Vec<(String, Value)> {
        self.axis_values(point).map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }

    /// Returns what a point is called: `strong/procs=4,schedule=fac2`, or the job's name if it has no axes.
    pub(crate) fn label(&self, point: Point) -> String {
        let mut label = self.name.clone();
        for (number, (name, value)) in self.axis_values(point).enumerate() {
            label.push(if number == 0 { '/' } else { ',' });
            label.push_str(name);
            label.push('=');
            label.push_str(&shown(value));
        }
        label
    }

    /// Returns every option and rule of a point with its value and where that is from.
    pub(crate) fn origins(&self, point: Point) -> Result<Vec<(String, Value, String)>, Error> {
        let mut all: BTreeMap<String, (Value, String)> = BTreeMap::new();
        for (name, given) in self.built_in.options.iter().chain(&self.plain) {
            all.insert(
                name.clone(),
                (given.value.clone(), self.source.origin(&given.place, &given.origin)),
            );
        }
        for (name, value, place, origin) in self.rules.spoken() {
            all.insert(name.to_owned(), (value, self.source.origin(place, origin)));
        }
        let varied = self.varied(point)?;
        let axes = self.axes.axes.iter().map(|axis| (&axis.place, &axis.origin));
        let places = axes.chain(self.derived.iter().map(|d| (&d.given.place, &d.given.origin)));
        for ((name, value), (place, origin)) in varied.into_iter().zip(places) {
            let origin = self.source.origin(place, origin);
            all.insert(name.to_owned(), (value.into_owned(), origin));
        }
        Ok(all.into_iter().map(|(name, (value, origin))| (name, value, origin)).collect())
    }

    fn axis_values(&self, point: Point) -> impl Iterator<Item = (&str, &Value)> {
        self.axes.axes.iter().filter_map(move |axis| {
            let value = axis.values.get(self.space.row(point, axis.group))?;
            Some((axis.name.as_str(), value))
        })
    }

    /// Returns what differs from point to point: axes, then derived options.
    fn varied(&self, point: Point) -> Result<Vec<(&str, Cow<'_, Value>)>, Error> {
        let axes = self.axis_values(point);
        let mut all: Vec<_> = axes.map(|(name, value)| (name, Cow::Borrowed(value))).collect();
        let mut numbers = Vec::new();
        self.derive(point, &mut numbers).map_err(|(derived, why)| {
            let name = self.derived.get(derived).map_or("", |derived| &derived.name);
            Error::rejected(Explained::new(format!("{}: derive.{name}: {why}", self.label(point))))
        })?;
        all.extend(
            self.derived
                .iter()
                .zip(numbers)
                .map(|(derived, number)| (derived.name.as_str(), Cow::Owned(number.to_json()))),
        );
        Ok(all)
    }

    /// Computes a point's derived options, in their order; else says which has no value, and why.
    pub(super) fn derive(
        &self,
        point: Point,
        numbers: &mut Vec<Number>,
    ) -> Result<(), (usize, String)> {
        numbers.clear();
        let mut given = Vec::new();
        for (at, derived) in self.derived.iter().enumerate() {
            given.clear();
            for operand in &derived.operands {
                let number = match operand {
                    Operand::Number(number) => Some(*number),
                    Operand::Axis(axis) => self.axes.axes.get(*axis).and_then(|axis| {
                        Number::of(axis.values.get(self.space.row(point, axis.group))?)
                    }),
                    Operand::Derived(before) => numbers.get(*before).copied(),
                };
                given.push(number.ok_or_else(|| (at, "an operand is no number".to_owned()))?);
            }
            numbers.push(derived.given.value.value(&given).map_err(|why| (at, why))?);
        }
        Ok(())
    }
}
