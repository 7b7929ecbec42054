//! What is done once every rank has left: audit, verification, output; and what the run was like.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use super::checkpoint;
use super::counters::Counting;
use super::history::History;
use super::names;
use super::noise::Noise;
use super::orders::Orders;
use super::recording;
use super::results::Results;
use super::verify::{verify, with_arrays};
use super::world::World;
use crate::data::{OutputSpec, Source, StagedFile, Stamp, npy_header};
use crate::error::{Error, Explained};
use crate::host::clock;
use crate::job::{Accounts, Counters};
use crate::plan;
use crate::shm::{Counted, Disturbed, Incomplete, NO_CPU, Relaxed};

/// A finished run: its results, its times, its ranks.
pub(crate) struct Collected {
    pub(crate) results: Results,
    pub(crate) times: Times,
    pub(crate) ranks: Vec<RankReport>,
    pub(crate) history: History,
    /// `None`: nobody looked.
    pub(crate) noise: Option<Noise>,
    /// `None`: nobody asked.
    pub(crate) counting: Option<Counting>,
}

impl Collected {
    /// Returns what the run has come to, now that its output is written: an error if something is
    /// missing in it, or if warnings are to be errors.
    pub(crate) fn verdict(&self) -> Result<(), Error> {
        if let Some(missing) = self.history.missing_text() {
            return Err(Error::failed(
                Explained::new(missing).hint("--on-error keep completed and wrote the rest"),
            ));
        }
        let strict = self.results.world().plan.options.strict == Some(true);
        if strict && self.history.recovered > 0 {
            return Err(Error::failed(
                Explained::new("the run was complete only after recovered deaths")
                    .hint("--strict makes that an error; the output was written"),
            ));
        }
        Ok(())
    }
}

/// Where the time went, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Times {
    pub(crate) total: f64,
    /// Until the last rank was started.
    pub(crate) spawn: f64,
    /// From there until the last rank had attached.
    pub(crate) attach: f64,
    /// From there until the last rank had touched its slice.
    pub(crate) init: f64,
    /// Verification and writing the output.
    pub(crate) output: f64,
    /// One for each pass before the timed ones.
    pub(crate) warmups: Vec<f64>,
    /// One for each timed pass.
    pub(crate) passes: Vec<f64>,
}

/// What one rank did. Seconds; of the latest pass.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RankReport {
    pub(crate) rank: u32,
    pub(crate) pid: i32,
    /// The CPU it was pinned to, else the one it was seen on last.
    pub(crate) cpu: Option<u32>,
    pub(crate) pinned: Pinned,
    pub(crate) items: u64,
    pub(crate) chunks: u64,
    pub(crate) busy: f64,
    pub(crate) claim: f64,
    pub(crate) wait: f64,
    pub(crate) max_rss_bytes: u64,
    pub(crate) nivcsw: u64,
    pub(crate) migrations: u64,
    pub(crate) huge_bytes: u64,
}

/// Whether a rank ran where it was meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// It was not to be pinned.
    Unasked,
    /// Its mask, read back, was that one CPU.
    Yes,
    /// The pin to this CPU was not taken.
    Refused {
        /// The CPU that was asked for.
        wanted: u32,
    },
}

/// Finishes a run whose ranks have all left.
pub(super) fn collect(
    world: World,
    pids: &[i32],
    spawned: u64,
    mut history: History,
    orders: &Orders,
) -> Result<Collected, Error> {
    let window = world.result_window()?;
    let results = Results::new(world, window);
    // What is refused or wrong now would be again: a checkpoint of it is of no use.
    let useless = |error: Error| {
        if matches!(error, Error::Wrong(_) | Error::Rejected(_)) {
            results.world().release();
        }
        error
    };
    offended(&results).map_err(useless)?;
    audit(results.world()).map_err(useless)?;
    let finishing = clock::now_ns();
    verify(&results, &history.missing, orders).map_err(useless)?;
    input_unchanged(results.world())?;
    orders.check()?;
    let mut results = results;
    let trace = results.world_mut().trace.take();
    if let Some(trace) = &trace {
        let (_, passes) = passes(results.world());
        recording::record(results.world(), trace, pids, &passes, &mut history)?;
    }
    if let Some(staged) = results.world_mut().staged.take() {
        write_formatted(&results, &staged, orders)?;
        copy_out(results.world(), staged.file(), orders)?;
        orders.check()?;
        staged.publish()?;
        results.world().release();
    }
    trace.map_or(Ok(()), StagedFile::publish)?;
    let done = clock::now_ns();
    never_struck(results.world(), &mut history);
    let ranks = reports(results.world(), pids);
    let times = times(results.world(), spawned, finishing, done);
    let noise = noise(results.world(), &times);
    let counting = counting(results.world());
    Ok(Collected { results, times, ranks, history, noise, counting })
}

/// Refuses a run whose ranks found an input the kernel cannot take; none of it was computed.
fn offended(results: &Results) -> Result<(), Error> {
    let world = results.world();
    let plan = &world.plan;
    let domain = plan.kernel.domain(plan.job.dtype);
    let (Some(index), Some(domain)) = (world.segment.control().header().offence(), domain) else {
        return Ok(());
    };
    let index = index.min(plan.size().saturating_sub(1)); // Another process wrote it.
    with_arrays(results, |arrays| {
        let value = arrays.input_text(index).map_err(|error| Error::failed(error.message))?;
        Err(plan::outside(plan.kernel, plan.job.dtype, index, &value, domain))
    })
}

/// Checks that every index was computed, by the words that decided who computes what.
pub(super) fn audit(world: &World) -> Result<(), Error> {
    let job = &world.plan.job;
    let control = world.segment.control();
    let wrong =
        |what: String| Error::Wrong(Explained::new(format!("the internal audit failed: {what}")));
    control.claims().audit(&job.partition).map_err(|incomplete| {
        let span = |chunk: &crate::schedule::Chunk| names::indices(job, chunk);
        wrong(match incomplete {
            Incomplete::Unclaimed { next } => {
                format!("indices from chunk {} on were never claimed", span(&next))
            }
            Incomplete::Running { rank, chunk } => format!(
                "chunk {} was claimed{} and not finished",
                chunk.as_ref().map_or("?".to_owned(), span),
                rank.map_or(String::new(), |rank| format!(" by rank {rank}")),
            ),
        })
    })
}

/// Warns of injected faults that had no occasion: a test of one's kernel that tests nothing.
fn never_struck(world: &World, history: &mut History) {
    let header = world.segment.control().header();
    for (number, fault) in world.plan.job.inject.iter().enumerate() {
        if header.strikes(number) == 0 {
            history.warnings.push(format!(
                "the injected fault `{fault}` never struck: no rank came to that point"
            ));
        }
    }
}

/// Returns the cause behind an error of the run, where that is known better than by who noticed: a
/// rank whose input shrank cannot map it, or is killed by SIGBUS.
pub(super) fn traced(world: &World, error: Error) -> Error {
    match error {
        Error::Failed(_) | Error::Refused(_) => input_unchanged(world).err().unwrap_or(error),
        other => other,
    }
}

/// Checks that a mapped input is the file it was when it was checked.
pub(super) fn input_unchanged(world: &World) -> Result<(), Error> {
    let name = &world.plan.input.name;
    let Source::File { file, stamp, .. } = &world.plan.input.source else { return Ok(()) };
    match Stamp::of(file) {
        Ok(now) if now == *stamp => Ok(()),
        Ok(now) if now.size() < stamp.size() => Err(Error::failed(format!(
            "input `{name}` shrank while it was read: {} bytes, {} before",
            now.size(),
            stamp.size()
        ))),
        Ok(_) => Err(Error::failed(format!("input `{name}` changed while it was read"))),
        Err(error) => Err(Error::failed(format!("cannot look at input `{name}` again: {error}"))),
    }
}

/// Writes results into an output file of a format that holds more, or other, than their bytes.
fn write_formatted(results: &Results, staged: &StagedFile, orders: &Orders) -> Result<(), Error> {
    let mut out = BufWriter::with_capacity(1 << 16, Attended { to: staged.file(), orders });
    let written = match &results.world().plan.options.output {
        Some(OutputSpec::Csv(_)) => results.write_csv(&mut out),
        Some(OutputSpec::Txt(_)) => results.write_lines(&mut out),
        Some(OutputSpec::Png(_)) => results.write_png(&mut out),
        // The ranks have written these into the file themselves, or into the checkpoint.
        Some(OutputSpec::Npy(_) | OutputSpec::Bin(_) | OutputSpec::Stdout) | None => Ok(()),
    };
    let written = written.and_then(|()| out.flush());
    drop(out.into_parts()); // Without another attempt to write what is left.
    orders.check()?;
    written.map_err(|e| {
        let name =
            results.world().plan.options.output.as_ref().map_or(String::new(), ToString::to_string);
        Error::failed(
            Explained::new(format!("cannot write output `{name}`: {e}"))
                .hint("the old output, if there was one, is untouched"),
        )
    })
}

/// Copies results into an output file that is to hold their bytes, from the checkpoint that does.
fn copy_out(world: &World, mut to: &File, orders: &Orders) -> Result<(), Error> {
    /// Between two looks at the orders. The system copies, or shares the blocks where it can.
    const STEP: u64 = 64 << 20;
    let Some(checkpoint) = &world.checkpoint else { return Ok(()) };
    let header = match &world.plan.options.output {
        Some(OutputSpec::Npy(_)) => {
            npy_header(world.plan.job.dtype, &world.plan.shape).len() as u64
        }
        Some(OutputSpec::Bin(_)) => 0,
        Some(OutputSpec::Csv(_) | OutputSpec::Txt(_) | OutputSpec::Png(_) | OutputSpec::Stdout)
        | None => return Ok(()),
    };
    let cannot = |error: io::Error| {
        Error::failed(format!("cannot copy the results into the output: {error}"))
    };
    let mut from = checkpoint.file();
    from.seek(SeekFrom::Start(checkpoint::RESULT)).map_err(cannot)?;
    to.seek(SeekFrom::Start(header)).map_err(cannot)?;
    let mut left = world.plan.result_bytes();
    while left > 0 {
        orders.check()?;
        let step = left.min(STEP);
        if io::copy(&mut from.take(step), &mut to).map_err(cannot)? != step {
            return Err(cannot(io::ErrorKind::UnexpectedEof.into()));
        }
        left -= step;
    }
    Ok(())
}

/// A writer that ends when the run is ordered to stop.
struct Attended<'a, W> {
    to: W,
    orders: &'a Orders,
}

impl<W: Write> Write for Attended<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.orders.check().map_err(|error| io::Error::other(error.to_string()))?;
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn times(world: &World, spawned: u64, finishing: u64, done: u64) -> Times {
    let control = world.segment.control();
    // Relaxed here and below: every rank has left, and its exit orders what it wrote.
    let latest = |when: fn(&crate::shm::RankSlot) -> u64| {
        control.ranks().iter().map(when).max().unwrap_or(0)
    };
    let attached = latest(|slot| slot.attached.load(Relaxed)).max(spawned);
    let ready = latest(|slot| slot.ready.load(Relaxed)).max(attached);
    let (warmups, passes) = passes(world);
    Times {
        total: seconds(done.saturating_sub(world.began)),
        spawn: seconds(spawned.saturating_sub(world.began)),
        attach: seconds(attached - spawned),
        init: seconds(ready - attached),
        output: seconds(done.saturating_sub(finishing)),
        warmups,
        passes,
    }
}

/// Judges what the ranks have seen while passes were timed; `None` if they were not to look.
fn noise(world: &World, times: &Times) -> Option<Noise> {
    if world.plan.job.accounts == Accounts::Unwanted {
        return None;
    }
    let slots = world.segment.control().ranks();
    let seen: Vec<Disturbed> = slots.iter().map(|slot| slot.disturbed.load()).collect();
    let placement = &world.plan.placement;
    Some(Noise::of(&seen, placement.watched(), times.passes.iter().sum(), placement.crowding))
}

/// Reads what the ranks have counted while passes were timed; `None` if they were not to count.
fn counting(world: &World) -> Option<Counting> {
    if world.plan.job.counters == Counters::Unwanted {
        return None;
    }
    let slots = world.segment.control().ranks();
    let counted: Vec<Counted> = slots.iter().map(|slot| slot.counted.load()).collect();
    Some(Counting::of(&counted))
}

/// Returns the seconds of each pass: of those before the timed ones, and of those.
fn passes(world: &World) -> (Vec<f64>, Vec<f64>) {
    let passes = world.segment.control().samples();
    let mut all: Vec<f64> = passes.iter().map(|pass| seconds(pass.length())).collect();
    let timed = all.split_off(all.len().min(world.plan.job.warmup as usize));
    (all, timed)
}

pub(super) fn reports(world: &World, pids: &[i32]) -> Vec<RankReport> {
    let control = world.segment.control();
    let known = |cpu: u32| (cpu != NO_CPU).then_some(cpu);
    (0..)
        .zip(control.ranks().iter().zip(pids))
        .map(|(rank, (slot, &pid))| {
            let pinned = known(slot.pinned.load(Relaxed));
            RankReport {
                rank,
                pid,
                cpu: pinned.or_else(|| known(slot.cpu.load(Relaxed))),
                pinned: match (slot.wanted(), pinned) {
                    (None, _) => Pinned::Unasked,
                    (Some(_), Some(_)) => Pinned::Yes,
                    (Some(wanted), None) => Pinned::Refused { wanted },
                },
                items: slot.items.load(Relaxed),
                chunks: slot.chunks.load(Relaxed),
                busy: seconds(slot.busy.load(Relaxed)),
                // Mapping what another rank has touched is a price of taking its chunk.
                claim: seconds(slot.claim.load(Relaxed).saturating_add(slot.map.load(Relaxed))),
                wait: seconds(slot.wait.load(Relaxed)),
                max_rss_bytes: slot.max_rss.load(Relaxed),
                nivcsw: slot.nivcsw.load(Relaxed),
                migrations: slot.migrations.load(Relaxed),
                huge_bytes: slot.huge.load(Relaxed),
            }
        })
        .collect()
}
