//! Benches whose ranks measure, all in one world: barrier, pull, bandwidth.

use std::num::NonZeroU64;

use serde_json::{Map, Value, json};

use super::noise::{Counted, Watch, cpus};
use super::room::Room;
use super::{LEAST, Measurement, Request, Row, Unit, counted};
use crate::calibration::{Calibration, Grain, Loop, Measured, Pace};
use crate::engine::{Audience, Calibrated, Orders, Sample, World};
use crate::error::{Error, Explained};
use crate::host::limits::bytes;
use crate::options::{Count, RunOptions};
use crate::plan::Plan;
use crate::run::Run;
use crate::schedule::{MAX_SIZE, Schedule};

/// A batch of operations lasts about so long: much longer than looking at the clock, and shorter than the
/// time between two ticks of the system, so that what disturbs does not disturb all.
const BATCH_NS: u64 = 2_000_000;
/// Samples at most.
const MOST: u64 = 10_000;
/// Readings of all ranks together, at most: they are memory.
const MOST_READINGS: u64 = 1 << 20;
/// Chunks of an index space, where chunks are of a fixed size: a pass then lasts about as long as a batch.
const PULLS: u64 = 1 << 14;
/// And for each rank at least.
const PULLS_EACH: u64 = 64;
/// Rounds of all loops over memory at least. Each takes long, and all of its bytes are one average.
const ROUNDS: u64 = 11;

const BARRIER: &str = "from when the first rank began a batch of barriers until the last one had left the \
     last of them, divided by how many there were: of all ranks the slowest decides. Nothing is done \
     between two barriers";

const PULL: &str = "from when the first rank began a pass over the index space until the last one had found \
     it empty, divided by the chunks in it: the time of the whole node for each chunk, as in an OpenMP loop \
     with an empty body. A chunk is claimed, looked at and committed as in a run, but for the two looks at \
     the clock. rank: what one rank waits for each chunk it gets";

const BANDWIDTH: &str = "the bytes that all ranks have read and written in a pass over their parts of the \
     arrays, divided by the time from when the first began until the last was done. Counted per element: \
     read 8 (sum of b), update 16 (a = s a), copy 16 (c = b), triad 24 (a = b + s c); what the hardware \
     reads only to overwrite it is not counted";

/// Lets ranks measure this; how large arrays are is found here.
pub(super) fn measure(
    mut measured: Measured,
    request: &Request,
    orders: &Orders,
    audience: &mut dyn Audience,
) -> Result<Measurement, Error> {
    // What is left of the options of a run: no kernel computes anything.
    let options = RunOptions {
        kernel: Some("square".to_owned()),
        size: Some(Count(1)),
        ..request.options.clone()
    };
    let mut plan = Run::from_options(options).plan()?;
    let mut warnings = plan.placement.warnings.clone();
    let mut facts = Map::new();
    if let Measured::Bandwidth { array, .. } = &mut measured {
        let room = Room::here(&cpus(&plan), plan.backing);
        let (fitting, said) = room.array(plan.procs(), request.array);
        *array = fitting;
        warnings.extend(said);
        facts.insert("array_bytes".to_owned(), fitting.into());
        facts.insert("last_level_cache_bytes".to_owned(), room.caches.into());
    }
    for warning in &warnings {
        audience.warn(warning);
    }
    let pace = pace(measured, request, plan.procs());
    let calibration = Calibration { measured, pace, places: pace.places() };
    let (indices, room) = (indices(measured, &plan), calibration.bytes(plan.procs()));
    let room = room
        .ok_or_else(|| Error::rejected("three arrays of that size do not fit an address space"))?;
    plan.calibrate(calibration, indices, room)?;
    let watch = Watch::begin(&plan);
    let calibrated = World::build(plan)?.calibrate(orders, audience)?;
    if measured == Measured::Pull {
        check(&calibrated, indices)?;
    }
    let switches: Vec<u64> = calibrated.samples.iter().map(|sample| sample.switches).collect();
    let (rows, main, unit) = rows(measured, &calibrated.samples)?;
    let noise = watch.end(&switches, &calibrated.ranks, Counted::Migrations);
    let told = told(measured, &calibrated, &mut facts);
    warnings.extend(calibrated.warnings);
    Ok(Measurement {
        name: request.name,
        procs: calibrated.plan.procs(),
        cpus: cpus(&calibrated.plan).to_string(),
        unit,
        rows,
        main,
        sample: told.sample,
        definition: told.definition.to_owned(),
        facts,
        noise,
        warnings,
    })
}

fn pace(measured: Measured, request: &Request, procs: u32) -> Pace {
    let budget_ns = u64::try_from(request.budget.as_nanos()).unwrap_or(u64::MAX);
    let most = MOST.min(MOST_READINGS / u64::from(procs.max(1)));
    let (grain, least) = match measured {
        Measured::Barrier => (Grain::Batch { ns: BATCH_NS.min(budget_ns / LEAST).max(1) }, LEAST),
        Measured::Pull => (Grain::Pass { round: 1 }, LEAST),
        Measured::Bandwidth { loops, .. } => {
            let round = loops.each().len() as u64;
            (Grain::Pass { round }, ROUNDS * round)
        }
    };
    let round = match grain {
        Grain::Pass { round } => round,
        Grain::Batch { .. } => 1,
    };
    Pace { grain, least, most: most.max(least).next_multiple_of(round.max(1)), budget_ns }
}

/// Returns how many indices there are to be claimed.
fn indices(measured: Measured, plan: &Plan) -> u64 {
    let chunk = plan.options.schedule.and_then(Schedule::chunk);
    match measured {
        Measured::Pull => {
            let chunk = chunk.map_or(1, NonZeroU64::get);
            let pulls = PULLS.max(PULLS_EACH * u64::from(plan.procs()));
            pulls.saturating_mul(chunk).min(MAX_SIZE)
        }
        Measured::Barrier | Measured::Bandwidth { .. } => 0,
    }
}

/// Checks that the ranks have claimed every index in every pass, and none twice.
fn check(calibrated: &Calibrated, indices: u64) -> Result<(), Error> {
    match calibrated.samples.iter().find(|sample| sample.items != indices) {
        None => Ok(()),
        Some(sample) => Err(Error::Wrong(Explained::new(format!(
            "{} indices were claimed in a pass over {indices}",
            sample.items
        )))),
    }
}

fn rows(measured: Measured, samples: &[Sample]) -> Result<(Vec<Row>, &'static str, Unit), Error> {
    let row = |name, value: fn(&Sample) -> f64| {
        let values = samples.iter().map(|sample| (value(sample), sample.switches));
        Row::new(name, &values.collect::<Vec<_>>())
    };
    let over = |value: u64, count: u64| value as f64 / count.max(1) as f64;
    let ns = Unit::NsPerOp;
    Ok(match measured {
        Measured::Barrier => (
            vec![row("barrier", |sample| sample.wall as f64 / sample.asked.max(1) as f64)?],
            "barrier",
            ns,
        ),
        Measured::Pull => {
            let whole = row("pull", |sample| sample.wall as f64 / sample.done.max(1) as f64)?;
            let rank = row("rank", |sample| sample.time as f64 / sample.done.max(1) as f64)?;
            (vec![whole, rank], "pull", ns)
        }
        Measured::Bandwidth { loops, .. } => {
            let rows = loops.each().iter().map(|&which| {
                let of = samples.iter().filter(|sample| loops.of(sample.number) == which);
                let rates =
                    of.map(|sample| (over(sample.done, sample.wall) * 1e9, sample.switches));
                Row::new(which.name(), &rates.collect::<Vec<_>>())
            });
            let rows = rows.collect::<Result<Vec<_>, Error>>()?;
            (rows, Loop::Triad.name(), Unit::BytesPerS)
        }
    })
}

/// What the numbers are of.
struct Told {
    sample: String,
    definition: &'static str,
}

fn told(measured: Measured, calibrated: &Calibrated, facts: &mut Map<String, Value>) -> Told {
    let samples = &calibrated.samples;
    let total = |of: fn(&Sample) -> u64| samples.iter().map(of).sum::<u64>();
    let each = total(|sample| sample.done) / (samples.len() as u64).max(1);
    let mut fact = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    match measured {
        Measured::Barrier => {
            let operations = samples.first().map_or(0, |sample| sample.asked);
            fact("ops_per_sample", operations.into());
            Told {
                sample: format!("a batch of {}", counted(operations, "barrier", "barriers")),
                definition: BARRIER,
            }
        }
        Measured::Pull => {
            let partition = &calibrated.plan.job.partition;
            let schedule = partition.schedule().to_string();
            let handed =
                total(|sample| sample.handed) as f64 / total(|sample| sample.done).max(1) as f64;
            // Where each rank has a queue of its own, nothing goes from rank to rank.
            let handed = (partition.queues() == 1).then_some(handed);
            fact("ops_per_sample", each.into());
            fact("schedule", json!(schedule));
            fact("handed_over", json!(handed));
            let handed = handed.map_or(String::new(), |handed| {
                format!("; {:.0} % of chunks followed one of another rank", handed * 100.0)
            });
            Told {
                sample: format!(
                    "a pass of {}, {schedule}{handed}",
                    counted(each, "chunk", "chunks")
                ),
                definition: PULL,
            }
        }
        Measured::Bandwidth { array, .. } => {
            fact("arrays", json!(crate::calibration::ARRAYS));
            fact(
                "bytes_per_element",
                json!({
                    "read": 8, "update": 16, "copy": 16, "triad": 24,
                }),
            );
            Told {
                sample: format!("a pass over arrays of {}", bytes(array)),
                definition: BANDWIDTH,
            }
        }
    }
}
