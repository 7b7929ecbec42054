//! Runs a plan: builds the world, starts its ranks, watches them, and collects what they made.
//!
//! ```text
//! World::build      staged output, segment, input array      nothing runs yet; all refusals
//! ranks::start      one process a rank                       from the thread that watches them
//! supervisor::watch pidfds, cancellation, deadline           takes no lock, waits at no barrier
//! collect           audit, verification, input unchanged, output published
//! ```

mod blame;
mod collect;
mod ranks;
mod results;
mod signals;
mod supervisor;
mod verify;
mod world;

pub(crate) use collect::{Collected, Pinned, RankReport};
pub(crate) use results::Results;
pub(crate) use supervisor::{Cause, Orders, Tick};
pub(crate) use world::World;

use crate::error::Error;

impl World {
    /// Runs to the end. The calling thread owns the ranks: they die with it.
    pub(crate) fn run(self, orders: &Orders, tick: Tick<'_>) -> Result<Collected, Error> {
        orders.check()?;
        let mut ranks = ranks::start(&self)?;
        let spawned = crate::host::clock::now_ns();
        supervisor::watch(&self, &mut ranks, orders, tick)
            .map_err(|error| collect::traced(&self, error))?;
        collect::collect(self, &ranks, spawned, orders)
    }
}
