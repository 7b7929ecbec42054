//! The sections, in the order they run.

mod auto;
mod barrier;
mod costs;
mod end_to_end;
mod growth;
mod in_place;
mod launch;
mod passes;
mod pool;
mod pull;
mod square;
mod triad;

use crate::Bench;

/// A section by the name `--only` knows it by.
pub(crate) type Section = (&'static str, fn(&mut Bench));

/// Every section.
pub(crate) const ALL: &[Section] = &[
    ("launch", launch::run),
    ("barrier", barrier::run),
    ("pull", pull::run),
    ("square", square::run),
    ("triad", triad::run),
    ("in-place", in_place::run),
    ("end-to-end", end_to_end::run),
    ("pool", pool::run),
    ("costs", costs::run),
    ("auto", auto::run),
    ("growth", growth::run),
];
