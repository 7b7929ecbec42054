//! Looks at the ranks a few times a second: who is stopped, who hangs, who is in one chunk for too long.
//!
//! Costs the ranks nothing: it reads what they write anyway. Times are the launcher's own, from when it
//! first saw something, so they are too short by at most one look.

use std::fs;
use std::time::{Duration, Instant};

use super::names;
use super::ranks::Ranks;
use super::world::World;
use crate::arrays::BLOCK_BYTES;
use crate::host::procs::Change;
use crate::schedule::Chunk;
use crate::shm::Stage;

/// Between two looks, where nothing asks for more.
const LOOK: Duration = Duration::from_millis(250);
/// Without progress for this long, a rank is reported: with the looks before and after, within a second.
const SILENT: Duration = Duration::from_millis(500);
/// And for so many times what a block should take.
const SLOW: f64 = 20.0;
/// A look that comes later than it should by this was not made because this process was stopped.
const ASLEEP: Duration = Duration::from_secs(1);

/// What the looks so far have seen.
#[derive(Debug)]
pub(super) struct Pulse {
    seen: Vec<Seen>,
    last: Instant,
    every: Duration,
    limit: Option<Duration>,
    silent: Duration,
}

/// What was seen of one rank.
#[derive(Clone, Debug)]
struct Seen {
    /// The chunk it is in, since when, and how much it had done then.
    chunk: Option<(Chunk, Instant, u64)>,
    /// What it had done when that last changed, and when it did.
    done: (u64, Instant),
    stopped: bool,
    /// It was reported as silent, and has done nothing since.
    reported: bool,
}

/// What a look has found.
#[derive(Debug)]
pub(super) enum Finding {
    /// The user should know.
    Warn(String),
    /// This rank is in one chunk for longer than it may be.
    Overtime(u32),
}

impl Pulse {
    pub(super) fn new(world: &World) -> Self {
        let now = Instant::now();
        let limit = world.plan.options.chunk_timeout.map(|span| span.0);
        let least = Duration::from_millis(1);
        let every = limit.map_or(LOOK, |limit| (limit / 8).clamp(least, LOOK));
        let block = BLOCK_BYTES / world.plan.job.dtype.size();
        let expected = world.plan.cost.ns * block as f64 * SLOW;
        let expected = Duration::try_from_secs_f64(expected / 1e9).unwrap_or(Duration::MAX);
        let unseen = Seen { chunk: None, done: (0, now), stopped: false, reported: false };
        let seen = vec![unseen; world.plan.procs() as usize];
        Self { seen, last: now, every, limit, silent: SILENT.max(expected) }
    }

    /// Returns when the next look is due.
    pub(super) fn due(&self) -> Instant {
        self.last + self.every
    }

    /// Forgets a rank: another process takes its place.
    pub(super) fn forget(&mut self, rank: u32) {
        let done = (self.seen[rank as usize].done.0, Instant::now());
        self.seen[rank as usize] = Seen { chunk: None, done, stopped: false, reported: false };
    }

    /// Looks at every living rank, if it is time to.
    pub(super) fn look(&mut self, world: &World, ranks: &Ranks<'_>) -> Vec<Finding> {
        let now = Instant::now();
        if now < self.due() {
            return Vec::new();
        }
        // While this process was stopped, so perhaps were the ranks: that time does not count.
        let away = (now - self.last).saturating_sub(self.every);
        let away = if away > ASLEEP { away } else { Duration::ZERO };
        self.last = now;
        let mut found = Vec::new();
        for (rank, child) in ranks.living() {
            self.seen[rank as usize].shift(away, now);
            if let Some(change) = child.change() {
                found.extend(self.changed(world, rank, child.pid, change));
            }
            found.extend(self.progress(world, rank, child.pid, now));
        }
        found
    }

    /// Takes in that a rank was stopped, or goes on.
    fn changed(&mut self, world: &World, rank: u32, pid: i32, change: Change) -> Option<Finding> {
        let seen = &mut self.seen[rank as usize];
        let was = std::mem::replace(&mut seen.stopped, matches!(change, Change::Stopped(_)));
        match change {
            Change::Stopped(signal) => {
                let place = place(world, rank);
                let signal = names::signal(signal);
                Some(Finding::Warn(format!(
                    "rank {rank} (pid {pid}) was stopped by {signal} while {place}; it is waited for \
                     (kill -CONT {pid} lets it go on)"
                )))
            }
            Change::Continued if was => {
                Some(Finding::Warn(format!("rank {rank} (pid {pid}) goes on")))
            }
            Change::Continued => None,
        }
    }

    fn progress(&mut self, world: &World, rank: u32, pid: i32, now: Instant) -> Option<Finding> {
        let control = world.segment.control();
        let seen = &mut self.seen[rank as usize];
        let done = control.ranks()[rank as usize].done();
        if seen.done.0 != done {
            seen.done = (done, now);
            seen.reported = false;
        }
        let chunk = world.chunk_of(rank);
        let same = match (&chunk, &seen.chunk) {
            // In another pass it is the same chunk, and all of it was done since.
            (Some(now_in), Some((was_in, _, before))) => {
                now_in == was_in && done.saturating_sub(*before) < now_in.end - now_in.start
            }
            _ => false,
        };
        if !same {
            seen.chunk = chunk.map(|chunk| (chunk, now, done));
        }
        let (chunk, since, _) = seen.chunk.as_ref()?;
        if self.limit.is_some_and(|limit| now - *since >= limit) {
            return Some(Finding::Overtime(rank));
        }
        let silent = now - seen.done.1.max(*since);
        if silent < self.silent || seen.reported || seen.stopped {
            return None;
        }
        seen.reported = true;
        let chunk = names::chunk(world, chunk);
        let state = state(pid).unwrap_or("unknown");
        Some(Finding::Warn(format!(
            "rank {rank} (pid {pid}, {state}) has made no progress in {chunk} for {:.1} s",
            silent.as_secs_f64()
        )))
    }

    /// Returns what every rank is doing, a line each: for whoever asks why it takes so long.
    pub(super) fn table(&self, world: &World, ranks: &Ranks<'_>) -> Vec<String> {
        const SHOWN: usize = 32;
        let now = Instant::now();
        let mut lines = Vec::new();
        let slots = world.segment.control().ranks();
        let more = ranks.living().count().saturating_sub(SHOWN);
        for (rank, child) in ranks.living().take(SHOWN) {
            let seen = &self.seen[rank as usize];
            let since = seen.chunk.as_ref().map(|(_, since, _)| *since);
            let since = now - since.unwrap_or(seen.done.1).max(seen.done.1);
            lines.push(format!(
                "rank {rank}  pid {}  {}  {}  {} done  no progress for {:.1} s",
                child.pid,
                state(child.pid).unwrap_or("gone"),
                place(world, rank),
                slots[rank as usize].done(),
                since.as_secs_f64(),
            ));
        }
        if more > 0 {
            lines.push(format!("rank …  and {more} more"));
        }
        lines
    }
}

impl Seen {
    /// Lets time that did not count pass.
    fn shift(&mut self, away: Duration, now: Instant) {
        if away > Duration::ZERO {
            self.done.1 = (self.done.1 + away).min(now);
            if let Some((_, since, _)) = &mut self.chunk {
                *since = (*since + away).min(now);
            }
        }
    }
}

/// Says what a rank is doing, to follow "while".
fn place(world: &World, rank: u32) -> String {
    let control = world.segment.control();
    let chunk = world.chunk_of(rank);
    let stage = control.ranks()[rank as usize].stage();
    match chunk {
        Some(chunk) if stage == Stage::Pass => {
            format!("computing {}", names::chunk(world, &chunk))
        }
        _ => stage.name().to_owned(),
    }
}

/// Returns the state of a process, as `ps` names it.
fn state(pid: i32) -> Option<&'static str> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, parentheses too.
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    Some(match state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "waiting in the kernel",
        'T' | 't' => "stopped",
        'Z' | 'X' => "ended",
        _ => "idle",
    })
}
