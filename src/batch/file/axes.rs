//! Axes of a job: `matrix.<option>`, `[[job.zip]]`, and the values that `exclude` and `include` name.

use std::collections::HashMap;

use serde_json::Value;

use super::axis_values::{list, range};
use super::item::{Entry, Item};
use super::layer::refuse_stdout;
use super::source::{Fault, Place};
use super::typed::{shown, typed};
use crate::batch::expand::Excluded;
use crate::error::nearest;

/// One axis: an option and its values.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) name: String,
    /// Of the product, then those that only an include has.
    pub(crate) values: Vec<Value>,
    /// Which group it advances with.
    pub(crate) group: usize,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    /// Where it is from, for people, without the line.
    pub(crate) origin: String,
}

/// How an axis advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By itself.
    Matrix,
    /// With others.
    Zip,
}

/// All axes of a job, and how many rows each group has in the product.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axes {
    pub(crate) axes: Vec<Axis>,
    pub(crate) rows: Vec<usize>,
}

impl Axes {
    /// Reads one axis of a matrix.
    pub(super) fn take_matrix(
        &mut self,
        entry: &Entry<'_>,
        section: &str,
        origin: &str,
    ) -> Result<(), Fault> {
        let values = match entry.item.value {
            toml::de::DeValue::Table(_) => range(entry, section)?,
            _ => list(entry, section)?,
        };
        self.rows.push(values.len());
        self.axes.push(Axis {
            name: entry.name.clone(),
            values,
            group: self.rows.len() - 1,
            kind: Kind::Matrix,
            place: entry.key.clone(),
            origin: origin.to_owned(),
        });
        Ok(())
    }

    /// Reads one group of columns.
    pub(super) fn take_zip(
        &mut self,
        item: &Item<'_>,
        section: &str,
        origin: &str,
    ) -> Result<(), Fault> {
        let group = self.rows.len();
        let mut length: Option<(String, usize)> = None;
        let mut columns = Vec::new();
        for entry in item.options()? {
            let values = list(&entry, section)?;
            match &length {
                Some((name, length)) if *length != values.len() => {
                    return Err(Fault::new(
                        entry.item.place.clone(),
                        format!(
                            "`{}` has {} values, and `{name}` has {length}",
                            entry.name,
                            values.len()
                        ),
                    )
                    .hint("the lists of one [[job.zip]] advance together: equal lengths"));
                }
                Some(_) => {}
                None => length = Some((entry.name.clone(), values.len())),
            }
            let origin = origin.to_owned();
            columns.push(Axis {
                name: entry.name,
                values,
                group,
                kind: Kind::Zip,
                place: entry.key,
                origin,
            });
        }
        let Some((_, length)) = length else {
            return Err(Fault::new(item.place.clone(), "a zip without lists"));
        };
        self.rows.push(length);
        self.axes.extend(columns);
        Ok(())
    }

    /// Replaces an axis of the matrix by another of the same name, where it stands.
    pub(super) fn replace(&mut self, entry: &Entry<'_>, origin: &str) -> Result<(), Fault> {
        let Some(at) = self.axes.iter().position(|axis| axis.name == entry.name) else {
            return self.take_matrix(entry, "--set", origin);
        };
        let mut read = Self::default();
        read.take_matrix(entry, "--set", origin)?;
        if let (Some(new), Some(old)) = (read.axes.pop(), self.axes.get_mut(at)) {
            if let Some(rows) = self.rows.get_mut(old.group) {
                *rows = new.values.len();
            }
            *old = Axis { group: old.group, ..new };
        }
        Ok(())
    }

    /// Says whether an axis is a column of a zip, and does not advance alone.
    pub(super) fn is_zipped(&self, axis: &Axis) -> bool {
        axis.kind == Kind::Zip
    }

    /// Returns the classes of each group's rows: rows of one class hold the same values.
    pub(super) fn classes(&self) -> Vec<(u32, Vec<u32>)> {
        self.rows
            .iter()
            .enumerate()
            .map(|(group, rows)| {
                let columns: Vec<&Axis> =
                    self.axes.iter().filter(|axis| axis.group == group).collect();
                let all = columns.first().map_or(0, |axis| axis.values.len());
                let classes = match columns.as_slice() {
                    // A range has no value twice, and may be long.
                    [axis] if axis.values.windows(2).all(ascend) => (0..all).map(number).collect(),
                    _ => {
                        let mut first: HashMap<Vec<String>, u32> = HashMap::new();
                        (0..all)
                            .map(|row| {
                                let row_of = |axis: &&Axis| {
                                    axis.values.get(row).map_or_else(String::new, shown)
                                };
                                *first
                                    .entry(columns.iter().map(row_of).collect())
                                    .or_insert(number(row))
                            })
                            .collect()
                    }
                };
                (number(*rows), classes)
            })
            .collect()
    }

    /// Reads an entry of `exclude`.
    pub(super) fn excluded(&self, item: &Item<'_>, section: &str) -> Result<Excluded, Fault> {
        let entries = item.options()?;
        if entries.is_empty() {
            return Err(Fault::new(item.place.clone(), "an exclude that names no axis"));
        }
        let mut excluded: Excluded = vec![None; self.rows.len()];
        let mut replaced = false;
        let mut shown_entry = Vec::new();
        for entry in entries {
            let axis = self.axis(&entry, section)?;
            replaced |= matches!(axis.place, Place::Argument(_));
            let wanted = shown(&typed(&entry.name, &entry.item)?);
            let rows = self.rows.get(axis.group).copied().unwrap_or(0);
            let same = axis.values.iter().take(rows).enumerate();
            let matched =
                same.filter(|(_, value)| shown(value) == wanted).map(|(row, _)| number(row));
            if let Some(slot) = excluded.get_mut(axis.group) {
                let matched: Vec<u32> = matched.collect();
                *slot = Some(match slot.take() {
                    // Two columns of one zip: the rows that both match.
                    Some(before) => {
                        before.into_iter().filter(|row| matched.contains(row)).collect()
                    }
                    None => matched,
                });
            }
            shown_entry.push(format!("{}={wanted}", entry.name));
        }
        let nothing = excluded.iter().flatten().any(Vec::is_empty);
        if nothing && !replaced {
            return Err(Fault::new(
                item.place.clone(),
                format!(
                    "excludes nothing: no point of {section} has {}",
                    shown_entry.join(" and ")
                ),
            )
            .hint("an entry drops the points in which all its keys are equal"));
        }
        Ok(excluded)
    }

    /// Reads an entry of `include`: its row of each group, which it adds where there is none.
    pub(super) fn included(&mut self, item: &Item<'_>, section: &str) -> Result<Vec<u32>, Fault> {
        let mut values: HashMap<String, Value> = HashMap::new();
        for entry in item.options()? {
            self.axis(&entry, section)?;
            let value = typed(&entry.name, &entry.item)?;
            refuse_stdout(&entry.name, &value, &entry.item.place)?;
            values.insert(entry.name, value);
        }
        let missing: Vec<String> = self
            .axes
            .iter()
            .filter(|axis| !values.contains_key(&axis.name))
            .map(|axis| format!("`{}`", axis.name))
            .collect();
        if !missing.is_empty() {
            return Err(Fault::new(
                item.place.clone(),
                format!("an include without {}", missing.join(" and ")),
            )
            .hint("an included point gives a value to every axis of its job"));
        }
        if self.axes.is_empty() {
            return Err(Fault::new(
                item.place.clone(),
                format!("{section} has no axes to include in"),
            ));
        }
        let mut rows = Vec::with_capacity(self.rows.len());
        for group in 0..self.rows.len() {
            let mut row = None;
            for axis in self.axes.iter_mut().filter(|axis| axis.group == group) {
                row = row.or(Some(number(axis.values.len())));
                if let Some(value) = values.remove(&axis.name) {
                    axis.values.push(value);
                }
            }
            rows.push(row.unwrap_or(0));
        }
        Ok(rows)
    }

    fn axis(&self, entry: &Entry<'_>, section: &str) -> Result<&Axis, Fault> {
        self.axes.iter().find(|axis| axis.name == entry.name).ok_or_else(|| {
            let what = format!("`{}` is no axis of {section}", entry.name);
            let names = || self.axes.iter().map(|axis| axis.name.as_str());
            let hint = nearest(&entry.name, names()).map_or_else(
                || match names().collect::<Vec<_>>() {
                    none if none.is_empty() => "the job has neither a matrix nor a zip".to_owned(),
                    names => format!("its axes are {}", names.join(", ")),
                },
                |near| format!("did you mean `{near}`?"),
            );
            Fault::new(entry.key.clone(), what).hint(hint)
        })
    }
}

fn ascend(pair: &[Value]) -> bool {
    match pair {
        [left, right] => match (left.as_u64(), right.as_u64()) {
            (Some(left), Some(right)) => left < right,
            _ => false,
        },
        _ => false,
    }
}

fn number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}
