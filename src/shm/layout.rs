//! Where everything lies in the segment: one pure function of a few numbers.
//!
//! The launcher writes the numbers ([`Dims`]) into the header, a rank reads them back and computes
//! the same [`Layout`]: there is no table of offsets to trust. All arithmetic is checked.

use super::barrier::Barrier;
use super::claims::{Handover, LeaseSlot, RangeSlot, Tail};
use super::exceptions::Exceptions;
use super::header::Header;
use super::rank_slot::{PassTime, RankSlot};
use super::trail::{StepWords, TrailHead};
use crate::host::map::HUGE_PAGE;

/// What decides a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dims {
    /// Ranks, 1..=4096.
    pub(crate) procs: u32,
    /// Claim queues: 1, or one per rank.
    pub(crate) queues: u32,
    /// Passes whose time is kept.
    pub(crate) samples: u64,
    /// Bytes of the job's description.
    pub(crate) job: u64,
    /// Bytes of one saved block; 0 unless in place.
    pub(crate) saved_block: u64,
    /// Bytes of the input array, when the segment holds it.
    pub(crate) source: u64,
    /// Bytes of the result array, when the segment holds it.
    pub(crate) result: u64,
    /// Bytes of the kernel's own arrays, one after another.
    pub(crate) operands: u64,
    /// Steps that each rank has room to write down; 0 unless a trace was asked for.
    pub(crate) trail: u64,
}

/// The largest world: rank numbers are 12 bits in a claim word.
pub(crate) const MAX_PROCS: u32 = 4096;

/// A run of bytes in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

/// The offsets, in bytes from the start of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) dims: Dims,
    pub(crate) header: Span,
    pub(crate) barrier: Span,
    pub(crate) exceptions: Span,
    pub(crate) tails: Span,
    pub(crate) slots: Span,
    pub(crate) ranges: Span,
    pub(crate) handover: Span,
    pub(crate) ranks: Span,
    pub(crate) samples: Span,
    /// Of each rank; empty unless a trace was asked for, as are the steps.
    pub(crate) trails: Span,
    /// Of rank 0, then of rank 1.
    pub(crate) steps: Span,
    pub(crate) job: Span,
    /// Everything up to here is bookkeeping: mapped, writable, by all.
    pub(crate) control: usize,
    /// Saved blocks: one per lease slot, then one per range.
    pub(crate) saved: Span,
    /// The kernel's own arrays: written in the preparation of the first pass, then only read.
    pub(crate) operands: Span,
    /// The result array.
    pub(crate) result: Span,
    /// The input array, which ranks map read-only: last, so that all before it is one mapping.
    pub(crate) source: Span,
    pub(crate) total: usize,
}

/// Regions that ranks map by themselves begin on multiples of this: of any page size in use.
const PAGE: usize = 1 << 16;

/// Returns what an array of so many bytes begins on a multiple of: those that may have huge pages begin with one.
fn aligned_for(len: usize) -> usize {
    if len < HUGE_PAGE { PAGE } else { HUGE_PAGE }
}

impl Layout {
    /// Lays out a segment; `None` if a size overflows, or a number is out of its range.
    pub(crate) fn new(dims: Dims) -> Option<Self> {
        if dims.procs == 0 || dims.procs > MAX_PROCS {
            return None;
        }
        if dims.queues != 1 && dims.queues != dims.procs {
            return None;
        }
        let procs = dims.procs as usize;
        let mut end = 0_usize;
        let mut place = |len: usize, align: usize| -> Option<Span> {
            let offset = end.checked_next_multiple_of(align)?;
            end = offset.checked_add(len)?;
            (end <= isize::MAX as usize).then_some(Span { offset, len })
        };
        let header = place(size_of::<Header>(), 128)?;
        let barrier = place(size_of::<Barrier>(), 128)?;
        let exceptions = place(size_of::<Exceptions>(), 128)?;
        let tails = place((dims.queues as usize).checked_mul(size_of::<Tail>())?, 128)?;
        let slots = place(procs.checked_mul(size_of::<LeaseSlot>())?, 128)?;
        let ranges = place(procs.checked_mul(size_of::<RangeSlot>())?, 128)?;
        let handover = place(size_of::<Handover>(), 128)?;
        let ranks = place(procs.checked_mul(size_of::<RankSlot>())?, 128)?;
        let samples =
            place(usize::try_from(dims.samples).ok()?.checked_mul(size_of::<PassTime>())?, 128)?;
        let trails = if dims.trail == 0 { 0 } else { procs };
        let trails = place(trails * size_of::<TrailHead>(), 128)?;
        let steps = usize::try_from(dims.trail).ok()?.checked_mul(procs)?;
        let steps = place(steps.checked_mul(size_of::<StepWords>())?, 128)?;
        let job = place(usize::try_from(dims.job).ok()?, 128)?;
        let control = place(0, PAGE)?.offset;
        let saved = place(usize::try_from(dims.saved_block).ok()?.checked_mul(2 * procs)?, PAGE)?;
        let (operands, result) =
            (usize::try_from(dims.operands).ok()?, usize::try_from(dims.result).ok()?);
        let operands = place(operands, aligned_for(operands))?;
        let result = place(result, aligned_for(result))?;
        // Where large results end, a page of them may: the last is whole.
        let source = place(usize::try_from(dims.source).ok()?, aligned_for(result.len))?;
        let total = place(0, PAGE)?.offset;
        Some(Self {
            dims,
            header,
            barrier,
            exceptions,
            tails,
            slots,
            ranges,
            handover,
            ranks,
            samples,
            trails,
            steps,
            job,
            control,
            saved,
            operands,
            result,
            source,
            total,
        })
    }

    /// Returns where the words lie that say what is finished: they may lie in a file instead.
    pub(crate) fn words(&self) -> Span {
        let offset = self.exceptions.offset;
        Span { offset, len: self.handover.offset + self.handover.len - offset }
    }

    /// Says whether an array is large enough for huge pages.
    pub(super) fn may_have_huge_pages(&self) -> bool {
        self.operands.len.max(self.result.len) >= HUGE_PAGE
    }

    /// Returns how much of the bookkeeping there is anything in: the rest only fills up its last page.
    pub(super) fn used(&self) -> usize {
        self.job.offset + self.job.len
    }

    /// Returns the bytes that there must be memory for: between arrays nothing is written, and there is memory only
    /// where the last huge page of large results can be had whole.
    pub(super) fn needed(&self) -> usize {
        self.control + self.saved.len + self.operands.len + self.result.len + self.source.len
    }

    /// Returns the bytes that n and the chunk have no part in: what the run itself costs.
    pub(crate) fn bookkeeping(&self) -> usize {
        self.control + self.saved.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dims() -> Dims {
        Dims {
            procs: 4,
            queues: 4,
            samples: 3,
            job: 700,
            saved_block: 0,
            source: 0,
            result: 40,
            operands: 0,
            trail: 0,
        }
    }

    #[test]
    fn bookkeeping_does_not_grow_with_the_data() {
        let small = Layout::new(dims()).unwrap();
        let large =
            Layout::new(Dims { result: 8 << 30, source: 8 << 30, operands: 8 << 30, ..dims() })
                .unwrap();
        assert_eq!(small.bookkeeping(), large.bookkeeping());
        let most = Layout::new(Dims { procs: MAX_PROCS, queues: MAX_PROCS, ..dims() }).unwrap();
        assert!(most.bookkeeping() < 16 << 20, "{}", most.bookkeeping());
    }

    /// Sizes that fit, and any at all.
    fn sizes() -> impl Strategy<Value = u64> {
        prop_oneof![0..1_u64 << 40, any::<u64>()]
    }

    proptest! {
        #[test]
        fn spans_follow_one_another_without_overlap(
            procs in 1_u32..=MAX_PROCS, own in any::<bool>(), samples in 0_u64..1000,
            job in 0_u64..10_000, saved_block in 0_u64..20_000,
            source in sizes(), result in sizes(), operands in sizes(),
            trail in prop_oneof![Just(0), sizes()],
        ) {
            let queues = if own { procs } else { 1 };
            let dims = Dims {
                procs, queues, samples, job, saved_block, source, result, operands, trail,
            };
            if let Some(l) = Layout::new(dims) {
                let spans = [l.header, l.barrier, l.exceptions, l.tails, l.slots, l.ranges, l.handover, l.ranks, l.samples, l.trails, l.steps, l.job,
                    Span { offset: l.control, len: 0 }, l.saved, l.operands, l.result, l.source,
                    Span { offset: l.total, len: 0 }];
                for pair in spans.windows(2) {
                    prop_assert!(pair[0].offset + pair[0].len <= pair[1].offset);
                }
            }
        }
    }

    #[test]
    fn large_arrays_begin_with_a_huge_page_and_large_results_have_the_last_one_to_themselves() {
        let page = HUGE_PAGE as u64;
        for result in [page - 8, page, page + 8, 5 * page / 2] {
            for operands in [0, page - 8, 3 * page] {
                let l = Layout::new(Dims { result, operands, source: 80, ..dims() }).unwrap();
                for large in [l.operands, l.result].iter().filter(|span| span.len >= HUGE_PAGE) {
                    assert_eq!(large.offset % HUGE_PAGE, 0, "{large:?}");
                }
                assert!(l.result.len < HUGE_PAGE || l.source.offset.is_multiple_of(HUGE_PAGE));
                assert!(l.total - l.needed() < 3 * HUGE_PAGE + 4 * PAGE);
            }
        }
        let small = Layout::new(Dims { source: 80, saved_block: 8, ..dims() }).unwrap();
        assert_eq!(small.result.offset, small.operands.offset, "as close as pages let them be");
        assert!(small.total <= small.control + 4 * PAGE);
    }

    #[test]
    fn sizes_that_overflow_have_no_layout() {
        for result in [u64::MAX, 1 << 63, (1 << 63) - 4096] {
            assert_eq!(Layout::new(Dims { result, ..dims() }), None);
            assert_eq!(Layout::new(Dims { operands: result, ..dims() }), None);
            assert_eq!(Layout::new(Dims { trail: result, ..dims() }), None);
        }
        assert_eq!(Layout::new(Dims { procs: 0, queues: 0, ..dims() }), None);
        assert_eq!(Layout::new(Dims { procs: 5000, queues: 1, ..dims() }), None);
        assert_eq!(Layout::new(Dims { queues: 2, ..dims() }), None);
    }
}
