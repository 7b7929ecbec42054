//! Many ranks are started by several threads, side by side.
//!
//! Whoever starts a process waits until that has its program, a tenth of a millisecond in which nothing else
//! is started: a hundred ranks in a row are up only after ten. So above [`EACH`] ranks each [`EACH`] of them
//! have a thread, as far as there are CPUs. Ranks that follow one another sit close together: a thread keeps
//! to the CPUs of its ranks, and they are born, with their stacks and page tables, in that node's memory.
//!
//! # Who dies with whom
//!
//! A rank dies with the *thread* that started it (`PR_SET_PDEATHSIG`). So these threads stay, asleep, until
//! they are dropped; whoever holds the ranks lets go of the ranks first. One that is started again, after a
//! death, is started by the thread that holds them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::error::Error;
use crate::host::affinity::{self, CpuSet};
use crate::host::signals::undisturbed;

/// Ranks that one thread starts; up to here no thread is worth its own start.
const EACH: usize = 16;
/// Threads at most: beyond, they wait for one another in the system.
const MOST: usize = 16;

/// Threads that have started ranks. Dropped after these.
#[derive(Debug, Default)]
pub(super) struct Spawners(Vec<Spawner>);

/// One thread, which ends when nobody holds the other end of what it waits for.
#[derive(Debug)]
struct Spawner {
    hold: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.hold = None;
        // It does nothing but wait for that, and so cannot have panicked while it did.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Returns how many threads start so many ranks.
pub(super) fn threads(ranks: usize, cpus: usize) -> usize {
    ranks.div_ceil(EACH).min(cpus).clamp(1, MOST)
}

impl Spawners {
    /// Lets `begin` start each of these ranks, by so many threads; returns what became of each that was
    /// tried. A thread stops at its first error.
    ///
    /// `near` names the CPUs of some of them, by their places in `ranks`, if they have any of their own.
    pub(super) fn start<T: Send + 'static>(
        ranks: &[u32],
        threads: usize,
        near: impl Fn(&[u32]) -> Option<CpuSet>,
        begin: impl Fn(u32) -> Result<T, Error> + Send + Sync + 'static,
    ) -> (Self, Begun<T>) {
        let begin = Arc::new(begin);
        let mut spawners = Self::default();
        let mut begun = Vec::with_capacity(ranks.len());
        let mut reports = Vec::with_capacity(threads);
        for part in parts(ranks.len(), threads) {
            let part = ranks[part].to_vec();
            let cpus = near(&part);
            match Spawner::start(part.clone(), cpus, Arc::clone(&begin)) {
                Ok((spawner, report)) => {
                    spawners.0.push(spawner);
                    reports.push(report);
                }
                // No room for a thread: then by this one.
                Err(error) => {
                    tracing::debug!("no thread to start ranks with: {error}");
                    begun.extend(in_turn(&part, &*begin));
                }
            }
        }
        for report in reports {
            begun.extend(report.into_iter().flatten());
        }
        begun.sort_by_key(|(rank, _)| *rank);
        (spawners, begun)
    }
}

/// What became of each rank that was tried.
type Begun<T> = Vec<(u32, Result<T, Error>)>;
/// That, of the ranks of one thread, told once.
type Report<T> = Receiver<Begun<T>>;

impl Spawner {
    fn start<T: Send + 'static>(
        ranks: Vec<u32>,
        cpus: Option<CpuSet>,
        begin: Arc<impl Fn(u32) -> Result<T, Error> + Send + Sync + 'static>,
    ) -> std::io::Result<(Self, Report<T>)> {
        let (hold, held) = mpsc::channel();
        let (tell, report) = mpsc::channel();
        let work = move || {
            // Where it is refused, ranks are born anywhere, and go where they belong by themselves.
            let _ = cpus.map(|cpus| affinity::confine(&cpus));
            let _ = tell.send(in_turn(&ranks, &*begin)); // Whoever asked is there: it waits for this.
            drop((begin, tell));
            let _ = held.recv();
        };
        // Signals are the launcher's: a thread begins with the mask of the one that starts it.
        let thread = undisturbed(|| thread::Builder::new().name("spawner".into()).spawn(work))?;
        Ok((Self { hold: Some(hold), thread: Some(thread) }, report))
    }
}

/// Starts one after another, up to the first error.
fn in_turn<T>(ranks: &[u32], begin: &impl Fn(u32) -> Result<T, Error>) -> Begun<T> {
    let mut begun = Vec::with_capacity(ranks.len());
    for &rank in ranks {
        let one = begin(rank);
        let failed = one.is_err();
        begun.push((rank, one));
        if failed {
            break;
        }
    }
    begun
}

/// Cuts so many things into consecutive parts that differ by one at most; none is empty.
fn parts(all: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = parts.min(all);
    (0..parts).map(move |part| all * part / parts..all * (part + 1) / parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
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
    fn every_rank_is_begun_once_and_told_in_order() {
        for count in [1, 2, 3, 7] {
            let seen = Arc::new(Mutex::new(HashSet::new()));
            let ranks: Vec<u32> = (0..50).filter(|rank| rank % 3 != 0).collect();
            let by = Arc::clone(&seen);
            let (spawners, begun) = Spawners::start(
                &ranks,
                count,
                |_| None,
                move |rank| {
                    by.lock().unwrap().insert(thread::current().id());
                    Ok(rank * 2)
                },
            );
            let told: Vec<(u32, u32)> =
                begun.into_iter().map(|(rank, one)| (rank, one.unwrap())).collect();
            assert_eq!(told, ranks.iter().map(|rank| (*rank, rank * 2)).collect::<Vec<_>>());
            assert_eq!((spawners.0.len(), seen.lock().unwrap().len()), (count, count));
        }
    }

    #[test]
    fn a_thread_stops_at_its_first_error_and_what_was_begun_is_told() {
        let ranks: Vec<u32> = (0..20).collect();
        let (_spawners, begun) = Spawners::start(
            &ranks,
            2,
            |_| None,
            |rank| if rank == 3 { Err(Error::refused("no more")) } else { Ok(()) },
        );
        let well: Vec<u32> =
            begun.iter().filter(|(_, one)| one.is_ok()).map(|(rank, _)| *rank).collect();
        assert_eq!(well, [0, 1, 2].into_iter().chain(10..20).collect::<Vec<_>>());
        assert_eq!(begun.len() - well.len(), 1);
    }
}
