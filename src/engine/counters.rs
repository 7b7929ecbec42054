//! What the processor counted in the timed passes of a run: of each rank, and of all; pure.
//!
//! Counters are few. Where others want them too, the system lets them take turns, and a group counts for a share
//! of the time; its counts are then scaled up to all of it, which is an estimate, and the share stands beside them.

use std::io;

use serde::{Serialize, Serializer};

use crate::data::reason;
use crate::shm::Counted;

/// What was counted in user space, from the first timed pass to the last; waits that spin are in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Counters {
    #[serde(serialize_with = "exact")]
    pub(crate) cycles: Option<u64>,
    #[serde(serialize_with = "exact")]
    pub(crate) instructions: Option<u64>,
    /// Of the last cache.
    #[serde(serialize_with = "exact")]
    pub(crate) cache_misses: Option<u64>,
    /// Seconds on a CPU.
    pub(crate) cpu_s: f64,
    /// The share of them in which was counted; of several ranks the least.
    pub(crate) running: f64,
}

/// Why there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The system refused, with this error number.
    Refused(u64),
    /// They never counted: others had them all the time, or they are of another kind of core.
    Idle,
    /// The rank did not say: its process was in no timed pass.
    Unsaid,
}

impl Counters {
    /// Reads what a rank wrote down, which may be anything.
    pub(crate) fn of(counted: &Counted) -> Result<Self, Absent> {
        if let Some(number) = counted.refused {
            return Err(Absent::Refused(number));
        }
        let (Some(enabled), Some(running)) = (counted.enabled, counted.running) else {
            return Err(Absent::Unsaid);
        };
        // No counter runs for longer than it is there.
        let running = running.min(enabled);
        if running == 0 {
            return Err(Absent::Idle);
        }
        let whole = |count: u64| {
            let scaled = u128::from(count) * u128::from(enabled) / u128::from(running);
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        Ok(Self {
            cycles: counted.cycles.map(whole),
            instructions: counted.instructions.map(whole),
            cache_misses: counted.cache_misses.map(whole),
            cpu_s: enabled as f64 / 1e9,
            running: running as f64 / enabled as f64,
        })
    }

    /// Adds two ranks; what one of them does not say is not known of both.
    fn and(self, other: Self) -> Self {
        let sum = |one: Option<u64>, two: Option<u64>| Some(one?.saturating_add(two?));
        Self {
            cycles: sum(self.cycles, other.cycles),
            instructions: sum(self.instructions, other.instructions),
            cache_misses: sum(self.cache_misses, other.cache_misses),
            cpu_s: self.cpu_s + other.cpu_s,
            running: self.running.min(other.running),
        }
    }

    /// Returns instructions for each cycle.
    pub(crate) fn per_cycle(&self) -> Option<f64> {
        let cycles = self.cycles.filter(|cycles| *cycles > 0)?;
        Some(self.instructions? as f64 / cycles as f64)
    }

    /// Returns cycles for each second on a CPU.
    pub(crate) fn frequency(&self) -> Option<f64> {
        self.cycles.map(|cycles| cycles as f64 / self.cpu_s)
    }
}

/// What all ranks of a run counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counting {
    pub(crate) ranks: Vec<Result<Counters, Absent>>,
    /// All together; the reason of the first that has none.
    pub(crate) all: Result<Counters, Absent>,
}

impl Counting {
    pub(crate) fn of(ranks: &[Counted]) -> Self {
        let ranks: Vec<_> = ranks.iter().map(Counters::of).collect();
        let all: Result<Vec<Counters>, Absent> = ranks.iter().copied().collect();
        let all = all.and_then(|all| all.into_iter().reduce(Counters::and).ok_or(Absent::Unsaid));
        Self { ranks, all }
    }
}

impl Absent {
    pub(crate) fn why(self) -> String {
        match self {
            Self::Refused(number) => {
                let number = i32::try_from(number).unwrap_or(0);
                refusal(&io::Error::from_raw_os_error(number))
            }
            Self::Idle => {
                "the processor's counters never ran: others had them, or this kind of core has none"
                    .to_owned()
            }
            Self::Unsaid => "a rank was started again, and was in no timed pass".to_owned(),
        }
    }
}

/// Says why counters cannot be opened, from what the system answered.
pub(crate) fn refusal(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP) => {
            "this machine shows no hardware counters".to_owned()
        }
        Some(libc::EACCES | libc::EPERM) => "perf_event_open is not permitted, by \
             /proc/sys/kernel/perf_event_paranoid or by a filter of system calls"
            .to_owned(),
        Some(libc::ENOSYS) => {
            "there is no perf_event_open: the kernel, or a filter of system calls, has none"
                .to_owned()
        }
        _ => format!("perf_event_open: {}", reason(error)),
    }
}

/// A reader of JSON may have no integers beyond 2^53: those are text.
fn exact<S: Serializer>(count: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match count {
        Some(count) if *count > 1 << 53 => serializer.collect_str(count),
        count => count.serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Counted = Counted {
        cycles: Some(3_000),
        instructions: Some(6_000),
        cache_misses: Some(20),
        enabled: Some(1_000),
        running: Some(1_000),
        refused: None,
    };

    #[test]
    fn counts_of_a_share_of_the_time_are_scaled_up_to_all_of_it() {
        let alone = Counters::of(&ALONE).unwrap();
        assert_eq!((alone.cycles, alone.running), (Some(3_000), 1.0));
        assert_eq!((alone.per_cycle(), alone.frequency()), (Some(2.0), Some(3e9)));
        let shared = Counters::of(&Counted { running: Some(250), ..ALONE }).unwrap();
        assert_eq!((shared.cycles, shared.cache_misses), (Some(12_000), Some(80)));
        assert_eq!((shared.running, shared.per_cycle()), (0.25, Some(2.0)));
    }

    #[test]
    fn what_another_process_wrote_cannot_do_harm() {
        let most = Some(u64::MAX);
        for (enabled, running) in [(0, 0), (0, 1), (1, 0), (1, u64::MAX), (u64::MAX, 1)] {
            let (enabled, running) = (Some(enabled), Some(running));
            let counted = Counted { cycles: most, instructions: most, enabled, running, ..ALONE };
            let Ok(counters) = Counters::of(&counted) else { continue };
            assert_eq!(counters.cycles, most);
            assert!((0.0..=1.0).contains(&counters.running) && counters.cpu_s > 0.0);
            let all = Counting::of(&[counted, counted]).all.unwrap();
            assert_eq!(all.cycles, most);
            assert!(all.frequency().unwrap().is_finite() && all.per_cycle() == Some(1.0));
        }
        let still = Counters::of(&Counted { cycles: Some(0), ..ALONE }).unwrap();
        assert_eq!((still.per_cycle(), still.frequency()), (None, Some(0.0)));
        for number in [0, 1, 99_999, u64::MAX] {
            assert!(!Absent::Refused(number).why().is_empty());
        }
    }

    #[test]
    fn a_sum_is_of_all_ranks_or_of_none() {
        let two = Counting::of(&[ALONE, Counted { running: Some(500), ..ALONE }]);
        let all = two.all.unwrap();
        assert_eq!((all.cycles, all.running), (Some(9_000), 0.5));
        assert_eq!(Counting::of(&[ALONE, Counted::default()]).all, Err(Absent::Unsaid));
        let crowded = Counted { running: Some(0), ..ALONE };
        assert_eq!(Counting::of(&[crowded, ALONE]).all, Err(Absent::Idle));
        let lacks = Counted { cache_misses: None, ..ALONE };
        let all = Counting::of(&[ALONE, lacks]).all.unwrap();
        assert_eq!((all.instructions, all.cache_misses), (Some(12_000), None));
        assert_eq!(Counting::of(&[]).all, Err(Absent::Unsaid));
    }

    #[test]
    fn each_refusal_has_its_reason() {
        for (number, says) in [
            (libc::ENOENT, "no hardware counters"),
            (libc::EACCES, "perf_event_paranoid"),
            (libc::EPERM, "filter of system calls"),
            (libc::ENOSYS, "there is no perf_event_open"),
            (libc::EMFILE, "perf_event_open: too many open files"),
        ] {
            let why = Absent::Refused(number.unsigned_abs().into()).why();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_count_that_json_may_not_hold_is_text() {
        let counted = Counted { cycles: Some((1 << 53) + 1), cache_misses: None, ..ALONE };
        let json = serde_json::to_value(Counters::of(&counted).unwrap()).unwrap();
        assert_eq!(json["cycles"], "9007199254740993");
        assert_eq!(json["instructions"], 6_000);
        assert!(json["cache_misses"].is_null());
    }
}
