//! The resolved run: complete and checked before the first process starts.
//!
//! Options are what was typed; a plan is what runs. Building one may look at the machine and open the
//! input, but starts nothing and writes nothing.

mod checks;

use std::num::NonZeroU64;

pub(crate) use self::checks::outside;
use self::checks::{
    check, check_faults, check_in_place, check_input, check_one_pass, check_output, check_passes,
    check_trace, make_plain, supported,
};
use crate::calibration::Calibration;
use crate::data::{DType, Input, InputSpec, OutputSpec, Overflow, Shape, Source, npy_header};
use crate::error::{Error, Explained};
use crate::host::huge::{self, Advice, Holder, Means};
use crate::job::{Accounts, Counters, Home, InputAt, Job, Mode, Recording, ResultAt, WordsAt};
use crate::kernel::{Catalog, Cost, Kernel, Params, Picture, Reads, Repeatable, Setting};
use crate::left::Left;
use crate::options::{Bind, Huge, Map, OnDeath, Procs, RunOptions, Verify, Wait};
use crate::placement::{Crowding, Machine, Placement};
use crate::schedule::{Partition, Schedule, ScheduleKind, settle};
use crate::shm::{Backing, Dims, Layout};

/// A run, ready to be started.
pub(crate) struct Plan {
    pub(crate) kernel: &'static dyn Kernel,
    pub(crate) params: Params,
    /// What was asked for, all layers merged: what the record's `params` shows.
    pub(crate) options: RunOptions,
    pub(crate) placement: Placement,
    pub(crate) job: Job,
    pub(crate) shape: Shape,
    pub(crate) input: Input,
    /// Who named the input.
    pub(crate) chosen: Chosen,
    pub(crate) backing: Backing,
    pub(crate) verify: Verify,
    pub(crate) cost: Cost,
}

/// Who named the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// Whoever asked for the run.
    Asked,
    /// Nobody: it is the kernel's own.
    Default,
}

impl Plan {
    /// Resolves options on a machine, with `given` in place of an `--input` where a program passed values.
    pub(crate) fn new(
        machine: &dyn Machine,
        mut options: RunOptions,
        given: Option<Input>,
        catalog: &Catalog,
    ) -> Result<Self, Error> {
        let name = options.kernel.as_deref().ok_or_else(|| {
            Error::rejected(
                Explained::new("no kernel named")
                    .hint("--kernel square; `spmd kernels` lists them all"),
            )
        })?;
        let kernel = catalog.find(name)?;
        let given_params: Vec<(String, String)> =
            options.param.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect();
        let params = Params::resolve(kernel.name(), kernel.params(), &given_params)?;

        make_plain(&mut options)?;
        let placement = Placement::new(
            machine,
            options.procs.unwrap_or(Procs::Auto),
            options.bind.unwrap_or(Bind::Core),
            options.map.unwrap_or(Map::Close),
            options.cpus.as_ref(),
        )?;
        if options.strict == Some(true)
            && let Some(warning) = placement.warnings.first()
        {
            return Err(Error::rejected(
                Explained::new(warning.clone())
                    .hint("--strict refuses what is otherwise a warning"),
            ));
        }

        let asked = given.is_some() || options.size.is_some() || options.input.is_some();
        let chosen = if asked { Chosen::Asked } else { Chosen::Default };
        let picture = kernel.picture(&params);
        let input = input(&mut options, given, kernel, picture)?;
        check_output(kernel, options.output.as_ref(), picture)?;
        check_in_place(kernel, &options)?;
        let shape = match picture {
            Some(Picture { width, height, .. }) => {
                Shape::new([u64::from(height), u64::from(width)])?
            }
            None => input.shape.clone(),
        };
        let (dtype, n) = (input.dtype, input.shape.elements());
        let overflow = options.overflow.unwrap_or(Overflow::Error);
        let seed = options.seed.unwrap_or(1);
        let setting = Setting { params: &params, dtype, size: n, overflow, seed };
        let cost = kernel.cost(&setting);
        let check = check(kernel, &input, overflow)?;

        let verify = options.verify.unwrap_or(Verify::None);
        if verify != Verify::None
            && let Repeatable::No(why) = kernel.repeatable()
        {
            return Err(Error::rejected(
                Explained::new(format!("kernel `{}` cannot be verified: {why}", kernel.name()))
                    .hint("leave --verify out"),
            ));
        }

        let partition = partition(&options, n, placement.procs, cost, dtype);
        check_one_pass(&options)?;
        check_trace(&options)?;
        let repeats = options.repeats.map_or(1, std::num::NonZeroU32::get);
        let recording = Recording::of(options.trace.as_ref().map(|_| &partition), repeats);

        check_faults(&options.inject, placement.procs)?;
        let (spins, yields) = patience(options.wait.unwrap_or(Wait::Hybrid), placement.crowding);
        let input_at = input_at(&input)?;
        let result_at = result_at(options.output.as_ref(), dtype, &shape);
        let arrays = SegmentArrays {
            prepared: kernel.reads().operands() + u32::from(result_at == ResultAt::Segment),
            given: u32::from(matches!(input_at, InputAt::Segment)),
            bytes: n.saturating_mul(dtype.size() as u64),
        };
        let job = Job {
            kernel: kernel.name().to_owned(),
            params: params.texts().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            dtype,
            overflow,
            seed,
            size: n,
            left: Left::Everything,
            partition,
            input: input_at,
            result: result_at,
            words: WordsAt::Segment,
            mode: mode(&options),
            home: if options.plain == Some(true) { Home::Own } else { Home::Shared },
            check,
            cpus: options.cpus.clone(),
            huge: pages(&options, &arrays)?,
            spins,
            yields,
            accounts: Accounts::Wanted,
            counters: match options.counters {
                Some(true) => Counters::Wanted,
                Some(false) | None => Counters::Unwanted,
            },
            warmup: options.warmup.unwrap_or(0),
            repeats,
            recording,
            calibration: None,
            inject: options.inject.clone(),
        };
        check_passes(job.passes())?;
        let backing = options.backing.unwrap_or(Backing::Shm);
        let plan = Self {
            kernel,
            params,
            options,
            placement,
            job,
            shape,
            input,
            chosen,
            backing,
            verify,
            cost,
        };
        plan.layout(0)?; // Sizes that overflow are refused here, not when memory is asked for.
        Ok(plan)
    }

    /// Makes it the plan to compute what is left, with results and words in a file at these offsets.
    pub(crate) fn resume(&mut self, left: Left, result: u64, words: u64) {
        let positions = left.count(self.job.size);
        self.job.partition =
            partition(&self.options, positions, self.procs(), self.cost, self.job.dtype);
        self.job.left = left;
        self.job.result = ResultAt::File { offset: result };
        self.job.words = WordsAt::File { offset: words };
    }

    /// Makes it the plan of a calibration, which claims chunks of so many indices, the smallest the
    /// schedule allows, and has an array of so many bytes in the segment.
    pub(crate) fn calibrate(
        &mut self,
        calibration: Calibration,
        indices: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        let schedule = self.options.schedule.unwrap_or_else(default_schedule);
        let one = NonZeroU64::MIN;
        self.job.partition = Partition::new(schedule, indices, self.procs(), one, one);
        self.job.size = bytes.div_ceil(self.job.dtype.size() as u64);
        self.job.calibration = Some(calibration);
        self.layout(0).map(|_| ())
    }

    /// Returns what holds the segment.
    pub(crate) fn holder(&self) -> Holder {
        holder(&self.options)
    }

    /// Returns the number of ranks.
    pub(crate) fn procs(&self) -> u32 {
        self.placement.procs
    }

    /// Returns the size of the index space.
    pub(crate) fn size(&self) -> u64 {
        self.job.size
    }

    /// Returns the bytes of the result array.
    pub(crate) fn result_bytes(&self) -> u64 {
        self.size() * self.job.dtype.size() as u64
    }

    /// Returns the bytes of the kernel's own arrays; `None` if they are more than there can be.
    pub(crate) fn operand_bytes(&self) -> Option<u64> {
        crate::arrays::operand_bytes(self.kernel.reads(), self.size(), self.job.dtype)
    }

    /// Lays out the segment for a description of `job` bytes.
    pub(crate) fn layout(&self, job: u64) -> Result<Layout, Error> {
        let bytes = self.result_bytes();
        let saved = match self.job.mode {
            Mode::InPlace => crate::arrays::BLOCK_BYTES as u64,
            Mode::Apart | Mode::InPlaceUnsaved => 0,
        };
        Layout::new(Dims {
            procs: self.procs(),
            queues: self.job.partition.queues(),
            samples: self.job.passes(),
            job,
            saved_block: saved,
            source: if matches!(self.job.input, InputAt::Segment) { bytes } else { 0 },
            result: if self.job.result == ResultAt::Segment { bytes } else { 0 },
            operands: self.operand_bytes().unwrap_or(u64::MAX),
            trail: self.job.recording.steps,
        })
        .ok_or_else(|| {
            Error::rejected(format!(
                "{} ranks and {} indices of {} bytes do not fit an address space",
                self.procs(),
                self.size(),
                self.job.dtype.size()
            ))
        })
    }
}

/// Finds the input; where the kernel names it, so do the options from then on.
fn input(
    options: &mut RunOptions,
    given: Option<Input>,
    kernel: &'static dyn Kernel,
    picture: Option<Picture>,
) -> Result<Input, Error> {
    let wanted = options.dtype;
    if let Some(dtype) = wanted {
        supported(kernel, dtype)?;
    }
    let input = match (given, options.size, &options.input) {
        (Some(input), None, None) => input,
        (None, Some(size), None) => Input::index(size.0, wanted.unwrap_or(preferred_type(kernel)))?,
        (None, None, Some(spec)) => {
            // A range that is not read has no type of its own.
            let unread = kernel.reads() != Reads::Input && matches!(spec, InputSpec::Range { .. });
            let preferred = unread.then(|| preferred_type(kernel));
            Input::open(spec, wanted.or(preferred))?
        }
        (None, None, None) => {
            let spec = match picture {
                Some(picture) => InputSpec::Range { first: 0, end: picture.pixels().into() },
                None => InputSpec::from_os(kernel.input().as_ref())?,
            };
            let input = Input::open(&spec, Some(wanted.unwrap_or(preferred_type(kernel))))?;
            options.input = Some(spec);
            input
        }
        _ => {
            return Err(Error::rejected(
                Explained::new("--size and --input both say what to compute on")
                    .hint("--size N is the indices 0..N; give one of the two"),
            ));
        }
    };
    check_input(kernel, &input, picture)?;
    supported(kernel, input.dtype)?;
    Ok(input)
}

fn default_schedule() -> Schedule {
    Schedule::new(ScheduleKind::Auto, None)
}

fn holder(options: &RunOptions) -> Holder {
    match options.backing {
        Some(Backing::Memfd) => Holder::Memfd,
        _ => Holder::DevShm,
    }
}

/// The arrays that a segment holds.
struct SegmentArrays {
    /// How many ranks prepare: results and operands.
    prepared: u32,
    /// How many the launcher writes: the input.
    given: u32,
    /// Of each.
    bytes: u64,
}

/// What is free beside the arrays where huge pages are made: a few of those, and bookkeeping.
const SPARE: u64 = 8 << 20;

/// Says what pages to ask for, for arrays of so many bytes; refuses to run with small ones where that is
/// not wanted.
fn pages(options: &RunOptions, arrays: &SegmentArrays) -> Result<Advice, Error> {
    let holder = holder(options);
    match options.huge {
        Some(Huge::Never) => Ok(Advice::Small),
        Some(Huge::Two) => advice(huge::means(holder), options.huge),
        // Looking takes as long as a small run's work.
        Some(Huge::Auto) | None if arrays.bytes < huge::WORTH => Ok(Advice::Nothing),
        Some(Huge::Auto) | None => {
            let number = u64::from(arrays.prepared + arrays.given);
            let need = arrays.bytes.saturating_mul(number).saturating_add(SPARE);
            // The last page of the results may be whole: what has just enough room is better off without.
            if arrays.prepared > 0 && huge::room(holder).is_some_and(|room| room < need) {
                return Ok(Advice::Nothing);
            }
            advice(huge::means(holder), options.huge)
        }
    }
}

/// Says what to ask of a machine with these means.
fn advice(means: Means, wanted: Option<Huge>) -> Result<Advice, Error> {
    match means {
        Means::Given => Ok(Advice::Huge),
        Means::Made => Ok(Advice::Collapse),
        Means::None { fix } if wanted == Some(Huge::Two) => Err(Error::refused(
            Explained::new("--huge 2M: this machine gives no huge pages to shared memory")
                .hint(format!("{fix}; or --huge auto")),
        )),
        Means::None { .. } => Ok(Advice::Nothing),
    }
}

/// Says where results go, and whether what they overwrite is saved: for a run that no death ends.
fn mode(options: &RunOptions) -> Mode {
    match (options.in_place, options.on_death) {
        (Some(true), Some(OnDeath::Fail)) => Mode::InPlaceUnsaved,
        (Some(true), _) => Mode::InPlace,
        _ => Mode::Apart,
    }
}

/// Settles the schedule for n indices.
fn partition(options: &RunOptions, n: u64, procs: u32, cost: Cost, dtype: DType) -> Partition {
    let schedule = options.schedule.unwrap_or_else(default_schedule);
    settle(schedule, n, procs, cost.ns, dtype.size())
}

fn preferred_type(kernel: &dyn Kernel) -> DType {
    let types = kernel.dtypes();
    if types.contains(&DType::I64) {
        DType::I64
    } else {
        types.first().copied().unwrap_or(DType::I64)
    }
}

fn input_at(input: &Input) -> Result<InputAt, Error> {
    match &input.source {
        Source::Index { first } => InputAt::index(*first).ok_or_else(|| {
            Error::rejected(format!("input `{}` begins beyond the range of 64 bits", input.name))
        }),
        Source::File { offset, order, .. } => Ok(InputAt::File { offset: *offset, order: *order }),
        Source::Text(_) | Source::Values(_) => Ok(InputAt::Segment),
    }
}

fn result_at(output: Option<&OutputSpec>, dtype: DType, shape: &Shape) -> ResultAt {
    match output {
        // The ranks write into the mapped file itself: no second pass, no second copy.
        Some(OutputSpec::Npy(_)) => {
            ResultAt::File { offset: npy_header(dtype, shape).len() as u64 }
        }
        Some(OutputSpec::Bin(_)) => ResultAt::File { offset: 0 },
        Some(OutputSpec::Csv(_) | OutputSpec::Txt(_) | OutputSpec::Png(_) | OutputSpec::Stdout)
        | None => ResultAt::Segment,
    }
}

/// How often to look and to yield before sleeping.
///
/// 2000 pauses are 30 to 60 µs: longer than a barrier among ranks that run, shorter than the time a
/// sleep and a wake-up cost twice over. Ranks that must take turns give the CPU away instead: the
/// one they wait for may need it.
fn patience(wait: Wait, crowding: Crowding) -> (u32, u32) {
    match (wait, crowding) {
        (Wait::Hybrid, Crowding::Roomy) => (2000, 4),
        (Wait::Hybrid, Crowding::Crowded) => (0, 8),
        (Wait::Spin, Crowding::Roomy) => (2000, u32::MAX),
        (Wait::Spin, Crowding::Crowded) => (0, u32::MAX),
        (Wait::Block, _) => (0, 0),
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_asked_for_made_or_done_without_and_no_run_only_where_they_are_demanded() {
        let none = || Means::None { fix: "mend it".to_owned() };
        for wanted in [None, Some(Huge::Auto), Some(Huge::Two)] {
            assert_eq!(advice(Means::Given, wanted).unwrap(), Advice::Huge);
            assert_eq!(advice(Means::Made, wanted).unwrap(), Advice::Collapse);
        }
        assert_eq!(advice(none(), None).unwrap(), Advice::Nothing);
        assert_eq!(advice(none(), Some(Huge::Auto)).unwrap(), Advice::Nothing);
        let refused = advice(none(), Some(Huge::Two)).unwrap_err().to_string();
        assert!(refused.contains("gives no huge pages"), "{refused}");
    }
}
