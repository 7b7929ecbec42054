//! What a batch costs beside its work, and whether it survives being killed.
//!
//! Ten thousand trials of five squares with warm and cold ranks, the visit of a finished directory, a matrix
//! of a million points, and 200 kills at random moments, after which every sample has to be there once.
//! `cargo bench --bench batch` prints Markdown; `-- --save DIR` also writes it, with every sample, to DIR.

#![expect(clippy::print_stdout, reason = "a bench talks")]

#[path = "shared/mod.rs"]
mod shared;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::{interval, machine, median, save};

const TRIALS: u32 = 10_000;
/// In each, every way of running has its turn.
const ROUNDS: usize = 5;
const KILLS: u32 = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return; // `cargo test --benches` asks whether it starts.
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for results");
    let mut report = machine("Batches", "batch");
    let mut raw = String::new();
    overhead(&folder, &mut report, &mut raw);
    million(&folder, &mut report, &mut raw);
    kills(&folder, &mut report, &mut raw);
    println!("{report}");
    save(&arguments, &report, &raw);
    let _ = fs::remove_dir_all(&folder);
}

/// `spmd batch` of a file, in a process group of its own.
fn batch(folder: &Path, file: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spmd"));
    command.current_dir(folder).args(["batch", file, "-q"]).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command
}

/// Runs to the end: seconds, and the largest resident memory that was seen, in kilobytes.
fn timed(mut command: Command) -> (f64, u64) {
    let begun = Instant::now();
    let mut child = command.spawn().expect("spmd starts");
    let mut peak = 0;
    let status = loop {
        peak = peak.max(resident(&child));
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success(), "{status}");
    (begun.elapsed().as_secs_f64(), peak)
}

fn resident(child: &Child) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// What one trial costs, beside work that is next to nothing.
fn overhead(folder: &Path, report: &mut String, raw: &mut String) {
    let file = "version = 1\n[[job]]\nname = \"tiny\"\nkernel = \"square\"\nsize = 5\n";
    fs::write(folder.join("tiny.toml"), file).expect("a batch file");
    let ways = [("1", "", TRIALS), ("2", "", TRIALS), ("4", "", TRIALS), ("2", "--cold", 1000)];
    let mut each: [Vec<f64>; 4] = Default::default();
    let mut inside: [Vec<f64>; 4] = Default::default();
    let mut again = Vec::new();
    let (mut peak, mut peak_of_tenth) = (0, 0);
    for round in 0..ROUNDS {
        for (at, &(procs, cold, trials)) in ways.iter().enumerate() {
            let out = format!("tiny-{round}-{at}");
            let repeats = format!("repeats={trials}");
            let procs = format!("procs={procs}");
            let mut more = vec!["--out", &out, "--set", &repeats, "--set", &procs];
            more.extend(Some(cold).filter(|cold| !cold.is_empty()));
            let (seconds, kilobytes) = timed(batch(folder, "tiny.toml", &more));
            each[at].push(seconds / f64::from(trials));
            inside[at].push(median(&totals(&folder.join(&out))));
            if at == 1 {
                peak = peak.max(kilobytes);
                let (seconds, _) = timed(batch(folder, "tiny.toml", &more));
                again.push(seconds);
                let tenth = ["--out", "tenth", "--set", "repeats=1000", "--set", &procs];
                peak_of_tenth = peak_of_tenth.max(timed(batch(folder, "tiny.toml", &tenth)).1);
                let _ = fs::remove_dir_all(folder.join("tenth"));
            }
            let _ = fs::remove_dir_all(folder.join(&out));
        }
    }
    report.push_str("## Trials of five squares\n\n");
    report.push_str("The whole command over its trials, which includes files and start; and a trial's own time, from the making of its world to its results.\n\n");
    report.push_str("| ranks | | trials | each, us | of the median, 95 % | in the trial, us | target, us |\n|--:|---|--:|--:|--:|--:|--:|\n");
    for ((&(procs, cold, trials), each), inside) in ways.iter().zip(&each).zip(&inside) {
        let (low, high) = interval(each);
        let way = if cold.is_empty() { "warm" } else { "cold" };
        let target = if cold.is_empty() { "500" } else { "" };
        writeln!(
            report,
            "| {procs} | {way} | {trials} | {:.0} | {:.0} .. {:.0} | {:.0} | {target} |",
            median(each) * 1e6,
            low * 1e6,
            high * 1e6,
            median(inside) * 1e6
        )
        .expect("a String");
        let line = json!({"bench": "batch", "ranks": procs, "way": way, "trials": trials, "each_s": each, "inside_s": inside});
        writeln!(raw, "{line}").expect("a String");
    }
    writeln!(
        report,
        "\n- a finished directory of {TRIALS} trials visited again: {:.2} s (target 1)\n- peak memory of the launcher: {peak_of_tenth} kB with 1000 trials, {peak} kB with {TRIALS}\n",
        median(&again)
    )
    .expect("a String");
    writeln!(raw, "{}", json!({"bench": "batch", "again_s": again})).expect("a String");
}

/// The whole times of all trials of a results directory.
fn totals(out: &Path) -> Vec<f64> {
    let text = fs::read_to_string(out.join("samples.jsonl")).expect("samples");
    let total = |line: &str| {
        let sample: Value = serde_json::from_str(line).expect("a sample");
        sample["time"]["total_s"].as_f64().expect("seconds")
    };
    text.lines().map(total).collect()
}

/// A matrix of a million points, expanded and not run.
fn million(folder: &Path, report: &mut String, raw: &mut String) {
    let hundred: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
    let list = hundred.join(", ");
    let file = format!(
        "version = 1\n[[job]]\nname = \"many\"\nkernel = \"square\"\nprocs = 1\nmatrix.seed = [{list}]\nmatrix.retries = [{list}]\nmatrix.warmup = [{list}]\nderive.size = \"1000 * seed + warmup\"\nexclude = [{{ seed = 3, warmup = 7 }}]\n"
    );
    fs::write(folder.join("many.toml"), file).expect("a batch file");
    let runs: Vec<f64> =
        (0..ROUNDS).map(|_| timed(batch(folder, "many.toml", &["--dry-run"])).0).collect();
    writeln!(
        report,
        "## A million points\n\n- `--dry-run` of a matrix of 100 x 100 x 100 with `exclude` and `derive`: {:.2} s (target 2)\n",
        median(&runs)
    )
    .expect("a String");
    writeln!(raw, "{}", json!({"bench": "batch", "million_s": runs})).expect("a String");
}

/// Kills a batch at random moments, and whoever goes on with it, until it is complete.
fn kills(folder: &Path, report: &mut String, raw: &mut String) {
    let file = "version = 1\n[defaults]\nkernel = \"spin\"\nsize = 200\nparam.cost = \"5us\"\nrepeats = REPEATS\norder = \"shuffled\"\n[[job]]\nname = \"a\"\nmatrix.procs = [1, 2, 3]\nmatrix.seed = [1, 2]\n";
    // More trials than the kills can leave time for; the rest is made at the end.
    let file = file.replace("REPEATS", "4000");
    fs::write(folder.join("kills.toml"), &file).expect("a batch file");
    let mut dice = 1_u64;
    let mut below = |n: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % n
    };
    let (mut killed, mut stopped) = (0, 0);
    // A third more, of which some are SIGINTs.
    for kill in 0..KILLS * 4 / 3 {
        let mut child =
            batch(folder, "kills.toml", &["--out", "kills"]).spawn().expect("spmd starts");
        thread::sleep(Duration::from_micros(below(150_000)));
        // Every fourth time the whole group, as a power cut would; else the launcher alone.
        let signal = [libc::SIGKILL, libc::SIGKILL, libc::SIGKILL, libc::SIGINT][kill as usize % 4];
        let whom = if kill % 2 == 0 { -child.id().cast_signed() } else { child.id().cast_signed() };
        send(whom, signal);
        match child.wait().expect("a child") {
            status if status.signal() == Some(libc::SIGKILL) => killed += 1,
            status if status.signal() == Some(libc::SIGINT) => stopped += 1,
            status => panic!("{status}: it was to be killed"),
        }
    }
    let text = fs::read_to_string(folder.join("kills/samples.jsonl")).expect("samples");
    let before = text.lines().count();
    let status: ExitStatus =
        batch(folder, "kills.toml", &["--out", "kills"]).status().expect("spmd starts");
    assert!(status.success(), "{status}");
    let text = fs::read_to_string(folder.join("kills/samples.jsonl")).expect("samples");
    let mut found: HashMap<(String, u64), u32> = HashMap::new();
    for line in text.lines() {
        let sample: Value = serde_json::from_str(line).expect("a whole line");
        let key = sample["key"].as_str().expect("a key").to_owned();
        *found.entry((key, sample["repeat"].as_u64().expect("a repeat"))).or_default() += 1;
    }
    let doubled = found.values().filter(|&&count| count > 1).count();
    let lost = 6 * 4000 - found.len();
    assert_eq!((doubled, lost), (0, 0), "samples doubled and lost");
    writeln!(
        report,
        "## Killed at random moments\n\n- {killed} SIGKILLs of launcher or group and {stopped} SIGINTs within 0 to 150 ms of the start; {before} samples were there then\n- after one more visit: 24000 samples, {lost} lost, {doubled} doubled\n"
    )
    .expect("a String");
    let line = json!({"bench": "batch", "killed": killed, "stopped": stopped, "before": before, "lost": lost, "doubled": doubled});
    writeln!(raw, "{line}").expect("a String");
}

fn send(pid: i32, signal: i32) {
    #[expect(unsafe_code, reason = "kill")]
    // SAFETY: no memory is involved.
    unsafe {
        libc::kill(pid, signal)
    };
}
