//! Claims by ranks that take turns, and what a dead one leaves.

use super::*;
use crate::schedule::{Schedule, Source};
use std::num::NonZeroU64;

pub(super) fn partition(schedule: &str, n: u64, procs: u32) -> Partition {
    let schedule: Schedule = schedule.parse().unwrap();
    Partition::new(schedule, n, procs, NonZeroU64::new(3).unwrap(), NonZeroU64::MIN)
}

/// Words in memory of their own.
pub(super) struct Words {
    pub(super) tails: Vec<Tail>,
    pub(super) slots: Vec<LeaseSlot>,
    pub(super) ranges: Vec<RangeSlot>,
    pub(super) handover: Handover,
}

pub(super) fn words(partition: &Partition, procs: u32) -> Words {
    Words {
        tails: (0..partition.queues()).map(|_| Tail::new()).collect(),
        slots: (0..procs).map(|_| LeaseSlot::new()).collect(),
        ranges: (0..procs).map(|_| RangeSlot::new()).collect(),
        handover: Handover::new(),
    }
}

impl Words {
    /// The claims of a pass that begins.
    pub(super) fn claims(&self, partition: &Partition) -> Claims<'_> {
        let ranges = Ranges::new(&self.ranges, &self.handover);
        ranges.lay_out(partition);
        Claims::new(&self.tails, &self.slots, ranges)
    }
}

impl<'a> Claims<'a> {
    /// Claims as the counter does.
    pub(super) fn next(&self, partition: &Partition, rank: u32) -> Option<Lease<'a>> {
        let chunk = NonZeroU64::new(2).unwrap();
        let choice = Choice { source: Source::Ranges, chunk, scope: Scope::Rest };
        let decide = |_: &Partition| (choice, Seen::default());
        self.own(partition, rank).or_else(|| self.claim(partition, Claimer::of(rank), decide, &()))
    }
}

const SCHEDULES: [&str; 9] =
    ["static", "static,2", "dynamic,3", "guided", "tss", "fac2,1", "awf-b", "steal,2", "auto"];

#[test]
fn ranks_that_take_turns_claim_every_chunk_once() {
    for schedule in SCHEDULES {
        for procs in [1_u32, 2, 3, 7] {
            // `auto` does not look first if there are few.
            let n = if schedule == "auto" { 4000 } else { 25 };
            let partition = partition(schedule, n, procs);
            let words = words(&partition, procs);
            let claims = words.claims(&partition);
            let mut seen = vec![0; usize::try_from(n).unwrap()];
            let mut idle = 0;
            for turn in (0..procs).cycle() {
                let Some(lease) = claims.next(&partition, turn) else {
                    idle += 1;
                    if idle == procs {
                        break;
                    }
                    continue;
                };
                idle = 0;
                assert_eq!(claims.current(&partition, turn), Some(lease.chunk()));
                lease.chunk().for_each(|index| seen[usize::try_from(index).unwrap()] += 1);
                lease.commit();
            }
            assert!(seen.iter().all(|&times| times == 1), "{schedule} {procs}");
            assert_eq!(claims.audit(&partition), Ok(()));
            claims.reset(&partition);
            assert!(claims.audit(&partition).is_err());
        }
    }
}

#[test]
fn a_queue_with_an_owner_uses_the_slot_of_that_owner_only() {
    let partition = partition("static,1", 4, 2);
    let words = words(&partition, 2);
    let claims = words.claims(&partition);
    let first = claims.next(&partition, 1).unwrap();
    assert_eq!(first.slot(), 1);
    assert!(claims.next(&partition, 1).is_none(), "slot 0 is of the other queue");
    first.commit();
    assert_eq!(claims.next(&partition, 1).unwrap().slot(), 1);
}

#[test]
fn a_slot_still_running_is_not_given_out_again() {
    let partition = partition("dynamic,1", 4, 2);
    let words = words(&partition, 2);
    let claims = words.claims(&partition);
    let first = claims.next(&partition, 0).unwrap();
    let second = claims.next(&partition, 0).unwrap();
    assert_ne!(first.slot(), second.slot());
    assert!(claims.next(&partition, 0).is_none(), "no third slot");
    first.commit();
    second.commit();
}

#[test]
fn what_a_dead_rank_had_is_adopted_before_anything_new_is_claimed() {
    let partition = partition("dynamic,5", 20, 2);
    let words = words(&partition, 2);
    let claims = words.claims(&partition);
    let lost = claims.next(&partition, 1).unwrap();
    lost.arm(3);
    assert_eq!(claims.give_up(&partition, 0), []);
    assert_eq!(claims.give_up(&partition, 1), [0..5]);
    assert_eq!(claims.give_up(&partition, 1), [], "it is given away once");
    assert!(matches!(
        claims.audit(&partition),
        Err(Incomplete::Running { rank: None, chunk: Some(_) })
    ));
    let adopted = claims.next(&partition, 0).unwrap();
    assert_eq!((adopted.chunk(), adopted.progress()), (0..5, Progress::Saved(3)));
    adopted.restored(3);
    adopted.commit();
    assert_eq!(claims.next(&partition, 0).unwrap().chunk(), 5..10);
}

#[test]
fn a_claim_that_stopped_half_way_is_found_by_the_next_claimer_or_by_the_replacement() {
    for schedule in ["dynamic,5", "static,5"] {
        for former in [0, 1] {
            let partition = partition(schedule, 20, 2);
            let words = words(&partition, 2);
            let claims = words.claims(&partition);
            for _ in 0..former {
                claims.next(&partition, 1).unwrap().commit();
            }
            let last = words.tails.last().unwrap();
            let before = last.word.load(Relaxed);
            let half = claims.next(&partition, 1).unwrap().chunk();
            let word = last.word.load(Relaxed);
            // Its second store never happened.
            let was =
                if former == 0 { 0 } else { lease_word(ticket_of(before), 1, LeaseState::Done) };
            words.slots[1].lease.store(was, Relaxed);
            assert_eq!(claims.give_up(&partition, 1), []);
            assert_eq!(claims.next(&partition, 1).unwrap().chunk(), half);
            assert_eq!(last.word.load(Relaxed), word);
        }
    }
}

#[test]
fn any_words_at_all_are_read_without_a_panic_and_never_pass_for_done() {
    let partition = partition("dynamic,5", 20, 2);
    for raw in [u64::MAX, 0x8000_0000_0000_0003, 3, 1, 0xffff_0000_ffff_0001] {
        for tail in [u64::MAX, u64::MAX - 1, raw] {
            let words = words(&partition, 2);
            words.tails[0].word.store(tail, Relaxed);
            words.tails[0].orphaned.store(raw, Relaxed);
            words.slots[0].lease.store(raw, Relaxed);
            words.slots[1].undo.store(raw, Relaxed);
            let claims = words.claims(&partition);
            let _ = claims.next(&partition, 0);
            let _ = claims.give_up(&partition, 1);
            assert!(claims.audit(&partition).is_err());
            let _ = claims.remaining(&partition);
        }
    }
}
