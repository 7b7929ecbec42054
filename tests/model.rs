//! An exhaustive model of the claim protocol, with crashes and with the recovery it is made for.
//!
//! `src/shm/claims.rs` decides who owns a chunk by one store to one word, so that a chunk whose
//! owner was killed can be found and finished by somebody else. That finishing is not implemented
//! yet: today a death ends the run. The protocol is modelled here ahead of it, because the words it
//! needs are in the segment already and must not have to change.
//!
//! # What is modelled
//!
//! Ranks, the lock, the tail words, the lease slots with their `undo` words and saved blocks, the
//! elements of the result, and a launcher that recovers the slots of a rank once its death is
//! confirmed. Every store to the segment is a step of its own; between any two steps any other
//! process may take any number of its own, and up to two ranks may die. Elements can be torn: with
//! `torn`, each write to an element or to a saved one is two stores, garbage first.
//!
//! ```text
//! claim    lock
//!          for each queue whose lease[tail.slot] is idle or of another ticket than tail's:
//!              lease[tail.slot] = {tail.ticket, ORPHAN}     -- its claimer died half-way
//!          if some slot is ORPHAN:  lease[s] = {same ticket, RUN, me}   -- adopted, one store
//!          else if a chunk is left: any slot s that is not taken
//!              undo[s] = NONE;  tail = {t, s};  lease[s] = {t, RUN, me}
//!          else if no slot is taken: finished   else: unlock, wait, again
//!          unlock
//! run      from block b if undo[s] = NEXT(b), else from block 0; in place, for each block:
//!          copy it -> saved[s];  undo[s] = ARMED(b);  compute;  undo[s] = NEXT(b + 1)
//! commit   lease[s] = {t, DONE, me}
//! recover  (rank w is dead, and that is confirmed; takes no lock)
//!          for each slot RUN by w:  if undo[s] = ARMED(b): copy saved[s] -> block; undo[s] = NEXT(b)
//!          lease[s] = {same ticket, ORPHAN};  then perhaps w is started again
//! ```
//!
//! "Taken" is RUN or ORPHAN. The claims of `claims.rs` are these, less what is for the dead.
//! `ORPHAN` is the fourth value of the two state bits: with 4096 ranks no executor number is left
//! to mean "nobody".
//!
//! A scan of the slots is one step. That loses nothing: while the lock is held a slot that is not
//! taken stays so, and a taken one can only become ORPHAN or DONE, so what a slot-by-slot scan
//! concludes is what a scan in one step at some moment in between concludes.
//!
//! # What is checked
//!
//! - Whenever the words would pass the audit, every element holds its effect exactly once.
//! - No end has a rank that believes the pass complete and an audit that does not.
//! - From every state, a right end is reachable, or a clean one: every rank died, nothing published.
//! - A claimer that finds no orphan always finds a free slot.
//!
//! Each rule of the protocol is then broken in turn, and the checker must object; a checker that
//! never objects proves nothing.
//!
//! # What is not modelled
//!
//! Weak memory: stores here are sequentially consistent (`src/shm/loom_tests.rs` runs the real code
//! on weak memory, without crashes). The loss of the lock's robust mark when the out-of-memory
//! reaper takes a rank. The count of attempts. The barrier. The death of the launcher, which ends
//! the run. Stores of a rank that went wild. What happens between two passes of one run (the claim
//! words are made zero again between two barriers).

#![expect(clippy::print_stdout, reason = "how many states were searched is the result")]

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

const RANKS: usize = 3;
const CHUNKS: usize = 4;
const ELEMENTS: usize = 8;
const IN_BLOCK: usize = 2;

/// What an element holds: whose value it is, and how often the kernel was applied to it. Whose it
/// is matters: a block saved over another's copy is restored into the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Value {
    Raw(u8),
    Once(u8),
    Wrong,
    /// Half a write.
    Torn,
}

impl Value {
    /// What the kernel makes of it.
    fn effect(self) -> Self {
        match self {
            Self::Raw(of) => Self::Once(of),
            Self::Once(_) | Self::Wrong | Self::Torn => Self::Wrong,
        }
    }
}

/// How chunks are queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queues {
    /// `dynamic`, `guided`: one queue, any slot.
    Shared,
    /// `static`: one queue per rank, and the slot of that rank.
    Own,
}

/// Which rule of the protocol is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// `lease[s]` is stored before `tail`: two stores decide.
    LeaseBeforeTail,
    /// A claimer does not look whether the one before it died half-way.
    NoRepair,
    /// It looks, but takes an idle lease for one of ticket 0.
    RepairForgetsIdle,
    /// A chunk is run again in place with nothing saved.
    NaiveRerun,
    /// Disarming says "nothing is saved" instead of "blocks up to here are final".
    DisarmForgetsProgress,
    /// The next block is saved while the word still says that the one before is.
    RearmWithoutDisarm,
    /// The executor clears `undo` after DONE, when the slot may be somebody else's.
    ClearAfterDone,
    /// A claimer leaves `undo` as the last chunk left it.
    NoReset,
    /// It resets it, but after the store that decides.
    ResetAfterTail,
    /// A rank that may be alive is taken for dead.
    NoKill,
    /// A rank's own queue uses any slot, which then does not say whose queue the ticket is of.
    OwnQueueAnySlot,
}

#[derive(Clone, Copy, Debug)]
struct Model {
    ranks: usize,
    /// In each queue.
    chunks: usize,
    blocks: usize,
    /// In a block.
    elements: usize,
    in_place: bool,
    torn: bool,
    deaths: u8,
    respawn: bool,
    queues: Queues,
    broken: Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lease {
    Idle,
    Run { ticket: u8, rank: u8 },
    Orphan { ticket: u8 },
    Done { ticket: u8 },
}

impl Lease {
    fn taken(self) -> bool {
        matches!(self, Self::Run { .. } | Self::Orphan { .. })
    }

    /// The ticket in the word; an idle word is all zero.
    fn ticket(self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Run { ticket, .. } | Self::Orphan { ticket } | Self::Done { ticket } => ticket,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Undo {
    None,
    Armed(u8),
    Next(u8),
}

/// {last ticket claimed, slot it went to}.
type Tail = Option<(u8, u8)>;

/// A chunk in the hands of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Work {
    queue: u8,
    ticket: u8,
    slot: u8,
    block: u8,
    element: u8,
}

/// Where a rank is: the store it does next. From `Locked` to `Unlock` it holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Outside,
    Locked,
    Repaired,
    /// Claims; so many of the claim's stores are done.
    Claiming(Work, u8),
    Unlock(Option<Work>),
    Save(Work),
    SaveTorn(Work),
    Arm(Work),
    Compute(Work),
    /// Half of the write is done; the value that was there before.
    ComputeTorn(Work, Value),
    Disarm(Work),
    Commit(Work),
    Clear(Work),
    Finished,
    /// Killed; nobody knows yet.
    Dead,
    /// Its death is confirmed, its slots are recovered, and it is not started again.
    Gone,
}

/// One store of a claim.
#[derive(Clone, Copy)]
enum Store {
    Undo,
    Tail,
    Lease,
}

/// Where the launcher is in recovering a dead rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Launcher {
    Watching,
    /// Looks for slots RUN by this rank.
    Scanning {
        rank: u8,
    },
    /// Copies element by element back.
    Restore {
        rank: u8,
        slot: u8,
        block: u8,
        element: u8,
        torn: bool,
    },
    Disarm {
        rank: u8,
        slot: u8,
        block: u8,
    },
    GiveUp {
        rank: u8,
        slot: u8,
    },
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    elements: [Value; ELEMENTS],
    saved: [[Value; IN_BLOCK]; RANKS],
    undo: [Undo; RANKS],
    leases: [Lease; RANKS],
    tails: [Tail; RANKS],
    /// The lock is held. Who dies holding it leaves it free: the next one is told, and goes on.
    locked: bool,
    ranks: [At; RANKS],
    launcher: Launcher,
    deaths: u8,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tails {:?} leases {:?} undo {:?} saved {:?} elements {:?} ranks {:?} {:?}",
            self.tails,
            self.leases,
            self.undo,
            self.saved,
            self.elements,
            self.ranks,
            self.launcher
        )
    }
}

impl Model {
    fn queue_count(&self) -> usize {
        if self.queues == Queues::Shared { 1 } else { self.ranks }
    }

    fn used_elements(&self) -> usize {
        self.queue_count() * self.chunks * self.blocks * self.elements
    }

    fn element(&self, work: Work) -> usize {
        let chunk = usize::from(work.queue) * self.chunks + usize::from(work.ticket);
        (chunk * self.blocks + usize::from(work.block)) * self.elements + usize::from(work.element)
    }

    fn initial(&self) -> State {
        assert!(self.ranks <= RANKS && self.queue_count() * self.chunks <= CHUNKS);
        assert!(self.used_elements() <= ELEMENTS && self.elements <= IN_BLOCK);
        let mut ranks = [At::Gone; RANKS];
        ranks[..self.ranks].fill(At::Outside);
        State {
            elements: std::array::from_fn(|of| Value::Raw(u8::try_from(of).unwrap())),
            saved: [[Value::Wrong; IN_BLOCK]; RANKS],
            undo: [Undo::None; RANKS],
            leases: [Lease::Idle; RANKS],
            tails: [None; RANKS],
            locked: false,
            ranks,
            launcher: Launcher::Watching,
            deaths: 0,
        }
    }

    /// The first ticket of a queue that the tail does not say is claimed, if there is one.
    fn next(&self, state: &State, queue: usize) -> Option<u8> {
        let next = state.tails[queue].map_or(0, |(last, _)| last + 1);
        (usize::from(next) < self.chunks).then_some(next)
    }

    /// Whether the last claimer of this queue died between its two stores.
    fn half_way(&self, state: &State, queue: usize) -> Option<(u8, u8)> {
        state.tails[queue].filter(|&(ticket, slot)| {
            let lease = state.leases[usize::from(slot)];
            let idle = lease == Lease::Idle && self.broken != Broken::RepairForgetsIdle;
            idle || lease.ticket() != ticket
        })
    }

    /// What `Claims::audit` says of these words.
    fn audit(&self, state: &State) -> bool {
        state.leases.iter().all(|lease| !lease.taken())
            && (0..self.queue_count()).all(|queue| {
                state.tails[queue].is_some_and(|(ticket, slot)| {
                    state.leases[usize::from(slot)] == Lease::Done { ticket }
                }) && self.next(state, queue).is_none()
            })
    }

    fn right(&self, state: &State) -> bool {
        let used = &state.elements[..self.used_elements()];
        (0..).zip(used).all(|(of, &value)| value == Value::Once(of))
    }

    fn end(&self, state: &State) -> bool {
        state.launcher == Launcher::Watching
            && state.ranks.iter().all(|at| matches!(at, At::Finished | At::Gone))
    }

    /// The queue whose ticket a slot holds.
    fn queue_of(&self, slot: usize) -> u8 {
        if self.queues == Queues::Shared { 0 } else { u8::try_from(slot).unwrap() }
    }

    fn steps(&self, state: &State, found: &mut Vec<(String, State)>) -> Result<(), String> {
        for rank in 0..self.ranks {
            self.rank_steps(state, rank, found)?;
            let alive = !matches!(state.ranks[rank], At::Dead | At::Gone);
            if alive && state.deaths < self.deaths {
                let mut next = state.clone();
                next.deaths += 1;
                if self.broken == Broken::NoKill {
                    if state.launcher == Launcher::Watching {
                        next.launcher = Launcher::Scanning { rank: u8::try_from(rank).unwrap() };
                        found.push((format!("rank {rank} is slow and taken for dead"), next));
                    }
                    continue;
                }
                next.ranks[rank] = At::Dead;
                if holds(state.ranks[rank]) {
                    next.locked = false;
                }
                found.push((format!("rank {rank} dies"), next));
            }
        }
        self.launcher_steps(state, found);
        Ok(())
    }

    fn rank_steps(
        &self,
        state: &State,
        rank: usize,
        found: &mut Vec<(String, State)>,
    ) -> Result<(), String> {
        let me = u8::try_from(rank).unwrap();
        let mut step = |what: &str, to: At, change: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            next.ranks[rank] = to;
            change(&mut next);
            found.push((format!("rank {rank}: {what}"), next));
        };
        let broken = self.broken;
        match state.ranks[rank] {
            At::Outside => {
                if !state.locked {
                    step("locks", At::Locked, &|s| s.locked = true);
                }
            }
            At::Locked => {
                let half_way = (0..self.queue_count()).find_map(|q| self.half_way(state, q));
                match half_way {
                    Some((ticket, slot)) if broken != Broken::NoRepair => {
                        step("repairs a half-way claim", At::Locked, &|s| {
                            s.leases[usize::from(slot)] = Lease::Orphan { ticket };
                        });
                    }
                    _ => step("sees no half-way claim", At::Repaired, &|_| {}),
                }
            }
            At::Repaired => {
                let orphan = (0..self.ranks)
                    .find(|&slot| matches!(state.leases[slot], Lease::Orphan { .. }));
                if let Some(slot) = orphan {
                    let ticket = state.leases[slot].ticket();
                    // Nobody writes to an orphan's undo: it may as well be read here.
                    let block = match state.undo[slot] {
                        Undo::Next(block) => block,
                        Undo::None | Undo::Armed(_) => 0,
                    };
                    let queue = self.queue_of(slot);
                    let number = u8::try_from(slot).unwrap();
                    let work = Work { queue, ticket, slot: number, block, element: 0 };
                    step("adopts", At::Unlock(Some(work)), &|s| {
                        s.leases[slot] = Lease::Run { ticket, rank: me };
                    });
                    return Ok(());
                }
                let claims = self.claims(state, rank)?;
                for &work in &claims {
                    step("chooses", At::Claiming(work, 0), &|_| {});
                }
                if claims.is_empty() {
                    let left = (0..self.queue_count()).any(|q| self.next(state, q).is_some());
                    if left || state.leases.iter().any(|lease| lease.taken()) {
                        step("must wait", At::Unlock(None), &|_| {});
                    } else {
                        step("is finished", At::Finished, &|s| s.locked = false);
                    }
                }
            }
            At::Claiming(work, done) => {
                let stores = self.claim_stores();
                let to = if usize::from(done) + 1 < stores.len() {
                    At::Claiming(work, done + 1)
                } else {
                    At::Unlock(Some(work))
                };
                let slot = usize::from(work.slot);
                match stores[usize::from(done)] {
                    Store::Undo => step("resets undo", to, &|s| s.undo[slot] = Undo::None),
                    Store::Tail => step("stores tail", to, &|s| {
                        s.tails[usize::from(work.queue)] = Some((work.ticket, work.slot));
                    }),
                    Store::Lease => step("stores lease", to, &|s| {
                        s.leases[slot] = Lease::Run { ticket: work.ticket, rank: me };
                    }),
                }
            }
            At::Unlock(work) => {
                let to = work.map_or(At::Outside, |work| self.block(work));
                step("unlocks", to, &|s| s.locked = false);
            }
            At::Save(work) => {
                let value = state.elements[self.element(work)];
                let saved = |s: &mut State, value| {
                    s.saved[usize::from(work.slot)][usize::from(work.element)] = value;
                };
                if self.torn {
                    step("half saves", At::SaveTorn(work), &|s| saved(s, Value::Torn));
                } else {
                    step("saves", self.after_save(work), &|s| saved(s, value));
                }
            }
            At::SaveTorn(work) => {
                let value = state.elements[self.element(work)];
                step("saves", self.after_save(work), &|s| {
                    s.saved[usize::from(work.slot)][usize::from(work.element)] = value;
                });
            }
            At::Arm(work) => step("arms", At::Compute(work), &|s| {
                s.undo[usize::from(work.slot)] = Undo::Armed(work.block);
            }),
            At::Compute(work) => {
                let old = state.elements[self.element(work)];
                if self.torn {
                    step("half computes", At::ComputeTorn(work, old), &|s| {
                        s.elements[self.element(work)] = Value::Torn;
                    });
                } else {
                    step("computes", self.after_compute(work), &|s| {
                        s.elements[self.element(work)] = self.result(old, work);
                    });
                }
            }
            At::ComputeTorn(work, old) => step("computes", self.after_compute(work), &|s| {
                s.elements[self.element(work)] = self.result(old, work);
            }),
            At::Disarm(work) => {
                let next = Work { block: work.block + 1, ..work };
                step("disarms", self.block(next), &|s| {
                    s.undo[usize::from(work.slot)] = if broken == Broken::DisarmForgetsProgress {
                        Undo::None
                    } else {
                        Undo::Next(next.block)
                    };
                });
            }
            At::Commit(work) => {
                let to =
                    if broken == Broken::ClearAfterDone { At::Clear(work) } else { At::Outside };
                step("commits", to, &|s| {
                    s.leases[usize::from(work.slot)] = Lease::Done { ticket: work.ticket };
                });
            }
            At::Clear(work) => step("clears undo", At::Outside, &|s| {
                s.undo[usize::from(work.slot)] = Undo::None;
            }),
            At::Finished | At::Dead | At::Gone => {}
        }
        Ok(())
    }

    /// Every claim the rank may make now, one for each slot it may choose.
    fn claims(&self, state: &State, rank: usize) -> Result<Vec<Work>, String> {
        let work = |queue: usize, ticket, slot: usize| Work {
            queue: u8::try_from(queue).unwrap(),
            ticket,
            slot: u8::try_from(slot).unwrap(),
            block: 0,
            element: 0,
        };
        let free = |slot: usize| !state.leases[slot].taken();
        if self.queues == Queues::Shared {
            let Some(ticket) = self.next(state, 0) else { return Ok(Vec::new()) };
            let free: Vec<Work> =
                (0..self.ranks).filter(|&s| free(s)).map(|s| work(0, ticket, s)).collect();
            return if free.is_empty() {
                Err("no slot is free, and none is an orphan".to_owned())
            } else {
                Ok(free)
            };
        }
        // A rank's own queue first; then those of ranks that are gone for good.
        let mine = |queue: usize| queue == rank || state.ranks[queue] == At::Gone;
        let queue = (0..self.ranks).map(|step| (rank + step) % self.ranks).find(|&queue| {
            mine(queue)
                && self.next(state, queue).is_some()
                && (free(queue) || self.broken == Broken::OwnQueueAnySlot)
        });
        Ok(queue.map_or_else(Vec::new, |queue| {
            let ticket = self.next(state, queue).unwrap_or(0);
            (0..self.ranks)
                .filter(|&s| s == queue || self.broken == Broken::OwnQueueAnySlot)
                .filter(|&s| free(s))
                .map(|s| work(queue, ticket, s))
                .collect()
        }))
    }

    /// The kernel's result, from the element itself or from an input that nobody writes.
    fn result(&self, old: Value, work: Work) -> Value {
        if self.in_place {
            old.effect()
        } else {
            Value::Once(u8::try_from(self.element(work)).unwrap())
        }
    }

    /// The stores of a claim, in order.
    fn claim_stores(&self) -> &'static [Store] {
        match self.broken {
            Broken::LeaseBeforeTail => &[Store::Undo, Store::Lease, Store::Tail],
            Broken::NoReset => &[Store::Tail, Store::Lease],
            Broken::ResetAfterTail => &[Store::Tail, Store::Undo, Store::Lease],
            _ => &[Store::Undo, Store::Tail, Store::Lease],
        }
    }

    /// Where a rank is that comes to a block.
    fn block(&self, work: Work) -> At {
        let work = Work { element: 0, ..work };
        if usize::from(work.block) >= self.blocks {
            At::Commit(work)
        } else if self.in_place && self.broken != Broken::NaiveRerun {
            At::Save(work)
        } else {
            At::Compute(work)
        }
    }

    fn after_save(&self, work: Work) -> At {
        if usize::from(work.element) + 1 < self.elements {
            At::Save(Work { element: work.element + 1, ..work })
        } else {
            At::Arm(Work { element: 0, ..work })
        }
    }

    fn after_compute(&self, work: Work) -> At {
        if usize::from(work.element) + 1 < self.elements {
            At::Compute(Work { element: work.element + 1, ..work })
        } else if self.in_place
            && !matches!(self.broken, Broken::NaiveRerun | Broken::RearmWithoutDisarm)
        {
            At::Disarm(work)
        } else {
            self.block(Work { block: work.block + 1, ..work })
        }
    }

    fn launcher_steps(&self, state: &State, found: &mut Vec<(String, State)>) {
        let mut step = |what: String, to: Launcher, change: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            next.launcher = to;
            change(&mut next);
            found.push((format!("launcher: {what}"), next));
        };
        match state.launcher {
            Launcher::Watching => {
                for rank in (0..self.ranks).filter(|&rank| state.ranks[rank] == At::Dead) {
                    let to = Launcher::Scanning { rank: u8::try_from(rank).unwrap() };
                    step(format!("confirms that rank {rank} is dead"), to, &|_| {});
                }
            }
            // Only the dead rank could write to a slot that is RUN by it: the scan may be one step.
            Launcher::Scanning { rank } => {
                let held = (0..self.ranks).find(
                    |&s| matches!(state.leases[s], Lease::Run { rank: by, .. } if by == rank),
                );
                match held {
                    Some(slot) => {
                        let to = match state.undo[slot] {
                            Undo::Armed(block) => Launcher::Restore {
                                rank,
                                slot: u8::try_from(slot).unwrap(),
                                block,
                                element: 0,
                                torn: false,
                            },
                            _ => Launcher::GiveUp { rank, slot: u8::try_from(slot).unwrap() },
                        };
                        step(format!("finds slot {slot} held by rank {rank}"), to, &|_| {});
                    }
                    None => {
                        let now = if self.respawn { At::Outside } else { At::Gone };
                        step(format!("is done with rank {rank}"), Launcher::Watching, &|s| {
                            if s.ranks[usize::from(rank)] == At::Dead {
                                s.ranks[usize::from(rank)] = now;
                            }
                        });
                    }
                }
            }
            Launcher::Restore { rank, slot, block, element, torn } => {
                let work = Work {
                    queue: self.queue_of(usize::from(slot)),
                    ticket: state.leases[usize::from(slot)].ticket(),
                    slot,
                    block,
                    element,
                };
                let at = self.element(work);
                if self.torn && !torn {
                    let to = Launcher::Restore { rank, slot, block, element, torn: true };
                    step("half restores".to_owned(), to, &|s| s.elements[at] = Value::Torn);
                    return;
                }
                let to = if usize::from(element) + 1 < self.elements {
                    Launcher::Restore { rank, slot, block, element: element + 1, torn: false }
                } else {
                    Launcher::Disarm { rank, slot, block }
                };
                let value = state.saved[usize::from(slot)][usize::from(element)];
                step("restores".to_owned(), to, &|s| s.elements[at] = value);
            }
            Launcher::Disarm { rank, slot, block } => {
                step("disarms".to_owned(), Launcher::GiveUp { rank, slot }, &|s| {
                    s.undo[usize::from(slot)] = Undo::Next(block);
                });
            }
            Launcher::GiveUp { rank, slot } => {
                let ticket = state.leases[usize::from(slot)].ticket();
                step(format!("gives slot {slot} up"), Launcher::Scanning { rank }, &|s| {
                    s.leases[usize::from(slot)] = Lease::Orphan { ticket };
                });
            }
        }
    }
}

/// Whether a rank that is here holds the lock.
fn holds(at: At) -> bool {
    matches!(at, At::Locked | At::Repaired | At::Claiming(..) | At::Unlock(_))
}

/// What a search found.
#[derive(Debug, Default)]
struct Found {
    states: usize,
    right_ends: usize,
    clean_ends: usize,
    /// States whose words pass the audit over results that are not right.
    lies: usize,
    /// Ends where a rank believes in a result that the audit refuses.
    refused: usize,
    /// Steps that cannot be taken: a claimer without a slot.
    stuck_claims: usize,
    /// States from which no right or clean end is reachable.
    lost: usize,
    /// How the first of the lies, refusals or stuck claims came about, or the first lost state.
    trace: String,
}

impl Found {
    fn violations(&self) -> usize {
        self.lies + self.refused + self.stuck_claims + self.lost
    }
}

/// The states, in the order they were found: along a trace numbers only grow.
struct Graph {
    numbers: HashMap<State, u32>,
    states: Vec<State>,
    parents: Vec<u32>,
    /// Edges in the order of the states they leave.
    edges: Vec<(u32, u32)>,
}

impl Graph {
    fn add(&mut self, state: State, parent: u32) -> u32 {
        let next = u32::try_from(self.states.len()).unwrap();
        *self.numbers.entry(state).or_insert_with_key(|state| {
            self.states.push(state.clone());
            self.parents.push(parent);
            next
        })
    }

    fn trace(&self, model: &Model, mut at: u32) -> String {
        let mut path = vec![at];
        while at != 0 {
            at = self.parents[at as usize];
            path.push(at);
        }
        path.reverse();
        let mut text = String::new();
        for pair in path.windows(2) {
            let mut next = Vec::new();
            let _ = model.steps(&self.states[pair[0] as usize], &mut next);
            let to = &self.states[pair[1] as usize];
            let what = next.iter().find(|(_, s)| s == to).map_or("?", |(what, _)| what);
            text.push_str("\n  ");
            text.push_str(what);
        }
        format!("{text}\n  => {:?}", self.states[*path.last().unwrap() as usize])
    }
}

fn search(model: &Model) -> Found {
    let begin = Instant::now();
    let mut found = Found::default();
    let mut graph = Graph {
        numbers: HashMap::new(),
        states: Vec::new(),
        parents: Vec::new(),
        edges: Vec::new(),
    };
    graph.add(model.initial(), 0);
    let mut good = Vec::new();
    let mut first_bad = None;
    let mut next = Vec::new();
    let mut at = 0_u32;
    while (at as usize) < graph.states.len() {
        let state = graph.states[at as usize].clone();
        let audit = model.audit(&state);
        let mut bad = false;
        if audit && !model.right(&state) {
            found.lies += 1;
            bad = true;
        }
        if model.end(&state) {
            let finished = state.ranks.contains(&At::Finished);
            match (audit, finished) {
                (true, _) if !bad => {
                    found.right_ends += 1;
                    good.push(at);
                }
                (true, _) => {}
                (false, true) => {
                    found.refused += 1;
                    bad = true;
                }
                (false, false) => {
                    found.clean_ends += 1;
                    good.push(at);
                }
            }
        }
        next.clear();
        if let Err(why) = model.steps(&state, &mut next) {
            found.stuck_claims += 1;
            if first_bad.is_none() {
                found.trace = why;
            }
            bad = true;
        }
        for (_, state) in next.drain(..) {
            let to = graph.add(state, at);
            graph.edges.push((at, to));
        }
        if bad && first_bad.is_none() {
            first_bad = Some(at);
        }
        at += 1;
    }
    found.states = graph.states.len();
    let reaches = backwards(&graph, good);
    let lost = |number: &u32| !reaches[*number as usize];
    let numbers = 0..u32::try_from(found.states).unwrap();
    found.lost = numbers.clone().filter(lost).count();
    if let Some(at) = first_bad.or_else(|| numbers.clone().find(lost)) {
        found.trace.push_str(&graph.trace(model, at));
    }
    // Shown with --nocapture.
    println!(
        "{:>9} states {:>5} right {:>5} clean ends; {} lies, {} refused, {} without slot, {} lost; \
         {:.1} s; {} ranks x {} chunks x {} blocks x {} elements, {:?} queues, in place {}, torn {}, \
         {} deaths, respawn {}, broken {:?}",
        found.states,
        found.right_ends,
        found.clean_ends,
        found.lies,
        found.refused,
        found.stuck_claims,
        found.lost,
        begin.elapsed().as_secs_f64(),
        model.ranks,
        model.chunks,
        model.blocks,
        model.elements,
        model.queues,
        model.in_place,
        model.torn,
        model.deaths,
        model.respawn,
        model.broken,
    );
    found
}

/// Which states reach one of `ends`.
fn backwards(graph: &Graph, ends: Vec<u32>) -> Vec<bool> {
    let count = graph.states.len();
    let mut starts = vec![0_u32; count + 1];
    for &(_, to) in &graph.edges {
        starts[to as usize + 1] += 1;
    }
    for at in 0..count {
        starts[at + 1] += starts[at];
    }
    let mut filled = starts.clone();
    let mut from = vec![0_u32; graph.edges.len()];
    for &(source, to) in &graph.edges {
        from[filled[to as usize] as usize] = source;
        filled[to as usize] += 1;
    }
    let mut reaches = vec![false; count];
    for &end in &ends {
        reaches[end as usize] = true;
    }
    let mut open = ends;
    while let Some(at) = open.pop() {
        let range = starts[at as usize] as usize..starts[at as usize + 1] as usize;
        for &source in &from[range] {
            if !std::mem::replace(&mut reaches[source as usize], true) {
                open.push(source);
            }
        }
    }
    reaches
}

/// In place, shared queue, two deaths, no second start, whole writes.
fn base(ranks: usize, chunks: usize, blocks: usize, elements: usize) -> Model {
    Model {
        ranks,
        chunks,
        blocks,
        elements,
        in_place: true,
        torn: false,
        deaths: 2,
        respawn: false,
        queues: Queues::Shared,
        broken: Broken::Nothing,
    }
}

fn assert_right(model: Model) {
    let found = search(&model);
    assert_eq!(found.violations(), 0, "{model:?}{}", found.trace);
    assert!(found.right_ends > 0);
}

fn assert_caught(model: Model) {
    let found = search(&model);
    assert_ne!(found.violations(), 0, "the checker does not see that {:?} is wrong", model.broken);
    println!("  {:?}, shortest:{}", model.broken, found.trace);
}

fn both(model: Model) {
    for respawn in [false, true] {
        assert_right(Model { respawn, ..model });
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
    both(base(3, 3, 1, 1));
}

#[test]
fn in_place_with_writes_that_can_be_torn() {
    both(Model { torn: true, ..base(2, 2, 2, 1) });
    both(Model { torn: true, ..base(2, 2, 1, 2) });
}

#[test]
fn out_of_place() {
    both(Model { in_place: false, ..base(2, 2, 2, 2) });
    both(Model { in_place: false, ..base(3, 3, 1, 1) });
    both(Model { in_place: false, torn: true, ..base(2, 2, 2, 1) });
}

#[test]
fn a_queue_for_each_rank() {
    both(Model { queues: Queues::Own, ..base(2, 2, 2, 1) });
    both(Model { queues: Queues::Own, ..base(3, 1, 1, 1) });
}

#[test]
fn one_rank_alone() {
    both(base(1, 3, 2, 1));
}

#[test]
fn caught_lease_stored_before_tail() {
    assert_caught(Model { broken: Broken::LeaseBeforeTail, ..base(2, 2, 2, 1) });
}

#[test]
fn caught_no_half_way_repair() {
    assert_caught(Model { broken: Broken::NoRepair, ..base(2, 2, 2, 1) });
}

#[test]
fn caught_a_repair_that_takes_an_idle_lease_for_ticket_zero() {
    assert_caught(Model { broken: Broken::RepairForgetsIdle, ..base(2, 2, 1, 1) });
}

#[test]
fn caught_a_naive_second_run_in_place() {
    assert_caught(Model { broken: Broken::NaiveRerun, ..base(2, 2, 1, 2) });
}

#[test]
fn caught_a_disarm_without_progress_before_done() {
    assert_caught(Model { broken: Broken::DisarmForgetsProgress, ..base(2, 2, 2, 1) });
}

#[test]
fn caught_a_block_saved_over_one_still_armed() {
    assert_caught(Model { broken: Broken::RearmWithoutDisarm, ..base(2, 2, 2, 2) });
}

#[test]
fn caught_an_executor_that_clears_undo_after_done() {
    assert_caught(Model { broken: Broken::ClearAfterDone, ..base(2, 2, 1, 1) });
}

#[test]
fn caught_undo_not_reset_at_the_claim() {
    assert_caught(Model { broken: Broken::NoReset, ..base(2, 2, 2, 1) });
}

#[test]
fn caught_undo_reset_after_the_store_that_decides() {
    assert_caught(Model { broken: Broken::ResetAfterTail, ..base(2, 2, 1, 1) });
}

#[test]
fn caught_a_chunk_given_away_while_its_owner_may_be_alive() {
    assert_caught(Model { broken: Broken::NoKill, deaths: 1, ..base(2, 1, 1, 1) });
}

#[test]
fn caught_a_rank_queue_that_uses_a_slot_of_another() {
    let own = Model { queues: Queues::Own, ..base(2, 2, 1, 1) };
    assert_caught(Model { broken: Broken::OwnQueueAnySlot, ..own });
}
