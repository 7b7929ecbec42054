//! `spmd batch`: many runs from one file, with results that outlive whatever ends them.
//!
//! A file of jobs becomes points, a point becomes trials, a trial one line of samples.
//!
//! ```text
//! file      reads the batch file, and says what is wrong with it, by line and column
//! expand    makes the points of a job, as pure arithmetic
//! job       what both make together
//! points    each point resolved and checked against this machine, before the first one runs
//! key       what a point is: by that its samples are found again
//! turns     in which order trials are made
//! campaign  makes them: hooks, trial, sample, what a failure does
//! trial     one of them: a run in a world of its own
//! hooks     the user's commands around them
//! results   the directory: samples, plan, journal, environment, reports
//! ```

mod campaign;
mod expand;
mod file;
mod gates;
mod hooks;
mod job;
mod key;
mod points;
mod results;
mod trial;
mod turns;

pub(crate) use self::campaign::{
    Again, Campaign, Disturbed, Early, Made, Means, Planned, Tally, Watcher, count,
};
pub(crate) use self::file::{Asked, Batch, Only, Set, schema};
pub(crate) use self::gates::{missed, unexpected};
pub(crate) use self::key::{Key, Short, deciding};
pub(crate) use self::points::{Points, resolve};
pub(crate) use self::results::{
    Directory, Earlier, Edited, End, Event, Machine, MixMachines, Remarks, SAMPLES, Visit,
    samples_of,
};
pub(crate) use self::trial::Ranks;
