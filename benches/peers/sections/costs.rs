//! Work of uneven cost: spmd as it comes against the best that OpenMP's schedules can do.

use crate::contender::{Contender, Reading, Standing};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::toolchain::OpenMp;
use crate::{Bench, CPUS};

const OURS: &str = "spmd";

/// The shapes of `chain`, which spread the same mean cost in five ways.
pub(crate) const SHAPES: &[&str] = &["mandelbrot", "heavy", "linear", "humps", "constant"];
/// Indices, and steps of each on average.
pub(crate) const INDICES: u64 = 50_000;
pub(crate) const STEPS: u64 = 500;
/// Passes that are not counted, and passes that are.
const WARMUP: usize = 1;
const PASSES: usize = 5;
const SEED: u64 = 1;

/// What spmd is told to do.
pub(crate) fn own(shape: &str) -> String {
    format!(
        "-k chain --dtype f64 --size {INDICES} --param shape={shape} --param steps={STEPS} --seed {SEED} --procs {CPUS} --warmup {WARMUP} --repeats {PASSES} --json -q"
    )
}

pub(crate) fn run(bench: &mut Bench) {
    for shape in SHAPES {
        let mut contenders = vec![Contender::spmd(OURS, Reading::Pass, &own(shape))];
        for openmp in &bench.tools.openmps {
            contenders.extend(sweep(bench, openmp, shape));
        }
        bench.hold(Contest {
            section: "costs",
            title: format!("Uneven costs: {shape}"),
            definition: format!("{INDICES} indices of {STEPS} steps on average, the same arithmetic index by index. A steady pass. OpenMP by every schedule and chunk below; spmd by its defaults."),
            unit: Unit::Milliseconds,
            contenders,
            targets: vec![Target {
                ours: OURS,
                families: &["libgomp", "libomp"],
                settings: Settings::Best,
                at_most: 1.05,
            }],
        });
    }
}

fn sweep(bench: &Bench, openmp: &OpenMp, shape: &str) -> Vec<Contender> {
    // Fused multiplications would be other work, with other results.
    let Some(program) = bench.tools.openmp_program(openmp, "chain_omp", "-ffp-contract=off") else {
        return vec![];
    };
    let more: &[&str] = match openmp.family {
        "libomp" => &["static_steal", "trapezoidal"],
        _ => &[],
    };
    [
        "static",
        "static,1",
        "static,16",
        "dynamic,1",
        "dynamic,4",
        "dynamic,16",
        "dynamic,64",
        "dynamic,256",
        "dynamic,1024",
        "guided,1",
        "guided,16",
        "guided,64",
    ]
    .iter()
    .chain(more)
    .map(|schedule| {
        let standing = if *schedule == "static" { Standing::Default } else { Standing::Tuned };
        openmp
            .contender(&format!(" {schedule}"), &program, CPUS, Reading::Line)
            .args(&format!("{INDICES} {CPUS} {WARMUP} {PASSES} {shape} {STEPS} {SEED}"))
            .variables(&format!("OMP_SCHEDULE={schedule}"))
            .standing(standing)
    })
    .collect()
}
