//! The price of surviving: what recovery costs a run in which nobody dies.
//!
//! Beside `spmd` runs a plain loop: two pinned threads, each over its half of the same amount of memory, with
//! no claims, no blocks, no copies, and the same vector instructions. Out of place, protection is a lease a chunk; in place, each block of
//! 8 KiB is also saved before it is overwritten, which the plain loop does not do. In both, in place, the
//! array is made what it was before each pass, which is not timed. For a kernel that computes,
//! the same run in place and out of place is compared. `cargo bench --bench price` prints Markdown.

#![expect(clippy::print_stdout, reason = "a bench talks")]

#[path = "shared/paired.rs"]
mod paired;
#[path = "shared/mod.rs"]
mod shared;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::Instant;

use paired::ratio;
use shared::{interval, machine, median, save};
use spmd::vectorised;

/// Rounds; in each, every contender makes one sample of `PASSES` passes.
const ROUNDS: usize = 15;
const PASSES: usize = 9;
const RANKS: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return; // `cargo test --benches` asks whether it starts.
    }
    let mut report = machine("The price of surviving", "price");
    let mut raw = String::new();
    let folder = Path::new("/dev/shm").join(format!("spmd-bench-price-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder in memory");
    for n in [4_000_000, 32_000_000] {
        streaming(n, &folder, &mut report, &mut raw);
    }
    computing(&mut report, &mut raw);
    let _ = fs::remove_dir_all(&folder);
    println!("{report}");
    save(&arguments, &report, &raw);
}

/// `square` of f64, in memory.
fn streaming(n: usize, folder: &Path, report: &mut String, raw: &mut String) {
    let input = folder.join("x.bin");
    let bytes: Vec<u8> = (0..n).flat_map(|index| (index as f64 + 0.5).to_le_bytes()).collect();
    fs::write(&input, bytes).expect("memory for the input");
    let base =
        ["-q", "-n", "2", "-k", "square", "--dtype", "f64", "--schedule", "static", "--input"];
    let base: Vec<&str> = base.into_iter().chain([input.to_str().expect("a plain path")]).collect();
    let with = |more: &str| -> Vec<String> {
        base.iter()
            .map(ToString::to_string)
            .chain(more.split_whitespace().map(str::to_owned))
            .collect()
    };
    let x: Vec<f64> = (0..n).map(|index| index as f64 + 0.5).collect();
    let mut y = vec![0.5; n];
    let mut samples: [Vec<f64>; 4] = Default::default();
    for round in 0..=ROUNDS {
        let found = [
            plain_apart(&x, &mut y),
            spmd(&with("")),
            plain_in_place(&x, &mut y),
            spmd(&with("--in-place")),
        ];
        if round > 0 {
            samples.iter_mut().zip(found).for_each(|(samples, sample)| samples.push(sample));
        }
    }
    let names = [
        "plain loop, out of place",
        "spmd, out of place",
        "plain loop, in place",
        "spmd, in place",
    ];
    let title = format!("square on {n} f64 ({} MB), static, a pass", n * 8 / 1_000_000);
    table(&title, &names, &samples, &[None, Some((0, 1.02)), None, Some((2, 1.15))], report, raw);
    fs::remove_file(&input).expect("it is ours");
}

/// A kernel that computes: in place against out of place.
fn computing(report: &mut String, raw: &mut String) {
    let with = |more: &str| -> Vec<String> {
        let base = "-q -n 2 -k collatz --size 2e5 --schedule dynamic,1000";
        base.split_whitespace().chain(more.split_whitespace()).map(str::to_owned).collect()
    };
    let mut samples: [Vec<f64>; 2] = Default::default();
    for round in 0..=ROUNDS {
        let found = [spmd(&with("")), spmd(&with("--in-place"))];
        if round > 0 {
            samples.iter_mut().zip(found).for_each(|(samples, sample)| samples.push(sample));
        }
    }
    let names = ["spmd, out of place", "spmd, in place"];
    let title = "collatz on 200000 i64, dynamic,1000, a pass";
    table(title, &names, &samples, &[None, Some((0, 1.0))], report, raw);
}

/// The median pass of one run.
fn spmd(arguments: &[String]) -> f64 {
    let out = Command::new(env!("CARGO_BIN_EXE_spmd"))
        .args(arguments)
        .args(["--json", "--warmup", "2", "--repeats", &PASSES.to_string()])
        .stderr(Stdio::null())
        .output()
        .expect("spmd starts");
    let record: serde_json::Value = serde_json::from_slice(&out.stdout).expect("a record");
    record["time"]["pass_s"]["median"].as_f64().expect("seconds")
}

fn plain_apart(x: &[f64], y: &mut [f64]) -> f64 {
    let half = x.len() / RANKS;
    let parts = x.chunks(half).zip(y.chunks_mut(half));
    in_turn(parts.map(|(x, y)| Part {
        data: (x, y),
        prepare: |_| {},
        pass: |(x, y)| vectorised(|| y.iter_mut().zip(*x).for_each(|(y, &x)| *y = x * x)),
    }))
}

/// As a run in place does it: the array is what it was before each pass.
fn plain_in_place(x: &[f64], y: &mut [f64]) -> f64 {
    let half = x.len() / RANKS;
    let parts = x.chunks(half).zip(y.chunks_mut(half));
    in_turn(parts.map(|(x, y)| Part {
        data: (x, y),
        prepare: |(x, y)| y.copy_from_slice(x),
        pass: |(_, y)| vectorised(|| y.iter_mut().for_each(|y| *y *= *y)),
    }))
}

/// One thread's half of the arrays, and what is done with it before and in each pass.
struct Part<'a> {
    data: (&'a [f64], &'a mut [f64]),
    prepare: fn(&mut (&[f64], &mut [f64])),
    pass: fn(&mut (&[f64], &mut [f64])),
}

/// Runs each part on a CPU of its own, `PASSES` times after two to warm up; returns the median pass,
/// from the first begin to the last end.
fn in_turn<'a>(parts: impl Iterator<Item = Part<'a>>) -> f64 {
    let parts: Vec<Part<'a>> = parts.collect();
    let barrier = Barrier::new(parts.len());
    let begun = Instant::now();
    let times: Vec<Vec<(f64, f64)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(parts)
            .map(|(cpu, mut part)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    pin(cpu);
                    let mut times = Vec::new();
                    for _ in 0..PASSES + 2 {
                        (part.prepare)(&mut part.data);
                        barrier.wait();
                        let begin = begun.elapsed().as_secs_f64();
                        (part.pass)(&mut part.data);
                        times.push((begin, begun.elapsed().as_secs_f64()));
                    }
                    times
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let passes: Vec<f64> = (2..PASSES + 2)
        .map(|pass| {
            let begin = times.iter().map(|thread| thread[pass].0).fold(f64::INFINITY, f64::min);
            let end = times.iter().map(|thread| thread[pass].1).fold(0.0, f64::max);
            end - begin
        })
        .collect();
    median(&passes)
}

fn pin(cpu: usize) {
    // As the ranks are; a machine that refuses runs unpinned, and says so by its spread.
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(&cpu) = cpus.get(cpu) {
        core_affinity::set_for_current(cpu);
    }
}

/// Writes a table of medians; `against` is the contender to compare with, and the target ratio.
fn table(
    title: &str,
    names: &[&str],
    samples: &[Vec<f64>],
    against: &[Option<(usize, f64)>],
    report: &mut String,
    raw: &mut String,
) {
    writeln!(report, "## {title}\n\n| contender | median ms | 95 % of the median | ratio | 95 % of the ratio | target |\n|---|--:|--:|--:|--:|--:|")
        .expect("a String");
    for ((name, own), against) in names.iter().zip(samples).zip(against) {
        let (low, high) = interval(own);
        let ratio = against.map_or(" | | ".to_owned(), |(other, target)| {
            format!("{} | {target:.2}", ratio(own, &samples[other]).shown())
        });
        writeln!(
            report,
            "| {name} | {:.2} | {:.2} .. {:.2} | {ratio} |",
            median(own) * 1e3,
            low * 1e3,
            high * 1e3
        )
        .expect("a String");
        let line = serde_json::json!({"bench": "price", "title": title, "contender": name, "seconds": own});
        writeln!(raw, "{line}").expect("a String");
    }
    report.push('\n');
}
