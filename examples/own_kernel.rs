//! A kernel of your own behind the whole command line:
//!
//! ```text
//! cargo run --release --example own_kernel -- --kernel horner --input 0,0.5,1 --procs 2
//! ```

use std::process::ExitCode;

use spmd::{Block, DType, Kernel, KernelError};

/// y = 1 + 2x + 3x², by Horner's rule.
struct Horner;

impl Kernel for Horner {
    fn name(&self) -> &'static str {
        "horner"
    }

    fn about(&self) -> &'static str {
        "y = 1 + 2x + 3x^2"
    }

    fn dtypes(&self) -> &'static [DType] {
        &[DType::F64]
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        block.map::<f64>(|x| 1.0 + x * (2.0 + x * 3.0));
        Ok(())
    }
}

fn main() -> ExitCode {
    spmd::main(&[&Horner])
}
