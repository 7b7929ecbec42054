//! Triad: y = a + s·b, two arrays in memory and a number.
//!
//! Measures: memory bandwidth; one of the four loops of STREAM, see `stream.rs`.
//! Cost per index: two elements read, one written (24 bytes in f64), 2 flops.
//! Check: bit for bit against a serial run.

use std::ops::{Add, Mul};

use super::stream;
use crate::kernel::{Block, Cost, Kernel, KernelError, Param, Reads, Setting};
use crate::{DType, Scalar, vectorised};

/// y = a + s·b.
pub(crate) struct Triad;

impl Kernel for Triad {
    fn name(&self) -> &'static str {
        "triad"
    }

    fn about(&self) -> &'static str {
        "y = a + s*b: STREAM triad"
    }

    fn params(&self) -> &'static [Param] {
        stream::SCALAR
    }

    fn dtypes(&self) -> &'static [DType] {
        stream::DTYPES
    }

    fn input(&self) -> &'static str {
        stream::INPUT
    }

    fn reads(&self) -> Reads {
        Reads::Operands(2)
    }

    fn fill(&self, operand: u32, block: &mut Block<'_>) -> Result<(), KernelError> {
        stream::fill(operand, block);
        Ok(())
    }

    fn cost(&self, setting: &Setting<'_>) -> Cost {
        let bytes = 3.0 * setting.dtype.size() as f64;
        Cost { bytes, flops: 2.0, ns: stream::ns(bytes) }
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let scalar = block.params().number("scalar");
        match block.dtype() {
            DType::F32 => triad(block, scalar as f32),
            _ => triad(block, scalar),
        }
        Ok(())
    }
}

fn triad<T: Scalar + Add<Output = T> + Mul<Output = T>>(block: &mut Block<'_>, scalar: T) {
    let ([a, b], result) = block.operands::<T, 2>();
    let terms = a.iter().zip(b);
    vectorised(|| result.iter_mut().zip(terms).for_each(|(y, (&a, &b))| *y = a + scalar * b));
}
