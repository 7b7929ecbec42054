//! What disturbed the timed passes of a run, and whether that is enough to mark it; pure.
//!
//! A mark is a label: a marked sample counts like any other, until whoever made it runs it again.
//!
//! | Mark | Set where | Because |
//! |---|---|---|
//! | `steal` | the host kept the ranks' CPUs for more than 1 % of the time they had | below that it is lost in the spread of medians. It is counted in ticks, of 10 ms mostly: in a second of one CPU one tick is 1 %, in a short pass it is all there is to know |
//! | `throttled` | a quota held the control group back at all | then every rank stood still, for milliseconds |
//! | `preempted` | a rank lost its CPU, and waited for one for more than 1 % of the time | losing it to a thread of the kernel for microseconds happens to any long pass, and costs nothing |
//! | `delayed` | a rank waited as long, and at least 100 µs, without having lost its CPU | it was to wake at a barrier, and somebody else ran there; to wake at all takes some microseconds |
//! | `migrated` | a rank ended on another CPU than it began on | its caches were left behind |
//! | `paged` | a page came from a disk | that takes as long as many passes |
//! | `slowed` | the clock of rank 0's CPU fell by more than 5 % | less is what it does between two looks |
//! | `overheated` | that CPU, or its package, was too hot | its clock was held back meanwhile |
//!
//! Where ranks outnumber CPUs they take turns, which is no disturbance: `preempted`, `delayed` and `migrated` are
//! not set. What the system does not say is `null`, and sets no mark; where it says nothing of waiting, losing a
//! CPU is enough to be `preempted`.

use serde::Serialize;

use crate::placement::Crowding;
use crate::shm::Disturbed;

/// The share of the time that may be lost.
pub(crate) const SHARE: f64 = 0.01;
/// A rank that wakes has waited for less.
const WAKING: f64 = 100e-6;
/// By how much a clock may become slower.
const DROP: f64 = 0.05;

/// What disturbed the timed passes of a run. Sums over all ranks, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Noise {
    /// How long the host of a virtual machine kept the ranks' CPUs for others.
    pub(crate) steal_s: Option<f64>,
    /// How long a quota held the control group back.
    pub(crate) throttled_s: Option<f64>,
    /// How often a rank lost its CPU.
    pub(crate) nivcsw: Option<u64>,
    /// How many ranks ended on another CPU.
    pub(crate) migrations: Option<u64>,
    /// How long ranks could have run, and had no CPU.
    pub(crate) run_delay_s: Option<f64>,
    /// How often a page came from a disk.
    pub(crate) majflt: Option<u64>,
    /// By how much the clock of rank 0's CPU became slower, as a share.
    pub(crate) frequency_drop: Option<f64>,
    /// How often that CPU, or its package, was too hot.
    pub(crate) overheated: Option<u64>,
    /// How many CPUs were the ranks'.
    pub(crate) cpus: usize,
    /// What of it is beyond its threshold; empty: undisturbed.
    pub(crate) marked: Vec<Mark>,
}

/// What may be wrong with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mark {
    Steal,
    Throttled,
    Preempted,
    Delayed,
    Migrated,
    Paged,
    Slowed,
    Overheated,
}

impl Noise {
    /// Judges what ranks on so many CPUs have seen in so many seconds of timed passes. Rank 0 comes first.
    pub(crate) fn of(ranks: &[Disturbed], cpus: usize, timed: f64, crowding: Crowding) -> Self {
        let first = ranks.first().copied().unwrap_or_default();
        let sum = |of: fn(&Disturbed) -> Option<u64>| {
            let known: Option<Vec<u64>> = ranks.iter().map(of).collect();
            known
                .filter(|known| !known.is_empty())
                .map(|known| known.into_iter().fold(0, u64::saturating_add))
        };
        let mut noise = Self {
            steal_s: first.stolen.map(seconds),
            throttled_s: first.throttled.map(seconds),
            nivcsw: sum(|rank| rank.switches),
            migrations: sum(|rank| rank.moved),
            run_delay_s: sum(|rank| rank.delayed).map(seconds),
            majflt: sum(|rank| rank.major_faults),
            frequency_drop: first.slowed.map(|millionths| millionths as f64 / 1e6),
            overheated: first.overheated,
            cpus,
            marked: Vec::new(),
        };
        let some = |count: Option<u64>| count.is_some_and(|count| count > 0);
        let beyond = |value: Option<f64>, most: f64| value.is_some_and(|value| value > most);
        let alone = crowding == Crowding::Roomy;
        // Of each rank by itself: one that waits lets all others wait.
        let lost = |rank: &Disturbed| {
            some(rank.switches) && rank.delayed.map(seconds).is_none_or(|s| s > SHARE * timed)
        };
        let late = |rank: &Disturbed| {
            !some(rank.switches) && beyond(rank.delayed.map(seconds), (SHARE * timed).max(WAKING))
        };
        let marks = [
            (Mark::Steal, beyond(noise.steal_s, SHARE * timed * cpus as f64)),
            (Mark::Throttled, some(first.throttled)),
            (Mark::Preempted, alone && ranks.iter().any(lost)),
            (Mark::Delayed, alone && ranks.iter().any(late)),
            (Mark::Migrated, alone && some(noise.migrations)),
            (Mark::Paged, some(noise.majflt)),
            (Mark::Slowed, beyond(noise.frequency_drop, DROP)),
            (Mark::Overheated, some(noise.overheated)),
        ];
        noise.marked = marks.into_iter().filter_map(|(mark, set)| set.then_some(mark)).collect();
        noise
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Disturbed = Disturbed {
        switches: Some(0),
        major_faults: Some(0),
        moved: Some(0),
        delayed: Some(3_000),
        stolen: Some(0),
        throttled: Some(0),
        slowed: Some(10_000),
        overheated: Some(0),
    };

    fn marks(rank: Disturbed, crowding: Crowding) -> Vec<Mark> {
        Noise::of(&[rank, QUIET], 2, 0.1, crowding).marked
    }

    #[test]
    fn each_signal_beyond_its_threshold_sets_its_mark() {
        let ms = |ms: u64| Some(ms * 1_000_000);
        assert_eq!(marks(QUIET, Crowding::Roomy), []);
        for (rank, mark) in [
            (Disturbed { stolen: ms(10), ..QUIET }, Mark::Steal),
            (Disturbed { throttled: Some(1), ..QUIET }, Mark::Throttled),
            (Disturbed { switches: Some(1), delayed: ms(2), ..QUIET }, Mark::Preempted),
            (Disturbed { switches: Some(1), delayed: None, ..QUIET }, Mark::Preempted),
            (Disturbed { delayed: ms(2), ..QUIET }, Mark::Delayed),
            (Disturbed { moved: Some(1), ..QUIET }, Mark::Migrated),
            (Disturbed { major_faults: Some(1), ..QUIET }, Mark::Paged),
            (Disturbed { slowed: Some(60_000), ..QUIET }, Mark::Slowed),
            (Disturbed { overheated: Some(1), ..QUIET }, Mark::Overheated),
        ] {
            assert_eq!(marks(rank, Crowding::Roomy), [mark]);
        }
    }

    #[test]
    fn what_costs_nothing_sets_no_mark() {
        let brief = Disturbed { switches: Some(5), delayed: Some(900_000), ..QUIET };
        assert_eq!(marks(brief, Crowding::Roomy), []);
        let stolen = Disturbed { stolen: Some(1_900_000), ..QUIET };
        assert_eq!(marks(stolen, Crowding::Roomy), []);
        // In a very short pass any waking is more than 1 %.
        let waking = Disturbed { delayed: Some(50_000), ..QUIET };
        assert_eq!(Noise::of(&[waking], 1, 1e-5, Crowding::Roomy).marked, []);
    }

    #[test]
    fn steal_is_held_against_the_cpus_that_were_watched_and_not_the_ranks() {
        let stolen = Disturbed { stolen: Some(3_000_000), ..QUIET };
        let marked = |ranks: usize, cpus| {
            let mut all = vec![QUIET; ranks];
            all[0] = stolen;
            Noise::of(&all, cpus, 0.1, Crowding::Crowded).marked
        };
        // 3 ms of 0.1 s are 3 % of one CPU, 1.5 % of two, and 0.75 % of four.
        assert_eq!(marked(64, 2), [Mark::Steal]);
        assert_eq!(marked(1, 4), []);
        assert_eq!(marked(1, 1), [Mark::Steal]);
    }

    #[test]
    fn ranks_that_take_turns_do_not_disturb_one_another() {
        let turns =
            Disturbed { switches: Some(9), delayed: Some(50_000_000), moved: Some(1), ..QUIET };
        assert_eq!(marks(turns, Crowding::Crowded), []);
        assert_eq!(marks(turns, Crowding::Roomy), [Mark::Preempted, Mark::Migrated]);
    }

    #[test]
    fn what_the_system_does_not_say_is_null_and_sets_no_mark() {
        let noise = Noise::of(&[Disturbed::default()], 1, 0.1, Crowding::Roomy);
        assert_eq!(noise.marked, []);
        let json = serde_json::to_value(&noise).unwrap();
        assert!(json["steal_s"].is_null() && json["frequency_drop"].is_null(), "{json}");
        assert_eq!((noise.nivcsw, noise.run_delay_s), (None, None));
    }
}
