//! Every knob of a run, named once: flag, `SPMD_` variable, and key in a file.
//!
//! [`RunOptions`] is what one layer said, and `None` is "this layer does not say". Layers are laid
//! [`RunOptions::over`] one another: command line, environment, built-in defaults
//! (`configs/defaults.toml`, embedded). Nothing here looks at the machine.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser};
use serde::{Deserialize, Serialize};

use crate::data::{DType, InputSpec, OutputSpec, Overflow, parse_count};
use crate::error::{Error, Explained};
use crate::host::affinity::CpuSet;
use crate::kernel::duration_ns;
use crate::schedule::Schedule;
use crate::shm::{Backing, MAX_PROCS};

/// The built-in defaults, which are also the commented reference of all options.
pub(crate) const DEFAULTS: &str = include_str!("../configs/defaults.toml");

/// What one layer says about a run. `None`: this layer does not say.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[group(skip)]
pub struct RunOptions {
    /// Ranks to start: a number, or auto: as many as the CPUs this process may use allow
    #[arg(
        short = 'n',
        long,
        visible_alias = "np",
        value_name = "N|auto",
        env = "SPMD_PROCS",
        help_heading = "World",
        allow_hyphen_values = true
    )]
    pub procs: Option<Procs>,
    /// What a rank is pinned to: core (one rank a core), hwthread, none
    #[arg(long, value_name = "WHAT", env = "SPMD_BIND", help_heading = "World")]
    pub bind: Option<Bind>,
    /// How ranks are laid over the machine: close together, or spread over packages and nodes
    #[arg(long = "map", value_name = "HOW", env = "SPMD_MAP", help_heading = "World")]
    pub map: Option<Map>,
    /// CPUs to use, of those this process may use: 0-3,8
    #[arg(
        long,
        value_name = "LIST",
        env = "SPMD_CPUS",
        help_heading = "World",
        allow_hyphen_values = true
    )]
    pub cpus: Option<CpuSet>,
    /// How ranks wait: hybrid (spin, yield, sleep), spin, block
    #[arg(long, value_name = "HOW", env = "SPMD_WAIT", help_heading = "World")]
    pub wait: Option<Wait>,
    /// What holds the segment: shm (/dev/shm), memfd (bounded by memory only)
    #[arg(long, value_name = "WHAT", env = "SPMD_BACKING", help_heading = "World")]
    pub backing: Option<Backing>,

    /// Kernel to run; `spmd kernels` lists them
    #[arg(short = 'k', long, value_name = "NAME", env = "SPMD_KERNEL", help_heading = "Work")]
    pub kernel: Option<String>,
    /// Parameter of the kernel; may be repeated
    #[arg(
        long = "param",
        value_name = "KEY=VALUE",
        env = "SPMD_PARAM",
        help_heading = "Work",
        value_delimiter = '\u{1f}'
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub param: Vec<KeyValue>,
    /// Compute the indices 0..N: 1_000_000, 1e6, 4Mi
    #[arg(
        long,
        value_name = "N",
        env = "SPMD_SIZE",
        help_heading = "Work",
        allow_hyphen_values = true
    )]
    pub size: Option<Count>,
    /// Numbers to compute on: 1,2,3 | range:A:B | FILE.npy | .csv | .txt | .bin | - (stdin)
    #[arg(
        long, value_name = "SPEC", env = "SPMD_INPUT", help_heading = "Work",
        allow_hyphen_values = true,
        value_parser = OsStringValueParser::new().try_map(|text| InputSpec::from_os(&text))
    )]
    pub input: Option<InputSpec>,
    /// Where results go: FILE.npy | .bin | .csv | .txt | - (stdout, one a line)
    #[arg(
        long, value_name = "FILE", env = "SPMD_OUTPUT", help_heading = "Work",
        allow_hyphen_values = true,
        value_parser = OsStringValueParser::new().try_map(|text| OutputSpec::from_os(&text))
    )]
    pub output: Option<OutputSpec>,
    /// Element type: i32 i64 u32 u64 f32 f64
    #[arg(long, value_name = "TYPE", env = "SPMD_DTYPE", help_heading = "Work")]
    pub dtype: Option<DType>,
    /// Overwrite the input array in shared memory with the results
    #[arg(
        long, env = "SPMD_IN_PLACE",
        value_parser = BoolishValueParser::new(), help_heading = "Work", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL"
    )]
    pub in_place: Option<bool>,
    /// What integers do beyond their range: error (refuse before running), wrap, saturate
    #[arg(long, value_name = "HOW", env = "SPMD_OVERFLOW", help_heading = "Work")]
    pub overflow: Option<Overflow>,
    /// Seed of random numbers
    #[arg(
        long,
        value_name = "N",
        env = "SPMD_SEED",
        help_heading = "Work",
        allow_negative_numbers = true
    )]
    pub seed: Option<u64>,

    /// How indices are cut into chunks: `static[,C]`, `dynamic[,C]`, `guided[,C]`
    #[arg(
        long,
        value_name = "KIND[,C]",
        env = "SPMD_SCHEDULE",
        help_heading = "Policy",
        help = "How indices are cut into chunks: static[,C] dynamic[,C] guided[,C]"
    )]
    pub schedule: Option<Schedule>,
    /// Give up after this long: 30s, 5m, 1h
    #[arg(long, value_name = "TIME", env = "SPMD_TIMEOUT", help_heading = "Policy")]
    pub timeout: Option<Span>,
    /// Make warnings errors: oversubscription is refused
    #[arg(
        long, env = "SPMD_STRICT",
        value_parser = BoolishValueParser::new(), help_heading = "Policy", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL"
    )]
    pub strict: Option<bool>,
    /// Recompute serially and compare bits: none, sample, full
    #[arg(long, value_name = "HOW", env = "SPMD_VERIFY", help_heading = "Policy")]
    pub verify: Option<Verify>,

    /// Timed passes over the index space
    #[arg(
        long,
        value_name = "N",
        env = "SPMD_REPEATS",
        help_heading = "Measure",
        allow_negative_numbers = true
    )]
    pub repeats: Option<NonZeroU32>,
    /// Passes before the timed ones
    #[arg(
        long,
        value_name = "N",
        env = "SPMD_WARMUP",
        help_heading = "Measure",
        allow_negative_numbers = true
    )]
    pub warmup: Option<u32>,
}

impl RunOptions {
    /// Returns `self` where it speaks, `lower` elsewhere.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        // No `..` here: a new option does not compile until it is placed.
        let Self {
            procs,
            bind,
            map,
            cpus,
            wait,
            backing,
            kernel,
            param,
            size,
            input,
            output,
            dtype,
            in_place,
            overflow,
            seed,
            schedule,
            timeout,
            strict,
            verify,
            repeats,
            warmup,
        } = self;
        // --size and --input say the same thing in two ways: the upper layer's word stands alone.
        let problem = size.is_some() || input.is_some();
        Self {
            procs: procs.or(lower.procs),
            bind: bind.or(lower.bind),
            map: map.or(lower.map),
            cpus: cpus.or(lower.cpus),
            wait: wait.or(lower.wait),
            backing: backing.or(lower.backing),
            kernel: kernel.or(lower.kernel),
            param: if param.is_empty() { lower.param } else { param },
            size: if problem { size } else { lower.size },
            input: if problem { input } else { lower.input },
            output: output.or(lower.output),
            dtype: dtype.or(lower.dtype),
            in_place: in_place.or(lower.in_place),
            overflow: overflow.or(lower.overflow),
            seed: seed.or(lower.seed),
            schedule: schedule.or(lower.schedule),
            timeout: timeout.or(lower.timeout),
            strict: strict.or(lower.strict),
            verify: verify.or(lower.verify),
            repeats: repeats.or(lower.repeats),
            warmup: warmup.or(lower.warmup),
        }
    }

    /// Reads the built-in defaults.
    pub(crate) fn built_in() -> Result<Self, Error> {
        toml::from_str(DEFAULTS).map_err(|error| {
            Error::refused(format!("the built-in defaults cannot be read: {}", error.message()))
        })
    }

    /// Returns every option this layer speaks of, by name, as JSON values.
    pub(crate) fn spoken(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(map)) => {
                map.into_iter().filter(|(_, value)| !value.is_null()).collect()
            }
            _ => serde_json::Map::new(),
        }
    }
}

/// Reads an option that has a text form in files too.
macro_rules! text_in_files {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_speak_for_every_option_that_has_one() {
        let spoken = RunOptions::built_in().unwrap().spoken();
        let without = ["kernel", "size", "input", "output", "dtype", "cpus", "timeout", "param"];
        let all = serde_json::to_value(RunOptions::default()).unwrap();
        for name in all.as_object().unwrap().keys() {
            assert!(
                spoken.contains_key(name) || without.contains(&name.as_str()),
                "configs/defaults.toml says nothing of `{name}`"
            );
            assert!(DEFAULTS.contains(name.as_str()), "`{name}` is not explained");
        }
    }

    #[test]
    fn the_upper_layer_speaks_first_and_over_is_associative() {
        let procs = |n| Some(Procs::Exactly(NonZeroU32::new(n).unwrap()));
        let a = RunOptions { procs: procs(1), size: Some(Count(5)), ..Default::default() };
        let b = RunOptions {
            procs: procs(2),
            input: Some(InputSpec::from_os("1,2".as_ref()).unwrap()),
            seed: Some(3),
            ..Default::default()
        };
        let c = RunOptions { seed: Some(4), warmup: Some(1), ..Default::default() };
        let left = a.clone().over(b.clone()).over(c.clone());
        assert_eq!(left, a.over(b.over(c)));
        assert_eq!((left.procs, left.seed, left.warmup), (procs(1), Some(3), Some(1)));
        assert_eq!(left.input, None, "a size above replaces an input below");
    }

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
