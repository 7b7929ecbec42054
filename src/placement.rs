//! Which CPU each rank gets, and how many ranks there are by default: pure arithmetic over what the
//! machine said.

mod survey;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use crate::error::{Error, Explained};
use crate::host::affinity::{self, CpuSet};
use crate::host::caches;
use crate::host::limits;
use crate::host::root::Root;
use crate::host::topology::{self, Place};
use crate::options::{Bind, Map, Procs};
use crate::shm::MAX_PROCS;

pub(crate) use self::survey::Survey;

/// What this machine lets this process use. Asked piece by piece, and only what decides something:
/// each answer is a handful of files to read, and a small run takes no longer than that.
pub(crate) trait Machine {
    /// Returns the CPUs in the affinity mask, before anything was pinned.
    fn allowed(&self) -> Result<CpuSet, Error>;
    /// Returns the CPU quota of the control group, in CPUs.
    fn quota(&self) -> Option<f64>;
    /// Returns where CPUs sit.
    fn places(&self, cpus: &CpuSet) -> Vec<Place>;
    /// Returns the CPUs that share the last cache before memory with this one, itself among them.
    fn sharing(&self, cpu: u32) -> Option<CpuSet>;
}

/// The machine this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ThisMachine;

impl Machine for ThisMachine {
    fn allowed(&self) -> Result<CpuSet, Error> {
        Root::system().allowed()
    }

    fn quota(&self) -> Option<f64> {
        Root::system().quota()
    }

    fn places(&self, cpus: &CpuSet) -> Vec<Place> {
        Root::system().places(cpus)
    }

    fn sharing(&self, cpu: u32) -> Option<CpuSet> {
        Root::system().sharing(cpu)
    }
}

/// A machine as its files show it: this one, or a copy of another.
impl Machine for Root {
    fn allowed(&self) -> Result<CpuSet, Error> {
        affinity::allowed_of(self).map_err(|e| {
            let what = format!("cannot tell which cpus may be used: {}", crate::data::reason(&e));
            Error::refused(Explained::new(what).hint("is /proc mounted?"))
        })
    }

    fn quota(&self) -> Option<f64> {
        limits::cpu_quota_of(self)
    }

    fn places(&self, cpus: &CpuSet) -> Vec<Place> {
        topology::places_of(self, cpus)
    }

    fn sharing(&self, cpu: u32) -> Option<CpuSet> {
        let last = caches::below(self, cpu).into_iter().max_by_key(|cache| cache.level)?;
        last.cpus.parse().ok()
    }
}

/// Where the ranks go.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub(crate) procs: u32,
    /// What decided `procs`.
    pub(crate) because: &'static str,
    /// Each rank's CPU; `None`: not pinned.
    pub(crate) pins: Vec<Option<u32>>,
    /// How many CPUs the ranks may use.
    pub(crate) cpus: usize,
    /// Where those CPUs sit; empty if no rank is pinned and nobody asked.
    pub(crate) places: Vec<Place>,
    /// How many consecutive ranks are best grouped at the barrier: they share a cache, where that is known.
    pub(crate) neighbours: u32,
    /// Whether ranks outnumber the CPUs they may use at once: then waiting must not spin.
    pub(crate) crowding: Crowding,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

impl Placement {
    /// Returns how many CPUs are the ranks': those they are pinned to, else all they may use.
    pub(crate) fn watched(&self) -> usize {
        let pinned: Option<BTreeSet<u32>> = self.pins.iter().copied().collect();
        pinned.filter(|pinned| !pinned.is_empty()).map_or(self.cpus.max(1), |pinned| pinned.len())
    }
}

/// Whether ranks outnumber CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowding {
    /// Every rank can run all the time.
    Roomy,
    /// Ranks must take turns.
    Crowded,
}

impl Placement {
    /// Places ranks on a machine.
    pub(crate) fn new(
        machine: &dyn Machine,
        procs: Procs,
        bind: Bind,
        map: Map,
        cpus: Option<&CpuSet>,
    ) -> Result<Self, Error> {
        let usable = usable(machine, cpus)?;
        let crowd = format!("{} cpus allowed ({usable})", usable.len());
        let cpus = usable.len();
        if let Procs::Exactly(procs) = procs
            && procs.get() as usize > cpus
        {
            // Nothing else about the machine can change this.
            let procs = procs.get();
            return Ok(Self {
                procs,
                because: "--procs",
                pins: vec![None; procs as usize],
                cpus,
                places: Vec::new(),
                neighbours: procs,
                crowding: Crowding::Crowded,
                warnings: vec![format!(
                    "{procs} ranks, {crowd}: running unpinned, waiting without spinning"
                )],
            });
        }
        let quota = machine.quota();
        let places = machine.places(&usable);
        let cores = topology::cores(&places);
        let (procs, because) = match procs {
            Procs::Exactly(procs) => (procs.get(), "--procs"),
            Procs::Auto => suggest(&places, cores, quota, bind),
        };
        let mut warnings = Vec::new();
        let mut crowding = Crowding::Roomy;
        if let Some(quota) = quota.filter(|quota| f64::from(procs) > quota.ceil()) {
            crowding = Crowding::Crowded;
            warnings.push(format!(
                "{procs} ranks, a cpu quota of {quota:.1}: ranks will be throttled; waiting without spinning"
            ));
        } else if bind == Bind::Core && procs as usize > cores {
            warnings.push(format!(
                "{procs} ranks, {cores} physical cores: some ranks share a core's hardware threads"
            ));
        }
        let order = order(&places, bind, map);
        let pins: Vec<Option<u32>> = (0..procs as usize)
            .map(|rank| if bind == Bind::None { None } else { order.get(rank).copied() })
            .collect();
        let neighbours = neighbours(machine, &pins);
        Ok(Self { procs, because, pins, cpus, places, neighbours, crowding, warnings })
    }

    /// Returns the NUMA node of each rank; 0 for one that is not pinned.
    pub(crate) fn nodes(&self) -> Vec<u32> {
        let node = |cpu: u32| self.place(cpu).map(|place| place.node);
        self.pins.iter().map(|pin| pin.and_then(node).unwrap_or(0)).collect()
    }

    /// Returns where a CPU sits, for `--report-bindings`.
    pub(crate) fn place(&self, cpu: u32) -> Option<&Place> {
        self.places.iter().find(|place| place.cpu == cpu)
    }
}

fn usable(machine: &dyn Machine, cpus: Option<&CpuSet>) -> Result<CpuSet, Error> {
    let allowed = machine.allowed()?;
    let Some(wanted) = cpus else { return Ok(allowed) };
    let absent: CpuSet = wanted.iter().filter(|&cpu| !allowed.contains(cpu)).collect();
    if absent.is_empty() {
        Ok(wanted.clone())
    } else {
        Err(Error::rejected(
            Explained::new(format!(
                "cannot use cpu {absent} of --cpus {wanted}: this process may use cpus {allowed} only"
            ))
            .hint("choose among those, or --bind none to share them"),
        ))
    }
}

/// Returns the default number of ranks, and which of the limits decided.
fn suggest(places: &[Place], cores: usize, quota: Option<f64>, bind: Bind) -> (u32, &'static str) {
    let quota = quota.map_or(usize::MAX, |quota| quota.ceil() as usize);
    let mut least = (places.len(), "the affinity mask");
    // Asking for hardware threads is asking for one rank on each.
    if cores < least.0 && bind != Bind::Hwthread {
        least = (cores, "the physical cores");
    }
    if quota < least.0 {
        least = (quota, "the cpu quota");
    }
    let procs = u32::try_from(least.0).unwrap_or(MAX_PROCS).clamp(1, MAX_PROCS);
    (NonZeroU32::new(procs).map_or(1, NonZeroU32::get), least.1)
}

/// Returns how many consecutive ranks to group at the barrier. Up to eight are one group, and so are ranks of
/// which nothing is known: grouping pays where a word would travel through many hands. (The barrier makes no group
/// larger than eight that it need not.)
fn neighbours(machine: &dyn Machine, pins: &[Option<u32>]) -> u32 {
    const ONE_GROUP: usize = 8;
    let whole = u32::try_from(pins.len()).unwrap_or(u32::MAX);
    if pins.len() <= ONE_GROUP {
        return whole;
    }
    let Some(near) = pins.first().copied().flatten().and_then(|cpu| machine.sharing(cpu)) else {
        return whole;
    };
    let together = pins.iter().take_while(|pin| pin.is_some_and(|cpu| near.contains(cpu))).count();
    // Dealt in turn from several caches, consecutive ranks are not near: any groups will do.
    if together < 2 { ONE_GROUP as u32 } else { u32::try_from(together).unwrap_or(whole) }
}

/// Returns the CPUs in the order ranks take them.
fn order(places: &[Place], bind: Bind, map: Map) -> Vec<u32> {
    let mut sorted: Vec<&Place> = places.iter().collect();
    sorted.sort_by_key(|place| (place.package, place.node, place.core, place.cpu));
    // Which hardware thread of its core each CPU is: 0 for the first.
    let thread = |place: &Place| {
        sorted.iter().filter(|other| other.core == place.core && other.cpu < place.cpu).count()
    };
    let mut keyed: Vec<(usize, &Place)> = sorted
        .iter()
        .map(|place| (if bind == Bind::Hwthread { 0 } else { thread(place) }, *place))
        .collect();
    // Stable: first threads of all cores first, close order within.
    keyed.sort_by_key(|(thread, _)| *thread);
    match map {
        Map::Close => keyed.iter().map(|(_, place)| place.cpu).collect(),
        Map::Spread => spread(&keyed),
    }
}

/// Deals CPUs in turn from each (package, node).
fn spread(keyed: &[(usize, &Place)]) -> Vec<u32> {
    let mut domains: Vec<((u32, u32), Vec<u32>)> = Vec::new();
    for (_, place) in keyed {
        let key = (place.package, place.node);
        match domains.iter_mut().find(|(domain, _)| *domain == key) {
            Some((_, cpus)) => cpus.push(place.cpu),
            None => domains.push((key, vec![place.cpu])),
        }
    }
    let longest = domains.iter().map(|(_, cpus)| cpus.len()).max().unwrap_or(0);
    (0..longest)
        .flat_map(|turn| domains.iter().filter_map(move |(_, cpus)| cpus.get(turn).copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpus_that_are_watched_are_counted_once_each_or_are_all_that_may_be_used() {
        let of = |pins: &[Option<u32>], cpus| {
            let placement = Placement {
                procs: pins.len() as u32,
                because: "",
                pins: pins.to_vec(),
                cpus,
                places: Vec::new(),
                neighbours: 1,
                crowding: Crowding::Roomy,
                warnings: Vec::new(),
            };
            placement.watched()
        };
        assert_eq!(of(&[Some(0), Some(1), Some(0)], 8), 2);
        assert_eq!(of(&[None, None], 8), 8);
        assert_eq!(of(&[Some(3), None], 8), 8);
    }

    /// Two packages of two cores of two threads, numbered as Linux does: threads 4.. are siblings.
    fn smt() -> Vec<Place> {
        (0..8)
            .map(|cpu| Place { cpu, core: cpu % 4, package: cpu % 4 / 2, node: cpu % 4 / 2 })
            .collect()
    }

    #[test]
    fn cores_come_before_their_second_threads() {
        assert_eq!(order(&smt(), Bind::Core, Map::Close), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn hardware_threads_of_a_core_are_neighbours() {
        assert_eq!(order(&smt(), Bind::Hwthread, Map::Close), [0, 4, 1, 5, 2, 6, 3, 7]);
    }

    #[test]
    fn spreading_deals_ranks_over_packages() {
        assert_eq!(order(&smt(), Bind::Core, Map::Spread), [0, 2, 1, 3, 4, 6, 5, 7]);
    }

    #[test]
    fn the_default_is_the_least_of_mask_cores_and_quota() {
        assert_eq!(suggest(&smt(), 4, None, Bind::Core), (4, "the physical cores"));
        assert_eq!(suggest(&smt(), 4, None, Bind::Hwthread), (8, "the affinity mask"));
        assert_eq!(suggest(&smt(), 4, Some(1.5), Bind::Core), (2, "the cpu quota"));
        assert_eq!(suggest(&smt()[..1], 1, Some(64.0), Bind::Core), (1, "the affinity mask"));
    }

    /// A machine of single-threaded cores.
    struct Made {
        allowed: CpuSet,
        quota: Option<f64>,
    }

    impl Machine for Made {
        fn allowed(&self) -> Result<CpuSet, Error> {
            Ok(self.allowed.clone())
        }

        fn quota(&self) -> Option<f64> {
            self.quota
        }

        fn places(&self, cpus: &CpuSet) -> Vec<Place> {
            cpus.iter().map(|cpu| Place { cpu, core: cpu, package: 0, node: 0 }).collect()
        }

        /// Twelve CPUs share a cache.
        fn sharing(&self, cpu: u32) -> Option<CpuSet> {
            let first = cpu / 12 * 12;
            Some((first..first + 12).collect())
        }
    }

    #[test]
    fn ranks_that_share_a_cache_are_grouped_at_the_barrier() {
        let neighbours = |procs, cpus| {
            let machine = machine(cpus, None);
            let placed = Placement::new(&machine, exactly(procs), Bind::Core, Map::Close, None);
            placed.unwrap().neighbours
        };
        assert_eq!(neighbours(8, "0-63"), 8, "a single group");
        assert_eq!(neighbours(24, "0-63"), 12);
        assert_eq!(neighbours(24, "4-63"), 8, "those of the first cache");
        assert_eq!(neighbours(24, "11-63"), 8, "the first shares a cache with nobody");
        assert_eq!(neighbours(24, "0-3"), 24, "crowded, so not pinned: a single group");
    }

    fn machine(cpus: &str, quota: Option<f64>) -> Made {
        Made { allowed: cpus.parse().unwrap(), quota }
    }

    fn exactly(n: u32) -> Procs {
        Procs::Exactly(NonZeroU32::new(n).unwrap())
    }

    #[test]
    fn more_ranks_than_cpus_run_unpinned_with_a_warning() {
        let machine = machine("0", None);
        let placed = Placement::new(&machine, exactly(3), Bind::Core, Map::Close, None).unwrap();
        assert_eq!(placed.pins, [None; 3]);
        assert_eq!(placed.crowding, Crowding::Crowded);
        assert!(placed.warnings[0].starts_with("3 ranks, 1 cpus allowed (0)"));
    }

    #[test]
    fn a_quota_below_the_ranks_is_a_warning_and_ends_spinning() {
        let placed = |procs, machine: Made| {
            Placement::new(&machine, exactly(procs), Bind::Core, Map::Close, None).unwrap()
        };
        assert_eq!(placed(1, machine("0", Some(0.5))).crowding, Crowding::Roomy);
        assert_eq!(placed(2, machine("0-1", Some(1.0))).crowding, Crowding::Crowded);
    }

    #[test]
    fn cpus_outside_the_mask_are_refused_with_both_sets() {
        for wanted in ["999", "1024", "0,7"] {
            let wanted: CpuSet = wanted.parse().unwrap();
            let error = Placement::new(
                &machine("0-1", None),
                exactly(1),
                Bind::Core,
                Map::Close,
                Some(&wanted),
            )
            .unwrap_err();
            assert!(error.to_string().contains("cpus 0-1 only"), "{error}");
        }
    }
}
