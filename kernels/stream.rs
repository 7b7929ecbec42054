//! What the four kernels of STREAM have in common: their arrays, their scalar, their types.
//!
//! STREAM (J. McCalpin, <https://www.cs.virginia.edu/stream/>) measures the memory bandwidth that four
//! simple loops get. Its rules: arrays at least four times as large as all caches together, and bytes
//! counted as the loop names them, so not what a store reads first.
//!
//! Operand k holds 1 + i mod m, with m = 1021 for the first and 1031 for the second: never all the same,
//! and small whole numbers, so that with a whole scalar every result is exact in both types. Each
//! operation is rounded by itself, never fused.

use crate::kernel::{Block, Param, ParamKind};
use crate::{DType, Scalar, with_dtype};

pub(super) const DTYPES: &[DType] = &[DType::F64, DType::F32];

pub(super) const INPUT: &str = "range:0:1000000";

pub(super) const SCALAR: &[Param] = &[Param {
    name: "scalar",
    about: "what to multiply by",
    kind: ParamKind::Number,
    default: "3",
}];

/// Nanoseconds for so many bytes on one core: about 10 GB/s.
pub(super) fn ns(bytes: f64) -> f64 {
    bytes / 10.0
}

/// Fills a block of an operand.
pub(super) fn fill(operand: u32, block: &mut Block<'_>) {
    let period = if operand == 0 { 1021 } else { 1031 };
    let first = block.first();
    with_dtype!(block.dtype(), T => {
        for (index, value) in (first..).zip(block.result::<T>()) {
            *value = T::from_i64(1 + (index % period) as i64);
        }
    });
}
