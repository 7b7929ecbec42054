//! What an index costs that has nothing to do: taking it.

use crate::contender::{Contender, Reading, Standing};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::{Bench, CPUS};

const LOCKED: &str = "spmd, dynamic,1";
const STEALING: &str = "spmd, steal,1";

pub(crate) fn run(bench: &mut Bench) {
    let ours = |name, schedule| {
        let arguments = format!("bench pull --procs {CPUS} --schedule {schedule} --json");
        Contender::spmd(name, Reading::PerOperation, &arguments)
    };
    let mut contenders = vec![ours(LOCKED, "dynamic,1"), ours(STEALING, "steal,1")];
    for mpi in &bench.tools.mpis {
        let Some(program) = bench.tools.mpi_program(mpi, "pull_mpi") else { continue };
        for (label, window, standing) in [
            (" MPI_Fetch_and_op", "allocate", Standing::Default),
            (" MPI_Fetch_and_op, shared window", "shared", Standing::Tuned),
        ] {
            let contender = mpi.contender(label, "", CPUS, &program, Reading::Line);
            contenders.push(contender.args(window).standing(standing));
        }
    }
    for openmp in &bench.tools.openmps {
        let Some(program) = bench.tools.openmp_program(openmp, "pull_omp", "") else { continue };
        let contender = openmp.contender(" dynamic,1", &program, CPUS, Reading::Line);
        contenders.push(contender.args(&CPUS.to_string()));
    }
    bench.hold(Contest {
        section: "pull",
        title: format!("Pull: an empty index, {CPUS} ranks"),
        definition: "Wall time of a loop of empty chunks of one index, over the number of indices: of all ranks together, not of one.".into(),
        unit: Unit::Nanoseconds,
        contenders,
        targets: vec![
            Target {
                ours: LOCKED,
                families: &["Open MPI", "MPICH"],
                settings: Settings::Best,
                at_most: 0.65,
            },
            Target {
                ours: STEALING,
                families: &["libgomp"],
                settings: Settings::Best,
                at_most: 0.6,
            },
        ],
    });
}
