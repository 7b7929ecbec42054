//! The record of a run, as `--json` prints it: one schema, versioned, that only grows.

use std::fs;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::data::DType;
use crate::engine::{Collected, Counters, Noise, Results};
use crate::error::{Error, Exit};
use crate::options::Verify;
use crate::statistics::median;

/// The version of the schema.
const SCHEMA: u32 = 1;

/// Everything about a run that a script may want.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    schema: u32,
    kernel: String,
    procs: u32,
    size: u64,
    dtype: DType,
    schedule: String,
    params: Map<String, Value>,
    status: &'static str,
    exit: i32,
    verify: &'static str,
    recovered: u32,
    restarts: u32,
    /// Indices that an earlier run had finished.
    resumed: u64,
    /// Half-open ranges of indices that have no result.
    missing: Vec<[u64; 2]>,
    warnings: Vec<String>,
    time: Time,
    throughput: Throughput,
    imbalance: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<Noise>,
    /// Of all ranks; `null` where they were asked for, and the machine has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<Option<Counters>>,
    workers: Vec<Worker>,
    result: ResultSummary,
    values: Map<String, Value>,
    environment: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize)]
struct Time {
    total_s: f64,
    spawn_s: f64,
    attach_s: f64,
    init_s: f64,
    output_s: f64,
    /// Of the passes before the timed ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warmup_s: Vec<f64>,
    pass_s: Passes,
}

#[derive(Clone, Debug, Serialize)]
struct Passes {
    n: usize,
    median: f64,
    min: f64,
    max: f64,
    samples: Vec<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct Throughput {
    items_per_s: f64,
    bytes_per_s: f64,
    flops_per_s: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Worker {
    rank: u32,
    pid: i32,
    cpu: Option<u32>,
    items: u64,
    chunks: u64,
    busy_s: f64,
    claim_s: f64,
    wait_s: f64,
    exit: i32,
    signal: Option<i32>,
    max_rss_bytes: u64,
    nivcsw: u64,
    migrations: u64,
    huge_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<Option<Counters>>,
}

#[derive(Clone, Debug, Serialize)]
struct ResultSummary {
    len: u64,
    shape: Vec<u64>,
    first: Vec<Value>,
    last: Vec<Value>,
    digest: String,
}

impl Record {
    pub(crate) fn of(collected: &Collected) -> Self {
        let Collected { results, times, ranks, history, noise, counting } = collected;
        let exit = collected.verdict().err().map_or(Exit::Complete, |error| error.exit());
        let plan = &results.world().plan;
        let rates = Rates::of(collected);
        Self {
            schema: SCHEMA,
            kernel: plan.kernel.name().to_owned(),
            procs: plan.procs(),
            size: plan.size(),
            dtype: plan.job.dtype,
            schedule: results.world().partition().schedule().to_string(),
            params: resolved(plan),
            status: exit.status(),
            exit: exit.code(),
            verify: match plan.verify {
                Verify::None => "none",
                Verify::Sample | Verify::Full => "ok",
            },
            recovered: history.recovered,
            restarts: history.restarts,
            resumed: results.world().resumed(),
            missing: history.missing.iter().map(|range| [range.start, range.end]).collect(),
            warnings: plan.placement.warnings.iter().chain(&history.warnings).cloned().collect(),
            time: Time {
                total_s: times.total,
                spawn_s: times.spawn,
                attach_s: times.attach,
                init_s: times.init,
                output_s: times.output,
                warmup_s: times.warmups.clone(),
                pass_s: Passes {
                    n: times.passes.len(),
                    median: rates.pass,
                    min: times.passes.iter().copied().fold(f64::INFINITY, f64::min),
                    max: times.passes.iter().copied().fold(0.0, f64::max),
                    samples: times.passes.clone(),
                },
            },
            throughput: Throughput {
                items_per_s: rates.items,
                bytes_per_s: rates.bytes,
                flops_per_s: rates.flops,
            },
            imbalance: rates.imbalance,
            noise: noise.clone(),
            counters: counting.as_ref().map(|counting| counting.all.ok()),
            workers: ranks
                .iter()
                .enumerate()
                .map(|(at, rank)| Worker {
                    rank: rank.rank,
                    pid: rank.pid,
                    cpu: rank.cpu,
                    items: rank.items,
                    chunks: rank.chunks,
                    busy_s: rank.busy,
                    claim_s: rank.claim,
                    wait_s: rank.wait,
                    exit: 0,
                    signal: None,
                    max_rss_bytes: rank.max_rss_bytes,
                    nivcsw: rank.nivcsw,
                    migrations: rank.migrations,
                    huge_bytes: rank.huge_bytes,
                    counters: counting.as_ref().map(|counting| counting.ranks.get(at)?.ok()),
                })
                .collect(),
            result: ResultSummary {
                len: results.len(),
                shape: plan.shape.dims().to_vec(),
                first: (0..results.len().min(3)).map(|index| number(results, index)).collect(),
                last: results
                    .len()
                    .checked_sub(1)
                    .map(|at| number(results, at))
                    .into_iter()
                    .collect(),
                digest: results.digest(),
            },
            values: Map::new(),
            environment: environment(),
        }
    }

    /// Returns the record as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // A struct of plain values cannot fail.
    }
}

/// Returns what `--json` prints for a run that did not succeed.
pub(crate) fn failure(error: &Error) -> String {
    let exit = error.exit();
    json!({
        "schema": SCHEMA,
        "status": exit.status(),
        "exit": exit.code(),
        "error": {
            "message": error.to_string(),
            "details": error.details(),
            "hint": error.hint(),
        },
    })
    .to_string()
}

/// Every option of a run as it was resolved, by the name of its flag.
pub(crate) fn resolved(plan: &crate::plan::Plan) -> Map<String, Value> {
    let mut params = plan.options.spoken();
    params.insert("kernel".to_owned(), plan.kernel.name().into());
    params.insert("procs".to_owned(), plan.procs().into());
    params.insert("schedule".to_owned(), plan.job.partition.schedule().to_string().into());
    params.insert("dtype".to_owned(), plan.job.dtype.name().into());
    params.insert("size".to_owned(), plan.size().into());
    if !params.contains_key("input") {
        params.insert("input".to_owned(), plan.input.name.clone().into());
    }
    for value in params.values_mut() {
        // A reader of JSON may have no integers beyond 2^53.
        if value.as_u64().is_some_and(|number| number > 1 << 53) {
            *value = Value::String(value.to_string());
        }
    }
    let own: Map<String, Value> =
        plan.params.texts().map(|(name, text)| (name.to_owned(), text.into())).collect();
    params.insert("param".to_owned(), own.into());
    params
}

/// What a run achieved.
pub(crate) struct Rates {
    /// Seconds of the median pass.
    pub(crate) pass: f64,
    pub(crate) items: f64,
    pub(crate) bytes: f64,
    pub(crate) flops: f64,
    /// max/mean − 1 of the ranks' busy times.
    pub(crate) imbalance: f64,
}

impl Rates {
    pub(crate) fn of(collected: &Collected) -> Self {
        let plan = &collected.results.world().plan;
        let pass = median(&collected.times.passes).unwrap_or(0.0);
        let per_second = |count: f64| if pass > 0.0 { count / pass } else { 0.0 };
        let items = plan.job.partition.size() as f64; // Not what an earlier run had finished.
        let busy: Vec<f64> = collected.ranks.iter().map(|rank| rank.busy).collect();
        let mean = busy.iter().sum::<f64>() / busy.len().max(1) as f64;
        let most = busy.iter().copied().fold(0.0, f64::max);
        Self {
            pass,
            items: per_second(items),
            bytes: per_second(items * plan.cost.bytes),
            flops: per_second(items * plan.cost.flops),
            imbalance: if mean > 0.0 { most / mean - 1.0 } else { 0.0 },
        }
    }
}

/// Writes one result as JSON: integers beyond 2^53, and what JSON has no number for, as text.
fn number(results: &Results, index: u64) -> Value {
    const EXACT: i128 = 1 << 53;
    let text = results.text(index);
    if results.dtype().is_integer() {
        return match text.parse::<i128>() {
            Ok(value) if (-EXACT..=EXACT).contains(&value) => {
                i64::try_from(value).map_or(Value::String(text), Value::from)
            }
            _ => Value::String(text),
        };
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Value::from(value),
        _ => Value::String(text),
    }
}

/// Returns what a reader of figures should know of the machine they are of; looked up once.
pub(crate) fn environment() -> Map<String, Value> {
    static FACTS: OnceLock<Map<String, Value>> = OnceLock::new();
    FACTS.get_or_init(look_around).clone()
}

fn look_around() -> Map<String, Value> {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let facts = [
        ("spmd", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("host", read("/proc/sys/kernel/hostname")),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("cpu_model", crate::host::topology::model()),
        ("cpus_online", read("/sys/devices/system/cpu/online")),
        ("cpus_allowed", crate::host::affinity::allowed().ok().map(|cpus| cpus.to_string())),
        ("cpu_quota", crate::host::limits::cpu_quota().map(|quota| quota.to_string())),
    ];
    facts
        .into_iter()
        .filter_map(|(name, fact)| Some((name.to_owned(), Value::String(fact?))))
        .collect()
}
