//! Scale: y = s·a, an array in memory and a number.
//!
//! Measures: memory bandwidth; one of the four loops of STREAM, see `stream.rs`.
//! Cost per index: one element read, one written (16 bytes in f64), 1 flop.
//! Check: bit for bit against a serial run.

use std::ops::Mul;

use super::stream;
use crate::kernel::{Block, Cost, Kernel, KernelError, Param, Reads, Setting};
use crate::{DType, Scalar, vectorised};

/// y = s·a.
pub(crate) struct Scale;

impl Kernel for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn about(&self) -> &'static str {
        "y = s*a: STREAM scale"
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
        Reads::Operands(1)
    }

    fn fill(&self, operand: u32, block: &mut Block<'_>) -> Result<(), KernelError> {
        stream::fill(operand, block);
        Ok(())
    }

    fn cost(&self, setting: &Setting<'_>) -> Cost {
        let bytes = 2.0 * setting.dtype.size() as f64;
        Cost { bytes, flops: 1.0, ns: stream::ns(bytes) }
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let scalar = block.params().number("scalar");
        match block.dtype() {
            DType::F32 => scale(block, scalar as f32),
            _ => scale(block, scalar),
        }
        Ok(())
    }
}

fn scale<T: Scalar + Mul<Output = T>>(block: &mut Block<'_>, scalar: T) {
    let ([a], result) = block.operands::<T, 1>();
    vectorised(|| result.iter_mut().zip(a).for_each(|(y, &a)| *y = scalar * a));
}
