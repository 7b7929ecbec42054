//! An exhaustive model of the claim protocol, with crashes, and of what makes a run survive them.
//!
//! `src/shm/claims/` decides who owns a chunk by one store to one word, so that a chunk whose
//! owner was killed can be found and finished by somebody else. A rank that dies is always replaced:
//! its number stays, and a new process takes it. This file states the protocol. `words.rs` has what
//! the segment holds, `ranks.rs` and `launcher.rs` have the steps, `protocol.rs` what must hold and
//! what is broken on purpose; `search.rs` visits every state, `symmetry.rs` makes them fewer.
//!
//! # What is modelled
//!
//! Ranks, the lock, the tail words, the lease slots with their `undo` words and saved blocks, the
//! elements of the result, the barrier's words, and the launcher. Every store to the segment is a
//! step of its own; between any two steps any other process may take any number of its own, and up
//! to three ranks may die, replacements among them. Elements can be torn: with `torn`, each write to
//! an element or to a saved one is two stores, garbage first.
//!
//! ```text
//! claim    lock; q = the queue I claim from: the only one, or my own
//!          if lease[tail[q].slot] is idle or of another ticket than tail[q]'s:
//!              lease[tail[q].slot] = {tail[q].ticket, ORPHAN}    -- its claimer died half-way
//!          if a slot that I may use is ORPHAN:
//!              lease[s] = {same ticket, RUN, me}                 -- adopted, one store
//!          else if q has a next ticket t:  s = a slot that I may use, neither RUN nor ORPHAN
//!              undo[s] = NONE;  tail[q] = {t, s};  lease[s] = {t, RUN, me}
//!          unlock; if there was neither: to the barrier, at once, whatever others still run
//! run      in place, first:   undo[s] = ARMED(b):  copy saved[s] -> block b;  undo[s] = NEXT(b)
//!          begin at block b if undo[s] = NEXT(b), else at block 0; for each block b:
//!              copy block b -> saved[s];  undo[s] = ARMED(b);  compute;  undo[s] = NEXT(b + 1)
//!          out of place: all blocks from 0, and no undo
//! commit   lease[s] = {t, DONE, me}
//! barrier  one word, {epoch, arrived}:  arrived |= my bit, and if that made it complete, in the same
//!          store:  arrived = 0, epoch += 1.  Wait until epoch is another one than the one I arrived in
//! prepare  between two passes, in an epoch of its own:  rank 0: each tail, lease, undo word = 0;
//!          in place: each rank, each element of its slice = its first value;  barrier
//! death    launcher, once it is confirmed that w is dead; takes no lock:
//!          for each slot RUN by w:  lease[s] = {same ticket, ORPHAN};    start w again
//! again    w, started again, loads the word.  Its bit set:  it had arrived, and must not claim; it
//!          waits until epoch is another one.  Else:  the phase of epoch (claim, or prepare), from its
//!          beginning
//! ```
//!
//! "I may use" any slot if there is one queue; the slot of my number, and no other, if each rank has
//! its own (`static`). `ORPHAN` is the fourth value of the two state bits: with 4096 ranks no
//! executor number is left to mean "nobody". The launcher touches neither undo words nor saved
//! blocks: who adopts a chunk restores it, and may die doing that.
//!
//! That `again` is one load is part of the protocol. So is who makes it; both ways are searched. In the
//! other one (`Asks::Launcher`) the launcher does not start w at once. It loads the word, and starts w if
//! its bit is clear: w then reads the epoch and cannot see it move. Otherwise it looks again later; after
//! the last pass w is needed no more. It must never excuse a rank whose bit is not set, and nobody may
//! arrive twice.
//!
//! # Why it is right
//!
//! The stores of a dead rank are a prefix of its program. At each prefix the words say which blocks
//! are final and whether the saved block is whole, and one store, of the launcher or of whoever
//! adopts, passes the slot on. Who drains its queue may leave at once: each slot still taken is of a
//! rank that has not arrived, or is an orphan that such a rank left; either that rank or its
//! replacement has to come by, and finds it, before the barrier can open. An epoch cannot move as
//! long as the bit of a rank is clear, so a replacement that saw it clear is in the phase it read.
//!
//! # Steps that are left out
//!
//! A scan of the slots is one step. While the lock is held a slot that is not taken stays so, and a
//! taken one can only become ORPHAN or DONE, so what a slot-by-slot scan concludes is what a scan in
//! one step at some moment in between concludes. That the tail is not half-way cannot change under
//! the lock either: this look and the one for orphans are one step. The looks for an orphan and for a
//! free slot are two: an orphan may appear in between.
//!
//! Nobody else writes to what is RUN by a dead rank: the launcher finds such a slot and gives it up
//! in one step. A death is confirmed when it happens; the launcher may take notice at any time after.
//!
//! # What is checked
//!
//! - Whenever the words of a pass would pass the audit, every element holds its effect exactly once.
//! - Whenever the barrier that ends a pass is complete, the audit passes.
//! - From then until the next pass nobody is in a chunk or in a claim, and no slot is taken: what the
//!   launcher does for the dead does nothing then.
//! - From every state a right end of the last pass is reachable, whoever has died so far.
//! - A claimer that finds no orphan always finds a free slot.
//!
//! Each rule of the protocol is then broken in turn, and the checker must object; a checker that
//! never objects proves nothing.
//!
//! # What is not modelled
//!
//! Weak memory: stores here are sequentially consistent (`src/shm/loom_tests.rs` runs the real code
//! on weak memory). The loss of the lock's robust mark when the out-of-memory reaper takes a rank.
//! The count of attempts. Groups of the barrier, its sleepers, an abort. The death of the launcher,
//! which ends the run. Stores of a rank that went wild. That a rank which may be started again without
//! end makes progress: deaths are counted.

#![expect(clippy::print_stdout, reason = "how many states were searched is the result")]

mod launcher;
mod protocol;
mod ranks;
mod search;
mod steal;
mod symmetry;
mod words;

use std::collections::HashSet;

use protocol::{Asks, Broken, Model, Queues};
use search::search;

/// In place, shared queue, two deaths, one pass, whole writes; the launcher asks who had arrived.
fn base(ranks: usize, chunks: usize, blocks: usize, elements: usize) -> Model {
    Model {
        ranks,
        chunks,
        blocks,
        elements,
        in_place: true,
        torn: false,
        deaths: 2,
        passes: 1,
        queues: Queues::Shared,
        asks: Asks::Launcher,
        symmetric: false,
        broken: Broken::Nothing,
    }
}

/// The same, with each state searched once whatever the numbers of its ranks and slots are.
fn symmetric(ranks: usize, chunks: usize, blocks: usize, elements: usize) -> Model {
    Model { symmetric: true, ..base(ranks, chunks, blocks, elements) }
}

fn assert_right(model: Model) {
    let (found, _) = search(&model);
    assert_eq!(found.violations(), 0, "{model:?}{}", found.trace);
    assert!(found.right_ends > 0);
}

fn assert_caught(broken: Broken, model: Model) {
    let (found, _) = search(&Model { broken, ..model });
    println!("  {broken:?}, shortest:{}", found.trace);
    assert_ne!(found.violations(), 0, "the checker does not see that {broken:?} is wrong");
}

fn both(model: Model) {
    for asks in [Asks::Launcher, Asks::Replacement] {
        assert_right(Model { asks, ..model });
    }
}

fn caught_in_both(broken: Broken, model: Model) {
    for asks in [Asks::Launcher, Asks::Replacement] {
        assert_caught(broken, Model { asks, ..model });
    }
}

#[test]
fn in_place_two_ranks_two_chunks_of_two_blocks() {
    both(base(2, 2, 2, 2));
}

#[test]
fn in_place_two_ranks_three_chunks_of_two_blocks() {
    both(base(2, 3, 2, 1));
}

#[test]
fn in_place_three_ranks_three_chunks() {
    both(symmetric(3, 3, 1, 1));
}

#[test]
fn in_place_three_ranks_three_chunks_of_two_elements() {
    both(symmetric(3, 3, 1, 2));
}

#[test]
fn in_place_three_ranks_two_chunks_of_two_blocks_of_two_elements() {
    assert_right(symmetric(3, 2, 2, 2));
}

#[test]
fn in_place_three_ranks_more_chunks_than_ranks() {
    assert_right(symmetric(3, 4, 1, 1));
}

#[test]
fn in_place_with_three_deaths() {
    both(Model { deaths: 3, ..base(2, 2, 2, 1) });
    assert_right(Model { deaths: 3, ..symmetric(3, 3, 1, 2) });
}

#[test]
fn in_place_with_writes_that_can_be_torn() {
    both(Model { torn: true, ..base(2, 2, 2, 1) });
    assert_right(Model { torn: true, ..base(2, 2, 1, 2) });
    assert_right(Model { torn: true, deaths: 3, ..base(2, 1, 2, 2) });
    assert_right(Model { torn: true, ..symmetric(3, 3, 1, 2) });
}

#[test]
fn out_of_place() {
    both(Model { in_place: false, ..base(2, 2, 2, 2) });
    both(Model { in_place: false, ..symmetric(3, 3, 1, 1) });
    assert_right(Model { in_place: false, torn: true, ..base(2, 2, 2, 1) });
}

#[test]
fn a_queue_for_each_rank() {
    both(Model { queues: Queues::Own, ..base(2, 2, 2, 1) });
    both(Model { queues: Queues::Own, ..base(3, 1, 1, 1) });
    assert_right(Model { queues: Queues::Own, deaths: 3, ..base(2, 2, 2, 1) });
    assert_right(Model { queues: Queues::Own, ..base(3, 2, 1, 1) });
}

#[test]
fn one_rank_alone() {
    both(base(1, 3, 2, 1));
    both(Model { torn: true, deaths: 3, ..base(1, 2, 2, 2) });
    both(Model { passes: 2, torn: true, deaths: 3, ..base(1, 2, 2, 1) });
}

#[test]
fn two_passes_with_their_preparation() {
    let two = Model { passes: 2, ..base(2, 2, 1, 1) };
    both(two);
    both(Model { in_place: false, ..two });
    both(Model { torn: true, ..two });
    both(Model { queues: Queues::Own, chunks: 1, ..two });
    both(Model { queues: Queues::Own, in_place: false, ..two });
    both(Model { deaths: 3, ..two });
    both(Model { chunks: 1, blocks: 2, elements: 2, ..two });
}

#[test]
fn two_passes_of_three_ranks() {
    both(Model { passes: 2, ..base(3, 1, 1, 1) });
}

#[test]
fn states_alike_but_for_numbers_need_be_searched_once() {
    let asked = Model { asks: Asks::Replacement, ..base(2, 2, 2, 1) };
    for model in [base(2, 2, 2, 1), asked, base(3, 2, 1, 1)] {
        let symmetric = Model { symmetric: true, ..model };
        let kinds = |model: &Model| -> HashSet<_> {
            let (found, graph) = search(model);
            assert_eq!(found.violations(), 0);
            graph.states.iter().map(|state| symmetry::canonical(&symmetric, state)).collect()
        };
        let (all, fewer) = (kinds(&model), kinds(&symmetric));
        assert!(all == fewer, "{} kinds of states, and {}", all.len(), fewer.len());
    }
}

// Rules of the claim.

#[test]
fn caught_lease_stored_before_tail() {
    assert_caught(Broken::LeaseBeforeTail, base(2, 2, 2, 1));
}

#[test]
fn caught_no_half_way_repair() {
    assert_caught(Broken::NoRepair, base(2, 2, 2, 1));
}

#[test]
fn caught_a_repair_that_takes_an_idle_lease_for_ticket_zero() {
    assert_caught(Broken::RepairForgetsIdle, base(2, 2, 1, 1));
}

#[test]
fn caught_the_slot_of_an_orphan_taken_for_a_new_chunk() {
    assert_caught(Broken::TakesOrphanSlot, base(2, 2, 1, 1));
}

#[test]
fn caught_a_rank_queue_that_uses_a_slot_of_another() {
    let own = Model { queues: Queues::Own, deaths: 1, ..base(2, 2, 1, 1) };
    assert_caught(Broken::OwnQueueAnySlot, own);
}

#[test]
fn caught_undo_not_reset_at_the_claim() {
    assert_caught(Broken::NoReset, base(2, 2, 2, 1));
}

#[test]
fn caught_undo_reset_after_the_store_that_decides() {
    assert_caught(Broken::ResetAfterTail, base(2, 2, 1, 1));
}

#[test]
fn caught_an_adoption_by_two_stores() {
    assert_caught(Broken::AdoptsInTwoStores, base(2, 2, 1, 1));
}

// Rules of the run.

#[test]
fn caught_an_armed_block_that_its_adopter_does_not_restore() {
    assert_caught(Broken::NoRestore, Model { deaths: 1, ..base(2, 1, 1, 1) });
}

#[test]
fn caught_a_restored_block_saved_again_while_it_is_armed() {
    assert_caught(Broken::RestoreWithoutDisarm, Model { torn: true, ..base(2, 1, 1, 1) });
}

#[test]
fn caught_a_naive_second_run_in_place() {
    assert_caught(Broken::NaiveRerun, base(2, 2, 1, 2));
}

#[test]
fn caught_a_disarm_without_progress_before_done() {
    assert_caught(Broken::DisarmForgetsProgress, base(2, 2, 2, 1));
}

#[test]
fn caught_a_block_saved_over_one_still_armed() {
    assert_caught(Broken::RearmWithoutDisarm, base(2, 2, 2, 2));
}

#[test]
fn caught_an_executor_that_clears_undo_after_done() {
    assert_caught(Broken::ClearAfterDone, base(2, 2, 1, 1));
}

#[test]
fn caught_an_arrival_before_the_commit() {
    assert_caught(Broken::ArrivesBeforeCommit, Model { deaths: 0, ..base(2, 1, 1, 1) });
}

// Rules of the launcher.

#[test]
fn caught_a_chunk_given_away_while_its_owner_may_be_alive() {
    assert_caught(Broken::LivingGivenUp, Model { deaths: 1, ..base(2, 1, 1, 1) });
}

#[test]
fn caught_a_replacement_while_the_old_process_may_be_alive() {
    assert_caught(Broken::LivingReplaced, Model { deaths: 1, ..base(2, 1, 1, 1) });
}

#[test]
fn caught_a_replacement_before_the_slots_are_given_up() {
    assert_caught(Broken::ReplacedBeforeGivenUp, Model { deaths: 1, ..base(2, 2, 1, 1) });
}

#[test]
fn caught_an_orphan_taken_for_a_slot_of_rank_zero() {
    assert_caught(Broken::OrphanOfRankZero, Model { deaths: 1, ..base(2, 2, 1, 1) });
}

#[test]
fn caught_a_dead_rank_that_is_not_replaced() {
    assert_caught(Broken::NotReplaced, Model { deaths: 1, ..base(2, 1, 1, 1) });
}

// Rules of the barrier, and of what is between two passes.

#[test]
fn caught_a_barrier_that_does_not_wait_for_the_replacement() {
    assert_caught(Broken::ExcusesDead, Model { deaths: 1, ..base(2, 1, 1, 1) });
}

#[test]
fn caught_a_claim_by_a_rank_whose_arrival_counts() {
    assert_caught(Broken::ReplacedAfterArrival, base(2, 1, 1, 1));
}

#[test]
fn caught_an_arrival_that_counts_for_the_next_epoch() {
    assert_caught(Broken::ArrivesLate, Model { passes: 2, deaths: 1, ..base(2, 1, 1, 1) });
}

#[test]
fn caught_an_epoch_read_after_the_bit() {
    let two = Model { passes: 2, deaths: 1, asks: Asks::Replacement, ..base(2, 1, 1, 1) };
    assert_caught(Broken::ReadsEpochLast, two);
}

#[test]
fn caught_an_opening_by_another_store_than_the_last_arrival() {
    let two = Model { passes: 2, deaths: 1, ..base(2, 1, 1, 1) };
    caught_in_both(Broken::OpensBySecondStore, two);
}

#[test]
fn caught_claims_that_do_not_wait_for_the_reset() {
    let two = Model { passes: 2, deaths: 0, ..base(2, 1, 1, 1) };
    assert_caught(Broken::ResetWithoutBarrier, two);
}

#[test]
fn caught_a_preparation_that_nobody_does_again() {
    let two = Model { passes: 2, deaths: 1, ..base(2, 1, 1, 1) };
    caught_in_both(Broken::PreparedOnce, two);
}

#[test]
fn caught_a_replacement_that_initialises_in_the_middle_of_a_pass() {
    let two = Model { passes: 2, deaths: 1, ..base(2, 1, 1, 1) };
    caught_in_both(Broken::InitialisesInPass, two);
}
