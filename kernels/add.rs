//! Add: y = a + b, two arrays in memory.
//!
//! Measures: memory bandwidth; one of the four loops of STREAM, see `stream.rs`.
//! Cost per index: two elements read, one written (24 bytes in f64), 1 flop.
//! Check: bit for bit against a serial run.

use std::ops;

use super::stream;
use crate::kernel::{Block, Cost, Kernel, KernelError, Reads, Setting};
use crate::{DType, Scalar, vectorised};

/// y = a + b.
pub(crate) struct Add;

impl Kernel for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn about(&self) -> &'static str {
        "y = a + b: STREAM add"
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
        Cost { bytes, flops: 1.0, ns: stream::ns(bytes) }
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        match block.dtype() {
            DType::F32 => add::<f32>(block),
            _ => add::<f64>(block),
        }
        Ok(())
    }
}

fn add<T: Scalar + ops::Add<Output = T>>(block: &mut Block<'_>) {
    let ([a, b], result) = block.operands::<T, 2>();
    let terms = a.iter().zip(b);
    vectorised(|| result.iter_mut().zip(terms).for_each(|(y, (&a, &b))| *y = a + b));
}
