//! The machine that a visit runs on, as `env.json` keeps it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::caches::{self, Cache};
use crate::host::{affinity, clock, disturbance, huge, limits, program, topology};

/// What a reader of the figures should know of where they are from. What the system does not say is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Machine {
    pub(crate) start: String,
    pub(crate) command: String,
    /// The version of spmd.
    pub(crate) spmd: String,
    /// The digest of the program.
    pub(crate) program: String,
    pub(crate) host: String,
    /// The release of the kernel.
    pub(crate) kernel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_model: Option<String>,
    /// The CPUs that may be used, as a list.
    pub(crate) cpus: String,
    pub(crate) cores: usize,
    pub(crate) packages: usize,
    /// Of the first CPU.
    pub(crate) caches: Vec<Cache>,
    pub(crate) numa: Vec<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) governor: Option<String>,
    /// In CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_quota: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    /// Transparent huge pages of private memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thp: Option<String>,
    /// And of shared memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thp_shmem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shm_bytes: Option<u64>,
    /// How long the host has kept the CPUs for others since it started this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steal_s: Option<f64>,
}

/// A NUMA node and its CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) node: u32,
    pub(crate) cpus: String,
}

impl Machine {
    /// Looks at this machine, for a visit that begins now.
    pub(crate) fn capture() -> Result<Self, Error> {
        let cannot = |what: &str, error: &std::io::Error| {
            let why = crate::data::reason(error);
            Error::refused(format!("cannot tell {what}: {why}"))
        };
        let cpus = affinity::allowed().map_err(|error| cannot("which cpus may be used", &error))?;
        let program =
            program::digest().map_err(|error| cannot("what program this is", &error))?.to_owned();
        let places = topology::places(&cpus);
        let mut packages: Vec<u32> = places.iter().map(|place| place.package).collect();
        packages.sort_unstable();
        packages.dedup();
        let first = cpus.iter().next();
        let read = |path: &str| {
            std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
        };
        Ok(Self {
            start: clock::rfc3339(SystemTime::now()),
            command: command(),
            spmd: env!("CARGO_PKG_VERSION").to_owned(),
            program,
            host: read("/proc/sys/kernel/hostname"),
            kernel: read("/proc/sys/kernel/osrelease"),
            cpu_model: topology::model(),
            cores: topology::cores(&places),
            packages: packages.len(),
            caches: first.map(caches::of).unwrap_or_default(),
            numa: topology::nodes()
                .into_iter()
                .map(|(node, cpus)| Node { node, cpus: cpus.to_string() })
                .collect(),
            governor: first.and_then(disturbance::governor),
            cpu_quota: limits::cpu_quota(),
            memory_limit_bytes: limits::memory_limit(),
            memory_bytes: limits::total_memory(),
            thp: huge::rule("enabled"),
            thp_shmem: huge::rule("shmem_enabled"),
            shm_bytes: limits::room_bytes(c"/dev/shm"),
            steal_s: disturbance::stolen(&cpus).map(|stolen| stolen.as_secs_f64()),
            cpus: cpus.to_string(),
        })
    }

    /// Returns what has to agree for samples to be comparable.
    pub(crate) fn fingerprint(&self) -> [(&'static str, String); 7] {
        let text = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "not known".to_owned());
        let quota = self.cpu_quota.map_or_else(|| "none".to_owned(), |cpus| format!("{cpus} cpus"));
        [
            ("cpu model", text(&self.cpu_model)),
            ("usable cpus", self.cpus.clone()),
            ("kernel", self.kernel.clone()),
            ("governor", text(&self.governor)),
            ("cpu quota", quota),
            ("huge pages", text(&self.thp)),
            ("huge pages of shared memory", text(&self.thp_shmem)),
        ]
    }

    /// Says in which parts of the fingerprint this machine differs from another.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = self.fingerprint().into_iter().zip(other.fingerprint());
        pairs
            .filter(|((_, found), (_, expected))| found != expected)
            .map(|((name, found), (_, expected))| {
                format!("{name}: found {found}, expected {expected}")
            })
            .collect()
    }
}

/// The command line of this process, to be typed again.
fn command() -> String {
    let words: Vec<String> =
        std::env::args_os().map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_like_itself_and_read_as_it_is_written() {
        let machine = Machine::capture().unwrap();
        assert!(!machine.cpus.is_empty() && machine.cores > 0 && !machine.kernel.is_empty());
        assert!(machine.program.starts_with("blake3:"), "{machine:?}");
        let text = serde_json::to_string(&machine).unwrap();
        assert!(!text.contains("null"), "{text}");
        let read: Machine = serde_json::from_str(&text).unwrap();
        assert_eq!(machine, read);
        assert_eq!(read.differences(&machine), Vec::<String>::new());
    }

    #[test]
    fn each_part_of_the_fingerprint_is_told_with_found_and_expected() {
        let old = Machine {
            cpus: "0-3".to_owned(),
            thp: Some("always".to_owned()),
            ..Default::default()
        };
        let new = Machine { cpus: "0-1".to_owned(), cpu_quota: Some(1.5), ..Default::default() };
        assert_eq!(
            new.differences(&old),
            [
                "usable cpus: found 0-1, expected 0-3",
                "cpu quota: found 1.5 cpus, expected none",
                "huge pages: found not known, expected always",
            ]
        );
    }

    #[test]
    fn a_command_can_be_typed_again() {
        assert_eq!(quoted("configs/a.toml"), "configs/a.toml");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
