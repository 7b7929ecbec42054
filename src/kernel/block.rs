//! What a kernel is given to work on, and how it says that it cannot.
#![expect(unsafe_code, reason = "typed slices over mapped memory")]

use std::marker::PhantomData;

use super::operands::OperandsAt;
use super::{Params, vectorised};
use crate::data::{DType, Overflow, Scalar};

/// The problem a kernel is part of: the same for every block of a run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting<'a> {
    /// The kernel's own parameters.
    pub params: &'a Params,
    /// The element type of input and result.
    pub dtype: DType,
    /// The size of the index space.
    pub size: u64,
    /// What integer arithmetic does beyond its range. Under `Error` no input overflows: they were
    /// all checked before.
    pub overflow: Overflow,
    /// The seed of random numbers. Key them by (seed, index), never by rank: then the result is
    /// the same for every number of ranks.
    pub seed: u64,
}

/// Everything a block knows beside its data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) setting: Setting<'a>,
    pub(crate) rank: u32,
    pub(crate) pid: u32,
}

/// A run of consecutive indices with their inputs and room for their results.
///
/// At most 8 KiB of results where inputs are converted or saved, so that all of it stays in the nearest cache,
/// else 64 KiB, and in a plain loop as much as 10 ms of work; a run can be stopped between two blocks of a long chunk.
#[derive(Debug)]
pub struct Block<'a> {
    context: Context<'a>,
    pub(super) at: BlockAt,
    memory: PhantomData<&'a mut [u8]>,
}

/// Where a block's data lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockAt {
    pub(crate) first: u64,
    pub(crate) len: usize,
    pub(crate) input: InputsAt,
    pub(crate) operands: OperandsAt,
    pub(crate) result: *mut u8,
}

/// Where a block's inputs lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InputsAt {
    /// Nowhere: the kernel reads none.
    Nowhere,
    /// Here, apart from the results.
    Apart(*const u8),
    /// Where the results do. Here is room for a copy, for a kernel that has to see both.
    Under(*mut u8),
    /// They were where the results are now.
    Gone,
}

impl<'a> Block<'a> {
    /// # Safety
    /// For 'a, inputs that are apart and each of `at.operands` are valid for reads, and `at.result` for
    /// reads and writes, of `at.len` elements of the setting's dtype, aligned for it; the results overlap
    /// none of the others, which nobody writes, and nobody else touches the results. The room for inputs
    /// that are under the results is valid for writes of as many, and nobody else touches it either.
    pub(crate) unsafe fn new(context: Context<'a>, at: BlockAt) -> Self {
        Self { context, at, memory: PhantomData }
    }

    /// Returns the first index.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.at.first
    }

    /// Returns the number of indices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at.len
    }

    /// Says whether there are none; never true for a block that a kernel is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at.len == 0
    }

    /// Returns the element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.context.setting.dtype
    }

    /// Returns the problem this block is part of.
    #[must_use]
    pub fn setting(&self) -> &Setting<'a> {
        &self.context.setting
    }

    /// Returns the kernel's parameters.
    #[must_use]
    pub fn params(&self) -> &'a Params {
        self.context.setting.params
    }

    /// Returns the rank that computes this block.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.context.rank
    }

    /// Returns the process that computes this block.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.context.pid
    }

    pub(super) fn check_type<T: Scalar>(&self) {
        assert!(
            T::DTYPE == self.dtype(),
            "the kernel asked for {}, the block holds {}",
            T::DTYPE,
            self.dtype()
        );
    }

    /// Returns the inputs, and the results to be written. They never overlap, also in place.
    ///
    /// # Panics
    /// If `T` is not the block's element type, or the kernel has declared that it reads no input.
    pub fn slices<T: Scalar>(&mut self) -> (&[T], &mut [T]) {
        self.check_type::<T>();
        if let InputsAt::Under(room) = self.at.input {
            let bytes = self.at.len * size_of::<T>();
            // SAFETY: the promise of `new`: that many bytes each, and they do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(self.at.result.cast_const(), room, bytes) };
            self.at.input = InputsAt::Apart(room);
        }
        let input = match self.at.input {
            InputsAt::Apart(input) => input,
            InputsAt::Gone => panic!("the kernel asked for its inputs again, after `map`"),
            _ => panic!("the kernel declared that it reads no input"),
        };
        // SAFETY: the promise of `new`, for the type just checked.
        let input = unsafe { std::slice::from_raw_parts(input.cast(), self.at.len) };
        // SAFETY: as above; `&mut self` makes it the only one.
        let result = unsafe { std::slice::from_raw_parts_mut(self.at.result.cast(), self.at.len) };
        (input, result)
    }

    /// Sets every result to `f` of its input. To be called once: in place the inputs may be gone after it.
    ///
    /// # Panics
    /// If `T` is not the block's element type.
    pub fn map<T: Scalar>(&mut self, mut f: impl FnMut(T) -> T) {
        /// Asking the processor what it can do is dear in virtual machines: not for a few numbers.
        const WORTH_ASKING: usize = 128;
        if let InputsAt::Under(_) = self.at.input {
            self.check_type::<T>();
            self.at.input = InputsAt::Gone;
            // SAFETY: the promise of `new`, for the type just checked; the inputs lie there too.
            let values: &mut [T] =
                unsafe { std::slice::from_raw_parts_mut(self.at.result.cast(), self.at.len) };
            let few = values.len() < WORTH_ASKING;
            let mut each = || values.iter_mut().for_each(|value| *value = f(*value));
            return if few { each() } else { vectorised(each) };
        }
        let (input, result) = self.slices::<T>();
        let mut each = || result.iter_mut().zip(input).for_each(|(y, &x)| *y = f(x));
        if input.len() < WORTH_ASKING { each() } else { vectorised(each) }
    }
}

/// Why a kernel cannot go on: the run fails with this text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    pub(crate) index: Option<u64>,
    pub(crate) message: String,
}

impl KernelError {
    /// Returns an error about the whole problem.
    pub fn new(message: impl Into<String>) -> Self {
        Self { index: None, message: message.into() }
    }

    /// Returns an error about one index.
    pub fn at(index: u64, message: impl Into<String>) -> Self {
        Self { index: Some(index), message: message.into() }
    }
}
