//! What is refused before anything runs, each with its reason.

use std::num::NonZeroU32;

use crate::data::{DType, Input, OutputSpec, Overflow, Source};
use crate::error::{Error, Explained};
use crate::inject::Injection;
use crate::job::Bounds;
use crate::kernel::{Beyond, Domain, Kernel, Picture, Reads};
use crate::options::{OnDeath, Procs, RunOptions};
use crate::schedule::{Schedule, ScheduleKind};
use crate::shm::EPOCHS;

/// Refuses an input that the kernel would not read, and a size that is not its picture's.
pub(super) fn check_input(
    kernel: &dyn Kernel,
    input: &Input,
    picture: Option<Picture>,
) -> Result<(), Error> {
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
pub(super) fn check_output(
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
pub(super) fn check_in_place(kernel: &dyn Kernel, options: &RunOptions) -> Result<(), Error> {
    if options.in_place != Some(true) || kernel.reads() == Reads::Input {
        return Ok(());
    }
    let what = format!("kernel `{}` reads no input, so there is none to overwrite", kernel.name());
    Err(Error::rejected(Explained::new(what).hint("leave --in-place out")))
}

/// Settles what a plain loop leaves no choice in, and refuses what it has no place for.
pub(super) fn make_plain(options: &mut RunOptions) -> Result<(), Error> {
    if options.plain != Some(true) {
        return Ok(());
    }
    match options.procs {
        None | Some(Procs::Auto) => options.procs = Some(Procs::Exactly(NonZeroU32::MIN)),
        Some(Procs::Exactly(procs)) if procs == NonZeroU32::MIN => {}
        Some(procs) => {
            let what = format!("a plain loop is computed by one rank, and --procs says {procs}");
            return Err(Error::rejected(Explained::new(what).hint("leave --plain or --procs out")));
        }
    }
    if options.checkpoint.is_some() {
        let what = "a plain loop has its results to itself until it is over, and --checkpoint keeps \
                    them meanwhile";
        return Err(Error::rejected(Explained::new(what).hint("leave one of them out")));
    }
    options.schedule = Some(Schedule::new(ScheduleKind::Static, None));
    options.on_death = Some(OnDeath::Fail);
    Ok(())
}

/// Refuses a trace of part of a run, and one that would be the output.
pub(super) fn check_trace(options: &RunOptions) -> Result<(), Error> {
    let Some(trace) = &options.trace else { return Ok(()) };
    if options.checkpoint.is_some() {
        let what =
            "--trace records whole passes, and a run with --checkpoint may be what is left of one";
        return Err(Error::rejected(Explained::new(what).hint("leave one of them out")));
    }
    if trace.0.as_os_str() == "-" {
        return Err(Error::rejected(
            Explained::new("a trace goes to a file, and `-` is none").hint("--trace t.json"),
        ));
    }
    let output = options.output.as_ref().and_then(OutputSpec::path);
    if output == Some(trace.0.as_path()) {
        let what = format!("`{trace}` is to be both the output and the trace");
        return Err(Error::rejected(Explained::new(what).hint("give them two names")));
    }
    Ok(())
}

/// Refuses a checkpoint of a measurement: what is resumed is not timed from its beginning.
pub(super) fn check_one_pass(options: &RunOptions) -> Result<(), Error> {
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

pub(super) fn supported(kernel: &dyn Kernel, dtype: DType) -> Result<(), Error> {
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
pub(super) fn check(
    kernel: &dyn Kernel,
    input: &Input,
    overflow: Overflow,
) -> Result<Option<Bounds>, Error> {
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

/// Refuses more passes than the barrier can tell apart: at most three epochs each.
pub(super) fn check_passes(passes: u64) -> Result<(), Error> {
    let most = EPOCHS / 3;
    if passes < most {
        return Ok(());
    }
    let what = format!("a run has fewer than {most} passes, warm-up included; these are {passes}");
    Err(Error::rejected(Explained::new(what).hint("a smaller --repeats or --warmup")))
}

/// Refuses faults that cannot strike.
pub(super) fn check_faults(faults: &[Injection], procs: u32) -> Result<(), Error> {
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
