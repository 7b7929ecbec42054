//! A kernel's own parameters: declared with a type and a default, given as `--param KEY=VALUE`.

use crate::data::parse_count;
use crate::error::{Error, Explained, nearest};

/// One parameter that a kernel declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// The KEY of `--param KEY=VALUE`.
    pub name: &'static str,
    /// One line on what it does.
    pub about: &'static str,
    /// What values it takes.
    pub kind: ParamKind,
    /// The value if none is given.
    pub default: &'static str,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A time with a unit: `500ns`, `2us`, `1.5ms`, `1s`.
    Duration,
    /// A number from 0 to 1.
    Fraction,
    /// A whole number within these bounds, written as counts are: `1000`, `1_000`, `1e3`, `1Ki`.
    Whole {
        /// The least.
        least: u64,
        /// The greatest.
        greatest: u64,
    },
    /// A finite number.
    Number,
    /// A finite number above 0.
    Positive,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// The values of all parameters that a kernel declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(Vec<Given>);

#[derive(Clone, Debug, PartialEq)]
struct Given {
    name: &'static str,
    value: Value,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Nanoseconds(f64),
    Fraction(f64),
    Whole(u64),
    Number(f64),
    Choice(&'static str),
}

impl Params {
    /// Reads what was given, fills in the defaults, and refuses what is not declared.
    pub(crate) fn resolve(
        kernel: &str,
        declared: &'static [Param],
        given: &[(String, String)],
    ) -> Result<Self, Error> {
        for (key, _) in given {
            if !declared.iter().any(|param| param.name == key) {
                return Err(unknown(kernel, declared, key));
            }
        }
        declared
            .iter()
            .map(|param| {
                // The last of a repeated parameter wins, as for every option.
                let text = given
                    .iter()
                    .rev()
                    .find(|(key, _)| key == param.name)
                    .map_or(param.default, |(_, value)| value);
                let value = read(param, text).ok_or_else(|| unreadable(param, text))?;
                Ok(Given { name: param.name, value, text: text.to_owned() })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns each parameter with its value as text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|given| (given.name, given.text.as_str()))
    }

    /// Returns a [`ParamKind::Duration`] in nanoseconds.
    ///
    /// # Panics
    /// If the kernel did not declare such a parameter.
    #[must_use]
    pub fn nanoseconds(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Nanoseconds(ns) => ns,
            _ => panic!("parameter `{name}` was not declared as a duration"),
        }
    }

    /// Returns a [`ParamKind::Fraction`].
    ///
    /// # Panics
    /// If the kernel did not declare such a parameter.
    #[must_use]
    pub fn fraction(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Fraction(fraction) => fraction,
            _ => panic!("parameter `{name}` was not declared as a fraction"),
        }
    }

    /// Returns a [`ParamKind::Whole`].
    ///
    /// # Panics
    /// If the kernel did not declare such a parameter.
    #[must_use]
    pub fn whole(&self, name: &str) -> u64 {
        match self.value(name) {
            Value::Whole(whole) => whole,
            _ => panic!("parameter `{name}` was not declared as a whole number"),
        }
    }

    /// Returns a [`ParamKind::Number`] or a [`ParamKind::Positive`].
    ///
    /// # Panics
    /// If the kernel did not declare such a parameter.
    #[must_use]
    pub fn number(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Number(number) => number,
            _ => panic!("parameter `{name}` was not declared as a number"),
        }
    }

    /// Returns a [`ParamKind::Choice`].
    ///
    /// # Panics
    /// If the kernel did not declare such a parameter.
    #[must_use]
    pub fn choice(&self, name: &str) -> &'static str {
        match self.value(name) {
            Value::Choice(word) => word,
            _ => panic!("parameter `{name}` was not declared as a choice"),
        }
    }

    fn value(&self, name: &str) -> Value {
        self.0
            .iter()
            .find(|given| given.name == name)
            .map(|given| given.value)
            .unwrap_or_else(|| panic!("parameter `{name}` was not declared"))
    }
}

fn unknown(kernel: &str, declared: &[Param], key: &str) -> Error {
    let what = Explained::new(format!("kernel `{kernel}` has no parameter `{key}`"));
    let names = declared.iter().map(|param| param.name);
    Error::rejected(if let Some(name) = nearest(key, names.clone()) {
        what.hint(format!("did you mean `{name}`?"))
    } else if declared.is_empty() {
        what.hint("it takes none")
    } else {
        what.hint(format!("it takes {}", names.collect::<Vec<_>>().join(", ")))
    })
}

fn unreadable(param: &Param, text: &str) -> Error {
    let expected = match param.kind {
        ParamKind::Duration => "a time with its unit, 500ns, 2us, 1.5ms or 1s".to_owned(),
        ParamKind::Fraction => "a number from 0 to 1".to_owned(),
        ParamKind::Whole { least, greatest } => {
            format!("a whole number from {least} to {greatest}")
        }
        ParamKind::Number => "a finite number".to_owned(),
        ParamKind::Positive => "a finite number above 0".to_owned(),
        ParamKind::Choice(words) => format!("one of {}", words.join(", ")),
    };
    Error::rejected(
        Explained::new(format!("`{text}` is no value for parameter `{}`", param.name))
            .hint(format!("expected {expected}")),
    )
}

fn read(param: &Param, text: &str) -> Option<Value> {
    match param.kind {
        ParamKind::Duration => duration_ns(text).map(Value::Nanoseconds),
        ParamKind::Fraction => {
            text.parse().ok().filter(|value| (0.0..=1.0).contains(value)).map(Value::Fraction)
        }
        ParamKind::Whole { least, greatest } => parse_count(text)
            .ok()
            .filter(|value| (least..=greatest).contains(value))
            .map(Value::Whole),
        ParamKind::Number => finite(text).map(Value::Number),
        ParamKind::Positive => finite(text).filter(|value| *value > 0.0).map(Value::Number),
        ParamKind::Choice(words) => {
            words.iter().find(|word| **word == text).map(|word| Value::Choice(word))
        }
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Reads a time with its unit, in nanoseconds.
pub(crate) fn duration_ns(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("min", 60e9),
        ("s", 1e9),
        ("h", 3600e9),
    ];
    let unit = text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ')?;
    // `1e3ns`: an exponent is part of the number.
    let unit = if text[unit..].starts_with(['e', 'E']) {
        unit + 1 + text[unit + 1..].find(|c: char| c.is_ascii_alphabetic() || c == 'µ')?
    } else {
        unit
    };
    let (number, unit) = text.split_at(unit);
    let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let number: f64 = number.trim().parse().ok()?;
    let ns = number * factor;
    (ns.is_finite() && ns >= 0.0).then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &[Param] = &[
        Param { name: "cost", about: "", kind: ParamKind::Duration, default: "1us" },
        Param { name: "serial", about: "", kind: ParamKind::Fraction, default: "0" },
        Param {
            name: "dist",
            about: "",
            kind: ParamKind::Choice(&["const", "exp"]),
            default: "const",
        },
        Param {
            name: "steps",
            about: "",
            kind: ParamKind::Whole { least: 1, greatest: 2000 },
            default: "10",
        },
        Param { name: "scalar", about: "", kind: ParamKind::Number, default: "3" },
        Param { name: "span", about: "", kind: ParamKind::Positive, default: "3" },
    ];

    fn resolve(given: &[(&str, &str)]) -> Result<Params, Error> {
        let given: Vec<_> = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Params::resolve("spin", DECLARED, &given)
    }

    #[test]
    fn fills_in_defaults_and_lets_the_last_one_win() {
        let params = resolve(&[("cost", "5ms"), ("cost", "2.5us")]).unwrap();
        assert!((params.nanoseconds("cost") - 2500.0).abs() < 1e-9);
        assert!(params.fraction("serial").abs() < 1e-9);
        assert_eq!(params.choice("dist"), "const");
        assert_eq!(params.whole("steps"), 10);
        assert!((params.number("scalar") - 3.0).abs() < 1e-9);
        let params = resolve(&[("steps", "2e3"), ("scalar", "-1.5e-3")]).unwrap();
        assert_eq!(params.whole("steps"), 2000);
        assert!((params.number("scalar") + 0.0015).abs() < 1e-9);
    }

    #[test]
    fn refuses_unknown_names_and_values_of_the_wrong_kind() {
        assert_eq!(resolve(&[("costs", "1us")]).unwrap_err().hint(), Some("did you mean `cost`?"));
        for (key, value) in [
            ("cost", "2"),
            ("cost", "-1us"),
            ("cost", "inf s"),
            ("serial", "1.5"),
            ("dist", "normal"),
            ("steps", "0"),
            ("steps", "2001"),
            ("steps", "1.5"),
            ("scalar", "inf"),
            ("scalar", "three"),
            ("span", "0"),
            ("span", "nan"),
        ] {
            assert!(resolve(&[(key, value)]).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn reads_times_in_every_unit() {
        for (text, ns) in [
            ("1ns", 1.0),
            ("2us", 2e3),
            ("2µs", 2e3),
            ("1.5ms", 1.5e6),
            ("1s", 1e9),
            ("1min", 60e9),
            ("1h", 3600e9),
            ("1e3ns", 1e3),
        ] {
            assert_eq!(duration_ns(text), Some(ns), "{text}");
        }
        for text in ["", "1", "s", "1 parsec", "-1s", "NaNs", "1e999s"] {
            assert_eq!(duration_ns(text), None, "{text}");
        }
    }
}
