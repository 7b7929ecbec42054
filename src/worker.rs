//! One rank's life: attach, touch its slice, then for every pass claim, compute, commit, until the
//! barrier; and exit.
//!
//! A rank prints nothing. What it has to say it writes into its slot of the segment, where the
//! launcher finds it also after a `kill -9`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::arrays::{self, Arrays, InputFrom};
use crate::host::map::{self, Access, Window};
use crate::host::{affinity, clock, procs};
use crate::job::{Accounts, INPUT_FD, InputAt, Job, Mode, RESULT_FD, ResultAt, SEGMENT_FD};
use crate::kernel::{Catalog, Context, Kernel, KernelError};
use crate::panics::caught;
use crate::schedule::Chunk;
use crate::shm::{
    Abort, Aborted, Attached, Claimed, Control, Counter, Fault, Lease, NO_CPU, RankSlot, Relaxed,
    Release, Stage,
};

/// Tells a rank apart from everything else this program can be: `PARENT_PID`.
pub(crate) const MARK: &str = "SPMD_WORKER";
/// Where a rank finds its number.
pub(crate) const RANK: &str = "SPMD_RANK";

/// How a rank ended, for its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Stopped,
}

/// Runs this process's rank and exits, if it is one; returns otherwise.
///
/// First thing in `main`: before the command line is parsed, before anything is allocated.
pub(crate) fn enter_if_rank(tables: &[&[&'static dyn Kernel]]) {
    let Some(mark) = std::env::var_os(MARK) else { return };
    let status = match live(&mark, &Catalog::new(tables)) {
        Ok(End::Done) => 0,
        Ok(End::Stopped) => 1,
        Err(error) => {
            // Before the segment is attached stderr is all there is.
            use std::io::Write;
            let _ = writeln!(io::stderr(), "spmd: error: a rank could not start: {error}");
            125
        }
    };
    std::process::exit(status);
}

fn live(mark: &std::ffi::OsStr, catalog: &Catalog) -> io::Result<End> {
    forget_mark();
    crate::log::start_if_asked();
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let parent = number(mark.to_str()).ok_or_else(|| io::Error::other("SPMD_WORKER is no pid"))?;
    let rank = number(std::env::var(RANK).ok().as_deref())
        .ok_or_else(|| io::Error::other("SPMD_RANK is no number"))?;
    if !procs::die_with(parent) {
        return Ok(End::Stopped); // The launcher is gone: nobody waits for us.
    }
    procs::no_core_dumps();
    let descriptors = Descriptors::take()?;
    procs::close_from(RESULT_FD as u32 + 1);

    let attached = Attached::new(descriptors.segment.as_fd())?;
    let control = attached.control();
    let slot = control
        .ranks()
        .get(rank as usize)
        .ok_or_else(|| io::Error::other("SPMD_RANK is beyond the world"))?;
    slot.set_stage(Stage::Attached);
    slot.pid.store(std::process::id(), Release); // Pairs with Acquire in the supervisor [pid].
    let rank = Rank { number: rank, control, slot };

    // Kernels are called all over this, so a panic is most likely one's; either way it is told.
    let run = caught(|| rank.run(&attached, &descriptors, catalog));
    let run = run.unwrap_or_else(|said| Err(Stop::Fault(Fault::Panic, None, said)));
    let end = run.unwrap_or_else(|stop| rank.stop(stop));
    slot.set_stage(Stage::Done);
    Ok(end)
}

/// Removes the mark from the environment: a program that a kernel starts is not a rank.
#[expect(unsafe_code, reason = "changes the environment")]
fn forget_mark() {
    // SAFETY: a rank's first act; no other thread exists that could read the environment.
    unsafe { std::env::remove_var(MARK) };
}

/// What the launcher placed at fixed numbers. Input and result are the segment once more when
/// there is no such file.
struct Descriptors {
    segment: OwnedFd,
    input: OwnedFd,
    result: OwnedFd,
}

impl Descriptors {
    #[expect(unsafe_code, reason = "takes over inherited descriptors")]
    fn take() -> io::Result<Self> {
        // SAFETY: a rank's first act; nothing else in this process owns these numbers.
        let take = |number| unsafe { procs::inherited(number) };
        Ok(Self { segment: take(SEGMENT_FD)?, input: take(INPUT_FD)?, result: take(RESULT_FD)? })
    }
}

/// Why a rank gives up.
enum Stop {
    /// Someone else decided.
    Aborted,
    /// This rank found a fault.
    Fault(Fault, Option<u64>, String),
}

impl From<Aborted> for Stop {
    fn from(_: Aborted) -> Self {
        Self::Aborted
    }
}

impl From<KernelError> for Stop {
    fn from(error: KernelError) -> Self {
        Self::Fault(Fault::Kernel, error.index, error.message)
    }
}

fn internal(what: &str) -> impl Fn(io::Error) -> Stop + '_ {
    move |error| Stop::Fault(Fault::Internal, None, format!("{what}: {error}"))
}

fn machine(what: &str) -> impl Fn(io::Error) -> Stop + '_ {
    move |error| Stop::Fault(Fault::Machine, None, format!("{what}: {error}"))
}

/// This rank, and its place in the segment.
struct Rank<'a> {
    number: u32,
    control: Control<'a>,
    slot: &'a RankSlot,
}

/// Times of one pass, in nanoseconds, and what was done in it.
#[derive(Default)]
struct Tally {
    items: u64,
    chunks: u64,
    busy: u64,
    claim: u64,
    wait: u64,
}

impl Rank<'_> {
    fn run(
        &self,
        attached: &Attached,
        descriptors: &Descriptors,
        catalog: &Catalog,
    ) -> Result<End, Stop> {
        let job: Job = serde_json::from_slice(&self.control.job()).map_err(|error| {
            Stop::Fault(Fault::Internal, None, format!("the job cannot be read: {error}"))
        })?;
        self.settle(&job);
        let end = self.work(&job, attached, descriptors, catalog);
        if job.accounts == Accounts::Wanted {
            self.account();
        }
        end
    }

    /// Does this rank's part of the job.
    fn work(
        &self,
        job: &Job,
        attached: &Attached,
        descriptors: &Descriptors,
        catalog: &Catalog,
    ) -> Result<End, Stop> {
        let fault = |error: crate::Error| Stop::Fault(Fault::Internal, None, error.to_string());
        let kernel = catalog.find(&job.kernel).map_err(fault)?;
        let params = job.resolve_params(kernel).map_err(fault)?;
        self.agree(job)?;
        let windows = Windows::map(job, descriptors).map_err(machine("cannot map the arrays"))?;
        let (input, result) = windows.starts(job, attached);
        #[expect(unsafe_code, reason = "typed access to the windows")]
        // SAFETY: windows into files were mapped with n elements, those into the segment were compared
        // with n in `agree`; all stay mapped to the end of this function.
        let mut arrays = unsafe { Arrays::new(job, InputFrom::of(job, input), result) };
        let counter = Counter::attach(self.control.header(), self.control.claims())
            .map_err(internal("cannot use the counter's lock"))?;
        self.slot.attached.store(clock::now_ns(), Relaxed); // Read after this rank has left.

        self.slot.set_stage(Stage::Init);
        let slice = job.partition.slice(self.number);
        self.touch(job, &arrays, &slice)?;
        if let Some(bounds) = job.check
            && let Some(index) = arrays.first_outside(slice.clone(), bounds)?
        {
            self.control.header().offend(index);
        }
        if job.mode == Mode::InPlace {
            arrays.initialise(slice.clone())?;
        }
        self.slot.ready.store(clock::now_ns(), Relaxed); // Read after this rank has left.
        self.barrier(job)?;
        // Everybody sees the same answer: all writes to it came before the barrier.
        if self.control.header().offence().is_some() {
            return Ok(End::Done);
        }

        let setting = job.setting(&params);
        let context = Context { setting, rank: self.number, pid: std::process::id() };
        let saved = arrays::start(&attached.saved);
        for pass in 0..job.passes() {
            if pass > 0 {
                if self.number == 0 {
                    self.control.claims().reset();
                }
                if job.mode == Mode::InPlace {
                    self.slot.set_stage(Stage::Init);
                    arrays.initialise(slice.clone())?;
                }
                self.barrier(job)?;
            }
            self.slot.set_stage(Stage::Pass);
            let begin = clock::now_ns();
            let mut tally = Tally::default();
            if kernel.has_serial(&setting) {
                self.serial(kernel, context, job, &mut tally)?;
            }
            loop {
                let before = clock::now_ns();
                let claimed = counter
                    .claim(&job.partition, self.number)
                    .map_err(internal("the counter's lock is broken"))?;
                let claimed_at = clock::now_ns();
                tally.claim += claimed_at - before;
                let lease = match claimed {
                    Claimed::Chunk(lease) => lease,
                    Claimed::Drained => break,
                    Claimed::Aborted => return Err(Stop::Aborted),
                };
                tally.items += lease.chunk().end - lease.chunk().start;
                tally.chunks += 1;
                if pass == 0 {
                    self.touch_elsewhere(job, &arrays, &slice, &lease.chunk())?;
                }
                self.compute(&mut arrays, kernel, context, job, lease, saved)?;
                tally.busy += clock::now_ns() - claimed_at;
            }
            let arrived = clock::now_ns();
            if let Some(timed) = pass.checked_sub(u64::from(job.warmup))
                && let Some(sample) = self.control.samples().get(timed as usize)
            {
                // The slowest rank decides, from when the first one began.
                sample.add(begin, arrived);
            }
            self.barrier(job)?;
            tally.wait += clock::now_ns() - arrived;
            self.record(&tally);
        }
        Ok(End::Done)
    }

    /// Goes to the CPU, or the CPUs, this rank was given.
    fn settle(&self, job: &Job) {
        match (self.slot.wanted(), &job.cpus) {
            (Some(cpu), _) => match affinity::pin(cpu) {
                Ok(()) => self.slot.pinned.store(cpu, Relaxed), // Read after this rank has left.
                Err(error) => tracing::debug!("rank {} runs unpinned: {error}", self.number),
            },
            (None, Some(cpus)) => {
                if let Err(error) = affinity::confine(cpus) {
                    tracing::debug!("rank {} may use any cpu: {error}", self.number);
                }
            }
            (None, None) => {}
        }
        self.slot.cpu.store(affinity::current().unwrap_or(NO_CPU), Relaxed); // A figure.
    }

    /// Checks that the segment was laid out for this job: both are bytes another process wrote.
    fn agree(&self, job: &Job) -> Result<(), Stop> {
        let dims = self.control.layout().dims;
        let bytes = job.partition.size().checked_mul(job.dtype.size() as u64);
        let source = if matches!(job.input, InputAt::Segment) { bytes } else { Some(0) };
        let result = if job.result == ResultAt::Segment { bytes } else { Some(0) };
        let saved = if job.mode == Mode::InPlace { arrays::BLOCK_BYTES as u64 } else { 0 };
        let agree = dims.procs == job.partition.procs()
            && dims.queues == job.partition.queues()
            && Some(dims.source) == source
            && Some(dims.result) == result
            && dims.saved_block == saved
            && self.number < dims.procs;
        if agree {
            Ok(())
        } else {
            let what = "the segment was laid out for another job";
            Err(Stop::Fault(Fault::Internal, None, what.to_owned()))
        }
    }

    /// Maps the pages of a chunk outside this rank's slice in one step.
    ///
    /// Another rank has made them, so there is room; but in this process each would cost a fault
    /// of its own, which is several times the work on it.
    fn touch_elsewhere(
        &self,
        job: &Job,
        arrays: &Arrays<'_>,
        slice: &Chunk,
        chunk: &Chunk,
    ) -> Result<(), Stop> {
        const WORTH_A_CALL: u64 = 64 * 1024;
        let bytes = (chunk.end - chunk.start) * job.dtype.size() as u64;
        let inside = slice.start <= chunk.start && chunk.end <= slice.end;
        if inside || bytes < WORTH_A_CALL { Ok(()) } else { self.touch(job, arrays, chunk) }
    }

    /// Makes the pages of a range of the results present: no SIGBUS where the machine has no more.
    ///
    /// Done slice by slice before the pass, so that under `static` memory is near the CPU that uses it.
    #[expect(unsafe_code, reason = "madvise on the result array")]
    fn touch(&self, job: &Job, arrays: &Arrays<'_>, slice: &Chunk) -> Result<(), Stop> {
        let bytes = usize::try_from((slice.end - slice.start) * job.dtype.size() as u64)
            .map_err(|e| internal("slice")(io::Error::other(e)))?;
        // SAFETY: the slice lies in the result array, one shared writable mapping.
        let populated = unsafe { map::populate(arrays.result_at(slice.start), bytes) };
        // Unsupported: the launcher has seen that too, and reserved everything itself.
        populated.map(|_: map::Populated| ()).map_err(|error| {
            let why = "there is no room for the results";
            // EFAULT is what populating says where a store would have been a SIGBUS.
            let full = io::Error::from_raw_os_error(libc::ENOSPC);
            machine(why)(if error.raw_os_error() == Some(libc::EFAULT) { full } else { error })
        })
    }

    /// Waits for all ranks.
    fn barrier(&self, job: &Job) -> Result<(), Stop> {
        self.slot.set_stage(Stage::Barrier);
        let procs = self.control.layout().dims.procs;
        self.control.barrier().wait(self.number, procs, job.patience())?;
        Ok(())
    }

    /// Lets rank 0 do the kernel's serial share while the others wait.
    fn serial(
        &self,
        kernel: &dyn Kernel,
        context: Context<'_>,
        job: &Job,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let begin = clock::now_ns();
        if self.number == 0 {
            kernel.serial(&context.setting)?;
            tally.busy += clock::now_ns() - begin;
        }
        let arrived = clock::now_ns();
        self.barrier(job)?;
        self.slot.set_stage(Stage::Pass);
        tally.wait += clock::now_ns() - arrived;
        Ok(())
    }

    /// Computes the chunk of a lease, block by block, and commits it.
    #[expect(unsafe_code, reason = "hands out the lease's part of the results")]
    fn compute(
        &self,
        arrays: &mut Arrays<'_>,
        kernel: &dyn Kernel,
        context: Context<'_>,
        job: &Job,
        lease: Lease<'_>,
        saved: *mut u8,
    ) -> Result<(), Stop> {
        let saved = saved.wrapping_add(lease.slot() * arrays::BLOCK_BYTES);
        for (number, block) in (0..).zip(arrays.blocks(lease.chunk())) {
            match job.mode {
                Mode::Apart => {
                    let result = arrays.result_at(block.start);
                    // SAFETY: the lease makes the block's results ours until it commits (I3).
                    unsafe { arrays.compute(kernel, context, &block, result) }?;
                }
                Mode::InPlace => {
                    // SAFETY: as above; the saved block of this slot is ours as the slot is.
                    unsafe {
                        arrays
                            .compute_in_place(kernel, context, &block, saved, || lease.arm(number))
                    }?;
                    lease.disarm(number);
                }
            }
            self.slot.add_done(block.end - block.start);
            if self.control.header().aborted() {
                return Err(Stop::Aborted);
            }
        }
        lease.commit();
        Ok(())
    }

    fn record(&self, tally: &Tally) {
        // All Relaxed: figures, read after this rank has left.
        self.slot.items.store(tally.items, Relaxed);
        self.slot.chunks.store(tally.chunks, Relaxed);
        self.slot.busy.store(tally.busy, Relaxed);
        self.slot.claim.store(tally.claim, Relaxed);
        self.slot.wait.store(tally.wait, Relaxed);
    }

    /// Writes down what the kernel counted for this process.
    fn account(&self) {
        let usage = procs::usage();
        // All Relaxed: figures, read after this rank has left.
        self.slot.max_rss.store(usage.max_rss_bytes, Relaxed);
        self.slot.nivcsw.store(usage.involuntary_switches, Relaxed);
        let pinned = self.slot.pinned.load(Relaxed) != NO_CPU;
        self.slot.migrations.store(if pinned { 0 } else { migrations().unwrap_or(0) }, Relaxed);
        self.slot.cpu.store(affinity::current().unwrap_or(NO_CPU), Relaxed);
    }

    /// Says why this rank gives up, and makes the others stop too.
    fn stop(&self, stop: Stop) -> End {
        if let Stop::Fault(fault, index, text) = stop {
            self.slot.report(fault, index, &text);
            self.control.header().abort(Abort::Rank);
            self.control.barrier().abort();
        }
        End::Stopped
    }
}

/// Reads how often the kernel moved this process to another CPU.
fn migrations() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/sched").ok()?;
    let line = text.lines().find(|line| line.starts_with("se.nr_migrations"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

/// The rank's windows into files.
struct Windows {
    input: Window,
    result: Window,
}

impl Windows {
    fn map(job: &Job, descriptors: &Descriptors) -> io::Result<Self> {
        let bytes = usize::try_from(job.partition.size())
            .ok()
            .and_then(|n| n.checked_mul(job.dtype.size()))
            .ok_or_else(|| io::Error::other("the array is larger than memory can be"))?;
        let at = |offset: u64| usize::try_from(offset).map_err(io::Error::other);
        let input = match job.input {
            InputAt::File { offset, .. } => {
                Window::new(descriptors.input.as_fd(), at(offset)?, bytes, Access::Read)?
            }
            InputAt::Index { .. } | InputAt::Segment => Window::none(),
        };
        let result = match job.result {
            ResultAt::File { offset } => {
                Window::new(descriptors.result.as_fd(), at(offset)?, bytes, Access::Write)?
            }
            ResultAt::Segment => Window::none(),
        };
        Ok(Self { input, result })
    }

    /// Returns where inputs and results begin, in these windows or the segment's.
    fn starts(&self, job: &Job, attached: &Attached) -> (*const u8, *mut u8) {
        let input = match job.input {
            InputAt::File { .. } => arrays::start(&self.input),
            InputAt::Index { .. } | InputAt::Segment => arrays::start(&attached.source),
        };
        let result = match job.result {
            ResultAt::File { .. } => arrays::start(&self.result),
            ResultAt::Segment => arrays::start(&attached.result),
        };
        (input.cast_const(), result)
    }
}
