//! How a rank comes into the world: this program again, told by its environment that it is a rank, and
//! which one.

use std::ffi::{CString, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;

use crate::error::{Error, Explained};
use crate::host::affinity::{self, CpuSet};
use crate::host::limits;
use crate::host::line::Line;
use crate::host::procs::{self, Child};
use crate::inject::Action;
use crate::plan::Plan;
use crate::worker;

/// Libraries that start a thread per CPU unless told otherwise: N ranks would start N² of them.
const THREAD_COUNTS: [&str; 8] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// What the ranks of a plan are started with.
#[derive(Debug)]
pub(super) struct Birth {
    procs: u32,
    pins: Vec<Option<u32>>,
    /// What every rank finds in its environment: this process's, and who they are.
    common: Vec<CString>,
}

impl Birth {
    pub(super) fn of(plan: &Plan) -> Self {
        Self { procs: plan.procs(), pins: plan.placement.pins.clone(), common: environment(plan) }
    }

    /// Starts a rank of one world, which exits at its end; with a fault that is to strike before the rank
    /// can read of it in the segment.
    pub(super) fn once(
        &self,
        rank: u32,
        fault: Option<Action>,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Child, Error> {
        let fault = fault.map_or(String::new(), |fault| format!(":{fault}"));
        self.spawn(rank, &fault, descriptors)
    }

    /// Starts a rank that waits for orders.
    pub(super) fn in_crew(&self, rank: u32) -> Result<(Child, Line), Error> {
        let (ours, theirs) = Line::pair().map_err(|error| refused(rank, self.procs, &error))?;
        let part = format!(":{}", worker::IN_CREW);
        Ok((self.spawn(rank, &part, &[theirs.as_fd()])?, ours))
    }

    /// Returns the CPUs of some ranks, if each is pinned, to one that it will get.
    pub(super) fn cpus(&self, ranks: &[u32]) -> Option<CpuSet> {
        let pin = |rank: &u32| {
            self.pins.get(*rank as usize).copied().flatten().filter(|cpu| affinity::can_pin(*cpu))
        };
        ranks.iter().map(pin).collect()
    }

    fn spawn(&self, rank: u32, part: &str, descriptors: &[BorrowedFd<'_>]) -> Result<Child, Error> {
        let number = rank.to_string();
        let mut environment = self.common.clone();
        environment.extend(variable(worker::RANK, &number));
        if let Some(cpu) = self.pins.get(rank as usize).copied().flatten() {
            environment.extend(variable("SPMD_CPU", &cpu.to_string()));
        }
        environment.extend(variable(worker::MARK, &format!("{}{part}", std::process::id())));
        let number = CString::new(number).unwrap_or_default();
        let arguments = [c"spmd-rank", &number];
        procs::spawn(procs::SELF, &arguments, &environment, descriptors)
            .map_err(|error| refused(rank, self.procs, &error))
    }
}

/// Descriptors that are open already, and will be.
const OTHERS: u64 = 24;

/// Returns how many descriptors a launcher has open with so many `each` rank.
pub(crate) fn descriptors_needed(procs: u32, each: u64) -> u64 {
    u64::from(procs) * each + OTHERS
}

/// Checks the limit on descriptors, of which there are so many `each` rank, before the first rank exists.
pub(super) fn enough_descriptors(procs: u32, each: u64) -> Result<(), Error> {
    let need = descriptors_needed(procs, each);
    match limits::descriptors() {
        Some(limit) if limit < need => Err(Error::refused(
            Explained::new(format!("{procs} ranks need {need} open files, the limit is {limit}"))
                .hint("ulimit -n, or a smaller --procs"),
        )),
        _ => Ok(()),
    }
}

fn refused(rank: u32, procs: u32, error: &io::Error) -> Error {
    let what = Explained::new(format!("cannot start rank {rank} of {procs}: {error}"));
    Error::refused(match error.raw_os_error() {
        Some(libc::EAGAIN) => {
            what.hint("the limit on processes (ulimit -u, pids.max); a smaller --procs")
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            what.hint("the limit on open files (ulimit -n); a smaller --procs")
        }
        Some(libc::ENOENT) => what.hint("ranks are started from /proc/self/exe: is /proc mounted?"),
        _ => what,
    })
}

fn environment(plan: &Plan) -> Vec<CString> {
    let procs = plan.procs();
    let ours = [worker::MARK, worker::RANK, "SPMD_PROCS", "SPMD_RUN_ID", "SPMD_CPU"];
    let mut environment: Vec<CString> = std::env::vars_os()
        .filter(|(name, _)| !ours.iter().any(|ours| name == ours))
        .filter_map(|(name, value)| entry(name, value))
        .collect();
    let cpus = if plan.placement.pins.iter().all(Option::is_some) {
        1
    } else {
        (plan.placement.cpus / procs as usize).max(1)
    };
    let cpus = cpus.to_string();
    for name in THREAD_COUNTS.into_iter().filter(|name| std::env::var_os(name).is_none()) {
        environment.extend(variable(name, &cpus));
    }
    environment.extend(variable("SPMD_PROCS", &procs.to_string()));
    environment.extend(variable("SPMD_RUN_ID", &run_id()));
    environment
}

fn entry(mut name: OsString, value: OsString) -> Option<CString> {
    name.push("=");
    name.push(value);
    CString::new(name.into_vec()).ok()
}

fn variable(name: &str, value: &str) -> Option<CString> {
    entry(name.into(), value.into())
}

/// Returns a number that tells this run from others: no secret, only distinct.
fn run_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}
