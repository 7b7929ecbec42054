//! Every knob of a run, named once: flag, `SPMD_` variable, and key in a file.
//!
//! [`RunOptions`] is what one layer said, and `None` is "this layer does not say". Layers are laid
//! [`RunOptions::over`] one another: command line, environment, built-in defaults
//! (`configs/defaults.toml`, embedded). Nothing here looks at the machine.

mod values;

use std::num::NonZeroU32;
use std::sync::OnceLock;

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser};
use serde::{Deserialize, Serialize};

pub use self::values::{
    Bind, Count, FilePath, Huge, KeyValue, Map, OnDeath, OnError, Procs, Span, Verify, Wait,
};
use crate::data::{DType, InputSpec, OutputSpec, Overflow};
use crate::error::Error;
use crate::host::affinity::CpuSet;
use crate::inject::Injection;
use crate::schedule::Schedule;
use crate::shm::Backing;

/// The built-in defaults, which are also the commented reference of all options.
pub(crate) const DEFAULTS: &str = include_str!("../../configs/defaults.toml");

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
    /// Pages of the arrays: auto (huge ones where they can be had), never, 2M (no run on a machine without)
    #[arg(long, value_name = "WHAT", env = "SPMD_HUGE", help_heading = "World")]
    pub huge: Option<Huge>,

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
    /// Where results go: FILE.npy | .bin | .csv | .txt | .png | - (stdout, one a line)
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
    /// Compute in a plain loop: one rank, memory of its own, no claims, nothing saved; what speedups are multiples of
    #[arg(
        long, env = "SPMD_PLAIN",
        value_parser = BoolishValueParser::new(), help_heading = "Work", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL"
    )]
    pub plain: Option<bool>,
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

    /// How indices are cut into chunks: `static[,C]`, `dynamic[,C]`, `steal[,C]`, `auto` and others
    #[arg(
        long,
        value_name = "KIND[,C]",
        env = "SPMD_SCHEDULE",
        help_heading = "Policy",
        help = "How indices are cut into chunks: static[,C] dynamic[,C] guided[,C] tss[,C] fac2[,C] awf-b[,C] steal[,C] auto"
    )]
    pub schedule: Option<Schedule>,
    /// Give up after this long: 30s, 5m, 1h
    #[arg(long, value_name = "TIME", env = "SPMD_TIMEOUT", help_heading = "Policy")]
    pub timeout: Option<Span>,
    /// Kill a rank that is in one chunk for this long, and run the chunk again
    #[arg(long, value_name = "TIME", env = "SPMD_CHUNK_TIMEOUT", help_heading = "Policy")]
    pub chunk_timeout: Option<Span>,
    /// How often a chunk whose rank died is run again before the run fails
    #[arg(
        long,
        value_name = "N",
        env = "SPMD_RETRIES",
        help_heading = "Policy",
        allow_negative_numbers = true
    )]
    pub retries: Option<u32>,
    /// What the death of a rank does: recover (run again what it had in hand), fail
    #[arg(long, value_name = "WHAT", env = "SPMD_ON_DEATH", help_heading = "Policy")]
    pub on_death: Option<OnDeath>,
    /// What an index that cannot be computed does: fail, keep (complete and write the rest)
    #[arg(long, value_name = "WHAT", env = "SPMD_ON_ERROR", help_heading = "Policy")]
    pub on_error: Option<OnError>,
    /// Keep finished chunks in FILE until the run is complete; the same command goes on from there
    #[arg(
        long, value_name = "FILE", env = "SPMD_CHECKPOINT", help_heading = "Policy",
        value_parser = OsStringValueParser::new().try_map(|text| FilePath::from_os(&text))
    )]
    pub checkpoint: Option<FilePath>,
    /// Let a rank fail on purpose: kill:rank=2,chunk=5; also stop segv abort panic hang exit
    #[arg(
        long = "inject",
        value_name = "FAULT",
        env = "SPMD_INJECT",
        help_heading = "Policy",
        value_delimiter = '\u{1f}'
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inject: Vec<Injection>,
    /// Make warnings errors: oversubscription is refused, and a run with recovered deaths exits with 1
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
    /// Write when each rank computed which chunk to FILE, for Perfetto and for `spmd tune`
    #[arg(
        long, value_name = "FILE", env = "SPMD_TRACE", help_heading = "Measure",
        value_parser = OsStringValueParser::new().try_map(|text| FilePath::from_os(&text))
    )]
    pub trace: Option<FilePath>,
    /// Count each rank's cycles, instructions and cache misses, where the machine has counters for them
    #[arg(
        long, env = "SPMD_COUNTERS",
        value_parser = BoolishValueParser::new(), help_heading = "Measure", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL"
    )]
    pub counters: Option<bool>,
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
            huge,
            kernel,
            param,
            size,
            input,
            output,
            dtype,
            in_place,
            plain,
            overflow,
            seed,
            schedule,
            timeout,
            chunk_timeout,
            retries,
            on_death,
            on_error,
            checkpoint,
            inject,
            strict,
            verify,
            repeats,
            warmup,
            trace,
            counters,
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
            huge: huge.or(lower.huge),
            kernel: kernel.or(lower.kernel),
            param: if param.is_empty() { lower.param } else { param },
            size: if problem { size } else { lower.size },
            input: if problem { input } else { lower.input },
            output: output.or(lower.output),
            dtype: dtype.or(lower.dtype),
            in_place: in_place.or(lower.in_place),
            plain: plain.or(lower.plain),
            overflow: overflow.or(lower.overflow),
            seed: seed.or(lower.seed),
            schedule: schedule.or(lower.schedule),
            timeout: timeout.or(lower.timeout),
            chunk_timeout: chunk_timeout.or(lower.chunk_timeout),
            retries: retries.or(lower.retries),
            on_death: on_death.or(lower.on_death),
            on_error: on_error.or(lower.on_error),
            checkpoint: checkpoint.or(lower.checkpoint),
            inject: if inject.is_empty() { lower.inject } else { inject },
            strict: strict.or(lower.strict),
            verify: verify.or(lower.verify),
            repeats: repeats.or(lower.repeats),
            warmup: warmup.or(lower.warmup),
            trace: trace.or(lower.trace),
            counters: counters.or(lower.counters),
        }
    }

    /// Reads the built-in defaults.
    pub(crate) fn built_in() -> Result<Self, Error> {
        /// Whoever plans many runs reads them once.
        static READ: OnceLock<RunOptions> = OnceLock::new();
        if let Some(read) = READ.get() {
            return Ok(read.clone());
        }
        let read = toml::from_str::<Self>(DEFAULTS).map_err(|error| {
            Error::refused(format!("the built-in defaults cannot be read: {}", error.message()))
        })?;
        Ok(READ.get_or_init(|| read).clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_speak_for_every_option_that_has_one() {
        let spoken = RunOptions::built_in().unwrap().spoken();
        let without = [
            "kernel",
            "size",
            "input",
            "output",
            "dtype",
            "cpus",
            "timeout",
            "chunk-timeout",
            "checkpoint",
            "trace",
            "param",
            "inject",
        ];
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
}
