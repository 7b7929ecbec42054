//! Pages of the arrays, made present before they are used.

use std::io;

use super::rank::Work;
use super::{Stop, machine};
use crate::arrays::Arrays;
use crate::data::DType;
use crate::host::collapse::Maker;
use crate::host::huge::Advice;
use crate::host::map::{self, HUGE_PAGE};
use crate::job::{Home, Job, ResultAt};
use crate::kernel::Reads;
use crate::schedule::{Chunk, Partition};

/// Whether pages of a chunk were mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Touched {
    Now,
    Not,
}

/// Returns what a rank makes ready for a pass, in positions: its slice, in whole huge pages where those are wanted
/// and every rank gets one, or the end of the last.
///
/// All ranks' together are everything, whatever the boundaries are: they are the same for both neighbours.
pub(super) fn share(partition: &Partition, dtype: DType, pages: Advice, rank: u32) -> Chunk {
    let slice = partition.slice(rank);
    let page = (HUGE_PAGE / dtype.size()) as u64;
    let size = partition.size();
    if !matches!(pages, Advice::Huge | Advice::Collapse) {
        return slice;
    }
    let nearest = |at: u64| if at == size { size } else { size.min((at + page / 2) / page * page) };
    let whole = |slice: Chunk| nearest(slice.start)..nearest(slice.end);
    if (0..partition.procs()).any(|rank| whole(partition.slice(rank)).is_empty()) {
        return slice;
    }
    whole(slice)
}

/// Returns what pages are asked for in the segment, if ranks prepare arrays there.
pub(super) fn of_segment(job: &Job, reads: Reads) -> Advice {
    let none = job.result != ResultAt::Segment && reads.operands() == 0;
    if none || job.home == Home::Own { Advice::Nothing } else { job.huge }
}

/// Returns what of a chunk lies before and after what is mapped.
fn outside(mapped: &Chunk, chunk: &Chunk) -> [Chunk; 2] {
    let Chunk { start, end } = *chunk;
    let before = start..mapped.start.clamp(start, end);
    let after = mapped.end.clamp(start, end)..end;
    [before, after]
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
        let mut touched = Touched::Not;
        for part in outside(&self.mapped, chunk) {
            if (part.end - part.start) * self.job.dtype.size() as u64 >= WORTH_A_CALL {
                // Who was to make them has tried for huge ones.
                let mut pages = Maker::new(Advice::Nothing);
                self.job
                    .left
                    .pieces(&part)
                    .try_for_each(|piece| self.touch(arrays, &piece, &mut pages))?;
                touched = Touched::Now;
            }
        }
        Ok(touched)
    }

    /// Makes the pages of a range of the results and operands present: no SIGBUS where the machine has
    /// no more.
    ///
    /// Done slice by slice before the pass, so that under `static` memory is near the CPU that uses it.
    #[expect(unsafe_code, reason = "madvise on the arrays")]
    pub(super) fn touch(
        &self,
        arrays: &Arrays<'_>,
        slice: &Chunk,
        pages: &mut Maker,
    ) -> Result<(), Stop> {
        let bytes = self.bytes(slice);
        let mut plain = Maker::new(Advice::Nothing); // A file's pages are its file system's.
        let shared = self.job.home == Home::Shared;
        let result = arrays.result_at(slice.start);
        let results = if shared && self.job.result == ResultAt::Segment {
            (result, self.room(slice), true)
        } else {
            (result, bytes, false)
        };
        let operands = self.operands_at(arrays, slice).map(|at| (at, bytes, shared));
        for (at, room, in_segment) in std::iter::once(results).chain(operands) {
            let pages = if in_segment { &mut *pages } else { &mut plain };
            // SAFETY: the slice lies in this array, a part of one shared writable mapping; so does what
            // completes its last huge page.
            let populated = unsafe { pages.populate(at, bytes, room) };
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

    /// Returns how many bytes from the beginning of a range of the segment's results on are nobody else's.
    ///
    /// Where the array ends, its last huge page goes on: nothing else is laid out there. It is worth that if most
    /// of it is used.
    fn room(&self, range: &Chunk) -> usize {
        let bytes = self.bytes(range);
        let array = self.bytes(&(0..self.job.size));
        let used = array % HUGE_PAGE;
        let last = range.end == self.job.size && array >= HUGE_PAGE && used >= HUGE_PAGE / 2;
        if last { bytes + HUGE_PAGE - used } else { bytes }
    }

    /// Returns how many bytes of an array a range is.
    fn bytes(&self, range: &Chunk) -> usize {
        // It is mapped, so it is no more than a size can be.
        (range.end - range.start) as usize * self.job.dtype.size()
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::DType;
    use crate::schedule::{Partition, Schedule, ScheduleKind};

    proptest! {
        #[test]
        fn what_lies_outside_and_what_is_mapped_is_all_of_a_chunk(
            mapped in (0_u64..40, 0_u64..20), chunk in (0_u64..40, 1_u64..20),
        ) {
            let range = |(start, len)| start..start + len;
            let (mapped, chunk) = (range(mapped), range(chunk));
            let parts = outside(&mapped, &chunk);
            for index in 0..80 {
                let outside = parts.iter().filter(|part| part.contains(&index)).count();
                let expected = chunk.contains(&index) && !mapped.contains(&index);
                prop_assert_eq!(outside, usize::from(expected), "{}", index);
            }
        }

        #[test]
        fn shares_are_everything_once_in_whole_huge_pages(
            size in 0_u64..20_000_000, procs in 1_u32..100, element in prop_oneof![Just(4_u64), Just(8)],
        ) {
            let dtype = if element == 4 { DType::F32 } else { DType::F64 };
            let schedule = Schedule::new(ScheduleKind::Static, None);
            let one = std::num::NonZeroU64::MIN;
            let partition = Partition::new(schedule, size, procs, one, one);
            let page = HUGE_PAGE as u64 / element;
            let slices: Vec<Chunk> = (0..procs).map(|rank| partition.slice(rank)).collect();
            let shares: Vec<Chunk> =
                (0..procs).map(|rank| share(&partition, dtype, Advice::Collapse, rank)).collect();
            let rounded = shares[..shares.len() - 1].iter().all(|share| share.end % page == 0);
            prop_assert!(rounded || shares == slices);
            prop_assert!(rounded || slices[0].end < page, "where each has one they are whole");
            let mut at = 0;
            for (rank, (share, slice)) in (0_u32..).zip(shares.iter().zip(&slices)) {
                prop_assert_eq!(share.start, at);
                prop_assert!(!share.is_empty() || slice.is_empty(), "nobody is left without");
                prop_assert!(share.end.abs_diff(slice.end) <= page / 2);
                prop_assert_eq!(super::share(&partition, dtype, Advice::Small, rank), slice.clone());
                at = share.end;
            }
            prop_assert_eq!(at, size);
        }
    }
}
