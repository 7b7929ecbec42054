//! What a thief, and whoever comes after a dead one, makes of words; and what a reader does.

use super::super::Claims;
use super::super::tests::{Words, partition, words};
use super::*;

fn word(lo: u32, hi: u32) -> u64 {
    Range { lo, hi }.word()
}

fn stored(words: &Words) -> Vec<(u32, u32)> {
    let read = |slot: &RangeSlot| Range::of(slot.range.load(Relaxed));
    words.ranges.iter().map(read).map(|range| (range.lo, range.hi)).collect()
}

/// Ten chunks and two ranks: what the words say while rank 0 takes {7, 10} from {4, 10}.
fn taking(
    partition: &Partition,
    victim: (u32, u32),
    thief: (u32, u32),
    test: impl FnOnce(&Words, Claims<'_>),
) {
    let words = words(partition, 2);
    let claims = words.claims(partition);
    words.ranges[0].range.store(word(thief.0, thief.1), Relaxed);
    words.ranges[1].range.store(word(victim.0, victim.1), Relaxed);
    words.handover.what.store(word(7, 10), Relaxed);
    words.handover.who.store(Transfer { thief: 0, victim: 1 }.word(5), Relaxed);
    test(&words, claims);
}

#[test]
fn whoever_comes_after_a_dead_thief_stores_its_range_if_it_was_cut_and_not_stored() {
    let partition = partition("steal,1", 10, 2);
    for (victim, thief, ended) in [
        ((4, 10), (4, 4), (4, 4)),  // Not cut.
        ((6, 10), (0, 0), (0, 0)),  // Not cut; the owner went on.
        ((4, 7), (4, 4), (7, 10)),  // Cut, not stored.
        ((7, 7), (0, 0), (7, 10)),  // Cut, and the owner did the rest.
        ((4, 7), (7, 10), (7, 10)), // Stored.
        ((4, 7), (9, 10), (9, 10)), // Stored, and its next process has begun on it.
        ((7, 7), (10, 10), (10, 10)),
    ] {
        taking(&partition, victim, thief, |words, claims| {
            claims.ranges.finish(&());
            assert_eq!(stored(words), [ended, victim], "{victim:?} {thief:?}");
            assert_eq!(words.handover.who.load(Relaxed), 6 << 32, "one more has ended");
        });
    }
}

#[test]
fn what_passes_is_left_until_it_has_arrived() {
    let partition = partition("steal,1", 10, 2);
    for (victim, thief, left) in [
        ((4, 10), (0, 0), vec![4..10]),
        ((5, 7), (0, 0), vec![5..10]),
        ((7, 7), (4, 4), vec![7..10]),
        ((7, 7), (9, 10), vec![9..10]),
        ((5, 7), (10, 10), vec![5..7]),
    ] {
        taking(&partition, victim, thief, |_, claims| {
            assert_eq!(claims.remaining(&partition), Some(left));
            assert!(claims.audit(&partition).is_err());
        });
    }
    // Nothing is left, but somebody has still to end it.
    taking(&partition, (7, 7), (10, 10), |_, claims| {
        assert_eq!(claims.remaining(&partition), Some(vec![]));
        assert!(claims.audit(&partition).is_err());
        claims.ranges.finish(&());
        assert_eq!(claims.audit(&partition), Ok(()));
    });
}

#[test]
fn a_thief_takes_half_of_what_the_richest_has_never_what_that_has_in_hand() {
    let partition = partition("steal,1", 12, 3);
    for (first, second, after) in [
        ((4, 8), (8, 12), [(6, 8), (4, 6), (8, 12)]),
        ((5, 8), (8, 12), [(10, 12), (5, 8), (8, 10)]),
        ((6, 8), (11, 12), [(7, 8), (6, 7), (11, 12)]),
        ((7, 8), (11, 12), [(4, 4), (7, 8), (11, 12)]),
    ] {
        let words = words(&partition, 3);
        let claims = words.claims(&partition);
        for (slot, range) in words.ranges.iter().zip([(4, 4), first, second]) {
            slot.range.store(word(range.0, range.1), Relaxed);
        }
        let lease = claims.ranges.steal(&partition, 0, &());
        let number = u64::from(after[0].0);
        let taken = (after[0] != (4, 4)).then_some(number..number + 1);
        assert_eq!(lease.map(|lease| lease.chunk()), taken);
        assert_eq!(stored(&words), after);
    }
}

#[test]
fn an_undo_word_of_another_chunk_says_nothing() {
    let partition = partition("steal,1", 10, 2);
    let words = words(&partition, 2);
    let claims = words.claims(&partition);
    let first = claims.own(&partition, 0).unwrap();
    first.arm(0);
    let progress = || claims.own(&partition, 0).unwrap().progress();
    assert_eq!(progress(), Progress::Saved(0));
    first.disarm(0);
    assert_eq!(progress(), Progress::Final(1));
    first.commit();
    assert_eq!(progress(), Progress::Nothing);
}

#[test]
fn any_words_at_all_are_read_without_a_panic_and_never_pass_for_done() {
    let partition = partition("steal,1", 10, 2);
    let raws = [u64::MAX, u64::MAX << 32, 1, 3, word(10, 9), word(11, 11), word(9, 11), 1 << 63];
    for raw in raws {
        for at in 0..5 {
            let words = words(&partition, 2);
            let claims = words.claims(&partition);
            words.ranges.iter().for_each(|slot| slot.range.store(word(10, 10), Relaxed));
            assert_eq!(claims.audit(&partition), Ok(()));
            match at {
                0 => words.ranges[1].range.store(raw, Relaxed),
                1 => words.handover.who.store(raw | 1, Relaxed),
                2 => {
                    words.handover.who.store(raw | 1, Relaxed);
                    words.handover.what.store(raw, Relaxed);
                }
                3 => words.ranges.iter().for_each(|slot| slot.range.store(raw, Relaxed)),
                _ => {
                    words.ranges[0].range.store(raw, Relaxed);
                    words.ranges[0].undo.store(raw, Relaxed);
                    words.handover.who.store(raw, Relaxed);
                    words.handover.what.store(!raw, Relaxed);
                }
            }
            assert!(claims.audit(&partition).is_err(), "{raw:#x} {at}");
            let _ = claims.remaining(&partition);
            let _ = claims.current(&partition, 0);
            let _ = claims.next(&partition, 0);
            let _ = claims.next(&partition, 1);
        }
    }
}

#[test]
fn a_thief_takes_from_its_own_numa_node_first() {
    let partition = partition("steal,1", 16, 4);
    let words = words(&partition, 4);
    let claims = words.claims(&partition);
    claims.ranges.place(&[0, 1, 0, 1]);
    for (slot, range) in words.ranges.iter().zip([(4, 4), (4, 8), (9, 12), (12, 16)]) {
        slot.range.store(word(range.0, range.1), Relaxed);
    }
    // Rank 2 has less than 1 and 3, and is near; what waits there goes first.
    assert_eq!(claims.ranges.richest(0), Some(2));
    words.ranges[2].range.store(word(11, 12), Relaxed);
    assert_eq!(claims.ranges.richest(0), Some(1));
}
