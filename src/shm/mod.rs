//! The segment, and everything that lives in it.
//!
//! `README.md` beside this file draws the bytes and tells the protocols. What the `SAFETY` comments
//! of this crate refer to:
//!
//! - **I1** Every type in the segment is `repr(C)`, holds no pointer, and is valid for any bytes.
//! - **I2** The layout is decided once, by the launcher, before the first rank begins; a rank
//!   computes the same one from the header's numbers and checks it against what it mapped.
//! - **I3** Within a pass input and operands are read by all, and the result is written chunk-wise: a
//!   range of it belongs to the rank whose lease names it, and to nobody else, until that lease
//!   commits. The launcher reads it after every rank has left. Operands are written, and arrays of a
//!   world before cleared, before the first barrier, each rank its own slice.
//! - **I4** Bytes another process wrote are input: validated, never trusted as a length or an index.
//! - **I5** The launcher takes no lock a rank takes and waits at no barrier.
//! - **I6** Who owns a chunk is decided by one store to one word.

#![allow(
    clippy::disallowed_types,
    reason = "atomics are for this module alone; within it they come from `sync`"
)]

mod barrier;
mod claims;
mod control;
mod counted;
mod counter;
mod disturbed;
mod exceptions;
#[cfg(all(any(fuzzing, test), not(spmd_loom)))]
pub(crate) mod fuzzing;
mod header;
mod layout;
mod lock;
#[cfg(all(test, spmd_loom))]
mod loom_deaths;
#[cfg(all(test, spmd_loom))]
mod loom_ranges;
#[cfg(all(test, spmd_loom))]
mod loom_tests;
mod point;
mod rank_slot;
mod readings;
mod region;
mod segment;
mod sweep;
mod sync;
mod told;
mod trail;
mod words;

pub(crate) use barrier::{Aborted, EPOCHS, Patience};
pub(crate) use claims::{Claimer, Incomplete, Lease, Progress};
pub(crate) use control::{Attached, Control};
pub(crate) use counted::Counted;
pub(crate) use counter::{Claimed, Counter};
pub(crate) use disturbed::Disturbed;
pub(crate) use exceptions::Care;
pub(crate) use header::{Abort, Header};
pub(crate) use layout::{Dims, Layout, MAX_PROCS};
pub(crate) use lock::Lock;
pub(crate) use point::{Point, Probe};
pub(crate) use rank_slot::{Crash, Fault, NO_CPU, RankSlot, Stage};
pub(crate) use readings::{Ask, Reading, Readings};
pub(crate) use region::Region;
pub use segment::Backing;
pub(crate) use segment::{Contents, Seats, Segment};
pub(crate) use sweep::clean;
pub(crate) use sync::{Acquire, Relaxed, Release};
pub(crate) use trail::{Step, What};
pub(crate) use words::Words;
