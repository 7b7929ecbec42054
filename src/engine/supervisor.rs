//! Watches the ranks until all have ended, and ends them when they must.
//!
//! One poll over every rank's pidfd and the orders from outside: whichever rank ends first is seen
//! first, in well under a millisecond. The supervisor takes no lock that a rank takes and waits at no
//! barrier, so no death of a rank can stop it.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::World;
use super::signals;
use crate::error::{Error, Explained};
use crate::host::procs::{self, Child, Ended};
use crate::shm::{Abort, Fault, Stage};

/// After an abort, ranks stop by themselves between two blocks; this is for those that cannot.
const TERM_AFTER: Duration = Duration::from_millis(250);
/// And this for those that will not.
const KILL_AFTER: Duration = Duration::from_secs(2);
/// A killed process that is still there is stuck in the kernel.
const GIVE_UP_AFTER: Duration = Duration::from_secs(7);

/// Why a run is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The program that started it no longer wants it.
    Cancelled,
    /// The launcher was sent this signal.
    Signal(i32),
}

/// What reaches a run from outside: its deadline, and the order to stop.
#[derive(Debug)]
pub(crate) struct Orders {
    /// When to give up, and the limit that was given.
    pub(crate) deadline: Option<(Instant, Duration)>,
    cause: Mutex<Option<Cause>>,
    bell: PipeReader,
    ring: PipeWriter,
}

impl Orders {
    pub(crate) fn new(limit: Option<Duration>) -> io::Result<Self> {
        let (bell, ring) = io::pipe()?;
        let deadline = limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        Ok(Self { deadline, cause: Mutex::new(None), bell, ring })
    }

    /// Orders the run to stop; the first cause stays.
    pub(crate) fn stop(&self, cause: Cause) {
        if let Ok(mut given) = self.cause.lock()
            && given.is_none()
        {
            *given = Some(cause);
            // One byte into an empty pipe: neither blocks nor fails while the reader lives.
            let _ = (&self.ring).write_all(&[1]);
        }
    }

    /// Says whether, and why, the run is to stop now.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(cause) = self.cause.lock().ok().and_then(|given| *given) {
            return Err(interrupted(cause));
        }
        match self.deadline {
            Some((at, limit)) if Instant::now() >= at => Err(out_of_time(limit)),
            _ => Ok(()),
        }
    }
}

fn interrupted(cause: Cause) -> Error {
    match cause {
        Cause::Cancelled => {
            Error::Interrupted { what: "the run was cancelled".into(), signal: libc::SIGINT }
        }
        Cause::Signal(signal) => Error::Interrupted {
            what: format!("stopped by {}: no output was written", signals::name(signal)).into(),
            signal,
        },
    }
}

fn out_of_time(limit: Duration) -> Error {
    Error::TimedOut(
        Explained::new(format!("the time limit of {}s was reached", limit.as_secs_f64()))
            .hint("a longer --timeout"),
    )
}

/// Waits until every rank has ended; returns how each did.
pub(super) fn watch(
    world: &World,
    children: &[Child],
    orders: &Orders,
) -> Result<Vec<Ended>, Error> {
    let control = world.segment.control();
    let mut ended: Vec<Option<Ended>> = vec![None; children.len()];
    let mut failure: Option<Error> = None;
    let mut stopping: Option<Stopping> = None;
    loop {
        let living: Vec<usize> =
            (0..children.len()).filter(|&rank| ended[rank].is_none()).collect();
        if living.is_empty() {
            break;
        }
        let now = Instant::now();
        if failure.is_none()
            && let Err(error) = orders.check()
        {
            failure = Some(error);
        }
        if failure.is_some() {
            let stopping = stopping.get_or_insert_with(|| {
                control.header().abort(Abort::Launcher);
                control.barrier().abort();
                Stopping { since: now, sent: Sent::Nothing }
            });
            stopping.escalate(now, living.iter().map(|&rank| &children[rank]));
            if now - stopping.since > GIVE_UP_AFTER {
                return Err(stuck(&living, children, failure));
            }
        }
        let mut descriptors: Vec<BorrowedFd<'_>> =
            living.iter().map(|&rank| children[rank].pidfd.as_fd()).collect();
        if stopping.is_none() {
            descriptors.push(orders.bell.as_fd());
        }
        let timeout = match &stopping {
            Some(stopping) => stopping.next(now),
            None => orders.deadline.map(|(at, _)| at.saturating_duration_since(now)),
        };
        let ready = procs::poll(&descriptors, milliseconds(timeout))
            .map_err(|e| Error::refused(format!("cannot watch the ranks: {e}")))?;
        for (&rank, _) in living.iter().zip(&ready).filter(|(_, ready)| **ready) {
            let Some(end) = children[rank].reap() else { continue };
            ended[rank] = Some(end);
            if failure.is_none() && !finished(world, rank, end) {
                failure = Some(blame(world, rank, children[rank].pid, end));
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(ended.into_iter().map(|end| end.unwrap_or(Ended::Unknown)).collect()),
    }
}

/// Ranks that are being stopped.
struct Stopping {
    since: Instant,
    sent: Sent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Term,
    Kill,
}

impl Stopping {
    fn escalate<'a>(&mut self, now: Instant, living: impl Iterator<Item = &'a Child>) {
        let due = match now - self.since {
            passed if passed >= KILL_AFTER => Sent::Kill,
            passed if passed >= TERM_AFTER => Sent::Term,
            _ => Sent::Nothing,
        };
        if due != self.sent {
            let signal = if due == Sent::Kill { libc::SIGKILL } else { libc::SIGTERM };
            living.for_each(|child| child.signal(signal));
            self.sent = due;
        }
    }

    /// Returns how long to wait before something is due again.
    fn next(&self, now: Instant) -> Option<Duration> {
        let due = match self.sent {
            Sent::Nothing => TERM_AFTER,
            Sent::Term => KILL_AFTER,
            Sent::Kill => GIVE_UP_AFTER,
        };
        Some((self.since + due).saturating_duration_since(now) + Duration::from_millis(1))
    }
}

fn milliseconds(timeout: Option<Duration>) -> i32 {
    // Rounded up, so that a deadline has passed when the poll returns.
    timeout.map_or(-1, |left| i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX))
}

/// Says whether a rank ended because its work was done.
fn finished(world: &World, rank: usize, end: Ended) -> bool {
    let stage = world.segment.control().ranks()[rank].stage();
    // A kernel that calls exit(0) has not finished, whatever its status says.
    matches!(end, Ended::Exited(0) | Ended::Unknown) && stage == Stage::Done
}

/// Finds out why the run failed when `rank` ended as it did.
fn blame(world: &World, rank: usize, pid: i32, end: Ended) -> Error {
    let control = world.segment.control();
    let kernel = world.plan.kernel.name();
    // A rank that found a fault has written it down and stopped the others; any of them may have
    // ended first.
    let reported = control
        .ranks()
        .iter()
        .enumerate()
        .find_map(|(rank, slot)| slot.reported().map(|report| (rank, slot, report)));
    if let Some((rank, slot, (fault, index, text))) = reported {
        let pid = slot.pid.load(crate::shm::Acquire); // Pairs with Release in `worker::live`.
        let who = format!("rank {rank} (pid {pid})");
        let chunk = u32::try_from(rank)
            .ok()
            .and_then(|rank| control.claims().current(&world.plan.job.partition, rank))
            .map_or(String::new(), |chunk| format!(", chunk {}..{}", chunk.start, chunk.end));
        return match fault {
            Fault::Kernel => {
                let at = index.map_or(String::new(), |index| format!(" at index {index}"));
                Error::failed(format!("kernel `{kernel}` failed{at} on {who}: {text}"))
            }
            Fault::Panic => {
                Error::failed(format!("kernel `{kernel}` panicked on {who}{chunk}: {text}"))
            }
            Fault::Machine => Error::refused(
                Explained::new(format!("{who}: {text}"))
                    .hint("more room in /dev/shm or memory, --backing memfd, or a smaller problem"),
            ),
            Fault::None | Fault::Internal => Error::refused(format!("{who}: {text}")),
        };
    }
    let slot = &control.ranks()[rank];
    let stage = slot.stage();
    let cpu = slot.cpu.load(crate::shm::Relaxed); // For the message.
    let cpu = if cpu == crate::shm::NO_CPU { String::new() } else { format!(", cpu {cpu}") };
    let chunk = u32::try_from(rank)
        .ok()
        .and_then(|rank| control.claims().current(&world.plan.job.partition, rank))
        .map_or(String::new(), |chunk| format!(", chunk {}..{}", chunk.start, chunk.end));
    let how = match end {
        Ended::Killed(signal) => format!("was killed by {}", signals::name(signal)),
        Ended::Exited(status) => format!("exited with status {status}"),
        Ended::Unknown => "ended".to_owned(),
    };
    let what = format!("rank {rank} (pid {pid}{cpu}) {how} while {}{chunk}", stage.name());
    // A rank that was killed on its way is a lost rank; one that left by itself never was a rank.
    if stage == Stage::Starting && !matches!(end, Ended::Killed(_)) {
        Error::refused(Explained::new(what).hint(
            "a program that starts runs must call `spmd::init` or `spmd::main` first thing in its main",
        ))
    } else {
        Error::failed(Explained::new(what).hint("no output was written"))
    }
}

fn stuck(living: &[usize], children: &[Child], failure: Option<Error>) -> Error {
    let pids: Vec<String> = living.iter().map(|&rank| children[rank].pid.to_string()).collect();
    let why = failure.map_or(String::new(), |error| format!("; the run ended because: {error}"));
    Error::refused(format!("processes {} do not end, not even by SIGKILL{why}", pids.join(", ")))
}
