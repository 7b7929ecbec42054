//! Starts the ranks: this program again, told by its environment that it is one.

use std::ffi::{CString, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Instant;

use super::world::World;
use crate::error::{Error, Explained};
use crate::host::limits;
use crate::host::procs::{self, Child};
use crate::inject::Action;
use crate::shm::Point;
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
pub(super) struct Ranks<'w> {
    world: &'w World,
    /// What every rank finds in its environment.
    common: Vec<CString>,
    seats: Vec<Seat>,
}

/// One rank: its latest process, and what became of that.
#[derive(Debug)]
pub(super) struct Seat {
    child: Child,
    state: State,
    /// When the process was started.
    began: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Dead, and to be started again once the barrier it had arrived at has opened.
    Awaiting,
    /// It has ended, and is needed no more.
    Left,
}

impl Drop for Ranks<'_> {
    fn drop(&mut self) {
        for (_, child) in self.living() {
            child.signal(libc::SIGKILL);
        }
        for (_, child) in self.living() {
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

impl<'w> Ranks<'w> {
    /// Starts every rank of a world, or none.
    pub(super) fn start(world: &'w World) -> Result<Self, Error> {
        let procs = world.plan.procs();
        enough_descriptors(procs)?;
        let seats = Vec::with_capacity(procs as usize);
        let mut ranks = Self { world, common: environment(world), seats };
        for rank in 0..procs {
            let child = ranks.spawn(rank)?;
            ranks.seats.push(Seat { child, state: State::Running, began: Instant::now() });
        }
        Ok(ranks)
    }

    /// Starts a rank that has died once more.
    pub(super) fn replace(&mut self, rank: u32) -> Result<(), Error> {
        self.world.segment.control().ranks()[rank as usize].renew();
        let child = self.spawn(rank)?;
        self.seats[rank as usize] = Seat { child, state: State::Running, began: Instant::now() };
        Ok(())
    }

    fn spawn(&self, rank: u32) -> Result<Child, Error> {
        let number = rank.to_string();
        let mut environment = self.common.clone();
        environment.extend(variable(worker::RANK, &number));
        if let Some(cpu) = self.world.plan.placement.pins.get(rank as usize).copied().flatten() {
            environment.extend(variable("SPMD_CPU", &cpu.to_string()));
        }
        let fault = self.fault_at_start(rank).map_or(String::new(), |fault| format!(":{fault}"));
        environment.extend(variable(worker::MARK, &format!("{}{fault}", std::process::id())));
        let number = CString::new(number).unwrap_or_default();
        let arguments = [c"spmd-rank", &number];
        procs::spawn(procs::SELF, &arguments, &environment, &self.world.descriptors())
            .map_err(|error| refused(rank, self.world.plan.procs(), &error))
    }

    /// Returns the injected fault that strikes this process before it can read of it in the segment.
    fn fault_at_start(&self, rank: u32) -> Option<Action> {
        let header = self.world.segment.control().header();
        let faults = self.world.plan.job.inject.iter().enumerate();
        let mut meant = faults.filter(|(_, fault)| {
            fault.point == Point::Started && fault.rank.is_none_or(|only| only == rank)
        });
        let (_, fault) = meant.find(|&(number, fault)| header.strike(number, fault.times))?;
        Some(fault.action)
    }

    /// Returns the ranks whose process has not been seen to end.
    pub(super) fn living(&self) -> impl Iterator<Item = (u32, &Child)> {
        let numbered = (0..).zip(&self.seats);
        numbered
            .filter(|(_, seat)| seat.state == State::Running)
            .map(|(rank, seat)| (rank, &seat.child))
    }

    /// Returns the dead ranks that wait to be started again.
    pub(super) fn awaiting(&self) -> Vec<u32> {
        let numbered = (0..).zip(&self.seats);
        numbered.filter(|(_, seat)| seat.state == State::Awaiting).map(|(rank, _)| rank).collect()
    }

    /// Says whether the process of a rank has been seen to end.
    pub(super) fn is_dead(&self, rank: u32) -> bool {
        self.seats.get(rank as usize).is_none_or(|seat| seat.state != State::Running)
    }

    /// Notes that the process of a rank has ended, and whether another one is to follow.
    pub(super) fn ended(&mut self, rank: u32, follow: Follow) {
        self.seats[rank as usize].state = match follow {
            Follow::Replacement => State::Awaiting,
            Follow::Nobody => State::Left,
        };
    }

    pub(super) fn child(&self, rank: u32) -> &Child {
        &self.seats[rank as usize].child
    }

    /// Returns when the latest process of a rank was started.
    pub(super) fn began(&self, rank: u32) -> Instant {
        self.seats[rank as usize].began
    }

    /// Returns the pid of each rank's latest process.
    pub(super) fn pids(&self) -> Vec<i32> {
        self.seats.iter().map(|seat| seat.child.pid).collect()
    }
}

/// Whether a process that has ended is to be followed by another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    Replacement,
    Nobody,
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
