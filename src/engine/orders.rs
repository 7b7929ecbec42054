//! What reaches a run from outside: its deadline, the order to stop, the signals of its launcher.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::names;
use crate::error::{Error, Explained};
use crate::host::procs;
use crate::host::signals::{Signals, die_by, stop_here};

/// Two signals within this time are one.
const ECHO: Duration = Duration::from_millis(20);

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
    /// When to give up, but for the time that was slept, and the limit that was given.
    limit: Option<(Instant, Duration)>,
    /// How long this process was stopped by Ctrl-Z since the limit was given.
    slept: Mutex<Duration>,
    /// And since when.
    cause: Mutex<Option<(Cause, Instant)>>,
    bell: PipeReader,
    ring: PipeWriter,
    /// Of a command-line program, whose one thread watches ranks and signals alike.
    signals: Option<Signals>,
    /// Ctrl-Z was typed, and not yet followed.
    suspend: AtomicBool,
}

impl Orders {
    pub(crate) fn new(limit: Option<Duration>) -> io::Result<Self> {
        let (bell, ring) = io::pipe()?;
        Ok(Self {
            limit: deadline(limit),
            slept: Mutex::default(),
            cause: Mutex::new(None),
            bell,
            ring,
            signals: None,
            suspend: AtomicBool::new(false),
        })
    }

    /// Sets another limit, which begins now: for what follows under the same orders.
    pub(crate) fn limit(&mut self, limit: Option<Duration>) {
        self.limit = deadline(limit);
        self.slept = Mutex::default();
    }

    /// Returns when to give up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (at, _) = self.limit?;
        at.checked_add(self.slept.lock().map_or(Duration::ZERO, |slept| *slept))
    }

    /// Lets signals be orders too: the first stops the run, the second ends this process at once.
    pub(crate) fn attend(&mut self, signals: Signals) {
        self.signals = Some(signals);
    }

    /// Takes in the signals that have come.
    pub(crate) fn hear(&self) -> Result<(), Error> {
        let deaf = |error: io::Error| Error::refused(format!("cannot receive signals: {error}"));
        let Some(signals) = &self.signals else { return Ok(()) };
        while procs::poll(&[signals.fd()], 0).map_err(deaf)?.contains(&true) {
            let signal = signals.next().map_err(deaf)?;
            if signal == libc::SIGTSTP {
                self.suspend.store(true, Ordering::Relaxed); // Read by this thread.
                continue;
            }
            // `timeout` and terminals send one to us and one to our group: that is not a second time.
            let again = self
                .cause
                .lock()
                .is_ok_and(|given| given.is_some_and(|(_, since)| since.elapsed() > ECHO));
            if again {
                die_by(signal); // The ranks die with this process.
            }
            self.stop(Cause::Signal(signal));
        }
        Ok(())
    }

    /// Stops this process, if Ctrl-Z was typed, until it is continued; `others` is called with the
    /// signal that goes to the ranks before and after. Says whether it has happened. No time limit runs
    /// meanwhile.
    pub(super) fn suspend(&self, mut others: impl FnMut(i32)) -> bool {
        let asked = self.suspend.swap(false, Ordering::Relaxed); // Stored by this thread.
        if asked {
            let begun = Instant::now();
            others(libc::SIGSTOP);
            stop_here();
            others(libc::SIGCONT);
            if let Ok(mut slept) = self.slept.lock() {
                *slept = slept.saturating_add(begun.elapsed());
            }
        }
        asked
    }

    /// Returns what becomes readable when there is something to hear, for a run that is not stopping.
    pub(super) fn descriptors(&self, stopping: bool) -> impl Iterator<Item = BorrowedFd<'_>> {
        let bell = (!stopping).then(|| self.bell.as_fd());
        bell.into_iter().chain(self.signals.as_ref().map(Signals::fd))
    }

    /// Orders the run to stop; the first cause stays.
    pub(crate) fn stop(&self, cause: Cause) {
        if let Ok(mut given) = self.cause.lock()
            && given.is_none()
        {
            *given = Some((cause, Instant::now()));
            // One byte into an empty pipe: neither blocks nor fails while the reader lives.
            let _ = (&self.ring).write_all(&[1]);
        }
    }

    /// Says whether, and why, the run is to stop now.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.hear()?;
        self.suspend(|_| {}); // Where there are ranks, `supervisor` has done it before.
        if let Some((cause, _)) = self.cause.lock().ok().and_then(|given| *given) {
            return Err(interrupted(cause));
        }
        match (self.deadline(), self.limit) {
            (Some(at), Some((_, limit))) if Instant::now() >= at => Err(out_of_time(limit)),
            _ => Ok(()),
        }
    }
}

/// Returns when a limit that begins now is reached, if that is a time at all.
fn deadline(limit: Option<Duration>) -> Option<(Instant, Duration)> {
    limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)))
}

fn interrupted(cause: Cause) -> Error {
    match cause {
        Cause::Cancelled => {
            Error::Interrupted { what: "the run was cancelled".into(), signal: libc::SIGINT }
        }
        Cause::Signal(signal) => Error::Interrupted {
            what: format!("stopped by {}: no output was written", names::signal(signal)).into(),
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
