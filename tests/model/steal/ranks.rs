//! What a rank may do next, and its death.

use super::words::{
    At, Choice, Hold, Lease, Range, State, Step, Theft, Who, Work, is_empty, waits,
};
use super::{Broken, World};
use crate::search::Stuck;
use crate::words::{Undo, Value, small};

/// The steps that a rank may take from a state.
struct Steps<'a> {
    state: &'a State,
    rank: usize,
    found: &'a mut Vec<Step>,
}

impl Steps<'_> {
    fn step(&mut self, what: &'static str, to: At, change: impl FnOnce(&mut State)) {
        let mut next = *self.state;
        next.at[self.rank] = to;
        change(&mut next);
        self.found.push(Step { who: Who::Rank(self.rank), what, state: next });
    }
}

impl World {
    pub(super) fn death(&self, state: &State, rank: usize, found: &mut Vec<Step>) {
        if state.deaths < self.deaths {
            let mut next = *state;
            next.at[rank] = At::Dead;
            next.deaths += 1;
            found.push(Step { who: Who::Rank(rank), what: "dies", state: next });
        }
    }

    /// What the launcher does once a death is confirmed.
    pub(super) fn recovery(&self, state: &State, rank: usize, found: &mut Vec<Step>) {
        let mut next = *state;
        let who = Who::LauncherOf(rank);
        if let Some(slot) = next.slots.iter_mut().find(|lease| lease.run_by(rank)) {
            let ticket = slot.ticket().unwrap();
            *slot = Lease::Orphan { ticket };
            found.push(Step { who, what: "gives a slot up", state: next });
        } else {
            next.at[rank] = At::Outside;
            found.push(Step { who, what: "starts it again", state: next });
        }
    }

    pub(super) fn rank_steps(
        &self,
        state: &State,
        rank: usize,
        found: &mut Vec<Step>,
    ) -> Result<(), Stuck> {
        let mut steps = Steps { state, rank, found };
        let own = state.ranges[rank];
        match state.at[rank] {
            At::Outside => match self.chunk_in_hand(state, rank) {
                Some(work) => {
                    steps.step("has a chunk in hand", self.begin(state, rank, work), |_| {})
                }
                None => steps.step("has an empty range", At::Wanting, |_| {}),
            },
            At::Wanting => {
                if self.broken == Broken::StealsWithoutLock || !state.at.iter().any(|at| at.holds())
                {
                    steps.step("locks", At::Locked, |_| {});
                }
            }
            At::Locked => return self.locked_steps(state, rank, &mut steps),
            At::Leasing { ticket, slot } => {
                let work = Work { hold: Hold::Slot(slot), number: ticket, block: 0 };
                steps.step("stores lease", At::Unlock(work), |s| {
                    s.slots[usize::from(slot)] = Lease::Run { ticket, rank: small(rank) };
                });
            }
            At::LayingOut(choice, done) => {
                let to = if usize::from(done) + 1 < self.ranks {
                    At::LayingOut(choice, done + 1)
                } else if self.broken == Broken::ChoiceBeforeRanges {
                    At::Ending
                } else {
                    At::Choosing(choice)
                };
                steps.step("lays a range out", to, |s| {
                    s.ranges[usize::from(done)] = self.first(usize::from(done), choice);
                    s.undo[usize::from(done)] = (0, Undo::None);
                });
            }
            At::Choosing(choice) => {
                let to = match choice {
                    Choice::Counter => At::Locked,
                    Choice::Ranges(_) if self.broken == Broken::ChoiceBeforeRanges => {
                        At::LayingOut(choice, 0)
                    }
                    Choice::Ranges(_) => At::Seeking,
                };
                steps.step("stores the choice", to, |s| s.choice = Some(choice));
            }
            At::Ending => self.ending_steps(state, &mut steps),
            At::EndingOwn => steps.step("stores the range of a dead thief", At::EndingClear, |s| {
                // Without the lock another may have ended it meanwhile.
                if let Some((thief, _)) = s.who {
                    s.ranges[usize::from(thief)] = s.what;
                }
            }),
            At::EndingClear => {
                steps.step("ends what a dead thief began", At::Seeking, |s| s.set_who(None));
            }
            At::Seeking if !is_empty(own) => {
                let work = Work { hold: Hold::Range, number: own.0, block: 0 };
                steps.step("has a chunk in hand now", At::Unlock(work), |_| {});
            }
            At::Seeking => self.seeking_steps(state, rank, &mut steps),
            At::Reading { victim } => {
                self.saw(victim, state.ranges[usize::from(victim)], &mut steps)
            }
            At::Cancelling => {
                steps.step("finds nothing waiting there", At::Seeking, |s| s.set_who(None));
            }
            At::What(_) | At::Who(_) | At::Exchange(_) | At::Own(_) | At::Clear => {
                self.theft_steps(state, rank, &mut steps);
            }
            At::Unlock(work) => steps.step("unlocks", self.begin(state, rank, work), |_| {}),
            at => {
                if let Some(work) = at.work() {
                    self.run_steps(state, rank, at, work, &mut steps);
                } else if at == At::ResetUndo {
                    steps.step("resets undo", At::Outside, |s| s.undo[rank] = (0, Undo::None));
                }
            }
        }
        Ok(())
    }

    /// A claimer with the lock.
    fn locked_steps(&self, state: &State, rank: usize, steps: &mut Steps<'_>) -> Result<(), Stuck> {
        if self.tickets == 0 {
            steps.step("claims from ranges", At::Ending, |_| {});
            return Ok(());
        }
        if let Some((ticket, slot)) = self.half_way(state) {
            steps.step("repairs a half-way claim", At::Locked, |s| {
                s.slots[usize::from(slot)] = Lease::Orphan { ticket };
            });
            return Ok(());
        }
        let ranges = matches!(state.choice, Some(Choice::Ranges(_)));
        let slots = || (0..self.ranks).map(|slot| (slot, state.slots[slot]));
        let adopts = !(ranges && self.broken == Broken::ForgetsOrphansOnceChosen);
        if let Some((slot, lease)) =
            slots().find(|(_, lease)| matches!(lease, Lease::Orphan { .. })).filter(|_| adopts)
        {
            let ticket = lease.ticket().unwrap();
            let work = Work { hold: Hold::Slot(small(slot)), number: ticket, block: 0 };
            steps.step("adopts", At::Unlock(work), |s| {
                s.slots[slot] = Lease::Run { ticket, rank: small(rank) };
            });
            return Ok(());
        }
        let next = state.tail.map_or(0, |(ticket, _)| ticket + 1);
        if ranges {
            steps.step("claims from ranges", At::Ending, |_| {});
        } else if next < self.tickets || state.choice.is_some() && next < small(self.elements()) {
            let Some((slot, _)) = slots().find(|(_, lease)| !lease.taken()) else {
                return Err(Stuck);
            };
            let slot = small(slot);
            steps.step("stores tail", At::Leasing { ticket: next, slot }, |s| {
                s.tail = Some((next, slot));
            });
        } else if state.choice.is_some() {
            steps.step("finds the queue drained, unlocks", At::Left, |_| {});
        } else {
            for choice in [Choice::Counter, Choice::Ranges(1), Choice::Ranges(2)] {
                let to = if choice == Choice::Counter || self.broken == Broken::ChoiceBeforeRanges {
                    At::Choosing(choice)
                } else {
                    At::LayingOut(choice, 0)
                };
                steps.step("decides", to, |_| {});
            }
        }
        Ok(())
    }

    /// Whether a thief died with the lock, and how far it had come.
    fn ending_steps(&self, state: &State, steps: &mut Steps<'_>) {
        let Some((thief, victim)) = state.who.filter(|_| self.broken != Broken::NobodyEnds) else {
            steps.step("sees that no thief died", At::Seeking, |_| {});
            return;
        };
        let (middle, hi) = state.what;
        let range = state.ranges[usize::from(thief)];
        let taken = state.ranges[usize::from(victim)].1 == middle
            || self.broken == Broken::EndsWhatWasNotTaken;
        let told = match self.broken {
            Broken::EndsAgain => false,
            Broken::ComparesWholeRanges => range == state.what,
            _ => range.1 == hi,
        };
        let to = if taken && !told { At::EndingOwn } else { At::EndingClear };
        steps.step("sees that a thief died", to, |_| {});
    }

    /// Looks for a victim: any with whom a chunk waits, so also the one with the most.
    fn seeking_steps(&self, state: &State, rank: usize, steps: &mut Steps<'_>) {
        let mut any = false;
        for victim in (0..self.ranks).filter(|&victim| victim != rank) {
            let range = state.ranges[victim];
            if waits(range) || self.broken == Broken::TakesWhatIsInHand && !is_empty(range) {
                any = true;
                steps.step("finds a victim", At::Reading { victim: small(victim) }, |_| {});
            }
        }
        if !any {
            steps.step("finds nothing waiting, unlocks", At::Left, |_| {});
        }
    }

    /// Where a thief is that has seen the victim's range.
    fn saw(&self, victim: u8, seen: Range, steps: &mut Steps<'_>) {
        let (lo, hi) = seen;
        let all = self.broken == Broken::TakesWhatIsInHand;
        let none = if all { is_empty(seen) } else { !waits(seen) };
        if none {
            steps.step("looks at the victim's range", At::Cancelling, |_| {});
            return;
        }
        let middle = if all { hi - (hi - lo).div_ceil(2) } else { hi - (hi - lo) / 2 };
        let theft = Theft { victim, seen, what: (middle, hi) };
        let to = match self.broken {
            Broken::ExchangesBeforeIntent => At::Exchange(theft),
            Broken::OwnBeforeExchange => At::Own(theft),
            Broken::IntentBeforeRange => At::Who(theft),
            Broken::KeepsFirstRange if steps.state.who.is_some() => At::Exchange(theft),
            _ => At::What(theft),
        };
        steps.step("looks at the victim's range", to, |_| {});
    }

    /// The stores of a theft, in their order, or in a wrong one.
    fn theft_steps(&self, state: &State, rank: usize, steps: &mut Steps<'_>) {
        let broken = self.broken;
        match state.at[rank] {
            At::What(theft) => {
                let to = match broken {
                    Broken::IntentBeforeRange => At::Exchange(theft),
                    _ => At::Who(theft),
                };
                steps.step("stores what it takes", to, |s| s.what = theft.what);
            }
            At::Who(theft) => {
                let to = match broken {
                    Broken::ExchangesBeforeIntent => At::Own(theft),
                    Broken::IntentBeforeRange => At::What(theft),
                    _ => At::Exchange(theft),
                };
                let who = Some((small(rank), theft.victim));
                steps.step("stores who takes from whom", to, |s| {
                    // The same word again, where the owner was faster.
                    if s.who != who {
                        s.set_who(who);
                    }
                });
            }
            At::Exchange(theft) => {
                let victim = usize::from(theft.victim);
                let now = state.ranges[victim];
                if now != theft.seen {
                    self.saw(theft.victim, now, steps);
                    return;
                }
                let to = match broken {
                    Broken::ExchangesBeforeIntent => At::What(theft),
                    Broken::OwnBeforeExchange | Broken::ClearsBeforeOwn => At::Clear,
                    _ => At::Own(theft),
                };
                // The range goes with it, for a thief that stores it last.
                let to = if broken == Broken::ClearsBeforeOwn { At::Own(theft) } else { to };
                steps.step("cuts the victim's range", to, |s| {
                    s.ranges[victim].1 = theft.what.0;
                    if broken == Broken::ClearsBeforeOwn {
                        s.set_who(None);
                    }
                });
            }
            At::Own(theft) => {
                let to = match broken {
                    Broken::OwnBeforeExchange => At::What(theft),
                    Broken::ClearsBeforeOwn => At::Seeking,
                    _ => At::Clear,
                };
                steps.step("stores its own range", to, |s| s.ranges[rank] = theft.what);
            }
            _ => steps.step("ends its theft", At::Seeking, |s| s.set_who(None)),
        }
    }

    /// A rank that runs a chunk.
    fn run_steps(&self, state: &State, rank: usize, at: At, work: Work, steps: &mut Steps<'_>) {
        let element = self.element(state, work);
        let old = state.elements[element];
        let tag = Value::Once(small(element));
        let result = |old: Value| if self.in_place { old.effect() } else { tag };
        let chunk = work.number;
        match at {
            At::Restore(_) if self.torn => {
                steps.step("half restores", At::RestoreTorn(work), |s| {
                    s.elements[element] = Value::Torn;
                });
            }
            At::Restore(_) | At::RestoreTorn(_) => {
                steps.step("restores", At::Restored(work), |s| s.elements[element] = s.saved[rank]);
            }
            At::Restored(_) => {
                steps.step("disarms what it restored", self.block(state, work), |s| {
                    s.undo[rank] = (chunk, Undo::Next(work.block));
                });
            }
            At::Save(_) if self.torn => {
                steps.step("half saves", At::SaveTorn(work), |s| s.saved[rank] = Value::Torn);
            }
            At::Save(_) | At::SaveTorn(_) => {
                steps.step("saves", At::Arm(work), |s| s.saved[rank] = old);
            }
            At::Arm(_) => steps.step("arms", At::Compute(work), |s| {
                s.undo[rank] = (chunk, Undo::Armed(work.block));
            }),
            At::Compute(_)
                if self.broken == Broken::CommitsBeforeLastBlock
                    && work.block + 1 == self.blocks_of(state, work) =>
            {
                steps.step("commits", At::ComputeLate(work), |s| s.ranges[rank].0 += 1);
            }
            At::ComputeLate(_) => {
                steps.step("computes", At::Outside, |s| s.elements[element] = result(old));
            }
            At::Compute(_) if self.torn => {
                steps.step("half computes", At::ComputeTorn(work, old), |s| {
                    s.elements[element] = Value::Torn;
                });
            }
            At::Compute(_) | At::ComputeTorn(..) => {
                let old = if let At::ComputeTorn(_, old) = at { old } else { old };
                let next = Work { block: work.block + 1, ..work };
                let to = if self.in_place { At::Disarm(work) } else { self.block(state, next) };
                steps.step("computes", to, |s| s.elements[element] = result(old));
            }
            At::Disarm(_) => {
                let next = Work { block: work.block + 1, ..work };
                steps.step("disarms", self.block(state, next), |s| {
                    s.undo[rank] = (chunk, Undo::Next(next.block));
                });
            }
            At::Commit(_) => self.commit_steps(state, rank, work, steps),
            At::CommitStore(_, (lo, hi)) => {
                steps.step("commits by a store", At::Outside, |s| s.ranges[rank] = (lo + 1, hi));
            }
            _ => unreachable!("{at:?} is not of a run"),
        }
    }

    fn commit_steps(&self, state: &State, rank: usize, work: Work, steps: &mut Steps<'_>) {
        let to =
            if self.broken == Broken::ResetsUndoAfterCommit { At::ResetUndo } else { At::Outside };
        match work.hold {
            Hold::Slot(slot) => steps.step("commits", At::Outside, |s| {
                s.slots[usize::from(slot)] = Lease::Done { ticket: work.number };
            }),
            Hold::Range if self.broken == Broken::CommitsByStore => {
                let range = state.ranges[rank];
                steps.step("reads its range", At::CommitStore(work, range), |_| {});
            }
            Hold::Range => steps.step("commits", to, |s| s.ranges[rank].0 += 1),
        }
    }

    /// The chunk a rank has in hand, where ranks own ranges.
    fn chunk_in_hand(&self, state: &State, rank: usize) -> Option<Work> {
        let ranges = self.tickets == 0 || matches!(state.choice, Some(Choice::Ranges(_)));
        let range = state.ranges[rank];
        (ranges && !is_empty(range)).then_some(Work {
            hold: Hold::Range,
            number: range.0,
            block: 0,
        })
    }

    /// Where a rank begins with a chunk.
    fn begin(&self, state: &State, rank: usize, work: Work) -> At {
        // Nobody else touches the word: it may as well be read here.
        let (chunk, undo) = state.undo[rank];
        let numbered =
            !matches!(self.broken, Broken::UndoWithoutChunk | Broken::ResetsUndoAfterCommit);
        let says = !numbered || chunk == work.number;
        match undo {
            Undo::Armed(block) if self.in_place && says => At::Restore(Work { block, ..work }),
            Undo::Next(block) if self.in_place && says => self.block(state, Work { block, ..work }),
            _ => self.block(state, work),
        }
    }

    /// Where a rank is that comes to a block.
    fn block(&self, state: &State, work: Work) -> At {
        if work.block >= self.blocks_of(state, work) {
            At::Commit(Work { block: 0, ..work })
        } else if self.in_place {
            At::Save(work)
        } else {
            At::Compute(work)
        }
    }
}
