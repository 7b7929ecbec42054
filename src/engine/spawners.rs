//! Many ranks are started by several threads, side by side.
//!
//! Whoever starts a process waits until that has its program, a tenth of a millisecond in which nothing else
//! is started: a hundred ranks in a row are up only after ten. So above [`EACH`] ranks each [`EACH`] of them
//! have a thread, as far as there are CPUs. Where ranks are pinned, a thread keeps to the CPUs of its own: if
//! they are of one node, as those of ranks that follow one another mostly are, ranks are born with their
//! stacks and page tables in that node's memory.
//!
//! # Who dies with whom
//!
//! A rank dies with the *thread* that started it (`PR_SET_PDEATHSIG`). So each of these threads stays, asleep,
//! until the last process that it has started is let go of: see [`Spawner`]. A rank that is started again,
//! after a death, is started by the thread that holds the ranks.
//!
//! # When something fails
//!
//! All are started, or none: the first error stops every thread, and what was begun is ended. These threads
//! count where processes do (`ulimit -u`, `pids.max`). So what several threads could not do is done once more,
//! by the calling one alone.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::error::Error;
use crate::host::affinity::{self, CpuSet};
use crate::host::signals::undisturbed;

/// Ranks that one thread starts; up to here no thread is worth its own start.
const EACH: usize = 16;
/// Threads at most: beyond, they wait for one another in the system.
const MOST: usize = 16;

/// A thread that has started ranks. Each of them holds it, and it ends when nobody does.
#[derive(Debug)]
pub(super) struct Spawner {
    hold: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.hold = None;
        // A panic of it has been told by then: it was missing among what was begun.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A rank that was begun, and the thread that it lives with; none if that is the caller's.
pub(super) type Begun<T> = (u32, T, Option<Arc<Spawner>>);

/// What is done with each rank.
pub(super) struct Birthplace<B, E> {
    /// Starts one.
    pub(super) begin: B,
    /// Ends one that was started.
    pub(super) end: E,
    /// CPUs that there are.
    pub(super) cpus: usize,
}

impl<B, E> Birthplace<B, E> {
    /// Starts all of these ranks, or none. `near` names the CPUs of some of them, if each has its own.
    pub(super) fn start<T>(
        self,
        ranks: &[u32],
        near: impl Fn(&[u32]) -> Option<CpuSet>,
    ) -> Result<Vec<Begun<T>>, Error>
    where
        T: Send + 'static,
        B: Fn(u32) -> Result<T, Error> + Send + Sync + 'static,
        E: Fn(&T),
    {
        let Self { begin, end, cpus } = self;
        let begin = Arc::new(begin);
        let threads = threads(ranks.len(), cpus);
        if threads > 1 {
            match whole(side_by_side(ranks, threads, &near, &begin), ranks.len(), &end) {
                Ok(begun) => return Ok(begun),
                Err(error) => tracing::debug!("ranks are started by one thread: {error}"),
            }
        }
        let stop = AtomicBool::new(false);
        let alone = in_turn(ranks, &*begin, &stop);
        whole(alone.map(|(rank, one)| (rank, one, None)).collect(), ranks.len(), &end)
    }
}

/// Returns how many threads start so many ranks.
fn threads(ranks: usize, cpus: usize) -> usize {
    ranks.div_ceil(EACH).min(cpus).clamp(1, MOST)
}

/// What became of each rank that was tried.
type Tried<T> = Vec<(u32, Result<T, Error>, Option<Arc<Spawner>>)>;

/// Returns all ranks, in order; or the first error, when those that were begun are ended.
fn whole<T>(tried: Tried<T>, all: usize, end: &impl Fn(&T)) -> Result<Vec<Begun<T>>, Error> {
    let mut begun = Vec::with_capacity(tried.len());
    let mut first = None;
    for (rank, one, spawner) in tried {
        match one {
            Ok(one) => begun.push((rank, one, spawner)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    if first.is_none() && begun.len() < all {
        first = Some(Error::refused("a thread that starts ranks has failed: a bug in spmd"));
    }
    match first {
        None => {
            begun.sort_by_key(|(rank, ..)| *rank);
            Ok(begun)
        }
        Some(error) => {
            begun.iter().for_each(|(_, one, _)| end(one));
            Err(error)
        }
    }
}

/// Starts ranks by so many threads.
fn side_by_side<T: Send + 'static>(
    ranks: &[u32],
    threads: usize,
    near: &impl Fn(&[u32]) -> Option<CpuSet>,
    begin: &Arc<impl Fn(u32) -> Result<T, Error> + Send + Sync + 'static>,
) -> Tried<T> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut started = Vec::with_capacity(threads);
    let mut tried = Vec::with_capacity(ranks.len());
    for part in parts(ranks.len(), threads) {
        let part = &ranks[part];
        match Spawner::start(part.to_vec(), near(part), Arc::clone(begin), Arc::clone(&stop)) {
            Ok(one) => started.push(one),
            // No room for a thread: then by this one.
            Err(error) => {
                tracing::debug!("no thread to start ranks with: {error}");
                let alone = in_turn(part, &**begin, &stop);
                tried.extend(alone.map(|(rank, one)| (rank, one, None)));
            }
        }
    }
    for (spawner, report) in started {
        let spawner = Arc::new(spawner);
        let each = report.into_iter().flatten();
        tried.extend(each.map(|(rank, one)| (rank, one, Some(Arc::clone(&spawner)))));
    }
    tried
}

/// What became of the ranks of one thread, told once.
type Report<T> = Receiver<Vec<(u32, Result<T, Error>)>>;

impl Spawner {
    fn start<T: Send + 'static>(
        ranks: Vec<u32>,
        cpus: Option<CpuSet>,
        begin: Arc<impl Fn(u32) -> Result<T, Error> + Send + Sync + 'static>,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<(Self, Report<T>)> {
        let (hold, held) = mpsc::channel();
        let (tell, report) = mpsc::channel();
        let work = move || {
            // Where it is refused, ranks are born anywhere, and go where they belong by themselves.
            let _ = cpus.map(|cpus| affinity::confine(&cpus));
            // Whoever asked is there: it waits for this.
            let _ = tell.send(in_turn(&ranks, &*begin, &stop).collect());
            drop((begin, tell));
            let _ = held.recv();
        };
        // Signals are the launcher's: a thread begins with the mask of the one that starts it.
        let named = thread::Builder::new().name("spmd-spawn".to_owned());
        let thread = undisturbed(|| named.spawn(work))?;
        Ok((Self { hold: Some(hold), thread: Some(thread) }, report))
    }
}

/// Starts one after another, up to an error of this thread or of another one.
fn in_turn<T>(
    ranks: &[u32],
    begin: &impl Fn(u32) -> Result<T, Error>,
    stop: &AtomicBool,
) -> impl Iterator<Item = (u32, Result<T, Error>)> {
    // Relaxed: what it spares is spared a moment later, too.
    let going = ranks.iter().take_while(|_| !stop.load(Relaxed));
    going.map(|&rank| {
        let one = begin(rank);
        stop.fetch_or(one.is_err(), Relaxed);
        (rank, one)
    })
}

/// Cuts so many things into consecutive parts that differ by one at most; none is empty.
fn parts(all: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = parts.min(all);
    (0..parts).map(move |part| all * part / parts..all * (part + 1) / parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashSet};
    use std::sync::Mutex;

    #[test]
    fn few_ranks_are_started_in_turn_and_many_by_no_more_threads_than_cpus() {
        for (ranks, cpus, wanted) in [
            (1, 8, 1),
            (16, 8, 1),
            (17, 8, 2),
            (64, 2, 2),
            (64, 128, 4),
            (4096, 128, MOST),
            (64, 0, 1),
        ] {
            assert_eq!(threads(ranks, cpus), wanted, "{ranks} on {cpus}");
        }
    }

    #[test]
    fn every_rank_is_begun_once_and_told_in_order_with_who_has_begun_it() {
        for (count, cpus, threads) in [(50_u32, 3, 3), (12, 8, 0), (20, 2, 2)] {
            let seen = Arc::new(Mutex::new(HashSet::new()));
            let ranks: Vec<u32> = (0..count).map(|rank| rank * 3).collect();
            let by = Arc::clone(&seen);
            let begin = move |rank| {
                by.lock().unwrap().insert(thread::current().id());
                Ok(rank * 2)
            };
            let begun = Birthplace { begin, end: |_: &u32| unreachable!(), cpus }
                .start(&ranks, |_| None)
                .unwrap();
            let told: Vec<(u32, u32)> = begun.iter().map(|(rank, one, _)| (*rank, *one)).collect();
            assert_eq!(told, ranks.iter().map(|rank| (*rank, rank * 2)).collect::<Vec<_>>());
            let spawners: HashSet<_> =
                begun.iter().filter_map(|(.., by)| by.as_ref().map(Arc::as_ptr)).collect();
            assert_eq!((spawners.len(), seen.lock().unwrap().len()), (threads, threads.max(1)));
        }
    }

    /// Starts 40 ranks of which those fail that `fails` says, by the thread that tries; returns who was tried
    /// by the calling thread, who was ended, and what came of it.
    fn failing(
        fails: impl Fn(u32, bool) -> bool + Send + Sync + 'static,
    ) -> (Vec<u32>, BTreeSet<u32>, Result<usize, Error>) {
        let here = thread::current().id();
        let (alone, begun) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let ended = Mutex::new(BTreeSet::new());
        let (told, kept) = (Arc::clone(&alone), Arc::clone(&begun));
        let begin = move |rank| {
            let mine = thread::current().id() == here;
            if mine {
                told.lock().unwrap().push(rank);
            }
            if fails(rank, mine) {
                return Err(Error::refused("no more"));
            }
            kept.lock().unwrap().push(rank);
            Ok(rank)
        };
        let end = |rank: &u32| {
            ended.lock().unwrap().insert(*rank);
        };
        let ranks: Vec<u32> = (0..40).collect();
        let done = Birthplace { begin, end, cpus: 4 }.start(&ranks, |_| None);
        let done = done.map(|begun| begun.len());
        let alone = alone.lock().unwrap().clone();
        let all: BTreeSet<u32> = begun.lock().unwrap().iter().copied().collect();
        let ended = ended.into_inner().unwrap();
        assert!(ended.is_subset(&all), "nobody is ended who was not begun");
        (alone, ended, done)
    }

    #[test]
    fn what_threads_cannot_do_is_done_by_the_caller_after_what_they_have_begun_is_ended() {
        let (alone, ended, done) = failing(|rank, caller| rank == 39 && !caller);
        assert_eq!((alone, done.unwrap()), ((0..40).collect(), 40));
        assert!(ended.contains(&26), "the first of the part that failed: {ended:?}");
    }

    #[test]
    fn after_an_error_nobody_is_left() {
        let (alone, ended, done) = failing(|rank, _| rank == 3);
        assert_eq!(alone, [0, 1, 2, 3], "no further");
        assert!([0, 1, 2].iter().all(|rank| ended.contains(rank)), "{ended:?}");
        assert_eq!(done.unwrap_err().to_string(), "no more");
    }

    #[test]
    fn a_thread_that_panics_is_an_error_and_no_missing_rank() {
        let end = |_: &u32| {};
        let tried = vec![(0, Ok(0_u32), None), (2, Ok(2), None)];
        let error = whole(tried, 3, &end).unwrap_err();
        assert!(error.to_string().contains("a bug in spmd"), "{error}");
    }

    #[test]
    fn a_thread_keeps_to_the_cpus_of_its_ranks() {
        let allowed = affinity::allowed().unwrap();
        let Some(one) = allowed.iter().last() else { return };
        let begin = |_| Ok(affinity::allowed().unwrap());
        let ranks: Vec<u32> = (0..20).collect();
        let begun = Birthplace { begin, end: |_: &CpuSet| {}, cpus: 2 }
            .start(&ranks, |some| some.contains(&0).then(|| [one].into_iter().collect()))
            .unwrap();
        let near: CpuSet = [one].into_iter().collect();
        assert!(begun.iter().all(
            |(rank, seen, _)| *seen == if *rank < 10 { near.clone() } else { allowed.clone() }
        ));
    }
}
