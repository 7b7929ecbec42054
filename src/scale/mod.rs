//! Scaling studies: `spmd scale`.

pub(crate) mod report;
