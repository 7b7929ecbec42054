//! Batches: a file of jobs becomes points, a point becomes trials, a trial one line of samples.
//!
//! `file` reads the batch file and says what is wrong with it, by line and column; `expand` makes the
//! points, as pure arithmetic; `job` is what both make together. None of them runs anything.

mod expand;
mod file;
mod job;

pub(crate) use self::expand::Point;
pub(crate) use self::file::{
    Asked, Batch, Expect, Hooks, Judgement, Limit, Metric, OnFail, Only, Order, Reference, Set,
    schema,
};
pub(crate) use self::job::Job;
