//! The work counter: the lock, and the claim it protects.

use std::io;

use super::claims::{Claims, Lease};
use super::header::Header;
use super::lock::{Lock, LockFault};
use super::point::Probe;
use crate::schedule::Partition;

/// Hands out chunks, one at a time, under the lock.
pub(crate) struct Counter<'a> {
    lock: Lock<'a>,
    claims: Claims<'a>,
    header: &'a Header,
}

/// What came of asking for a chunk.
pub(crate) enum Claimed<'a> {
    /// A chunk.
    Chunk(Lease<'a>),
    /// Nothing is left for this rank in this pass.
    Drained,
    /// The run was aborted.
    Aborted,
}

impl<'a> Counter<'a> {
    pub(crate) fn attach(header: &'a Header, claims: Claims<'a>) -> io::Result<Self> {
        Ok(Self { lock: Lock::attach(header)?, claims, header })
    }

    /// Claims a chunk for `rank`.
    pub(crate) fn claim(
        &self,
        partition: &Partition,
        rank: u32,
        probe: &impl Probe,
    ) -> io::Result<Claimed<'a>> {
        loop {
            if self.header.aborted() {
                return Ok(Claimed::Aborted);
            }
            match self.lock.acquire() {
                Ok(held) => {
                    let lease = self.claims.claim(partition, rank, probe);
                    drop(held);
                    return Ok(lease.map_or(Claimed::Drained, Claimed::Chunk));
                }
                Err(LockFault::Busy) => {}
                Err(LockFault::Broken(error)) => return Err(error),
            }
        }
    }
}
