//! A rank's windows into the input and output files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::arrays;
use crate::host::line::Order;
use crate::host::map::{Access, Window};
use crate::job::{InputAt, Job, ResultAt, WordsAt};
use crate::shm::Attached;

/// The rank's windows into files.
pub(super) struct Windows {
    input: Window,
    result: Window,
}

/// Maps the words that say what is finished, `bytes` of them, where they lie in a file.
pub(super) fn words(job: &Job, order: &Order<OwnedFd>, bytes: usize) -> io::Result<Option<Window>> {
    let WordsAt::File { offset } = job.words else { return Ok(None) };
    let offset = usize::try_from(offset).map_err(io::Error::other)?;
    Window::new(file(order.result.as_ref())?, offset, bytes, Access::Write).map(Some)
}

/// Returns a file that the job speaks of.
fn file(descriptor: Option<&OwnedFd>) -> io::Result<BorrowedFd<'_>> {
    let missing = || io::Error::other("the order came without that file");
    descriptor.map(AsFd::as_fd).ok_or_else(missing)
}

impl Windows {
    pub(super) fn map(job: &Job, order: &Order<OwnedFd>) -> io::Result<Self> {
        let bytes = usize::try_from(job.size)
            .ok()
            .and_then(|n| n.checked_mul(job.dtype.size()))
            .ok_or_else(|| io::Error::other("the array is larger than memory can be"))?;
        let at = |offset: u64| usize::try_from(offset).map_err(io::Error::other);
        let input = match job.input {
            InputAt::File { offset, .. } => {
                Window::new(file(order.input.as_ref())?, at(offset)?, bytes, Access::Read)?
            }
            InputAt::Index { .. } | InputAt::Segment => Window::none(),
        };
        let result = match job.result {
            ResultAt::File { offset } => {
                Window::new(file(order.result.as_ref())?, at(offset)?, bytes, Access::Write)?
            }
            ResultAt::Segment => Window::none(),
        };
        Ok(Self { input, result })
    }

    /// Returns every window.
    pub(super) fn all(&self) -> [&Window; 2] {
        [&self.input, &self.result]
    }

    /// Returns where inputs and results begin, in these windows or the segment's.
    pub(super) fn starts(&self, job: &Job, attached: &Attached) -> (*const u8, *mut u8) {
        let input = match job.input {
            InputAt::File { .. } => arrays::start(&self.input),
            InputAt::Index { .. } | InputAt::Segment => arrays::start(&attached.source),
        };
        let result = match job.result {
            ResultAt::File { .. } => arrays::start(&self.result),
            ResultAt::Segment => arrays::start(&attached.result),
        };
        (input.cast_const(), result)
    }
}
