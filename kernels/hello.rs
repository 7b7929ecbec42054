//! Hello: who computed which index.
//!
//! The result of an index is the pid of the rank that computed it, and stdout shows a line for each:
//! the first program of everyone who comes from Python's `multiprocessing.Process`.

use crate::kernel::{Block, Cost, Kernel, KernelError, Repeatable, Setting, Shown};
use crate::{Scalar, with_dtype};

/// y = the pid of the rank.
pub(crate) struct Hello;

impl Kernel for Hello {
    fn name(&self) -> &'static str {
        "hello"
    }

    fn about(&self) -> &'static str {
        "y = pid of the rank: one line for every index"
    }

    fn cost(&self, setting: &Setting<'_>) -> Cost {
        Cost { bytes: 2.0 * setting.dtype.size() as f64, flops: 0.0, ns: 1.0 }
    }

    fn repeatable(&self) -> Repeatable {
        Repeatable::No("its results are process ids")
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let pid = i128::from(block.pid());
        with_dtype!(block.dtype(), T => block.map::<T>(|_| T::from_i128(pid)));
        Ok(())
    }

    fn shown(&self) -> Shown {
        Shown::Lines {
            line: |input, result| {
                // A pid is a whole number in every element type.
                let pid = result.strip_suffix(".0").unwrap_or(result);
                format!("Process ID: {pid}, Number: {input}")
            },
            last: "All processes finished",
        }
    }
}
