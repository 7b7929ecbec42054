//! Runs a plan: builds the world, starts its ranks, watches them, and collects what they made.
//!
//! ```text
//! World::build       checkpoint, staged output, segment, input   nothing runs yet; all refusals
//! Crew::company      processes that an earlier run has left      or none: then each is started
//! Ranks::start       one process a rank                          from the thread that watches them, or many from several
//! Supervisor::watch  pidfds, pulse, cancellation, deadline       takes no lock, waits at no barrier
//!   deaths           what a death means                          from facts alone
//! World::calibrate   the same, for ranks that measure in place of computing: `spmd bench`
//! collect            audit, verification, input unchanged, output published
//! ```

mod audience;
mod birth;
mod calibrate;
mod checkpoint;
mod collect;
mod counters;
mod crew;
mod deaths;
mod history;
mod names;
mod noise;
mod orders;
mod process;
mod pulse;
mod ranks;
mod recording;
mod results;
mod spawners;
mod supervisor;
mod verify;
mod world;

pub(crate) use audience::Audience;
pub(crate) use birth::descriptors_needed;
pub(crate) use calibrate::{Calibrated, Sample};
pub(crate) use collect::{Collected, Pinned, RankReport};
pub(crate) use counters::{Counters, Counting, refusal};
pub(crate) use crew::{Crew, DESCRIPTORS as CREW_DESCRIPTORS};
pub(crate) use history::History;
pub(crate) use names::signal as signal_name;
pub(crate) use noise::{Noise, SHARE as STEAL};
pub(crate) use orders::{Cause, Orders};
pub(crate) use results::Results;
pub(crate) use world::World;

use self::checkpoint::{Checkpoint, Keeper};
use self::deaths::Ledger;
use self::history::Memory;
use self::pulse::Pulse;
use self::ranks::Ranks;
use self::supervisor::{Ended, Supervisor};
use crate::error::Error;
use crate::host::clock;
use crate::host::limits::OomKills;
use crate::shm::Care;

/// Bytes of results, from which on the out-of-memory killer is watched from the beginning.
const LARGE: u64 = 1 << 20;

impl World {
    /// Runs to the end. The calling thread owns the ranks: they die with it, or, where other threads have
    /// started many of them, with the process.
    pub(crate) fn run(
        self,
        orders: &Orders,
        audience: &mut dyn Audience,
    ) -> Result<Collected, Error> {
        self.run_with(None, orders, audience)
    }

    /// Runs to the end with ranks of a crew, which stay alive afterwards.
    pub(crate) fn run_in(
        self,
        crew: &mut Crew,
        orders: &Orders,
        audience: &mut dyn Audience,
    ) -> Result<Collected, Error> {
        self.run_with(Some(crew), orders, audience)
    }

    fn run_with(
        self,
        mut crew: Option<&mut Crew>,
        orders: &Orders,
        audience: &mut dyn Audience,
    ) -> Result<Collected, Error> {
        let mut world = self;
        let mut history = History::default();
        let mut ledger = Ledger::new(world.plan.procs());
        if let Some(text) = world.checkpoint.as_ref().and_then(Checkpoint::found) {
            audience.note(&text);
        }
        loop {
            orders.check()?;
            audience.began(&world.segment, world.resumed());
            let keeper = world.arm()?;
            let watched =
                world.watch(crew.as_deref_mut(), orders, &mut ledger, &mut history, audience);
            if let (Some(checkpoint), Some(keeper)) = (&world.checkpoint, &keeper)
                && let Some(text) = checkpoint.fault(keeper)
            {
                audience.warn(&text);
                history.warnings.push(text);
            }
            let Watched { ended, pids, spawned } = match watched {
                Ok(watched) => watched,
                Err(error) => return Err(world.kept(keeper, history.memory, error, orders)),
            };
            drop(keeper);
            match ended {
                Ended::Complete => {
                    if let Some(crew) = crew.as_deref_mut().filter(|_| history.recovered == 0) {
                        crew.keep(&world.segment);
                    }
                    let told = history.warnings.len();
                    let collected = world.collect(&pids, spawned, history, orders)?;
                    collected.history.warnings[told..].iter().for_each(|text| audience.warn(text));
                    return Ok(collected);
                }
                Ended::Restart(care) => {
                    if let Some((range, Care::Omit)) = &care {
                        history.miss(range.clone());
                    }
                    world = world.again(care)?;
                }
            }
        }
    }

    /// Starts the ranks, and watches them until all have ended.
    fn watch(
        &self,
        crew: Option<&mut Crew>,
        orders: &Orders,
        ledger: &mut Ledger,
        history: &mut History,
        audience: &mut dyn Audience,
    ) -> Result<Watched, Error> {
        let lent = crew.map_or(Ok(None), |crew| crew.company(self))?;
        let ranks = Ranks::start(self, lent)?;
        let spawned = clock::now_ns();
        let mut supervisor = Supervisor {
            world: self,
            ranks,
            orders,
            ledger,
            history,
            audience,
            pulse: Pulse::new(self),
            // Reading it takes as long as a small run's work; those wait for the first look.
            oom: (self.plan.result_bytes() >= LARGE).then(OomKills::now),
            overtime: Vec::new(),
        };
        let ended = supervisor.watch().map_err(|error| collect::traced(self, error))?;
        Ok(Watched { ended, pids: supervisor.ranks.pids(), spawned })
    }

    /// Lets the checkpoint, if there is one, follow what the ranks finish.
    fn arm(&mut self) -> Result<Option<Keeper>, Error> {
        let partition = self.plan.job.partition;
        self.checkpoint.as_mut().map(|checkpoint| checkpoint.arm(&partition)).transpose()
    }

    /// Sees to the checkpoint of a run that ends early, and says in its error what that holds.
    fn kept(self, keeper: Option<Keeper>, memory: Memory, error: Error, orders: &Orders) -> Error {
        match (self.checkpoint, keeper, memory) {
            (Some(checkpoint), Some(keeper), Memory::Sound) => {
                checkpoint.keep(keeper, error, orders)
            }
            (Some(checkpoint), _, Memory::Suspect) => checkpoint.discard(error),
            _ => error,
        }
    }

    /// Finishes a run whose ranks have all left.
    fn collect(
        self,
        pids: &[i32],
        spawned: u64,
        history: History,
        orders: &Orders,
    ) -> Result<Collected, Error> {
        let kept = self.checkpoint.as_ref().map(|checkpoint| checkpoint.shown().to_owned());
        collect::collect(self, pids, spawned, history, orders).map_err(|error| match kept {
            Some(shown) if !matches!(error, Error::Wrong(_) | Error::Rejected(_)) => {
                Checkpoint::keep_complete(&shown, error)
            }
            _ => error,
        })
    }
}

/// What watching one world has come to.
struct Watched {
    ended: Ended,
    pids: Vec<i32>,
    spawned: u64,
}
