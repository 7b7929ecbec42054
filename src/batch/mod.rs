//! Batches: a file of jobs becomes points, a point becomes trials, a trial one line of samples.
//!
//! `file` reads the batch file and says what is wrong with it, by line and column; `expand` makes the
//! points, as pure arithmetic; `job` is what both make together. None of them runs anything.

mod expand;
mod file;
mod job;
