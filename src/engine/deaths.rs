//! What the death of a rank means for the run.
//!
//! | What ended it | What it says about memory | What follows |
//! |---|---|---|
//! | `kill -9` and other signals from outside, the out-of-memory killer, an early exit, a panic | nothing | the chunk is run again, by whoever comes first; the rank is started again |
//! | SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT in the kernel | a wild store may have hit anything | all of it is begun again, once, from the untouched input |
//! | an error that the kernel returned | nothing; and it will be the same again | the run fails, unless it is to keep the rest |
//!
//! A chunk whose ranks keep dying is run index by index the last time; the index that kills is then
//! known. [`Ledger::judge`] is where all of this is decided, from facts alone: it starts, stops and
//! writes nothing.

use std::collections::HashMap;
use std::time::Duration;

use super::names;
use super::world::World;
use crate::error::{Error, Explained};
use crate::host::procs::Ended;
use crate::job::Home;
use crate::options::{OnDeath, OnError};
use crate::schedule::Chunk;
use crate::shm::{Acquire, Care, Crash, Fault, NO_CPU, Relaxed, Stage};

/// How often a rank may die in a row without having anything in hand and without finishing anything.
const FRUITLESS: u32 = 3;
/// How often all of it is begun again, where each time an index more is known to be at fault.
const RESTARTS_KEEPING: u32 = 8;

/// One death, and what the dead rank left of itself in the segment.
#[derive(Debug)]
pub(super) struct Death {
    rank: u32,
    pid: i32,
    cpu: Option<u32>,
    how: How,
    oom: Option<String>,
    stage: Stage,
    /// Whether all of the run's work was done by then.
    over: bool,
    /// In positions of what was left when the run began.
    chunk: Option<Chunk>,
    /// The barrier's. If it was in a chunk, the pass of that: it had not arrived, so this cannot move.
    epoch: u32,
    /// The chunk it had most likely claimed, and not yet noted that.
    claiming: Option<Chunk>,
    /// The index it was in, where that was run alone.
    index: Option<u64>,
    said: Option<(Fault, Option<u64>, String)>,
    crash: Option<Crash>,
    /// Indices the rank, in all of its processes, has finished.
    done: u64,
}

/// How a rank died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By itself, or by somebody else.
    Ended(Ended),
    /// By us, after so long in one chunk.
    Overtime(Duration),
}

/// What is to be done about a death.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The rank is started again; what it had in hand goes to whoever comes first.
    Recover {
        /// How its chunk is to be run, if not like others.
        care: Option<(Chunk, Care)>,
        /// What the user is told.
        told: String,
    },
    /// Everything is begun again.
    Restart {
        /// How this is to be run then, if not like others.
        care: Option<(Chunk, Care)>,
        /// What the user is told.
        told: String,
    },
    /// The run fails.
    Fail(Error),
}

/// Says whether a rank ended because its work was done.
pub(super) fn finished(world: &World, rank: u32, end: Ended) -> bool {
    let stage = world.segment.control().ranks()[rank as usize].stage();
    // A kernel that calls exit(0) has not finished, whatever its status says.
    matches!(end, Ended::Exited(0) | Ended::Unknown) && stage == Stage::Done
}

impl Death {
    /// Reads what a rank left, once its death is confirmed and before anything of it is given away.
    ///
    /// `oom` says that it was most likely the kernel that killed it.
    pub(super) fn of(world: &World, rank: u32, pid: i32, how: How, oom: Option<String>) -> Self {
        let control = world.segment.control();
        let slot = &control.ranks()[rank as usize];
        let cpu = slot.cpu.load(Relaxed); // For the message.
        Self {
            rank,
            pid,
            cpu: (cpu != NO_CPU).then_some(cpu),
            how,
            oom,
            stage: slot.stage(),
            over: world.is_over(),
            chunk: world.chunk_of(rank),
            epoch: control.barrier().epoch(),
            claiming: control.claims().half_claimed(&world.plan.job.partition, rank),
            index: slot.single().filter(|&index| index < world.plan.size()),
            said: slot.reported(),
            crash: slot.crash(),
            done: slot.done(),
        }
    }

    /// Says whether memory may be damaged.
    pub(super) fn may_have_damaged(&self) -> bool {
        let signal = match (self.how, self.crash) {
            (How::Ended(Ended::Killed(signal)), _) => signal,
            (How::Ended(Ended::Unknown), Some(crash)) => crash.signal,
            _ => return false,
        };
        let fault = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
        // A signal that a process sent is no fault of this one; abort() sends its own.
        let sent = self.crash.is_some_and(|crash| crash.signal == signal && crash.code <= 0);
        fault.contains(&signal) && (signal == libc::SIGABRT || !sent)
    }

    fn who(&self) -> String {
        let cpu = self.cpu.map_or(String::new(), |cpu| format!(", cpu {cpu}"));
        format!("rank {} (pid {}{cpu})", self.rank, self.pid)
    }

    fn how(&self) -> String {
        match (self.how, &self.said) {
            (How::Overtime(limit), _) => {
                format!("was killed after --chunk-timeout {}s", limit.as_secs_f64())
            }
            (_, Some((Fault::Panic, _, text))) => format!("panicked ({text})"),
            (_, Some((Fault::Kernel, _, text))) => format!("met an error of the kernel ({text})"),
            (How::Ended(Ended::Killed(signal)), _) => {
                let oom = self.oom.as_deref().unwrap_or_default();
                format!("was killed by {}{}{oom}", names::signal(signal), self.address())
            }
            (How::Ended(Ended::Exited(status)), _) => format!("exited with status {status}"),
            (How::Ended(Ended::Unknown), _) => "ended".to_owned(),
        }
    }

    /// Names the address of a memory fault.
    fn address(&self) -> String {
        /// As far as a frame reaches below where the stack was.
        const FRAME: u64 = 64 * 1024;
        match self.crash {
            Some(Crash { signal, code, address, stack }) if code > 0 => {
                let near = address.abs_diff(stack) < FRAME;
                match signal {
                    libc::SIGSEGV if near => format!(" at address {address:#x}, a stack overflow"),
                    libc::SIGSEGV | libc::SIGBUS => format!(" at address {address:#x}"),
                    _ => String::new(),
                }
            }
            _ => String::new(),
        }
    }

    /// Says what it was doing, to follow what ended it.
    fn place(&self, world: &World) -> String {
        let chunk = self.chunk.as_ref().map(|chunk| names::chunk(world, chunk)).unwrap_or_default();
        match (self.index, self.chunk.is_some()) {
            (Some(index), true) => format!(" at index {index} of {chunk}"),
            (None, true) => format!(" while computing {chunk}"),
            (_, false) => match &self.claiming {
                Some(chunk) if self.stage == Stage::Pass => {
                    format!(" while claiming {}", names::chunk(world, chunk))
                }
                _ => format!(" while {}", self.stage.name()),
            },
        }
    }

    fn told(&self, world: &World) -> String {
        format!("{} {}{}", self.who(), self.how(), self.place(world))
    }
}

/// What the deaths of a run were, as far as later ones are judged by it.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Deaths in a chunk, by its first index, in the pass that ends with this epoch: a chunk that was
    /// computed in another pass is not what kills.
    attempts: (u32, HashMap<u64, u32>),
    /// For each rank: deaths in a row with nothing in hand, and what it had done at the last.
    fruitless: Vec<(u32, u64)>,
    restarts: u32,
}

impl Ledger {
    pub(super) fn new(procs: u32) -> Self {
        let fruitless = vec![(0, 0); procs as usize];
        Self { attempts: (0, HashMap::new()), fruitless, restarts: 0 }
    }

    /// Decides what follows from a death.
    pub(super) fn judge(&mut self, world: &World, death: &Death) -> Verdict {
        let options = &world.plan.options;
        let keep = options.on_error == Some(OnError::Keep);
        if let Some(error) = hopeless(world, death, keep) {
            return Verdict::Fail(error);
        }
        let told = death.told(world);
        if world.plan.job.calibration.is_some() {
            return Verdict::Fail(lost(death, &told, "a bench is of all its ranks: run it again"));
        }
        if options.on_death == Some(OnDeath::Fail) {
            let how = match world.plan.job.home {
                Home::Own => "a plain loop survives no death: leave --plain out",
                Home::Shared => "--on-death recover lets a run survive this",
            };
            return Verdict::Fail(lost(death, &told, how));
        }
        if death.may_have_damaged() {
            return self.restart(world, death, keep, told);
        }
        match &death.chunk {
            Some(chunk) => self.again(world, death, chunk, keep, &told),
            None => self.fruitless(death, &told),
        }
    }

    /// Begins everything again, once; or as often as that names an index that can be left out.
    fn restart(&mut self, world: &World, death: &Death, keep: bool, told: String) -> Verdict {
        let kernel = world.plan.kernel.name();
        let limit = if keep && death.index.is_some() { RESTARTS_KEEPING } else { 1 };
        if self.restarts >= limit {
            let what = format!("{told}, in kernel `{kernel}`, after the run was begun again");
            return Verdict::Fail(lost(death, &what, "no output was written"));
        }
        self.restarts += 1;
        let care = match (death.index, &death.chunk) {
            (Some(index), _) if keep => Some((index..index + 1, Care::Omit)),
            (_, Some(chunk)) => Some((world.plan.job.left.hull(chunk), Care::Single)),
            (_, None) => None,
        };
        // What was done is counted from zero again, and so is what came of it.
        self.attempts.1.clear();
        self.fruitless.fill((0, 0));
        let then = match &care {
            Some((_, Care::Omit)) => "the run begins again without that index",
            _ => "memory may be damaged, so the run begins again",
        };
        Verdict::Restart { care, told: format!("{told}, in kernel `{kernel}`; {then}") }
    }

    /// Lets a chunk be run again, or finds that it cannot be.
    fn again(
        &mut self,
        world: &World,
        death: &Death,
        chunk: &Chunk,
        keep: bool,
        told: &str,
    ) -> Verdict {
        let retries = world.plan.options.retries.unwrap_or(2);
        // An error is the same the next time; where it is, the next time shows.
        let answered = matches!(death.said, Some((Fault::Kernel, ..)));
        if self.attempts.0 != death.epoch {
            self.attempts = (death.epoch, HashMap::new());
        }
        let attempts = self.attempts.1.entry(chunk.start).or_insert(0);
        *attempts = if answered { retries.max(*attempts + 1) } else { *attempts + 1 };
        let attempts = *attempts;
        if attempts < retries {
            let told = format!("{told}; the chunk is run again");
            return Verdict::Recover { care: None, told };
        }
        // In indices. What lies between the pieces of a chunk is run with care, too, if it is run.
        let single = Some((world.plan.job.left.hull(chunk), Care::Single));
        match death.index {
            None if attempts == retries || keep => {
                let told = format!("{told}; the chunk is run again, index by index");
                Verdict::Recover { care: single, told }
            }
            Some(index) if keep => {
                let told = format!("{told}; index {index} is left out");
                Verdict::Recover { care: Some((index..index + 1, Care::Omit)), told }
            }
            Some(_) if attempts == retries => {
                Verdict::Recover { care: None, told: format!("{told}; the chunk is run again") }
            }
            Some(_) | None => Verdict::Fail(poisonous(world, death, chunk, attempts)),
        }
    }

    /// Starts a rank again that had nothing in hand, unless it does nothing but die.
    fn fruitless(&mut self, death: &Death, told: &str) -> Verdict {
        if death.over {
            return Verdict::Recover { care: None, told: format!("{told}; all work was done") };
        }
        let (deaths, done) = &mut self.fruitless[death.rank as usize];
        *deaths = if death.done > *done { 1 } else { *deaths + 1 };
        *done = death.done;
        if *deaths > FRUITLESS {
            let what = format!("{told}: {deaths} deaths in a row in which it finished nothing");
            return Verdict::Fail(lost(death, &what, "no output was written"));
        }
        Verdict::Recover { care: None, told: format!("{told}; it is started again") }
    }
}

/// Returns why a run cannot go on after this death, whatever was asked for.
fn hopeless(world: &World, death: &Death, keep: bool) -> Option<Error> {
    let kernel = world.plan.kernel.name();
    // A rank that found a fault which is everybody's has stopped the others, and any of them may be
    // the first to have ended.
    let slots = world.segment.control().ranks().iter().enumerate();
    for (rank, slot) in slots {
        let Some((fault, index, text)) = slot.reported() else { continue };
        let pid = slot.pid.load(Acquire); // Pairs with Release in `worker::live` [pid].
        let who = format!("rank {rank} (pid {pid})");
        match fault {
            Fault::Machine => {
                return Some(Error::refused(Explained::new(format!("{who}: {text}")).hint(
                    "more room in /dev/shm or memory, --backing memfd, or a smaller problem",
                )));
            }
            Fault::Internal => return Some(Error::refused(format!("{who}: {text}"))),
            Fault::Kernel if !keep => {
                let at = index.map_or(String::new(), |index| format!(" at index {index}"));
                return Some(Error::failed(format!(
                    "kernel `{kernel}` failed{at} on {who}: {text}"
                )));
            }
            Fault::Kernel | Fault::Panic | Fault::None => {}
        }
    }
    // Killed on its way it is a lost rank; one that left by itself never was a rank.
    let left = matches!(death.how, How::Ended(Ended::Exited(_) | Ended::Unknown));
    (death.stage == Stage::Starting && left)
        .then(|| Error::refused(Explained::new(death.told(world)).hint(INIT)))
}

fn lost(death: &Death, what: &str, hint: &str) -> Error {
    let what = Explained::new(what).hint(hint);
    match death.how {
        How::Overtime(_) => Error::TimedOut(what),
        How::Ended(_) => Error::failed(what),
    }
}

/// Says that a chunk cannot be computed, whoever tries.
fn poisonous(world: &World, death: &Death, chunk: &Chunk, attempts: u32) -> Error {
    let kernel = world.plan.kernel.name();
    let chunk = names::chunk(world, chunk);
    let at = death.index.map_or(String::new(), |index| format!(" at index {index}"));
    let times = if attempts == 1 { "a rank".to_owned() } else { format!("{attempts} ranks") };
    let (who, how) = (death.who(), death.how());
    let what = format!(
        "kernel `{kernel}` cannot be run on {chunk}: {times} died in it, the last one{at}: {who} {how}"
    );
    lost(death, &what, "--on-error keep completes the rest; --retries says how often to try")
}

const INIT: &str =
    "a program that starts runs must call `spmd::init` or `spmd::main` first thing in its main";

/// Tells of ranks that never attached.
pub(super) fn never_began(ranks: &[u32]) -> Error {
    let names: Vec<String> = ranks.iter().take(8).map(ToString::to_string).collect();
    Error::refused(
        Explained::new(format!("ranks {} have not attached in time", names.join(", "))).hint(INIT),
    )
}
