//! Run a compute kernel on every core of one machine.
//!
//! A launcher starts pinned worker processes, the *ranks*, which attach to one shared memory
//! segment, claim chunks of the index space from a lock-protected counter, write results in place,
//! and meet at a barrier before the launcher reads the output.
//!
//! - [`main()`] gives a program of your own the whole command line, with your [`Kernel`]s added.
//! - [`Run`] starts a run from a program, which stays responsive: [`Handle::progress`],
//!   [`Handle::cancel`], [`Handle::wait`].
//! - [`Crew`] runs many, one after another, whose ranks stay alive in between.
//!
//! `ARCHITECTURE.md` tells how it works, from a chunk's and from a byte's point of view.

mod arrays;
mod batch;
mod bench;
mod calibration;
mod clean;
mod cli;
mod compare;
mod crew;
mod data;
mod doctor;
mod engine;
mod error;
mod figures;
#[cfg(all(any(fuzzing, test), not(spmd_loom)))]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod inject;
mod inventory;
mod job;
pub mod kernel;
#[path = "../kernels/mod.rs"]
mod kernels;
mod left;
mod log;
mod options;
mod panics;
mod phase;
mod placement;
mod plan;
mod plots;
mod record;
mod report;
mod run;
mod scale;
#[allow(dead_code, reason = "a few of its answers nobody asks for yet")]
mod scaling;
mod schedule;
mod shm;
mod statistics;
mod trace;
mod tune;
mod worker;

use std::process::ExitCode;

pub use crew::Crew;
pub use data::{DType, InputSpec, OutputSpec, Overflow, Scalar, Shape};
pub use error::{Error, Exit, Explained};
pub use host::affinity::CpuSet;
pub use inject::Injection;
pub use kernel::{
    Beyond, Block, Cost, Domain, Kernel, KernelError, Param, ParamKind, Params, Picture, Reads,
    Repeatable, Setting, Shown, random_bits, vectorised,
};
pub use options::{
    Bind, Count, FilePath, Huge, KeyValue, Map, OnDeath, OnError, Procs, RunOptions, Span, Verify,
    Wait,
};
pub use record::Record;
pub use run::{Finished, Handle, Progress, Run};
pub use schedule::{Chunk, Schedule, ScheduleKind};
pub use shm::Backing;

/// Makes this program able to start runs: the first thing in `main`.
///
/// Ranks are this program started again; in a rank, this call runs it and does not return. `kernels`
/// are added to the built-in ones, for [`Run`] and for the ranks.
pub fn init(kernels: &[&'static dyn Kernel]) {
    worker::enter_if_rank(&[self::kernels::BUILT_IN, kernels]);
    run::set_kernels(kernels);
}

/// Runs the `spmd` command line with these kernels added to the built-in ones.
///
/// ```no_run
/// # use spmd::{Block, Kernel, KernelError};
/// # struct MyKernel;
/// # impl Kernel for MyKernel {
/// #     fn name(&self) -> &'static str { "mine" }
/// #     fn about(&self) -> &'static str { "" }
/// #     fn run(&self, _: &mut Block<'_>) -> Result<(), KernelError> { Ok(()) }
/// # }
/// fn main() -> std::process::ExitCode {
///     spmd::main(&[&MyKernel])
/// }
/// ```
#[must_use]
pub fn main(kernels: &[&'static dyn Kernel]) -> ExitCode {
    init(kernels);
    ExitCode::from(u8::try_from(cli::main().code()).unwrap_or(u8::MAX))
}

/// What the program `spmd` does instead of a `main`: see `src/main.rs`. Not for programs of your own.
#[doc(hidden)]
pub fn program() -> ! {
    host::streams::open_the_closed();
    host::signals::ignore_broken_pipes();
    init(&[]);
    std::process::exit(cli::main().code())
}
