//! How near `spmd tune` comes: predictions from a trace, against what is then measured.
//!
//! For each shape of `chain`, in several rounds: a trace of two ranks is recorded; `spmd tune` predicts some
//! configurations; each is run, in turn with the others. A round's error is that of its prediction against
//! the median of the passes measured right after, so that a machine that is slower for minutes is so for both;
//! told is the median of the rounds' errors. `cargo bench --bench tune` prints Markdown.

#![expect(clippy::print_stdout, reason = "a bench talks")]

#[path = "shared/mod.rs"]
mod shared;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use shared::{interval, machine, median, save};

const SHAPES: [&str; 5] = ["constant", "linear", "heavy", "humps", "mandelbrot"];
/// What is predicted and measured: ranks and schedule.
const TRIALS: [(u64, &str); 12] = [
    (1, "static"),
    (1, "dynamic,64"),
    (2, "static"),
    (2, "static,64"),
    (2, "dynamic,1"),
    (2, "dynamic,64"),
    (2, "dynamic,1024"),
    (2, "guided,16"),
    (2, "tss,16"),
    (2, "fac2,16"),
    (2, "steal,64"),
    (2, "auto"),
];
/// The traced run, and what all runs have in common. A pass takes a tenth of a second on two ranks.
const TRACED: &str = "-n 2 --schedule dynamic,16";
const COMMON: &str = "-q --json -k chain --size 100_000 --param steps=800 --warmup 1 --repeats 5";
/// In each, every configuration runs once.
/// Six at least, or there is no interval of 95 %.
const ROUNDS: usize = 6;
/// What is aimed at.
const TARGET: f64 = 0.1;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return; // `cargo test --benches` asks whether it starts.
    }
    let mut report = machine("What `spmd tune` predicts, and what is measured", "tune");
    writeln!(
        report,
        "{ROUNDS} rounds: in each a trace is made, predicted from, and every configuration run. An error is the \
         median of the rounds' own, each against what was measured right after; beside it its interval. \
         Predicted and measured are medians by themselves.\n"
    )
    .expect("a String");
    let mut raw = String::new();
    let folder = std::env::temp_dir().join(format!("spmd-bench-tune-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for traces");
    let mut errors = Vec::new();
    for shape in SHAPES {
        errors.extend(one(shape, &folder, &mut report, &mut raw));
    }
    let _ = fs::remove_dir_all(&folder);
    let within = errors.iter().filter(|error| error.abs() <= TARGET).count();
    let sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    writeln!(
        report,
        "{within} of {} predictions are within {:.0} %; the median error is {:.1} %, the largest {:.1} %.",
        errors.len(),
        TARGET * 100.0,
        median(&sizes) * 100.0,
        sizes.iter().copied().fold(0.0, f64::max) * 100.0,
    )
    .expect("a String");
    println!("{report}");
    save(&arguments, &report, &raw);
}

/// Traces, predicts and measures one shape; returns the errors.
fn one(shape: &str, folder: &Path, report: &mut String, raw: &mut String) -> Vec<f64> {
    let problem = format!("{COMMON} --param shape={shape}");
    let schedules: Vec<&str> = TRIALS.iter().map(|(_, schedule)| *schedule).collect();
    let mut trials: Vec<Trial> = TRIALS.iter().map(|_| Trial::default()).collect();
    let mut recorded = Vec::new();
    for round in 0..ROUNDS {
        let trace = folder.join(format!("{shape}-{round}.json"));
        let trace = trace.to_str().expect("a plain path");
        spmd(&format!("{problem} {TRACED} --trace {trace}"));
        let tuned =
            spmd(&format!("tune {trace} --json --procs 1,2 --schedule {}", schedules.join(",")));
        recorded.push(tuned["recorded"]["error"].as_f64().unwrap_or(f64::NAN));
        for (trial, (procs, schedule)) in trials.iter_mut().zip(TRIALS) {
            let record = spmd(&format!("{problem} -n {procs} --schedule {schedule}"));
            trial.measured.push(record["time"]["pass_s"]["median"].as_f64().expect("seconds"));
            let predictions = tuned["predictions"].as_array().expect("predictions");
            let found = predictions.iter().find(|prediction| {
                prediction["procs"] == procs && prediction["schedule"] == schedule
            });
            let found = found.expect("a prediction for each trial");
            trial.predicted.push(found["predicted_s"].as_f64().expect("seconds"));
            let doubts = found["doubts"].as_array().into_iter().flatten();
            trial.doubts.extend(doubts.filter_map(Value::as_str).map(str::to_owned));
        }
    }
    writeln!(
        report,
        "## {shape}\n\nThe traced runs themselves: {:+.1} %, the median.\n\n| ranks | schedule | predicted ms | measured ms | error | 95 % of the error | doubts |\n|--:|---|--:|--:|--:|--:|---|",
        median(&recorded) * 100.0
    )
    .expect("a String");
    let mut errors = Vec::new();
    for ((procs, schedule), trial) in TRIALS.iter().zip(&trials) {
        let own: Vec<f64> =
            trial.predicted.iter().zip(&trial.measured).map(|(a, b)| a / b - 1.0).collect();
        let (low, high) = interval(&own);
        let doubts: Vec<&str> = trial.doubts.iter().map(String::as_str).collect();
        writeln!(
            report,
            "| {procs} | {schedule} | {:.2} | {:.2} | {:+.1} % | {:+.1} .. {:+.1} | {} |",
            median(&trial.predicted) * 1e3,
            median(&trial.measured) * 1e3,
            median(&own) * 100.0,
            low * 100.0,
            high * 100.0,
            doubts.join(" ")
        )
        .expect("a String");
        let line = serde_json::json!({"bench": "tune", "shape": shape, "procs": procs,
            "schedule": schedule, "predicted_s": trial.predicted, "measured_s": trial.measured});
        writeln!(raw, "{line}").expect("a String");
        errors.push(median(&own));
    }
    report.push('\n');
    errors
}

/// One configuration: of each round what was predicted, and the median pass measured, in seconds.
#[derive(Default)]
struct Trial {
    predicted: Vec<f64>,
    measured: Vec<f64>,
    doubts: BTreeSet<String>,
}

/// Runs the program, and returns its document.
fn spmd(arguments: &str) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_spmd"))
        .args(arguments.split_whitespace())
        .stderr(Stdio::inherit())
        .output()
        .expect("spmd starts");
    serde_json::from_slice(&out.stdout).expect("a document")
}
