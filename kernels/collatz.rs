//! Collatz: how many steps x takes to reach 1 by x → x/2 (even), 3x+1 (odd).
//!
//! Measures: balance under irregular integer work.   Cost per index: about 100 steps near 10⁶.
//! Check: bit for bit against a serial run. 0 takes 0 steps by convention, so that `--size N` works.

use crate::kernel::{Beyond, Block, Cost, Domain, Kernel, KernelError, Setting};
use crate::{DType, Scalar, with_dtype};

/// y = steps from x to 1.
pub(crate) struct Collatz;

impl Kernel for Collatz {
    fn name(&self) -> &'static str {
        "collatz"
    }

    fn about(&self) -> &'static str {
        "y = steps of x -> x/2 or 3x+1 until 1: irregular integer work"
    }

    fn dtypes(&self) -> &'static [DType] {
        &[DType::I64, DType::U64, DType::I32, DType::U32]
    }

    fn input(&self) -> &'static str {
        "range:1:1000001"
    }

    fn cost(&self, setting: &Setting<'_>) -> Cost {
        // The mean number of steps grows with the logarithm of x; about 10.9 per factor e.
        let steps = 10.9 * (setting.size.max(2) as f64).ln();
        Cost { bytes: 2.0 * setting.dtype.size() as f64, flops: 3.0 * steps, ns: 1.5 * steps }
    }

    fn domain(&self, dtype: DType) -> Option<Domain> {
        let (_, greatest) = dtype.integer_range()?;
        Some(Domain { least: 0, greatest, beyond: Beyond::Undefined })
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let first = block.first();
        with_dtype!(block.dtype(), T => {
            let (input, result) = block.slices::<T>();
            for (index, (y, x)) in (first..).zip(result.iter_mut().zip(input)) {
                let x = x.to_i128().unwrap_or(0).unsigned_abs();
                let steps = steps(x).ok_or_else(|| {
                    KernelError::at(index, format!("the path of {x} exceeds 128 bits"))
                })?;
                *y = T::from_i128(i128::from(steps));
            }
            Ok(())
        })
    }
}

fn steps(start: u128) -> Option<u32> {
    let mut steps = 0;
    // In 64 bits as long as that is enough: several times faster.
    let mut x = match u64::try_from(start) {
        Ok(mut small) => loop {
            if small <= 1 {
                return Some(steps);
            }
            let next = if small % 2 == 0 {
                Some(small / 2)
            } else {
                small.checked_mul(3).and_then(|x| x.checked_add(1))
            };
            let Some(next) = next else { break u128::from(small) };
            small = next;
            steps += 1;
        },
        Err(_) => start,
    };
    while x > 1 {
        x = if x % 2 == 0 { x / 2 } else { x.checked_mul(3)?.checked_add(1)? };
        steps += 1;
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_paths_have_their_known_lengths() {
        for (x, expected) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 7),
            (27, 111),
            (97, 118),
            (871, 178),
            (837_799, 524),
            (8_400_511, 685),
        ] {
            assert_eq!(steps(x), Some(expected), "{x}");
        }
    }

    #[test]
    fn paths_beyond_64_bits_are_followed() {
        // 2^64 - 1 climbs at once: 3x + 1 does not fit 64 bits. 2^k - 1 reaches 3^k - 1.
        assert!(steps(u128::from(u64::MAX)).is_some());
        assert_eq!(steps(1 << 100), Some(100));
    }
}
