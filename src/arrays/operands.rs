//! A kernel's own arrays: where they lie, and how they come about.
//!
//! A rank has them in the segment, each rank fills its slice before the first pass, and nobody writes
//! them after that (I3). The launcher, which verifies, makes a block of them when it needs one: so it
//! also notices an operand that was damaged meanwhile.
#![expect(unsafe_code, reason = "typed access to mapped arrays")]

use super::{Arrays, BLOCK_BYTES, Scratch, length};
use crate::data::DType;
use crate::kernel::{Block, BlockAt, Context, InputsAt, Kernel, KernelError, OperandsAt, Reads};
use crate::schedule::Chunk;

/// Where this process has the operands.
#[derive(Debug)]
pub(crate) enum OperandsFrom {
    /// In memory: arrays of n elements, one after another, from here on.
    Memory(*mut u8),
    /// Nowhere: a block of each is made here when it is read.
    Made(Scratch),
}

impl OperandsFrom {
    /// Makes the operands of a kernel that reads this, block by block.
    pub(crate) fn made(reads: Reads) -> Self {
        Self::Made(Scratch::new(reads.operands() as usize))
    }
}

/// Operands begin on multiples of this, of any page size in use: none shares a page with the next.
const PAGE: u64 = 1 << 16;

/// Returns the bytes from one operand to the next; `None` if that is more than there can be.
pub(crate) fn stride(size: u64, dtype: DType) -> Option<u64> {
    size.checked_mul(dtype.size() as u64)?.checked_next_multiple_of(PAGE)
}

/// Returns the bytes of all operands of a kernel that reads this.
pub(crate) fn bytes(reads: Reads, size: u64, dtype: DType) -> Option<u64> {
    match reads.operands() {
        0 => Some(0),
        count => stride(size, dtype)?.checked_mul(u64::from(count)),
    }
}

impl Arrays<'_> {
    /// Returns where an element of an operand lies, in memory.
    pub(crate) fn operand_at(&self, operand: u32, index: u64) -> Option<*mut u8> {
        let &OperandsFrom::Memory(start) = &self.operands else { return None };
        let stride = stride(self.job.size, self.job.dtype)?;
        let offset = u64::from(operand) * stride + index * self.element() as u64;
        // In range: an index below n, in arrays that are mapped.
        Some(start.wrapping_add(usize::try_from(offset).unwrap_or(usize::MAX)))
    }

    /// Fills a block of every operand in memory.
    ///
    /// The block must belong to this rank: of its own slice, before the barrier that opens the pass.
    pub(crate) fn fill(
        &self,
        kernel: &dyn Kernel,
        context: Context<'_>,
        block: &Chunk,
    ) -> Result<(), KernelError> {
        for operand in 0..self.reads.operands() {
            if let Some(to) = self.operand_at(operand, block.start) {
                // SAFETY: as many elements of a mapped array, aligned, this rank's.
                unsafe { fill(kernel, context, operand, block, to) }?;
            }
        }
        Ok(())
    }

    /// Returns where a block's parts of the operands lie, made now if they are nowhere.
    pub(super) fn operands_of(
        &mut self,
        kernel: &dyn Kernel,
        context: Context<'_>,
        block: &Chunk,
    ) -> Result<OperandsAt, KernelError> {
        let count = self.reads.operands();
        if count == 0 {
            return Ok(OperandsAt::NONE);
        }
        let from_first = self.operand_at(0, block.start);
        match (&mut self.operands, from_first) {
            (OperandsFrom::Made(scratch), _) => {
                let first = scratch.as_mut_ptr();
                for operand in 0..count {
                    let to = first.wrapping_add(operand as usize * BLOCK_BYTES);
                    // SAFETY: the scratch holds a block of each operand, aligned, and nobody else uses it.
                    unsafe { fill(kernel, context, operand, block, to) }?;
                }
                Ok(OperandsAt { first: first.cast_const(), stride: BLOCK_BYTES, count })
            }
            (OperandsFrom::Memory(_), Some(first)) => {
                let stride = stride(self.job.size, self.job.dtype).unwrap_or(0) as usize;
                Ok(OperandsAt { first: first.cast_const(), stride, count })
            }
            (OperandsFrom::Memory(_), None) => Err(KernelError::new("the operands are too large")),
        }
    }
}

/// Fills a block of one operand at `to`.
///
/// # Safety
/// `to` is the block's length of elements, aligned, that nobody else touches meanwhile.
unsafe fn fill(
    kernel: &dyn Kernel,
    context: Context<'_>,
    operand: u32,
    block: &Chunk,
    to: *mut u8,
) -> Result<(), KernelError> {
    let at = BlockAt {
        first: block.start,
        len: length(block),
        input: InputsAt::Nowhere,
        operands: OperandsAt::NONE,
        result: to,
    };
    // SAFETY: the caller's promise; there is no input, and there are no operands.
    kernel.fill(operand, &mut unsafe { Block::new(context, at) })
}
