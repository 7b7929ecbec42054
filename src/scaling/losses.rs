//! Where the ranks' time went: parts that add up to all of it.
//!
//! A trial of p ranks that takes T costs p·T *rank-seconds*. Without any loss the work would cost what it
//! costs the base: w·T_base, where w is how many times the base's work it is (1 in a strong study). That is
//! the *ideal*, and its share of p·T is the efficiency. So what is between the two is exactly what there is
//! to explain:
//!
//! ```text
//! p·T  =  w·T_base  +  launch + touch + claim + imbalance + barrier
//!                   +  memory + steal + delay + frequency + computing  +  output + rest
//! ```
//!
//! **Each part is a difference.** The base, too, claims, touches pages and is launched. Time of that kind is
//! no loss as long as it is what the base spent; a part is what the ranks spent on it *beyond* w times what
//! the base did. One that is negative is a gain: a slice that fits into caches at last makes `computing`
//! negative. Beside each part stands what was spent in all.
//!
//! **Why it closes.** The time of a rank is cut in one way: launch, touch and output are of the launcher's
//! clock and every rank's alike (p times the phase); in between, each rank's own clock cuts its time into
//! busy, claiming and waiting. What none of them says is the rest: p·T less all of these. The same is done to
//! the base. The waits are cut into imbalance and barrier, the excess of busy time into memory, steal,
//! delay, frequency and computing, each time so that the last takes what the others leave. So the sum is an
//! identity, whatever is measured. What is *not* one is that the rest is small: the clocks of launcher and
//! ranks are different, and a rest above 1 % of p·T says that they do not agree, or that something is done
//! which nobody times ([`Losses::closes`]).
//!
//! **What each part means, and cannot.**
//!
//! - `launch`: until the last rank has attached. Ranks that are up early wait in it, and are counted for all
//!   of it.
//! - `touch`: until the last rank has made its pages present. Part of the first pass only.
//! - `claim`: asking for chunks, waiting for the counter's lock included: more of it means smaller chunks or
//!   more ranks, and it cannot tell these apart.
//! - `imbalance`: waits that would not be if all ranks had been busy as long as the busiest, Σ(max − own) of
//!   busy and claiming. Chunks that are too large, CPUs of different speed and a serial share of the kernel
//!   all look like this.
//! - `barrier`: what is left of the waits: waking up, ranks that began late, several passes with a different
//!   busiest rank each. Where ranks waited less than their imbalance says, clocks disagree; then all waits
//!   are imbalance, and this is 0 beyond the base.
//! - `memory`: p ranks that move D bytes through a ceiling of B bytes/s take p·D/B rank-seconds at least, as
//!   long as all of them are at it. What of that is beyond w times the base's busy time is no fault of the
//!   program: no more than the whole excess of busy time. D is what the kernel declares: what caches save or
//!   add is not in it.
//! - `steal`: what the host kept for others beyond what it kept in the base's trial, at most what memory
//!   has left of the excess: time stolen from a rank that waits anyway costs nothing.
//! - `delay`: what ranks that could have run waited for a CPU, beyond what the base did, at most what is left of the
//!   excess: a rank that loses its CPU is busy all the while by its own clock.
//! - `frequency`: what busy time would have been shorter at the base's clock, at most what is left. Work that
//!   waits for memory does not get faster with the clock: therefore memory comes first.
//! - `computing`: what is left. The same work took longer, or shorter, and none of the above says why:
//!   caches, siblings of a core, memory traffic that the kernel does not declare.
//! - `output`: verifying and writing, while ranks are gone. Part of a whole run only.
//! - `rest`: what nobody timed.
//!
//! The window may be a whole run of one pass, or one pass of the steady state, whose launch, touch and output
//! are 0; for base and trial it has to be the same. Ranks' times are of one pass, so a whole run of several
//! has no such budget.

use serde::Serialize;

/// The rest may be this share of the whole.
const CLOSE: f64 = 0.01;

/// What a trial took, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spent {
    /// From the beginning to the end of what is looked at.
    pub(crate) time: f64,
    /// Until all ranks had attached.
    pub(crate) launch: f64,
    /// From there until all had touched their pages.
    pub(crate) touch: f64,
    /// After the last pass.
    pub(crate) output: f64,
    pub(crate) ranks: Vec<RankTime>,
    /// What the host kept of the ranks' CPUs, all together; `None`: nobody knows.
    pub(crate) stolen: Option<f64>,
    /// How long the ranks could have run, and had no CPU, all together; `None`: nobody knows.
    pub(crate) delayed: Option<f64>,
    /// The clock of the ranks' CPUs, in any unit; `None`: nobody knows.
    pub(crate) clock: Option<f64>,
}

/// What one rank spent of a pass, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RankTime {
    pub(crate) busy: f64,
    pub(crate) claim: f64,
    pub(crate) wait: f64,
}

impl Spent {
    /// Returns what one pass took.
    pub(crate) fn pass(time: f64, ranks: Vec<RankTime>) -> Self {
        Self {
            time,
            launch: 0.0,
            touch: 0.0,
            output: 0.0,
            ranks,
            stolen: None,
            delayed: None,
            clock: None,
        }
    }

    /// Returns what a plain serial loop took, which does nothing but compute.
    pub(crate) fn serial(time: f64) -> Self {
        Self::pass(time, vec![RankTime { busy: time, claim: 0.0, wait: 0.0 }])
    }

    fn procs(&self) -> f64 {
        self.ranks.len() as f64
    }

    fn sum(&self, of: impl Fn(&RankTime) -> f64) -> f64 {
        self.ranks.iter().map(of).sum()
    }

    /// Returns what the waits hold that the busiest rank explains, and what it does not.
    fn waits(&self) -> [f64; 2] {
        let own = |rank: &RankTime| rank.busy + rank.claim;
        let most = self.ranks.iter().map(own).fold(0.0, f64::max);
        let waited = self.sum(|rank| rank.wait);
        let explained = self.sum(|rank| most - own(rank)).min(waited);
        [explained, waited - explained]
    }
}

/// What the ranks had to move, and how fast this machine moves it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    /// What the kernel declares for the whole pass.
    pub(crate) bytes: f64,
    /// Bytes a second, measured with so many ranks.
    pub(crate) ceiling: f64,
}

/// What a part is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cause {
    Launch,
    Touch,
    Claim,
    Imbalance,
    Barrier,
    Memory,
    Steal,
    Delay,
    Frequency,
    Computing,
    Output,
    Rest,
}

/// One part of the loss, in rank-seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Part {
    pub(crate) cause: Cause,
    /// Beyond what the base spent on it for the same work; below 0 a gain.
    pub(crate) lost: f64,
    /// In all; `None` of causes that are known as a difference only.
    pub(crate) spent: Option<f64>,
}

/// A trial's time, cut into ideal and losses; in rank-seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Losses {
    pub(crate) procs: usize,
    /// procs × time: ideal and all parts together.
    pub(crate) whole: f64,
    /// What the base spent on the same work.
    pub(crate) ideal: f64,
    /// In the order in which reports stack them; each cause once.
    pub(crate) parts: Vec<Part>,
    /// max/mean − 1 of the ranks' busy times.
    pub(crate) imbalance: f64,
    /// Declared bytes a second, as a share of the ceiling; of a trial whose ceiling is known.
    pub(crate) bandwidth: Option<f64>,
}

impl Losses {
    /// Cuts a trial's time. `work` is how many times the base's work it did.
    pub(crate) fn of(trial: &Spent, base: &Spent, work: f64, memory: Option<Memory>) -> Self {
        let (whole, ideal) = (trial.procs() * trial.time, work * base.procs() * base.time);
        let [imbalance, barrier] = trial.waits();
        let [base_imbalance, base_barrier] = base.waits();
        let busy = trial.sum(|rank| rank.busy);
        let base_busy = work * base.sum(|rank| rank.busy);
        let part = |cause, spent: f64, of_base: f64| Part {
            cause,
            lost: spent - work * of_base,
            spent: Some(spent),
        };
        let phase = |cause, of: fn(&Spent) -> f64| {
            part(cause, trial.procs() * of(trial), base.procs() * of(base))
        };
        let claims = |spent: &Spent| spent.sum(|rank| rank.claim);
        let mut parts = vec![
            phase(Cause::Launch, |spent| spent.launch),
            phase(Cause::Touch, |spent| spent.touch),
            part(Cause::Claim, claims(trial), claims(base)),
            part(Cause::Imbalance, imbalance, base_imbalance),
            part(Cause::Barrier, barrier, base_barrier),
        ];
        // What is left of the excess of busy time: a gain is nobody's but computing's.
        let mut excess = busy - base_busy;
        let mut explained = |cause, most: f64| {
            let lost = most.min(excess).max(0.0);
            excess -= lost;
            Part { cause, lost, spent: None }
        };
        let least = memory.map_or(0.0, |memory| trial.procs() * memory.bytes / memory.ceiling);
        parts.push(explained(Cause::Memory, least - base_busy));
        // What nobody knows is no part, and not 0: it is in `computing`.
        let more = |of: fn(&Spent) -> Option<f64>| {
            of(trial).zip(of(base)).map(|(now, then)| now - work * then)
        };
        let slower = trial.clock.zip(base.clock).map(|(now, then)| busy * (1.0 - now / then));
        let known = [
            (Cause::Steal, more(|spent| spent.stolen)),
            (Cause::Delay, more(|spent| spent.delayed)),
            (Cause::Frequency, slower),
        ];
        for (cause, most) in known {
            parts.extend(most.map(|most| explained(cause, most)));
        }
        parts.push(Part { cause: Cause::Computing, lost: excess, spent: None });
        parts.push(phase(Cause::Output, |spent| spent.output));
        let timed: f64 = parts.iter().map(|part| part.lost).sum();
        parts.push(Part { cause: Cause::Rest, lost: whole - ideal - timed, spent: None });
        let most = trial.ranks.iter().map(|rank| rank.busy).fold(0.0, f64::max);
        let pass = trial.time - trial.launch - trial.touch - trial.output;
        Self {
            procs: trial.ranks.len(),
            whole,
            ideal,
            parts,
            imbalance: if busy > 0.0 { most * trial.procs() / busy - 1.0 } else { 0.0 },
            bandwidth: memory.map(|memory| memory.bytes / pass / memory.ceiling),
        }
    }

    /// Returns what was lost by a cause, in rank-seconds.
    pub(crate) fn lost(&self, cause: Cause) -> f64 {
        self.parts.iter().filter(|part| part.cause == cause).map(|part| part.lost).sum()
    }

    /// Returns the share of the whole that was lost by a cause.
    pub(crate) fn share(&self, cause: Cause) -> f64 {
        self.lost(cause) / self.whole
    }

    /// Returns the share of the whole that was not lost.
    pub(crate) fn efficiency(&self) -> f64 {
        self.ideal / self.whole
    }

    /// Says whether what nobody timed is within 1 % of the whole.
    pub(crate) fn closes(&self) -> bool {
        self.share(Cause::Rest).abs() <= CLOSE
    }

    /// Returns the part that most was lost by.
    pub(crate) fn greatest(&self) -> Option<&Part> {
        self.parts.iter().max_by(|a, b| a.lost.total_cmp(&b.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rank(busy: f64, claim: f64, wait: f64) -> RankTime {
        RankTime { busy, claim, wait }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    fn sum(losses: &Losses) -> f64 {
        losses.ideal + losses.parts.iter().map(|part| part.lost).sum::<f64>()
    }

    #[test]
    fn planted_parts_are_found() {
        // One rank: launch 1, touch 2, busy 80, claim 0.5, waits 0.1, output 1, and 0.4 that nobody times:
        // 85.
        let base = Spent {
            launch: 1.0,
            touch: 2.0,
            output: 1.0,
            stolen: Some(0.5),
            clock: Some(4.0),
            ..Spent::pass(85.0, vec![rank(80.0, 0.5, 0.1)])
        };
        // Two: 98 busy, of which 80 are the work; the second waits for the first's 10 more, both 0.2 to wake
        // up.
        let trial = Spent {
            launch: 1.5,
            touch: 1.2,
            output: 1.0,
            stolen: Some(3.5),
            clock: Some(3.8),
            ..Spent::pass(59.4, vec![rank(54.0, 1.0, 0.2), rank(44.0, 1.0, 10.2)])
        };
        // The ceiling leaves 88 rank-seconds at least, 8 more than the base was busy.
        let memory = Memory { bytes: 440.0, ceiling: 10.0 };
        let losses = Losses::of(&trial, &base, 1.0, Some(memory));
        near(losses.whole, 118.8);
        near(losses.efficiency(), 85.0 / 118.8);
        for (cause, expected) in [
            (Cause::Launch, 2.0 * 1.5 - 1.0),
            (Cause::Touch, 2.0 * 1.2 - 2.0),
            (Cause::Claim, 1.5),
            (Cause::Imbalance, 10.0),
            (Cause::Barrier, 0.4 - 0.1),
            (Cause::Memory, 8.0),
            (Cause::Steal, 3.0),
            (Cause::Frequency, 98.0 * 0.05),
            (Cause::Computing, 18.0 - 8.0 - 3.0 - 4.9),
            (Cause::Output, 1.0),
            (Cause::Rest, 118.8 - (3.0 + 2.4 + 98.0 + 2.0 + 10.4 + 2.0) - 0.4),
        ] {
            assert!(
                (losses.lost(cause) - expected).abs() < 1e-9,
                "{cause:?} {}",
                losses.lost(cause)
            );
        }
        near(losses.imbalance, 54.0 / 49.0 - 1.0);
        near(losses.bandwidth.unwrap(), 440.0 / 55.7 / 10.0);
        assert!(losses.closes() && (sum(&losses) - losses.whole).abs() < 1e-12);
        assert_eq!(losses.greatest().unwrap().cause, Cause::Imbalance);
        assert_eq!(losses.parts[2].spent, Some(2.0));
    }

    #[test]
    fn perfect_ranks_lose_nothing_strong_or_weak() {
        let base = Spent::pass(8.0, vec![rank(7.9, 0.1, 0.0)]);
        let strong = Spent::pass(2.0, vec![rank(1.975, 0.025, 0.0); 4]);
        let weak = Spent::pass(8.0, vec![rank(7.9, 0.1, 0.0); 4]);
        for (trial, work) in [(strong, 1.0), (weak, 4.0)] {
            let losses = Losses::of(&trial, &base, work, None);
            near(losses.efficiency(), 1.0);
            assert!(losses.parts.iter().all(|part| part.lost.abs() < 1e-12), "{losses:?}");
        }
    }

    #[test]
    fn faster_ranks_are_a_gain_that_memory_and_steal_have_no_part_in() {
        let trial = Spent { stolen: Some(5.0), ..Spent::pass(3.0, vec![rank(3.0, 0.0, 0.0); 2]) };
        let base = Spent { stolen: Some(0.0), ..Spent::serial(8.0) };
        let memory = Memory { bytes: 100.0, ceiling: 1.0 };
        let losses = Losses::of(&trial, &base, 1.0, Some(memory));
        near(losses.lost(Cause::Computing), -2.0);
        assert_eq!([Cause::Memory, Cause::Steal].map(|cause| losses.lost(cause)), [0.0, 0.0]);
        near(losses.lost(Cause::Rest), 0.0);
    }

    #[test]
    fn waiting_for_a_cpu_is_a_loss_of_its_own_and_no_more_than_ranks_were_longer_busy() {
        let base = Spent { delayed: Some(0.2), ..Spent::serial(8.0) };
        let late = |delayed| {
            let ranks = vec![rank(6.0, 0.0, 0.0), rank(4.0, 0.0, 2.0)];
            let trial = Spent { delayed, ..Spent::pass(6.0, ranks) };
            Losses::of(&trial, &base, 1.0, None)
        };
        near(late(Some(1.7)).lost(Cause::Delay), 1.5);
        near(late(Some(1.7)).lost(Cause::Computing), 0.5);
        near(late(Some(9.0)).lost(Cause::Delay), 2.0);
        // What nobody knows is no part: it cannot be told from computing.
        let unknown = late(None);
        assert!(unknown.parts.iter().all(|part| part.cause != Cause::Delay));
        near(unknown.lost(Cause::Computing), 2.0);
    }

    #[test]
    fn what_nobody_timed_is_the_rest_and_too_much_of_it_is_told() {
        let trial = Spent::pass(10.0, vec![rank(9.0, 0.0, 0.0); 2]);
        let losses = Losses::of(&trial, &Spent::serial(18.0), 1.0, None);
        near(losses.lost(Cause::Rest), 2.0);
        assert!(!losses.closes());
    }

    prop_compose! {
        fn times()(
            phases in prop::array::uniform4(0.0_f64..10.0),
            ranks in prop::collection::vec(prop::array::uniform3(0.0_f64..10.0), 1..9),
            stolen in prop::option::of(0.0_f64..5.0),
            delayed in prop::option::of(0.0_f64..5.0),
            clock in prop::option::of(1.0_f64..5.0),
        ) -> Spent {
            let [more, launch, touch, output] = phases;
            let time = launch + touch + output + more + 0.1;
            let ranks = ranks.into_iter().map(|[busy, claim, wait]| rank(busy, claim, wait)).collect();
            Spent { time, launch, touch, output, ranks, stolen, delayed, clock }
        }
    }

    proptest! {
        #[test]
        fn parts_add_up_whatever_was_measured(
            trial in times(), base in times(), work in 0.5_f64..8.0,
            memory in prop::option::of((0.0_f64..100.0, 0.1_f64..10.0)),
        ) {
            let memory = memory.map(|(bytes, ceiling)| Memory { bytes, ceiling });
            let losses = Losses::of(&trial, &base, work, memory);
            prop_assert!((sum(&losses) - losses.whole).abs() < 1e-9 * (1.0 + losses.whole + losses.ideal));
            for cause in [Cause::Memory, Cause::Steal, Cause::Delay, Cause::Frequency] {
                prop_assert!(losses.lost(cause) >= 0.0);
            }
            // In another unit of time the shares are the same.
            let scaled = |spent: &Spent| Spent {
                time: spent.time * 1e3,
                launch: spent.launch * 1e3,
                touch: spent.touch * 1e3,
                output: spent.output * 1e3,
                ranks: spent.ranks.iter().map(|r| rank(r.busy * 1e3, r.claim * 1e3, r.wait * 1e3)).collect(),
                stolen: spent.stolen.map(|stolen| stolen * 1e3),
                delayed: spent.delayed.map(|delayed| delayed * 1e3),
                clock: spent.clock,
            };
            let slower = memory.map(|m| Memory { ceiling: m.ceiling / 1e3, ..m });
            let again = Losses::of(&scaled(&trial), &scaled(&base), work, slower);
            for part in &losses.parts {
                let scale = 1e-9 * (1.0 + losses.ideal / losses.whole);
                prop_assert!((losses.share(part.cause) - again.share(part.cause)).abs() < scale);
            }
        }

        #[test]
        fn consistent_clocks_leave_no_rest(trial in times(), base in times()) {
            // Ranks whose time is cut without a gap, and a window that is theirs.
            let whole = |mut spent: Spent| {
                let own = |rank: &RankTime| rank.busy + rank.claim + rank.wait;
                let most = spent.ranks.iter().map(own).fold(0.1, f64::max);
                for rank in &mut spent.ranks {
                    rank.wait += most - own(rank);
                }
                spent.time = spent.launch + spent.touch + spent.output + most;
                spent
            };
            let losses = Losses::of(&whole(trial), &whole(base), 1.0, None);
            prop_assert!(losses.closes() && losses.share(Cause::Rest).abs() < 1e-9);
        }
    }
}
