//! Ranges that ranks own, and the choice of `auto`, in every interleaving that loom can tell apart.
//!
//! As in `loom_tests.rs` and `loom_deaths.rs`, the code explored is the code that ships.
//!
//! Weaken one of these orderings, and a test here fails: the owner's addition; the exchange; the range
//! that a thief stores, or whoever ends what it began; `who` where a transfer begins and where it ends;
//! `what`, and the reader's looks at each of them; the choice, and the look at it. What loom cannot
//! tell: `undo`, which only processes of one rank touch, one after the other.

use loom::sync::Arc;
use loom::thread;

use super::loom_deaths::{Mode, Mortal, recovered};
use super::loom_tests::{Words, drained_by_two, explore, watched_while_drained};
use super::point::Point;

#[test]
fn loom_ranges_every_chunk_is_computed_once_and_an_audit_may_be_believed() {
    explore(2, || drained_by_two("steal,1", 3));
}

#[test]
fn loom_ranges_what_does_not_remain_may_be_read() {
    explore(2, || watched_while_drained("steal,1", 3));
}

/// One rank takes twice from another, which does nothing: whoever looks may see stores of both.
#[test]
fn loom_ranges_what_does_not_remain_may_be_read_while_more_than_one_passes() {
    explore(2, || {
        let words = Arc::new(Words::new("steal,1", 6, 2, 2));
        let thief = {
            let words = Arc::clone(&words);
            // Out of place: the fences around a saved block would order what they need not.
            thread::spawn(move || words.life(0, Mode::Apart, &[]))
        };
        let watcher = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.read_what_does_not_remain())
        };
        let done = thief.join().unwrap();
        assert_eq!(done, [0..1, 1..2, 2..3, 5..6, 4..5], "3 is in the hand of the other");
        watcher.join().unwrap();
    });
}

/// Whoever looks while a thief is dead, and while another ends what it began.
#[test]
fn loom_ranges_what_does_not_remain_may_be_read_when_a_thief_has_died() {
    for point in [Point::StealBegun, Point::StealTaken, Point::StealMoved] {
        explore(3, move || {
            let words = Arc::new(Words::new("steal,1", 4, 2, 2));
            let thief = {
                let words = Arc::clone(&words);
                thread::spawn(move || {
                    words.drain_until(0, point);
                    words.life(0, Mode::Apart, &[])
                })
            };
            let watcher = {
                let words = Arc::clone(&words);
                thread::spawn(move || words.read_what_does_not_remain())
            };
            assert_eq!(thief.join().unwrap(), [3..4]);
            watcher.join().unwrap();
        });
    }
}

impl Words {
    /// Computes what a rank owns, and lets it die at a point of its first theft.
    fn drain_until(&self, rank: u32, point: Point) {
        while let Ok(Some(lease)) = self.claim(rank, &Mortal(Some(point))) {
            lease.chunk().for_each(|index| self.results[usize::try_from(index).unwrap()].write());
            lease.commit();
        }
    }
}

#[test]
fn loom_ranges_a_thief_may_die_at_any_point() {
    for deaths in [&[Point::StealBegun], &[Point::StealTaken], &[Point::StealMoved]] {
        explore(3, move || recovered(Mode::InPlace, "steal,1", 4, 2, deaths));
    }
}

/// The second process of a thief dies too, or that of the thief it ends the theft of.
#[test]
fn loom_ranges_a_thief_may_die_again_of_what_it_does_for_the_first() {
    for deaths in [
        &[Point::StealBegun, Point::StealFinished],
        &[Point::StealTaken, Point::StealFinished],
        &[Point::StealMoved, Point::StealFinished],
        &[Point::StealTaken, Point::RunMid],
        &[Point::StealBegun, Point::StealTaken],
    ] {
        explore(3, move || recovered(Mode::InPlace, "steal,1", 4, 2, deaths));
    }
}

#[test]
fn loom_ranges_an_owner_may_die_in_a_chunk_while_others_take_what_waits() {
    for deaths in [
        &[Point::UndoHalf],
        &[Point::RunMid],
        &[Point::UndoComputed],
        &[Point::UndoBetween],
        &[Point::CommitAfter],
    ] {
        explore(3, move || recovered(Mode::InPlace, "steal,1", 4, 2, deaths));
    }
    for deaths in [&[Point::RunMid], &[Point::CommitAfter]] {
        explore(3, move || recovered(Mode::Apart, "steal,1", 4, 2, deaths));
    }
    explore(3, move || recovered(Mode::InPlace, "steal,2", 6, 2, &[Point::RunMid]));
}

#[test]
fn loom_ranges_of_three_ranks_survive_the_death_of_a_thief() {
    for deaths in [&[Point::StealBegun], &[Point::StealTaken], &[Point::StealMoved]] {
        explore(2, move || recovered(Mode::Apart, "steal,1", 4, 3, deaths));
    }
}

#[test]
fn loom_choice_is_made_once_and_every_chunk_is_computed_once() {
    explore(3, || recovered(Mode::Apart, "auto", 32, 2, &[]));
}

/// One rank chooses, and takes what it left to another.
#[test]
fn loom_choice_what_does_not_remain_may_be_read() {
    explore(2, || {
        let words = Arc::new(Words::new("auto", 32, 2, 2));
        let rank = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.life(0, Mode::Apart, &[]))
        };
        let watcher = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.read_what_does_not_remain())
        };
        assert_eq!(rank.join().unwrap(), [0..1, 1..2, 2..12, 22..32]);
        watcher.join().unwrap();
    });
}

/// Who chooses may die before the choice is known, and whoever claimed before it at any point.
#[test]
fn loom_choice_survives_the_death_of_whoever_makes_it() {
    for deaths in [
        &[Point::ChoiceLaidOut],
        &[Point::ChoiceMade],
        &[Point::LockTail],
        &[Point::LockLease],
        &[Point::RunMid],
    ] {
        explore(3, move || recovered(Mode::Apart, "auto", 32, 2, deaths));
    }
    explore(3, move || recovered(Mode::InPlace, "auto", 32, 2, &[Point::RunMid]));
    let twice: &[Point] = &[Point::ChoiceLaidOut, Point::ChoiceLaidOut];
    explore(3, move || recovered(Mode::Apart, "auto", 32, 2, twice));
}
