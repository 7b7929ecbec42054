//! Values of a batch file with their places, and what they are read as.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::source::{Fault, Place};
use crate::batch::expand::Number;

/// A value and where it stands: in the file, or in an argument of `--set`.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) value: &'a DeValue<'a>,
    pub(super) place: Place,
}

/// A value under its name.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    /// A parameter of a kernel is `param.x`.
    pub(super) name: String,
    pub(super) key: Place,
    pub(super) item: Item<'a>,
}

impl<'a> Item<'a> {
    /// Returns the place of a part: an argument is one place.
    fn part(&self, span: Range<usize>) -> Place {
        match &self.place {
            Place::File(_) => Place::File(span),
            other => other.clone(),
        }
    }

    fn expected(&self, what: &str) -> Fault {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        Fault::new(self.place.clone(), format!("{found} where {what} is expected"))
    }

    /// Returns the text of a string.
    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.expected("a string")),
        }
    }

    /// Returns the items of a list.
    pub(super) fn list(&self) -> Result<Vec<Item<'a>>, Fault> {
        match self.value {
            DeValue::Array(list) => Ok(list
                .iter()
                .map(|value| Item { value: value.get_ref(), place: self.part(value.span()) })
                .collect()),
            _ => Err(self.expected("a list")),
        }
    }

    /// Returns the tables of a list of tables.
    pub(super) fn tables(&self) -> Result<Vec<Item<'a>>, Fault> {
        match self.list() {
            Ok(items) if items.iter().all(|item| item.value.is_table()) => Ok(items),
            Ok(_) | Err(_) => Err(self.expected("a list of tables")),
        }
    }

    /// Returns the entries of a table.
    pub(super) fn entries(&self) -> Result<Vec<Entry<'a>>, Fault> {
        match self.value {
            DeValue::Table(table) => Ok(self.entries_of(table)),
            _ => Err(self.expected("a table")),
        }
    }

    fn entries_of(&self, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
        let entry = |(key, value): (&'a toml::Spanned<_>, &'a toml::Spanned<DeValue<'a>>)| {
            let name: &toml::de::DeString<'a> = key.get_ref();
            Entry {
                name: name.clone().into_owned(),
                key: self.part(key.span()),
                item: Item { value: value.get_ref(), place: self.part(value.span()) },
            }
        };
        table.iter().map(entry).collect()
    }

    /// Returns the entries of a table of options, where `param` is a table of parameters.
    pub(super) fn options(&self) -> Result<Vec<Entry<'a>>, Fault> {
        let mut flat = Vec::new();
        for entry in self.entries()? {
            if entry.name != "param" {
                flat.push(entry);
                continue;
            }
            let parameters = entry
                .item
                .entries()
                .map_err(|fault| fault.hint("`param` is a table: param.cost = \"1us\""))?;
            flat.extend(
                parameters.into_iter().map(|p| Entry { name: format!("param.{}", p.name), ..p }),
            );
        }
        Ok(flat)
    }

    /// Returns a number, which may be written as a count is: `"4Ki"`.
    pub(super) fn number(&self) -> Result<Number, Fault> {
        let number = match self.value {
            DeValue::Integer(integer) => {
                i128::from_str_radix(integer.as_str(), integer.radix()).ok().map(Number::whole)
            }
            DeValue::Float(float) => Number::read(float.as_str()),
            DeValue::String(text) => Number::read(text),
            _ => None,
        };
        number.ok_or_else(|| self.expected("a number"))
    }

    /// Returns a number, a decimal as the fraction it is.
    pub(super) fn exact(&self) -> Result<Number, Fault> {
        match self.value {
            DeValue::Float(float) => {
                Number::decimal(float.as_str()).map_or_else(|| self.number(), Ok)
            }
            _ => self.number(),
        }
    }

    /// Returns a finite number.
    pub(super) fn real(&self) -> Result<f64, Fault> {
        self.number().map(Number::real)
    }

    /// Returns a share: `0.1`, or `"10%"`.
    pub(super) fn share(&self) -> Result<f64, Fault> {
        let percent = match self.value {
            DeValue::String(text) => text.strip_suffix('%'),
            _ => None,
        };
        let share = match percent {
            Some(percent) => percent.trim().parse().ok().map(|percent: f64| percent / 100.0),
            None => self.real().ok(),
        };
        share
            .filter(|share| share.is_finite() && *share >= 0.0)
            .ok_or_else(|| self.expected("a share such as \"10%\" or 0.1"))
    }
}
