//! Goes through the trials of a batch: makes each, and writes down what came of it before the next begins.
//!
//! ```text
//! for every trial that is wanted, in the order of `turns`:
//!     hooks        setup of the batch and of the job, once a visit; before-each
//!     journal      "begins"
//!     trial        a run in a world of its own
//!     samples      one line: from now on this trial is done
//!     journal      how it ended
//!     hooks        after-each
//! teardown of all that was set up, also where the batch ends early
//! ```
//!
//! A death of this process at any point leaves at most one trial without its line, and that trial is made
//! again. What is wanted is a pure function of the lines: a visit goes on where the last one stopped.

mod around;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::expand::Point;
use super::file::{Batch, Limit, OnFail};
use super::hooks::Guards;
use super::key::{Inputs, Key};
use super::results::{Directory, Done, Event, Outcome, Sample, Trial};
use super::trial::{self, Ended, Ranks};
use super::turns::{Turns, Wanted};
use crate::engine::{Audience, Orders};
use crate::error::{Error, Explained};
use crate::options::RunOptions;
use crate::placement::{Survey, ThisMachine};
use crate::statistics;

/// A point, ready to be run.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) key: Key,
    /// Its name in all reports: `strong/procs=4,schedule=fac2`.
    pub(crate) id: String,
    /// The number of its job.
    pub(crate) job: usize,
    pub(crate) point: Point,
    pub(crate) options: RunOptions,
    /// The digest of its input file, if it has one.
    pub(crate) input: Option<String>,
    /// The values of its axes.
    pub(crate) axes: Map<String, Value>,
    /// The round its trials belong to: see `samples`.
    pub(crate) round: u32,
}

/// What is made again although it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Nothing,
    /// Trials that failed.
    Failed,
    /// Everything, in a round of its own.
    All,
}

/// What becomes of a trial whose passes were disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disturbed {
    /// It counts.
    Counts,
    /// It is made again at once, at most [`ATTEMPTS`] times; the last one counts, marked or not.
    MadeAgain,
}

/// So often a disturbed trial is made again: on a machine that is never calm there has to be an end.
const ATTEMPTS: u32 = 3;

/// Told how a batch goes while it goes on.
pub(crate) trait Watcher: Audience {
    /// So many trials are done, so many of them failed, of so many.
    fn counted(&mut self, tally: Tally);
    /// A trial begins.
    fn begins(&mut self, point: &Planned, repeat: u32);
    /// A trial has ended: its record, and what it failed by.
    fn ended(&mut self, point: &Planned, repeat: u32, record: &Value, failed: Option<&Error>);
}

/// Trials, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// In this visit.
    pub(crate) made: u64,
    /// Of those.
    pub(crate) failed: u64,
    /// In this and earlier visits; what failed and is to be made again is not.
    pub(crate) done: u64,
    /// That there may be, less those that settled points turned out not to need.
    pub(crate) total: u64,
}

/// What a visit made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) tally: Tally,
    /// Trials that there might have been, of points that are settled or have had their time.
    pub(crate) needless: u64,
    /// Points that have all their trials, or no time for more, and are not as sure as was asked for.
    pub(crate) unsettled: Vec<String>,
    /// Whether a hook after a trial has failed.
    pub(crate) hooks_failed: bool,
    /// Why it was over early, if it was.
    pub(crate) early: Option<Early>,
}

/// Why a visit was over before all its trials were made.
#[derive(Debug)]
pub(crate) enum Early {
    /// `on-fail` says so.
    Failures,
    /// A signal, a full disk, a hook.
    Error(Error),
}

/// What a batch is carried out with.
pub(crate) struct Means<'a> {
    pub(crate) directory: &'a mut Directory,
    pub(crate) orders: &'a mut Orders,
    pub(crate) ranks: Ranks,
    pub(crate) machine: &'a Survey<ThisMachine>,
    pub(crate) inputs: Inputs,
    pub(crate) watcher: &'a mut dyn Watcher,
    pub(crate) disturbed: Disturbed,
}

/// A batch on its way.
pub(crate) struct Campaign<'a> {
    batch: &'a Batch,
    points: &'a [Planned],
    again: Again,
    directory: &'a mut Directory,
    orders: &'a mut Orders,
    ranks: Ranks,
    machine: &'a Survey<ThisMachine>,
    inputs: Inputs,
    watcher: &'a mut dyn Watcher,
    disturbed: Disturbed,
    setup: Setup,
    guards: Guards,
    tally: Tally,
    /// The points that several jobs have.
    shared: HashSet<Key>,
    /// Seconds that trials of each point have taken in this visit, those that failed included.
    spent: Vec<f64>,
    /// The times of points that are to be as sure as `target-ci` says.
    sorted: RefCell<Vec<Vec<f64>>>,
    /// Whether a hook after a trial has failed.
    hooks_failed: bool,
}

/// What was set up in this visit.
#[derive(Debug)]
struct Setup {
    batch: bool,
    jobs: Vec<bool>,
}

impl<'a> Campaign<'a> {
    pub(crate) fn new(
        batch: &'a Batch,
        points: &'a [Planned],
        again: Again,
        means: Means<'a>,
    ) -> Self {
        let Means { directory, orders, ranks, machine, inputs, watcher, disturbed } = means;
        let setup = Setup { batch: false, jobs: vec![false; batch.jobs.len()] };
        let (tally, shared) = count(batch, points, |key| directory.done(key), again);
        let spent = vec![0.0; points.len()];
        Self {
            batch,
            points,
            again,
            directory,
            orders,
            ranks,
            machine,
            inputs,
            watcher,
            disturbed,
            setup,
            guards: Guards::default(),
            tally,
            shared,
            spent,
            sorted: RefCell::new(vec![Vec::new(); points.len()]),
            hooks_failed: false,
        }
    }

    /// Makes all trials that are wanted.
    pub(crate) fn run(mut self) -> Made {
        self.watcher.counted(self.tally);
        let possible = self.tally.total;
        let went = self.go();
        // The limit was the last trial's: what follows is not timed by it.
        self.orders.limit(None);
        let torn_down = self.tear_down();
        // A signal that came while the last thing was torn down was meant, too.
        let heard = if went.is_ok() { self.orders.check() } else { Ok(()) };
        let early = went.and(torn_down.and(heard).map_err(Early::Error)).err();
        let is_unsettled = |(at, point): (usize, &Planned)| {
            let job = &self.batch.jobs[point.job];
            let trials = self.directory.done(&point.key).trials_of(point.round).len();
            let over = trials as u64 >= u64::from(job.repeats) || self.is_late(at);
            (over && job.target_ci.is_some() && !self.is_settled(at)).then(|| point.id.clone())
        };
        let unsettled = self.points.iter().enumerate().filter_map(is_unsettled).collect();
        let needless = possible - self.tally.total;
        Made { tally: self.tally, needless, unsettled, hooks_failed: self.hooks_failed, early }
    }

    fn go(&mut self) -> Result<(), Early> {
        let jobs = &self.batch.jobs;
        let most = jobs.iter().map(|job| job.repeats).max().unwrap_or(0);
        let mut turns = Turns::new(self.batch.order, self.batch.seed, self.points.len(), most);
        let mut skipped = self.skipped();
        let mut failed: u64 = 0;
        loop {
            let mut needless = 0;
            let wanted = |at: usize, repeat: u32| {
                if skipped[self.points[at].job] {
                    return Wanted::NeverAgain; // And left.
                }
                let wanted = self.wanted(at, repeat);
                if wanted == Wanted::NeverAgain {
                    needless += self.needless(at, repeat);
                }
                wanted
            };
            let next = turns.next(wanted);
            if needless > 0 {
                self.tally.total -= needless;
                self.watcher.counted(self.tally);
            }
            let Some((at, repeat)) = next else { return Ok(()) };
            self.orders.limit(None);
            self.orders.check().map_err(Early::Error)?;
            let mut outcome = self.trial(at, repeat).map_err(Early::Error)?;
            for _ in 0..ATTEMPTS {
                if outcome.is_err() || !self.is_to_be_made_again(at, repeat) {
                    break;
                }
                self.orders.limit(None);
                self.orders.check().map_err(Early::Error)?;
                outcome = self.trial(at, repeat).map_err(Early::Error)?;
            }
            if outcome.is_ok() {
                continue;
            }
            failed += 1;
            let job = self.points[at].job;
            match jobs[job].on_fail {
                OnFail::Continue => {}
                OnFail::SkipJob => {
                    skipped[job] = true;
                    let why = "a trial failed";
                    self.note(&Event::Skipped { job: Some(&jobs[job].name), why })?;
                }
                OnFail::Stop => return self.stop(),
                OnFail::StopAfter(limit) if reached(limit, failed, self.tally.total) => {
                    return self.stop();
                }
                OnFail::StopAfter(_) => {}
            }
        }
    }

    /// Returns which jobs are left out from the beginning: a trial of theirs failed in an earlier visit.
    fn skipped(&self) -> Vec<bool> {
        let mut skipped = vec![false; self.batch.jobs.len()];
        for point in self.points {
            let job = &self.batch.jobs[point.job];
            let trials = self.directory.done(&point.key).trials_of(point.round);
            let failed = |trial: &Trial| {
                trial.repeat < job.repeats && !matches!(trial.outcome, Outcome::Ok(_))
            };
            skipped[point.job] |= job.on_fail == OnFail::SkipJob
                && self.again == Again::Nothing
                && trials.iter().any(failed);
        }
        skipped
    }

    fn stop(&mut self) -> Result<(), Early> {
        self.note(&Event::Skipped { job: None, why: "trials failed" })?;
        Err(Early::Failures)
    }

    fn note(&mut self, event: &Event<'_>) -> Result<(), Early> {
        self.directory.note(event).map_err(Early::Error)
    }

    /// Says whether a trial is to be made, by what its point has come to.
    fn wanted(&self, at: usize, repeat: u32) -> Wanted {
        let point = &self.points[at];
        let job = &self.batch.jobs[point.job];
        if repeat >= job.repeats {
            return Wanted::NeverAgain;
        }
        let done = self.directory.done(&point.key);
        if done.trial(point.round, repeat).is_some_and(|trial| stands(trial, self.again)) {
            return Wanted::No;
        }
        if self.is_late(at) || self.is_settled(at) {
            return Wanted::NeverAgain;
        }
        Wanted::Yes
    }

    /// Says whether a trial that was just made is made again: its line stays, and no longer counts.
    fn is_to_be_made_again(&self, at: usize, repeat: u32) -> bool {
        let point = &self.points[at];
        let done = self.directory.done(&point.key);
        let figures = done.trial(point.round, repeat).and_then(Trial::figures);
        self.disturbed == Disturbed::MadeAgain
            && !self.is_late(at)
            && figures.is_some_and(|figures| figures.disturbed)
    }

    /// Returns how many trials of a point will not be made, if none is from this one on.
    fn needless(&self, at: usize, repeat: u32) -> u64 {
        let point = &self.points[at];
        if self.shared.contains(&point.key) {
            return 0; // Maybe by the other job.
        }
        let all = self.batch.jobs[point.job].repeats;
        let trials = self.directory.done(&point.key).trials_of(point.round).iter();
        let there = trials
            .filter(|trial| (repeat..all).contains(&trial.repeat) && stands(trial, self.again))
            .count();
        u64::from(all.saturating_sub(repeat)).saturating_sub(there as u64)
    }

    /// Says whether the trials of a point have taken all the time that they may.
    fn is_late(&self, at: usize) -> bool {
        let limit = self.batch.jobs[self.points[at].job].max_time;
        limit.is_some_and(|limit| self.spent(at) >= limit.0.as_secs_f64())
    }

    /// Says whether a point needs no more trials, by the times of those it has.
    fn is_settled(&self, at: usize) -> bool {
        let point = &self.points[at];
        let done = self.directory.done(&point.key);
        let Some(target) = self.batch.jobs[point.job].target_ci else { return false };
        if point.round != done.round() {
            return false;
        }
        let mut sorted = self.sorted.borrow_mut();
        let times = &mut sorted[at];
        let count = done.figures().count();
        if count != times.len() {
            *times = done.figures().map(|figures| figures.time).collect();
            times.sort_by(f64::total_cmp);
        }
        match (statistics::interval(times), statistics::quantile(times, 0.5)) {
            (Some([low, high]), Some(median)) => (high - low) / 2.0 <= target * median,
            _ => false,
        }
    }

    /// Returns the seconds that trials of a point have taken, in this visit and before it. What failed before
    /// it and is to be made again has its time anew, or it never could be.
    fn spent(&self, at: usize) -> f64 {
        let point = &self.points[at];
        let done = self.directory.done(&point.key);
        let standing = done.trials_of(point.round).iter().filter(|trial| stands(trial, self.again));
        let before = standing.map(|trial| trial.seconds).sum();
        f64::max(before, self.spent[at])
    }

    /// Makes one trial. Inside, what it failed by; outside, what ends the batch.
    fn trial(&mut self, at: usize, repeat: u32) -> Result<Result<(), Error>, Error> {
        let point = &self.points[at];
        let job = &self.batch.jobs[point.job];
        let key = point.key.to_string();
        self.set_up(point.job)?;
        let done = self.directory.done(&point.key);
        let attempt = done.next_attempt(point.round, repeat);
        // In place of one that stands: the batch is no nearer to its end.
        let replaces =
            done.trial(point.round, repeat).is_some_and(|trial| stands(trial, self.again));
        self.directory.note(&Event::Start { key: &key, id: &point.id, repeat, attempt })?;
        self.watcher.begins(point, repeat);
        let start = SystemTime::now();
        let ended = match self.hooks_of_trial("before-each", at, repeat) {
            Ok(()) => self.check_input(at).and_then(|()| {
                trial::run(&point.options, self.machine, &mut self.ranks, self.orders, self.watcher)
            }),
            Err(error @ Error::Failed(_)) => {
                Ok(Ended::without(&point.options, self.machine, error))
            }
            Err(error) => Err(error),
        };
        let Ended { mut record, took, mut outcome } = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // What was begun before it is ended after it; why it is given up stays the reason.
                let _ = self.hooks_of_trial("after-each", at, repeat);
                let _ = self.directory.note(&Event::Abandoned { key: &key, repeat, attempt });
                return Err(error);
            }
        };
        if outcome.is_ok()
            && let Some(expect) = &job.expect
            && let Err(why) = expect.check(&record)
        {
            let error = Error::Wrong(why.into());
            trial::unexpected(&mut record, &error);
            outcome = Err(error);
        }
        let nothing = Map::new();
        self.directory.sample(&Sample {
            batch: &self.batch.name,
            job: &job.name,
            key: &point.key,
            id: &point.id,
            repeat,
            attempt,
            round: point.round,
            start,
            options: &point.axes,
            record: record.as_object().unwrap_or(&nothing),
        })?;
        let status = record["status"].as_str().unwrap_or("failed");
        self.directory.note(&Event::Done { key: &key, repeat, attempt, status })?;
        self.spent[at] += took;
        if let Some(time) = record["time"]["pass_s"]["median"].as_f64().filter(|_| outcome.is_ok())
        {
            let times = &mut self.sorted.get_mut()[at];
            times.insert(times.partition_point(|other| *other < time), time);
        }
        self.tally.made += 1;
        self.tally.done += u64::from(!replaces);
        self.tally.failed += u64::from(outcome.is_err());
        self.watcher.ended(point, repeat, &record, outcome.as_ref().err());
        self.watcher.counted(self.tally);
        let after = self.hooks_of_trial("after-each", at, repeat);
        self.guards.trial_is_over();
        match after {
            // The trial was made all the same, but what comes next may not find what it should.
            Err(error @ Error::Failed(_)) => {
                self.watcher.warn(&error.to_string());
                self.hooks_failed = true;
                Ok(outcome.and(Err(error)))
            }
            Err(error) => Err(error),
            Ok(()) => Ok(outcome),
        }
    }

    /// Checks that a point's input is still what its key says; a hook may have made it anew. One that
    /// cannot be read any more is for the trial to tell.
    fn check_input(&mut self, at: usize) -> Result<(), Error> {
        let Planned { id, input, options, .. } = &self.points[at];
        if input.is_none() {
            return Ok(());
        }
        match self.inputs.digest(options.input.as_ref()) {
            Ok(found) if found != *input => Err(Error::refused(
                Explained::new(format!("the input of `{id}` has changed since the batch began"))
                    .hint("what it is now is another point; a hook must not change it"),
            )),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn reached(limit: Limit, failed: u64, total: u64) -> bool {
    match limit {
        Limit::Trials(most) => failed >= u64::from(most),
        Limit::Percent(most) => failed as f64 >= most / 100.0 * total as f64,
    }
}

/// Says whether a trial that was made needs not be made again.
fn stands(trial: &Trial, again: Again) -> bool {
    again == Again::Nothing || matches!(trial.outcome, Outcome::Ok(_))
}

/// Counts what was done and what there may be; a point that several jobs have is one, and returned.
pub(crate) fn count<'d>(
    batch: &Batch,
    points: &[Planned],
    done: impl Fn(&Key) -> &'d Done,
    again: Again,
) -> (Tally, HashSet<Key>) {
    let mut repeats: HashMap<Key, (u32, u32)> = HashMap::new();
    let mut shared = HashSet::new();
    for point in points {
        let most = batch.jobs[point.job].repeats;
        if let Some((before, _)) = repeats.get(&point.key).copied() {
            shared.insert(point.key);
            repeats.insert(point.key, (before.max(most), point.round));
        } else {
            repeats.insert(point.key, (most, point.round));
        }
    }
    let mut tally = Tally::default();
    for (key, (repeats, round)) in repeats {
        let standing = done(&key).trials_of(round).iter();
        tally.total += u64::from(repeats);
        tally.done +=
            standing.filter(|trial| trial.repeat < repeats && stands(trial, again)).count() as u64;
    }
    (tally, shared)
}
