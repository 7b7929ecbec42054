//! Writes down what is finished while a run goes on: the record that outlives a power cut.
//!
//! A record says that all but some ranges is finished *and on disk*. So, in this order: what is left is
//! taken from the claim words; the file is synced, and with it everything that was finished by then; the
//! record is written, into a slot that no use is made of meanwhile; the file is synced again. A record
//! that is cut short by a crash fails its checksum, and the one before it holds.
//!
//! In a thread of its own: a sync may take as long as a disk likes, and the deaths of ranks are to be
//! seen at once. The thread is not waited for either; what it must not do later, it is kept from by the
//! number of the record it counts from.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::records::Records;
use crate::engine::orders::Orders;
use crate::error::Error;
use crate::host::map::Window;
use crate::left::{Left, coarsened};
use crate::schedule::{Chunk, Partition, merged};
use crate::shm::{Care, Words};

/// Between two records.
const EVERY: Duration = Duration::from_secs(1);
/// A record may take one part in so many of the time.
const SHARE: u32 = 20;
/// How long the last record of a run that ends early is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the orders meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// Returns the indices that words do not say are finished; `None` if they make no sense.
///
/// What was left out is not finished: a later run tries it again.
pub(super) fn remaining(
    words: Words<'_>,
    partition: &Partition,
    left: &Left,
    size: u64,
) -> Option<Vec<Chunk>> {
    let mut ranges = left.indices(&words.claims().remaining(partition)?);
    let omitted = words.exceptions().iter().filter(|(_, care)| *care == Care::Omit);
    ranges.extend(omitted.map(|(range, _)| range.start..range.end.min(size)));
    Some(coarsened(merged(ranges), super::bytes::RANGES))
}

/// One run's view of what it finishes.
pub(super) struct Watch {
    pub(super) file: File,
    pub(super) words: Window,
    pub(super) partition: Partition,
    pub(super) left: Left,
    pub(super) size: u64,
    /// The record that the claim words count from.
    pub(super) base: u64,
    pub(super) records: Arc<Mutex<Records>>,
}

impl Watch {
    /// Returns the indices that are left now.
    pub(super) fn remaining(&self) -> io::Result<Vec<Chunk>> {
        let (procs, queues) = (self.partition.procs(), self.partition.queues());
        Words::in_window(&self.words, procs, queues)
            .and_then(|words| remaining(words, &self.partition, &self.left, self.size))
            .ok_or_else(|| io::Error::other("the claim words name chunks that there are not"))
    }

    fn record(&self) -> io::Result<()> {
        let ranges = self.remaining()?;
        self.file.sync_data()?;
        let Ok(mut records) = self.records.lock() else { return Ok(()) };
        if records.next(self.base, ranges)? {
            drop(records);
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// The thread that writes records.
pub(crate) struct Keeper {
    watch: Arc<Watch>,
    /// Dropped, it ends the thread; sent to, it has it write one last record.
    last: Sender<()>,
    done: Receiver<io::Result<()>>,
}

impl Keeper {
    pub(super) fn start(watch: Watch) -> io::Result<Self> {
        let watch = Arc::new(watch);
        let (last, orders) = channel();
        let (finished, done) = channel();
        let watched = Arc::clone(&watch);
        thread::Builder::new().name("spmd-keep".to_owned()).spawn(move || {
            // Nobody may be there any more to be told.
            let _ = finished.send(keep(&watched, &orders));
        })?;
        Ok(Self { watch, last, done })
    }

    /// Returns the indices that are left now.
    pub(super) fn remaining(&self) -> io::Result<Vec<Chunk>> {
        self.watch.remaining()
    }

    /// Writes a last record, and returns why it or an earlier one could not be written.
    pub(super) fn finish(self, orders: &Orders) -> Result<(), Fault> {
        let _ = self.last.send(()); // A thread that has ended has sent why.
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.done.recv_timeout(LOOK) {
                Ok(result) => return result.map_err(Fault::Disk),
                Err(RecvTimeoutError::Timeout) => orders.hear().map_err(Fault::Orders)?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Err(Fault::Disk(io::ErrorKind::TimedOut.into()))
    }

    /// Returns why records are no longer written, if that is so.
    pub(super) fn fault(&self) -> Option<io::Error> {
        self.done.try_recv().ok().and_then(Result::err)
    }
}

/// Why the last record is not known to be on disk.
pub(super) enum Fault {
    Disk(io::Error),
    Orders(Error),
}

fn keep(watch: &Watch, orders: &Receiver<()>) -> io::Result<()> {
    let mut pause = EVERY;
    loop {
        let ended = orders.recv_timeout(pause);
        if ended == Err(RecvTimeoutError::Disconnected) {
            return Ok(());
        }
        let began = Instant::now();
        watch.record()?;
        if ended == Ok(()) {
            return Ok(());
        }
        pause = EVERY.max(began.elapsed() * (SHARE - 1));
    }
}
