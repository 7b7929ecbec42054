//! The phases of a run, as one rank goes through them.

use std::os::fd::OwnedFd;

use super::calibrate::{Seat, calibrate};
use super::chunk::Executor;
use super::inject::Injector;
use super::instruments;
use super::memory::Memory;
use super::own::Own;
use super::pace::Pace;
use super::pages::{self, Touched};
use super::tally::{Counts, Tally, account};
use super::windows::{self, Windows};
use super::{Stop, internal, machine};
use crate::arrays::{self, Arrays, InputFrom, OperandsFrom};
use crate::host::collapse::Maker;
use crate::host::line::Order;
use crate::host::{affinity, clock, huge};
use crate::job::{Accounts, InputAt, Job, Mode, ResultAt};
use crate::kernel::{Catalog, Context, Kernel, Reads, Setting};
use crate::phase::Phase;
use crate::schedule::Chunk;
use crate::shm::{
    Abort, Attached, Claimed, Control, Counter, Fault, NO_CPU, Point, Probe, RankSlot, Relaxed,
    Stage, Step, What,
};

/// This rank, and its place in the segment.
pub(super) struct Rank<'a> {
    pub(super) number: u32,
    pub(super) control: Control<'a>,
    pub(super) slot: &'a RankSlot,
}

/// What the phases of a run are done with.
pub(super) struct Work<'a> {
    pub(super) job: &'a Job,
    counter: Counter<'a>,
    injector: &'a Injector<'a>,
    /// This rank's share of what is left, in positions.
    slice: Chunk,
    /// What of the results this process has mapped already, in positions.
    pub(super) mapped: Chunk,
    /// How many arrays are the kernel's own.
    pub(super) operands: u32,
    /// The memory of a plain loop.
    own: Option<&'a Own>,
    pace: Pace,
}

impl<'a> Rank<'a> {
    pub(super) fn new(number: u32, control: Control<'a>, slot: &'a RankSlot) -> Self {
        Self { number, control, slot }
    }

    pub(super) fn run(
        &self,
        attached: &Attached,
        order: &Order<OwnedFd>,
        memory: &mut Memory,
        catalog: &Catalog,
    ) -> Result<(), Stop> {
        let Memory { counts, job } = memory;
        let job = job.of(self.control.job()).map_err(|error| {
            Stop::Fault(Fault::Internal, None, format!("the job cannot be read: {error}"))
        })?;
        let bytes = self.control.layout().words().len;
        let words = windows::words(job, order, bytes).map_err(machine("cannot map the words"))?;
        let mut control = self.control;
        if let Some(words) = &words {
            control = control.with_words(words).map_err(internal("words"))?;
        }
        Rank { number: self.number, control, slot: self.slot }
            .begin(job, attached, order, counts, catalog)
    }

    fn begin(
        &self,
        job: &Job,
        attached: &Attached,
        order: &Order<OwnedFd>,
        counts: &mut Counts,
        catalog: &Catalog,
    ) -> Result<(), Stop> {
        let injector = Injector::new(&job.inject, self.number, self.control.header());
        injector.at(Point::Attached);
        self.settle(job);
        match job.calibration {
            None => {
                let asked = counts.instruments.get_ready(self, job);
                self.work(job, &injector, attached, order, catalog, asked)?;
            }
            Some(calibration) => {
                let Self { number, control, slot } = *self;
                let seat = Seat { number, control, slot, job, injector: &injector };
                calibrate(calibration, &seat, attached)?;
            }
        }
        if job.accounts == Accounts::Wanted {
            account(self.slot, job, counts);
        }
        injector.at(Point::Exit);
        Ok(())
    }

    /// Does this rank's part of the job: all of it, or what is left of it if it was started again.
    fn work(
        &self,
        job: &Job,
        injector: &Injector<'_>,
        attached: &Attached,
        order: &Order<OwnedFd>,
        catalog: &Catalog,
        mut instruments: instruments::Asked<'_>,
    ) -> Result<(), Stop> {
        let fault = |error: crate::Error| Stop::Fault(Fault::Internal, None, error.to_string());
        let kernel = catalog.find(&job.kernel).map_err(fault)?;
        let params = job.resolve_params(kernel).map_err(fault)?;
        let reads = kernel.reads();
        self.agree(job, reads)?;
        let windows = Windows::map(job, order).map_err(machine("cannot map the arrays"))?;
        for window in windows.all().into_iter().chain(attached.arrays()) {
            huge::advise(window, job.huge);
        }
        let (input, result) = windows.starts(job, attached);
        let mut starts = (InputFrom::of(job, input), arrays::start(&attached.operands), result);
        #[expect(unsafe_code, reason = "copies between windows")]
        // SAFETY: `agree` compared all windows into the segment with n and what the kernel reads; those into
        // files were mapped with n elements; they live to the end of this function.
        let own = unsafe { Own::new(job, reads, starts.0, result) }?;
        if let Some(own) = &own {
            starts = own.starts(starts.0);
        }
        let (input, operands, result) = starts;
        let operands = OperandsFrom::Memory(operands);
        #[expect(unsafe_code, reason = "typed access to the windows")]
        // SAFETY: as above; a plain loop's own are as long.
        let mut arrays = unsafe { Arrays::new(job, reads, input, operands, result) };
        let counter = Counter::attach(
            self.control.header(),
            self.control.claims(),
            self.control.ranks(),
            job.dtype.size(),
        )
        .map_err(internal("cannot use the counter's lock"))?;
        self.slot.note_attached(clock::now_ns());

        let setting = job.setting(&params);
        let executor = Executor {
            control: self.control,
            slot: self.slot,
            kernel,
            context: Context { setting, rank: self.number, pid: std::process::id() },
            mode: job.mode,
            steps: arrays.steps(kernel.cost(&setting).ns),
            left: &job.left,
            saved: arrays::start(&attached.saved),
            injector,
        };
        let slice =
            pages::share(&job.partition, job.dtype, pages::of_segment(job, reads), self.number);
        let operands = reads.operands();
        let pace = Pace::new(self.number);
        let own = own.as_ref();
        let mut work = Work { job, counter, injector, slice, mapped: 0..0, operands, own, pace };
        let serial = kernel.has_serial(&setting);
        let (mut tally, mut timed) = (Tally::default(), false);
        loop {
            // It cannot move before this rank arrives.
            let epoch = self.control.barrier().epoch();
            // Everybody sees the same answer: all writes to it came before the first barrier.
            if epoch > 0 && self.control.header().offence().is_some() {
                return Ok(());
            }
            match Phase::at(epoch, job.passes(), serial) {
                Phase::Prepare { pass } => {
                    self.prepare(pass, &executor, &mut work, &mut arrays)?;
                    timed = pass >= u64::from(job.warmup);
                    if pass == u64::from(job.warmup) {
                        instruments.before_barrier();
                    }
                    self.barrier(&work)?;
                }
                Phase::Serial => {
                    if timed {
                        instruments.begin();
                    }
                    self.serial(kernel, &setting, &work, &mut tally)?;
                }
                Phase::Compute { pass } => {
                    timed = pass >= u64::from(job.warmup);
                    if timed {
                        instruments.begin();
                    }
                    self.pass(pass, &executor, &mut work, &mut arrays, &mut tally)?;
                    std::mem::take(&mut tally).record(self.slot);
                }
                Phase::Over => {
                    instruments.end(self.slot);
                    return Ok(());
                }
            }
        }
    }

    /// Makes this rank's slice ready for a pass. May be done again by a later process of this rank.
    fn prepare(
        &self,
        pass: u64,
        executor: &Executor<'_>,
        work: &mut Work<'_>,
        arrays: &mut Arrays<'_>,
    ) -> Result<(), Stop> {
        let (job, slice) = (work.job, work.slice.clone());
        self.slot.set_stage(Stage::Init);
        if pass == 0 {
            if let Some(trail) = self.control.trail(self.number) {
                trail.touch();
            }
            let used = self.control.header().arrays_were_used();
            let mut pages = Maker::new(job.huge);
            for piece in job.left.pieces(&slice) {
                work.touch(arrays, &piece, &mut pages)?;
                if used {
                    work.clear(arrays, &piece);
                }
            }
            work.mapped = slice.clone();
            if let Some(bounds) = job.check {
                for piece in job.left.pieces(&slice) {
                    if let Some(index) = arrays.first_outside(piece, bounds)? {
                        self.control.header().offend(index);
                        break;
                    }
                }
            }
        } else if self.number == 0 {
            // Nobody claims before the barrier that follows.
            self.control.claims().reset(&job.partition);
        }
        let mut initialise = |positions: Chunk| -> Result<(), Stop> {
            for piece in job.left.pieces(&positions) {
                if pass == 0 && work.operands > 0 {
                    self.fill(executor, arrays, &piece)?;
                }
                if job.mode.is_in_place() {
                    arrays.initialise(piece)?;
                }
            }
            Ok(())
        };
        if work.injector.is_empty() {
            initialise(slice)?;
        } else {
            let middle = slice.start + (slice.end - slice.start) / 2;
            initialise(slice.start..middle)?;
            work.injector.at(Point::PrepareMid);
            initialise(middle..slice.end)?;
        }
        if pass == 0 {
            self.slot.note_ready(clock::now_ns());
        }
        Ok(())
    }

    /// Fills a range of the kernel's own arrays.
    fn fill(
        &self,
        executor: &Executor<'_>,
        arrays: &Arrays<'_>,
        piece: &Chunk,
    ) -> Result<(), Stop> {
        for block in arrays::blocks(piece, executor.context.setting.dtype) {
            arrays.fill(executor.kernel, executor.context, &block)?;
            if self.control.header().aborted() {
                return Err(Stop::Aborted);
            }
        }
        Ok(())
    }

    /// Lets rank 0 do the kernel's serial share while the others wait.
    fn serial(
        &self,
        kernel: &dyn Kernel,
        setting: &Setting<'_>,
        work: &Work<'_>,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        self.slot.set_stage(Stage::Pass);
        let begin = clock::now_ns();
        tally.begin = Some(begin);
        if self.number == 0 {
            kernel.serial(setting)?;
            tally.busy += clock::now_ns() - begin;
        }
        let arrived = clock::now_ns();
        self.barrier(work)?;
        tally.wait += clock::now_ns() - arrived;
        Ok(())
    }

    /// Claims and computes chunks until none is left, and waits for the others.
    fn pass(
        &self,
        pass: u64,
        executor: &Executor<'_>,
        work: &mut Work<'_>,
        arrays: &mut Arrays<'_>,
        tally: &mut Tally,
    ) -> Result<(), Stop> {
        let (job, injector) = (work.job, work.injector);
        self.slot.set_stage(Stage::Pass);
        let begin = *tally.begin.get_or_insert_with(clock::now_ns);
        let looks = pass == 0 && job.partition.is_chosen_late();
        let mut cold = None;
        let trail = self.control.trail(self.number).zip(job.recording.number(pass, job.warmup));
        let note = |what: What, [asked, ready, done]: [u64; 3]| {
            if let Some((trail, pass)) = trail {
                trail.add(&Step { pid: executor.context.pid, pass, what, asked, ready, done });
            }
        };
        let drained = loop {
            let before = clock::now_ns();
            let claimed = work
                .counter
                .claim(&job.partition, work.pace.claimer(), injector)
                .map_err(internal("the counter's lock is broken"))?;
            let lease = match claimed {
                Claimed::Chunk(lease) => lease,
                Claimed::Drained => {
                    tally.claim += clock::now_ns() - before;
                    break before;
                }
                Claimed::Aborted => return Err(Stop::Aborted),
            };
            let chunk = lease.chunk();
            tally.items += chunk.end - chunk.start;
            tally.chunks += 1;
            let claimed_at = clock::now_ns();
            tally.claim += claimed_at - before;
            let mut ready = claimed_at;
            if pass == 0 && work.touch_elsewhere(arrays, &chunk)? == Touched::Now {
                ready = clock::now_ns();
                tally.map += ready - claimed_at;
            }
            if !injector.is_empty() {
                injector.enter(Some(self.control.claims().settled(&job.partition).number(&chunk)));
            }
            executor.compute(arrays, lease)?;
            injector.enter(None);
            let done = clock::now_ns();
            let spent = done - ready;
            tally.busy += spent;
            let ranks = self.control.ranks();
            work.pace.add(&job.partition, chunk.start, chunk.end - chunk.start, spent, ranks);
            match &cold {
                // The first chunk of a process finds caches, code and tables of pages cold.
                None if looks => cold = Some(tally.clone()),
                // Whoever decides for `auto` goes by it.
                Some(cold) => tally.since(cold).record(self.slot),
                None => {}
            }
            note(What::Chunk(chunk), [before, ready, done]);
        };
        let mut arrived = clock::now_ns();
        if let Some(sample) =
            usize::try_from(pass).ok().and_then(|at| self.control.samples().get(at))
        {
            // The slowest rank decides, from when the first one began.
            sample.add(begin, arrived);
        }
        if let Some(own) = work.own.filter(|_| pass + 1 == job.passes()) {
            own.hand_over()?;
            arrived = clock::now_ns();
        }
        self.barrier(work)?;
        let left = clock::now_ns();
        tally.wait += left - arrived;
        note(What::Wait { begun: begin }, [drained, arrived, left]);
        Ok(())
    }

    /// Waits for all ranks.
    fn barrier(&self, work: &Work<'_>) -> Result<(), Stop> {
        self.slot.set_stage(Stage::Barrier);
        work.injector.at(Point::BarrierBefore);
        let procs = self.control.layout().dims.procs;
        self.control.barrier().wait(self.number, procs, work.job.patience(), work.injector)?;
        work.injector.at(Point::BarrierExit);
        Ok(())
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
    fn agree(&self, job: &Job, reads: Reads) -> Result<(), Stop> {
        let dims = self.control.layout().dims;
        let bytes = job.size.checked_mul(job.dtype.size() as u64);
        let source = if matches!(job.input, InputAt::Segment) { bytes } else { Some(0) };
        let result = if job.result == ResultAt::Segment { bytes } else { Some(0) };
        let saved = if job.mode == Mode::InPlace { arrays::BLOCK_BYTES as u64 } else { 0 };
        let agree = dims.procs == job.partition.procs()
            && dims.queues == job.partition.queues()
            && Some(dims.source) == source
            && Some(dims.result) == result
            && Some(dims.operands) == arrays::operand_bytes(reads, job.size, job.dtype)
            && dims.saved_block == saved
            && job.left.within(job.size)
            && job.left.count(job.size) == job.partition.size()
            && self.number < dims.procs;
        if agree {
            Ok(())
        } else {
            let what = "the segment was laid out for another job";
            Err(Stop::Fault(Fault::Internal, None, what.to_owned()))
        }
    }

    /// Says why this rank gives up, and makes the others stop too where the fault is everybody's.
    ///
    /// A panic is a death: the launcher decides whether the chunk is run again.
    pub(super) fn report(&self, fault: Fault, index: Option<u64>, text: &str) {
        self.slot.report(fault, index, text);
        if matches!(fault, Fault::Machine | Fault::Internal) {
            self.control.header().abort(Abort::Rank);
            self.control.barrier().abort();
        }
    }
}
