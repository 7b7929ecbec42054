//! Runs a plan: builds the world, starts its ranks, watches them, and collects what they made.
//!
//! ```text
//! World::build       staged output, segment, input array      nothing runs yet; all refusals
//! Ranks::start       one process a rank                       from the thread that watches them
//! Supervisor::watch  pidfds, pulse, cancellation, deadline    takes no lock, waits at no barrier
//!   deaths           what a death means                       from facts alone
//! collect            audit, verification, input unchanged, output published
//! ```

mod audience;
mod collect;
mod deaths;
mod history;
mod names;
mod orders;
mod pulse;
mod ranks;
mod results;
mod supervisor;
mod verify;
mod world;

pub(crate) use audience::Audience;
pub(crate) use collect::{Collected, Pinned, RankReport};
pub(crate) use history::History;
pub(crate) use orders::{Cause, Orders};
pub(crate) use results::Results;
pub(crate) use world::World;

use self::deaths::Ledger;
use self::pulse::Pulse;
use self::ranks::Ranks;
use self::supervisor::{Ended, Supervisor};
use crate::error::Error;
use crate::host::clock;
use crate::shm::Care;

impl World {
    /// Runs to the end. The calling thread owns the ranks: they die with it.
    pub(crate) fn run(
        self,
        orders: &Orders,
        audience: &mut dyn Audience,
    ) -> Result<Collected, Error> {
        let mut world = self;
        let mut history = History::default();
        let mut ledger = Ledger::new(world.plan.procs());
        loop {
            orders.check()?;
            audience.began(&world.segment);
            let ranks = Ranks::start(&world)?;
            let spawned = clock::now_ns();
            let mut supervisor = Supervisor {
                world: &world,
                ranks,
                orders,
                ledger: &mut ledger,
                history: &mut history,
                audience,
                pulse: Pulse::new(&world),
                oom: None,
                overtime: Vec::new(),
            };
            let ended = supervisor.watch().map_err(|error| collect::traced(&world, error))?;
            let pids = supervisor.ranks.pids();
            drop(supervisor);
            match ended {
                Ended::Complete => {
                    let told = history.warnings.len();
                    let collected = collect::collect(world, &pids, spawned, history, orders)?;
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
}
