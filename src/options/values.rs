//! The values of options: one type each, read alike from a flag, a variable and a file.

use std::ffi::OsStr;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::{parse_count, text_in_files};
use crate::error::{Error, Explained};
use crate::host::affinity::CpuSet;
use crate::kernel::duration_ns;
use crate::shm::MAX_PROCS;

/// How many ranks: a number, or as many as the machine suggests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Procs {
    /// As many as the affinity mask, the CPU quota and the physical cores allow.
    Auto,
    /// So many.
    Exactly(NonZeroU32),
}

impl FromStr for Procs {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = text.parse().ok().filter(|&n: &u32| whole && n <= MAX_PROCS);
        count.and_then(NonZeroU32::new).map(Self::Exactly).ok_or_else(|| {
            Error::rejected(
                Explained::new(format!("`{text}` is no number of ranks"))
                    .hint(format!("1 to {MAX_PROCS}, or auto")),
            )
        })
    }
}

impl fmt::Display for Procs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(n) => write!(f, "{n}"),
        }
    }
}

impl Serialize for Procs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Exactly(n) => serializer.serialize_u32(n.get()),
        }
    }
}

impl<'de> Deserialize<'de> for Procs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(deserializer)
    }
}

/// A count of indices: `1_000_000`, `1e6`, `4Mi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

impl FromStr for Count {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse_count(text).map(Self)
    }
}

impl Serialize for Count {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(deserializer)
    }
}

/// Reads `4` and `"4"` alike: a file may write a number as a number.
fn number_or_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: FromStr<Err = Error>,
{
    struct Either<T>(std::marker::PhantomData<T>);
    impl<T: FromStr<Err = Error>> serde::de::Visitor<'_> for Either<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or its text")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }
    deserializer.deserialize_any(Either(std::marker::PhantomData))
}

/// A length of time with its unit: `500ms`, `30s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // `5m` is five minutes here; a kernel's parameter, which means milliseconds more often,
        // spells it `min`.
        let spelled = match text.strip_suffix('m') {
            Some(minutes) => format!("{minutes}min"),
            None if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => format!("{text}s"),
            None => text.to_owned(),
        };
        let ns = duration_ns(&spelled).filter(|ns| (1.0..1e18).contains(ns));
        ns.map(|ns| Self(Duration::from_secs_f64(ns / 1e9))).ok_or_else(|| {
            Error::rejected(
                Explained::new(format!("`{text}` is no length of time"))
                    .hint("a number with its unit: 500ms, 30s, 5m, 1h"),
            )
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f64())
    }
}

text_in_files!(Span);

/// A path as typed. Serialized as text; what is not UTF-8 in it is lost there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(pub PathBuf);

impl FilePath {
    /// Reads what was typed, which may be anything but nothing.
    ///
    /// # Errors
    /// [`Error::Rejected`] if it is empty.
    pub fn from_os(text: &OsStr) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::rejected("an empty path names no file"));
        }
        Ok(Self(PathBuf::from(text)))
    }
}

impl FromStr for FilePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_os(OsStr::new(text))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

text_in_files!(FilePath);

/// `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyValue {
    /// Before the first `=`.
    pub key: String,
    /// After it.
    pub value: String,
}

impl FromStr for KeyValue {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(Error::rejected(format!("`{text}` is not of the form KEY=VALUE"))),
        }
    }
}

impl fmt::Display for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

text_in_files!(KeyValue);

impl Serialize for CpuSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number_or_text(deserializer)
    }
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] #[value(name = $word)] $variant),+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

words! {
    /// What a rank is pinned to.
    Bind {
        /// A core of its own while there are enough; the second hardware thread of each after that.
        Core = "core",
        /// A hardware thread; those of one core are neighbours.
        Hwthread = "hwthread",
        /// Nothing: the operating system moves ranks as it likes.
        None = "none",
    }
}

words! {
    /// How ranks are laid over the machine.
    Map {
        /// Neighbouring ranks share a package and a NUMA node.
        Close = "close",
        /// Neighbouring ranks lie on different NUMA nodes and packages.
        Spread = "spread",
    }
}

words! {
    /// How ranks wait for one another.
    Wait {
        /// Spin, then yield, then sleep; no spinning when there are more ranks than CPUs.
        Hybrid = "hybrid",
        /// Spin and yield; never sleep.
        Spin = "spin",
        /// Sleep at once.
        Block = "block",
    }
}

words! {
    /// What pages the arrays of a run have.
    Huge {
        /// Huge ones where they can be had.
        Auto = "auto",
        /// Small ones.
        Never = "never",
        /// Huge ones of 2 MiB, or no run.
        Two = "2M",
    }
}

words! {
    /// How results are verified.
    Verify {
        /// Not at all, beyond the audit that every index was computed exactly once.
        None = "none",
        /// A serial recomputation of about a thousand blocks, first and last among them.
        Sample = "sample",
        /// A serial recomputation of everything.
        Full = "full",
    }
}

words! {
    /// What the death of a rank does to the run.
    OnDeath {
        /// What it had in hand is run again, by the others or by its replacement.
        Recover = "recover",
        /// The run fails.
        Fail = "fail",
    }
}

words! {
    /// What an index that cannot be computed does to the run.
    OnError {
        /// The run fails.
        Fail = "fail",
        /// The rest is completed and written; the run says what is missing, and exits with 1.
        Keep = "keep",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_numbers_of_ranks_that_are_none() {
        for text in ["0", "-1", "1e9", "4097", "18446744073709551616", "٣", "", " 4", "4.0", "+4"]
        {
            assert!(text.parse::<Procs>().is_err(), "{text}");
        }
        assert_eq!("4096".parse::<Procs>().unwrap().to_string(), "4096");
        assert_eq!("auto".parse::<Procs>().unwrap(), Procs::Auto);
    }

    #[test]
    fn reads_times_with_and_without_units() {
        for (text, ms) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2", 2000), ("1h", 3_600_000)]
        {
            assert_eq!(text.parse::<Span>().unwrap().0.as_millis(), ms, "{text}");
        }
        for text in ["", "0", "-1s", "inf", "1 fortnight"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
