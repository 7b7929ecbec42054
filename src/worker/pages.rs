//! Pages of the arrays, made present before they are used.

use std::io;

use super::rank::Work;
use super::{Stop, machine};
use crate::arrays::Arrays;
use crate::host::map;
use crate::job::ResultAt;
use crate::schedule::Chunk;

/// Whether pages of a chunk were mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched {
    Now,
    Not,
}

impl Work<'_> {
    /// Maps the pages of a chunk outside what this process has touched, in one step.
    ///
    /// Another rank has made them, so there is room; but in this process each would cost a fault
    /// of its own, which is several times the work on it.
    pub(super) fn touch_elsewhere(
        &self,
        arrays: &Arrays<'_>,
        chunk: &Chunk,
    ) -> Result<Touched, Stop> {
        const WORTH_A_CALL: u64 = 64 * 1024;
        let bytes = (chunk.end - chunk.start) * self.job.dtype.size() as u64;
        let inside = self.mapped.start <= chunk.start && chunk.end <= self.mapped.end;
        if inside || bytes < WORTH_A_CALL {
            return Ok(Touched::Not);
        }
        self.job.left.pieces(chunk).try_for_each(|piece| self.touch(arrays, &piece))?;
        Ok(Touched::Now)
    }

    /// Makes the pages of a range of the results and operands present: no SIGBUS where the machine has
    /// no more.
    ///
    /// Done slice by slice before the pass, so that under `static` memory is near the CPU that uses it.
    #[expect(unsafe_code, reason = "madvise on the arrays")]
    pub(super) fn touch(&self, arrays: &Arrays<'_>, slice: &Chunk) -> Result<(), Stop> {
        let bytes = self.bytes(slice);
        for at in
            std::iter::once(arrays.result_at(slice.start)).chain(self.operands_at(arrays, slice))
        {
            // SAFETY: the slice lies in this array, a part of one shared writable mapping.
            let populated = unsafe { map::populate(at, bytes) };
            // Unsupported: the launcher has seen that too, and reserved everything itself.
            populated.map(|_: map::Populated| ()).map_err(|error| {
                let why = "there is no room for the arrays";
                // EFAULT is what populating says where a store would have been a SIGBUS.
                let full = io::Error::from_raw_os_error(libc::ENOSPC);
                machine(why)(if error.raw_os_error() == Some(libc::EFAULT) { full } else { error })
            })?;
        }
        Ok(())
    }

    /// Makes a range of the segment's arrays what it is in a segment that served no other world: zeroes.
    ///
    /// Before the first barrier, each rank its own slice: so nobody else reads or writes it meanwhile, and it is
    /// in the caches of the rank that is likely to compute there.
    #[expect(unsafe_code, reason = "writes to the arrays")]
    pub(super) fn clear(&self, arrays: &Arrays<'_>, slice: &Chunk) {
        let bytes = self.bytes(slice);
        let result = match self.job.result {
            ResultAt::Segment => Some(arrays.result_at(slice.start)),
            ResultAt::File { .. } => None, // It is new.
        };
        for at in result.into_iter().chain(self.operands_at(arrays, slice)) {
            // SAFETY: the slice lies in this array; before the first barrier it is this rank's alone (I3).
            unsafe { at.write_bytes(0, bytes) };
        }
    }

    /// Returns where a range begins in each of the kernel's own arrays.
    fn operands_at(&self, arrays: &Arrays<'_>, range: &Chunk) -> impl Iterator<Item = *mut u8> {
        (0..self.operands).filter_map(|at| arrays.operand_at(at, range.start))
    }

    /// Returns how many bytes of an array a range is.
    fn bytes(&self, range: &Chunk) -> usize {
        // It is mapped, so it is no more than a size can be.
        (range.end - range.start) as usize * self.job.dtype.size()
    }
}
