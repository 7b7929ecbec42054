//! Whoever is told how a run goes while it goes on.

use crate::shm::Segment;

/// Told by the thread that watches the ranks, between two looks: it should not take long.
pub(crate) trait Audience {
    /// The ranks use this segment from now on; after a restart it is another one. So many indices
    /// were finished before.
    fn began(&mut self, segment: &Segment, resumed: u64);

    /// Something is worth knowing, and nothing is wrong.
    fn note(&mut self, text: &str);

    /// Something happened that the user should know at once. It is in the run's warnings, too.
    fn warn(&mut self, text: &str);

    /// So many indices are done, of so many. What is done again is counted again.
    fn progress(&mut self, done: u64, total: u64);

    /// Says whether to report progress, ten times a second.
    fn wants_progress(&self) -> bool;
}
