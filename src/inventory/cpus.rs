//! The CPUs of a machine, each with its place, and the caches they share.

use std::collections::BTreeMap;

use crate::host::affinity::CpuSet;
use crate::host::root::Root;
use crate::host::topology::{self, Kind, Place};
use crate::host::{caches, frequency};

/// One CPU that is switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) place: Place,
    /// Which hardware thread of its core: 0 is the first.
    pub(crate) thread: usize,
    /// Where the kernel has a name for it.
    pub(crate) kind: Option<Kind>,
    /// How much it does; 1024 is the machine's fastest. Where the kernel says.
    pub(crate) capacity: Option<u32>,
    /// The highest frequency, in kHz.
    pub(crate) highest_khz: Option<u64>,
}

/// Reads these CPUs.
pub(super) fn read(root: &Root, online: &CpuSet) -> Vec<Cpu> {
    let kinds = topology::kinds_of(root);
    let places = topology::places_of(root, online);
    // As ranks are placed: which thread of its core a CPU is.
    let mut threads: BTreeMap<u32, usize> = BTreeMap::new();
    places
        .into_iter()
        .map(|place| {
            let cpu = place.cpu;
            let next = threads.entry(place.core).or_default();
            let thread = *next;
            *next += 1;
            Cpu {
                thread,
                kind: kinds.iter().find(|(_, cpus)| cpus.contains(cpu)).map(|(kind, _)| *kind),
                capacity: topology::capacity_of(root, cpu),
                highest_khz: frequency::highest_khz_of(root, cpu),
                place,
            }
        })
        .collect()
}

/// CPUs of one sort in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) package: u32,
    pub(crate) node: u32,
    pub(crate) kind: Option<Kind>,
    pub(crate) capacity: Option<u32>,
    /// The first hardware thread of each core.
    pub(crate) cores: CpuSet,
    /// The others.
    pub(crate) siblings: CpuSet,
}

/// Gathers CPUs that differ in nothing but their number.
pub(super) fn groups(cpus: &[Cpu]) -> Vec<Group> {
    type Sort = (u32, u32, Option<Kind>, std::cmp::Reverse<Option<u32>>);
    let mut sorts: BTreeMap<Sort, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
    for cpu in cpus {
        let Place { package, node, .. } = cpu.place;
        let sort = (package, node, cpu.kind, std::cmp::Reverse(cpu.capacity));
        let (cores, siblings) = sorts.entry(sort).or_default();
        if cpu.thread == 0 { cores } else { siblings }.push(cpu.place.cpu);
    }
    sorts
        .into_iter()
        .map(|((package, node, kind, capacity), (cores, siblings))| Group {
            package,
            node,
            kind,
            capacity: capacity.0,
            cores: cores.into_iter().collect(),
            siblings: siblings.into_iter().collect(),
        })
        .collect()
}

/// The caches of one level, kind and size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caches {
    pub(crate) level: u32,
    /// `Data`, `Instruction` or `Unified`.
    pub(crate) kind: String,
    /// Of each.
    pub(crate) bytes: u64,
    /// Who shares one, cache by cache.
    pub(crate) shared: Vec<CpuSet>,
}

/// Reads the caches of these CPUs, each once; none where the kernel does not say.
pub(super) fn caches(root: &Root, online: &CpuSet) -> Vec<Caches> {
    let mut found: BTreeMap<(u32, String, u64), Vec<CpuSet>> = BTreeMap::new();
    for cache in online.iter().flat_map(|cpu| caches::below(root, cpu)) {
        let Ok(cpus) = cache.cpus.parse::<CpuSet>() else { continue };
        let shared = found.entry((cache.level, cache.kind, cache.bytes)).or_default();
        if !shared.contains(&cpus) {
            shared.push(cpus);
        }
    }
    found
        .into_iter()
        .map(|((level, kind, bytes), shared)| Caches { level, kind, bytes, shared })
        .collect()
}
