//! Starts the ranks: this program again, told by its environment that it is one.

use std::ffi::{CString, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use super::World;
use crate::error::{Error, Explained};
use crate::host::limits;
use crate::host::procs::{self, Child, Ended};
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

/// The ranks of a world. Dropped before all have been seen to end, it kills and reaps the rest.
#[derive(Debug)]
pub(super) struct Ranks {
    pub(super) children: Vec<Child>,
    pub(super) ended: Vec<Option<Ended>>,
}

impl Drop for Ranks {
    fn drop(&mut self) {
        let left = || self.children.iter().zip(&self.ended).filter(|(_, ended)| ended.is_none());
        for (child, _) in left() {
            child.signal(libc::SIGKILL);
        }
        for (child, _) in left() {
            // Bounded: a process that is stuck in the kernel must not hold up its launcher for ever.
            for _ in 0..50 {
                if child.reap().is_some() {
                    break;
                }
                let _ = procs::poll(&[child.pidfd.as_fd()], 100); // Looks again either way.
            }
        }
    }
}

/// Starts every rank of a world, or none.
pub(super) fn start(world: &World) -> Result<Ranks, Error> {
    let procs = world.plan.procs();
    enough_descriptors(procs)?;
    let common = environment(world);
    let descriptors = world.descriptors();
    let mut ranks = Ranks { children: Vec::with_capacity(procs as usize), ended: Vec::new() };
    for (rank, pin) in (0..procs).zip(&world.plan.placement.pins) {
        let number = rank.to_string();
        let mut environment = common.clone();
        environment.extend(variable(worker::RANK, &number));
        if let Some(cpu) = pin {
            environment.extend(variable("SPMD_CPU", &cpu.to_string()));
        }
        let number = CString::new(number).unwrap_or_default();
        let child = procs::spawn(procs::SELF, &[c"spmd-rank", &number], &environment, &descriptors);
        ranks.children.push(child.map_err(|error| refused(rank, procs, &error))?);
        ranks.ended.push(None);
    }
    Ok(ranks)
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

/// Checks the limit on descriptors before the first rank exists.
fn enough_descriptors(procs: u32) -> Result<(), Error> {
    // One for each rank, and some for what is open already and will be.
    let need = u64::from(procs) + 24;
    match limits::descriptors() {
        Some(limit) if limit < need => Err(Error::refused(
            Explained::new(format!("{procs} ranks need {need} open files, the limit is {limit}"))
                .hint("ulimit -n, or a smaller --procs"),
        )),
        _ => Ok(()),
    }
}

/// Returns the environment all ranks share: this process's, and who they are.
fn environment(world: &World) -> Vec<CString> {
    let procs = world.plan.procs();
    let ours = [worker::MARK, worker::RANK, "SPMD_PROCS", "SPMD_RUN_ID", "SPMD_CPU"];
    let mut environment: Vec<CString> = std::env::vars_os()
        .filter(|(name, _)| !ours.iter().any(|ours| name == ours))
        .filter_map(|(name, value)| entry(name, value))
        .collect();
    let cpus = if world.plan.placement.pins.iter().all(Option::is_some) {
        1
    } else {
        (world.plan.placement.cpus / procs as usize).max(1)
    };
    let cpus = cpus.to_string();
    for name in THREAD_COUNTS.into_iter().filter(|name| std::env::var_os(name).is_none()) {
        environment.extend(variable(name, &cpus));
    }
    environment.extend(variable(worker::MARK, &std::process::id().to_string()));
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
