//! What disturbed a bench, as far as it can be known: a label, never a reason to drop a sample.

use std::time::Duration;

use serde::Serialize;

use crate::engine::{Pinned, RankReport};
use crate::host::affinity::{self, CpuSet};
use crate::host::disturbance::{governor, stolen, tick};
use crate::placement::Crowding;
use crate::plan::Plan;

/// What disturbed a bench.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Noise {
    pub(crate) samples: usize,
    /// In how many of them the kernel took the CPU away from a rank.
    pub(crate) disturbed: usize,
    /// How often it did, in all of them.
    pub(crate) involuntary_switches: u64,
    /// How often it moved a rank to another CPU; `None`: nobody looked, because it is in the samples.
    pub(crate) migrations: Option<u64>,
    /// How long the host kept the ranks' CPUs for others; `None`: this system does not say.
    pub(crate) steal_s: Option<f64>,
    /// Steal is counted in steps of this.
    pub(crate) steal_step_s: f64,
    /// Why there would be switches on the quietest machine, so that they label nothing.
    pub(crate) switches_belong: Option<&'static str>,
    /// More ranks than CPUs.
    pub(crate) oversubscribed: bool,
    /// Whether each rank ran on the one CPU it was meant for; `None`: nobody looked.
    pub(crate) pinned: Option<bool>,
    /// What decides the CPUs' frequency; `None`: not known, and the frequency neither.
    pub(crate) governor: Option<String>,
}

/// Watches for disturbance while a bench runs.
pub(super) struct Watch {
    cpus: CpuSet,
    stolen: Option<Duration>,
    crowding: Crowding,
}

impl Watch {
    /// Begins to watch the CPUs that the ranks of this plan will use.
    pub(super) fn begin(plan: &Plan) -> Self {
        let cpus = cpus(plan);
        Self { stolen: stolen(&cpus), cpus, crowding: plan.placement.crowding }
    }

    /// Says what has happened since; of each sample, how often the CPU was taken away in it.
    pub(super) fn end(self, switches: &[u64], ranks: &[RankReport], counted: Counted) -> Noise {
        let now = stolen(&self.cpus);
        let steal = self.stolen.zip(now).map(|(before, now)| now.saturating_sub(before));
        let oversubscribed = self.crowding == Crowding::Crowded;
        let switches_belong = match counted {
            _ if oversubscribed => Some("ranks take turns on too few cpus"),
            Counted::Nothing => Some("a process that starts, and is pinned, loses its cpu"),
            Counted::Migrations => None,
        };
        Noise {
            switches_belong,
            oversubscribed,
            samples: switches.len(),
            disturbed: switches.iter().filter(|&&switches| switches > 0).count(),
            involuntary_switches: switches.iter().sum(),
            migrations: match counted {
                Counted::Migrations => Some(ranks.iter().map(|rank| rank.migrations).sum()),
                Counted::Nothing => None,
            },
            steal_s: steal.map(|steal| steal.as_secs_f64()),
            steal_step_s: tick().as_secs_f64(),
            pinned: match counted {
                Counted::Migrations => Some(ranks.iter().all(|rank| rank.pinned == Pinned::Yes)),
                Counted::Nothing => None,
            },
            governor: self.cpus.iter().next().and_then(governor),
        }
    }
}

/// What ranks have counted of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// How often they were moved.
    Migrations,
    /// They were not asked: that takes as long as all else they do.
    Nothing,
}

/// Returns the CPUs that ranks of this plan may run on.
pub(super) fn cpus(plan: &Plan) -> CpuSet {
    let pins: Option<CpuSet> = plan
        .placement
        .pins
        .iter()
        .copied()
        .collect::<Option<Vec<u32>>>()
        .map(|pins| pins.into_iter().collect());
    pins.or_else(|| plan.job.cpus.clone()).or_else(|| affinity::allowed().ok()).unwrap_or_default()
}
