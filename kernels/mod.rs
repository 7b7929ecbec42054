//! The built-in kernels: one file each, and one line in the table below.

use crate::kernel::Kernel;

/// Declares the module of each kernel, and the table of them all.
macro_rules! built_in {
    ($($module:ident::$Kernel:ident,)*) => {
        $(mod $module;)*

        /// Every built-in kernel, in the order `spmd kernels` shows them.
        pub(crate) const BUILT_IN: &[&dyn Kernel] = &[$(&$module::$Kernel),*];
    };
}

mod stream;

built_in! {
    square::Square,
    hello::Hello,
    collatz::Collatz,
    spin::Spin,
    chain::Chain,
    mandelbrot::Mandelbrot,
    copy::Copy,
    scale::Scale,
    add::Add,
    triad::Triad,
}
