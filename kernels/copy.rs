//! Copy: y = a, an array in memory.
//!
//! Measures: memory bandwidth; one of the four loops of STREAM, see `stream.rs`.
//! Cost per index: one element read, one written (16 bytes in f64), no flop.
//! Check: bit for bit against a serial run.

use super::stream;
use crate::kernel::{Block, Cost, Kernel, KernelError, Reads, Setting};
use crate::{DType, Scalar};

/// y = a.
pub(crate) struct Copy;

impl Kernel for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn about(&self) -> &'static str {
        "y = a: STREAM copy"
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
        Cost { bytes, flops: 0.0, ns: stream::ns(bytes) }
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        match block.dtype() {
            DType::F32 => copy::<f32>(block),
            _ => copy::<f64>(block),
        }
        Ok(())
    }
}

fn copy<T: Scalar>(block: &mut Block<'_>) {
    let ([a], result) = block.operands::<T, 1>();
    result.copy_from_slice(a);
}
