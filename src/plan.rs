//! The resolved run: complete and checked before the first process starts.
//!
//! Options are what was typed; a plan is what runs. Building one may look at the machine and open the
//! input, but starts nothing and writes nothing.

use std::num::NonZeroU64;

use crate::calibration::Calibration;
use crate::data::{DType, Input, InputSpec, OutputSpec, Overflow, Shape, Source, npy_header};
use crate::error::{Error, Explained};
use crate::host::huge::{self, Advice, Holder};
use crate::inject::Injection;
use crate::job::{Accounts, Bounds, InputAt, Job, Mode, ResultAt, WordsAt};
use crate::kernel::{
    Beyond, Catalog, Cost, Domain, Kernel, Params, Picture, Reads, Repeatable, Setting,
};
use crate::left::Left;
use crate::options::{Bind, Huge, Map, OnDeath, Procs, RunOptions, Verify, Wait};
use crate::placement::{Crowding, Placement, ThisMachine};
use crate::schedule::{Partition, Schedule, ScheduleKind, preferred_chunk};
use crate::shm::{Backing, Dims, EPOCHS, Layout};

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
    /// Resolves options, with `given` in place of an `--input` where a program passed values.
    pub(crate) fn new(
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

        let placement = Placement::new(
            &ThisMachine,
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

        check_faults(&options.inject, placement.procs)?;
        let (spins, yields) = patience(options.wait.unwrap_or(Wait::Hybrid), placement.crowding);
        let job = Job {
            kernel: kernel.name().to_owned(),
            params: params.texts().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            dtype,
            overflow,
            seed,
            size: n,
            left: Left::Everything,
            partition,
            input: input_at(&input)?,
            result: result_at(options.output.as_ref(), dtype, &shape),
            words: WordsAt::Segment,
            mode: mode(&options),
            check,
            cpus: options.cpus.clone(),
            huge: pages(&options, n.saturating_mul(dtype.size() as u64))?,
            spins,
            yields,
            accounts: Accounts::Wanted,
            warmup: options.warmup.unwrap_or(0),
            repeats: options.repeats.map_or(1, std::num::NonZeroU32::get),
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
            samples: u64::from(self.job.repeats),
            job,
            saved_block: saved,
            source: if matches!(self.job.input, InputAt::Segment) { bytes } else { 0 },
            result: if self.job.result == ResultAt::Segment { bytes } else { 0 },
            operands: self.operand_bytes().unwrap_or(u64::MAX),
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

/// Refuses an input that the kernel would not read, and a size that is not its picture's.
fn check_input(kernel: &dyn Kernel, input: &Input, picture: Option<Picture>) -> Result<(), Error> {
    let name = kernel.name();
    let counted = matches!(input.source, Source::Index { first: 0 });
    if !counted && (kernel.reads() != Reads::Input || picture.is_some()) {
        let what = format!("kernel `{name}` reads no input, and `{}` would be one", input.name);
        let hint = match picture {
            Some(_) => "leave it out; the parameters say how large the picture is",
            None => "--size N, or range:0:N, says how many indices there are",
        };
        return Err(Error::rejected(Explained::new(what).hint(hint)));
    }
    match picture {
        Some(picture) if picture.pixels() != input.shape.elements() => {
            let Picture { width, height, .. } = picture;
            Err(Error::rejected(
                Explained::new(format!(
                    "kernel `{name}` makes a picture of {width} x {height} = {} pixels, and the size \
                     asked for is {}",
                    picture.pixels(),
                    input.shape.elements()
                ))
                .hint("leave --size and --input out; the parameters say how large the picture is"),
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses to draw what is not a picture.
fn check_output(
    kernel: &dyn Kernel,
    output: Option<&OutputSpec>,
    picture: Option<Picture>,
) -> Result<(), Error> {
    match (output, picture) {
        (Some(output @ OutputSpec::Png(_)), None) => Err(Error::rejected(
            Explained::new(format!(
                "output `{output}` is to be a picture, and kernel `{}` makes none",
                kernel.name()
            ))
            .hint("a file that ends in .npy, .bin, .csv or .txt"),
        )),
        _ => Ok(()),
    }
}

/// Refuses to overwrite an input that is not read.
fn check_in_place(kernel: &dyn Kernel, options: &RunOptions) -> Result<(), Error> {
    if options.in_place != Some(true) || kernel.reads() == Reads::Input {
        return Ok(());
    }
    let what = format!("kernel `{}` reads no input, so there is none to overwrite", kernel.name());
    Err(Error::rejected(Explained::new(what).hint("leave --in-place out")))
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

/// Says what pages to ask for, for arrays of so many bytes; refuses to run with small ones where that is
/// not wanted.
fn pages(options: &RunOptions, bytes: u64) -> Result<Advice, Error> {
    let holder = holder(options);
    match options.huge {
        Some(Huge::Never) => Ok(Advice::Small),
        Some(Huge::Two) => match huge::missing(holder) {
            Some(fix) => Err(Error::refused(
                Explained::new("--huge 2M: this machine gives no huge pages to shared memory")
                    .hint(format!("{fix}; or --huge auto")),
            )),
            None => Ok(Advice::Huge),
        },
        // Looking takes as long as a small run's work.
        _ if bytes < huge::WORTH || huge::missing(holder).is_some() => Ok(Advice::Nothing),
        Some(Huge::Auto) | None => Ok(Advice::Huge),
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
    let align = NonZeroU64::new(4096 / dtype.size() as u64).unwrap_or(NonZeroU64::MIN);
    let schedule = options.schedule.unwrap_or_else(default_schedule);
    let preferred = preferred_chunk(n, procs, cost.ns, dtype.size());
    Partition::new(schedule, n, procs, preferred, align)
}

/// Refuses a checkpoint of a measurement: what is resumed is not timed from its beginning.
fn check_one_pass(options: &RunOptions) -> Result<(), Error> {
    let repeats = options.repeats.map_or(1, std::num::NonZeroU32::get);
    let warmup = options.warmup.unwrap_or(0);
    if options.checkpoint.is_none() || (repeats == 1 && warmup == 0) {
        return Ok(());
    }
    Err(Error::rejected(
        Explained::new(format!(
            "--checkpoint is for one pass, and this run has {} (--repeats {repeats}, --warmup {warmup})",
            u64::from(repeats) + u64::from(warmup)
        ))
        .hint("leave --checkpoint out: a run that was resumed has no time to compare"),
    ))
}

fn preferred_type(kernel: &dyn Kernel) -> DType {
    let types = kernel.dtypes();
    if types.contains(&DType::I64) {
        DType::I64
    } else {
        types.first().copied().unwrap_or(DType::I64)
    }
}

fn supported(kernel: &dyn Kernel, dtype: DType) -> Result<(), Error> {
    if kernel.dtypes().contains(&dtype) {
        return Ok(());
    }
    let names: Vec<&str> = kernel.dtypes().iter().map(|dtype| dtype.name()).collect();
    Err(Error::rejected(
        Explained::new(format!("kernel `{}` does not work on {dtype}", kernel.name()))
            .hint(format!("it works on {}", names.join(", "))),
    ))
}

/// Refuses indices the kernel cannot take, and says what the ranks must check of an array.
fn check(kernel: &dyn Kernel, input: &Input, overflow: Overflow) -> Result<Option<Bounds>, Error> {
    let Some(domain) = kernel.domain(input.dtype) else { return Ok(None) };
    if domain.beyond == Beyond::Overflow && overflow != Overflow::Error {
        return Ok(None);
    }
    let clamp = |value: i128| value.clamp(i64::MIN.into(), u64::MAX.into());
    let bounds = Bounds {
        least: i64::try_from(clamp(domain.least)).unwrap_or(i64::MAX),
        greatest: u64::try_from(clamp(domain.greatest)).unwrap_or(0),
    };
    let Source::Index { first } = input.source else { return Ok(Some(bounds)) };
    let n = i128::from(input.shape.elements());
    // The values ascend, so the first one outside is the first of all or the first too large.
    let offset = if n == 0 || (bounds.contains(first) && bounds.contains(first + n - 1)) {
        return Ok(None);
    } else if bounds.contains(first) {
        domain.greatest + 1 - first
    } else {
        0
    };
    let index = u64::try_from(offset).unwrap_or(0);
    Err(outside(kernel, input.dtype, index, &(first + offset).to_string(), domain))
}

/// Says that the input at `index` is not one the kernel can take.
pub(crate) fn outside(
    kernel: &dyn Kernel,
    dtype: DType,
    index: u64,
    value: &str,
    domain: Domain,
) -> Error {
    let name = kernel.name();
    let Domain { least, greatest, beyond } = domain;
    Error::rejected(match beyond {
        Beyond::Overflow => Explained::new(format!(
            "kernel `{name}` overflows {dtype} at index {index}: input {value}, exact from {least} to {greatest}"
        ))
        .hint(format!(
            "the largest exact input is {greatest}; --overflow wrap or saturate, or input of a wider type"
        )),
        Beyond::Undefined => Explained::new(format!(
            "kernel `{name}` is not defined at index {index}: input {value}, defined from {least} to {greatest}"
        )),
    })
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

/// Refuses more passes than the barrier can tell apart: at most three epochs each.
fn check_passes(passes: u64) -> Result<(), Error> {
    let most = EPOCHS / 3;
    if passes < most {
        return Ok(());
    }
    let what = format!("a run has fewer than {most} passes, warm-up included; these are {passes}");
    Err(Error::rejected(Explained::new(what).hint("a smaller --repeats or --warmup")))
}

/// Refuses faults that cannot strike.
fn check_faults(faults: &[Injection], procs: u32) -> Result<(), Error> {
    if faults.len() > Injection::MOST {
        return Err(Error::rejected(format!(
            "{} faults are to be injected; a run has {} at most",
            faults.len(),
            Injection::MOST
        )));
    }
    match faults.iter().find(|fault| fault.rank.is_some_and(|rank| rank >= procs)) {
        None => Ok(()),
        Some(fault) => Err(Error::rejected(
            Explained::new(format!("fault `{fault}` is for a rank that this run does not have"))
                .hint(format!("ranks are 0 to {}", procs - 1)),
        )),
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
