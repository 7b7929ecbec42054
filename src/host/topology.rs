//! Which CPUs share a core, a package and a NUMA node, and what they are, as the system tells.

use super::affinity::CpuSet;
use super::root::Root;

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
    places_of(&Root::system(), cpus)
}

/// Reads the same below `root`.
pub(crate) fn places_of(root: &Root, cpus: &CpuSet) -> Vec<Place> {
    let nodes = nodes_of(root);
    cpus.iter()
        .map(|cpu| {
            let base = format!("sys/devices/system/cpu/cpu{cpu}/topology");
            let list = |name: &str| root.cpus(&format!("{base}/{name}"));
            let siblings = list("core_cpus_list").or_else(|| list("thread_siblings_list"));
            Place {
                cpu,
                core: siblings.and_then(|siblings| siblings.iter().next()).unwrap_or(cpu),
                // "-1" is how the kernel says that it does not know.
                package: root.number(&format!("{base}/physical_package_id")).unwrap_or(0),
                node: nodes
                    .iter()
                    .find(|(_, cpus)| cpus.contains(cpu))
                    .map_or(0, |(node, _)| *node),
            }
        })
        .collect()
}

/// Returns the NUMA nodes and their CPUs, in order; a node that has only memory has none.
pub(crate) fn nodes() -> Vec<(u32, CpuSet)> {
    nodes_of(&Root::system())
}

/// Reads the same below `root`.
pub(crate) fn nodes_of(root: &Root) -> Vec<(u32, CpuSet)> {
    const NODES: &str = "sys/devices/system/node";
    let mut nodes: Vec<(u32, CpuSet)> = root
        .names(NODES)
        .iter()
        .filter_map(|name| {
            let node = name.strip_prefix("node")?.parse().ok()?;
            Some((node, root.cpus(&format!("{NODES}/{name}/cpulist"))?))
        })
        .collect();
    nodes.sort_unstable_by_key(|(node, _)| *node);
    nodes
}

/// Returns the CPUs that are switched on, whoever may use them.
pub(crate) fn online_of(root: &Root) -> Option<CpuSet> {
    root.cpus("sys/devices/system/cpu/online")
}

/// What kind of core a CPU belongs to, where a processor has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Performance,
    Efficiency,
}

/// Returns the kinds of cores and their CPUs, where the kernel has a name for them: Intel's hybrids.
pub(crate) fn kinds_of(root: &Root) -> Vec<(Kind, CpuSet)> {
    // The devices that count events of each kind (drivers/perf, arch/x86/events/intel).
    [
        ("cpu_core", Kind::Performance),
        ("cpu_atom", Kind::Efficiency),
        ("cpu_lowpower", Kind::Efficiency),
    ]
    .into_iter()
    .filter_map(|(name, kind)| Some((kind, root.cpus(&format!("sys/devices/{name}/cpus"))?)))
    .collect()
}

/// Returns how much a CPU does, as the kernel puts it: 1024 is the machine's fastest.
pub(crate) fn capacity_of(root: &Root, cpu: u32) -> Option<u32> {
    root.number(&format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity"))
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
    model_of(&Root::system())
}

/// Reads the same below `root`.
pub(crate) fn model_of(root: &Root) -> Option<String> {
    let text = root.text("proc/cpuinfo")?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
