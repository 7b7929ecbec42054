//! An exhaustive model of ranges that ranks own and take from one another, and of the choice of `auto`.
//!
//! `src/shm/claims/ranges.rs` states the protocol, and `src/shm/claims/mod.rs` how `auto` comes to it.
//! Here is each of its loads that matter, and each of its stores, as a step of its own: between any two
//! of them any other rank may take any number of steps, and ranks may die, their replacements too.
//! `steal/words.rs` has what the segment holds, `steal/ranks.rs` the steps of ranks and deaths,
//! `steal/reader.rs` somebody who asks at any moment what is left.
//!
//! # What is modelled
//!
//! Ranges, undo words, saved blocks, the elements of the result, the lock, `who` and `what`. In place a
//! write may be torn. For `auto` also one queue with its tail and lease slots, as `protocol.rs` has it
//! at length: it begins on tickets, an orphan among them is adopted, then somebody lays out ranges and
//! stores a choice: to stay, or chunks of one element, or of two. Who dies between leaves the next one
//! to choose again, perhaps otherwise.
//!
//! # Steps that are left out
//!
//! A thief takes from any rank with whom something waits, so also from the one with the most. That
//! nothing waits anywhere is one step: while the lock is held by a living thief, and no transfer is open,
//! what waits only becomes less. What `who` counts is not kept: the reader is told when it changes.
//! The barrier is that a rank leaves once it finds nothing, and that a dead one which had not left is
//! started again.
//!
//! # What is checked
//!
//! - Whenever the words would pass the audit, every element holds its effect exactly once.
//! - Once everybody has left, the audit passes.
//! - From every state that end is reachable, whoever has died so far.
//! - No two living ranks are in the same chunk.
//! - The reader never says of an element that is not finished that it is.
//!
//! As in `main.rs`, each rule is then broken in turn, and the checker must object.
//!
//! # What is not modelled
//!
//! Weak memory: `src/shm/loom_ranges.rs` runs the real code on it. Two passes: between them all words
//! are stored anew while nobody claims, as those of the queues are.

mod broken;
mod ranks;
mod reader;
mod words;

use self::broken::Broken;
use self::words::{
    At, Choice, ELEMENTS, Hold, Lease, Look, Range, Reader, State, Step, Work, is_empty,
};
use crate::search::{Searched, Stuck, search};
use crate::words::{RANKS, Undo, Value, small};

/// Who owns what at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// As `Partition::range` cuts it.
    Even,
    /// One rank has all.
    AllWith(usize),
}

#[derive(Clone, Copy, Debug)]
struct World {
    ranks: usize,
    /// Tickets of the queue before `auto` chooses; 0: ranges from the beginning.
    tickets: u8,
    /// Behind the tickets; where `auto` chooses, these are elements, of which it makes chunks.
    chunks: usize,
    /// In each chunk, of one element each.
    blocks: u8,
    layout: Layout,
    in_place: bool,
    torn: bool,
    reader: bool,
    deaths: u8,
    broken: Broken,
}

fn once(element: usize) -> Value {
    Value::Once(small(element))
}

impl World {
    fn elements(&self) -> usize {
        usize::from(self.tickets) + self.chunks * usize::from(self.blocks)
    }

    /// The range a rank owns at first.
    fn first(&self, rank: usize, choice: Choice) -> Range {
        let count = match choice {
            Choice::Counter => 0,
            Choice::Ranges(_) if self.tickets == 0 => self.chunks,
            Choice::Ranges(blocks) => self.chunks.div_ceil(usize::from(blocks)),
        };
        let at = |rank: usize| match self.layout {
            Layout::Even => count * rank / self.ranks,
            Layout::AllWith(owner) => {
                if rank > owner {
                    count
                } else {
                    0
                }
            }
        };
        let range = (small(at(rank)), small(at(rank + 1)));
        if is_empty(range) && self.broken != Broken::EmptyWhereOthersEnd { (0, 0) } else { range }
    }

    /// How many elements a numbered chunk has; the last one may have fewer.
    fn chunk_of(&self, state: &State) -> u8 {
        match state.choice {
            Some(Choice::Ranges(blocks)) => blocks,
            _ => self.blocks,
        }
    }

    fn blocks_of(&self, state: &State, work: Work) -> u8 {
        match work.hold {
            Hold::Slot(_) => 1,
            Hold::Range => {
                let begin = self.element(state, Work { block: 0, ..work });
                self.chunk_of(state).min(small(self.elements() - begin))
            }
        }
    }

    fn element(&self, state: &State, work: Work) -> usize {
        usize::from(match work.hold {
            Hold::Slot(_) => work.number,
            Hold::Range => self.tickets + work.number * self.chunk_of(state) + work.block,
        })
    }

    /// Whether the last claimer of the queue died between its two stores.
    fn half_way(&self, state: &State) -> Option<(u8, u8)> {
        state.tail.filter(|&(ticket, slot)| state.slots[usize::from(slot)].ticket() != Some(ticket))
    }

    /// Whether the audit lets the queue pass, and what `auto` did after it.
    fn audit_queue(&self, state: &State) -> bool {
        let tickets = match state.choice {
            None => return self.tickets == 0,
            Some(Choice::Counter) => self.elements(),
            Some(Choice::Ranges(_)) => usize::from(self.tickets),
        };
        let ended = state.tail.is_some_and(|(ticket, slot)| {
            state.slots[usize::from(slot)] == Lease::Done { ticket }
                && usize::from(ticket) + 1 == tickets
        });
        ended && state.slots.iter().all(|lease| !lease.taken())
    }

    /// Whether two living ranks are in the same chunk.
    fn doubled(&self, state: &State) -> bool {
        let held = |rank: usize| {
            state.at[rank].work().map(|work| self.element(state, Work { block: 0, ..work }))
        };
        (0..self.ranks)
            .any(|rank| held(rank).is_some() && (0..rank).any(|other| held(other) == held(rank)))
    }
}

impl Searched for World {
    type State = State;
    type Step = Step;

    fn initial(&self) -> State {
        assert!(self.ranks <= RANKS && self.elements() <= ELEMENTS);
        assert!(self.tickets == 0 || !self.in_place && self.blocks == 1);
        let mut at = [At::Left; RANKS];
        at[..self.ranks].fill(At::Outside);
        let mut ranges = [(0, 0); RANKS];
        if self.tickets == 0 {
            let first = |rank| self.first(rank, Choice::Ranges(self.blocks));
            (0..self.ranks).for_each(|rank| ranges[rank] = first(rank));
        }
        let reader = match self.tickets {
            _ if !self.reader => Reader::nothing_seen(Look::Nobody),
            0 => Reader { blocks: self.blocks, ..Reader::nothing_seen(Look::Who) },
            _ => Reader::nothing_seen(Look::Tail),
        };
        State {
            elements: std::array::from_fn(|element| Value::Raw(small(element))),
            ranges,
            undo: [(0, Undo::None); RANKS],
            saved: [Value::Wrong; RANKS],
            who: None,
            what: (0, 0),
            choice: None,
            tail: None,
            slots: [Lease::Idle; RANKS],
            at,
            reader,
            deaths: 0,
        }
    }

    fn steps(&self, state: &State, found: &mut Vec<Step>) -> Result<(), Stuck> {
        for rank in 0..self.ranks {
            match state.at[rank] {
                At::Dead => self.recovery(state, rank, found),
                at if at.alive() => {
                    self.rank_steps(state, rank, found)?;
                    self.death(state, rank, found);
                }
                _ => {}
            }
        }
        self.reader_steps(state, found);
        Ok(())
    }

    fn after(&self, step: &Step) -> State {
        step.state
    }

    fn audit(&self, state: &State) -> bool {
        // Where ranges were not chosen, whatever somebody laid out before it died is looked at by nobody.
        let looked_at = state.choice != Some(Choice::Counter);
        let mut ranges = state.ranges[..self.ranks].iter();
        self.audit_queue(state)
            && (!looked_at || state.who.is_none() && ranges.all(|&range| is_empty(range)))
    }

    fn right(&self, state: &State) -> bool {
        (0..self.elements()).all(|element| state.elements[element] == once(element))
    }

    fn over(&self, state: &State) -> bool {
        state.at[..self.ranks].iter().all(|&at| at == At::Left)
    }

    fn pass_over(&self, state: &State) -> bool {
        self.over(state)
    }

    fn forbidden(&self, state: &State) -> bool {
        self.doubled(state) || self.misled(state)
    }
}

/// Ranges in place, whole writes, two deaths, nobody who only looks.
fn base(ranks: usize, chunks: usize, blocks: u8) -> World {
    World {
        ranks,
        tickets: 0,
        chunks,
        blocks,
        layout: Layout::Even,
        in_place: true,
        torn: false,
        reader: false,
        deaths: 2,
        broken: Broken::Nothing,
    }
}

/// The same, where one rank has all at first, and the others come to take it.
fn uneven(ranks: usize, chunks: usize, blocks: u8) -> World {
    World { layout: Layout::AllWith(0), ..base(ranks, chunks, blocks) }
}

/// `auto`, out of place: tickets, then so many elements more.
fn auto(ranks: usize, tickets: u8, chunks: usize) -> World {
    World { tickets, in_place: false, ..base(ranks, chunks, 1) }
}

fn watched(world: World) -> World {
    World { reader: true, ..world }
}

fn assert_right(world: World) {
    let (found, _) = search(&world);
    assert_eq!(found.violations(), 0, "{world:?}{}", found.trace);
    assert!(found.right_ends > 0);
}

fn assert_caught(broken: Broken, world: World) {
    let (found, _) = search(&World { broken, ..world });
    println!("  {broken:?}, shortest:{}", found.trace);
    assert_ne!(found.violations(), 0, "the checker does not see that {broken:?} is wrong");
}

#[test]
fn ranges_in_place_of_two_ranks() {
    assert_right(base(2, 4, 1));
    assert_right(base(2, 3, 2));
    assert_right(uneven(2, 4, 1));
    assert_right(uneven(2, 3, 2));
}

#[test]
fn ranges_in_place_of_three_ranks() {
    assert_right(base(3, 5, 1));
    assert_right(uneven(3, 4, 1));
}

#[test]
fn ranges_in_place_with_three_deaths() {
    assert_right(World { deaths: 3, ..base(2, 4, 1) });
    assert_right(World { deaths: 3, ..uneven(2, 3, 2) });
    assert_right(World { deaths: 3, ..uneven(3, 3, 1) });
}

#[test]
fn ranges_in_place_with_writes_that_can_be_torn() {
    assert_right(World { torn: true, ..base(2, 3, 2) });
    assert_right(World { torn: true, ..uneven(2, 4, 1) });
}

#[test]
fn ranges_out_of_place() {
    assert_right(World { in_place: false, torn: true, deaths: 3, ..uneven(2, 5, 1) });
    assert_right(World { in_place: false, ..base(3, 5, 1) });
    assert_right(World { in_place: false, ..uneven(3, 5, 1) });
}

#[test]
fn ranges_of_one_rank_alone() {
    assert_right(World { torn: true, deaths: 3, ..watched(base(1, 3, 2)) });
}

#[test]
fn ranges_that_somebody_looks_at() {
    assert_right(watched(World { in_place: false, ..uneven(2, 5, 1) }));
    assert_right(watched(World { in_place: false, ..base(2, 5, 1) }));
    assert_right(watched(World { in_place: false, deaths: 1, ..uneven(3, 3, 1) }));
}

#[test]
fn the_choice_between_tickets_and_ranges() {
    assert_right(auto(2, 1, 4));
    assert_right(auto(2, 2, 3));
    assert_right(auto(3, 1, 3));
    assert_right(World { layout: Layout::AllWith(0), deaths: 3, ..auto(2, 1, 3) });
}

#[test]
fn the_choice_that_somebody_looks_at() {
    assert_right(watched(auto(2, 1, 3)));
    assert_right(watched(World { deaths: 1, ..auto(2, 2, 3) }));
}

// Rules of a theft.

#[test]
fn caught_a_range_cut_before_anybody_is_told() {
    assert_caught(Broken::ExchangesBeforeIntent, uneven(2, 2, 1));
}

#[test]
fn caught_a_thief_that_is_named_before_what_it_takes() {
    assert_caught(Broken::IntentBeforeRange, World { deaths: 1, ..uneven(3, 3, 1) });
}

#[test]
fn caught_a_range_taken_before_it_is_cut_off() {
    assert_caught(Broken::OwnBeforeExchange, uneven(2, 2, 1));
}

#[test]
fn caught_a_theft_that_ends_before_the_range_is_the_thiefs() {
    assert_caught(Broken::ClearsBeforeOwn, uneven(2, 2, 1));
}

#[test]
fn caught_a_thief_that_takes_another_part_than_it_says() {
    assert_caught(Broken::KeepsFirstRange, uneven(2, 4, 1));
}

#[test]
fn caught_a_thief_that_takes_what_is_in_hand() {
    assert_caught(Broken::TakesWhatIsInHand, uneven(2, 2, 1));
}

#[test]
fn caught_a_theft_without_the_lock() {
    assert_caught(Broken::StealsWithoutLock, uneven(3, 3, 1));
}

// Rules of who ends what a dead thief began.

#[test]
fn caught_a_theft_that_nobody_ends() {
    assert_caught(Broken::NobodyEnds, uneven(2, 2, 1));
}

#[test]
fn caught_a_range_given_again_to_a_thief_that_has_begun_on_it() {
    assert_caught(Broken::EndsAgain, uneven(2, 4, 1));
    assert_caught(Broken::ComparesWholeRanges, uneven(2, 4, 1));
}

#[test]
fn caught_a_range_given_to_a_thief_that_had_not_cut_it() {
    assert_caught(Broken::EndsWhatWasNotTaken, uneven(2, 2, 1));
}

#[test]
fn caught_an_empty_range_that_ends_where_one_that_waits_does() {
    assert_caught(Broken::EmptyWhereOthersEnd, uneven(2, 2, 1));
}

// Rules of an owner.

#[test]
fn caught_an_undo_word_that_does_not_say_its_chunk() {
    assert_caught(Broken::UndoWithoutChunk, base(2, 4, 1));
}

#[test]
fn caught_an_undo_word_reset_after_the_commit() {
    assert_caught(Broken::ResetsUndoAfterCommit, base(2, 4, 1));
}

#[test]
fn caught_a_commit_before_the_last_block_is_final() {
    assert_caught(Broken::CommitsBeforeLastBlock, base(1, 2, 2));
}

#[test]
fn caught_a_commit_by_a_load_and_a_store() {
    assert_caught(Broken::CommitsByStore, World { deaths: 0, ..uneven(2, 3, 1) });
}

// Rules of who looks what is left.

#[test]
fn caught_a_look_that_is_not_taken_again() {
    let world = watched(World { in_place: false, deaths: 0, ..uneven(2, 3, 1) });
    assert_caught(Broken::LooksOnce, world);
}

#[test]
fn caught_transfers_that_are_not_counted() {
    let world = watched(World { in_place: false, deaths: 0, ..uneven(2, 3, 1) });
    assert_caught(Broken::TransfersNotCounted, world);
}

#[test]
fn caught_what_passes_and_is_not_counted() {
    let world = watched(World { in_place: false, deaths: 0, ..uneven(2, 3, 1) });
    assert_caught(Broken::ForgetsWhatPasses, world);
}

// Rules of the choice.

#[test]
fn caught_a_choice_that_is_known_before_the_ranges_are_there() {
    assert_caught(Broken::ChoiceBeforeRanges, World { deaths: 1, ..auto(2, 1, 2) });
}

#[test]
fn caught_orphans_forgotten_once_ranges_are_chosen() {
    assert_caught(Broken::ForgetsOrphansOnceChosen, World { deaths: 1, ..auto(2, 2, 2) });
}
