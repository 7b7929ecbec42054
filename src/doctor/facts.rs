//! What a diagnosis is made from, looked up once.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::data::reason;
use crate::engine::{CREW_DESCRIPTORS, descriptors_needed, refusal};
use crate::error::Error;
use crate::host::affinity::CpuSet;
use crate::host::confinement::{self, Counters, Seccomp};
use crate::host::disturbance::{self, Load, Spent};
use crate::host::events::{EventGroup, Source};
use crate::host::frequency::{self, Turbo};
use crate::host::leftover::Deed;
use crate::host::limits::{self, Bounded, Throttled};
use crate::host::probe::{self, Call};
use crate::host::rlimits::{self, Bound, Resource};
use crate::host::root::Root;
use crate::inventory::{Inventory, Wish};
use crate::shm;

/// For so long the machine is watched: some 20 ticks of the counters of steal.
const WATCHED: Duration = Duration::from_millis(200);

/// What was looked up.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) inventory: Inventory,
    pub(super) throttled: Option<Throttled>,
    /// How the bounds of control groups are lifted: of CPUs, memory, tasks.
    pub(super) lifts: [Option<String>; 3],
    /// How many more tasks the control group may have.
    pub(super) tasks_left: Option<u64>,
    /// Each governor's CPUs, of those allowed.
    pub(super) governors: BTreeMap<String, CpuSet>,
    /// And how turbo is switched off.
    pub(super) turbo: Option<(Turbo, String)>,
    pub(super) counters: Counters,
    pub(super) container: Option<&'static str>,
    pub(super) seccomp: Option<Seccomp>,
    pub(super) is_virtual: Option<bool>,
    pub(super) is_root: bool,
    pub(super) kernel: Option<(u32, u32)>,
    pub(super) load: Option<Load>,
    /// What the CPUs allowed have done since the system started.
    pub(super) since_boot: Option<Spent>,
    /// And while they were watched. Nothing of a copy.
    pub(super) watched: Option<Watched>,
    /// Nothing of a copy.
    pub(super) process: Option<Process>,
}

/// What some CPUs did for a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub(super) before: Spent,
    pub(super) after: Spent,
    pub(super) time: Duration,
}

/// What only the process itself can find out.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// The limit that counts, and the one it may be raised to.
    pub(super) limits: Vec<(Resource, Bound, Bound)>,
    /// What each call came to.
    pub(super) calls: Vec<(Call, Result<(), String>)>,
    /// Whether the processor's counters can be opened; the error says why not.
    pub(super) counting: Result<(), String>,
    pub(super) clock_step: Duration,
    /// How many names dead runs left, and their bytes.
    pub(super) stale: Result<(usize, u64), String>,
    /// Open files that a run of these ranks needs, and one whose ranks stay alive.
    pub(super) descriptors: [u64; 2],
}

impl Facts {
    /// Looks everything up; for a fifth of a second, if it is this machine.
    pub(crate) fn gather(root: &Root, wish: &Wish) -> Result<Self, Error> {
        let inventory = Inventory::take(root, wish)?;
        let allowed = &inventory.allowed;
        let since_boot = disturbance::spent_of(root, allowed);
        // Before the probes, which are busy themselves.
        let load = disturbance::load_of(root);
        let watched = since_boot.filter(|_| root.is_system()).and_then(|before| {
            let begun = Instant::now();
            thread::sleep(WATCHED);
            let after = disturbance::spent_of(root, allowed)?;
            Some(Watched { before, after, time: begun.elapsed() })
        });
        let mut governors: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for cpu in allowed.iter() {
            if let Some(governor) = frequency::governor_of(root, cpu) {
                governors.entry(governor).or_default().push(cpu);
            }
        }
        let governors =
            governors.into_iter().map(|(name, cpus)| (name, cpus.into_iter().collect())).collect();
        Ok(Self {
            throttled: limits::throttled_of(root),
            lifts: [Bounded::Cpu, Bounded::Memory, Bounded::Tasks]
                .map(|what| limits::lift_of(root, what)),
            tasks_left: limits::tasks_left_of(root),
            governors,
            turbo: frequency::turbo_of(root),
            counters: confinement::counters_of(root),
            container: confinement::container_of(root),
            seccomp: confinement::seccomp_of(root),
            is_virtual: confinement::is_virtual_of(root),
            is_root: confinement::is_root_of(root),
            kernel: confinement::kernel_of(root),
            load,
            since_boot,
            watched,
            process: root.is_system().then(|| Process::gather(inventory.ranks.procs)),
            inventory,
        })
    }
}

impl Process {
    fn gather(procs: u32) -> Self {
        let limit = |resource| rlimits::both(resource).map(|(soft, hard)| (resource, soft, hard));
        let told = |error: io::Error| reason(&error);
        Self {
            limits: Resource::ALL.into_iter().filter_map(limit).collect(),
            calls: Call::ALL.into_iter().map(|call| (call, call.works().map_err(told))).collect(),
            counting: EventGroup::open(Source::Processor)
                .map(drop)
                .map_err(|error| refusal(&error)),
            clock_step: probe::clock_step(),
            stale: shm::clean(Deed::Show).map_err(told).map(|swept| {
                let bytes = swept.found.iter().map(|leftover| leftover.bytes);
                (swept.found.len(), bytes.fold(0, u64::saturating_add))
            }),
            descriptors: [1, CREW_DESCRIPTORS].map(|each| descriptors_needed(procs, each)),
        }
    }
}
