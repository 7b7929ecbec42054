//! What this machine is asked for through system calls.

pub(crate) mod link;
