//! The rendezvous of all ranks: reusable, abortable, and repairable after a death.
//!
//! # Protocol
//!
//! Rank `r` arrives by setting bit `r mod 64` in the word of its group `r / 64`. Whoever sets the
//! last missing bit of a group sets the group's bit in `full`; whoever sets the last missing bit
//! there *opens* the barrier: clears all arrival words, then moves `word` to the next epoch. Each
//! bit is set by a read-modify-write that returns what was there before, so exactly one rank
//! completes each group and exactly one opens.
//!
//! Arriving twice is arriving once. A supervisor that knows a rank to be dead may therefore arrive
//! on its behalf without knowing how far it came.
//!
//! Waiting is spin, then yield, then sleep on `word`. Bit 0 of that same word means *aborted*, so
//! no wake-up can fall between "aborted?" and "asleep". A sleeper counts itself in `sleepers` so
//! that the opener makes no system call when nobody sleeps; a rank killed asleep leaves the count
//! too high, which costs system calls and nothing else. A sleep lasts at most one second: whatever
//! this file overlooks becomes slow, not stuck.
//!
//! # Why it is right
//!
//! *Nobody passes early.* A rank leaves only when it sees another epoch than the one it read before
//! it arrived. The epoch moves only in `open`, which runs only after all bits were set, its own
//! rank's among them; so the epoch cannot have moved before this rank arrived.
//! *Nobody is left behind.* `open` clears the arrival words before it moves the epoch (Release), and
//! a rank arrives for the next epoch only after it has seen it moved (Acquire): a bit of the next
//! epoch is never cleared.
//! *Everything before is seen after.* Each arrival is AcqRel on a word that the next one reads, so
//! the opener has seen all ranks' writes; it publishes them with the epoch.
//! *No wake-up is lost.* See [`Barrier::sleep`]. Checked by `loom_tests.rs` beside this file.

use std::time::Duration;

use super::sync::{
    AcqRel, Acquire, AtomicU32, AtomicU64, Futex, Relaxed, Release, SeqCst, fence, spin_loop,
    yield_now,
};

/// Ranks in one arrival word.
const GROUP: u32 = 64;
/// Arrival words: enough for the largest world, 4096 ranks.
const GROUPS: usize = 64;
/// Bit 0 of `word`.
const ABORTED: u32 = 1;
const ONE_EPOCH: u32 = 2;
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
    /// Bit g: every rank of group g has arrived. In another line than `word`, which all poll.
    full: Line,
    /// Bit r mod 64 of word r / 64: rank r has arrived.
    arrived: [AtomicU64; GROUPS],
}

#[derive(Debug)]
#[repr(C, align(128))]
struct Line(AtomicU64);

/// The run was aborted while, or before, this rank waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted;

/// Who opened the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// This rank came last and opened it: exactly one rank per epoch.
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
            full: Line(AtomicU64::new(0)),
            arrived: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Waits for every rank of a world of `procs`.
    pub(crate) fn wait(
        &self,
        rank: u32,
        procs: u32,
        patience: Patience,
    ) -> Result<Arrival, Aborted> {
        // Acquire, pairs with Release in `abort` [open]. For the epoch Relaxed would do: it cannot
        // move before this rank arrives.
        let seen = self.word.word().load(Acquire);
        if seen & ABORTED != 0 {
            return Err(Aborted);
        }
        if self.arrive(rank, procs) { self.open(procs) } else { self.await_change(seen, patience) }
    }

    /// Marks `rank` as arrived; true for the one arrival that completes the world.
    fn arrive(&self, rank: u32, procs: u32) -> bool {
        let group = rank / GROUP;
        let groups = procs.div_ceil(GROUP);
        let members = (procs - group * GROUP).min(GROUP);
        // AcqRel, pairs with itself [arrive]: whoever completes a set has seen the writes of all.
        completes(&self.arrived[group as usize], rank % GROUP, members)
            && completes(&self.full.0, group, groups)
    }

    /// Lets everybody go.
    fn open(&self, procs: u32) -> Result<Arrival, Aborted> {
        for word in self.arrived.iter().take(procs.div_ceil(GROUP) as usize) {
            word.store(0, Relaxed); // Published by [open].
        }
        self.full.0.store(0, Relaxed); // Published by [open].
        // AcqRel, pairs with Acquire in `await_change` and Release in `abort` [open]. An add, not a
        // store: an abort that arrives meanwhile keeps its bit.
        let before = self.word.word().fetch_add(ONE_EPOCH, AcqRel);
        self.wake_sleepers();
        if before & ABORTED == 0 { Ok(Arrival::Last) } else { Err(Aborted) }
    }

    /// Ends every wait, now and later, with [`Aborted`]. Any process may call this, at any time.
    pub(crate) fn abort(&self) {
        // Release, pairs with Acquire in `wait`, `await_change` and `open` [open]: the reason was
        // stored before.
        self.word.word().fetch_or(ABORTED, Release);
        self.wake_sleepers();
    }

    fn await_change(&self, seen: u32, patience: Patience) -> Result<Arrival, Aborted> {
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

/// Sets one bit and says whether that completed the set of `members` bits.
fn completes(set: &AtomicU64, bit: u32, members: u32) -> bool {
    let all = if members == GROUP { u64::MAX } else { (1 << members) - 1 };
    let mine = 1_u64 << bit;
    // AcqRel, pairs with itself [arrive].
    let before = set.fetch_or(mine, AcqRel);
    before != all && before | mine == all
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
        for procs in [1_u32, 2, 3, 7, 65, 130] {
            for patience in PATIENCES {
                let epochs = if procs > 64 { 5 } else { 50 };
                let barrier = Arc::new(Barrier::new());
                let seen = Arc::new(AtomicU32::new(0));
                let ranks: Vec<_> = (0..procs)
                    .map(|rank| {
                        let barrier = Arc::clone(&barrier);
                        let seen = Arc::clone(&seen);
                        thread::spawn(move || {
                            let mut opened = 0;
                            for epoch in 1..=epochs {
                                seen.fetch_add(1, Relaxed);
                                let arrival = barrier.wait(rank, procs, patience).unwrap();
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
                    thread::spawn(move || barrier.wait(rank, 4, patience))
                })
                .collect();
            thread::sleep(Duration::from_millis(5));
            barrier.abort();
            for rank in waiting {
                assert_eq!(rank.join().unwrap(), Err(Aborted));
            }
            assert_eq!(barrier.wait(3, 4, patience), Err(Aborted));
        }
    }

    #[test]
    fn arriving_twice_is_arriving_once() {
        let barrier = Barrier::new();
        assert!(!barrier.arrive(0, 2));
        assert!(!barrier.arrive(0, 2));
        assert!(barrier.arrive(1, 2));
    }
}
