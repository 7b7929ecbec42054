//! What this machine offers, and the system calls spmd asks of it.

pub(crate) mod affinity;
pub(crate) mod caches;
pub(crate) mod clock;
pub(crate) mod confinement;
pub(crate) mod disturbance;
pub(crate) mod events;
pub(crate) mod frequency;
pub(crate) mod guard;
pub(crate) mod huge;
pub(crate) mod kept;
pub(crate) mod leftover;
pub(crate) mod limits;
pub(crate) mod line;
pub(crate) mod link;
pub(crate) mod map;
pub(crate) mod own;
pub(crate) mod probe;
pub(crate) mod procs;
pub(crate) mod program;
pub(crate) mod recent;
pub(crate) mod rlimits;
pub(crate) mod root;
pub(crate) mod shell;
pub(crate) mod signals;
pub(crate) mod streams;
pub(crate) mod topology;
