//! The JSON of a study, which the contract names, and its times as Extra-P reads them.

use serde_json::{Map, Value, json};

use super::findings::Found;
use super::report::{Findings, Point};
use super::trials::{Measured, Trial};
use crate::scaling::{self, Estimate, Fit, Law, Losses, Outcome, Part, Reach};

const SCHEMA: u32 = 1;

impl Found {
    /// Returns the study as one JSON document; `exit` is that of the process.
    pub(crate) fn to_json(&self, exit: crate::error::Exit) -> String {
        let findings = &self.findings;
        let points: Vec<Value> = findings
            .points
            .iter()
            .zip(&self.runs)
            .map(|(point, run)| {
                let mut value = of_point(point);
                value["first_pass_s"] = json!(run.first_pass);
                value["launch_s"] = json!(run.launch);
                value["touch_s"] = json!(run.touch);
                value
            })
            .collect();
        let runs: Vec<Value> =
            self.runs.iter().filter_map(|run| run.losses.as_ref()).map(of_losses).collect();
        let gates: Vec<Value> = self
            .gates
            .iter()
            .map(|(gate, outcome)| {
                let (is_met, said) = match outcome {
                    Outcome::Met(said) => (true, said),
                    Outcome::Missed(said) | Outcome::Unmeasured(said) => (false, said),
                };
                json!({"gate": gate.to_string(), "met": is_met, "found": said})
            })
            .collect();
        let sum = |of: fn(&Point) -> usize| findings.points.iter().map(of).sum::<usize>();
        let labels: Map<String, Value> =
            findings.noise.labels.iter().map(|(label, n)| (label.clone(), json!(n))).collect();
        let environment: Map<String, Value> = findings
            .environment
            .iter()
            .map(|(name, fact)| ((*name).to_owned(), json!(fact)))
            .collect();
        let options: Map<String, Value> =
            findings.options.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "schema": SCHEMA,
            "status": exit.status(),
            "exit": exit.code(),
            "kernel": findings.kernel,
            "kind": findings.kind,
            "size": findings.size,
            "dtype": findings.dtype,
            "options": options,
            "seed": findings.seed,
            "base": {"name": findings.base, "time_s": findings.base_time},
            "points": points,
            "models": models(findings),
            "losses": findings.losses.iter().map(of_losses).collect::<Vec<_>>(),
            "run_losses": runs,
            "roofline": findings.roofline.as_ref().map(|roofline| json!({
                "flops_per_index": roofline.flops,
                "bytes_per_index": roofline.bytes,
                "ceilings": roofline.ceilings.iter()
                    .map(|(procs, ceiling)| json!({"procs": procs, "bytes_per_s": ceiling}))
                    .collect::<Vec<_>>(),
                "peak_flops_per_s": roofline.peak,
            })),
            "noise": {
                "samples": sum(|point| point.figures.n),
                "marked": sum(|point| point.marked),
                "rerun": sum(|point| point.rerun),
                "stayed_marked": sum(|point| point.stayed),
                "labels": labels,
            },
            "gates": gates,
            "ended": findings.ended,
            "notes": findings.notes,
            "environment": environment,
            "verdict": findings.verdict,
        })
        .to_string()
    }
}

fn of_point(point: &Point) -> Value {
    let figures = &point.figures;
    json!({
        "procs": figures.procs,
        "size": figures.size,
        "n": figures.n,
        "time_s": figures.time_s,
        "speedup": figures.speedup,
        "efficiency": figures.efficiency,
        "variation": figures.variation,
        "apart": figures.apart,
        "imbalance": point.imbalance,
        "items_per_s": point.items_per_s,
        "bytes_per_s": point.bytes_per_s,
        "flops_per_s": point.flops_per_s,
        "instructions_per_cycle": point.counters.per_cycle,
        "frequency_hz": point.counters.frequency,
        "frequency_against_one": point.counters.against_one,
        "cache_misses_per_index": point.counters.cache_misses,
        "counted": point.counters.counted,
        "marked": point.marked,
        "rerun": point.rerun,
        "stayed_marked": point.stayed,
        "ended": point.ended,
    })
}

fn models(findings: &Findings) -> Value {
    let karp_flatt: Vec<Value> = findings
        .points
        .iter()
        .filter_map(|point| {
            let Estimate { value, ci95 } = point.figures.karp_flatt?;
            Some(json!({"procs": point.figures.procs, "value": value, "ci95": ci95}))
        })
        .collect();
    let mut models = Map::from_iter([("karp_flatt".to_owned(), json!(karp_flatt))]);
    for (name, law) in [("amdahl", Law::Amdahl), ("gustafson", Law::Gustafson), ("usl", Law::Usl)] {
        let fit = findings.fits.iter().find(|fit| fit.law == law);
        let model = fit.map(|fit| model(fit, findings)).or_else(|| {
            let (_, why) = findings.refused.iter().find(|(refused, _)| *refused == law)?;
            Some(json!({"parameters": null, "refused": why}))
        });
        models.insert(name.to_owned(), json!(model));
    }
    models.into()
}

fn model(fit: &Fit, findings: &Findings) -> Value {
    let parameters: Map<String, Value> = fit
        .parameters
        .iter()
        .map(|parameter| (parameter.name.to_owned(), json!(parameter.estimate)))
        .collect();
    let predictions: Vec<Value> = findings
        .predictions
        .iter()
        .filter(|(law, _)| *law == fit.law)
        .map(|(_, prediction)| {
            let mut value = json!(prediction);
            value["predicted"] = true.into();
            if prediction.reach == Reach::Far {
                value["caution"] = "beyond twice the most ranks that were measured".into();
            }
            value
        })
        .collect();
    json!({
        "parameters": parameters,
        "one_s": fit.one_s,
        "knee": fit.knee,
        "limit": fit.limit,
        "goodness": fit.goodness,
        "doubts": fit.doubts,
        "predictions": predictions,
    })
}

/// Parts in rank-seconds, and as shares of the whole.
fn of_losses(losses: &Losses) -> Value {
    let part = |part: &Part| {
        json!({
            "cause": part.cause,
            "lost_s": part.lost,
            "spent_s": part.spent,
            "share": part.lost / losses.whole,
        })
    };
    json!({
        "procs": losses.procs,
        "whole_s": losses.whole,
        "ideal_s": losses.ideal,
        "parts": losses.parts.iter().map(part).collect::<Vec<_>>(),
        "closes": losses.closes(),
        "imbalance": losses.imbalance,
        "bandwidth": losses.bandwidth,
    })
}

/// Returns the phases of each point as Extra-P reads them.
pub(crate) fn extrap(points: &[Measured], kernel: &str) -> String {
    let paths = [
        [kernel, "launch"],
        [kernel, "touch"],
        [kernel, "first pass"],
        [kernel, "pass"],
        [kernel, "output"],
    ];
    let phase = |at: usize| -> fn(&Trial) -> Option<f64> {
        match at {
            0 => |trial| Some(trial.launch()),
            1 => |trial| Some(trial.touch()),
            2 => Trial::first_pass,
            3 => |trial| Some(trial.pass()),
            _ => |trial| Some(trial.output()),
        }
    };
    scaling::lines(points.iter().flat_map(|point| {
        paths.iter().enumerate().map(move |(at, path)| scaling::Measured {
            procs: point.procs,
            path: path.as_slice(),
            metric: "time",
            values: point.each(phase(at)),
        })
    }))
}
