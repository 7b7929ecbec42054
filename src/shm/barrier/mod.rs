//! The rendezvous of all ranks: reusable, abortable, and repairable after a death.
//!
//! # Protocol
//!
//! Ranks are in groups of neighbours, as the launcher makes them of those that share a cache; each group has a
//! word, and the words of groups have one above them, up to the root (`tree.rs`). A rank arrives by adding its
//! weight to the word of its group. Weights are such that the sum of all of them is a carry into the epoch, which
//! the word holds above it, and leaves zero (`word.rs`): whoever comes last completes the word, clears it and
//! begins its next epoch by the one instruction that it arrives by. It then *marks* the completed word in the one
//! above: adds that member's weight there, unless it is there already, or that word's epoch is over. Whoever
//! completes the root has opened the barrier. A world of one group has the root alone.
//!
//! Waiting is for the epoch of the root to move: spin, then yield, then sleep on the lower half of the root, which
//! has the flags *aborted* and *asleep*, the sum, and the lower bits of the epoch. A sleeper sets *asleep* first, of
//! which there is one for even epochs and one for odd ones. The opener sees that of its epoch in what its addition
//! returns; it wakes all, then clears the flag, and only then may arrive for the next epoch. So nobody makes a
//! system call when nobody sleeps. A rank killed asleep leaves the flag, which costs its opener a call. A
//! sleep lasts at most one second: whatever this file overlooks becomes slow, not stuck.
//!
//! # Why it is right
//!
//! *Somebody opens, and only one does.* The additions to a word are in one order, and one of them carries.
//! *Nobody passes early.* A rank leaves when the root's epoch is not the one that its group's word had as it
//! arrived. All words count the same epochs: a rank arrives for an epoch after it has seen the root begin it, and
//! a word of that epoch is completed before the root's is. So the root cannot have moved before it arrived.
//! *Everything before is seen after.* Each addition is AcqRel, on a word that whoever completes it has read, and
//! goes on from there; the opener publishes what all have written with the epoch.
//! *No wake-up is lost.* The sleeper's flag and the opener's addition are in one order on one word. If the
//! addition comes first, the sleeper sees the new epoch. If the flag does, the opener sees it: whoever clears that
//! of an epoch has seen the epoch over. Nobody falls asleep in an epoch after that, as the half that the system call
//! compares has its lowest bits, and so the opener wakes all who will ever sleep in it. An abort changes the same
//! half, and then wakes all.
//!
//! # When ranks are dead
//!
//! A rank that dies before its addition is missing. If it dies after that, it is only missed where it was to go
//! on: to mark the word that it has completed, or to wake. The launcher, once a death is confirmed, does both
//! (`stand_in`): it marks any word that is an epoch ahead of the root, and wakes all if the flag of the epoch before
//! is still there; that one clears it first, so that whoever has set it anew since, two epochs later, is woken and
//! sets it again. A living rank that is about to do
//! the same then finds it done: marking is by compare-and-swap, and twice is once. To arrive is not: a rank
//! arrives once in an epoch, and its replacement only if it had not.
//!
//! A dead rank that had not arrived is started again, and arrives. One that had arrived is started again only in
//! a later epoch: see [`Barrier::is_missing`]. One that will not be started again is excused: the launcher adds
//! what the word lacks when it lacks the excused alone.
//!
//! Checked by `loom_tests.rs` and `loom_deaths.rs` beside this directory, deaths at each step included.

mod tree;
mod word;

use std::time::Duration;

use self::tree::{BELOW, Spot, Tree};
use self::word::{ABORTED, WIDEST, Word, asleep, weight};
use super::point::{Point, Probe};
use super::sync::{
    AcqRel, Acquire, AtomicU32, AtomicU64, Futex, Relaxed, Release, spin_loop, yield_now,
};

/// Epochs of a run, at most: half of what tells them apart where it is asked what a run does in which one.
pub(crate) const EPOCHS: u64 = 1 << (u32::BITS - 1);
/// No sleep is longer than this without looking again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The barrier's words in the segment. All zero is its initial state.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Barrier {
    root: Root,
    groups: Groups,
    below: [Below; BELOW],
}

/// What all poll.
#[derive(Debug)]
#[repr(C, align(128))]
struct Root(Futex);

/// How ranks are grouped. In a line that nobody writes while there are ranks.
#[derive(Debug)]
#[repr(C, align(128))]
struct Groups {
    /// [`WIDEST`] less k, where a group is 2^k ranks.
    narrower: AtomicU32,
}

/// A word of the tree below its root, alone on its line.
#[derive(Debug)]
#[repr(C, align(64))]
struct Below(AtomicU64);

/// The run was aborted while, or before, this rank waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted;

/// Who opened the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// This rank came last and opened it: one rank per epoch, or the launcher for the dead.
    Last,
    /// Another rank opened it.
    Earlier,
}

/// How long to spin and yield before sleeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Looks with a pause between them.
    pub(crate) spins: u32,
    /// Looks with a yield of the processor between them.
    pub(crate) yields: u32,
}

/// What an addition has done to a word.
#[derive(Clone, Copy)]
struct Added {
    before: Word,
    completes: bool,
}

impl Barrier {
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self {
            root: Root(Futex::new(0)),
            groups: Groups { narrower: AtomicU32::new(0) },
            below: std::array::from_fn(|_| Below(AtomicU64::new(0))),
        }
    }

    /// Puts so many consecutive ranks into a group, or fewer, to a power of two; or more, where there were
    /// too many groups. Before any rank exists.
    pub(crate) fn group(&self, procs: u32, neighbours: u32) {
        let narrower = WIDEST - tree::grouped(procs, neighbours);
        self.groups.narrower.store(narrower, Relaxed); // Published with the segment.
    }

    fn tree(&self, procs: u32) -> Tree {
        // Relaxed: written before any rank exists. Any other value is damage, and makes no step out of bounds.
        let narrower = self.groups.narrower.load(Relaxed).min(WIDEST);
        Tree::new(WIDEST - narrower, procs)
    }

    fn word(&self, tree: Tree, level: u32, index: u32) -> &AtomicU64 {
        tree.below_root(level, index)
            .and_then(|number| self.below.get(number))
            .map_or(self.root.0.word(), |below| &below.0)
    }

    /// Returns a word as it is, for the launcher: not as it was a moment ago. It looks every few milliseconds, and
    /// only while somebody is dead.
    fn look(&self, tree: Tree, level: u32, index: u32) -> Word {
        // AcqRel, pairs with AcqRel in `add` and `mark` [arrive].
        Word(self.word(tree, level, index).fetch_add(0, AcqRel))
    }

    fn root(&self) -> Word {
        // Pairs with AcqRel in `add`, `mark` and `complete_without`, Release in `abort` [open].
        Word(self.root.0.word().load(Acquire))
    }

    /// Waits for every rank of a world of `procs`.
    pub(crate) fn wait(
        &self,
        rank: u32,
        procs: u32,
        patience: Patience,
        probe: &impl Probe,
    ) -> Result<Arrival, Aborted> {
        let tree = self.tree(procs);
        let mut spot = tree.spot(rank);
        let mut added = self.add(tree, spot);
        let epoch = added.before.epoch();
        probe.at(Point::BarrierArrived);
        while added.completes {
            let Some(above) = tree.above(spot) else {
                return self.opened(added.before, probe);
            };
            probe.at(Point::BarrierCompleted);
            let Some(marked) = self.mark(tree, above, epoch) else { break };
            (spot, added) = (above, marked);
        }
        self.await_end_of(epoch, patience, probe)
    }

    /// Arrives. Once an epoch.
    fn add(&self, tree: Tree, spot: Spot) -> Added {
        let weight = weight(spot.member, tree.members(spot.level, spot.index));
        // AcqRel, pairs with itself and with Acquire in `look` and `root` [arrive] [open]: whoever completes this
        // word, and whoever sees it completed, has seen the writes of all who arrived.
        let before = self.word(tree, spot.level, spot.index).fetch_add(weight, AcqRel);
        Added { before: Word(before), completes: Word(before).is_completed_by(weight) }
    }

    /// Marks a word of the level below that is completed in this epoch; `None` if that is done.
    fn mark(&self, tree: Tree, spot: Spot, epoch: u64) -> Option<Added> {
        let members = tree.members(spot.level, spot.index);
        let weight = weight(spot.member, members);
        let word = self.word(tree, spot.level, spot.index);
        let mut now = Word(word.load(Relaxed)); // The exchange decides.
        loop {
            if now.epoch() != epoch || now.here(members) >> spot.member & 1 == 1 {
                return None;
            }
            // AcqRel: as in `add`.
            match word.compare_exchange(now.0, now.0.wrapping_add(weight), AcqRel, Relaxed) {
                Ok(_) => {
                    return Some(Added { before: now, completes: now.is_completed_by(weight) });
                }
                Err(other) => now = Word(other),
            }
        }
    }

    /// Lets everybody go who sleeps: this rank's addition has moved the epoch of the root.
    fn opened(&self, before: Word, probe: &impl Probe) -> Result<Arrival, Aborted> {
        probe.at(Point::BarrierMoved);
        let epoch = before.epoch();
        if before.has_sleepers(epoch) {
            self.root.0.wake_all();
            // Relaxed: nobody else touches that flag before this rank arrives again, but the launcher.
            self.root.0.word().fetch_and(!asleep(epoch), Relaxed);
        }
        if before.is_aborted() { Err(Aborted) } else { Ok(Arrival::Last) }
    }

    /// Does in place of the dead what they would have gone on to; says whether that has opened the barrier.
    ///
    /// For the launcher alone, once the death of every rank that is `excused` is confirmed and what it had in hand
    /// is recovered; to be called every few milliseconds for as long as one is dead. Never waits. A rank that was
    /// started again is not dead, and arrives by itself.
    pub(crate) fn stand_in(&self, procs: u32, excused: impl Fn(u32) -> bool) -> bool {
        let tree = self.tree(procs);
        let epoch = self.look(tree, tree.top(), 0).epoch();
        let mut opens = false;
        for level in 0..=tree.top() {
            for index in 0..tree.width(level) {
                if level == 0 && self.complete_without(tree, index, epoch, &excused) {
                    opens |= tree.top() == 0;
                }
                let Some(above) = tree.above(Spot { level, index, member: 0 }) else { continue };
                if self.look(tree, level, index).follows(epoch) {
                    let marked = self.mark(tree, above, epoch);
                    opens |=
                        above.level == tree.top() && marked.is_some_and(|marked| marked.completes);
                }
            }
        }
        // Opened by this, or by a rank that has died before it woke the others.
        let now = self.look(tree, tree.top(), 0);
        let over = now.epoch().wrapping_sub(1);
        if now.has_sleepers(over) {
            self.root.0.word().fetch_and(!asleep(over), Relaxed); // Before all who see it look again.
            self.root.0.wake_all();
        }
        opens
    }

    /// Completes the word of a group that lacks none but the excused.
    fn complete_without(
        &self,
        tree: Tree,
        index: u32,
        epoch: u64,
        excused: impl Fn(u32) -> bool,
    ) -> bool {
        let members = tree.members(0, index);
        let word = self.word(tree, 0, index);
        let mut now = self.look(tree, 0, index);
        loop {
            let here = now.here(members);
            let missing = (0..members).filter(|member| here >> member & 1 == 0);
            let excused = missing.map(|member| tree.rank(index, member)).all(&excused);
            if now.epoch() != epoch || !excused {
                return false;
            }
            // AcqRel: as in `add`. It fails if anybody has arrived meanwhile.
            let completed = now.0.wrapping_add(now.missing());
            match word.compare_exchange(now.0, completed, AcqRel, Acquire) {
                Ok(_) => return true,
                Err(other) => now = Word(other),
            }
        }
    }

    /// Says whether a dead rank is still to come in the present epoch: only then may it be started
    /// again, or it would arrive twice, the second time in an epoch whose work it has not done.
    ///
    /// For the launcher, once the death is confirmed, and if the rank was not excused. Then an answer of `true`
    /// stays true until the rank's replacement arrives: without it its group's word cannot be completed, nor
    /// the root's epoch end. A word that is ahead of the root had the rank, or follows a root that moved between
    /// the two looks: then the next look tells.
    pub(crate) fn is_missing(&self, rank: u32, procs: u32) -> bool {
        let tree = self.tree(procs);
        let epoch = self.look(tree, tree.top(), 0).epoch();
        let spot = tree.spot(rank);
        let word = self.look(tree, spot.level, spot.index);
        let here = word.here(tree.members(spot.level, spot.index)) >> spot.member & 1 == 1;
        word.epoch() == epoch && !here
    }

    /// Returns the epoch, or what was left of it when the run was aborted.
    #[expect(clippy::cast_possible_truncation, reason = "a run has fewer: see `EPOCHS`")]
    pub(crate) fn epoch(&self) -> u32 {
        self.root().epoch() as u32
    }

    /// Does the first `steps` additions of arriving, and no more: a rank that dies.
    #[cfg(all(test, spmd_loom))]
    pub(super) fn die(&self, rank: u32, procs: u32, steps: u32) {
        if steps == 0 {
            return;
        }
        let tree = self.tree(procs);
        let mut spot = tree.spot(rank);
        let mut added = self.add(tree, spot);
        let epoch = added.before.epoch();
        for _ in 1..steps {
            let Some(above) = tree.above(spot).filter(|_| added.completes) else { return };
            let Some(marked) = self.mark(tree, above, epoch) else { return };
            (spot, added) = (above, marked);
        }
    }

    /// Ends every wait, now and later, with [`Aborted`]. Any process may call this, at any time.
    pub(crate) fn abort(&self) {
        // Release, pairs with Acquire in `root` and AcqRel in `add` and `mark` [open]: the reason was stored before.
        self.root.0.word().fetch_or(ABORTED, Release);
        self.root.0.wake_all();
    }

    fn await_end_of(
        &self,
        epoch: u64,
        patience: Patience,
        probe: &impl Probe,
    ) -> Result<Arrival, Aborted> {
        let mut looks = 0_u32;
        loop {
            let now = self.root();
            if now.is_aborted() {
                return Err(Aborted);
            }
            if now.epoch() != epoch {
                return Ok(Arrival::Earlier);
            }
            if looks < patience.spins {
                spin_loop();
            } else if looks - patience.spins < patience.yields {
                yield_now();
            } else {
                probe.at(Point::BarrierSleep);
                self.sleep_in(epoch);
                continue;
            }
            looks += 1;
        }
    }

    /// Sleeps until the root changes, is left by somebody who wakes all, or about a second has passed.
    fn sleep_in(&self, epoch: u64) {
        let flag = asleep(epoch);
        // Relaxed: whoever leaves the epoch looks again, by `root`.
        let now = Word(self.root.0.word().fetch_or(flag, Relaxed) | flag);
        if now.epoch() == epoch && !now.is_aborted() {
            self.root.0.sleep(now.lower(), LOOK_AGAIN);
        }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    const PATIENCES: [Patience; 3] = [
        Patience { spins: 100, yields: 10 },
        Patience { spins: 0, yields: 1 },
        Patience { spins: 0, yields: 0 },
    ];

    #[test]
    fn exactly_one_rank_opens_each_epoch_and_nobody_passes_early() {
        for (procs, neighbours) in
            [(1_u32, 64), (2, 64), (3, 2), (7, 2), (7, 1), (16, 8), (65, 64), (65, 1), (130, 16)]
        {
            for patience in PATIENCES {
                let epochs = if procs > 64 { 5 } else { 50 };
                let barrier = Arc::new(Barrier::new());
                barrier.group(procs, neighbours);
                let seen = Arc::new(AtomicU32::new(0));
                let ranks: Vec<_> = (0..procs)
                    .map(|rank| {
                        let barrier = Arc::clone(&barrier);
                        let seen = Arc::clone(&seen);
                        thread::spawn(move || {
                            let mut opened = 0;
                            for epoch in 1..=epochs {
                                seen.fetch_add(1, Relaxed);
                                let arrival = barrier.wait(rank, procs, patience, &()).unwrap();
                                opened += u32::from(arrival == Arrival::Last);
                                assert!(seen.load(Relaxed) >= epoch * procs);
                            }
                            opened
                        })
                    })
                    .collect();
                let opened: u32 = ranks.into_iter().map(|rank| rank.join().unwrap()).sum();
                assert_eq!(opened, epochs);
            }
        }
    }

    #[test]
    fn an_abort_ends_every_wait_now_and_later() {
        for patience in PATIENCES {
            let barrier = Arc::new(Barrier::new());
            let waiting: Vec<_> = (0..3)
                .map(|rank| {
                    let barrier = Arc::clone(&barrier);
                    thread::spawn(move || barrier.wait(rank, 4, patience, &()))
                })
                .collect();
            thread::sleep(Duration::from_millis(5));
            barrier.abort();
            for rank in waiting {
                assert_eq!(rank.join().unwrap(), Err(Aborted));
            }
            assert_eq!(barrier.wait(3, 4, patience, &()), Err(Aborted));
        }
    }

    #[test]
    fn the_launcher_opens_for_ranks_that_are_dead() {
        for (procs, dead, neighbours) in [(2_u32, 1, 64), (3, 0, 64), (3, 2, 2), (65, 64, 64)] {
            let barrier = Arc::new(Barrier::new());
            barrier.group(procs, neighbours);
            let waiting: Vec<_> = (0..procs)
                .filter(|&rank| rank != dead)
                .map(|rank| {
                    let barrier = Arc::clone(&barrier);
                    thread::spawn(move || {
                        (0..3)
                            .map(|_| barrier.wait(rank, procs, PATIENCES[2], &()))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            assert!(!barrier.stand_in(procs, |_| false), "nobody is known to be dead");
            // In a world of several groups a rank that lives may still come last of all.
            let alone = barrier.tree(procs).top() == 0;
            let mut opened = 0;
            while barrier.epoch() < 3 {
                opened += u32::from(barrier.stand_in(procs, |rank| rank == dead));
                thread::sleep(Duration::from_millis(1));
            }
            let passed: Vec<_> =
                waiting.into_iter().flat_map(|rank| rank.join().unwrap()).collect();
            assert!(passed.iter().all(Result::is_ok));
            let last = passed.iter().filter(|arrival| **arrival == Ok(Arrival::Last)).count();
            assert_eq!(opened as usize + last, 3, "each epoch is opened once");
            assert!(!alone || opened == 3);
        }
    }

    #[test]
    fn a_rank_is_missing_until_it_arrives_and_again_in_the_next_epoch() {
        let barrier = Barrier::new();
        barrier.group(3, 2);
        let arrive = |rank| {
            let tree = barrier.tree(3);
            let spot = tree.spot(rank);
            let added = barrier.add(tree, spot);
            let above = tree.above(spot).filter(|_| added.completes);
            above.map(|above| barrier.mark(tree, above, added.before.epoch()).unwrap().completes)
        };
        let missing = || [0, 1, 2].map(|rank| barrier.is_missing(rank, 3));
        assert_eq!(missing(), [true, true, true]);
        assert_eq!(arrive(1), None);
        assert_eq!(missing(), [true, false, true]);
        assert_eq!(arrive(0), Some(false));
        assert_eq!(
            missing(),
            [false, false, true],
            "a word that is ahead of the root had them all"
        );
        assert_eq!(arrive(2), Some(true));
        assert_eq!((barrier.epoch(), missing()), (1, [true, true, true]));
    }

    #[test]
    fn what_is_marked_twice_or_too_late_counts_once() {
        let barrier = Barrier::new();
        barrier.group(4, 2);
        let tree = barrier.tree(4);
        for rank in [0, 1] {
            barrier.add(tree, tree.spot(rank));
        }
        // Whoever completed the first group is slow: the launcher does it in its place.
        assert!(!barrier.stand_in(4, |_| false), "the other group is not here");
        let above = tree.above(tree.spot(1)).unwrap();
        assert!(barrier.mark(tree, above, 0).is_none(), "it is marked already");
        for rank in [2, 3] {
            barrier.add(tree, tree.spot(rank));
        }
        assert!(barrier.stand_in(4, |_| false));
        assert!(barrier.mark(tree, above, 0).is_none(), "that epoch is over");
        assert_eq!(barrier.epoch(), 1);
    }

    #[test]
    fn a_damaged_grouping_stays_within_the_words() {
        let barrier = Barrier::new();
        barrier.groups.narrower.store(u32::MAX, Relaxed);
        barrier.root.0.word().store(u64::MAX, Relaxed);
        let _ = barrier.is_missing(4000, 4096); // Whatever it says, it does not panic.
        barrier.stand_in(4096, |_| true);
        let patience = PATIENCES[0];
        assert_eq!(barrier.wait(4095, 4096, patience, &()), Err(Aborted));
    }
}
