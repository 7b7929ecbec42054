//! What a rank may do next.

use crate::protocol::{Asks, Broken, Model, Queues};
use crate::search::{Searched, Stuck};
use crate::words::{
    At, Lease, OLD, State, Step, Undo, Value, Who, Work, bit, is_pass, pass_of, small,
};

/// The steps that a process may take from a state.
struct RankSteps<'a> {
    state: &'a State,
    process: usize,
    found: &'a mut Vec<Step>,
}

impl RankSteps<'_> {
    fn step(&mut self, what: &'static str, to: At, change: impl FnOnce(&mut State)) {
        let mut next = *self.state;
        next.at[self.process] = to;
        change(&mut next);
        self.found.push(Step { who: Who::Process(self.process), what, state: next });
    }
}

/// One store of a claim.
#[derive(Clone, Copy)]
enum Store {
    Undo,
    Tail,
    Lease,
}

impl Model {
    /// Where a rank is that was just started again. With one pass there is one phase only.
    pub(crate) fn started(&self) -> At {
        if self.passes == 1 && self.asks == Asks::Launcher { At::Outside } else { At::Start }
    }

    pub(crate) fn process_steps(
        &self,
        state: &State,
        process: usize,
        found: &mut Vec<Step>,
    ) -> Result<(), Stuck> {
        let rank = if process == OLD { usize::from(state.old) } else { process };
        let me = small(rank);
        let phase = state.phase[process];
        let mut steps = RankSteps { state, process, found };
        let broken = self.broken;
        match state.at[process] {
            At::Start => {
                let arrived = state.arrived & bit(rank) != 0;
                let to = match self.asks {
                    Asks::Replacement if broken == Broken::ReadsEpochLast => At::Asked(arrived),
                    Asks::Replacement if arrived => At::Waiting(state.epoch),
                    _ => self.enter_again(state.epoch, rank),
                };
                steps.step("reads the barrier's word", to, |s| s.phase[process] = s.epoch);
            }
            At::Asked(arrived) => {
                let again = || self.enter_again(state.epoch, rank);
                let to = if arrived { At::Waiting(state.epoch) } else { again() };
                steps.step("reads the epoch", to, |s| s.phase[process] = s.epoch);
            }
            At::Outside => {
                if !state.at.iter().any(|at| at.holds()) {
                    steps.step("locks", At::Locked, |_| {});
                }
            }
            At::Locked => self.locked_steps(state, rank, &mut steps),
            At::Choosing => {
                let queue = self.queue_of(rank);
                let ticket = self.next(state, queue).unwrap();
                let mut any = false;
                for slot in self.slots_of(rank, broken == Broken::OwnQueueAnySlot) {
                    let lease = state.slots[slot].lease;
                    let orphan = matches!(lease, Lease::Orphan { .. });
                    if lease.taken() && !(orphan && broken == Broken::TakesOrphanSlot) {
                        continue;
                    }
                    any = true;
                    let work = self.work(queue, ticket, slot);
                    self.claim_step(work, 0, me, &mut steps);
                }
                if !any {
                    return Err(Stuck);
                }
            }
            At::Claiming(work, done) => self.claim_step(work, done, me, &mut steps),
            At::Adopting(work) => steps.step("makes itself the executor", At::Unlock(work), |s| {
                s.slots[usize::from(work.slot)].lease =
                    Lease::Run { ticket: work.ticket, rank: me };
            }),
            At::Unlock(work) => steps.step("unlocks", self.begin(state, work), |_| {}),
            At::Arriving => {
                if state.arrived & bit(rank) != 0 {
                    return Err(Stuck); // Its weight would be added twice.
                }
                let complete = state.arrived | bit(rank) == self.everybody();
                if !complete || state.epoch == self.last_epoch() {
                    let to = At::Waiting(state.epoch);
                    steps.step("arrives", to, |s| s.arrived |= bit(rank));
                } else if broken == Broken::OpensBySecondStore {
                    steps.step("arrives last", At::Moving, |s| s.arrived |= bit(rank));
                } else if is_pass(state.epoch) && !self.audit(state) {
                    return Err(Stuck); // A pass would be over that is not.
                } else {
                    steps.step("arrives last, and opens", self.enter(phase + 1, rank), |s| {
                        s.arrived = 0;
                        s.epoch += 1;
                        s.phase[process] = phase + 1;
                    });
                }
            }
            At::Waiting(seen) => {
                if state.epoch != seen {
                    steps.step("leaves the barrier", self.enter(phase + 1, rank), |s| {
                        s.phase[process] = phase + 1;
                    });
                }
            }
            At::Moving => steps.step("opens", self.enter(phase + 1, rank), |s| {
                s.arrived = 0;
                s.epoch += 1;
                s.phase[process] = phase + 1;
            }),
            At::Reset(done) => {
                let mut to = At::Reset(done + 1);
                if usize::from(done) + 1 == self.queue_count() + 2 * self.ranks {
                    to = self.initialise(rank, phase);
                }
                steps.step("resets a claim word", to, |s| self.reset(s, usize::from(done)));
            }
            At::Init(element) if self.torn => {
                steps.step("half initialises", At::InitTorn(element), |s| {
                    s.elements[usize::from(element)] = Value::Torn;
                });
            }
            At::Init(element) | At::InitTorn(element) => {
                let to = if usize::from(element) + 1 < self.slice(rank).end {
                    At::Init(element + 1)
                } else {
                    self.prepared(phase)
                };
                let value = Value::Raw(Self::tag(usize::from(element), pass_of(phase)));
                steps.step("initialises", to, |s| s.elements[usize::from(element)] = value);
            }
            at => {
                if let Some(work) = at.work() {
                    self.run_steps(state, process, at, work, &mut steps);
                }
            }
        }
        Ok(())
    }

    /// A claimer with the lock.
    fn locked_steps(&self, state: &State, rank: usize, steps: &mut RankSteps<'_>) {
        let queue = self.queue_of(rank);
        if let Some((ticket, slot)) = self.half_way(state, queue)
            && self.broken != Broken::NoRepair
        {
            steps.step("repairs a half-way claim", At::Locked, |s| {
                s.slots[usize::from(slot)].lease = Lease::Orphan { ticket };
            });
            return;
        }
        let mut orphans = false;
        for number in self.slots_of(rank, false) {
            let Lease::Orphan { ticket } = state.slots[number].lease else { continue };
            orphans = true;
            let work = self.work(queue, ticket, number);
            if self.broken == Broken::AdoptsInTwoStores {
                // The executor of an orphan is a field of zeros.
                steps.step("makes an orphan RUN", At::Adopting(work), |s| {
                    s.slots[number].lease = Lease::Run { ticket, rank: 0 };
                });
            } else {
                steps.step("adopts", At::Unlock(work), |s| {
                    s.slots[number].lease = Lease::Run { ticket, rank: small(rank) };
                });
            }
        }
        if orphans {
            return;
        }
        if self.next(state, queue).is_some() {
            steps.step("sees no orphan", At::Choosing, |_| {});
        } else {
            steps.step("finds the queue drained, unlocks", At::Arriving, |_| {});
        }
    }

    /// One store of a claim, and where the claimer is after it.
    fn claim_step(&self, work: Work, done: u8, me: u8, steps: &mut RankSteps<'_>) {
        let stores: &[Store] = match self.broken {
            Broken::LeaseBeforeTail => &[Store::Undo, Store::Lease, Store::Tail],
            Broken::NoReset => &[Store::Tail, Store::Lease],
            Broken::ResetAfterTail => &[Store::Tail, Store::Undo, Store::Lease],
            _ => &[Store::Undo, Store::Tail, Store::Lease],
        };
        let to = if usize::from(done) + 1 < stores.len() {
            At::Claiming(work, done + 1)
        } else {
            At::Unlock(work)
        };
        let slot = usize::from(work.slot);
        match stores[usize::from(done)] {
            Store::Undo => steps.step("resets undo", to, |s| s.slots[slot].undo = Undo::None),
            Store::Tail => steps.step("stores tail", to, |s| {
                s.tails[usize::from(work.queue)] = Some((work.ticket, work.slot));
            }),
            Store::Lease => steps.step("stores lease", to, |s| {
                s.slots[slot].lease = Lease::Run { ticket: work.ticket, rank: me };
            }),
        }
    }

    /// A rank that runs a chunk.
    fn run_steps(
        &self,
        state: &State,
        process: usize,
        at: At,
        work: Work,
        steps: &mut RankSteps<'_>,
    ) {
        let slot = usize::from(work.slot);
        let element = self.element(work);
        let old = state.elements[element];
        let copy = state.slots[slot].saved[usize::from(work.element)];
        let save = |s: &mut State, value| s.slots[slot].saved[usize::from(work.element)] = value;
        // Out of place the result comes from an input that nobody writes.
        let apart = Value::Once(Self::tag(element, pass_of(state.phase[process])));
        let result = |old: Value| if self.in_place { old.effect() } else { apart };
        match at {
            At::Restore(_) if self.torn => {
                steps.step("half restores", At::RestoreTorn(work), |s| {
                    s.elements[element] = Value::Torn;
                });
            }
            At::Restore(_) | At::RestoreTorn(_) => {
                let to = self.next_element(work).map_or_else(
                    || {
                        if self.broken == Broken::RestoreWithoutDisarm {
                            self.block(work)
                        } else {
                            At::Restored(Work { element: 0, ..work })
                        }
                    },
                    At::Restore,
                );
                steps.step("restores", to, |s| s.elements[element] = copy);
            }
            At::Restored(_) => steps.step("disarms what it restored", self.block(work), |s| {
                s.slots[slot].undo = Undo::Next(work.block);
            }),
            At::Save(_) if self.torn => {
                steps.step("half saves", At::SaveTorn(work), |s| save(s, Value::Torn));
            }
            At::Save(_) | At::SaveTorn(_) => {
                let to =
                    self.next_element(work).map_or(At::Arm(Work { element: 0, ..work }), At::Save);
                steps.step("saves", to, |s| save(s, old));
            }
            At::Arm(_) => steps.step("arms", At::Compute(work), |s| {
                s.slots[slot].undo = Undo::Armed(work.block);
            }),
            At::Compute(_) if self.torn => {
                steps.step("half computes", At::ComputeTorn(work, old), |s| {
                    s.elements[element] = Value::Torn;
                });
            }
            At::Compute(_) => {
                steps.step("computes", self.computed(work), |s| s.elements[element] = result(old));
            }
            At::ComputeTorn(_, old) => {
                steps.step("computes", self.computed(work), |s| s.elements[element] = result(old));
            }
            At::Disarm(_) => {
                let next = Work { block: work.block + 1, ..work };
                steps.step("disarms", self.block(next), |s| {
                    s.slots[slot].undo = if self.broken == Broken::DisarmForgetsProgress {
                        Undo::None
                    } else {
                        Undo::Next(next.block)
                    };
                });
            }
            At::Commit(_) if self.broken == Broken::ArrivesBeforeCommit => {
                let rank = if process == OLD { usize::from(state.old) } else { process };
                if self.next(state, self.queue_of(rank)).is_none() {
                    steps.step("arrives", At::CommitLate(work), |s| s.arrived |= bit(rank));
                } else {
                    self.commit_step(work, At::Outside, steps);
                }
            }
            At::Commit(_) if self.broken == Broken::ClearAfterDone => {
                self.commit_step(work, At::Clear(work), steps);
            }
            At::Commit(_) => self.commit_step(work, At::Outside, steps),
            At::CommitLate(_) => self.commit_step(work, At::Waiting(state.epoch), steps),
            At::Clear(_) => {
                steps.step("clears undo", At::Outside, |s| s.slots[slot].undo = Undo::None)
            }
            _ => unreachable!("{at:?} is not of a run"),
        }
    }

    fn commit_step(&self, work: Work, to: At, steps: &mut RankSteps<'_>) {
        steps.step("commits", to, |s| {
            s.slots[usize::from(work.slot)].lease = Lease::Done { ticket: work.ticket };
        });
    }

    fn work(&self, queue: usize, ticket: u8, slot: usize) -> Work {
        Work { queue: small(queue), ticket, slot: small(slot), block: 0, element: 0 }
    }

    /// The queue a rank claims from.
    fn queue_of(&self, rank: usize) -> usize {
        if self.queues == Queues::Shared { 0 } else { rank }
    }

    /// The slots a rank may use.
    fn slots_of(&self, rank: usize, any: bool) -> std::ops::Range<usize> {
        if any || self.queues == Queues::Shared { 0..self.ranks } else { rank..rank + 1 }
    }

    /// Where a rank begins with a chunk it has claimed or adopted.
    fn begin(&self, state: &State, work: Work) -> At {
        // Nobody else touches the word by now: it may as well be read here.
        match state.slots[usize::from(work.slot)].undo {
            Undo::Armed(block) if self.in_place && self.broken == Broken::NoRestore => {
                self.block(Work { block, ..work })
            }
            Undo::Armed(block) if self.in_place => At::Restore(Work { block, ..work }),
            Undo::Next(block) if self.in_place => self.block(Work { block, ..work }),
            _ => self.block(work),
        }
    }

    /// Where a rank is that comes to a block.
    fn block(&self, work: Work) -> At {
        let work = Work { element: 0, ..work };
        if usize::from(work.block) >= self.blocks {
            // It names no block any more: not the one after the last, which is another chunk's.
            At::Commit(Work { block: 0, ..work })
        } else if self.in_place && self.broken != Broken::NaiveRerun {
            At::Save(work)
        } else {
            At::Compute(work)
        }
    }

    fn next_element(&self, work: Work) -> Option<Work> {
        let element = work.element + 1;
        (usize::from(element) < self.elements).then_some(Work { element, ..work })
    }

    fn computed(&self, work: Work) -> At {
        if let Some(next) = self.next_element(work) {
            At::Compute(next)
        } else if self.in_place
            && !matches!(self.broken, Broken::NaiveRerun | Broken::RearmWithoutDisarm)
        {
            At::Disarm(Work { element: 0, ..work })
        } else {
            self.block(Work { block: work.block + 1, ..work })
        }
    }

    /// Where a rank begins that comes to a phase.
    fn enter(&self, phase: u8, rank: usize) -> At {
        if is_pass(phase) {
            At::Outside
        } else if rank == 0 {
            At::Reset(0)
        } else {
            self.initialise(rank, phase)
        }
    }

    /// Where a rank begins that was started again, and had not arrived.
    fn enter_again(&self, phase: u8, rank: usize) -> At {
        match self.broken {
            Broken::PreparedOnce if !is_pass(phase) => At::Arriving,
            Broken::InitialisesInPass if is_pass(phase) => At::Init(small(self.slice(rank).start)),
            _ => self.enter(phase, rank),
        }
    }

    /// The elements a rank initialises.
    fn slice(&self, rank: usize) -> std::ops::Range<usize> {
        let used = self.used_elements();
        used * rank / self.ranks..used * (rank + 1) / self.ranks
    }

    fn initialise(&self, rank: usize, phase: u8) -> At {
        let slice = self.slice(rank);
        if self.in_place && !slice.is_empty() {
            At::Init(small(slice.start))
        } else {
            self.prepared(phase)
        }
    }

    /// Where a rank is that has done its part between two passes.
    fn prepared(&self, phase: u8) -> At {
        let claims = self.broken == Broken::ResetWithoutBarrier || is_pass(phase);
        if claims { At::Outside } else { At::Arriving }
    }

    /// One store of rank 0 between two passes.
    fn reset(&self, state: &mut State, number: usize) {
        match number.checked_sub(self.queue_count()) {
            None => state.tails[number] = None,
            Some(word) if word % 2 == 0 => state.slots[word / 2].lease = Lease::Idle,
            Some(word) => state.slots[word / 2].undo = Undo::None,
        }
    }
}
