//! A hundred million squares from nothing: one pass, and every page touched for the first time.

use crate::contender::{Contender, Reading, Standing};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::input::Input;
use crate::{Bench, CPUS};

const OURS: &str = "spmd";

pub(crate) fn run(bench: &mut Bench) {
    let n = bench.effort.scaled(100_000_000);
    let base = format!("-k square --dtype f64 --procs {CPUS} -q");
    let ours = Contender::spmd(OURS, Reading::Whole, &format!("{base} --size {n}"));
    contest(bench, format!("End to end, {n} f64, squares of indices"), n, ours, None);
    let title = format!("End to end, {n} f64, squares of a file in memory");
    match Input::new(n, 1) {
        Ok(input) => {
            let ours = Contender::spmd(OURS, Reading::Whole, &format!("{base} --input"));
            contest(bench, title, n, ours.file(input.path()), Some(&input));
        }
        Err(reason) => bench.head(&title, &reason),
    }
}

fn contest(bench: &mut Bench, title: String, n: u64, ours: Contender, input: Option<&Input>) {
    let mut contenders = vec![ours];
    for openmp in &bench.tools.openmps {
        let Some(program) = bench.tools.openmp_program(openmp, "end_to_end_omp", "") else {
            continue;
        };
        let contender = |label| {
            let contender = openmp.contender(label, &program, CPUS, Reading::Whole);
            let contender = contender.args(&format!("{n} {CPUS}"));
            match input {
                Some(input) => contender.file(input.path()),
                None => contender,
            }
        };
        contenders.push(contender(" static"));
        let huge = contender(" static, huge pages").variables("BENCH_PAGES=huge");
        contenders.push(huge.standing(Standing::Beside));
    }
    // What is left of the time when there is no runtime at all, on pages as a fault brings them to processes that
    // share them.
    if let Some(program) = bench.tools.threads_program("end_to_end_shared") {
        let floor =
            Contender::new("C", "C, small shared pages, no runtime", &program, Reading::Whole);
        let floor = floor.args(&format!("{n} {CPUS}")).standing(Standing::Beside);
        contenders.push(match input {
            Some(input) => floor.file(input.path()),
            None => floor,
        });
    }
    bench.hold(Contest {
        section: "end-to-end",
        title,
        definition: "Time of the whole process: start, room for the results and its first touch, one pass, the first and last results printed.".into(),
        unit: Unit::Milliseconds,
        contenders,
        targets: vec![Target {
            ours: OURS,
            families: &["libgomp", "libomp"],
            settings: Settings::Best,
            at_most: 1.4,
        }],
    });
}
