//! Watches the ranks until all have ended: recovers what the dead had in hand, and ends the others
//! when they must.
//!
//! One poll over every rank's pidfd, its line where it is of a crew, and the orders from outside: whichever
//! rank ends first is seen first, in well under a millisecond. The supervisor takes no lock that a rank takes and waits at no
//! barrier, so no death of a rank can stop it.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::audience::Audience;
use super::deaths::{Death, How, Ledger, Verdict, finished, never_began};
use super::history::{History, Memory};
use super::orders::Orders;
use super::pulse::{Finding, Pulse};
use super::ranks::{Follow, Ranks};
use super::world::World;
use crate::error::{Error, Explained};
use crate::host::limits::OomKills;
use crate::host::procs;
use crate::schedule::Chunk;
use crate::shm::{Abort, Care, Lock, RankSlot, Stage};

/// Between two looks at the progress, for whoever shows it.
const TICK: Duration = Duration::from_millis(100);
/// A rank that has not attached by then never will: its program does not know that it is one.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// A dead rank that had arrived is started again once the others have left that barrier.
const AWAIT: Duration = Duration::from_millis(2);
/// After an abort, ranks stop by themselves between two blocks; this is for those that cannot.
const TERM_AFTER: Duration = Duration::from_millis(250);
/// And this for those that will not.
const KILL_AFTER: Duration = Duration::from_secs(2);
/// A killed process that is still there is stuck in the kernel.
const GIVE_UP_AFTER: Duration = Duration::from_secs(7);

/// How watching the ranks of one world has ended.
pub(super) enum Ended {
    /// Every rank has done its work.
    Complete,
    /// Memory may be damaged: everything is to be begun again, with this range run as it says.
    Restart(Option<(Chunk, Care)>),
}

/// Watches the ranks of one world.
pub(super) struct Supervisor<'a, 'w> {
    pub(super) world: &'w World,
    pub(super) ranks: Ranks<'w>,
    pub(super) orders: &'a Orders,
    pub(super) ledger: &'a mut Ledger,
    pub(super) history: &'a mut History,
    pub(super) audience: &'a mut dyn Audience,
    pub(super) pulse: Pulse,
    /// Of this control group, since the first look.
    pub(super) oom: Option<OomKills>,
    /// Ranks that were killed for being too long in one chunk.
    pub(super) overtime: Vec<u32>,
}

/// Why the ranks are being ended.
enum Failure {
    Error(Error),
    Restart(Option<(Chunk, Care)>),
}

impl Supervisor<'_, '_> {
    /// Waits until every rank has ended.
    pub(super) fn watch(&mut self) -> Result<Ended, Error> {
        let mut failure: Option<Failure> = None;
        let mut stopping: Option<Stopping> = None;
        loop {
            let now = Instant::now();
            self.orders.hear()?;
            if self.orders.suspend(|signal| self.ranks.living().for_each(|(_, c)| c.signal(signal)))
            {
                let what =
                    "the run was paused (Ctrl-Z): its times are not what they would have been";
                self.history.warnings.push(what.to_owned());
                continue; // It may be much later now.
            }
            if failure.is_none() {
                failure = self.troubled().err().map(Failure::Error);
            }
            if self.ranks.living().next().is_none()
                && (failure.is_some() || self.ranks.awaiting().is_empty())
            {
                return match failure {
                    None => Ok(Ended::Complete),
                    Some(Failure::Restart(care)) => Ok(Ended::Restart(care)),
                    Some(Failure::Error(error)) => Err(error),
                };
            }
            if let Some(failure) = &failure {
                let stopping = stopping.get_or_insert_with(|| self.abort(now, failure));
                if let Some(signal) = stopping.escalate(now) {
                    self.ranks.condemn_all(signal);
                }
                if now - stopping.since > GIVE_UP_AFTER {
                    return Err(self.stuck(failure));
                }
            }
            for rank in self.wait(now, stopping.as_ref())? {
                let Some(end) = self.ranks.end_of(rank) else { continue };
                let done = finished(self.world, rank, end);
                if failure.is_some() || done {
                    self.ranks.ended(rank, Follow::Nobody);
                    continue;
                }
                // It may have crashed by itself in the moment before.
                let ours =
                    end == procs::Ended::Killed(libc::SIGKILL) && self.overtime.contains(&rank);
                let how = if ours {
                    let limit = self.world.plan.options.chunk_timeout;
                    How::Overtime(limit.map_or(Duration::ZERO, |limit| limit.0))
                } else {
                    How::Ended(end)
                };
                self.overtime.retain(|&other| other != rank);
                failure = self.died(rank, how).err();
            }
        }
    }

    /// Sees to everything that is due by time; an error ends the run.
    fn troubled(&mut self) -> Result<(), Error> {
        if let Err(error) = self.orders.check() {
            return Err(match error {
                Error::TimedOut(_) => self.out_of_time(&error),
                other => other,
            });
        }
        if self.audience.wants_progress() {
            let plan = &self.world.plan;
            let total = plan.size().saturating_mul(plan.job.passes());
            let ranks = self.world.segment.control().ranks();
            let done: u64 = ranks.iter().map(RankSlot::done).sum();
            let done = done.saturating_add(self.world.resumed());
            self.audience.progress(done.min(total), total);
        }
        let late = self.late();
        if !late.is_empty() {
            return Err(never_began(&late));
        }
        if Instant::now() >= self.pulse.due() {
            self.oom.get_or_insert_with(OomKills::now);
        }
        for finding in self.pulse.look(self.world, &self.ranks) {
            match finding {
                Finding::Warn(text) => self.warn(text),
                // Killed first, and given away when the death is confirmed: nobody can tell a rank
                // that is slow from one that will never come back.
                Finding::Overtime(rank) => {
                    if !self.overtime.contains(&rank) {
                        self.ranks.condemn(rank, libc::SIGKILL);
                        self.overtime.push(rank);
                    }
                }
            }
        }
        for rank in self.ranks.awaiting() {
            self.seat_again(rank)?;
        }
        Ok(())
    }

    /// Returns the ranks that should have attached by now.
    fn late(&self) -> Vec<u32> {
        let slots = self.world.segment.control().ranks();
        let starting = |rank: u32| slots[rank as usize].stage() == Stage::Starting;
        self.ranks
            .living()
            .map(|(rank, _)| rank)
            .filter(|&rank| {
                let began = self.ranks.began(rank);
                began.is_some_and(|began| began.elapsed() > BEGIN_WITHIN) && starting(rank)
            })
            .collect()
    }

    /// Waits for whatever comes first; returns the ranks that have ended.
    fn wait(&self, now: Instant, stopping: Option<&Stopping>) -> Result<Vec<u32>, Error> {
        let mut numbers = Vec::new();
        let mut descriptors: Vec<BorrowedFd<'_>> = Vec::new();
        for (rank, descriptor) in self.ranks.descriptors() {
            numbers.push(rank);
            descriptors.push(descriptor);
        }
        descriptors.extend(self.orders.descriptors(stopping.is_some()));
        let timeout = match stopping {
            Some(stopping) => stopping.next(now),
            None => self.patience(now),
        };
        let ready = procs::poll(&descriptors, milliseconds(timeout))
            .map_err(|e| Error::refused(format!("cannot watch the ranks: {e}")))?;
        let mut heard: Vec<u32> =
            numbers.into_iter().zip(ready).filter(|(_, ready)| *ready).map(|(n, _)| n).collect();
        heard.dedup(); // Those of one rank follow each other.
        Ok(heard)
    }

    /// Returns how long nothing is due.
    fn patience(&self, now: Instant) -> Duration {
        let until = |at: Instant| at.saturating_duration_since(now);
        let deadline = self.orders.deadline().map(until);
        let tick = self.audience.wants_progress().then_some(TICK);
        let awaiting = (!self.ranks.awaiting().is_empty()).then_some(AWAIT);
        let pulse = until(self.pulse.due());
        [deadline, tick, awaiting].into_iter().flatten().fold(pulse, Duration::min)
    }

    /// Sees to the death of a rank, which is confirmed.
    fn died(&mut self, rank: u32, how: How) -> Result<(), Failure> {
        let pid = self.ranks.child(rank).pid;
        let control = self.world.segment.control();
        Lock::break_if_held_by(control.header(), pid);
        self.ranks.ended(rank, Follow::Replacement);
        let oom = self.oom.as_mut().and_then(OomKills::more);
        let death = Death::of(self.world, rank, pid, how, oom);
        let verdict = self.ledger.judge(self.world, &death);
        match verdict {
            Verdict::Fail(error) => {
                if death.may_have_damaged() {
                    self.history.memory = Memory::Suspect;
                }
                Err(Failure::Error(error))
            }
            Verdict::Restart { care, told } => {
                // An input that shrank under its mapping is told as that, and no restart helps it.
                super::collect::input_unchanged(self.world).map_err(Failure::Error)?;
                self.warn(told);
                self.history.recovered += 1;
                self.history.restarts += 1;
                Err(Failure::Restart(care))
            }
            Verdict::Recover { care, told } => {
                if let Some((range, care)) = care {
                    // Before the chunk is given away, so that whoever takes it knows.
                    if !control.exceptions().add(&range, care) {
                        let what = format!("{told}; too many indices have failed to go on");
                        return Err(Failure::Error(Error::failed(what)));
                    }
                    if care == Care::Omit {
                        self.history.miss(range);
                    }
                }
                control.claims().give_up(&self.world.plan.job.partition, rank);
                self.history.recovered += 1;
                self.warn(told);
                self.pulse.forget(rank);
                self.seat_again(rank).map_err(Failure::Error)
            }
        }
    }

    /// Starts a dead rank again, as soon as its former process cannot be taken to have arrived.
    fn seat_again(&mut self, rank: u32) -> Result<(), Error> {
        let control = self.world.segment.control();
        let barrier = control.barrier();
        let procs = self.world.plan.procs();
        // It may have died on its way from completing its group to opening the barrier, or to waking the others.
        barrier.stand_in(procs, |_| false);
        if self.world.is_over() {
            self.ranks.ended(rank, Follow::Nobody); // All the work was done without it.
        } else if barrier.is_missing(rank, procs) {
            self.ranks.replace(rank)?;
            self.pulse.forget(rank);
        }
        Ok(())
    }

    fn warn(&mut self, text: String) {
        self.audience.warn(&text);
        self.history.warnings.push(text);
    }

    /// Makes all ranks stop: by themselves where there is time, at once where nothing is wanted of them.
    fn abort(&self, now: Instant, failure: &Failure) -> Stopping {
        let control = self.world.segment.control();
        control.header().abort(Abort::Launcher);
        control.barrier().abort();
        let since = match failure {
            Failure::Error(_) => now,
            Failure::Restart(_) => now.checked_sub(KILL_AFTER).unwrap_or(now),
        };
        Stopping { since, sent: Sent::Nothing }
    }

    /// Adds to a time limit that was reached what every rank was doing.
    fn out_of_time(&self, error: &Error) -> Error {
        Error::TimedOut(
            Explained::new(error.to_string())
                .details(self.pulse.table(self.world, &self.ranks))
                .hint(error.hint().unwrap_or("a longer --timeout")),
        )
    }

    /// Adds to why the run ended that some of its processes did not.
    fn stuck(&self, failure: &Failure) -> Error {
        let pids: Vec<String> =
            self.ranks.living().map(|(_, child)| child.pid.to_string()).collect();
        let why = match failure {
            Failure::Error(error) => error.to_string(),
            Failure::Restart(_) => "the run was to begin again".to_owned(),
        };
        let what = format!("{why}; processes {} do not end, not even by SIGKILL", pids.join(", "));
        match failure {
            Failure::Error(Error::TimedOut(_)) => Error::TimedOut(what.into()),
            _ => Error::refused(what),
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
    /// Returns the signal that is due, once.
    fn escalate(&mut self, now: Instant) -> Option<i32> {
        let due = match now - self.since {
            passed if passed >= KILL_AFTER => Sent::Kill,
            passed if passed >= TERM_AFTER => Sent::Term,
            _ => Sent::Nothing,
        };
        if due == self.sent {
            return None;
        }
        self.sent = due;
        match due {
            Sent::Nothing => None,
            Sent::Term => Some(libc::SIGTERM),
            Sent::Kill => Some(libc::SIGKILL),
        }
    }

    /// Returns how long to wait before something is due again.
    fn next(&self, now: Instant) -> Duration {
        let due = match self.sent {
            Sent::Nothing => TERM_AFTER,
            Sent::Term => KILL_AFTER,
            Sent::Kill => GIVE_UP_AFTER,
        };
        (self.since + due).saturating_duration_since(now) + Duration::from_millis(1)
    }
}

fn milliseconds(timeout: Duration) -> i32 {
    // Rounded up, so that a deadline has passed when the poll returns.
    i32::try_from(timeout.as_millis() + 1).unwrap_or(i32::MAX)
}
