//! y = x·x from memory to memory.

use crate::contender::{Contender, Reading, Standing};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::input::Input;
use crate::rayon_peer;
use crate::sections::passes::{self, PASSES, WARMUP};
use crate::toolchain::source;
use crate::{Bench, CPUS};

const OURS: &str = "spmd";
const STATIC: &str = "spmd, --schedule static";

pub(crate) fn run(bench: &mut Bench) {
    for n in [50_000_000, 250_000_000] {
        let n = bench.effort.scaled(n);
        let title = format!("y = x*x, {n} f64, steady pass");
        match Input::new(n, 2) {
            Ok(input) => contest(bench, title, n, &input),
            Err(reason) => bench.head(&title, &reason),
        }
    }
}

fn contest(bench: &mut Bench, title: String, n: u64, input: &Input) {
    let ours = |name, more: &str| {
        let arguments = format!("-k square --dtype f64 {} {more} --input", passes::own());
        Contender::spmd(name, Reading::Pass, &arguments).file(input.path())
    };
    let mut contenders = vec![ours(OURS, ""), ours(STATIC, "--schedule static")];
    for openmp in &bench.tools.openmps {
        contenders.extend(passes::openmp(bench, openmp, "square_omp", n));
    }
    contenders.extend(passes::streaming(bench, "square_omp", n));
    contenders.extend(rayon(n));
    contenders.extend(python(bench, n));
    for mpi in &bench.tools.mpis {
        let Some(program) = bench.tools.mpi_program(mpi, "square_mpi") else { continue };
        let contender = mpi.contender(" shared window", "", CPUS, &program, Reading::Line);
        let arguments = format!("{n} {WARMUP} {PASSES}");
        contenders.push(contender.args(&arguments).standing(Standing::Beside));
    }
    let target =
        |families, at_most| Target { ours: OURS, families, settings: Settings::Best, at_most };
    bench.hold(Contest {
        section: "square",
        title,
        definition: "A pass lasts from the first begin to the last end; rayon's, numpy's and numexpr's is what their caller waits for. Inputs are read from memory: spmd maps a file that lies in memory.".into(),
        unit: Unit::Milliseconds,
        contenders,
        targets: vec![
            target(&["libgomp", "libomp"], 1.03),
            target(&["rayon"], 1.0),
            target(&["numexpr"], 0.95),
        ],
    });
}

/// Blocks of 64 KiB, of 1 MiB, and a half each.
fn rayon(n: u64) -> Vec<Contender> {
    let Ok(program) = std::env::current_exe() else { return vec![] };
    [
        ("64 KiB", 8192, Standing::Default),
        ("1 MiB", 131_072, Standing::Tuned),
        ("a half", n.div_ceil(2), Standing::Tuned),
    ]
    .into_iter()
    .map(|(label, block, standing)| {
        let name = format!("rayon, blocks of {label}");
        let contender = Contender::new("rayon", &name, &program, Reading::Line);
        let arguments = format!("{} {} {block}", rayon_peer::FLAG, passes::theirs(n));
        contender.args(&arguments).standing(standing)
    })
    .collect()
}

fn python(bench: &Bench, n: u64) -> Vec<Contender> {
    let Some(python) = &bench.tools.python else { return vec![] };
    [("numexpr", Standing::Default), ("numpy", Standing::Beside)]
        .into_iter()
        .filter(|(module, _)| python.has(module))
        .map(|(module, standing)| {
            let contender = Contender::new(module, module, &python.program, Reading::Line);
            let arguments = format!("{module} {}", passes::theirs(n));
            contender.file(&source("square_arrays.py")).args(&arguments).standing(standing)
        })
        .collect()
}
