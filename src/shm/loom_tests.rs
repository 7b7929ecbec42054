//! The protocols of the segment, in every interleaving that loom can tell apart.
//!
//! The code explored is the code that ships: only atomics, fence and futex are loom's (see `sync`).
//! What a rank writes without an atomic is a [`Cell`] here: loom fails a test in which two accesses
//! to one are not ordered by the protocol. The modelled futex has no time limit, so a wake-up that
//! is lost is a deadlock, which loom reports.
//!
//! ```sh
//! RUSTFLAGS="--cfg spmd_loom" CARGO_TARGET_DIR=target/loom cargo test --profile loom --lib loom
//! ```
//!
//! Not here: the lock, which is the C library's and invisible to loom (a loom mutex stands for it).
//! `loom_deaths.rs` has what follows when a rank dies.
#![expect(unsafe_code, reason = "shares loom's cells between threads")]

use loom::sync::{Arc, Mutex};
use loom::thread;
use std::num::NonZeroU64;

use super::barrier::{Aborted, Arrival, Barrier, Patience};
use super::claims::{Claimer, Claims, Handover, Incomplete, Lease, LeaseSlot};
use super::claims::{Progress, RangeSlot, Ranges, Tail};
use super::header::{AttachError, Header};
use super::layout::Dims;
use super::point::Probe;
use crate::schedule::{Choice, Partition, Schedule, Scope, Seen, Source};

/// Memory that a protocol hands from one rank to another.
pub(super) struct Cell(loom::cell::UnsafeCell<u64>);

// SAFETY: loom runs one thread at a time, and reports accesses that are not ordered.
unsafe impl Sync for Cell {}

impl Cell {
    fn new() -> Self {
        Self(loom::cell::UnsafeCell::new(0))
    }

    pub(super) fn set(&self, value: u64) {
        // SAFETY: valid memory, and loom has found no other access to it that is not ordered.
        self.0.with_mut(|at| unsafe { *at = value });
    }

    pub(super) fn get(&self) -> u64 {
        // SAFETY: as above.
        self.0.with(|at| unsafe { *at })
    }

    pub(super) fn write(&self) {
        self.set(1);
    }

    pub(super) fn read(&self) {
        self.get();
    }
}

pub(super) fn cells(count: usize) -> Vec<Cell> {
    (0..count).map(|_| Cell::new()).collect()
}

/// Explores `test` with at most so many preemptions.
pub(super) fn explore(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(test);
}

/// Never spin, which loom would have to unroll: sleep at once, or after one yield.
pub(super) const PATIENCES: [Patience; 2] =
    [Patience { spins: 0, yields: 0 }, Patience { spins: 0, yields: 1 }];

/// So many ranks, over so many epochs: one opens each, and what any wrote before, all may read after.
fn rendezvous(procs: u32, epochs: usize, patience: Patience) {
    let barrier = Arc::new(Barrier::new());
    let written: Arc<Vec<Vec<Cell>>> =
        Arc::new((0..epochs).map(|_| cells(procs as usize)).collect());
    let run = move |rank: u32| {
        let mut opened = Vec::new();
        for epoch in written.iter() {
            epoch[rank as usize].write();
            opened.push(barrier.wait(rank, procs, patience, &()) == Ok(Arrival::Last));
            epoch.iter().for_each(Cell::read);
        }
        opened
    };
    let others: Vec<_> = (1..procs)
        .map(|rank| {
            let run = run.clone();
            thread::spawn(move || run(rank))
        })
        .collect();
    let mut opened = vec![run(0)];
    opened.extend(others.into_iter().map(|rank| rank.join().unwrap()));
    for epoch in 0..epochs {
        assert_eq!(opened.iter().filter(|opened| opened[epoch]).count(), 1);
    }
}

#[test]
fn loom_barrier_two_ranks_three_epochs() {
    for patience in PATIENCES {
        explore(3, move || rendezvous(2, 3, patience));
    }
}

#[test]
fn loom_barrier_three_ranks() {
    for patience in PATIENCES {
        explore(2, move || rendezvous(3, 1, patience));
    }
}

/// The last ranks of two groups arrive at once: each marks its own, and one opens.
#[test]
fn loom_barrier_two_groups_complete_at_once() {
    explore(3, || {
        let barrier = Arc::new(Barrier::new());
        barrier.group(3, 2);
        barrier.die(0, 3, 1);
        let written = Arc::new(cells(2));
        let ranks: Vec<_> = (0..2)
            .map(|at: usize| {
                let barrier = Arc::clone(&barrier);
                let written = Arc::clone(&written);
                thread::spawn(move || {
                    written[at].write();
                    let arrival = barrier.wait([1, 2][at], 3, PATIENCES[0], &());
                    written.iter().for_each(Cell::read);
                    arrival == Ok(Arrival::Last)
                })
            })
            .collect();
        let opened = ranks.into_iter().map(|rank| u32::from(rank.join().unwrap())).sum::<u32>();
        assert_eq!(opened, 1);
    });
}

#[test]
fn loom_barrier_abort_races_arrival_and_completion() {
    for patience in PATIENCES {
        explore(3, move || {
            let barrier = Arc::new(Barrier::new());
            let reason = Arc::new(Cell::new());
            let ranks: Vec<_> = (0..2)
                .map(|rank| {
                    let barrier = Arc::clone(&barrier);
                    let reason = Arc::clone(&reason);
                    thread::spawn(move || {
                        // Passing is right as well: the abort may have come later.
                        let passed = barrier.wait(rank, 2, patience, &());
                        if passed.is_err() {
                            reason.read();
                        }
                        passed.is_ok()
                    })
                })
                .collect();
            reason.write();
            barrier.abort();
            for rank in ranks {
                rank.join().unwrap();
            }
            assert_eq!(barrier.wait(0, 2, patience, &()), Err(Aborted));
        });
    }
}

/// Rank `victim` dies after each number of steps; the launcher, which knows, stands in for it.
fn stands_in((procs, neighbours): (u32, u32), victim: u32, live: &'static [u32], steps: u32) {
    let barrier = Arc::new(Barrier::new());
    barrier.group(procs, neighbours);
    // Everybody else has arrived: loom has no room for as many threads.
    let present = |rank: &u32| *rank != victim && !live.contains(rank);
    let arrive = |barrier: &Barrier| {
        (0..procs).filter(present).for_each(|rank| barrier.die(rank, procs, 1));
    };
    arrive(&barrier);
    let written = Arc::new(cells(live.len()));
    let ranks: Vec<_> = (0..live.len())
        .map(|at| {
            let barrier = Arc::clone(&barrier);
            let written = Arc::clone(&written);
            thread::spawn(move || {
                written[at].write();
                // Only the launcher yields here: of two that do, loom may run one for ever.
                assert!(barrier.wait(live[at], procs, PATIENCES[0], &()).is_ok());
                written.iter().for_each(Cell::read);
            })
        })
        .collect();
    // Started last: loom then explores it backwards past the steps of the others, while a thread that
    // has once yielded is not put in front of them.
    let launcher = {
        let barrier = Arc::clone(&barrier);
        thread::spawn(move || {
            // The end of the victim's steps comes before the rest, as a confirmed death does.
            barrier.die(victim, procs, steps);
            while !barrier.stand_in(procs, |rank| rank == victim) && barrier.epoch() == 0 {
                thread::yield_now();
            }
        })
    };
    launcher.join().unwrap();
    for rank in ranks {
        rank.join().unwrap();
    }
    assert_eq!(barrier.epoch(), 1);
    // The next epoch works as well; the dead one is still dead.
    arrive(&barrier);
    for &rank in live {
        barrier.die(rank, procs, 1);
    }
    assert!(barrier.stand_in(procs, |rank| rank == victim));
    assert_eq!(barrier.epoch(), 2);
}

#[test]
fn loom_barrier_launcher_stands_in_for_a_rank_dead_at_any_step() {
    for steps in 0..=1 {
        explore(3, move || stands_in((2, 2), 1, &[0], steps));
        explore(2, move || stands_in((3, 3), 1, &[0, 2], steps));
    }
    // Of two groups: to mark its own may be left to the launcher.
    for steps in 0..=2 {
        explore(2, move || stands_in((3, 2), 1, &[0, 2], steps));
    }
}

/// The dead rank is a group of its own.
#[test]
fn loom_barrier_launcher_stands_in_for_a_whole_group() {
    for steps in 0..=2 {
        explore(2, move || stands_in((17, 8), 16, &[15], steps));
    }
}

/// Nobody is dead, or no longer: the launcher may look at any time, and no epoch moves twice.
#[test]
fn loom_barrier_launcher_stands_in_for_nobody() {
    explore(2, || {
        let barrier = Arc::new(Barrier::new());
        let ranks: Vec<_> = (0..2)
            .map(|rank| {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || {
                    for _ in 0..2 {
                        assert!(barrier.wait(rank, 2, PATIENCES[0], &()).is_ok());
                    }
                })
            })
            .collect();
        let launcher = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                for _ in 0..3 {
                    barrier.stand_in(2, |_| false);
                }
            })
        };
        launcher.join().unwrap();
        for rank in ranks {
            rank.join().unwrap();
        }
        assert_eq!(barrier.epoch(), 2);
    });
}

/// The claim words of a run, and the lock they are claimed under.
pub(super) struct Words {
    pub(super) partition: Partition,
    tails: Vec<Tail>,
    slots: Vec<LeaseSlot>,
    ranges: Vec<RangeSlot>,
    handover: Handover,
    pub(super) lock: Mutex<()>,
    pub(super) results: Vec<Cell>,
    /// Those of slots, then those of ranges.
    pub(super) saved: Vec<Cell>,
}

impl Words {
    pub(super) fn new(schedule: &str, n: u64, procs: u32, slots: usize) -> Self {
        let schedule: Schedule = schedule.parse().unwrap();
        let partition = Partition::new(schedule, n, procs, NonZeroU64::MIN, NonZeroU64::MIN);
        let words = Self {
            partition,
            tails: (0..partition.queues()).map(|_| Tail::new()).collect(),
            slots: (0..slots).map(|_| LeaseSlot::new()).collect(),
            ranges: (0..procs).map(|_| RangeSlot::new()).collect(),
            handover: Handover::new(),
            lock: Mutex::new(()),
            results: cells(usize::try_from(n).unwrap()),
            saved: cells(2 * procs as usize),
        };
        words.claims().begin(&partition, &[]);
        words
    }

    pub(super) fn claims(&self) -> Claims<'_> {
        Claims::new(&self.tails, &self.slots, Ranges::new(&self.ranges, &self.handover))
    }

    /// Claims; whoever calls holds the lock. Where `auto` has to choose, it chooses ranges.
    pub(super) fn claim_locked(&self, rank: u32, probe: &impl Probe) -> Option<Lease<'_>> {
        let chunk = NonZeroU64::new(10).unwrap();
        let choice = Choice { source: Source::Ranges, chunk, scope: Scope::Rest };
        let decide = |_: &Partition| (choice, Seen::default());
        self.claims().claim(&self.partition, Claimer::of(rank), decide, probe)
    }

    /// Asks what remains, and reads the results of all else.
    pub(super) fn read_what_does_not_remain(&self) {
        let remaining = self.claims().remaining(&self.partition).unwrap();
        let done = |index: &u64| !remaining.iter().any(|range| range.contains(index));
        (0..).zip(&self.results).filter(|(at, _)| done(at)).for_each(|(_, result)| result.read());
    }

    /// Computes chunks in place until none is left; returns the indices.
    fn drain(&self, rank: u32) -> Vec<u64> {
        let mut done = Vec::new();
        loop {
            let claimed = self.claims().own(&self.partition, rank).or_else(|| {
                let _held = self.lock.lock().unwrap();
                self.claim_locked(rank, &())
            });
            let Some(lease) = claimed else { return done };
            assert_eq!(lease.progress(), Progress::Nothing);
            let of_range = lease.slot() >= self.partition.procs() as usize;
            // The last owner of a slot is done with it; a range's word says of which chunk it is.
            assert!(of_range || lease.undo() == 0);
            for (block, index) in (0..).zip(lease.chunk()) {
                self.saved[lease.slot()].write();
                lease.arm(block);
                self.results[usize::try_from(index).unwrap()].write();
                lease.disarm(block);
                done.push(index);
            }
            lease.commit();
        }
    }
}

/// Two ranks that claim and compute until nothing is left.
fn draining(schedule: &str, n: u64) -> (Arc<Words>, Vec<thread::JoinHandle<Vec<u64>>>) {
    let words = Arc::new(Words::new(schedule, n, 2, 2));
    let ranks = (0..2)
        .map(|rank| {
            let words = Arc::clone(&words);
            thread::spawn(move || words.drain(rank))
        })
        .collect();
    (words, ranks)
}

pub(super) fn drained_by_two(schedule: &'static str, n: u64) {
    let (words, ranks) = draining(schedule, n);
    // Whoever sees a complete pass, at any time, may read its results. Started last, so that loom's
    // first schedule has it last: a load is explored backwards past the stores before it, while a
    // store is not past other threads' loads if its own thread loaded the word since (loom 0.7).
    let auditor = {
        let words = Arc::clone(&words);
        thread::spawn(move || {
            if words.claims().audit(&words.partition).is_ok() {
                words.results.iter().for_each(Cell::read);
            }
        })
    };
    let mut done: Vec<u64> = ranks.into_iter().flat_map(|rank| rank.join().unwrap()).collect();
    done.sort_unstable();
    assert_eq!(done, (0..n).collect::<Vec<_>>(), "every chunk once");
    auditor.join().unwrap();
    assert_eq!(words.claims().audit(&words.partition), Ok(()));
}

/// Whoever asks at any moment may read the results of all that does not remain.
pub(super) fn watched_while_drained(schedule: &'static str, n: u64) {
    let (words, ranks) = draining(schedule, n);
    let watcher = {
        let words = Arc::clone(&words);
        thread::spawn(move || words.read_what_does_not_remain())
    };
    ranks.into_iter().for_each(|rank| drop(rank.join().unwrap()));
    watcher.join().unwrap();
    assert_eq!(words.claims().remaining(&words.partition), Some(Vec::new()));
}

#[test]
fn loom_claims_what_does_not_remain_may_be_read() {
    explore(2, || watched_while_drained("dynamic,1", 3));
}

#[test]
fn loom_claims_of_own_queues_what_does_not_remain_may_be_read() {
    explore(2, || watched_while_drained("static,1", 3));
}

#[test]
fn loom_claims_of_a_shared_queue() {
    explore(2, || drained_by_two("dynamic,1", 3));
}

#[test]
fn loom_claims_of_own_queues() {
    explore(2, || drained_by_two("static,1", 3));
}

/// One slot for two ranks: the second may have it only once the first is done with it.
#[test]
fn loom_claims_reuse_a_slot() {
    explore(3, || {
        let words = Arc::new(Words::new("dynamic,1", 2, 2, 1));
        let other = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.drain(1))
        };
        let mut done = words.drain(0);
        done.extend(other.join().unwrap());
        // A rank that finds the slot taken gets nothing, and leaves the rest to the other.
        done.sort_unstable();
        assert_eq!(done, [0, 1]);
        assert_eq!(words.claims().audit(&words.partition), Ok(()));
    });
}

#[test]
fn loom_claims_current_and_audit_while_a_rank_claims() {
    explore(3, || {
        let words = Arc::new(Words::new("dynamic,1", 2, 1, 1));
        let rank = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.drain(0))
        };
        let watcher = {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                if let Some(chunk) = words.claims().current(&words.partition, 0) {
                    assert!(chunk.end <= 2);
                }
                match words.claims().audit(&words.partition) {
                    Ok(()) => words.results.iter().for_each(Cell::read),
                    Err(Incomplete::Unclaimed { next }) => assert!(next.end <= 2),
                    Err(Incomplete::Running { chunk, .. }) => assert!(chunk.is_some()),
                }
            })
        };
        assert_eq!(rank.join().unwrap(), [0, 1]);
        watcher.join().unwrap();
    });
}

#[test]
fn loom_header_attach_races_publication() {
    const DIMS: Dims = Dims {
        procs: 2,
        queues: 1,
        samples: 3,
        job: 4,
        saved_block: 5,
        source: 6,
        result: 7,
        operands: 8,
        trail: 9,
    };
    explore(3, || {
        let header = Arc::new(Header::new());
        let job = Arc::new(Cell::new());
        let reader = {
            let header = Arc::clone(&header);
            let job = Arc::clone(&job);
            thread::spawn(move || match header.read(4096) {
                Ok(dims) => {
                    assert_eq!(dims, DIMS);
                    job.read();
                    assert_eq!(header.offence(), None);
                }
                Err(error) => assert_eq!(error, AttachError::Magic(0)),
            })
        };
        header.write(&DIMS, 4096);
        job.write();
        header.publish();
        reader.join().unwrap();
        assert_eq!(header.read(4096), Ok(DIMS));
    });
}
