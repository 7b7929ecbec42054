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
use super::blame::{blame, finished, never_began};
use super::ranks::Ranks;
use super::signals;
use crate::error::{Error, Explained};
use crate::host::procs::{self, Child};
use crate::host::signals::{Signals, die_by};
use crate::shm::{Abort, RankSlot, Stage};

/// Between two looks at the progress, for whoever shows it.
const TICK: Duration = Duration::from_millis(100);
/// A rank that has not attached by then never will: its program does not know that it is one.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
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
    /// Of a command-line program, whose one thread watches ranks and signals alike.
    signals: Option<Signals>,
}

/// Shows how far a run has come, every so often: indices done, and indices there are.
pub(crate) type Tick<'a> = Option<&'a mut dyn FnMut(u64, u64)>;

impl Orders {
    pub(crate) fn new(limit: Option<Duration>) -> io::Result<Self> {
        let (bell, ring) = io::pipe()?;
        let deadline = limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        Ok(Self { deadline, cause: Mutex::new(None), bell, ring, signals: None })
    }

    /// Lets signals be orders too: the first stops the run, the second ends this process at once.
    pub(crate) fn attend(&mut self, signals: Signals) {
        self.signals = Some(signals);
    }

    /// Takes in the signals that have come.
    fn hear(&self) -> Result<(), Error> {
        let deaf = |error: io::Error| Error::refused(format!("cannot receive signals: {error}"));
        let Some(signals) = &self.signals else { return Ok(()) };
        while procs::poll(&[signals.fd()], 0).map_err(deaf)?.contains(&true) {
            let signal = signals.next().map_err(deaf)?;
            let again = self.cause.lock().is_ok_and(|given| given.is_some());
            if again {
                die_by(signal); // The ranks die with this process.
            }
            self.stop(Cause::Signal(signal));
        }
        Ok(())
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
        self.hear()?;
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

/// Waits until every rank has ended.
pub(super) fn watch(
    world: &World,
    ranks: &mut Ranks,
    orders: &Orders,
    mut tick: Tick<'_>,
) -> Result<(), Error> {
    let control = world.segment.control();
    let mut failure: Option<Error> = None;
    let mut stopping: Option<Stopping> = None;
    let mut begun_by = Some(Instant::now() + BEGIN_WITHIN);
    loop {
        let living: Vec<usize> =
            (0..ranks.children.len()).filter(|&rank| ranks.ended[rank].is_none()).collect();
        if living.is_empty() {
            return failure.map_or(Ok(()), Err);
        }
        let now = Instant::now();
        orders.hear()?;
        if failure.is_none() {
            failure = orders.check().err();
        }
        if let Some(tick) = &mut tick {
            let done = control.ranks().iter().map(RankSlot::done).sum();
            tick(done, world.plan.size().saturating_mul(world.plan.job.passes()));
        }
        if failure.is_none() && begun_by.is_some_and(|by| now >= by) {
            begun_by = None;
            let late: Vec<usize> = living
                .iter()
                .copied()
                .filter(|&rank| control.ranks()[rank].stage() == Stage::Starting)
                .collect();
            failure = (!late.is_empty()).then(|| never_began(&late));
        }
        if failure.is_some() {
            let stopping = stopping.get_or_insert_with(|| {
                control.header().abort(Abort::Launcher);
                control.barrier().abort();
                Stopping { since: now, sent: Sent::Nothing }
            });
            stopping.escalate(now, living.iter().map(|&rank| &ranks.children[rank]));
            if now - stopping.since > GIVE_UP_AFTER {
                return failure.map_or(Ok(()), |error| Err(stuck(&living, ranks, &error)));
            }
        }
        let mut descriptors: Vec<BorrowedFd<'_>> =
            living.iter().map(|&rank| ranks.children[rank].pidfd.as_fd()).collect();
        if stopping.is_none() {
            descriptors.push(orders.bell.as_fd());
        }
        descriptors.extend(orders.signals.as_ref().map(Signals::fd));
        let due = orders.deadline.map(|(at, _)| at).into_iter().chain(begun_by).min();
        let timeout = match &stopping {
            Some(stopping) => stopping.next(now),
            None => due.map(|at| at.saturating_duration_since(now)),
        };
        let timeout = timeout.into_iter().chain(tick.as_ref().map(|_| TICK)).min();
        let ready = procs::poll(&descriptors, milliseconds(timeout))
            .map_err(|e| Error::refused(format!("cannot watch the ranks: {e}")))?;
        for (&rank, _) in living.iter().zip(&ready).filter(|(_, ready)| **ready) {
            let Some(end) = ranks.children[rank].reap() else { continue };
            ranks.ended[rank] = Some(end);
            if failure.is_none() && !finished(world, rank, end) {
                failure = Some(blame(world, rank, ranks.children[rank].pid, end));
            }
        }
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

/// Adds to why the run ended that some of its processes did not.
fn stuck(living: &[usize], ranks: &Ranks, failure: &Error) -> Error {
    let pids: Vec<String> =
        living.iter().map(|&rank| ranks.children[rank].pid.to_string()).collect();
    let what = format!("{failure}; processes {} do not end, not even by SIGKILL", pids.join(", "));
    match failure {
        Error::TimedOut(_) => Error::TimedOut(what.into()),
        _ => Error::refused(what),
    }
}
