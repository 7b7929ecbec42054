//! What ranks measure in place of computing, and at which pace: `spmd bench`, as the ranks see it.

use serde::{Deserialize, Serialize};

use crate::shm::{Ask, Readings};

/// What the ranks of a calibration do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calibration {
    pub(crate) measured: Measured,
    pub(crate) pace: Pace,
    /// Places for readings that each rank has: warm-up, samples, and the word that there are no more.
    pub(crate) places: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Measured {
    /// One barrier after another.
    Barrier,
    /// Claims of chunks in which nothing is computed.
    Pull,
    /// Loops over arrays.
    Bandwidth {
        /// Bytes of each of the [`ARRAYS`].
        array: u64,
        /// Which loops.
        loops: Loops,
    },
}

impl Calibration {
    /// Returns the bytes that readings and arrays take; `None` if more than there can be.
    pub(crate) fn bytes(&self, procs: u32) -> Option<u64> {
        self.array(procs, ARRAYS)
    }

    /// Returns where an array begins, in bytes from where the readings do.
    pub(crate) fn array(&self, procs: u32, number: u64) -> Option<u64> {
        let array = match self.measured {
            Measured::Bandwidth { array, .. } => array,
            Measured::Barrier | Measured::Pull => 0,
        };
        let readings = Readings::bytes(procs, self.places)?.checked_next_multiple_of(PAGE)?;
        readings.checked_add(array.checked_mul(number)?)
    }
}

/// How many arrays the loops over memory need.
pub(crate) const ARRAYS: u64 = 3;
/// Arrays are multiples of this, of any page size in use: no page is shared by two ranks.
pub(crate) const PAGE: u64 = 1 << 16;

/// A loop over memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    /// Adds up b.
    Read,
    /// a = s a, in place.
    Update,
    /// c = b.
    Copy,
    /// a = b + s c.
    Triad,
}

/// Which loops over memory are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Loops {
    /// All of them.
    All,
    /// The one that stands for all: a ceiling is wanted, and each loop takes seconds.
    Triad,
}

impl Loops {
    /// Returns them.
    pub(crate) fn each(self) -> &'static [Loop] {
        match self {
            Self::All => &[Loop::Read, Loop::Update, Loop::Copy, Loop::Triad],
            Self::Triad => &[Loop::Triad],
        }
    }

    /// Returns the loop that is run in this sample: they take turns, so that what disturbs for a while
    /// disturbs all.
    pub(crate) fn of(self, sample: u64) -> Loop {
        let each = self.each();
        each[(sample % each.len() as u64) as usize]
    }
}

impl Loop {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Update => "update",
            Self::Copy => "copy",
            Self::Triad => "triad",
        }
    }

    /// Returns how many arrays it reads or writes, one that it reads and writes twice. What hardware
    /// reads only to write a part of a line is not counted.
    pub(crate) fn streams(self) -> u64 {
        match self {
            Self::Read => 1,
            Self::Update | Self::Copy => 2,
            Self::Triad => 3,
        }
    }
}

/// How many samples there are, and how long one lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pace {
    pub(crate) grain: Grain,
    /// Samples at least, however long they take.
    pub(crate) least: u64,
    /// Samples at most.
    pub(crate) most: u64,
    /// For so long there are more samples.
    pub(crate) budget_ns: u64,
}

/// What a sample consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Grain {
    /// As many operations as last about so long.
    Batch {
        /// Nanoseconds.
        ns: u64,
    },
    /// One pass over what there is; so many passes, a round, belong together.
    Pass {
        /// Passes in a round.
        round: u64,
    },
}

/// Finds how many operations make a batch, or warms up by passes, in no more samples than this.
const WARM_UPS: u64 = 16;
/// And in no fewer than this.
const LEAST_WARM_UPS: u64 = 3;
/// From one attempt to the next.
const GROWTH: u64 = 4;
/// Operations in a batch at most.
const MOST: u128 = 1 << 40;

impl Pace {
    /// Returns how many places for readings it may need.
    pub(crate) fn places(&self) -> u64 {
        WARM_UPS + self.most + 1
    }
}

/// Decides, on rank 0, what comes next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    /// What was asked for last.
    last: Option<Ask>,
    warmed: u64,
    /// Of the warm-up the operations, and the nanoseconds, that give the highest rate.
    fastest: (u64, u64),
    sampled: u64,
    /// When the first sample that counts was asked for.
    began: u64,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, last: None, warmed: 0, fastest: (0, 1), sampled: 0, began: 0 }
    }

    /// Returns what comes next, when the last has taken this rank `took` nanoseconds.
    pub(crate) fn next(&mut self, took: u64, now: u64) -> Ask {
        let ask = match self.last {
            None => Ask::WarmUp(1),
            Some(Ask::WarmUp(operations)) => {
                self.rate(operations, took);
                self.warmed_up(operations)
            }
            Some(Ask::Sample(operations)) if self.goes_on(now) => Ask::Sample(operations),
            Some(Ask::Sample(_) | Ask::Stop) => Ask::Stop,
        };
        match ask {
            Ask::WarmUp(_) => self.warmed += 1,
            Ask::Sample(_) if self.sampled == 0 => (self.sampled, self.began) = (1, now),
            Ask::Sample(_) => self.sampled += 1,
            Ask::Stop => {}
        }
        self.last = Some(ask);
        ask
    }

    fn rate(&mut self, operations: u64, took: u64) {
        let (fast, in_ns) = self.fastest;
        let rate = |count: u64, other: u64| u128::from(count) * u128::from(other);
        if rate(operations, in_ns) > rate(fast, took.max(1)) {
            self.fastest = (operations, took.max(1));
        }
    }

    fn warmed_up(&self, operations: u64) -> Ask {
        match self.pace.grain {
            // Whole rounds: what is run in a sample, its number says.
            Grain::Pass { round } => {
                let least = LEAST_WARM_UPS.next_multiple_of(round.clamp(1, WARM_UPS));
                if self.warmed < least { Ask::WarmUp(1) } else { Ask::Sample(1) }
            }
            Grain::Batch { ns } => {
                // By the fastest so far: one that was disturbed says little of how many there is time for.
                let (fast, in_ns) = self.fastest;
                let fitting = u128::from(fast) * u128::from(ns) / u128::from(in_ns.max(1));
                let fitting = u64::try_from(fitting.clamp(1, MOST)).unwrap_or(1);
                let near = operations >= fitting / GROWTH && self.warmed >= LEAST_WARM_UPS;
                if near || self.warmed >= WARM_UPS {
                    Ask::Sample(fitting)
                } else {
                    Ask::WarmUp(fitting.min(operations * GROWTH))
                }
            }
        }
    }

    fn goes_on(&self, now: u64) -> bool {
        let round = match self.pace.grain {
            Grain::Pass { round } => round.max(1),
            Grain::Batch { .. } => 1,
        };
        let whole = self.sampled.is_multiple_of(round);
        let time_left = now.saturating_sub(self.began) < self.pace.budget_ns;
        self.sampled < self.pace.most && (!whole || self.sampled < self.pace.least || time_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a machine on which an operation takes `ns` follow a pacer to its end.
    fn followed(pace: Pace, ns: u64) -> Vec<Ask> {
        let (mut pacer, mut asked) = (Pacer::new(pace), Vec::new());
        let (mut took, mut now) = (0, 1_000);
        loop {
            let ask = pacer.next(took, now);
            asked.push(ask);
            match ask {
                Ask::WarmUp(operations) | Ask::Sample(operations) => took = operations * ns,
                Ask::Stop => return asked,
            }
            now += took;
            assert!(asked.len() as u64 <= pace.places());
        }
    }

    fn samples(asked: &[Ask]) -> Vec<u64> {
        let samples = asked.iter().filter_map(|ask| match ask {
            Ask::Sample(operations) => Some(*operations),
            Ask::WarmUp(_) | Ask::Stop => None,
        });
        samples.collect()
    }

    #[test]
    fn a_batch_lasts_as_long_as_was_asked_for_on_any_machine() {
        let grain = Grain::Batch { ns: 10_000_000 };
        let pace = Pace { grain, least: 31, most: 1001, budget_ns: 1_000_000_000 };
        for (ns, operations, count) in
            [(100, 100_000, 100), (3_000, 3_333, 101), (8_000_000, 1, 125), (1_000_000_000, 1, 31)]
        {
            let asked = samples(&followed(pace, ns));
            assert_eq!(asked.first(), Some(&operations), "{ns} ns");
            assert_eq!(asked.len(), count, "{ns} ns");
        }
    }

    #[test]
    fn a_disturbance_while_warming_up_makes_no_batch_smaller() {
        let pace =
            Pace { grain: Grain::Batch { ns: 2_000_000 }, least: 31, most: 31, budget_ns: 0 };
        for disturbed in 0..8 {
            let (mut pacer, mut took) = (Pacer::new(pace), 0);
            let operations = (0..).find_map(|attempt| match pacer.next(took, 0) {
                Ask::WarmUp(operations) => {
                    took = operations * 300 + if attempt == disturbed { 4_000_000 } else { 0 };
                    None
                }
                Ask::Sample(operations) => Some(operations),
                Ask::Stop => Some(0),
            });
            assert_eq!(operations, Some(6_666), "{disturbed}");
        }
    }

    #[test]
    fn no_operation_is_too_fast_and_none_too_slow() {
        let grain = Grain::Batch { ns: 10_000_000 };
        let pace = Pace { grain, least: 31, most: 31, budget_ns: 0 };
        assert_eq!(samples(&followed(pace, 0)).len(), 31);
        assert_eq!(samples(&followed(pace, 1 << 40)), [1; 31]);
    }

    #[test]
    fn passes_are_counted_in_whole_rounds_from_a_multiple_of_a_round_on() {
        let grain = Grain::Pass { round: 4 };
        let pace = Pace { grain, least: 44, most: 400, budget_ns: 1_000 };
        let asked = followed(pace, 300);
        let warm = asked.iter().filter(|ask| matches!(ask, Ask::WarmUp(_))).count();
        assert_eq!((warm % 4, samples(&asked).len()), (0, 44));
        let longer = Pace { budget_ns: 300 * 50, ..pace };
        assert_eq!(samples(&followed(longer, 300)).len(), 52);
        let longest = Pace { budget_ns: u64::MAX, ..pace };
        assert_eq!(samples(&followed(longest, 300)).len(), 400);
    }
}
