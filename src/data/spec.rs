//! Where an array comes from and where it goes, as typed after `--input` and `--output`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::count::parse_integer;
use crate::data::shown;
use crate::data::text::scan;
use crate::error::{Error, Explained};

/// Where an array comes from.
///
/// Serialized as the text it was typed as; a path that is not UTF-8 loses what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum InputSpec {
    /// `1,2,3`.
    Literals(String),
    /// `range:A:B`: the integers from `first` up to, not including, `end`.
    Range {
        /// The first.
        first: i128,
        /// The one after the last.
        end: i128,
    },
    /// `FILE.npy`.
    Npy(PathBuf),
    /// `FILE.csv`.
    Csv(PathBuf),
    /// `FILE.txt`.
    Txt(PathBuf),
    /// `FILE.bin`: elements and nothing else, in this machine's order.
    Bin(PathBuf),
    /// `-`.
    Stdin,
}

/// Where an array goes.
///
/// Serialized as the text it was typed as; a path that is not UTF-8 loses what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum OutputSpec {
    /// `FILE.npy`.
    Npy(PathBuf),
    /// `FILE.bin`: elements and nothing else, in this machine's order.
    Bin(PathBuf),
    /// `FILE.csv`.
    Csv(PathBuf),
    /// `FILE.txt`: one value a line.
    Txt(PathBuf),
    /// `FILE.png`: a picture, for kernels that make one.
    Png(PathBuf),
    /// `-`: one value a line.
    Stdout,
}

impl InputSpec {
    /// Reads what was typed, which as a path may be anything.
    pub fn from_os(text: &OsStr) -> Result<Self, Error> {
        let mut fault = None;
        if let Some(text) = text.to_str() {
            if text == "-" {
                return Ok(Self::Stdin);
            }
            if let Some(range) = text.strip_prefix("range:") {
                return parse_range(text, range);
            }
            match scan(text.as_bytes()) {
                // One line without comments: more is a file's contents, not a list.
                Ok(_) if !text.contains(['\n', '#']) => return Ok(Self::Literals(text.to_owned())),
                Ok(_) => {}
                Err(error) => fault = Some(error),
            }
        }
        let path = PathBuf::from(text);
        match extension(&path).as_deref() {
            Some("npy") => Ok(Self::Npy(path)),
            Some("csv") => Ok(Self::Csv(path)),
            Some("txt") => Ok(Self::Txt(path)),
            Some("bin") => Ok(Self::Bin(path)),
            _ => {
                let shown = shown::path(&path);
                // With a comma it was meant as a list, and the place helps.
                let why = match fault {
                    Some(fault) if shown.contains(',') => format!(" ({fault})"),
                    _ => String::new(),
                };
                Err(Error::rejected(
                    Explained::new(format!(
                        "input `{shown}` is neither numbers nor a known file{why}"
                    ))
                    .hint(
                        "1,2,3, or range:A:B, or a file that ends in \
                             .npy, .csv, .txt or .bin, or - for standard input",
                    ),
                ))
            }
        }
    }
}

impl OutputSpec {
    /// Reads what was typed, which as a path may be anything.
    pub fn from_os(text: &OsStr) -> Result<Self, Error> {
        if text == "-" {
            return Ok(Self::Stdout);
        }
        let path = PathBuf::from(text);
        match extension(&path).as_deref() {
            Some("npy") => Ok(Self::Npy(path)),
            Some("bin") => Ok(Self::Bin(path)),
            Some("csv") => Ok(Self::Csv(path)),
            Some("txt") => Ok(Self::Txt(path)),
            Some("png") => Ok(Self::Png(path)),
            _ => Err(Error::rejected(
                Explained::new(format!("output `{}` has no known extension", shown::path(&path)))
                    .hint("a file that ends in .npy, .bin, .csv, .txt or .png, or - for standard output"),
            )),
        }
    }

    /// Returns the file it is; `None` for standard output.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Npy(path)
            | Self::Bin(path)
            | Self::Csv(path)
            | Self::Txt(path)
            | Self::Png(path) => Some(path),
            Self::Stdout => None,
        }
    }
}

fn parse_range(text: &str, range: &str) -> Result<InputSpec, Error> {
    /// One more than the largest u64: the end of the largest range there is.
    const LIMIT: i128 = 1 << 64;
    let wrong = |what: String, hint: &str| {
        let shown = text.escape_debug();
        Error::rejected(Explained::new(format!("input `{shown}`: {what}")).hint(hint))
    };
    let form = "range:A:B is the integers from A up to, not including, B";
    let (first, end) = range.split_once(':').ok_or_else(|| wrong("no second `:`".into(), form))?;
    let number = |text: &str| {
        let value = parse_integer(text)
            .map_err(|error| wrong(error.to_string(), error.hint().unwrap_or(form)))?;
        if (-LIMIT..=LIMIT).contains(&value) {
            Ok(value)
        } else {
            Err(wrong(format!("`{text}` is beyond 2^64"), form))
        }
    };
    let (first, end) = (number(first)?, number(end)?);
    if first > end {
        return Err(wrong(format!("the range begins at {first}, after its end {end}"), form));
    }
    Ok(InputSpec::Range { first, end })
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

impl FromStr for InputSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_os(OsStr::new(text))
    }
}

impl FromStr for OutputSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_os(OsStr::new(text))
    }
}

impl TryFrom<String> for InputSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::from_os(&OsString::from(text))
    }
}

impl TryFrom<String> for OutputSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::from_os(&OsString::from(text))
    }
}

impl From<InputSpec> for String {
    fn from(spec: InputSpec) -> Self {
        spec.to_string()
    }
}

impl From<OutputSpec> for String {
    fn from(spec: OutputSpec) -> Self {
        spec.to_string()
    }
}

impl fmt::Display for InputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literals(text) => f.write_str(text),
            Self::Range { first, end } => write!(f, "range:{first}:{end}"),
            Self::Npy(path) | Self::Csv(path) | Self::Txt(path) | Self::Bin(path) => {
                write!(f, "{}", path.display())
            }
            Self::Stdin => f.write_str("-"),
        }
    }
}

impl fmt::Display for OutputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Npy(path)
            | Self::Csv(path)
            | Self::Txt(path)
            | Self::Bin(path)
            | Self::Png(path) => {
                write!(f, "{}", path.display())
            }
            Self::Stdout => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn tells_the_forms_of_input_apart() {
        let literals = |text: &str| InputSpec::Literals(text.to_owned());
        for (text, spec) in [
            ("-", InputSpec::Stdin),
            ("", literals("")),
            ("5", literals("5")),
            ("-5", literals("-5")),
            ("1,2,3", literals("1,2,3")),
            ("1.5, nan", literals("1.5, nan")),
            ("range:0:10", InputSpec::Range { first: 0, end: 10 }),
            ("range:-1:-1", InputSpec::Range { first: -1, end: -1 }),
            ("range:-3:18446744073709551616", InputSpec::Range { first: -3, end: 1 << 64 }),
            ("x.npy", InputSpec::Npy("x.npy".into())),
            ("a/b.X.CSV", InputSpec::Csv("a/b.X.CSV".into())),
            ("1,2.txt", InputSpec::Txt("1,2.txt".into())),
            ("x.bin", InputSpec::Bin("x.bin".into())),
        ] {
            assert_eq!(text.parse::<InputSpec>().unwrap(), spec, "{text}");
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!(
            "range:0:1e3".parse::<InputSpec>().unwrap(),
            InputSpec::Range { first: 0, end: 1000 }
        );
    }

    #[test]
    fn refuses_other_inputs_and_says_why() {
        for (text, message) in [
            ("x", "input `x` is neither numbers nor a known file"),
            (".npy", "input `.npy` is neither numbers nor a known file"),
            (
                "1,,2",
                "input `1,,2` is neither numbers nor a known file \
                 (line 1, column 3: no number before the comma)",
            ),
            ("1\n2", "input `1\\n2` is neither numbers nor a known file"),
            ("range:3", "input `range:3`: no second `:`"),
            ("range:3:1", "input `range:3:1`: the range begins at 3, after its end 1"),
            ("range:a:1", "input `range:a:1`: count `a` is not a number"),
            ("range:0:1e30", "input `range:0:1e30`: `1e30` is beyond 2^64"),
            ("range:0:1:2", "input `range:0:1:2`: count `1:2` ends in `:2`"),
        ] {
            assert_eq!(text.parse::<InputSpec>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn tells_the_forms_of_output_apart() {
        for (text, spec) in [
            ("-", OutputSpec::Stdout),
            ("x.npy", OutputSpec::Npy("x.npy".into())),
            ("x.BIN", OutputSpec::Bin("x.BIN".into())),
            ("x.csv", OutputSpec::Csv("x.csv".into())),
            ("x.txt", OutputSpec::Txt("x.txt".into())),
            ("a/x.png", OutputSpec::Png("a/x.png".into())),
        ] {
            assert_eq!(text.parse::<OutputSpec>().unwrap(), spec);
            assert_eq!(spec.to_string(), text);
        }
        let error = "x.dat".parse::<OutputSpec>().unwrap_err();
        assert_eq!(error.to_string(), "output `x.dat` has no known extension");
    }

    #[test]
    fn takes_paths_that_are_not_utf8() {
        let text = OsStr::from_bytes(b"\xff.npy");
        assert_eq!(InputSpec::from_os(text).unwrap(), InputSpec::Npy(text.into()));
        assert_eq!(OutputSpec::from_os(text).unwrap(), OutputSpec::Npy(text.into()));
        let error = InputSpec::from_os(OsStr::from_bytes(b"\xff.x")).unwrap_err();
        assert_eq!(error.to_string(), "input `\\xff.x` is neither numbers nor a known file");
    }

    #[test]
    fn is_a_string_in_json() {
        let spec: InputSpec = serde_json::from_str("\"x.npy\"").unwrap();
        assert_eq!(serde_json::to_string(&spec).unwrap(), "\"x.npy\"");
        assert!(serde_json::from_str::<OutputSpec>("\"x\"").is_err());
    }
}
