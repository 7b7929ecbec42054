//! The protocol: what is to be done, which rules may be broken, and what must hold.

use crate::search::{Searched, Stuck};
use crate::symmetry::canonical;
use crate::words::{
    At, ELEMENTS, IN_BLOCK, Launcher, Lease, OF_ONE_PASS, PROCESSES, RANKS, Slot, State, Step,
    Undo, Value, Work, bit, is_pass, pass_of, small,
};

/// How chunks are queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queues {
    /// `dynamic`, `guided`: one queue, any slot.
    Shared,
    /// `static`: one queue per rank, and the slot of that rank.
    Own,
}

/// Who asks whether a dead rank had arrived at the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The launcher: it starts the rank again when it is needed, and opens in its place.
    Launcher,
    /// The replacement, which is started at once: it takes its own place in the barrier, and ends
    /// the opening it had begun.
    Replacement,
}

/// Which rule of the protocol is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Nothing,
    /// `lease[s]` is stored before `tail`: two stores decide.
    LeaseBeforeTail,
    /// A claimer does not look whether the one before it died half-way.
    NoRepair,
    /// It looks, but takes an idle lease for one of ticket 0.
    RepairForgetsIdle,
    /// A slot that became an orphan after the look for orphans is taken for a new chunk.
    TakesOrphanSlot,
    /// A rank's own queue uses any slot, which then does not say whose queue the ticket is of.
    OwnQueueAnySlot,
    /// A claimer leaves `undo` as the last chunk left it.
    NoReset,
    /// It resets it, but after the store that decides.
    ResetAfterTail,
    /// The state of an orphan is made RUN by one store, and the executor its adopter by another.
    AdoptsInTwoStores,
    /// An adopter begins at the armed block as it finds it.
    NoRestore,
    /// An adopter restores the armed block and saves it again while it is armed.
    RestoreWithoutDisarm,
    /// A chunk is run again in place with nothing saved.
    NaiveRerun,
    /// Disarming says "nothing is saved" instead of "blocks up to here are final".
    DisarmForgetsProgress,
    /// The next block is saved while the word still says that the one before is.
    RearmWithoutDisarm,
    /// The executor clears `undo` after DONE, when the slot may be somebody else's.
    ClearAfterDone,
    /// A rank arrives at the barrier with its last chunk computed and not committed.
    ArrivesBeforeCommit,
    /// The slots of a rank that may be alive are given up.
    LivingGivenUp,
    /// A rank is started again while its old process may be alive, which is killed later.
    LivingReplaced,
    /// A rank is started again before the slots of its old process are given up.
    ReplacedBeforeGivenUp,
    /// An orphan, whose executor is a field of zeros, is given up as if it were RUN by rank 0.
    OrphanOfRankZero,
    /// A dead rank is not started again; the barrier counts it as arrived.
    NotReplaced,
    /// The barrier opens without a rank that is dead and not started again yet.
    ExcusesDead,
    /// A rank that died after its arrival is started again, and claims.
    ReplacedAfterArrival,
    /// The same, and the epoch may move before it arrives: it counts for the next one.
    ArrivesLate,
    /// The replacement reads the epoch after it looked whether it had arrived.
    ReadsEpochLast,
    /// Who comes last moves the epoch by another store than that of its arrival.
    OpensBySecondStore,
    /// Between two passes rank 0 resets the claim words, and nobody waits for that.
    ResetWithoutBarrier,
    /// Who dies between two passes does not do its part of the preparation again.
    PreparedOnce,
    /// Who dies in a pass initialises its slice again.
    InitialisesInPass,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    pub(crate) ranks: usize,
    /// In each queue.
    pub(crate) chunks: usize,
    pub(crate) blocks: usize,
    /// In a block.
    pub(crate) elements: usize,
    pub(crate) in_place: bool,
    pub(crate) torn: bool,
    pub(crate) deaths: u8,
    /// One, or two with the preparation of the second in between.
    pub(crate) passes: u8,
    pub(crate) queues: Queues,
    pub(crate) asks: Asks,
    /// States that differ only in the numbers of ranks and slots are searched once.
    pub(crate) symmetric: bool,
    pub(crate) broken: Broken,
}

impl Model {
    pub(crate) fn queue_count(&self) -> usize {
        if self.queues == Queues::Shared { 1 } else { self.ranks }
    }

    pub(crate) fn used_elements(&self) -> usize {
        self.queue_count() * self.chunks * self.blocks * self.elements
    }

    pub(crate) fn element(&self, work: Work) -> usize {
        let chunk = usize::from(work.queue) * self.chunks + usize::from(work.ticket);
        (chunk * self.blocks + usize::from(work.block)) * self.elements + usize::from(work.element)
    }

    /// Whose a value is: that of an element, in a pass.
    pub(crate) fn tag(element: usize, pass: u8) -> u8 {
        small(element + usize::from(pass) * OF_ONE_PASS)
    }

    /// The epoch of the last pass.
    pub(crate) fn last_epoch(&self) -> u8 {
        if self.broken == Broken::ResetWithoutBarrier { 1 } else { (self.passes - 1) * 2 }
    }

    /// The first ticket of a queue that the tail does not say is claimed, if there is one.
    pub(crate) fn next(&self, state: &State, queue: usize) -> Option<u8> {
        let next = state.tails[queue].map_or(0, |(last, _)| last + 1);
        (usize::from(next) < self.chunks).then_some(next)
    }

    /// Whether the last claimer of this queue died between its two stores.
    pub(crate) fn half_way(&self, state: &State, queue: usize) -> Option<(u8, u8)> {
        state.tails[queue].filter(|&(ticket, slot)| {
            let lease = state.slots[usize::from(slot)].lease;
            let idle = lease == Lease::Idle && self.broken != Broken::RepairForgetsIdle;
            idle || lease.ticket() != ticket
        })
    }

    pub(crate) fn everybody(&self) -> u8 {
        bit(self.ranks) - 1
    }

    /// Whether the barrier opens now.
    pub(crate) fn complete(&self, state: &State) -> bool {
        let excused = (0..self.ranks)
            .filter(|&rank| self.broken == Broken::ExcusesDead && !state.at[rank].alive());
        excused.fold(state.arrived, |arrived, rank| arrived | bit(rank)) == self.everybody()
    }

    /// Whether the words are being prepared for the next pass.
    pub(crate) fn between(&self, state: &State) -> bool {
        !is_pass(state.epoch) && state.epoch != self.last_epoch()
    }

    /// Whether some process claims, runs or commits, or some slot is taken.
    pub(crate) fn busy(&self, state: &State) -> bool {
        state.at.iter().any(|at| at.holds() || at.work().is_some())
            || state.slots.iter().any(|slot| slot.lease.taken())
    }
}

impl Searched for Model {
    type State = State;
    type Step = Step;

    fn initial(&self) -> State {
        assert!(self.ranks <= RANKS && self.elements <= IN_BLOCK);
        assert!(self.used_elements() <= if self.passes == 1 { ELEMENTS } else { OF_ONE_PASS });
        let mut at = [At::Gone; PROCESSES];
        at[..self.ranks].fill(At::Outside);
        let empty = Slot { lease: Lease::Idle, undo: Undo::None, saved: [Value::Wrong; IN_BLOCK] };
        State {
            elements: std::array::from_fn(|element| Value::Raw(Self::tag(element, 0))),
            slots: [empty; RANKS],
            tails: [None; RANKS],
            arrived: 0,
            epoch: 0,
            at,
            phase: [0; PROCESSES],
            old: 0,
            launcher: Launcher::Watching,
            deaths: 0,
        }
    }

    /// Everything that may happen next.
    fn steps(&self, state: &State, found: &mut Vec<Step>) -> Result<(), Stuck> {
        for process in 0..PROCESSES {
            if state.at[process].alive() {
                self.process_steps(state, process, found)?;
                self.death(state, process, found);
            }
        }
        self.launcher_steps(state, found);
        Ok(())
    }

    fn after(&self, step: &Step) -> State {
        if self.symmetric { canonical(self, &step.state) } else { step.state }
    }

    /// What `Claims::audit` says of these words.
    fn audit(&self, state: &State) -> bool {
        state.slots.iter().all(|slot| !slot.lease.taken())
            && (0..self.queue_count()).all(|queue| {
                state.tails[queue].is_some_and(|(ticket, slot)| {
                    state.slots[usize::from(slot)].lease == Lease::Done { ticket }
                }) && self.next(state, queue).is_none()
            })
    }

    /// Whether every element holds its effect of the present pass exactly once. Between passes
    /// there is nothing to say.
    fn right(&self, state: &State) -> bool {
        if !is_pass(state.epoch) && !self.over(state) {
            return true;
        }
        let pass = pass_of(state.epoch);
        let used = &state.elements[..self.used_elements()];
        used.iter()
            .enumerate()
            .all(|(element, &value)| value == Value::Once(Self::tag(element, pass)))
    }

    /// Whether the last pass is over: what the results are taken on.
    fn over(&self, state: &State) -> bool {
        state.epoch == self.last_epoch() && self.complete(state)
    }

    /// Whether a pass is over. That of an earlier one is looked at when its barrier opens.
    fn pass_over(&self, state: &State) -> bool {
        self.over(state) || is_pass(state.epoch) && self.complete(state)
    }

    /// Between two passes nobody is in a chunk or a claim.
    fn forbidden(&self, state: &State) -> bool {
        (self.pass_over(state) || self.between(state)) && self.busy(state)
    }
}
