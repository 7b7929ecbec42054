//! The library's door: [`Run`] starts a run, [`Handle`] watches it, [`Finished`] holds its results.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};

use crate::data::{Input, InputSpec, OutputSpec, Overflow, Scalar};
use crate::engine::{Audience, Cause, Collected, Orders, World};
use crate::error::{Error, Explained};
use crate::kernel::{Catalog, Kernel};
use crate::options::{Count, FilePath, KeyValue, Procs, RunOptions, Span, Verify};
use crate::placement::{Machine, ThisMachine};
use crate::plan::Plan;
use crate::record::Record;
use crate::schedule::{Chunk, Schedule};
use crate::shm::{Attached, RankSlot, Segment};

/// The kernels this process knows, set once by [`crate::init`] or [`crate::main`].
static KERNELS: OnceLock<Catalog> = OnceLock::new();

pub(crate) fn set_kernels(added: &[&'static dyn Kernel]) {
    // A second call adds nothing: ranks of a run know what the first call named.
    let _ = KERNELS.set(Catalog::new(&[crate::kernels::BUILT_IN, added]));
}

pub(crate) fn catalog() -> Catalog {
    KERNELS.get().cloned().unwrap_or_else(|| Catalog::new(&[crate::kernels::BUILT_IN]))
}

/// A run to be: a kernel, what to compute on, and how.
///
/// Ranks are this program started again, so [`crate::init`] must come first in `main`.
///
/// ```no_run
/// fn main() -> Result<(), spmd::Error> {
///     spmd::init(&[]);
///     let run = spmd::Run::new("square").procs(4).input([1_i64, 2, 3, 4, 5]).start()?;
///     let finished = run.wait()?;
///     assert_eq!(finished.values::<i64>()?, [1, 4, 9, 16, 25]);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "a run does nothing until it is started"]
pub struct Run {
    options: RunOptions,
    values: Option<Input>,
    fault: Option<Error>,
}

impl Run {
    /// Describes a run of the kernel of this name.
    pub fn new(kernel: impl Into<String>) -> Self {
        Self::from_options(RunOptions { kernel: Some(kernel.into()), ..RunOptions::default() })
    }

    /// Describes a run by its options; what they leave open is as in `configs/defaults.toml`.
    pub fn from_options(options: RunOptions) -> Self {
        Self { options, values: None, fault: None }
    }

    /// Sets the number of ranks, 1 to 4096; as many as the machine suggests if never called.
    pub fn procs(mut self, procs: u32) -> Self {
        self.options.procs = self.reads(&procs.to_string()).or(Some(Procs::Auto));
        self
    }

    /// Computes on these values.
    pub fn input<T: Scalar>(mut self, values: impl AsRef<[T]>) -> Self {
        self.values = Some(Input::from_values(values.as_ref()));
        self
    }

    /// Computes on a file, `.npy`, `.csv`, `.txt` or `.bin`.
    pub fn input_file(mut self, path: impl AsRef<Path>) -> Self {
        match InputSpec::from_os(path.as_ref().as_os_str()) {
            Ok(spec) => self.options.input = Some(spec),
            Err(error) => self.fault = Some(error),
        }
        self
    }

    /// Computes on the indices 0..n.
    pub fn size(mut self, n: u64) -> Self {
        self.options.size = Some(Count(n));
        self
    }

    /// Writes results to a file, `.npy`, `.csv`, `.txt` or `.bin`, when the run is complete.
    pub fn output_file(mut self, path: impl AsRef<Path>) -> Self {
        match OutputSpec::from_os(path.as_ref().as_os_str()) {
            Ok(spec) => self.options.output = Some(spec),
            Err(error) => self.fault = Some(error),
        }
        self
    }

    /// Sets a parameter of the kernel.
    pub fn param(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.options.param.push(KeyValue { key: key.into(), value: value.to_string() });
        self
    }

    /// Sets the schedule, in OpenMP's words: `dynamic,1024`.
    pub fn schedule(mut self, schedule: &str) -> Self {
        self.options.schedule = self.reads::<Schedule>(schedule);
        self
    }

    /// Sets what integers do beyond their range.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.options.overflow = Some(overflow);
        self
    }

    /// Lets results overwrite the input array in shared memory.
    pub fn in_place(mut self) -> Self {
        self.options.in_place = Some(true);
        self
    }

    /// Computes in a plain loop: one rank, memory of its own, no claims, nothing saved.
    pub fn plain(mut self) -> Self {
        self.options.plain = Some(true);
        self
    }

    /// Recomputes results serially and compares bits.
    pub fn verify(mut self, verify: Verify) -> Self {
        self.options.verify = Some(verify);
        self
    }

    /// Keeps finished chunks in a file until the run is complete: the same run started again, after
    /// whatever ended this one, goes on from there.
    pub fn checkpoint(mut self, path: impl AsRef<Path>) -> Self {
        match FilePath::from_os(path.as_ref().as_os_str()) {
            Ok(path) => self.options.checkpoint = Some(path),
            Err(error) => self.fault = Some(error),
        }
        self
    }

    /// Writes when each rank computed which chunk to a file, for Perfetto and for `spmd tune`.
    pub fn trace(mut self, path: impl AsRef<Path>) -> Self {
        match FilePath::from_os(path.as_ref().as_os_str()) {
            Ok(path) => self.options.trace = Some(path),
            Err(error) => self.fault = Some(error),
        }
        self
    }

    /// Counts cycles, instructions and cache misses of each rank in the timed passes, where the machine has counters
    /// for them: `counters` of the record.
    pub fn counters(mut self) -> Self {
        self.options.counters = Some(true);
        self
    }

    /// Gives up after this long.
    pub fn timeout(mut self, limit: std::time::Duration) -> Self {
        self.options.timeout = Some(Span(limit));
        self
    }

    fn reads<T: std::str::FromStr<Err = Error>>(&mut self, text: &str) -> Option<T> {
        text.parse().map_err(|error| self.fault.get_or_insert(error).clone()).ok()
    }

    pub(crate) fn plan(self) -> Result<Plan, Error> {
        self.plan_on(&ThisMachine)
    }

    pub(crate) fn plan_on(self, machine: &dyn Machine) -> Result<Plan, Error> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let options = self.options.over(RunOptions::built_in()?);
        Plan::new(machine, options, self.values, &catalog())
    }

    /// Checks options and input, and lets the run begin.
    ///
    /// Returns before the first rank exists: the run goes on in a thread and processes of its own,
    /// and what they meet, [`Handle::wait`] returns.
    ///
    /// # Errors
    /// [`Error::Rejected`] and [`Error::KernelMissing`] for what the caller can mend,
    /// [`Error::Refused`] for what the machine does not give. Nothing is left behind.
    pub fn start(self) -> Result<Handle, Error> {
        no_rank_here()?;
        Handle::start(self.plan()?)
    }
}

/// Refuses to start runs in a rank.
pub(crate) fn no_rank_here() -> Result<(), Error> {
    if std::env::var_os(crate::worker::MARK).is_some() {
        // A rank of a program that did not call `init` has come to start a run of its own.
        return Err(Error::refused(
            Explained::new("this process is itself a rank")
                .hint("call `spmd::init` or `spmd::main` first thing in main"),
        ));
    }
    Ok(())
}

/// A run that is going on. Dropping it ends the run.
#[derive(Debug)]
pub struct Handle {
    watched: Arc<Watched>,
    /// `None` once it has been waited for.
    thread: Option<JoinHandle<Result<Collected, Error>>>,
    ended: std::io::PipeReader,
}

/// What handle and watching thread share.
#[derive(Debug)]
struct Watched {
    orders: Orders,
    /// Where the ranks' progress is read, once there is a segment: a mapping of its own, so that it
    /// outlives the run's.
    segment: Mutex<Option<Seen>>,
    total: u64,
}

/// What the handle sees of a run.
#[derive(Debug)]
struct Seen {
    segment: Attached,
    /// Indices that an earlier run had finished.
    resumed: u64,
}

/// Lets the handle see the segment that is in use. What is warned of is in the record.
struct Shared<'a>(&'a Watched);

impl Audience for Shared<'_> {
    fn note(&mut self, text: &str) {
        tracing::info!("{text}");
    }

    fn began(&mut self, segment: &Segment, resumed: u64) {
        if let Ok(mut seen) = self.0.segment.lock() {
            // Without it progress stays at 0.
            let segment = Attached::observe(segment.fd()).ok();
            *seen = segment.map(|segment| Seen { segment, resumed });
        }
    }

    fn warn(&mut self, text: &str) {
        tracing::warn!("{text}");
    }

    fn progress(&mut self, _: u64, _: u64) {}

    fn wants_progress(&self) -> bool {
        false
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Indices finished, over all passes.
    pub done: u64,
    /// Indices there are, over all passes.
    pub total: u64,
}

impl Handle {
    pub(crate) fn start(plan: Plan) -> Result<Self, Error> {
        let spmd_failed = |what: &str, e: std::io::Error| Error::refused(format!("{what}: {e}"));
        let limit = plan.options.timeout.map(|span| span.0);
        let total = plan.size().saturating_mul(plan.job.passes());
        let orders = Orders::new(limit).map_err(|e| spmd_failed("cannot make a pipe", e))?;
        let (ended, end) = std::io::pipe().map_err(|e| spmd_failed("cannot make a pipe", e))?;
        let watched = Arc::new(Watched { orders, segment: Mutex::new(None), total });
        let shared = Arc::clone(&watched);
        // Ranks die with the thread that started them, so that thread is the one that watches them, or
        // has who has started them (`engine/spawners.rs`), and ends only after them.
        let thread = thread::Builder::new()
            .name("spmd-watch".to_owned())
            .spawn(move || {
                // Building the world may take as long as reading the input does.
                let collected = World::build(plan)
                    .and_then(|world| world.run(&shared.orders, &mut Shared(&shared)));
                drop(end); // Seen as the end of the pipe by whoever polls it.
                collected
            })
            .map_err(|e| spmd_failed("cannot start a thread", e))?;
        Ok(Self { watched, thread: Some(thread), ended })
    }

    /// Returns how far the run has come. Costs the ranks nothing.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let total = self.watched.total;
        let seen = self.watched.segment.lock().ok();
        let done = |seen: &Seen| {
            let ranks = seen.segment.control().ranks();
            ranks.iter().map(RankSlot::done).fold(seen.resumed, u64::saturating_add)
        };
        let done = seen.as_deref().and_then(Option::as_ref).map_or(0, done);
        Progress { done: done.min(total), total }
    }

    /// Says whether the run has ended, in whatever way: [`Handle::wait`] then returns at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Orders the run to stop; [`Handle::wait`] then returns [`Error::Interrupted`].
    ///
    /// Any number of calls, at any time; a run that has ended is not changed by it.
    pub fn cancel(&self) {
        self.watched.orders.stop(Cause::Cancelled);
    }

    /// Returns a descriptor that becomes readable when the run has ended.
    #[must_use]
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// Whatever ended the run before it was complete.
    pub fn wait(mut self) -> Result<Finished, Error> {
        let joined = self.thread.take().map(JoinHandle::join);
        match joined {
            Some(Ok(collected)) => collected.map(Finished::new),
            Some(Err(_)) | None => {
                Err(Error::refused("the watching thread panicked: a bug in spmd"))
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.cancel();
            let _ = thread.join(); // Ends within the grace of a stopped run; its result is unwanted.
        }
    }
}

/// A run that is complete.
pub struct Finished {
    pub(crate) collected: Collected,
}

impl Finished {
    pub(crate) fn new(collected: Collected) -> Self {
        collected.results.world().release(); // The results are the caller's now.
        Self { collected }
    }

    /// Copies the results out, in index order.
    ///
    /// # Errors
    /// [`Error::Rejected`] if `T` is not the type of the results.
    pub fn values<T: Scalar>(&self) -> Result<Vec<T>, Error> {
        let results = &self.collected.results;
        if T::DTYPE != results.dtype() {
            return Err(Error::rejected(format!(
                "results are {}, not {}",
                results.dtype(),
                T::DTYPE
            )));
        }
        Ok(results.copy(0..results.len()))
    }

    /// Returns what went wrong and did not end the run: deaths that were recovered, above all.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.collected.history.warnings
    }

    /// Returns the ranges of indices that have no result; none, unless `on-error` is `keep`.
    #[must_use]
    pub fn missing(&self) -> &[Chunk] {
        &self.collected.history.missing
    }

    /// Returns the record of the run: what `--json` prints.
    #[must_use]
    pub fn record(&self) -> Record {
        Record::of(&self.collected)
    }
}
