//! Everything a run needs, made before its first process: the staged output, the segment, the input.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use super::checkpoint::{self, Checkpoint};
use super::crew::{Crew, may_be_kept};
use super::recording;
use crate::data::{OutputSpec, Source, StagedFile, npy_header};
use crate::error::Error;
use crate::host::clock;
use crate::host::line::{Order, SegmentAt};
use crate::host::map::{Access, Window};
use crate::job::{InputAt, ResultAt};
use crate::phase::Phase;
use crate::plan::Plan;
use crate::schedule::{Chunk, Partition};
use crate::shm::{Backing, Care, Contents, Layout, Region, Seats, Segment, Stage};
use crate::with_dtype;

/// A run that has not begun, or is going on.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) segment: Segment,
    /// The output file, unless results go to stdout.
    pub(super) staged: Option<StagedFile>,
    /// The trace file, if there is to be one.
    pub(super) trace: Option<StagedFile>,
    /// Where results and claim words lie, if they are to outlive the run.
    pub(super) checkpoint: Option<Checkpoint>,
    /// When the run began, by the clock all ranks share.
    pub(super) began: u64,
}

impl World {
    /// Builds the world of a plan. Nothing has been started if this fails, and nothing is left.
    pub(crate) fn build(plan: Plan) -> Result<Self, Error> {
        Self::begin(plan, |_, _| None)
    }

    /// Builds the world of a plan that a crew will run, in memory that the crew has kept, if there is any.
    pub(crate) fn build_in(plan: Plan, crew: &mut Crew) -> Result<Self, Error> {
        Self::begin(plan, |layout, backing| crew.vacant(layout, backing))
    }

    fn begin(
        plan: Plan,
        vacant: impl FnOnce(&Layout, Backing) -> Option<Region>,
    ) -> Result<Self, Error> {
        let began = clock::now_ns();
        let path = plan.options.checkpoint.as_ref();
        let checkpoint = path.map(|path| Checkpoint::open(&path.0, &plan)).transpose()?;
        Self::around(plan, checkpoint, began, vacant)
    }

    /// Builds the world of a plan around the checkpoint that it goes on from, if it keeps one.
    fn around(
        mut plan: Plan,
        checkpoint: Option<Checkpoint>,
        began: u64,
        vacant: impl FnOnce(&Layout, Backing) -> Option<Region>,
    ) -> Result<Self, Error> {
        let words = match &checkpoint {
            None => None,
            Some(checkpoint) => {
                let left = checkpoint.left().clone();
                plan.resume(left, checkpoint::RESULT, checkpoint::WORDS);
                Some(checkpoint.begin(&plan.job.partition)?)
            }
        };
        let staged = stage(&plan)?;
        let trace = recording::stage(&plan)?;
        let job = serde_json::to_vec(&plan.job)
            .map_err(|e| Error::refused(format!("the job cannot be described: {e}")))?;
        let layout = plan.layout(job.len() as u64)?;
        let seats = Seats {
            pins: &plan.placement.pins,
            nodes: &plan.placement.nodes(),
            neighbours: plan.placement.neighbours,
        };
        let contents = Contents { job: &job, partition: &plan.job.partition, seats, words };
        let segment = match vacant(&layout, plan.backing) {
            Some(region) => Segment::again(region, layout, contents)?,
            None => Segment::create(layout, plan.backing, contents)?,
        };
        if matches!(plan.job.input, InputAt::Segment) {
            segment.reserve_source()?;
            fill(&plan, segment.source())?;
        }
        segment.reserve_unless_ranks_can()?;
        segment.publish();
        Ok(Self { plan, segment, staged, trace, checkpoint, began })
    }

    /// Throws away what was computed, and builds the world of the same plan once more.
    ///
    /// What is remembered is what to be careful with, and which injected faults have struck. What a
    /// checkpoint had is thrown away, too: whatever may have damaged memory could reach it.
    pub(super) fn again(self, care: Option<(Chunk, Care)>) -> Result<Self, Error> {
        let control = self.segment.control();
        let strikes = control.header().strikes_of_all();
        let known: Vec<(Chunk, Care)> = control.exceptions().iter().collect();
        let Self { plan, segment, staged, trace, mut checkpoint, began } = self;
        drop((segment, staged, trace)); // Their room may be needed.
        if let Some(checkpoint) = &mut checkpoint {
            checkpoint.forget()?;
        }
        let world = Self::around(plan, checkpoint, began, |_, _| None)?;
        let control = world.segment.control();
        control.header().set_strikes(strikes);
        for (range, care) in known.into_iter().chain(care) {
            if !control.exceptions().add(&range, care) {
                let what = "too many indices have failed to begin again without them";
                return Err(Error::failed(what));
            }
        }
        Ok(world)
    }

    /// Returns how many indices an earlier run had finished.
    pub(crate) fn resumed(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, Checkpoint::resumed)
    }

    /// Lets go of the checkpoint: the results are where they were to go.
    pub(crate) fn release(&self) {
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.remove();
        }
    }

    /// Returns the file that holds the results, if the segment does not.
    fn result_file(&self) -> Option<&File> {
        let staged = self.staged.as_ref().map(StagedFile::file);
        self.checkpoint.as_ref().map(Checkpoint::file).or(staged)
    }

    /// Returns how the index space is cut, with what `auto` has chosen by now.
    pub(crate) fn partition(&self) -> Partition {
        self.segment.control().claims().settled(&self.plan.job.partition)
    }

    /// Returns the chunk a rank is in, if it is in a pass.
    pub(super) fn chunk_of(&self, rank: u32) -> Option<Chunk> {
        let control = self.segment.control();
        let stage = control.ranks()[rank as usize].stage();
        // The range of one that has not begun the pass may be the last pass's, or the next one's.
        (stage == Stage::Pass)
            .then(|| control.claims().current(&self.plan.job.partition, rank))
            .flatten()
    }

    /// Says whether the last barrier has opened: then no rank has anything left to do.
    pub(super) fn is_over(&self) -> bool {
        let job = &self.plan.job;
        let serial = self.plan.kernel.has_serial(&job.setting(&self.plan.params));
        let control = self.segment.control();
        let epoch = control.barrier().epoch();
        // After the first barrier everybody leaves if an input is not to be computed.
        let refused = epoch > 0 && control.header().offence().is_some();
        refused || Phase::at(epoch, job.passes(), serial) == Phase::Over
    }

    /// Returns what a rank of this world is to take part in.
    pub(super) fn order(&self) -> Order<BorrowedFd<'_>> {
        let input = match &self.plan.input.source {
            Source::File { file, .. } => Some(file.as_fd()),
            Source::Index { .. } | Source::Text(_) | Source::Values(_) => None,
        };
        let result = match (self.result_file(), self.plan.job.result) {
            (Some(file), ResultAt::File { .. }) => Some(file.as_fd()),
            _ => None,
        };
        let segment = self.segment.fd();
        let segment = if may_be_kept(self.segment.layout()) {
            SegmentAt::New(segment, self.segment.region().number())
        } else {
            SegmentAt::Once(segment)
        };
        Order { segment, input, result }
    }

    /// Returns the descriptors of a rank that is started for this world, in the order of their numbers there.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        // It always gets all three; where there is no such file it is the segment again.
        let Order { input, result, .. } = self.order();
        let segment = self.segment.fd();
        [segment, input.unwrap_or(segment), result.unwrap_or(segment)]
    }

    /// Maps the result array for reading, where a file holds it.
    pub(super) fn result_window(&self) -> Result<Option<Window>, Error> {
        let (Some(file), ResultAt::File { offset }) = (self.result_file(), self.plan.job.result)
        else {
            return Ok(None);
        };
        let span = usize::try_from(offset).ok().zip(usize::try_from(self.plan.result_bytes()).ok());
        let (offset, bytes) =
            span.ok_or_else(|| Error::refused("the result is larger than an address space"))?;
        Window::new(file.as_fd(), offset, bytes, Access::Read)
            .map(Some)
            .map_err(|e| Error::failed(format!("cannot map the results: {e}")))
    }
}

/// Prepares the output file, so that whatever can be refused about it is refused now.
fn stage(plan: &Plan) -> Result<Option<StagedFile>, Error> {
    let bytes = plan.result_bytes();
    Ok(Some(match &plan.options.output {
        Some(OutputSpec::Npy(path)) => {
            let header = npy_header(plan.job.dtype, &plan.shape);
            let staged = StagedFile::create(path, Some(header.len() as u64 + bytes))?;
            staged.file().write_all_at(&header, 0).map_err(|e| {
                Error::refused(format!("cannot write the header of the output: {e}"))
            })?;
            staged
        }
        Some(OutputSpec::Bin(path)) => StagedFile::create(path, Some(bytes))?,
        Some(OutputSpec::Csv(path) | OutputSpec::Txt(path) | OutputSpec::Png(path)) => {
            StagedFile::create(path, None)?
        }
        Some(OutputSpec::Stdout) | None => return Ok(None),
    }))
}

/// Writes the input array into the segment.
#[expect(unsafe_code, reason = "fills the segment's input array")]
fn fill(plan: &Plan, source: *mut u8) -> Result<(), Error> {
    match &plan.input.source {
        Source::Text(text) => with_dtype!(plan.job.dtype, T => {
            let mut at = source.cast::<T>();
            let write = |value: T| {
                // SAFETY: the input array has room for every element of the shape, `fill` calls
                // back no more often, and nobody else uses it before the segment is published.
                unsafe { at.write(value) };
                at = at.wrapping_add(1);
            };
            filled(text.fill(write)?, plan)
        }),
        Source::Values(bytes) => {
            // SAFETY: the input array has exactly the bytes of the values, and nobody else uses it yet.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), source, bytes.len()) };
            filled((bytes.len() / plan.job.dtype.size()) as u64, plan)
        }
        Source::Index { .. } | Source::File { .. } => Ok(()),
    }
}

fn filled(count: u64, plan: &Plan) -> Result<(), Error> {
    if count == plan.size() {
        Ok(())
    } else {
        Err(Error::failed(format!(
            "input `{}` changed while it was read: {count} numbers, {} before",
            plan.input.name,
            plan.size()
        )))
    }
}
