//! The contract between a kernel and the runtime.
//!
//! A kernel says what it computes for a block of indices, what that costs, and for which inputs it
//! is defined. It never times, schedules, prints or loops over the whole index space: that is the
//! runtime's part, the same for every kernel, so that no kernel can cheat.

mod block;
mod catalog;
mod operands;
mod params;
mod picture;
mod random;
mod simd;

pub use block::{Block, KernelError, Setting};
pub(crate) use block::{BlockAt, Context, InputsAt};
pub(crate) use catalog::Catalog;
pub(crate) use operands::OperandsAt;
pub use operands::Reads;
pub(crate) use params::duration_ns;
pub use params::{Param, ParamKind, Params};
pub use picture::Picture;
pub use random::random_bits;
pub use simd::vectorised;

use crate::data::DType;

/// A computation over an index space: y\[i\] = f(i, x\[i\]), or of arrays of its own: see [`Reads`].
///
/// One value serves every rank; ranks are processes, so each has its own copy. Implement
/// [`Kernel::name`], [`Kernel::about`] and [`Kernel::run`]; the rest has defaults.
///
/// ```
/// use spmd::{Block, Kernel, KernelError, Scalar, with_dtype};
///
/// /// y = x³; integers wrap.
/// struct Cube;
///
/// impl Kernel for Cube {
///     fn name(&self) -> &'static str {
///         "cube"
///     }
///     fn about(&self) -> &'static str {
///         "y = x*x*x"
///     }
///     fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
///         with_dtype!(block.dtype(), T => block.map::<T>(|x| x.mul_wrapping(x).mul_wrapping(x)));
///         Ok(())
///     }
/// }
/// ```
pub trait Kernel: Sync {
    /// Returns the name that `--kernel` takes.
    fn name(&self) -> &'static str;

    /// Returns one line on what it computes.
    fn about(&self) -> &'static str;

    /// Returns the parameters that `--param KEY=VALUE` may set; others are refused.
    fn params(&self) -> &'static [Param] {
        &[]
    }

    /// Returns the element types it works on. Input and result have the same type.
    fn dtypes(&self) -> &'static [DType] {
        DType::ALL
    }

    /// Returns the `--input` to use when neither `--input` nor `--size` is given.
    fn input(&self) -> &'static str {
        "1,2,3,4,5"
    }

    /// Returns what it reads: the input, nothing but the index, or arrays of its own.
    fn reads(&self) -> Reads {
        Reads::Input
    }

    /// Fills one of its own arrays, numbered from 0: a block of it, as the block's result.
    ///
    /// A function of operand, index, parameters and seed alone. Each rank fills its slice before the
    /// first pass, so that memory is near the CPU that will use it; a rank that dies may leave that to be
    /// done again, and verification does it again.
    ///
    /// # Errors
    /// Whatever stops the run.
    fn fill(&self, operand: u32, _block: &mut Block<'_>) -> Result<(), KernelError> {
        Err(KernelError::new(format!("the kernel does not say what its operand {operand} holds")))
    }

    /// Returns what picture its results make, if they make one: `--output FILE.png` draws it.
    ///
    /// The picture is then the index space: the kernel reads no input, and there is an index for each
    /// pixel.
    fn picture(&self, _params: &Params) -> Option<Picture> {
        None
    }

    /// Returns what one index costs: it decides the default chunk, and the rates in the report.
    fn cost(&self, setting: &Setting<'_>) -> Cost {
        let element = 2.0 * setting.dtype.size() as f64;
        Cost { bytes: element, flops: 1.0, ns: 2.0 }
    }

    /// Returns the integers it takes as input; `None` if it takes all.
    ///
    /// Every input is checked before the first index is computed.
    fn domain(&self, _dtype: DType) -> Option<Domain> {
        None
    }

    /// Says whether the result depends on the input alone, so that it can be verified.
    fn repeatable(&self) -> Repeatable {
        Repeatable::Yes
    }

    /// Says whether [`Kernel::serial`] has anything to do.
    fn has_serial(&self, _setting: &Setting<'_>) -> bool {
        false
    }

    /// Does the share of a pass that one rank does while the others wait.
    ///
    /// # Errors
    /// Whatever stops the run.
    fn serial(&self, _setting: &Setting<'_>) -> Result<(), KernelError> {
        Ok(())
    }

    /// Computes one block: reads its inputs, writes its results, all of them.
    ///
    /// # Errors
    /// Whatever stops the run; say which index with [`KernelError::at`].
    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError>;

    /// Returns how the results are shown on stdout.
    fn shown(&self) -> Shown {
        Shown::List
    }
}

/// What one index costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Bytes read and written, as the algorithm counts them: no write-allocate.
    pub bytes: f64,
    /// Floating-point or integer operations.
    pub flops: f64,
    /// About how many nanoseconds on one core: chooses the default chunk, promises nothing.
    pub ns: f64,
}

/// The integers a kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The least input.
    pub least: i128,
    /// The greatest input.
    pub greatest: i128,
    /// What lies beyond.
    pub beyond: Beyond,
}

/// Why a kernel does not take an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The result overflows its type; `--overflow wrap` and `saturate` take the input all the same.
    Overflow,
    /// The function is not defined there.
    Undefined,
}

/// Whether a second computation gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// The result depends on the input and the options alone.
    Yes,
    /// It does not, for the reason given.
    No(&'static str),
}

/// How results are shown on stdout.
#[derive(Clone, Copy)]
pub enum Shown {
    /// `Results: [1, 4, 9]`.
    List,
    /// One line an index, made from the texts of its input and result, and a last line.
    Lines {
        /// Makes the line of one index.
        line: fn(input: &str, result: &str) -> String,
        /// The line after all others.
        last: &'static str,
    },
}
