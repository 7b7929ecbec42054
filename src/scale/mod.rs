//! `spmd scale`: how far a problem scales, measured, explained, and judged.
//!
//! A study is a batch of one job over `procs`: its trials are those of `batch/`, its arithmetic is that of
//! `scaling/`. What is here is what lies between.
//!
//! ```text
//! numbers    which numbers of ranks: 1,2,4..8
//! question   what is asked, and the batch that answers it
//! trials     what the samples of a study say of each point
//! ceiling    how fast this machine's memory is, with so many ranks
//! traced     one more trial, to be looked at rank by rank
//! bound      what memory bounds a point by, where caches do not hold what is moved
//! findings   trials → points, laws, losses, verdict
//! notes      what a reader has to know beside them, in sentences
//! document   the JSON, and the points as Extra-P reads them
//! report     tables, pictures and pages of it
//! ```

mod bound;
mod ceiling;
mod document;
mod findings;
mod notes;
mod numbers;
mod question;
pub(crate) mod report;
mod traced;
mod trials;

pub(crate) use self::ceiling::{Ceilings, NAME as CEILINGS, is_idle};
pub(crate) use self::document::extrap;
pub(crate) use self::findings::{Found, Given, found};
pub(crate) use self::notes::ending;
pub(crate) use self::numbers::Numbers;
pub(crate) use self::question::{Baseline, Effort, Question};
pub(crate) use self::traced::traced;
pub(crate) use self::trials::{Measured, measured};
