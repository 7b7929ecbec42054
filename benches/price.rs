//! The price of surviving: what recovery costs a run in which nobody dies.
//!
//! Beside `spmd` runs a plain loop: two pinned threads, each over its half of the same amount of memory,
//! with no claims, no blocks, no copies, and the same vector instructions; once in memory that processes
//! share, in small pages, which is what the price of surviving is taken against, and once in private
//! memory, which is what threads would use. Every sample has fresh memory, as every run has. Out of place, protection is a lease
//! a chunk; in place, each block of 4 KiB is also saved before it is overwritten, which the plain loop does
//! not do. In both, in place, the array is made what it was before each pass, which is not timed. For a
//! kernel that computes, the same run in place and out of place is compared. `cargo bench --bench price`
//! prints Markdown.

#![expect(clippy::print_stdout, reason = "a bench talks")]

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/paired.rs"]
mod paired;
#[path = "shared/mod.rs"]
mod shared;

use std::fmt::Write as _;
use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::Instant;

use memmap2::{MmapMut, MmapOptions};
use memory::{MemoryFile, nameless};
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
    for n in [4_000_000, 32_000_000] {
        streaming(n, &mut report, &mut raw);
    }
    computing(&mut report, &mut raw);
    println!("{report}");
    save(&arguments, &report, &raw);
}

/// `square` of f64, in memory.
fn streaming(n: usize, report: &mut String, raw: &mut String) {
    let input = MemoryFile::new(n).expect("memory for the input");
    let base =
        ["-q", "-n", "2", "-k", "square", "--dtype", "f64", "--schedule", "static", "--input"];
    let base: Vec<&str> =
        base.into_iter().chain([input.path().to_str().expect("a plain path")]).collect();
    let with = |more: &str| -> Vec<String> {
        base.iter()
            .map(ToString::to_string)
            .chain(more.split_whitespace().map(str::to_owned))
            .collect()
    };
    let shared = || [map(&input.file, n), map(&nameless().expect("memory"), n)];
    let private = || {
        let x = (0..n).map(|index| index as f64 + 0.5).collect();
        [Array::Private(x), Array::Private(vec![0.5; n])]
    };
    let mut samples: [Vec<f64>; 7] = Default::default();
    for round in 0..=ROUNDS {
        let found = [
            plain_apart(shared()),
            plain_apart(private()),
            spmd(&with("")),
            plain_in_place(shared()),
            plain_in_place(private()),
            spmd(&with("--in-place")),
            spmd(&with("--in-place --on-death fail")),
        ];
        if round > 0 {
            samples.iter_mut().zip(found).for_each(|(samples, sample)| samples.push(sample));
        }
    }
    let names = [
        "plain loop in shared memory, out of place",
        "plain loop in private memory, out of place",
        "spmd, out of place",
        "plain loop in shared memory, in place",
        "plain loop in private memory, in place",
        "spmd, in place",
        "spmd, in place, --on-death fail",
    ];
    let against = [
        None,
        Some((0, None)),
        Some((0, Some(1.02))),
        None,
        Some((3, None)),
        Some((3, Some(1.15))),
        Some((3, None)),
    ];
    let title = format!("square on {n} f64 ({} MB), static, a pass", n * 8 / 1_000_000);
    table(&title, &names, &samples, &against, report, raw);
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
    table(title, &names, &samples, &[None, Some((0, Some(1.0)))], report, raw);
}

/// The median pass of one run.
fn spmd(arguments: &[String]) -> f64 {
    let out = Command::new(env!("CARGO_BIN_EXE_spmd"))
        .args(arguments)
        // Small pages, as the plain loop has.
        .args(["--json", "--huge", "never", "--warmup", "2", "--repeats", &PASSES.to_string()])
        .stderr(Stdio::null())
        .output()
        .expect("spmd starts");
    let record: serde_json::Value = serde_json::from_slice(&out.stdout).expect("a record");
    record["time"]["pass_s"]["median"].as_f64().expect("seconds")
}

fn plain_apart([mut x, mut y]: [Array; 2]) -> f64 {
    let (x, y) = (x.numbers(), y.numbers());
    let half = x.len() / RANKS;
    let parts = x.chunks(half).zip(y.chunks_mut(half));
    in_turn(parts.map(|(x, y)| Part {
        data: (x, y),
        prepare: |_| {},
        pass: |(x, y)| vectorised(|| y.iter_mut().zip(*x).for_each(|(y, &x)| *y = x * x)),
    }))
}

/// As a run in place does it: the array is what it was before each pass.
fn plain_in_place([mut x, mut y]: [Array; 2]) -> f64 {
    let (x, y) = (x.numbers(), y.numbers());
    let half = x.len() / RANKS;
    let parts = x.chunks(half).zip(y.chunks_mut(half));
    in_turn(parts.map(|(x, y)| Part {
        data: (x, y),
        prepare: |(x, y)| y.copy_from_slice(x),
        pass: |(_, y)| vectorised(|| y.iter_mut().for_each(|y| *y *= *y)),
    }))
}

/// Where the plain loop has its numbers.
enum Array {
    Private(Vec<f64>),
    Shared(MmapMut),
}

impl Array {
    fn numbers(&mut self) -> &mut [f64] {
        match self {
            Self::Private(numbers) => numbers,
            #[expect(unsafe_code, reason = "bytes of a mapping as numbers")]
            Self::Shared(bytes) => {
                // SAFETY: any eight bytes are a number.
                let (_, numbers, _) = unsafe { bytes.align_to_mut() };
                numbers
            }
        }
    }
}

/// Maps a file of numbers, which is made as long as that.
#[expect(unsafe_code, reason = "maps a file")]
fn map(file: &File, n: usize) -> Array {
    file.set_len(n as u64 * 8).expect("memory");
    // SAFETY: the file has no name, is as long as that, and whoever else maps it only reads meanwhile.
    Array::Shared(unsafe { MmapOptions::new().len(n * 8).map_mut(file) }.expect("a mapping"))
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
    against: &[Option<(usize, Option<f64>)>],
    report: &mut String,
    raw: &mut String,
) {
    writeln!(report, "## {title}\n\n| contender | median ms | 95 % of the median | ratio | 95 % of the ratio | target |\n|---|--:|--:|--:|--:|--:|")
        .expect("a String");
    for ((name, own), against) in names.iter().zip(samples).zip(against) {
        let (low, high) = interval(own);
        let ratio = against.map_or(" | | ".to_owned(), |(other, target)| {
            let target = target.map_or(String::new(), |target| format!("{target:.2}"));
            format!("{} | {target}", ratio(own, &samples[other]).shown())
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
