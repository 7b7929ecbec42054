//! Steady passes over arrays: how many, and by whom.

use crate::contender::{Contender, Reading, Standing};
use crate::toolchain::OpenMp;
use crate::{Bench, CPUS};

/// Passes that are not counted, and passes that are.
pub(crate) const WARMUP: usize = 2;
pub(crate) const PASSES: usize = 9;

/// What spmd is told, beside the problem.
pub(crate) fn own() -> String {
    format!("--procs {CPUS} --warmup {WARMUP} --repeats {PASSES} --json -q")
}

/// What the peers are told.
pub(crate) fn theirs(n: u64) -> String {
    format!("{n} {CPUS} {WARMUP} {PASSES}")
}

/// An OpenMP program as it comes; with huge pages asked for; and, if it knows how, with stores past the caches.
pub(crate) fn openmp(bench: &Bench, openmp: &OpenMp, name: &str, n: u64) -> Vec<Contender> {
    let Some(program) = bench.tools.openmp_program(openmp, name, "") else {
        return vec![];
    };
    let contender =
        |label: &str| openmp.contender(label, &program, CPUS, Reading::Line).args(&theirs(n));
    vec![
        contender(" static"),
        // spmd asks for them by itself; a program as it comes does not.
        contender(" static, huge pages").variables("BENCH_PAGES=huge").standing(Standing::Beside),
    ]
}

/// The same with stores that go past the caches, where the compiler has them.
pub(crate) fn streaming(bench: &Bench, name: &str, n: u64) -> Vec<Contender> {
    let knows = bench.tools.openmps.iter().filter(|openmp| openmp.family == "libomp");
    knows
        .filter_map(|openmp| {
            let program = bench.tools.openmp_program(openmp, name, "-DSTREAMING")?;
            let contender =
                openmp.contender(" static, stores past the caches", &program, CPUS, Reading::Line);
            Some(contender.args(&theirs(n)).standing(Standing::Beside))
        })
        .collect()
}
