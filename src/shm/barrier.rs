//! The rendezvous of all ranks: reusable, abortable, and repairable after a death.
//!
//! # Protocol
//!
//! Ranks are in groups of 2^k consecutive ones, which the launcher makes of those that share a cache: an
//! arrival then stays among neighbours, and different groups do not wait for one another's line. Rank `r`
//! arrives by setting bit `r mod 2^k` in the word of its group. Whoever sets the last missing bit of a group
//! looks whether the other groups are complete too. If so, it takes the *opening* of this epoch, by one store
//! of {epoch, itself} to `opener`; the first one has it. It then opens: clears all arrival words, and moves
//! `word` to the next epoch.
//!
//! Waiting is spin, then yield, then sleep on `word`. Bit 0 of that same word means *aborted*, so
//! no wake-up can fall between "aborted?" and "asleep". A sleeper counts itself in `sleepers` so
//! that the opener makes no system call when nobody sleeps; a rank killed asleep leaves the count
//! too high, which costs system calls and nothing else. A sleep lasts at most one second: whatever
//! this file overlooks becomes slow, not stuck.
//!
//! # Why it is right
//!
//! *Somebody opens.* Of two that complete different groups at once, each sets its bit, then (fence)
//! looks at the other's word: at least one of them sees both complete.
//! *Only one does.* An opening is taken only if nobody has taken that of this epoch or a later one.
//! *Nobody passes early.* A rank leaves only when it sees another epoch than the one it read before
//! it arrived. The epoch moves only in `open`, which runs only after all bits were set, its own
//! rank's among them; so the epoch cannot have moved before this rank arrived.
//! *Nobody is left behind.* `open` clears the arrival words before it moves the epoch (Release), and
//! a rank arrives for the next epoch only after it has seen it moved (Acquire): a bit of the next
//! epoch is never cleared.
//! *Everything before is seen after.* Each arrival is AcqRel on a word that the opener reads, so the
//! opener has seen all ranks' writes; it publishes them with the epoch.
//! *No wake-up is lost.* See [`Barrier::sleep`].
//!
//! # When ranks are dead
//!
//! Arriving twice is arriving once, but that is not enough for somebody else to arrive for the dead:
//! a rank may die when it has completed everything and not opened, and then no arrival completes
//! anything any more. So nobody arrives for the dead. The launcher, once a death is confirmed, looks
//! at the arrival words, and when nobody is missing it takes the opening itself (`stand_in`).
//! If it is taken by a rank that is alive, that rank opens; if by a dead one, nobody else touches
//! the words any more, and the launcher does all of the opening again.
//!
//! All this needs of a rank is that it does nothing late: between its arrival and its leaving it
//! stores nothing but to `opener`, where a late store is refused.
//!
//! A dead rank that had not arrived is started again, and arrives. One that had arrived is started
//! again only in a later epoch: see [`Barrier::is_missing`].
//!
//! Checked by `loom_tests.rs` and `loom_deaths.rs` beside this file, deaths at each step included.

use std::time::Duration;

use super::point::{Point, Probe};
use super::sync::{
    AcqRel, Acquire, AtomicU32, AtomicU64, Futex, Relaxed, Release, SeqCst, fence, spin_loop,
    yield_now,
};

/// Ranks in one arrival word, at most: 2 to this.
const WIDEST: u32 = 6;
/// Arrival words: enough for the largest world, 4096 ranks.
const GROUPS: usize = 64;
/// Bit 0 of `word`.
const ABORTED: u32 = 1;
const ONE_EPOCH: u32 = 2;
/// Epochs that can be told apart. What a run does in which one, the epoch alone says.
pub(crate) const EPOCHS: u64 = (1 << u32::BITS) / ONE_EPOCH as u64;
/// Who opens, when the launcher does. Ranks are their number plus one.
const LAUNCHER: u32 = u32::MAX;
/// No sleep is longer than this without looking again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The barrier's words in the segment. All zero is its initial state.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Barrier {
    /// The futex word: bit 0 aborted, bits 1.. epoch.
    word: Futex,
    /// About how many ranks sleep on `word`; never too few.
    sleepers: AtomicU32,
    groups: Groups,
    arrived: [Arrived; GROUPS],
}

/// How ranks are grouped. In a line that nobody writes while there are ranks.
#[derive(Debug)]
#[repr(C, align(128))]
struct Groups {
    /// [`WIDEST`] less k, where a group is 2^k ranks.
    narrower: AtomicU32,
}

/// The arrivals of a group, alone on their line but for the opening, beside those of the first one.
#[derive(Debug)]
#[repr(C, align(128))]
struct Arrived {
    /// Bit i says that the group's i-th rank is here.
    here: AtomicU64,
    /// {epoch: 32, who: 32}: who opens that epoch. Of the first group's alone, and not in the line of `word`,
    /// which all poll: whoever completes a world of one group has just written this one, so that taking the
    /// opening costs it no other.
    opener: AtomicU64,
}

impl Arrived {
    #[cfg(test)]
    fn new() -> Self {
        Self { here: AtomicU64::new(0), opener: AtomicU64::new(0) }
    }
}

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

impl Barrier {
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self {
            word: Futex::new(0),
            sleepers: AtomicU32::new(0),
            groups: Groups { narrower: AtomicU32::new(0) },
            arrived: std::array::from_fn(|_| Arrived::new()),
        }
    }

    /// Puts so many consecutive ranks into a group, or fewer, to a power of two; or more, where there were
    /// too many groups. Before any rank exists.
    pub(crate) fn group(&self, procs: u32, neighbours: u32) {
        let fewest = procs.div_ceil(GROUPS as u32).next_power_of_two();
        // A world of one group is one, whatever its size.
        let wanted = if neighbours < procs { neighbours.max(1) } else { procs.next_power_of_two() };
        let k = wanted.ilog2().max(fewest.ilog2()).min(WIDEST);
        self.groups.narrower.store(WIDEST - k, Relaxed); // Published with the segment.
    }

    fn shape(&self, procs: u32) -> Shape {
        // Relaxed: written before any rank exists. Any other value is damage, and makes no step out of bounds.
        let narrower = self.groups.narrower.load(Relaxed).min(WIDEST);
        Shape { k: WIDEST - narrower, procs }
    }

    /// Returns the arrivals of a group; of the last one, should there be too many groups.
    fn arrivals(&self, group: u32) -> &AtomicU64 {
        &self.arrived[(group as usize).min(GROUPS - 1)].here
    }

    fn opener(&self) -> &AtomicU64 {
        &self.arrived[0].opener
    }

    /// Waits for every rank of a world of `procs`.
    pub(crate) fn wait(
        &self,
        rank: u32,
        procs: u32,
        patience: Patience,
        probe: &impl Probe,
    ) -> Result<Arrival, Aborted> {
        // Acquire, pairs with Release in `abort` [open]. For the epoch Relaxed would do: it cannot
        // move before this rank arrives.
        let seen = self.word.word().load(Acquire);
        if seen & ABORTED != 0 {
            return Err(Aborted);
        }
        let last_of_group = self.set_bit(rank, procs);
        probe.at(Point::BarrierArrived);
        // Whoever completes the only group has seen all who arrived: there is no other word to look at.
        let last =
            last_of_group && (self.shape(procs).groups() == 1 || self.complete(procs, |_| false));
        if last && self.take_opening(seen, rank + 1) {
            probe.at(Point::BarrierTaken);
            self.open(procs, probe)
        } else {
            self.await_change(seen, patience, probe)
        }
    }

    /// Sets the bit of `rank`; true for the one arrival that completes its group.
    fn set_bit(&self, rank: u32, procs: u32) -> bool {
        let shape = self.shape(procs);
        let mine = shape.bit(rank);
        let all = shape.all(shape.group(rank));
        // AcqRel, pairs with Acquire in `complete` [arrive]; before the fence there [groups].
        let before = self.arrivals(shape.group(rank)).fetch_or(mine, AcqRel);
        before != all && before | mine == all
    }

    /// Says whether all have arrived but those that are `excused`.
    fn complete(&self, procs: u32, excused: impl Fn(u32) -> bool) -> bool {
        // SeqCst, pairs with itself [groups]: the bit just set comes before the look at the others.
        fence(SeqCst);
        let shape = self.shape(procs);
        (0..shape.groups()).all(|group| {
            // Acquire, pairs with AcqRel in `set_bit` [arrive]: whoever opens has seen the writes of
            // all who arrived.
            let here = self.arrivals(group).load(Acquire);
            let mut missing = shape.all(group) & !here;
            while missing != 0 && excused(shape.rank(group, missing.trailing_zeros())) {
                missing &= missing - 1;
            }
            missing == 0
        })
    }

    /// Takes the opening of the epoch in `seen`; false if it is taken.
    ///
    /// Epochs are taken in order, each once, and move only after they were taken. So whoever takes
    /// one takes the present one, however old `seen` is by now.
    fn take_opening(&self, seen: u32, who: u32) -> bool {
        let epoch = seen / ONE_EPOCH;
        let mine = u64::from(epoch) << 32 | u64::from(who);
        let mut before = self.opener().load(Relaxed); // The exchange decides.
        loop {
            let [by, taken] = halves(before);
            // Epochs have 31 bits, and wrap.
            if by != 0 && (taken.wrapping_sub(epoch) << 1).cast_signed() >= 0 {
                return false;
            }
            // Release, pairs with Acquire in `stand_in` [opener]: whoever opens for a dead opener
            // has seen what that one saw.
            match self.opener().compare_exchange_weak(before, mine, Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => before = now,
            }
        }
    }

    /// Lets everybody go. Only whoever took the opening may call this.
    fn open(&self, procs: u32, probe: &impl Probe) -> Result<Arrival, Aborted> {
        self.clear(procs);
        probe.at(Point::BarrierCleared);
        let before = self.move_epoch();
        probe.at(Point::BarrierMoved);
        self.wake_sleepers();
        if before & ABORTED == 0 { Ok(Arrival::Last) } else { Err(Aborted) }
    }

    fn clear(&self, procs: u32) {
        for group in 0..self.shape(procs).groups() {
            // For ranks published by [open]. Release, pairs with Acquire in `is_missing` [arrive]: who
            // sees it cleared sees the opening taken.
            self.arrivals(group).store(0, Release);
        }
    }

    /// Returns the word as it was.
    fn move_epoch(&self) -> u32 {
        // AcqRel, pairs with Acquire in `await_change` and Release in `abort` [open]. An add, not a
        // store: an abort that arrives meanwhile keeps its bit.
        self.word.word().fetch_add(ONE_EPOCH, AcqRel)
    }

    /// Opens in place of the dead, if nobody is missing but those `excused`; says whether it did.
    ///
    /// For the launcher alone, once the death of every rank that is `dead` is confirmed and what it
    /// had in hand is recovered; to be called every few milliseconds for as long as one is dead.
    /// Never waits. A rank that was started again is not dead, and arrives by itself.
    pub(crate) fn stand_in(
        &self,
        procs: u32,
        dead: impl Fn(u32) -> bool,
        excused: impl Fn(u32) -> bool,
    ) -> bool {
        let seen = self.word.word().load(Acquire); // Pairs with AcqRel in `move_epoch` [open].
        let [by, epoch] = halves(self.opener().load(Acquire)); // Pairs with Release in `take_opening` [opener].
        if by != 0 && by != LAUNCHER && dead(by - 1) {
            if epoch == seen / ONE_EPOCH {
                // What it did, its death included, comes before this: it did not move the epoch, and
                // nobody else touches the words before somebody does.
                let _ = self.open(procs, &());
                return true;
            }
            self.wake_sleepers(); // It may have died between moving the epoch and this.
        }
        // If these bits are of another epoch than `seen`, that one's opening is taken.
        let opens = self.complete(procs, excused) && self.take_opening(seen, LAUNCHER);
        if opens {
            let _ = self.open(procs, &());
        }
        opens
    }

    /// Says whether a dead rank is still to come in the present epoch: only then may it be started
    /// again, or it would arrive twice, the second time in an epoch whose work it has not done.
    ///
    /// For the launcher, once the death is confirmed, its opening, if it had taken one, is done
    /// (`stand_in`), and it was not excused. Then an answer of `true` stays true until the rank's
    /// replacement arrives: a bit that is clear, in an epoch whose opening nobody has taken, was
    /// not set, and without it nobody can take that opening.
    pub(crate) fn is_missing(&self, rank: u32) -> bool {
        let epoch = self.epoch(); // Not older than the one the rank died in: it is dead for good.
        // Acquire, pairs with AcqRel in `set_bit` [arrive]; before the look at `opener`.
        let shape = self.shape(rank + 1);
        let here = self.arrivals(shape.group(rank)).load(Acquire) & shape.bit(rank) != 0;
        // Whoever clears bits has taken an opening first. Acquire, pairs with Release in
        // `take_opening` [opener]; and the clearing comes after that in its program order.
        let [by, taken] = halves(self.opener().load(Acquire));
        let opening = by != 0 && taken == epoch;
        !here && !opening
    }

    /// Returns the epoch, or what was left of it when the run was aborted.
    pub(crate) fn epoch(&self) -> u32 {
        self.word.word().load(Acquire) / ONE_EPOCH // Pairs with AcqRel in `move_epoch` [open].
    }

    /// Does the first `steps` steps of arriving and opening, and no more: a rank that dies.
    #[cfg(all(test, spmd_loom))]
    pub(super) fn die(&self, rank: u32, procs: u32, steps: u32) {
        let seen = self.word.word().load(Acquire); // As in `wait` [open].
        let opens = steps >= 1
            && self.set_bit(rank, procs)
            && steps >= 2
            && self.complete(procs, |_| false)
            && self.take_opening(seen, rank + 1);
        if opens && steps >= 3 {
            self.clear(procs);
        }
        if opens && steps >= 4 {
            self.move_epoch();
        }
    }

    /// Ends every wait, now and later, with [`Aborted`]. Any process may call this, at any time.
    pub(crate) fn abort(&self) {
        // Release, pairs with Acquire in `wait`, `await_change` and `open` [open]: the reason was
        // stored before.
        self.word.word().fetch_or(ABORTED, Release);
        self.wake_sleepers();
    }

    fn await_change(
        &self,
        seen: u32,
        patience: Patience,
        probe: &impl Probe,
    ) -> Result<Arrival, Aborted> {
        let mut looks = 0_u32;
        loop {
            // Acquire, pairs with Release in `open` and `abort` [open].
            let now = self.word.word().load(Acquire);
            if now & ABORTED != 0 {
                return Err(Aborted);
            }
            if now != seen {
                return Ok(Arrival::Earlier);
            }
            if looks < patience.spins {
                spin_loop();
            } else if looks - patience.spins < patience.yields {
                yield_now();
            } else {
                probe.at(Point::BarrierSleep);
                self.sleep(seen);
                continue;
            }
            looks += 1;
        }
    }

    /// Sleeps until the word is no longer `seen`, or about a second.
    ///
    /// The sleeper counts itself, then (fence) the futex compares the word; the opener changes the
    /// word, then (fence) reads the count. Of two threads that each write, fence, and read the
    /// other's variable, at least one sees the other's write: either the opener sees a sleeper and
    /// wakes it, or the compare sees the new word and there is no sleep.
    fn sleep(&self, seen: u32) {
        self.sleepers.fetch_add(1, Relaxed); // Ordered by the fence [sleepers].
        // SeqCst, pairs with the fence in `wake_sleepers` [sleepers].
        fence(SeqCst);
        self.word.sleep(seen, LOOK_AGAIN);
        self.sleepers.fetch_sub(1, Relaxed); // Only too high a count is harmless: after waking.
    }

    fn wake_sleepers(&self) {
        // SeqCst, pairs with the fence in `sleep` [sleepers].
        fence(SeqCst);
        if self.sleepers.load(Relaxed) != 0 {
            self.word.wake_all();
        }
    }
}

/// Who is in which group: 2^k consecutive ranks in each.
#[derive(Clone, Copy)]
struct Shape {
    k: u32,
    procs: u32,
}

impl Shape {
    fn groups(self) -> u32 {
        self.group(self.procs - 1) + 1
    }

    fn group(self, rank: u32) -> u32 {
        rank >> self.k
    }

    fn bit(self, rank: u32) -> u64 {
        1 << (rank & ((1 << self.k) - 1))
    }

    fn rank(self, group: u32, bit: u32) -> u32 {
        (group << self.k) + bit
    }

    /// The bits of a group's members.
    fn all(self, group: u32) -> u64 {
        let members = self.procs.saturating_sub(group << self.k).min(1 << self.k);
        if members == u64::BITS { u64::MAX } else { (1 << members) - 1 }
    }
}

/// Lower half first.
#[expect(clippy::cast_possible_truncation, reason = "that is what halves are")]
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
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
            assert!(!barrier.stand_in(procs, |_| false, |_| false), "nobody is known to be dead");
            for _ in 0..3 {
                while !barrier.stand_in(procs, |rank| rank == dead, |rank| rank == dead) {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            for rank in waiting {
                assert_eq!(rank.join().unwrap(), [Ok(Arrival::Earlier); 3]);
            }
        }
    }

    #[test]
    fn every_rank_has_a_bit_of_its_own_in_any_grouping() {
        for procs in [1, 2, 63, 64, 65, 300, 4096] {
            for neighbours in [0, 1, 3, 8, 16, 64, 1000] {
                let barrier = Barrier::new();
                barrier.group(procs, neighbours);
                let shape = barrier.shape(procs);
                assert!(shape.groups() as usize <= GROUPS, "{procs} {neighbours}");
                let mut bits = [0_u64; GROUPS];
                for rank in 0..procs {
                    let word = &mut bits[shape.group(rank) as usize];
                    assert_eq!(*word & shape.bit(rank), 0, "{procs} {neighbours}: {rank}");
                    *word |= shape.bit(rank);
                    let at = shape.bit(rank).trailing_zeros();
                    assert_eq!(shape.rank(shape.group(rank), at), rank);
                }
                (0..shape.groups())
                    .for_each(|group| assert_eq!(bits[group as usize], shape.all(group)));
            }
        }
    }

    #[test]
    fn a_damaged_grouping_stays_within_the_words() {
        let barrier = Barrier::new();
        barrier.groups.narrower.store(u32::MAX, Relaxed);
        barrier.set_bit(4095, 4096);
        assert!(!barrier.complete(4096, |_| false), "the others are not here");
        let _ = barrier.is_missing(4000); // Whatever it says, it does not panic.
        barrier.clear(4096);
    }

    #[test]
    fn arriving_twice_is_arriving_once() {
        let barrier = Barrier::new();
        assert!(barrier.is_missing(0) && barrier.is_missing(1));
        assert!(!barrier.set_bit(0, 2));
        assert!(!barrier.set_bit(0, 2));
        assert!(!barrier.is_missing(0) && barrier.is_missing(1));
        assert!(barrier.set_bit(1, 2) && barrier.complete(2, |_| false));
    }
}
