//! What a rank measures in place of computing, sample by sample, through the code that runs compute with.
//!
//! ```text
//! rank 0 says how much is next ── barrier ── all: begin, work, end ── barrier ── each writes its reading
//! ```
//!
//! The clock is read outside of the work: twice a sample. A death ends it all: a calibration has no result
//! without one of its ranks.

mod bandwidth;
mod barrier;
mod loops;
mod pull;

use std::io;

use self::bandwidth::Bandwidth;
use self::barrier::Barriers;
use self::pull::Pull;
use super::inject::Injector;
use super::{Stop, internal, machine};
use crate::arrays;
use crate::calibration::{Calibration, Measured, Pacer};
use crate::host::clock;
use crate::host::map::{self, Populated};
use crate::host::procs::{Whose, involuntary_switches};
use crate::job::Job;
use crate::shm::{Ask, Attached, Control, Fault, RankSlot, Reading, Readings, Stage};

/// A rank, and its place in the segment.
pub(super) struct Seat<'a> {
    pub(super) number: u32,
    pub(super) control: Control<'a>,
    pub(super) slot: &'a RankSlot,
    pub(super) job: &'a Job,
    pub(super) injector: &'a Injector<'a>,
}

/// Something that can be done again and again, by all ranks together.
trait Bench {
    /// Makes ready for a sample; between two barriers, by rank 0 alone.
    fn again(&mut self) {}

    /// Does this rank's part of a sample of so many operations.
    fn work(&mut self, sample: u64, operations: u64) -> Result<Work, Stop>;
}

/// What a rank did in a sample, as far as its operations say.
#[derive(Default)]
struct Work {
    done: u64,
    items: u64,
    handed: u64,
}

/// Measures until rank 0 says that it is enough.
pub(super) fn calibrate(
    calibration: Calibration,
    seat: &Seat<'_>,
    attached: &Attached,
) -> Result<(), Stop> {
    agree(calibration, seat, attached)?;
    seat.slot.set_stage(Stage::Init);
    let readings = readings(calibration, seat, attached)?;
    match calibration.measured {
        Measured::Barrier => follow(calibration, seat, &readings, &mut Barriers { seat }),
        Measured::Pull => follow(calibration, seat, &readings, &mut Pull::new(seat)?),
        Measured::Bandwidth { array, loops } => {
            let mut bench = Bandwidth::touch(calibration, (array, loops), seat, attached)?;
            follow(calibration, seat, &readings, &mut bench)
        }
    }
}

fn follow(
    calibration: Calibration,
    seat: &Seat<'_>,
    readings: &Readings<'_>,
    bench: &mut impl Bench,
) -> Result<(), Stop> {
    seat.slot.note_attached(clock::now_ns());
    let mut pacer = Pacer::new(calibration.pace);
    let mut took = 0;
    for sample in 0..calibration.places {
        if seat.number == 0 {
            let ask = pacer.next(took, clock::now_ns());
            readings.ask(sample, ask);
            if sample > 0 && ask != Ask::Stop {
                bench.again();
            }
        }
        let switches = involuntary_switches(Whose::Own);
        seat.meet()?;
        let operations = match readings.asked(sample) {
            Ask::WarmUp(operations) | Ask::Sample(operations) => operations,
            Ask::Stop => break,
        };
        seat.slot.set_stage(Stage::Pass);
        let begin = clock::now_ns();
        let Work { done, items, handed } = bench.work(sample, operations)?;
        let end = clock::now_ns();
        // Nobody begins anything while another rank is still at work.
        seat.meet()?;
        took = end - begin;
        let switches = involuntary_switches(Whose::Own) - switches;
        readings.write(seat.number, sample, &Reading { begin, end, done, items, handed, switches });
        seat.slot.add_done(1); // Whoever watches sees that it goes on.
    }
    Ok(())
}

impl Seat<'_> {
    fn procs(&self) -> u32 {
        self.control.layout().dims.procs
    }

    /// Waits for all ranks.
    fn meet(&self) -> Result<(), Stop> {
        self.slot.set_stage(Stage::Barrier);
        let patience = self.job.patience();
        self.control.barrier().wait(self.number, self.procs(), patience, self.injector)?;
        Ok(())
    }
}

/// Checks that the segment was laid out for this job: both are bytes another process wrote.
fn agree(calibration: Calibration, seat: &Seat<'_>, attached: &Attached) -> Result<(), Stop> {
    let dims = seat.control.layout().dims;
    let partition = &seat.job.partition;
    let agree = calibration.places == calibration.pace.places()
        && calibration.bytes(dims.procs).is_some_and(|bytes| bytes <= attached.result.len() as u64)
        && dims.procs == partition.procs()
        && dims.queues == partition.queues()
        && seat.number < dims.procs;
    if agree {
        Ok(())
    } else {
        let what = "the segment was laid out for another calibration";
        Err(Stop::Fault(Fault::Internal, None, what.to_owned()))
    }
}

#[expect(unsafe_code, reason = "the readings' part of the segment")]
fn readings<'a>(
    calibration: Calibration,
    seat: &Seat<'_>,
    attached: &'a Attached,
) -> Result<Readings<'a>, Stop> {
    let first = arrays::start(&attached.result);
    let mine = Readings::bytes(1, calibration.places).unwrap_or(0);
    let offset = usize::try_from(mine * u64::from(seat.number)).unwrap_or(usize::MAX);
    present(first.wrapping_add(offset), mine)?;
    // SAFETY: `agree` has seen that they fit the window, which begins on a page and outlives them.
    Ok(unsafe { Readings::new(first.cast_const(), seat.procs(), calibration.places) })
}

/// Makes pages of the segment's array present, near the CPU of this rank: no SIGBUS later.
#[expect(unsafe_code, reason = "madvise on a part of the segment")]
fn present(at: *mut u8, bytes: u64) -> Result<(), Stop> {
    let len = usize::try_from(bytes).map_err(|e| internal("array")(io::Error::other(e)))?;
    // SAFETY: all callers name a part of the window that `agree` has looked at: shared and writable.
    let populated = unsafe { map::populate(at, len) };
    // Unsupported: the launcher has seen that too, and reserved everything itself.
    populated.map(|_: Populated| ()).map_err(machine("there is no room for the arrays"))
}
