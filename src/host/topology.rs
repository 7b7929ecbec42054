//! Which CPUs share a core, a package and a NUMA node, and what they are, as the system tells.

use std::fs;

use super::affinity::CpuSet;

/// Where one CPU sits. Numbers are the operating system's; unknown ones are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) cpu: u32,
    /// The first CPU of its core: `core_id` is unique only within a package, this everywhere.
    pub(crate) core: u32,
    pub(crate) package: u32,
    pub(crate) node: u32,
}

/// Reads the places of these CPUs; a CPU that `/sys` does not describe is a core of its own.
pub(crate) fn places(cpus: &CpuSet) -> Vec<Place> {
    let nodes = nodes();
    cpus.iter()
        .map(|cpu| {
            let base = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
            let text = |name: &str| fs::read_to_string(format!("{base}/{name}")).ok();
            let siblings = text("core_cpus_list")
                .or_else(|| text("thread_siblings_list"))
                .and_then(|list| list.trim().parse::<CpuSet>().ok());
            Place {
                cpu,
                core: siblings.and_then(|siblings| siblings.iter().next()).unwrap_or(cpu),
                package: text("physical_package_id")
                    .and_then(|id| id.trim().parse().ok())
                    .unwrap_or(0),
                node: nodes
                    .iter()
                    .find(|(_, cpus)| cpus.contains(cpu))
                    .map_or(0, |(node, _)| *node),
            }
        })
        .collect()
}

/// Returns the NUMA nodes and their CPUs.
pub(crate) fn nodes() -> Vec<(u32, CpuSet)> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/node") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let node = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
            let list = fs::read_to_string(entry.path().join("cpulist")).ok()?;
            Some((node, list.trim().parse().ok()?))
        })
        .collect()
}

/// Returns how many physical cores these places lie on.
pub(crate) fn cores(places: &[Place]) -> usize {
    let mut cores: Vec<u32> = places.iter().map(|place| place.core).collect();
    cores.sort_unstable();
    cores.dedup();
    cores.len()
}

/// Returns what the processor calls itself.
pub(crate) fn model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
