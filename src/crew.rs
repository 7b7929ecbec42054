//! The library's door for whoever runs many: [`Crew`] keeps the ranks alive between them.

use crate::engine::{self, Audience, Orders, World};
use crate::error::Error;
use crate::placement::{Survey, ThisMachine};
use crate::run::{Finished, Run, no_rank_here};
use crate::shm::Segment;

/// Ranks that stay alive from one run to the next, so that the next one begins in a fraction of a
/// millisecond.
///
/// Runs of the same number of ranks on the same CPUs share processes; whoever dies is replaced. Each run has
/// memory of its own, or such as was cleared, and its results are those of [`Run::start`], bit for bit. The
/// machine is looked at once: an affinity mask or a quota that changes later is not seen.
///
/// Runs happen on the calling thread, and the ranks end with that thread or when the crew is dropped. What a
/// kernel of your own leaves in its process, the next run finds there.
///
/// ```no_run
/// fn main() -> Result<(), spmd::Error> {
///     spmd::init(&[]);
///     let mut crew = spmd::Crew::new();
///     for n in [1_000, 10_000, 100_000] {
///         let finished = crew.run(spmd::Run::new("square").procs(4).size(n))?;
///         assert_eq!(finished.values::<i64>()?.len() as u64, n);
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Default)]
pub struct Crew {
    ranks: engine::Crew,
    machine: Survey<ThisMachine>,
}

impl Crew {
    /// Returns a crew that has no ranks yet: a run that needs some starts them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// Those of [`Run::start`] and of [`Handle::wait`](crate::Handle::wait). The crew stays usable.
    pub fn run(&mut self, run: Run) -> Result<Finished, Error> {
        no_rank_here()?;
        let plan = run.plan_on(&self.machine)?;
        let limit = plan.options.timeout.map(|span| span.0);
        let orders = Orders::new(limit)
            .map_err(|error| Error::refused(format!("cannot make a pipe: {error}")))?;
        let world = World::build_in(plan, &mut self.ranks)?;
        let collected = world.run_in(&mut self.ranks, &orders, &mut Logged)?;
        Ok(Finished::new(collected))
    }
}

/// Nobody watches, but for the log. What is warned of is in the record.
struct Logged;

impl Audience for Logged {
    fn began(&mut self, _: &Segment, _: u64) {}

    fn note(&mut self, text: &str) {
        tracing::info!("{text}");
    }

    fn warn(&mut self, text: &str) {
        tracing::warn!("{text}");
    }

    fn progress(&mut self, _: u64, _: u64) {}

    fn wants_progress(&self) -> bool {
        false
    }
}
