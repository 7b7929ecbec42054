//! What follows when a rank dies, on weak memory: the claim words, the barrier, the last words.
//!
//! The stores of a dead rank are a prefix of its program, and all of them come before what the launcher
//! does about its death, which the kernel confirmed. So one thread here is the rank, then the
//! launcher, then the rank's next process, in this order; other threads are the ranks that live.
//! Deaths strike at the points of [`Point`], in the code that ships.
//!
//! Weaken one of these orderings, and a test here fails: the launcher's store of ORPHAN, the commit, the
//! claimer's look at a lease (`state`); an arrival; the count of exceptions; the kind of a report or of a
//! crash. What loom cannot tell: orderings that only the confirmed death makes needless (the lease of an
//! adopter), the order between `orphaned` and the leases, which is another hint;
//! and the fences in `arm` and `disarm`, which keep the compiler from changing the prefix that a death
//! leaves. Here every store before a death is made in the order of the program.

use loom::sync::Arc;
use loom::thread;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicBool;

use super::barrier::Barrier;
use super::claims::{Lease, Progress};
use super::exceptions::{Care, Exceptions};
use super::header::{Abort, Header};
use super::loom_tests::{Cell, PATIENCES, Words, cells, explore};
use super::point::{Point, Probe};
use super::rank_slot::{Crash, Fault, RankSlot};
use super::sync::Relaxed;
use crate::schedule::Chunk;

/// Where results go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    InPlace,
    Apart,
}

/// A rank that dies when it first comes to a point, if at all.
pub(super) struct Mortal(pub(super) Option<Point>);

/// It died.
pub(super) struct Dead;

impl Mortal {
    fn comes_to(&self, point: Point) -> Result<(), Dead> {
        if self.0 == Some(point) { Err(Dead) } else { Ok(()) }
    }
}

impl Probe for Mortal {
    fn at(&self, point: Point) {
        if self.comes_to(point).is_err() {
            resume_unwind(Box::new(Dead));
        }
    }
}

/// Half of a write.
const TORN: u64 = 77;

impl Words {
    /// Claims a chunk; who dies with the lock held loses it.
    pub(super) fn claim(&self, rank: u32, mortal: &Mortal) -> Result<Option<Lease<'_>>, Dead> {
        if let Some(lease) = self.claims().own(&self.partition, rank) {
            return Ok(Some(lease));
        }
        let held = self.lock.lock().unwrap();
        let claim = || self.claim_locked(rank, mortal);
        let claimed = catch_unwind(AssertUnwindSafe(claim));
        drop(held);
        claimed.map_err(|why| match why.downcast() {
            Ok(dead) => *dead,
            Err(other) => resume_unwind(other),
        })
    }

    /// Makes one of each element of a chunk, as `worker::chunk` does: in place by adding to it.
    fn compute(&self, mode: Mode, lease: Lease<'_>, mortal: &Mortal) -> Result<(), Dead> {
        let saved = &self.saved[lease.slot()];
        let result = |index: u64| &self.results[usize::try_from(index).unwrap()];
        if mode == Mode::Apart {
            assert_eq!(lease.progress(), Progress::Nothing);
            for index in lease.chunk() {
                result(index).set(TORN);
                mortal.comes_to(Point::RunMid)?;
                result(index).set(1);
            }
            lease.commit();
            return mortal.comes_to(Point::CommitAfter);
        }
        let blocks = || (0_u64..).zip(lease.chunk());
        let begin = match lease.progress() {
            Progress::Nothing => 0,
            Progress::Final(next) => next,
            Progress::Saved(number) => {
                let (_, index) = blocks().find(|(at, _)| *at == number).unwrap();
                result(index).set(saved.get());
                mortal.comes_to(Point::UndoRestored)?;
                lease.restored(number);
                number
            }
        };
        for (number, index) in blocks().skip_while(|(number, _)| *number < begin) {
            saved.set(TORN);
            mortal.comes_to(Point::UndoHalf)?;
            saved.set(result(index).get());
            lease.arm(number);
            result(index).set(TORN);
            mortal.comes_to(Point::RunMid)?;
            result(index).set(saved.get() + 1);
            mortal.comes_to(Point::UndoComputed)?;
            lease.disarm(number);
            mortal.comes_to(Point::UndoBetween)?;
        }
        lease.commit();
        mortal.comes_to(Point::CommitAfter)
    }

    /// Computes chunks until none is left, or until death; adds those committed.
    fn work(
        &self,
        rank: u32,
        mode: Mode,
        mortal: &Mortal,
        done: &mut Vec<Chunk>,
    ) -> Result<(), Dead> {
        while let Some(lease) = self.claim(rank, mortal)? {
            let chunk = lease.chunk();
            let died = self.compute(mode, lease, mortal);
            if died.is_ok() || mortal.0 == Some(Point::CommitAfter) {
                done.push(chunk);
            }
            died?;
        }
        Ok(())
    }

    /// A rank that dies at each of these points in turn, and is started again each time.
    pub(super) fn life(&self, rank: u32, mode: Mode, deaths: &[Point]) -> Vec<Chunk> {
        let mut done = Vec::new();
        for &point in deaths {
            if self.work(rank, mode, &Mortal(Some(point)), &mut done).is_ok() {
                break; // It did not come there.
            }
            self.claims().give_up(&self.partition, rank);
        }
        assert!(self.work(rank, mode, &Mortal(None), &mut done).is_ok());
        done
    }
}

/// Rank 1 dies at these points; the others live. Every chunk is computed and committed once.
pub(super) fn recovered(mode: Mode, schedule: &str, n: u64, procs: u32, deaths: &'static [Point]) {
    let words = Arc::new(Words::new(schedule, n, procs, procs as usize));
    let others: Vec<_> = (0..procs)
        .filter(|&rank| rank != 1)
        .map(|rank| {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                let done = words.life(rank, mode, &[]);
                if words.claims().audit(&words.partition).is_ok() {
                    assert!(words.results.iter().all(|result| result.get() == 1));
                }
                done
            })
        })
        .collect();
    let mut done = words.life(1, mode, deaths);
    done.extend(others.into_iter().flat_map(|rank| rank.join().unwrap()));
    assert_eq!(words.claims().audit(&words.partition), Ok(()));
    assert!(words.results.iter().all(|result| result.get() == 1), "computed once");
    done.sort_unstable_by_key(|chunk| chunk.start);
    assert_eq!(done.iter().cloned().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
}

/// Each point at which words or memory are different than at the one before.
const POINTS: [[Point; 1]; 8] = [
    [Point::LockHeld],
    [Point::LockTail],
    [Point::LockLease],
    [Point::UndoHalf],
    [Point::RunMid],
    [Point::UndoComputed],
    [Point::UndoBetween],
    [Point::CommitAfter],
];

#[test]
fn loom_claims_of_a_shared_queue_survive_a_death_at_any_point() {
    for deaths in &POINTS {
        explore(3, move || recovered(Mode::InPlace, "dynamic,2", 4, 2, deaths));
    }
}

#[test]
fn loom_claims_of_own_queues_survive_a_death_at_any_point() {
    for deaths in &POINTS {
        explore(3, move || recovered(Mode::InPlace, "static,2", 4, 2, deaths));
    }
}

#[test]
fn loom_claims_out_of_place_survive_a_death_at_any_point() {
    for deaths in [&[Point::LockTail], &[Point::LockLease], &[Point::RunMid], &[Point::CommitAfter]]
    {
        explore(3, move || recovered(Mode::Apart, "dynamic,2", 4, 2, deaths));
        explore(3, move || recovered(Mode::Apart, "static,2", 4, 2, deaths));
    }
}

#[test]
fn loom_claims_of_three_ranks_survive_a_death() {
    for deaths in [&[Point::LockTail], &[Point::LockLease], &[Point::RunMid]] {
        explore(2, move || recovered(Mode::InPlace, "dynamic,1", 3, 3, deaths));
    }
}

/// The second process of rank 1 dies too, of what it does for the first.
#[test]
fn loom_claims_survive_the_death_of_an_adopter() {
    for deaths in [
        &[Point::LockTail, Point::LockRepaired],
        &[Point::LockTail, Point::AdoptAfter],
        &[Point::RunMid, Point::AdoptBefore],
        &[Point::RunMid, Point::AdoptAfter],
        &[Point::RunMid, Point::UndoRestored],
        &[Point::RunMid, Point::UndoHalf],
        &[Point::UndoBetween, Point::UndoComputed],
    ] {
        explore(3, move || recovered(Mode::InPlace, "dynamic,2", 4, 2, deaths));
    }
}

/// A claimer that does not see yet that there are orphans takes a new chunk: nothing is lost by that.
#[test]
fn loom_claims_an_orphan_may_be_missed_by_all_but_the_replacement() {
    static ADOPTED: AtomicBool = AtomicBool::new(false);
    static PASSED_BY: AtomicBool = AtomicBool::new(false);
    explore(3, || {
        let words = Arc::new(Words::new("dynamic,1", 2, 2, 2));
        assert!(words.claim(1, &Mortal(Some(Point::LockLease))).is_err());
        let other = {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                let held = words.lock.lock().unwrap();
                // The lease says it is an orphan, whether or not the tail says that there are any.
                let seen = words.claims().current(&words.partition, 1).is_none();
                let lease = words.claim_locked(0, &());
                drop(held);
                let chunk = lease.expect("there is a free slot").chunk();
                ADOPTED.fetch_or(chunk == (0..1), Relaxed);
                PASSED_BY.fetch_or(seen && chunk == (1..2), Relaxed);
                chunk.start
            })
        };
        words.claims().give_up(&words.partition, 1);
        let chunk =
            words.claim(1, &Mortal(None)).ok().flatten().expect("there is a free slot").chunk();
        let mut starts = [other.join().unwrap(), chunk.start];
        starts.sort_unstable();
        assert_eq!(starts, [0, 1]);
    });
    assert!(ADOPTED.load(Relaxed) && PASSED_BY.load(Relaxed), "both were explored");
}

/// A barrier, and what each rank writes before it arrives in each epoch.
struct Meeting {
    barrier: Barrier,
    written: Vec<Vec<Cell>>,
    procs: u32,
}

impl Meeting {
    /// What a rank does from an epoch to the last one.
    fn attend(&self, rank: u32, from: u32) {
        for epoch in self.written.iter().skip(from as usize) {
            epoch[rank as usize].write();
            assert!(self.barrier.wait(rank, self.procs, PATIENCES[0], &()).is_ok());
            epoch.iter().for_each(Cell::read);
        }
    }

    /// Rank 1, which dies `steps` steps into the barrier of an epoch; then the launcher, as
    /// `Supervisor::seat_again`; then rank 1 again.
    fn die_and_attend(&self, epoch: u32, steps: u32) {
        const VICTIM: u32 = 1;
        for before in &self.written[..epoch as usize] {
            before[VICTIM as usize].write();
            assert!(self.barrier.wait(VICTIM, self.procs, PATIENCES[0], &()).is_ok());
        }
        if steps > 0 {
            self.written[epoch as usize][VICTIM as usize].write();
        }
        self.barrier.die(VICTIM, self.procs, steps);
        loop {
            self.barrier.stand_in(self.procs, |_| false);
            if self.barrier.epoch() as usize == self.written.len() {
                return;
            }
            if self.barrier.is_missing(VICTIM, self.procs) {
                break;
            }
            thread::yield_now();
        }
        self.attend(VICTIM, self.barrier.epoch());
    }
}

fn replaced((procs, neighbours): (u32, u32), epochs: u32, epoch: u32, steps: u32) {
    let written = (0..epochs).map(|_| cells(procs as usize)).collect();
    let meeting = Arc::new(Meeting { barrier: Barrier::new(), written, procs });
    meeting.barrier.group(procs, neighbours);
    let others: Vec<_> = (0..procs)
        .filter(|&rank| rank != 1)
        .map(|rank| {
            let meeting = Arc::clone(&meeting);
            thread::spawn(move || meeting.attend(rank, 0))
        })
        .collect();
    // Started last, for the reason given in `loom_tests::stands_in`.
    let victim = {
        let meeting = Arc::clone(&meeting);
        thread::spawn(move || meeting.die_and_attend(epoch, steps))
    };
    victim.join().unwrap();
    for rank in others {
        rank.join().unwrap();
    }
    assert_eq!(meeting.barrier.epoch(), epochs);
}

#[test]
fn loom_barrier_a_rank_dead_at_any_step_is_replaced_where_it_is_missing() {
    for steps in 0..=1 {
        explore(3, move || replaced((2, 2), 2, 0, steps));
        explore(2, move || replaced((2, 2), 2, 1, steps));
        explore(2, move || replaced((3, 3), 1, 0, steps));
    }
    for steps in 0..=2 {
        // Each a group of its own; and the one that dies in a group with another.
        explore(2, move || replaced((2, 1), 1, 0, steps));
        explore(2, move || replaced((3, 2), 1, 0, steps));
    }
}

#[test]
fn loom_exceptions_are_whole_and_known_to_whoever_adopts_the_chunk() {
    explore(2, || {
        let words = Arc::new(Words::new("dynamic,5", 10, 2, 2));
        let list = Arc::new(Exceptions::new());
        assert!(words.claim(1, &Mortal(Some(Point::LockLease))).is_err());
        let other = {
            let words = Arc::clone(&words);
            let list = Arc::clone(&list);
            thread::spawn(move || {
                // Anybody may look at any time.
                for entry in list.iter() {
                    assert!([(0..5, Care::Single), (3..4, Care::Omit)].contains(&entry));
                }
                let lease = words.claim(0, &Mortal(None)).ok().flatten().unwrap();
                if lease.chunk() == (0..5) {
                    assert!(list.touch(&lease.chunk()) && list.omits(3));
                }
            })
        };
        assert!(list.add(&(0..5), Care::Single) && list.add(&(3..4), Care::Omit));
        words.claims().give_up(&words.partition, 1);
        other.join().unwrap();
    });
}

#[test]
fn loom_header_last_words_are_whole_once_they_are_seen() {
    const LAST: Crash = Crash { signal: 11, code: 1, address: 16, stack: 4096 };
    explore(3, || {
        let slot = Arc::new(RankSlot::new());
        slot.renew();
        let rank = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                slot.set_single(Some(7));
                slot.report(Fault::Panic, Some(7), "unlucky");
                slot.crashed(LAST);
            })
        };
        let crash = slot.crash();
        assert!(crash.is_none_or(|crash| crash == LAST));
        let reported = slot.reported();
        let said = || Some((Fault::Panic, Some(7), "unlucky".to_owned()));
        assert!(reported.is_none() && crash.is_none() || reported == said());
        assert!(reported.is_none() || slot.single() == Some(7), "the index is named before");
        rank.join().unwrap();
        assert_eq!((slot.crash(), slot.reported(), slot.single()), (Some(LAST), said(), Some(7)));
        slot.renew();
        assert_eq!((slot.crash(), slot.reported(), slot.single()), (None, None, None));
    });
}

#[test]
fn loom_header_a_report_is_whole_once_it_is_seen() {
    explore(3, || {
        let header = Arc::new(Header::new());
        let slot = Arc::new(RankSlot::new());
        let said = || Some((Fault::Kernel, Some(7), "overflows at 7".to_owned()));
        let rank = {
            let header = Arc::clone(&header);
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                slot.report(Fault::Kernel, Some(7), "overflows at 7");
                header.abort(Abort::Rank);
            })
        };
        let aborted = header.aborted();
        let reported = slot.reported();
        assert!(reported.is_none() || reported == said());
        assert!(!aborted || reported == said(), "the reason comes before the abort");
        rank.join().unwrap();
        assert!(header.aborted());
    });
}
