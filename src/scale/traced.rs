//! One more trial with a trace, to be looked at rank by rank. It is no sample: to trace takes time.

use std::path::Path;

use crate::engine::{Audience, Orders, World};
use crate::error::Error;
use crate::options::{FilePath, RunOptions};
use crate::placement::{Survey, ThisMachine};
use crate::run::Run;

/// Runs a point once more, and writes its trace to `file`.
pub(crate) fn traced(
    options: &RunOptions,
    file: &Path,
    machine: &Survey<ThisMachine>,
    orders: &mut Orders,
    audience: &mut dyn Audience,
) -> Result<(), Error> {
    let options = RunOptions { trace: Some(FilePath(file.to_path_buf())), ..options.clone() };
    let plan = Run::from_options(options).plan_on(machine)?;
    orders.limit(plan.options.timeout.map(|span| span.0));
    let collected = World::build(plan)?.run(orders, audience)?;
    collected.results.world().release();
    orders.limit(None);
    Ok(())
}
