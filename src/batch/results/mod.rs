//! The directory of a batch: what was meant, what was done, and what it says.
//!
//! ```text
//! lock           held while a batch is at work                    lock
//! batch.toml     the file, as it was read last
//! env.json       each visit, with the machine it found            visits, machine
//! plan.jsonl     a line a point: key and all it is made of        plan
//! samples.jsonl  a line a trial: the truth, only appended to      samples, done
//! journal.jsonl  what happened when, only appended to             journal
//! logs/          what single trials leave
//! summary.csv, report.md, …   made from these, at any time        reports
//! ```
//!
//! `earlier` reads a directory as it is, without its lock, for who only asks (`--dry-run`).
//!
//! Whatever ends a batch, between any two stores, leaves a directory to go on from. The two files that grow
//! are appended to by one `write` a line ([`lines`]) and synced soon after ([`syncer`]); all others are
//! written aside and take their name in one step. Nothing is believed that is not in `samples.jsonl`: a
//! trial whose line is there is done, every other one is not.

mod directory;
mod done;
mod earlier;
mod journal;
mod lines;
mod lock;
mod machine;
mod place;
mod plan;
mod reading;
mod reports;
mod samples;
mod syncer;
mod visits;

pub(crate) use self::directory::{Directory, Visit};
pub(crate) use self::done::{Done, Figures, Outcome, Trial};
pub(crate) use self::earlier::Earlier;
pub(crate) use self::journal::{End, Event};
pub(crate) use self::machine::Machine;
pub(crate) use self::plan::{Edited, PlanLine};
pub(crate) use self::reading::{SAMPLES, samples_of};
pub(crate) use self::reports::Remarks;
pub(crate) use self::samples::{Sample, failure};
pub(crate) use self::visits::MixMachines;

#[cfg(test)]
mod tests;
