//! A whole run of four ranks on five numbers.

use crate::Bench;
use crate::contender::{Contender, Reading, Standing};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::toolchain::source;

const OURS: &str = "spmd, 4 ranks, 5 squares";
const RANKS: usize = 4;

pub(crate) fn run(bench: &mut Bench) {
    let square = "--procs 4 --kernel square --input 1,2,3,4,5 -q";
    let mut contenders = vec![Contender::spmd(OURS, Reading::Whole, square)];
    for mpi in &bench.tools.mpis {
        let Some(program) = bench.tools.mpi_program(mpi, "hello_mpi") else { continue };
        let contender =
            |label, options| mpi.contender(label, options, RANKS, &program, Reading::Whole);
        contenders.push(contender(" hello", ""));
        if mpi.family == "Open MPI" {
            let lean =
                contender(" hello, shared memory only", "--mca pml ob1 --mca btl self,vader");
            contenders.push(lean.standing(Standing::Tuned));
        }
    }
    if let Some(python) = &bench.tools.python {
        let pool = Contender::new("Python Pool", "Python Pool(4)", &python.program, Reading::Whole);
        contenders.push(pool.file(&source("pool.py")).args("4 5"));
    }
    let against = |family: &'static [&'static str], at_most| Target {
        ours: OURS,
        families: family,
        settings: Settings::Default,
        at_most,
    };
    bench.hold(Contest {
        section: "launch",
        title: "Whole run, 4 ranks, 5 squares".into(),
        definition: "Time of the whole process. MPI programs only begin and end (`MPI_Init`, `MPI_Finalize`); Python maps five squares. The targets are about programs as they come.".into(),
        unit: Unit::Milliseconds,
        contenders,
        targets: vec![
            against(&["MPICH"], 0.1),
            against(&["Open MPI"], 0.01),
            against(&["Python Pool"], 0.03),
        ],
    });
}
