//! How near `spmd tune` comes: predictions from one trace, against what is then measured.
//!
//! For each shape of `chain`, a trace of two ranks is recorded; `spmd tune` predicts some configurations;
//! each is run, in turn with the others, in several rounds. The error is of the prediction against the
//! median of all passes. `cargo bench --bench tune` prints Markdown.

#![expect(clippy::print_stdout, reason = "a bench talks")]

#[path = "shared/mod.rs"]
mod shared;

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
const ROUNDS: usize = 5;
/// What is aimed at.
const TARGET: f64 = 0.1;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return; // `cargo test --benches` asks whether it starts.
    }
    let mut report = machine("What `spmd tune` predicts, and what is measured", "tune");
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
    let trace = folder.join(format!("{shape}.json"));
    let trace = trace.to_str().expect("a plain path");
    spmd(&format!("{problem} {TRACED} --trace {trace}"));
    let schedules: Vec<&str> = TRIALS.iter().map(|(_, schedule)| *schedule).collect();
    let tuned =
        spmd(&format!("tune {trace} --json --procs 1,2 --schedule {}", schedules.join(",")));
    let mut samples = vec![Vec::new(); TRIALS.len()];
    for _ in 0..ROUNDS {
        for (samples, (procs, schedule)) in samples.iter_mut().zip(TRIALS) {
            let record = spmd(&format!("{problem} -n {procs} --schedule {schedule}"));
            let passes = record["time"]["pass_s"]["samples"].as_array().expect("samples");
            samples.extend(passes.iter().filter_map(Value::as_f64));
        }
    }
    writeln!(
        report,
        "## {shape}\n\nThe traced run itself: {:+.1} %.\n\n| ranks | schedule | predicted ms | measured ms | 95 % of the median | error | doubts |\n|--:|---|--:|--:|--:|--:|---|",
        tuned["recorded"]["error"].as_f64().unwrap_or(f64::NAN) * 100.0
    )
    .expect("a String");
    let mut errors = Vec::new();
    for ((procs, schedule), own) in TRIALS.iter().zip(&samples) {
        let predictions = tuned["predictions"].as_array().expect("predictions");
        let found = predictions.iter().find(|prediction| {
            prediction["procs"] == *procs && prediction["schedule"] == *schedule
        });
        let found = found.expect("a prediction for each trial");
        let predicted = found["predicted_s"].as_f64().expect("seconds");
        let measured = median(own);
        let (low, high) = interval(own);
        let error = predicted / measured - 1.0;
        errors.push(error);
        let doubts: Vec<&str> =
            found["doubts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        writeln!(
            report,
            "| {procs} | {schedule} | {:.2} | {:.2} | {:.2} .. {:.2} | {:+.1} % | {} |",
            predicted * 1e3,
            measured * 1e3,
            low * 1e3,
            high * 1e3,
            error * 100.0,
            doubts.join(" ")
        )
        .expect("a String");
        let line = serde_json::json!({"bench": "tune", "shape": shape, "procs": procs,
            "schedule": schedule, "predicted_s": predicted, "measured_s": own});
        writeln!(raw, "{line}").expect("a String");
    }
    report.push('\n');
    errors
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
