//! Plays a pass: ranks that claim and compute, in simulated time, with the schedule's own arithmetic.
//!
//! A claim from the counter takes `locked`, and one rank at a time makes one; who has to wait for another's
//! then takes `contended`. A
//! claim from one's own range takes `own`, and nobody waits. Taking from another's range is a claim under the
//! lock, and a look at every other range. What is claimed is what [`Partition`] says, weights of `awf-b` and
//! the choice of `auto` included, from the simulated times. Computing takes what [`Costs`] says. The pass
//! lasts until the last rank has found nothing more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::costs::Costs;
use super::overheads::Overheads;
use crate::schedule::{Choice, Chunk, Partition, Scope, Seen, Ticket, Weight};

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) costs: &'a Costs,
    pub(crate) overheads: Overheads,
    /// Bytes of an element: by them `auto` chooses.
    pub(crate) element: usize,
}

/// How a pass went.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Played {
    /// Nanoseconds from the first rank's begin to the last one's arrival.
    pub(crate) time: f64,
    /// Nanoseconds that each rank computed.
    pub(crate) busy: Vec<f64>,
    /// Chunks that were claimed.
    pub(crate) claims: u64,
    /// What `auto` chose.
    pub(crate) choice: Option<Choice>,
}

impl Stage<'_> {
    /// Plays the pass of this number: in the first one `auto` looks, in later ones it knows.
    pub(crate) fn play(&self, partition: Partition, pass: u32) -> Played {
        let first = self.one(partition);
        match first.choice {
            Some(choice) if pass > 0 => {
                let known = Choice { scope: Scope::Whole, ..choice };
                self.one(partition.with(Some(known)))
            }
            _ => first,
        }
    }

    fn one(&self, partition: Partition) -> Played {
        let mut pass = Pass::new(self, partition);
        let begins = |rank: usize| Moment { at: self.overheads.skew * rank as f64, rank };
        let mut due: BinaryHeap<Reverse<Moment>> =
            (0..pass.ranks.len()).map(|rank| Reverse(begins(rank))).collect();
        let mut last = 0.0_f64;
        while let Some(Reverse(Moment { at, rank })) = due.pop() {
            match pass.ask(rank, at) {
                Answer::Ask(again) => due.push(Reverse(Moment { at: again, rank })),
                Answer::Chunk { done } => {
                    let at = done + self.overheads.between;
                    due.push(Reverse(Moment { at, rank }));
                }
                Answer::Nothing { known } => last = last.max(known),
            }
        }
        Played {
            time: self.overheads.prelude + last,
            busy: pass.ranks.iter().map(|rank| rank.busy).collect(),
            claims: pass.claims,
            choice: pass.partition.choice(),
        }
    }
}

/// When a rank does something next.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: f64,
    rank: usize,
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.total_cmp(&other.at).then(self.rank.cmp(&other.rank))
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Moment {}

/// What comes of asking for a chunk.
enum Answer {
    /// One, which is done then.
    Chunk { done: f64 },
    /// There is none, which is known then.
    Nothing { known: f64 },
    /// It waits for the lock, and has it then.
    Ask(f64),
}

/// A pass that goes on.
struct Pass<'a> {
    stage: &'a Stage<'a>,
    partition: Partition,
    /// The last ticket of each queue.
    tails: Vec<Option<Ticket>>,
    /// When the lock is free, of those who wait for it too.
    free: f64,
    /// All that ranks have said of themselves: indices, chunks, busy, claims.
    seen: [f64; 4],
    ranks: Vec<Rank>,
    claims: u64,
}

#[derive(Clone, Debug)]
struct Rank {
    /// Numbers of the chunks it owns; the first is the one in hand.
    range: Range<u32>,
    hand: Option<Hand>,
    /// When it asked for a chunk, if it waits for the lock.
    asked: Option<f64>,
    state: Warmth,
    pace: Pace,
    busy: f64,
}

/// A chunk that is being computed.
#[derive(Clone, Debug)]
struct Hand {
    chunk: Chunk,
    hold: Hold,
    busy: f64,
    claim: f64,
}

/// Whether a rank has computed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warmth {
    Cold,
    Warm,
}

/// Where a chunk is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Queue,
    Range,
}

/// As `worker/pace.rs` has it.
#[derive(Clone, Debug)]
struct Pace {
    chunks: f64,
    time: f64,
    items: f64,
    weight: Weight,
    batch: Option<u64>,
}

impl<'a> Pass<'a> {
    fn new(stage: &'a Stage<'a>, partition: Partition) -> Self {
        let pace = Pace { chunks: 0.0, time: 0.0, items: 0.0, weight: Weight::EVEN, batch: None };
        let rank = |rank: u32| Rank {
            range: partition.range(rank),
            hand: None,
            asked: None,
            state: Warmth::Cold,
            pace: pace.clone(),
            busy: 0.0,
        };
        Self {
            stage,
            partition,
            tails: vec![None; partition.queues() as usize],
            free: 0.0,
            seen: [0.0; 4],
            ranks: (0..partition.procs()).map(rank).collect(),
            claims: 0,
        }
    }

    fn ask(&mut self, rank: usize, at: f64) -> Answer {
        self.commit(rank);
        let Overheads { own, locked, contended, scan, .. } = self.stage.overheads;
        if let Some(chunk) = self.own(rank) {
            return self.begin(rank, chunk, Hold::Range, at, own);
        }
        let (asked, takes) = match self.ranks[rank].asked.take() {
            Some(asked) => (asked, contended), // It is its turn.
            None if self.free > at => {
                let turn = self.free;
                self.free += contended;
                self.ranks[rank].asked = Some(at);
                return Answer::Ask(turn);
            }
            None => (at, locked),
        };
        let others = self.ranks.len().saturating_sub(1) as f64;
        let looks = if self.partition.has_ranges() { scan * others } else { 0.0 };
        let ready = at + takes + looks;
        self.free = self.free.max(ready);
        match self.claim(rank) {
            Some((chunk, hold)) => self.begin(rank, chunk, hold, asked, ready - asked),
            None => Answer::Nothing { known: ready },
        }
    }

    /// Puts a chunk that is done behind a rank.
    fn commit(&mut self, rank: usize) {
        let Some(hand) = self.ranks[rank].hand.take() else { return };
        let items = (hand.chunk.end - hand.chunk.start) as f64;
        // The first chunk of a rank is left out, as cold.
        if std::mem::replace(&mut self.ranks[rank].state, Warmth::Warm) == Warmth::Warm {
            for (sum, figure) in self.seen.iter_mut().zip([items, 1.0, hand.busy, hand.claim]) {
                *sum += figure;
            }
        }
        if hand.hold == Hold::Range {
            self.ranks[rank].range.start += 1;
        }
        let Some(batch) = self.partition.batch(hand.chunk.start) else { return };
        let pace = &mut self.ranks[rank].pace;
        pace.chunks += 1.0;
        pace.time += pace.chunks * hand.busy;
        pace.items += pace.chunks * items;
        if pace.batch.replace(batch) != Some(batch) {
            let own = pace.figure();
            let all = self.ranks.iter().map(|rank| rank.pace.figure());
            let weight = Weight::of(own, all);
            self.ranks[rank].pace.weight = weight;
        }
    }

    fn begin(&mut self, rank: usize, chunk: Chunk, hold: Hold, at: f64, claim: f64) -> Answer {
        let busy = self.stage.costs.between(&chunk);
        self.claims += 1;
        self.ranks[rank].busy += busy;
        self.ranks[rank].hand = Some(Hand { chunk, hold, busy, claim });
        Answer::Chunk { done: at + claim + busy }
    }

    fn own(&self, rank: usize) -> Option<Chunk> {
        let range = &self.ranks[rank].range;
        if range.is_empty() { None } else { self.partition.numbered(range.start) }
    }

    /// Claims the next chunk of a queue, or one of another's range.
    fn claim(&mut self, rank: usize) -> Option<(Chunk, Hold)> {
        if self.partition.has_ranges() {
            self.take(rank);
            return self.own(rank).map(|chunk| (chunk, Hold::Range));
        }
        let queue = if self.tails.len() == 1 { 0 } else { rank };
        let number = u32::try_from(queue).ok()?;
        let weight = self.ranks[rank].pace.weight;
        let ticket = match self.tails[queue] {
            None => self.partition.first(number, weight),
            Some(last) => self.partition.next(number, last, weight),
        };
        if self.partition.is_undecided_at(ticket) {
            let procs = self.partition.procs();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sums")]
            let [items, chunks, busy, claim] = self.seen.map(|figure| figure as u64);
            let seen = Seen { items, chunks, busy, claim, map: 0 };
            let left = self.partition.undecided();
            let choice = Choice::of(seen, left, procs, self.stage.element);
            self.partition = self.partition.with(Some(choice));
            for (number, rank) in (0..).zip(&mut self.ranks) {
                rank.range = self.partition.range(number);
            }
            if self.partition.has_ranges() {
                if self.own(rank).is_none() {
                    self.take(rank);
                }
                return self.own(rank).map(|chunk| (chunk, Hold::Range));
            }
        }
        let chunk = self.partition.chunk(number, ticket)?;
        self.tails[queue] = Some(ticket);
        Some((chunk, Hold::Queue))
    }

    /// Takes half of what waits with the rank that has the most.
    fn take(&mut self, thief: usize) {
        let count = self.ranks.len();
        let waiting = |range: &Range<u32>| (range.len() as u32).saturating_sub(1);
        let mut best = (0, thief);
        for victim in (1..count).map(|step| (thief + step) % count) {
            let found = waiting(&self.ranks[victim].range);
            if found > best.0 {
                best = (found, victim);
            }
        }
        if best.0 > 0 {
            let range = self.ranks[best.1].range.clone();
            let middle = range.end - (range.end - range.start) / 2;
            self.ranks[best.1].range = range.start..middle;
            self.ranks[thief].range = middle..range.end;
        }
    }
}

impl Pace {
    fn figure(&self) -> Option<f64> {
        (self.items > 0.0).then(|| self.time / self.items)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::overheads::Origin;
    use super::*;
    use crate::schedule::{Schedule, settle};

    const FREE: Overheads = Overheads {
        locked: 0.0,
        contended: 0.0,
        own: 0.0,
        scan: 0.0,
        between: 0.0,
        skew: 0.0,
        prelude: 0.0,
        origin: Origin::Assumed,
    };

    /// Each index costs what is said.
    fn costs(each: &[u64]) -> Costs {
        let chunks = (0..).zip(each).map(|(at, &ns)| (at..at + 1, ns)).collect();
        Costs::of(each.len() as u64, &BTreeMap::from([(0, chunks)]))
    }

    fn play(costs: &Costs, schedule: &str, procs: u32, overheads: Overheads, pass: u32) -> Played {
        let n = (0..).take_while(|&at| costs.between(&(at..at + 1)) > 0.0).count() as u64;
        let schedule: Schedule = schedule.parse().unwrap();
        let partition = settle(schedule, n, procs, 1000.0, 8);
        Stage { costs, overheads, element: 8 }.play(partition, pass)
    }

    #[test]
    fn two_ranks_share_four_chunks_as_on_paper() {
        let costs = costs(&[100, 300, 50, 70]);
        // Rank 0 takes 0, then 2 at 100, then 3 at 150, until 220; rank 1 takes 1 until 300.
        let played = play(&costs, "dynamic,1", 2, FREE, 0);
        assert_eq!((played.time, played.claims), (300.0, 4));
        assert_eq!(played.busy, [220.0, 300.0]);
        // 0 and 1; 2 and 3.
        let played = play(&costs, "static", 2, FREE, 0);
        assert_eq!((played.time, &played.busy[..]), (400.0, &[400.0, 120.0][..]));
        // 0 and 2; 1 and 3.
        let played = play(&costs, "static,1", 2, FREE, 0);
        assert_eq!((played.time, &played.busy[..]), (370.0, &[150.0, 370.0][..]));
        // Rank 1 is done with 2 and 3 at 120, when rank 0 has 1 in hand: nothing waits.
        let played = play(&costs, "steal,1", 2, FREE, 0);
        assert_eq!((played.time, &played.busy[..]), (400.0, &[400.0, 120.0][..]));
    }

    #[test]
    fn claims_take_turns_under_the_lock_and_the_last_one_counts() {
        let overheads = Overheads {
            locked: 10.0,
            contended: 15.0,
            between: 1.0,
            skew: 2.0,
            prelude: 5.0,
            ..FREE
        };
        // Rank 0: claim 0..10, computes to 110; rank 1 asks at 2, waits to 10, claims to 25, to 125.
        // Rank 0 asks at 111, knows at 121; rank 1 asks at 126 and knows at 136. And the prelude.
        let played = play(&costs(&[100, 100]), "dynamic,1", 2, overheads, 0);
        assert_eq!(played.time, 141.0);
    }

    #[test]
    fn a_thief_takes_half_of_what_waits() {
        let overheads = Overheads { locked: 10.0, contended: 10.0, own: 1.0, scan: 2.0, ..FREE };
        // Rank 1 has four chunks of 1 and is done at 8; in 12 more it takes two of the three that
        // wait with rank 0, which has one in hand until 101 and one more until 202.
        let played = play(&costs(&[100, 100, 100, 100, 1, 1, 1, 1]), "steal,1", 2, overheads, 0);
        assert_eq!(played.busy, [200.0, 204.0]);
        // 20 + 100, 121 + 100, and then 12 to know that there is no more; rank 0 is done before.
        assert_eq!(played.time, 233.0);
    }

    #[test]
    fn weights_give_a_slow_rank_less() {
        // Rank 0 computes the cheap first half of each batch.
        let each: Vec<u64> = (0..1000).map(|at| if at % 250 < 125 { 10 } else { 1000 }).collect();
        let played = play(&costs(&each), "awf-b,10", 2, FREE, 0);
        assert!(played.claims > 5);
        assert!((played.busy.iter().sum::<f64>() - 505_000.0).abs() < 1e-6);
    }

    #[test]
    fn auto_looks_in_the_first_pass_and_knows_in_the_next() {
        let each = vec![1000; 10_000];
        let overheads = Overheads { locked: 500.0, contended: 500.0, own: 50.0, ..FREE };
        let first = play(&costs(&each), "auto", 2, overheads, 0);
        let second = play(&costs(&each), "auto", 2, overheads, 1);
        assert!(first.choice.is_some_and(|choice| choice.scope == Scope::Rest));
        assert!(second.choice.is_some_and(|choice| choice.scope == Scope::Whole));
        assert!(second.time <= first.time);
    }

    proptest! {
        #[test]
        fn all_is_computed_once_and_no_faster_than_can_be(
            each in proptest::collection::vec(1_u64..1000, 1..400),
            schedule in proptest::sample::select(vec![
                "static", "static,3", "dynamic,1", "dynamic,7", "guided,2", "tss,1", "fac2,1",
                "awf-b,2", "steal,1", "steal,5", "auto",
            ]),
            procs in 1_u32..9, locked in 0_u32..50, pass in 0_u32..2,
        ) {
            let costs = costs(&each);
            let overheads = Overheads {
                locked: locked.into(), contended: f64::from(locked) * 1.5, own: 1.0, scan: 1.0, ..FREE
            };
            let played = play(&costs, schedule, procs, overheads, pass);
            let total: f64 = each.iter().sum::<u64>() as f64;
            prop_assert!((played.busy.iter().sum::<f64>() - total).abs() < 1e-6 * total);
            let busiest = played.busy.iter().copied().fold(0.0, f64::max);
            prop_assert!(played.time >= busiest - 1e-6);
            prop_assert!(played.time >= total / f64::from(procs) - 1e-6);
            prop_assert!(played.time >= each.iter().copied().max().unwrap() as f64 - 1e-6);
            prop_assert!(played.claims >= 1);
        }
    }
}
