//! Somebody who asks at any moment what is left, one load a step: `Claims::remaining`, `Ranges::snapshot`.

use super::words::{Choice, Lease, Look, Range, Reader, State, Step, Who};
use super::{Broken, World};
use crate::words::small;

impl World {
    pub(super) fn reader_steps(&self, state: &State, found: &mut Vec<Step>) {
        let mut step = |what, reader: Reader| {
            found.push(Step { who: Who::Reader, what, state: State { reader, ..*state } });
        };
        let reader = state.reader;
        match reader.at {
            Look::Nobody | Look::Said => {}
            Look::Tail => {
                let at = match state.tail {
                    None => Look::Slot { slot: 0, next: 0 },
                    Some((ticket, slot)) => Look::TailSlot { ticket, slot },
                };
                step("reads the tail", Reader { at, ..reader });
            }
            Look::TailSlot { ticket, slot } => {
                let done = state.slots[usize::from(slot)] == Lease::Done { ticket };
                let named = if done { 0 } else { bit(ticket.into()) };
                let at = Look::Slot { slot: 0, next: ticket + 1 };
                step("reads the tail's slot", Reader { at, named, ..reader });
            }
            Look::Slot { slot, next } => {
                let lease = state.slots[usize::from(slot)];
                let running = lease.ticket().filter(|_| lease.taken());
                let named = reader.named | running.map_or(0, |ticket| bit(ticket.into()));
                let at = if usize::from(slot) + 1 < self.ranks {
                    Look::Slot { slot: slot + 1, next }
                } else {
                    Look::Choice { next }
                };
                step("reads a slot", Reader { at, named, ..reader });
            }
            Look::Choice { next } => {
                let (end, at, blocks) = match state.choice {
                    Some(Choice::Ranges(blocks)) => (usize::from(self.tickets), Look::Who, blocks),
                    _ => (self.elements(), Look::Said, 0),
                };
                let rest = (usize::from(next)..end).fold(0, |named, element| named | bit(element));
                let named = reader.named | rest;
                let reader = Reader { named, base: named, ..Reader::nothing_seen(at) };
                step("reads the choice", Reader { blocks, ..reader });
            }
            Look::Who => {
                let reader = Reader { at: Look::What, before: state.who, ..reader };
                step("reads who", reader);
            }
            Look::What => {
                // Without a transfer it says nothing.
                let what = if reader.before.is_some() { state.what } else { (0, 0) };
                step("reads what", Reader { at: Look::Range(0), what, ..reader });
            }
            Look::Range(rank) => {
                let range = state.ranges[usize::from(rank)];
                let at = if usize::from(rank) + 1 < self.ranks {
                    Look::Range(rank + 1)
                } else {
                    Look::WhoAgain
                };
                let thief = reader.before.is_some_and(|(thief, _)| thief == rank);
                let named = reader.named | self.named(range, reader.blocks);
                let arrived = reader.arrived || thief && range.1 == reader.what.1;
                step("reads a range", Reader { at, named, arrived, ..reader });
            }
            Look::WhoAgain => {
                let same = match self.broken {
                    Broken::LooksOnce => true,
                    Broken::TransfersNotCounted => state.who == reader.before,
                    _ => !reader.changed,
                };
                let counts = reader.before.is_some() && !reader.arrived;
                let transit = if counts && self.broken != Broken::ForgetsWhatPasses {
                    self.named(reader.what, reader.blocks)
                } else {
                    0
                };
                let (base, blocks) = (reader.base, reader.blocks);
                let (at, named) =
                    if same { (Look::Said, reader.named | transit) } else { (Look::Who, base) };
                let reader = Reader { named, base, blocks, ..Reader::nothing_seen(at) };
                step("reads who again", reader);
            }
        }
    }

    /// The elements of a range of chunks.
    fn named(&self, range: Range, blocks: u8) -> u8 {
        let from = usize::from(self.tickets);
        let at = |chunk: u8| from + usize::from(chunk * blocks);
        (at(range.0)..at(range.1).min(self.elements()))
            .fold(0, |named, element| named | bit(element))
    }

    /// Whether the reader says that something is finished, which is not.
    pub(super) fn misled(&self, state: &State) -> bool {
        let done = |element: usize| state.elements[element] == super::once(element);
        state.reader.at == Look::Said
            && (0..self.elements())
                .any(|element| state.reader.named & bit(element) == 0 && !done(element))
    }
}

fn bit(element: usize) -> u8 {
    1 << small(element)
}
