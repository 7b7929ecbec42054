//! Square: y = x·x.
//!
//! Measures: memory bandwidth.   Cost per index: one element read, one written, 1 flop.
//! Check: bit for bit against a serial run; x·x is exactly determined for every x.

use crate::kernel::{Beyond, Block, Cost, Domain, Kernel, KernelError, Setting};
use crate::{DType, Overflow, Scalar, with_dtype};

/// y = x·x.
pub(crate) struct Square;

impl Kernel for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn about(&self) -> &'static str {
        "y = x*x: streams through memory"
    }

    fn cost(&self, setting: &Setting<'_>) -> Cost {
        Cost { bytes: 2.0 * setting.dtype.size() as f64, flops: 1.0, ns: 1.2 }
    }

    fn domain(&self, dtype: DType) -> Option<Domain> {
        // The largest r with r·r <= the greatest value of the type.
        let (least, greatest) = dtype.integer_range()?;
        let root = greatest.isqrt();
        Some(Domain { least: least.max(-root), greatest: root, beyond: Beyond::Overflow })
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let overflow = block.setting().overflow;
        with_dtype!(block.dtype(), T => match overflow {
            Overflow::Saturate => block.map::<T>(|x| x.mul_saturating(x)),
            Overflow::Error | Overflow::Wrap => block.map::<T>(|x| x.mul_wrapping(x)),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_exact_input_of_each_type_is_the_published_one() {
        for (dtype, root) in [
            (DType::I32, 46_340),
            (DType::I64, 3_037_000_499),
            (DType::U32, 65_535),
            (DType::U64, 4_294_967_295),
        ] {
            assert_eq!(Square.domain(dtype).unwrap().greatest, root);
        }
        assert_eq!(Square.domain(DType::F64), None);
    }
}
