//! Which arrays a kernel reads, and a block's parts of those that are its own.
#![expect(unsafe_code, reason = "typed slices over mapped memory")]

use super::Block;
use crate::data::Scalar;

/// What a kernel computes a result from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The input: y\[i\] = f(i, x\[i\]).
    Input,
    /// The index alone: y\[i\] = f(i). There is no input then, only a size.
    Index,
    /// The index and so many arrays of its own: y\[i\] = f(i, a\[i\], b\[i\], …).
    ///
    /// They have the dtype and the size of the result, lie in the segment, and are filled by
    /// [`Kernel::fill`](super::Kernel::fill) before the first pass. There is no input then, only a size.
    Operands(u32),
}

impl Reads {
    /// Returns the number of arrays that are the kernel's own.
    pub(crate) fn operands(self) -> u32 {
        match self {
            Self::Input | Self::Index => 0,
            Self::Operands(count) => count,
        }
    }
}

/// Where a block's parts of the operands lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperandsAt {
    /// The part of the first.
    pub(crate) first: *const u8,
    /// Bytes from there to the part of the next.
    pub(crate) stride: usize,
    pub(crate) count: u32,
}

impl OperandsAt {
    /// Those of a kernel that has none.
    pub(crate) const NONE: Self = Self { first: std::ptr::null(), stride: 0, count: 0 };
}

impl Block<'_> {
    /// Returns the results to be written, for a kernel that needs no more than the index.
    ///
    /// # Panics
    /// If `T` is not the block's element type.
    pub fn result<T: Scalar>(&mut self) -> &mut [T] {
        self.operands::<T, 0>().1
    }

    /// Returns the first `N` operands, and the results to be written. They never overlap.
    ///
    /// # Panics
    /// If `T` is not the block's element type, or the kernel has fewer operands than `N`.
    pub fn operands<T: Scalar, const N: usize>(&mut self) -> ([&[T]; N], &mut [T]) {
        self.check_type::<T>();
        let OperandsAt { first, stride, count } = self.at.operands;
        assert!(N <= count as usize, "the kernel asked for {N} operands, it declared {count}");
        let operands = std::array::from_fn(|number| {
            let at = first.wrapping_add(number * stride).cast();
            // SAFETY: the promise of `Block::new`, for the type and the number just checked.
            unsafe { std::slice::from_raw_parts(at, self.at.len) }
        });
        // SAFETY: as above; `&mut self` makes it the only one.
        let result = unsafe { std::slice::from_raw_parts_mut(self.at.result.cast(), self.at.len) };
        (operands, result)
    }
}
