//! The barrier, with as many ranks as CPUs and with more.

use crate::contender::{Contender, Reading, Standing};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::toolchain::{Mpi, OpenMp};
use crate::{Bench, CPUS};

const OURS: &str = "spmd bench barrier";
const PEERS: &[&str] = &["libgomp", "libomp", "Open MPI", "MPICH", "pthread"];
const MPIS: &[&str] = &["Open MPI", "MPICH"];

pub(crate) fn run(bench: &mut Bench) {
    for (ranks, best, better_mpi) in [(2, 0.6, None), (4, 0.85, Some(0.5)), (8, 0.65, Some(0.4))] {
        let mut contenders = vec![Contender::spmd(
            OURS,
            Reading::PerOperation,
            &format!("bench barrier --procs {ranks} --json"),
        )];
        for openmp in &bench.tools.openmps {
            contenders.extend(threads(bench, openmp, ranks));
        }
        for mpi in &bench.tools.mpis {
            contenders.extend(processes(bench, mpi, ranks));
        }
        if let Some(program) = bench.tools.threads_program("barrier_pthread") {
            let contender = Contender::new("pthread", "pthread_barrier", &program, Reading::Line);
            contenders.push(contender.args(&ranks.to_string()));
        }
        let target =
            |families, settings, at_most| Target { ours: OURS, families, settings, at_most };
        let mut targets = vec![target(PEERS, Settings::Best, best)];
        targets.extend(better_mpi.map(|most| target(MPIS, Settings::Default, most)));
        bench.hold(Contest {
            section: "barrier",
            title: format!("Barrier, {ranks} ranks on {CPUS} CPUs"),
            definition: "Barriers one after another with nothing between: from the first begin of a batch to its last end, over their number. A sample is the median of batches of at least 10 ms.".into(),
            unit: Unit::Nanoseconds,
            contenders,
            targets,
        });
    }
}

/// Settings of an OpenMP that change how its barrier waits: their names say what.
fn settings(openmp: &OpenMp) -> &'static [&'static str] {
    match openmp.family {
        "libgomp" => &[
            "OMP_WAIT_POLICY=active",
            "OMP_WAIT_POLICY=passive",
            "GOMP_SPINCOUNT=1000",
            "GOMP_SPINCOUNT=100000",
        ],
        _ => &[
            "OMP_WAIT_POLICY=active",
            "OMP_WAIT_POLICY=passive",
            "KMP_BLOCKTIME=0",
            "KMP_BLOCKTIME=infinite",
            "KMP_LIBRARY=turnaround KMP_BLOCKTIME=infinite",
            "KMP_PLAIN_BARRIER_PATTERN=linear,linear",
            "KMP_PLAIN_BARRIER_PATTERN=dist,dist KMP_FORKJOIN_BARRIER_PATTERN=dist,dist KMP_REDUCTION_BARRIER_PATTERN=dist,dist",
        ],
    }
}

fn threads(bench: &Bench, openmp: &OpenMp, ranks: usize) -> Vec<Contender> {
    let Some(program) = bench.tools.openmp_program(openmp, "barrier_omp", "") else {
        return vec![];
    };
    let contender = |label: &str| {
        openmp.contender(label, &program, ranks, Reading::Line).args(&ranks.to_string())
    };
    let bound = "OMP_PROC_BIND=close OMP_PLACES=cores";
    let mut found = vec![contender("")];
    if ranks > CPUS {
        found.push(contender(", bound").variables(bound).standing(Standing::Tuned));
    }
    for setting in settings(openmp) {
        let label = format!(", {}", setting.split(' ').next().unwrap_or(setting));
        found.push(contender(&label).variables(setting).standing(Standing::Tuned));
    }
    found
}

fn processes(bench: &Bench, mpi: &Mpi, ranks: usize) -> Vec<Contender> {
    let Some(program) = bench.tools.mpi_program(mpi, "barrier_mpi") else {
        return vec![];
    };
    let contender =
        |label: &str, options: &str| mpi.contender(label, options, ranks, &program, Reading::Line);
    let mut found = vec![contender("", "")];
    let tuned: Vec<Contender> = match mpi.family {
        "MPICH" => [
            "MPIR_CVAR_BARRIER_POSIX_INTRA_ALGORITHM=release_gather",
            "MPIR_CVAR_BARRIER_INTRA_ALGORITHM=smp",
            "MPIR_CVAR_POLLS_BEFORE_YIELD=1",
        ]
        .into_iter()
        .map(|setting| contender(&format!(", {setting}"), "").variables(setting))
        .collect(),
        _ => [
            (", yields when idle", "--mca mpi_yield_when_idle 1"),
            (
                ", recursive doubling",
                "--mca coll_tuned_use_dynamic_rules 1 --mca coll_tuned_barrier_algorithm 3",
            ),
            (
                ", Bruck",
                "--mca coll_tuned_use_dynamic_rules 1 --mca coll_tuned_barrier_algorithm 4",
            ),
        ]
        .into_iter()
        .map(|(label, options)| contender(label, options))
        .collect(),
    };
    found.extend(tuned.into_iter().map(|contender| contender.standing(Standing::Tuned)));
    found
}
