//! One leased chunk, block by block, from what former executors left to its commit.

use super::Stop;
use super::inject::Injector;
use crate::arrays::{self, Arrays, Steps};
use crate::job::Mode;
use crate::kernel::{Context, Kernel};
use crate::left::Left;
use crate::schedule::Chunk;
use crate::shm::{Control, Fault, Lease, Point, Probe, Progress, RankSlot};

/// What a chunk is computed with.
pub(super) struct Executor<'a> {
    pub(super) control: Control<'a>,
    pub(super) slot: &'a RankSlot,
    pub(super) kernel: &'a dyn Kernel,
    pub(super) context: Context<'a>,
    pub(super) mode: Mode,
    pub(super) steps: Steps,
    /// What is to be computed: chunks are positions in it.
    pub(super) left: &'a Left,
    /// First byte of the saved blocks.
    pub(super) saved: *mut u8,
    pub(super) injector: &'a Injector<'a>,
}

/// How the blocks of a chunk are handed to the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grain {
    /// Whole.
    Block,
    /// In two halves, with a moment between them in which a fault may strike.
    Half,
    /// Index by index: see `shm::Exceptions`.
    Single,
}

impl Executor<'_> {
    /// Computes the chunk of a lease, or what is left of it, and commits it.
    #[expect(unsafe_code, reason = "copies the lease's saved block back")]
    pub(super) fn compute(&self, arrays: &mut Arrays<'_>, lease: Lease<'_>) -> Result<(), Stop> {
        let chunk = lease.chunk();
        // Of each piece, in order; numbered through all of them: an undo word names a block by that number.
        let blocks = |piece: &Chunk| arrays::blocks_of(piece, self.steps.block);
        let begin = match lease.progress() {
            Progress::Nothing => 0,
            Progress::Final(next) => next,
            Progress::Saved(number) => {
                // Its executor died between saving this block and finishing it. The copy is whole: it
                // was armed. If this process dies here too, the next one does the same.
                let mut all = self.left.pieces(&chunk).flat_map(|piece| blocks(&piece));
                let block = usize::try_from(number).ok().and_then(|number| all.nth(number));
                let block = block.filter(|_| self.mode == Mode::InPlace).ok_or_else(damaged)?;
                // SAFETY: the lease makes the block's results ours (I3), and its slot the saved block.
                unsafe { arrays.restore(&block, self.saved_block(&lease)) };
                self.injector.at(Point::UndoRestored);
                lease.restored(number);
                number
            }
        };
        let special = |piece: Chunk| self.control.exceptions().touch(&piece);
        let grain = if self.left.pieces(&chunk).any(special) {
            Grain::Single
        } else if self.injector.is_empty() {
            Grain::Block
        } else {
            Grain::Half
        };
        self.injector.at(Point::RunFirst);
        let mut number = 0;
        for piece in self.left.pieces(&chunk) {
            for block in blocks(&piece) {
                if number >= begin {
                    self.compute_block(arrays, &lease, (number, &block), piece.end, grain)?;
                }
                number += 1;
            }
        }
        if begin > number {
            return Err(damaged()); // More blocks than there are would be final.
        }
        self.injector.at(Point::CommitBefore);
        lease.commit();
        self.injector.at(Point::CommitAfter);
        Ok(())
    }

    /// Computes one block, of a piece that ends at `end`, and looks whether the rank is to stop.
    #[inline]
    fn compute_block(
        &self,
        arrays: &mut Arrays<'_>,
        lease: &Lease<'_>,
        (number, block): (u64, &Chunk),
        end: u64,
        grain: Grain,
    ) -> Result<(), Stop> {
        match self.mode {
            Mode::Apart => self.block(arrays, block, grain)?,
            Mode::InPlace => self.block_in_place(arrays, lease, (number, block), end, grain)?,
            Mode::InPlaceUnsaved => self.block_over(arrays, block, grain)?,
        }
        self.slot.add_done(block.end - block.start);
        if self.control.header().aborted() { Err(Stop::Aborted) } else { Ok(()) }
    }

    fn saved_block(&self, lease: &Lease<'_>) -> *mut u8 {
        self.saved.wrapping_add(lease.slot() * arrays::BLOCK_BYTES)
    }

    #[expect(unsafe_code, reason = "hands out the lease's part of the results")]
    fn block(&self, arrays: &mut Arrays<'_>, block: &Chunk, grain: Grain) -> Result<(), Stop> {
        self.parts(block, grain, |part| {
            let result = arrays.result_at(part.start);
            // SAFETY: the lease makes the block's results ours until it commits (I3).
            unsafe { arrays.compute(self.kernel, self.context, part, result) }.map_err(Stop::from)
        })?;
        for index in self.omitted(block, grain) {
            // SAFETY: as above.
            unsafe { arrays.leave_out(index) };
        }
        Ok(())
    }

    /// Nothing is left out here: a run that goes on after an error survives deaths.
    #[expect(unsafe_code, reason = "hands out the lease's part of the results")]
    fn block_over(&self, arrays: &mut Arrays<'_>, block: &Chunk, grain: Grain) -> Result<(), Stop> {
        self.parts(block, grain, |part| {
            // SAFETY: the lease makes the block's results ours until it commits (I3).
            unsafe { arrays.compute_over(self.kernel, self.context, part) }.map_err(Stop::from)
        })
    }

    /// Saves a block of a piece that ends at `end`, and computes it.
    #[expect(
        unsafe_code,
        reason = "hands out the lease's part of the results, and its saved block"
    )]
    fn block_in_place(
        &self,
        arrays: &Arrays<'_>,
        lease: &Lease<'_>,
        (number, block): (u64, &Chunk),
        end: u64,
        grain: Grain,
    ) -> Result<(), Stop> {
        let saved = self.saved_block(lease);
        let halves = if grain == Grain::Half { halves(block) } else { [block.clone(), 0..0] };
        // SAFETY: the lease makes the block's results ours, and its slot the saved block (I3).
        unsafe { arrays.save(block, &halves[0], saved, self.steps.ahead, end) };
        if grain == Grain::Half {
            self.injector.at(Point::UndoHalf);
            // SAFETY: as above.
            unsafe { arrays.save(block, &halves[1], saved, self.steps.ahead, end) };
        }
        lease.arm(number);
        self.injector.at(Point::UndoArmed);
        self.parts(block, grain, |part| {
            // SAFETY: as above; all of the block is saved.
            unsafe { arrays.compute_saved(self.kernel, self.context, block, part, saved) }
                .map_err(Stop::from)
        })?;
        for index in self.omitted(block, grain) {
            // SAFETY: as above.
            unsafe { arrays.leave_out(index) };
        }
        self.injector.at(Point::UndoComputed);
        lease.disarm(number);
        self.injector.at(Point::UndoBetween);
        Ok(())
    }

    /// Calls `compute` for each part of a block, in order, but for what is to be left out.
    fn parts(
        &self,
        block: &Chunk,
        grain: Grain,
        mut compute: impl FnMut(&Chunk) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match grain {
            Grain::Block => compute(block),
            Grain::Half => {
                let [first, second] = halves(block);
                if first.start < first.end {
                    compute(&first)?;
                }
                self.injector.at(Point::RunMid);
                compute(&second)
            }
            Grain::Single => {
                let exceptions = self.control.exceptions();
                for index in block.clone().filter(|&index| !exceptions.omits(index)) {
                    self.slot.set_single(Some(index));
                    self.injector.at(Point::RunMid);
                    compute(&(index..index + 1))?;
                }
                self.slot.set_single(None);
                Ok(())
            }
        }
    }

    /// Returns the indices of a block that are left out.
    fn omitted(&self, block: &Chunk, grain: Grain) -> impl Iterator<Item = u64> {
        let exceptions = self.control.exceptions();
        let range = if grain == Grain::Single { block.clone() } else { 0..0 };
        range.filter(move |&index| exceptions.omits(index))
    }
}

/// Cuts a block in two; the second half is never empty.
fn halves(block: &Chunk) -> [Chunk; 2] {
    let middle = block.start + (block.end - block.start) / 2;
    [block.start..middle, middle..block.end]
}

fn damaged() -> Stop {
    let what = "an undo word names a block that its chunk does not have";
    Stop::Fault(Fault::Internal, None, what.to_owned())
}
