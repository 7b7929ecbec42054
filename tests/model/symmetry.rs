//! States that differ in nothing but the numbers of ranks and slots.
//!
//! With one shared queue and one pass no rank is special, and no slot: whatever one of two such
//! states leads to, the other leads to as well, with the numbers exchanged. So one of them is enough.

use std::cmp::Reverse;

use crate::protocol::{Broken, Model, Queues};
use crate::words::{At, Launcher, Lease, RANKS, State};

/// Returns the state with its ranks and slots in an order that does not depend on their numbers.
///
/// Where the order leaves a choice, two states that are alike may stay apart: that costs time, no
/// more. What is returned is always the same state with other numbers.
pub(crate) fn canonical(model: &Model, state: &State) -> State {
    let alike = model.queues == Queues::Shared
        && model.passes == 1
        && model.broken == Broken::Nothing
        && state.launcher == Launcher::Watching;
    assert!(alike, "numbers matter here");
    let mut next = *state;

    let held = |rank: usize| {
        state.slots.iter().find_map(|slot| match slot.lease {
            Lease::Run { ticket, rank: by } if usize::from(by) == rank => Some(ticket),
            _ => None,
        })
    };
    let mut ranks: [usize; RANKS] = std::array::from_fn(|rank| rank);
    ranks[..model.ranks].sort_by_cached_key(|&rank| {
        (state.at[rank].in_slot(0), state.arrived >> rank & 1, held(rank))
    });
    let rank_now = inverse(ranks);
    for (slot, before) in next.slots.iter_mut().zip(&state.slots) {
        if let Lease::Run { ticket, rank } = before.lease {
            slot.lease = Lease::Run { ticket, rank: rank_now[usize::from(rank)] };
        }
    }

    let tail_at = state.tails[0].map(|(_, slot)| usize::from(slot));
    let claimed = state.at.iter().find_map(|at| match at {
        At::Claiming(work, _) => Some(usize::from(work.slot)),
        _ => None,
    });
    let mut slots: [usize; RANKS] = std::array::from_fn(|slot| slot);
    slots[..model.ranks].sort_by_key(|&slot| {
        Reverse((next.slots[slot], tail_at == Some(slot), claimed == Some(slot)))
    });
    let slot_now = inverse(slots);
    let moved = next.slots;
    next.slots = slots.map(|slot| moved[slot]);
    next.tails[0] = state.tails[0].map(|(ticket, slot)| (ticket, slot_now[usize::from(slot)]));

    next.arrived = 0;
    for (to, &from) in ranks.iter().enumerate() {
        let at = state.at[from];
        next.at[to] = at.work().map_or(at, |work| at.in_slot(slot_now[usize::from(work.slot)]));
        next.arrived |= (state.arrived >> from & 1) << to;
    }
    next
}

fn inverse(order: [usize; RANKS]) -> [u8; RANKS] {
    let mut at = [0; RANKS];
    for (to, from) in (0_u8..).zip(order) {
        at[from] = to;
    }
    at
}
