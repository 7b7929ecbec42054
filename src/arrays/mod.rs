//! The input and result arrays as one process has them mapped, and the blocks kernels work on.
//!
//! This is where raw windows become typed slices. What makes that sound is invariant I3 of
//! [`crate::shm`]: inputs are written by nobody during a pass, and a range of the results belongs to
//! the holder of the lease that names it.
#![expect(unsafe_code, reason = "typed access to mapped arrays")]

mod operands;

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::data::{ByteOrder, DType, Scalar};
use crate::host::map::Window;
use crate::job::{Bounds, Home, InputAt, Job, Mode};
use crate::kernel::{
    Block, BlockAt, Context, InputsAt, Kernel, KernelError, OperandsAt, Reads, vectorised,
};
use crate::schedule::Chunk;
use crate::with_dtype;

pub(crate) use self::operands::{OperandsFrom, bytes as operand_bytes};

/// Results of one block: small enough that a block, its inputs and its saved copy stay in a 32 KiB cache.
pub(crate) const BLOCK_BYTES: usize = 8 * 1024;
/// Results of one block that is computed from memory to memory, with nothing copied in between: there a
/// longer stream is faster, by a seventh where memory is the limit.
const STREAM_BYTES: usize = 64 * 1024;

/// Results of one block that is saved first, by a kernel that may be limited by memory: while a block is in
/// the caches memory is idle, so that blocks are short, and each copy asks for what is copied two blocks on.
const SAVED_BYTES: usize = 4 * 1024;

/// Bytes of a line of the caches.
const LINE: usize = 64;

/// How a chunk is done, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    /// How many indices are done at once: in place, what is saved at once.
    pub(crate) block: usize,
    /// How far ahead of what is copied memory is asked for, in bytes; 0 for not at all.
    pub(crate) ahead: usize,
}

/// A process's view of the arrays.
#[derive(Debug)]
pub(crate) struct Arrays<'a> {
    job: &'a Job,
    /// What the kernel reads, as it said once: the layout was made for that.
    reads: Reads,
    input: InputFrom<'a>,
    operands: OperandsFrom,
    /// First byte of the result array.
    result: *mut u8,
    scratch: Scratch,
}

/// Where this process reads inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InputFrom<'a> {
    /// x\[i\] is this plus i.
    Index(i128),
    /// n elements in memory, perhaps unaligned.
    Memory {
        /// The first.
        at: *const u8,
        /// The order of their bytes.
        order: ByteOrder,
    },
    /// n elements in a file, read block by block.
    File {
        /// The file.
        file: &'a File,
        /// Where in it the first begins.
        offset: u64,
        /// The order of their bytes.
        order: ByteOrder,
    },
}

impl InputFrom<'_> {
    /// Returns the input of a job whose array, unless its inputs are indices, is mapped at `at`.
    pub(crate) fn of(job: &Job, at: *const u8) -> Self {
        match job.input {
            InputAt::Index { negative, magnitude } => {
                let magnitude = i128::from(magnitude);
                Self::Index(if negative { -magnitude } else { magnitude })
            }
            InputAt::File { order, .. } => Self::Memory { at, order },
            InputAt::Segment => Self::Memory { at, order: ByteOrder::Native },
        }
    }
}

/// Room for some blocks, aligned to a cache line.
#[derive(Debug)]
pub(crate) struct Scratch(Box<[Line]>);

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
#[expect(dead_code, reason = "only its bytes are used")]
struct Line([u8; 64]);

impl Scratch {
    fn new(blocks: usize) -> Self {
        Self(vec![Line([0; 64]); blocks * (BLOCK_BYTES / 64)].into_boxed_slice())
    }

    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

impl<'a> Arrays<'a> {
    /// Takes what one process has of the arrays.
    ///
    /// # Safety
    /// An input in memory is n elements of the job's dtype; `result` is n elements, aligned; operands in
    /// memory are as many bytes as [`operand_bytes`] says of `reads`, aligned. All stay mapped for 'a.
    pub(crate) unsafe fn new(
        job: &'a Job,
        reads: Reads,
        input: InputFrom<'a>,
        operands: OperandsFrom,
        result: *mut u8,
    ) -> Self {
        let blocks = match job.mode {
            Mode::Apart | Mode::InPlace => 1,
            // Room for what a kernel has to see beside its results, of a long block.
            Mode::InPlaceUnsaved => STREAM_BYTES / BLOCK_BYTES,
        };
        Self { job, reads, input, operands, result, scratch: Scratch::new(blocks) }
    }

    fn element(&self) -> usize {
        self.job.dtype.size()
    }

    /// Returns how many indices are done at once, for a kernel that takes so long for each.
    pub(crate) fn steps(&self, ns_per_index: f64) -> Steps {
        /// Nanoseconds: between two blocks a rank looks whether it is to stop, and is seen to go on.
        const LONG: f64 = 1e6;
        /// Nanoseconds: a plain loop is cut as rarely as nobody could measure, and a kernel that takes ten times
        /// what it states is not yet taken for one that hangs.
        const UNSEEN: f64 = 1e7;
        /// Nanoseconds a byte: what computes for longer than this does not wait for memory.
        const BUSY: f64 = 1.0;
        let direct = match (self.reads, &self.input, &self.operands) {
            (Reads::Index, ..) | (Reads::Operands(_), _, OperandsFrom::Memory(_)) => true,
            (Reads::Input, &InputFrom::Memory { at, order: ByteOrder::Native }, _) => {
                at.addr().is_multiple_of(self.element())
            }
            _ => false,
        };
        let [block, stream, saved] =
            [BLOCK_BYTES, STREAM_BYTES, SAVED_BYTES].map(|bytes| bytes / self.element());
        let quick = ns_per_index * (stream as f64) < LONG;
        let streaming = ns_per_index < BUSY * self.element() as f64;
        match self.job.mode {
            Mode::Apart if direct && self.job.home == Home::Own => {
                let least = if quick { stream } else { block };
                let all = usize::try_from(self.job.size).unwrap_or(usize::MAX);
                Steps {
                    block: least.max((UNSEEN / ns_per_index) as usize).min(all.max(1)),
                    ahead: 0,
                }
            }
            Mode::Apart if direct && quick => Steps { block: stream, ahead: 0 },
            Mode::InPlaceUnsaved if quick => Steps { block: stream, ahead: 0 },
            Mode::InPlace if streaming => Steps { block: saved, ahead: 2 * SAVED_BYTES },
            Mode::Apart | Mode::InPlace | Mode::InPlaceUnsaved => Steps { block, ahead: 0 },
        }
    }

    /// Returns the address of a result.
    pub(crate) fn result_at(&self, index: u64) -> *mut u8 {
        // In range: an index below n, in an array of n elements that is mapped.
        self.result.wrapping_add(usize::try_from(index).unwrap_or(usize::MAX) * self.element())
    }

    /// Returns the inputs of a block, native and aligned: in place where they lie so, else copied.
    fn load(&mut self, block: &Chunk) -> Result<*const u8, KernelError> {
        let len = length(block);
        let scratch = self.scratch.as_mut_ptr();
        // Longer ones are asked for only where nothing is copied: see `step`.
        let fits = len * self.element() <= BLOCK_BYTES;
        let too_long = || KernelError::new("a block is longer than the room for its inputs");
        with_dtype!(self.job.dtype, T => match self.input {
            InputFrom::Index(_) | InputFrom::File { .. } if !fits => Err(too_long()),
            InputFrom::Index(first) => {
                // SAFETY: the scratch holds a block, aligned, and nobody else uses it meanwhile.
                let out = unsafe { std::slice::from_raw_parts_mut(scratch.cast::<T>(), len) };
                let first = first + i128::from(block.start);
                match i64::try_from(first) {
                    // An index space ends below 2^40, so a value this far from the end is safe.
                    Ok(first) if first < i64::MAX - (1 << 41) => {
                        out.iter_mut().zip(first..).for_each(|(x, value)| *x = T::from_i64(value));
                    }
                    _ => out.iter_mut().zip(first..).for_each(|(x, value)| *x = T::from_i128(value)),
                }
                Ok(scratch.cast_const())
            }
            InputFrom::Memory { at, order } => {
                let from = at.wrapping_add(block.start as usize * size_of::<T>()).cast::<T>();
                if order == ByteOrder::Native && from.is_aligned() {
                    return Ok(from.cast());
                }
                if !fits {
                    return Err(too_long());
                }
                // SAFETY: as above.
                let out = unsafe { std::slice::from_raw_parts_mut(scratch.cast::<T>(), len) };
                for (offset, x) in out.iter_mut().enumerate() {
                    let at = from.wrapping_add(offset);
                    // SAFETY: the block lies in the input array; alignment is not assumed.
                    let value = unsafe { at.read_unaligned() };
                    *x = if order == ByteOrder::Native { value } else { value.swap_bytes() };
                }
                Ok(scratch.cast_const())
            }
            InputFrom::File { file, offset, order } => {
                let size = size_of::<T>();
                // SAFETY: as above; bytes of it, before they are elements.
                let bytes = unsafe { std::slice::from_raw_parts_mut(scratch, len * size) };
                file.read_exact_at(bytes, offset + block.start * size as u64).map_err(|error| {
                    KernelError::new(format!("the input cannot be read again: {error}"))
                })?;
                if order == ByteOrder::Swapped {
                    bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
                }
                Ok(scratch.cast_const())
            }
        })
    }

    /// Copies the inputs of a range into the result array: the first step of an in-place run.
    ///
    /// The range must belong to this rank: its own slice, before the barrier that opens the pass.
    pub(crate) fn initialise(&mut self, range: Chunk) -> Result<(), KernelError> {
        for block in blocks(&range, self.job.dtype) {
            let from = self.load(&block)?;
            let bytes = length(&block) * self.element();
            // SAFETY: both are that many bytes, and never overlap: results have their own pages.
            unsafe { std::ptr::copy_nonoverlapping(from, self.result_at(block.start), bytes) };
        }
        Ok(())
    }

    /// Finds the first input of a range that lies outside the bounds.
    pub(crate) fn first_outside(
        &mut self,
        range: Chunk,
        bounds: Bounds,
    ) -> Result<Option<u64>, KernelError> {
        for block in blocks(&range, self.job.dtype) {
            let from = self.load(&block)?;
            let found = with_dtype!(self.job.dtype, T => {
                // SAFETY: `load` returns that many elements, native and aligned.
                let input = unsafe { std::slice::from_raw_parts(from.cast::<T>(), length(&block)) };
                first_outside(input, bounds)
            });
            if let Some(offset) = found {
                return Ok(Some(block.start + offset as u64));
            }
        }
        Ok(None)
    }

    /// Returns one input as text.
    pub(crate) fn input_text(&mut self, index: u64) -> Result<String, KernelError> {
        let from = self.load(&(index..index + 1))?;
        Ok(with_dtype!(self.job.dtype, T => {
            // SAFETY: `load` returns one element, native and aligned.
            text(unsafe { from.cast::<T>().read() })
        }))
    }

    /// Computes a block, or a part of one, from the input array into `result`.
    ///
    /// # Safety
    /// `result` is the block's length of elements, aligned, that nobody else touches meanwhile.
    pub(crate) unsafe fn compute(
        &mut self,
        kernel: &dyn Kernel,
        context: Context<'_>,
        block: &Chunk,
        result: *mut u8,
    ) -> Result<(), KernelError> {
        let input = match self.reads {
            Reads::Input => InputsAt::Apart(self.load(block)?),
            Reads::Index | Reads::Operands(_) => InputsAt::Nowhere,
        };
        let operands = self.operands_of(kernel, context, block)?;
        let at = BlockAt { first: block.start, len: length(block), input, operands, result };
        // SAFETY: inputs from `load`, and operands, which nobody writes during a pass; results by the
        // caller's promise; they do not overlap, being different arrays.
        kernel.run(&mut unsafe { Block::new(context, at) })
    }

    /// Computes a block, or a part of one, over its inputs, which lie in the result array. What is done
    /// cannot be done again.
    ///
    /// # Safety
    /// The block's results belong to the caller.
    pub(crate) unsafe fn compute_over(
        &mut self,
        kernel: &dyn Kernel,
        context: Context<'_>,
        block: &Chunk,
    ) -> Result<(), KernelError> {
        let at = BlockAt {
            first: block.start,
            len: length(block),
            input: InputsAt::Under(self.scratch.as_mut_ptr()),
            operands: OperandsAt::NONE, // The plan refuses such a kernel in place.
            result: self.result_at(block.start),
        };
        // SAFETY: the results are the caller's, and the scratch, a block's worth, is ours.
        kernel.run(&mut unsafe { Block::new(context, at) })
    }

    /// Copies a part of a block's inputs, which lie in the result array, into its saved block; of what lies
    /// `ahead` bytes on, up to the index `end`, it asks for a line with each one that it copies.
    ///
    /// # Safety
    /// `saved` is room for a block, aligned, and it and the block's results belong to the caller.
    pub(crate) unsafe fn save(
        &self,
        block: &Chunk,
        part: &Chunk,
        saved: *mut u8,
        ahead: usize,
        end: u64,
    ) {
        let (from, to) = (self.result_at(part.start), self.in_saved(block, part.start, saved));
        let bytes = length(part) * self.element();
        let rest = (end - part.start) as usize * self.element();
        let lines = if ahead == 0 { 0 } else { bytes / LINE };
        let asked = lines.min(rest.saturating_sub(ahead) / LINE);
        // Refers to the pointers, on purpose: with them by value the loop takes an eighth longer, as measured.
        let line = |line: usize| {
            let (from, to) = (from.wrapping_add(line * LINE), to.wrapping_add(line * LINE));
            // SAFETY: a line of what is copied, the caller's; the saved block lies outside the array.
            unsafe { std::ptr::copy_nonoverlapping(from, to, LINE) };
        };
        vectorised(move || {
            for at in 0..asked {
                prefetch(from.wrapping_add(at * LINE + ahead));
                line(at);
            }
            (asked..lines).for_each(line);
        });
        let copied = lines * LINE;
        let (from, to) = (from.wrapping_add(copied), to.wrapping_add(copied));
        // SAFETY: `bytes` each are the caller's; the saved block lies outside the array.
        unsafe { std::ptr::copy_nonoverlapping(from, to, bytes - copied) };
    }

    /// Copies a saved block back.
    ///
    /// # Safety
    /// As for [`Arrays::save`].
    pub(crate) unsafe fn restore(&self, block: &Chunk, saved: *mut u8) {
        let bytes = length(block) * self.element();
        // SAFETY: that many bytes each, the caller's; the saved block lies outside the array.
        unsafe { std::ptr::copy_nonoverlapping(saved, self.result_at(block.start), bytes) };
    }

    /// Computes a part of a block in place: the kernel reads the saved block.
    ///
    /// # Safety
    /// As for [`Arrays::save`]; and the part was saved.
    pub(crate) unsafe fn compute_saved(
        &self,
        kernel: &dyn Kernel,
        context: Context<'_>,
        block: &Chunk,
        part: &Chunk,
        saved: *mut u8,
    ) -> Result<(), KernelError> {
        let at = BlockAt {
            first: part.start,
            len: length(part),
            input: InputsAt::Apart(self.in_saved(block, part.start, saved)),
            operands: OperandsAt::NONE, // The plan refuses such a kernel in place.
            result: self.result_at(part.start),
        };
        // SAFETY: both are the caller's, and they do not overlap.
        kernel.run(&mut unsafe { Block::new(context, at) })
    }

    /// Returns where an index of a block lies in its saved block.
    fn in_saved(&self, block: &Chunk, index: u64, saved: *mut u8) -> *mut u8 {
        saved.wrapping_add((index - block.start) as usize * self.element())
    }

    /// Makes the result of an index that is left out one that nobody takes for a result: NaN, or 0 where
    /// there is no NaN.
    ///
    /// # Safety
    /// The result belongs to the caller.
    pub(crate) unsafe fn leave_out(&self, index: u64) {
        let at = self.result_at(index);
        with_dtype!(self.job.dtype, T => {
            // SAFETY: an element of the array, aligned, the caller's.
            unsafe { at.cast::<T>().write(T::NONE) }
        });
    }
}

/// Cuts a chunk into blocks.
pub(crate) fn blocks(chunk: &Chunk, dtype: DType) -> impl Iterator<Item = Chunk> + use<> {
    blocks_of(chunk, BLOCK_BYTES / dtype.size())
}

/// Cuts a chunk into blocks of so many indices.
pub(crate) fn blocks_of(chunk: &Chunk, step: usize) -> impl Iterator<Item = Chunk> + use<> {
    let end = chunk.end;
    chunk.clone().step_by(step).map(move |first| first..end.min(first + step as u64))
}

/// Asks for a line of memory.
#[cfg(target_arch = "x86_64")]
fn prefetch(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: part of every x86-64; it never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: *const u8) {}

fn length(block: &Chunk) -> usize {
    (block.end - block.start) as usize
}

fn first_outside<T: Scalar>(input: &[T], bounds: Bounds) -> Option<usize> {
    let (least, greatest) = (i128::from(bounds.least), i128::from(bounds.greatest));
    // In the element's own type, so that the loop vectorises; a bound beyond the type never holds.
    let (low, high) = (T::from_i128(least), T::from_i128(greatest));
    let low = (low.to_i128() == Some(least)).then_some(low);
    let high = (high.to_i128() == Some(greatest)).then_some(high);
    let outside = match (low, high) {
        (Some(low), Some(high)) => input.iter().any(|&x| (x < low) | (x > high)),
        (Some(low), None) => input.iter().any(|&x| x < low),
        (None, Some(high)) => input.iter().any(|&x| x > high),
        (None, None) => false,
    };
    if !outside {
        return None;
    }
    input.iter().position(|x| x.to_i128().is_some_and(|x| !bounds.contains(x)))
}

/// Writes a number as results are shown.
pub(crate) fn text<T: Scalar>(value: T) -> String {
    let mut text = String::new();
    let _ = value.write_text(&mut text); // A String takes everything.
    text
}

/// Returns the first byte of a window.
pub(crate) fn start(window: &Window) -> *mut u8 {
    window.as_ptr()
}
