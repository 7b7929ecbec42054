//! What a rank's process remembers of the worlds it took part in: nothing that a result could depend on.

use super::tally::Counts;
use crate::job::Job;

/// What outlives a world in the process of a rank.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) counts: Counts,
    pub(super) job: LastJob,
}

/// The last job, and the bytes that described it: trials of one point have the same.
#[derive(Debug, Default)]
pub(super) struct LastJob(Option<(Vec<u8>, Job)>);

impl LastJob {
    /// Returns the job that these bytes describe.
    pub(super) fn of(&mut self, bytes: Vec<u8>) -> serde_json::Result<&Job> {
        let last = match self.0.take() {
            Some(last) if last.0 == bytes => last,
            _ => {
                let job = serde_json::from_slice(&bytes)?;
                (bytes, job)
            }
        };
        Ok(&self.0.insert(last).1)
    }
}
