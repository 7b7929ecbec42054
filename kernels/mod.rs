//! The built-in kernels: one file each, and one line in each of the two lists below.

mod collatz;
mod hello;
mod spin;
mod square;

use crate::kernel::Kernel;

/// Every built-in kernel, in the order `spmd kernels` shows them.
pub(crate) const BUILT_IN: &[&dyn Kernel] =
    &[&square::Square, &hello::Hello, &collatz::Collatz, &spin::Spin];
