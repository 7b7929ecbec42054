//! Trials become findings: points against their base, laws, losses, and one sentence.

use std::collections::BTreeMap;

use super::bound::Bound;
use super::ceiling::Ceilings;
use super::notes::{about_serial, deaths, shared, slower};
use super::report::{Counters, Findings, Noise, Point, Roofline, Trial as Shown};
use super::trials::{Measured, Trial};
use crate::error::Explained;
use crate::scaling::{
    Base, Estimate, Fit, Gate, Kind, Law, Losses, Outcome, Prediction, Reached, Spent, Study,
    verdict,
};
use crate::statistics::{interval, median};

/// What is known of a study beside its samples.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) kind: Kind,
    pub(crate) kernel: String,
    pub(crate) options: Vec<(String, String)>,
    /// Of an index, as the kernel declares them.
    pub(crate) flops: f64,
    pub(crate) bytes: f64,
    pub(crate) ceilings: Ceilings,
    /// Bytes of the last caches of the CPUs that the ranks have, where the system says.
    pub(crate) caches: Option<u64>,
    pub(crate) trial: Option<Shown>,
    pub(crate) ended: String,
    pub(crate) seed: u64,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) notes: Vec<String>,
    pub(crate) gates: Vec<Gate>,
}

/// A study's answer.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) findings: Findings,
    /// By procs, as the points of the findings.
    pub(crate) runs: Vec<WholeRun>,
    /// Each gate, and whether it was met.
    pub(crate) gates: Vec<(Gate, Outcome)>,
}

/// What lies around the timed pass of a point.
#[derive(Clone, Debug)]
pub(crate) struct WholeRun {
    /// The pass before the timed one: page tables and caches are cold in it.
    pub(crate) first_pass: Option<Estimate>,
    pub(crate) launch: Option<Estimate>,
    pub(crate) touch: Option<Estimate>,
    /// Of a run whose only pass is the timed one.
    pub(crate) losses: Option<Losses>,
}

/// Answers; speedups are multiples of the serial loop's time, where one was measured. Refused where there are no
/// samples to answer by.
pub(crate) fn found(
    points: &[Measured],
    serial: Option<&Measured>,
    given: Given,
) -> Result<Found, Explained> {
    let measured = points.iter().map(Measured::point).collect();
    let base = serial.map_or(Base::OneRank, |serial| Base::Serial(serial.point()));
    let mut study = Study::new(measured, base, given.seed)?;
    if points.len() == 1 {
        study.kind = given.kind; // One point is of either.
    }
    let mut fits = Vec::new();
    let mut refused = Vec::new();
    for law in Law::ALL {
        match Fit::of(&study, law) {
            Ok(fit) => fits.push(fit),
            Err(why) => refused.push((law, why.to_string())),
        }
    }
    let based = serial.or_else(|| points.iter().find(|point| point.procs == 1));
    let base = based.and_then(Measured::middle);
    let bound = Bound::of(points, &given.ceilings, given.caches);
    let bound_notes = bound.notes(points);
    let figures = study.figures();
    let most = points.iter().map(|point| point.procs).max().unwrap_or(1);
    let ahead = [most.saturating_mul(2), most.saturating_mul(4)];
    let predictions: Vec<(Law, Prediction)> = fits
        .iter()
        .flat_map(|fit| ahead.map(|procs| (fit.law, fit.predict(&study, procs))))
        .collect();
    let mut sorted: Vec<&Measured> = points.iter().collect();
    sorted.sort_by_key(|point| point.procs);
    let losses = sorted.iter().filter_map(|point| cut(point, base, &bound, Trial::pass_spent));
    let losses: Vec<Losses> = losses.collect();
    let runs = sorted.iter().map(|point| WholeRun {
        first_pass: estimate(point.each(Trial::first_pass)),
        launch: estimate(point.each(|trial| Some(trial.launch()))),
        touch: estimate(point.each(|trial| Some(trial.touch()))),
        losses: cut(point, base, &bound, Trial::run_spent),
    });
    let runs = runs.collect();
    let reached: Vec<Reached> = figures
        .iter()
        .zip(&sorted)
        .map(|(figures, point)| Reached {
            procs: figures.procs,
            efficiency: Some(figures.efficiency),
            speedup: Some(figures.speedup),
            time: Some(figures.time_s),
            throughput: estimate(point.each(|trial| Some(trial.throughput.items_per_s))),
            imbalance: estimate(point.each(|trial| Some(trial.imbalance))),
        })
        .collect();
    let gates = given.gates.into_iter().map(|gate| {
        let outcome = gate.judge(&reached);
        (gate, outcome)
    });
    let gates = gates.collect();
    let first = base.or_else(|| points.iter().find_map(Measured::middle));
    let efficiency: Vec<(u32, f64)> =
        figures.iter().map(|figures| (figures.procs, figures.efficiency.value)).collect();
    let roofline = (given.bytes > 0.0 && !given.ceilings.0.is_empty()).then(|| Roofline {
        flops: given.flops,
        bytes: given.bytes,
        ceilings: given.ceilings.0.clone(),
        peak: None,
    });
    let one = points.iter().find(|point| point.procs == 1);
    let one = one.and_then(|point| median(&point.each(Trial::frequency)));
    let shown: Vec<Point> = figures
        .into_iter()
        .zip(&sorted)
        .map(|(figures, point)| shown(figures, point, one))
        .collect();
    let counted = [slower(&shown), shared(&shown)].into_iter().flatten();
    let notes = given
        .notes
        .into_iter()
        .chain(bound_notes)
        .chain(deaths(points))
        .chain(serial.map(about_serial))
        .chain(counted);
    let findings = Findings {
        kernel: given.kernel,
        options: given.options,
        size: first.map_or(0, |trial| trial.size),
        dtype: first.map_or_else(String::new, |trial| trial.dtype.clone()),
        kind: study.kind,
        verdict: verdict(&losses, &fits, &efficiency),
        base: study.base_name(),
        base_time: study.base_time(),
        notes: notes.collect(),
        points: shown,
        fits,
        refused,
        predictions,
        losses,
        roofline,
        trial: given.trial,
        noise: noise(points),
        ended: given.ended,
        seed: given.seed,
        environment: given.environment,
    };
    Ok(Found { findings, runs, gates })
}

/// Cuts the time of a point's trial in the middle.
fn cut(
    point: &Measured,
    base: Option<&Trial>,
    bound: &Bound<'_>,
    spent: impl Fn(&Trial) -> Spent,
) -> Option<Losses> {
    let (base, trial) = base.zip(point.middle())?;
    let memory = bound.memory(point.procs, trial);
    Some(Losses::of(&spent(trial), &spent(base), work(trial, base), memory))
}

fn work(trial: &Trial, base: &Trial) -> f64 {
    trial.size as f64 / base.size.max(1) as f64
}

/// `one`: the clock with one rank.
fn shown(figures: crate::scaling::Figures, point: &Measured, one: Option<f64>) -> Point {
    let middle = |of: fn(&Trial) -> f64| median(&point.each(|trial| Some(of(trial))));
    let frequency = median(&point.each(Trial::frequency));
    let marked = |trial: &&Trial| !trial.noise.marked.is_empty();
    let stayed = point.trials.iter().filter(marked).count();
    Point {
        imbalance: middle(|trial| trial.imbalance),
        items_per_s: middle(|trial| trial.throughput.items_per_s),
        bytes_per_s: middle(|trial| trial.throughput.bytes_per_s),
        flops_per_s: middle(|trial| trial.throughput.flops_per_s),
        counters: Counters {
            per_cycle: median(&point.each(Trial::per_cycle)),
            frequency,
            against_one: frequency.zip(one).map(|(now, one)| now / one),
            cache_misses: median(&point.each(Trial::cache_misses)),
            counted: point.each(Trial::counted).into_iter().reduce(f64::min),
        },
        marked: stayed + point.replaced.len(),
        rerun: point.replaced.len(),
        stayed,
        ended: point.ended.name().to_owned(),
        figures,
    }
}

fn noise(points: &[Measured]) -> Noise {
    let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
    for label in points.iter().flat_map(Measured::labels) {
        *labels.entry(label).or_default() += 1;
    }
    Noise { labels: labels.into_iter().map(|(label, n)| (label.to_owned(), n)).collect() }
}

/// Returns the median and what holds it; `None` of nothing.
fn estimate(mut values: Vec<f64>) -> Option<Estimate> {
    values.sort_by(f64::total_cmp);
    Some(Estimate { value: median(&values)?, ci95: interval(&values) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A trial of ranks that are busy all the time but for what they wait, at 1 GB/s each.
    fn trial(procs: u32, repeat: u32, time: f64, marked: &[&str]) -> Trial {
        let worker = json!({"busy_s": time * 0.9, "claim_s": time * 0.02, "wait_s": time * 0.08});
        let record = json!({
            "repeat": repeat, "size": 1000, "dtype": "f64", "schedule": "static",
            "time": {"spawn_s": 0.001, "attach_s": 0.002, "init_s": 0.003, "output_s": 0.0,
                "warmup_s": [time * 2.0], "pass_s": {"median": time}},
            "throughput": {"items_per_s": 1000.0 / time, "bytes_per_s": 1e9 * f64::from(procs),
                "flops_per_s": 0.0},
            "imbalance": 0.0,
            "noise": {"steal_s": 0.0, "marked": marked},
            "workers": vec![worker; procs as usize],
        });
        serde_json::from_value(record).unwrap()
    }

    fn points() -> Vec<Measured> {
        [1, 2, 4]
            .map(|procs| Measured {
                procs,
                trials: (0..7)
                    .map(|repeat| {
                        let noise = 1.0 + f64::from(repeat * 3 % 7) / 100.0;
                        let marked: &[&str] = if repeat == 6 { &["steal"] } else { &[] };
                        trial(procs, repeat, noise * (0.2 + 0.8 / f64::from(procs)), marked)
                    })
                    .collect(),
                replaced: Vec::new(),
                ended: crate::scale::trials::Ended::Settled,
            })
            .to_vec()
    }

    fn given(ceiling: f64, gates: &[&str]) -> Given {
        Given {
            kind: Kind::Strong,
            kernel: "triad".to_owned(),
            options: Vec::new(),
            flops: 2.0,
            bytes: 24.0,
            ceilings: Ceilings([1, 2, 4].map(|procs| (procs, ceiling)).to_vec()),
            caches: Some(1_000),
            trial: None,
            ended: String::new(),
            seed: 1,
            environment: Vec::new(),
            notes: Vec::new(),
            gates: gates.iter().map(|gate| gate.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_planted_serial_share_is_found_and_gates_are_judged_by_it() {
        let found =
            found(&points(), None, given(1e12, &["speedup@4>=2.4", "speedup@4>=2.6"])).unwrap();
        let speedup = found.findings.points[2].figures.speedup.value;
        assert!((speedup - 2.5).abs() < 1e-9, "1/(0.2 + 0.8/4): {speedup}");
        let amdahl = &found.findings.fits[0];
        assert!((amdahl.parameters[0].estimate.value - 0.2).abs() < 1e-6);
        assert!(matches!(found.gates[0].1, Outcome::Met(_)));
        assert!(matches!(found.gates[1].1, Outcome::Missed(_)));
        let document: Value =
            serde_json::from_str(&found.to_json(crate::error::Exit::GateMissed)).unwrap();
        assert_eq!(document["noise"]["stayed_marked"], 3);
        assert_eq!(document["noise"]["labels"]["steal"], 3);
        assert_eq!(document["models"]["amdahl"]["predictions"][1]["predicted"], true);
    }

    #[test]
    fn speedups_are_multiples_of_the_serial_loop_where_there_is_one() {
        let mut serial = points().remove(0);
        // The loop takes four fifths of what one rank takes.
        serial.trials = (0..7)
            .map(|repeat| trial(1, repeat, 0.8 * (1.0 + f64::from(repeat * 3 % 7) / 100.0), &[]))
            .collect();
        let found = found(&points(), Some(&serial), given(1e12, &["speedup@1>=0.9"])).unwrap();
        assert_eq!(found.findings.base, "plain serial loop");
        let speedups: Vec<f64> =
            found.findings.points.iter().map(|point| point.figures.speedup.value).collect();
        for (speedup, expected) in speedups.iter().zip([0.8, 0.8 / 0.6, 2.0]) {
            assert!((speedup - expected).abs() < 1e-9, "{speedups:?}");
        }
        assert!(matches!(found.gates[0].1, Outcome::Missed(_)));
        // One rank's excess over the loop is a loss like any other.
        let one = &found.findings.losses[0];
        assert!(one.closes() && (one.efficiency() - 0.8).abs() < 1e-9, "{one:?}");
        assert!(found.findings.notes.iter().any(|note| note.contains("7 samples")));
    }

    #[test]
    fn samples_of_runs_that_survived_deaths_are_told() {
        let mut points = points();
        points[1].trials[3].recovered = 2;
        let found = found(&points, None, given(1e12, &[])).unwrap();
        let told = "ranks died and were replaced in the runs of 1 of the samples that count";
        assert_eq!(found.findings.notes, [told]);
    }

    #[test]
    fn one_point_is_of_the_kind_that_was_asked_for() {
        let one = &points()[..1];
        for kind in [Kind::Strong, Kind::Weak] {
            let found = found(one, None, Given { kind, ..given(1e12, &[]) }).unwrap();
            assert_eq!(found.findings.kind, kind);
        }
    }

    #[test]
    fn the_middle_trial_is_cut_and_the_first_pass_kept_apart() {
        let points = points();
        let found = found(&points, None, given(1e12, &[])).unwrap();
        for ((losses, run), point) in found.findings.losses.iter().zip(&found.runs).zip(&points) {
            let middle = point.middle().unwrap().pass();
            assert!((losses.whole - middle * f64::from(point.procs)).abs() < 1e-12);
            assert!(losses.closes());
            let first = run.first_pass.unwrap().value;
            assert!((first - 2.0 * middle).abs() < 1e-12, "{first} {middle}");
            assert!(run.losses.as_ref().unwrap().whole > losses.whole);
        }
    }

    /// The same points, on a processor that counts: its clock falls by 10 % with four ranks.
    fn counted(running: f64) -> Vec<Measured> {
        let mut points = points();
        for point in &mut points {
            let procs = point.procs;
            for trial in &mut point.trials {
                let cpu = trial.pass() * f64::from(procs);
                let hertz = if procs == 4 { 2.7e9 } else { 3e9 };
                let counters = json!({
                    "cycles": (hertz * cpu) as u64, "instructions": format!("{}", (1.5 * hertz * cpu) as u64),
                    "cache_misses": 250, "cpu_s": cpu, "running": running,
                });
                *trial = self::trial(procs, trial.repeat, trial.pass(), &[]).with(counters);
            }
        }
        points
    }

    #[test]
    fn a_clock_that_falls_with_the_ranks_is_named_and_has_its_loss() {
        let found = found(&counted(1.0), None, given(1e12, &[])).unwrap();
        let point = &found.findings.points[2].counters;
        assert!((point.per_cycle.unwrap() - 1.5).abs() < 1e-6);
        assert!((point.frequency.unwrap() - 2.7e9).abs() < 10.0);
        assert!((point.against_one.unwrap() - 0.9).abs() < 1e-6);
        assert_eq!((point.cache_misses, point.counted), (Some(0.25), Some(1.0)));
        assert_eq!(
            found.findings.notes,
            [
                "the clock was slower than with one rank (3.00 GHz): by 10.0 % with 4 ranks (2.70 GHz); cycles for \
              each second on a CPU"
            ]
        );
        let lost: Vec<bool> = found
            .findings
            .losses
            .iter()
            .map(|losses| losses.lost(crate::scaling::Cause::Frequency) > 1e-6 && losses.closes())
            .collect();
        assert_eq!(lost, [false, false, true]);
        let document: Value =
            serde_json::from_str(&found.to_json(crate::error::Exit::Complete)).unwrap();
        let [one, _, four] = document["points"].as_array().unwrap().as_slice() else { panic!() };
        assert_eq!((&one["frequency_against_one"], &one["counted"]), (&json!(1.0), &json!(1.0)));
        assert_eq!(four["cache_misses_per_index"], 0.25);
    }

    #[test]
    fn counts_that_were_scaled_up_are_said_to_be_and_none_are_not_missed() {
        let shared = found(&counted(0.5), None, given(1e12, &[])).unwrap().findings;
        assert!(shared.notes[1].contains("of 50.0 % of the time at least, and scaled up"));
        let none = found(&points(), None, given(1e12, &[])).unwrap();
        assert!(none.findings.notes.is_empty());
        let document: Value =
            serde_json::from_str(&none.to_json(crate::error::Exit::Complete)).unwrap();
        assert!(document["points"][0]["frequency_hz"].is_null());
    }

    #[test]
    fn counts_of_a_file_that_make_no_sense_say_nothing() {
        let mut points = points();
        for (at, counters) in [
            json!({"cycles": 0, "instructions": 5, "cache_misses": 1e308, "cpu_s": 0.0, "running": 7.0}),
            json!({"cycles": null, "instructions": -5, "cache_misses": "x", "cpu_s": -1.0, "running": -1.0}),
            json!({"cpu_s": 1e-300, "running": 0.5, "cycles": "1e300"}),
        ]
        .into_iter()
        .enumerate()
        {
            let trial = &mut points[at].trials[3];
            *trial = self::trial(trial.workers.len() as u32, 3, trial.pass(), &[]).with(counters);
        }
        let found = found(&points, None, given(1e12, &[])).unwrap();
        for point in &found.findings.points {
            let counters = point.counters;
            assert_eq!((counters.per_cycle, counters.frequency), (None, None), "{counters:?}");
        }
        assert!(found.findings.losses.iter().all(crate::scaling::Losses::closes));
    }

    #[test]
    fn what_is_in_caches_is_not_held_against_memory() {
        let shares = |found: &Findings| -> Vec<bool> {
            found.losses.iter().map(|losses| losses.bandwidth.is_some()).collect()
        };
        // 4 ranks move twice what memory gives; 2 are at it.
        let beyond = found(&points(), None, given(2e9, &[])).unwrap().findings;
        assert_eq!(shares(&beyond), [true, true, false]);
        assert!(
            beyond.notes[0].starts_with("from 4 on, ranks move far more"),
            "{:?}",
            beyond.notes
        );
        // What overwrites its input may be a third above triad, from memory all the same.
        let third = found(&points(), None, given(3e9, &[])).unwrap().findings;
        assert_eq!((shares(&third), third.notes.len()), (vec![true, true, true], 0));
        // A rate near memory's says nothing of where 1 to 4 GB lie, if the caches hold as much.
        let large = Given { caches: Some(5_000_000_000), ..given(1e9, &[]) };
        let small = found(&points(), None, large).unwrap().findings;
        assert_eq!(shares(&small), [false, false, false]);
        assert!(small.notes[0].starts_with("1, 2, 4: a pass moves 16"), "{:?}", small.notes);
    }
}
