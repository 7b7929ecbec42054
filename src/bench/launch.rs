//! Whole runs in which next to nothing is computed: what it costs that ranks are processes.

use std::time::Instant;

use serde_json::{Map, json};

use super::noise::{Counted, Watch};
use super::{LEAST, Measurement, Name, Request, Row, Unit};
use crate::engine::{Audience, Orders, World};
use crate::error::{Error, Explained};
use crate::host::procs::{Whose, involuntary_switches};
use crate::job::Accounts;
use crate::options::RunOptions;
use crate::plan::Plan;
use crate::run::Run;

/// Runs that do not count: the program's pages are in memory after them.
const WARM_UPS: u64 = 3;
/// Runs at most.
const MOST: u64 = 10_000;

const DEFINITION: &str = "one run of the kernel square on its own 5 numbers: from before its segment is \
     made until every rank has ended and was reaped. spawn: until the last rank was started; attach: from \
     there until the last one had attached; rest: all after that. Reading the command line and planning \
     are not in it";

/// One run, in nanoseconds.
struct Launch {
    total: f64,
    spawn: f64,
    attach: f64,
    switches: u64,
}

pub(super) fn measure(
    request: &Request,
    orders: &Orders,
    audience: &mut dyn Audience,
) -> Result<Measurement, Error> {
    let plan = plan(&request.options)?;
    for warning in &plan.placement.warnings {
        audience.warn(warning);
    }
    let (procs, cpus) = (plan.procs(), super::noise::cpus(&plan).to_string());
    let warnings = plan.placement.warnings.clone();
    for _ in 0..WARM_UPS {
        once(&request.options, orders, audience)?;
    }
    let watch = Watch::begin(&plan);
    let began = Instant::now();
    let mut launches = Vec::new();
    while (launches.len() as u64) < LEAST
        || (began.elapsed() < request.budget && (launches.len() as u64) < MOST)
    {
        launches.push(once(&request.options, orders, audience)?);
    }
    let switches: Vec<u64> = launches.iter().map(|launch| launch.switches).collect();
    let row = |name, value: fn(&Launch) -> f64| {
        let samples: Vec<(f64, u64)> =
            launches.iter().map(|launch| (value(launch), launch.switches)).collect();
        Row::new(name, &samples)
    };
    Ok(Measurement {
        name: Name::Launch,
        procs,
        cpus,
        unit: Unit::NsPerOp,
        rows: vec![
            row("launch", |launch| launch.total)?,
            row("spawn", |launch| launch.spawn)?,
            row("attach", |launch| launch.attach)?,
            row("rest", |launch| launch.total - launch.spawn - launch.attach)?,
        ],
        main: "launch",
        sample: "one run".to_owned(),
        definition: DEFINITION.to_owned(),
        facts: Map::from_iter([("kernel".to_owned(), json!("square"))]),
        // Pins are those of the plan: ranks that live for a millisecond are not asked.
        noise: watch.end(&switches, &[], Counted::Nothing),
        warnings,
    })
}

fn plan(options: &RunOptions) -> Result<Plan, Error> {
    let options = RunOptions { kernel: Some("square".to_owned()), ..options.clone() };
    let mut plan = Run::from_options(options).plan()?;
    plan.job.accounts = Accounts::Unwanted;
    Ok(plan)
}

fn once(
    options: &RunOptions,
    orders: &Orders,
    audience: &mut dyn Audience,
) -> Result<Launch, Error> {
    let plan = plan(options)?;
    let before = involuntary_switches(Whose::Children);
    let collected = World::build(plan)?.run(orders, audience)?;
    let switches = involuntary_switches(Whose::Children).saturating_sub(before);
    if collected.history.recovered > 0 {
        let what = collected.history.warnings.first().cloned();
        let what = what.unwrap_or_else(|| "a rank died".to_owned());
        return Err(Error::failed(
            Explained::new(what).hint("a bench is of all its ranks: run it again"),
        ));
    }
    let times = &collected.times;
    let ns = |seconds: f64| seconds * 1e9;
    Ok(Launch {
        total: ns(times.total),
        spawn: ns(times.spawn),
        attach: ns(times.attach),
        switches,
    })
}
