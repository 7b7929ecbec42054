//! The checkpoint of a run: finished chunks outlive whatever ends it.
//!
//! ```text
//! bytes     the file, drawn; what of it is believed
//! identity  what has to be the same for a run to go on from it
//! records   what was left at some moments, on disk
//! keeper    writes such a record about every second
//! ```
//!
//! While the run goes on, results *and* claim words lie in this file, which every rank maps. So what kills
//! all processes at once loses nothing: the pages are the system's, and the claim words in them say to
//! the chunk what is finished ([`crate::shm`], `Claims::remaining`). That holds as long as the machine
//! runs, which the file knows by its boot id. When the machine itself stops, pages may have come to the
//! disk in any order; then only the latest *record* counts, which was written after a sync (`keeper`).
//!
//! ```text
//! create   a file without a name: head, record 1 (everything is left), synced, locked, named
//! resume   lock; head checked; what is left: from the claim words, or the latest record
//!          sync; record n (what is left); sync; live = 0; other records wiped; sync
//! begin    last run written, claim words cleared
//! arm      live = n: from now on the claim words count, from record n
//! keep     every second: what is left taken; sync; record; sync
//! remove   once the output is published
//! ```
//!
//! A kill at any line leaves either the old truth or the new one: `live` is one store, and claim words are
//! touched only while it is 0. One run at a time: the file is locked, through a description that the
//! ranks inherit, so the lock is free only when the last process that could write is gone.

mod bytes;
mod identity;
mod keeper;
mod records;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::bytes::{Head, LastRun, Unusable};
pub(super) use self::bytes::{RESULT, WORDS};
pub(super) use self::keeper::Keeper;
use self::keeper::{Fault, Watch};
use self::records::Records;
use super::orders::Orders;
use crate::data::{OutputSpec, Placed, StagedFile, grouped, kind, reason, shown_path};
use crate::error::{Error, Explained};
use crate::host::link;
use crate::host::map::{Access, Window};
use crate::left::Left;
use crate::plan::Plan;
use crate::schedule::{Chunk, Partition};
use crate::shm::Words;

/// Ranks whose launcher was killed may need a moment to follow it.
const LOCK_WITHIN: Duration = Duration::from_secs(2);
/// How often a file that comes or goes between two looks at it is looked for again.
const TRIES: usize = 16;

/// The checkpoint file of a run, locked by it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    placed: Placed,
    shown: String,
    size: u64,
    left: Left,
    records: Arc<Mutex<Records>>,
    standing: Standing,
}

/// What becomes of the file if nothing more is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// This run has made it, and has not begun: it goes.
    New,
    /// It stays. This run has made it, and it was empty then.
    Begun,
    /// It stays. An earlier run has made it.
    Found,
}

impl Checkpoint {
    /// Finds what an earlier run of this plan has left, or makes a new file. It is locked from then on.
    pub(crate) fn open(path: &Path, plan: &Plan) -> Result<Self, Error> {
        let shown = shown_path(path);
        for _ in 0..TRIES {
            let opened = match find(path, &shown)? {
                Found::Nothing => Self::create(path, &shown, plan)?,
                Found::Gone => None,
                Found::File(placed) => Some(Self::resume(placed, &shown, plan)?),
            };
            if let Some(checkpoint) = opened {
                checkpoint.check_output(plan)?;
                return Ok(checkpoint);
            }
        }
        Err(Error::refused(format!("checkpoint `{shown}` comes and goes: do other runs use it?")))
    }

    fn create(path: &Path, shown: &str, plan: &Plan) -> Result<Option<Self>, Error> {
        let cannot = |error: io::Error| unusable(shown, &error);
        let (size, bytes) = (plan.size(), RESULT + plan.result_bytes());
        let staged = StagedFile::create_as("checkpoint", path, Some(bytes))?;
        // With the file's first name it is locked: nobody else ever finds it free.
        lock(staged.file()).map_err(|error| error.map_or_else(|| in_use(shown, None), cannot))?;
        let everything = if size == 0 { Vec::new() } else { vec![0..size] };
        let file = staged.file().try_clone().map_err(cannot)?;
        let records = Records::first(file, everything).map_err(cannot)?;
        let identity = identity::of(plan).map_err(cannot)?;
        let head = Head { bytes, size, identity };
        bytes::write_head(staged.file(), &head).map_err(cannot)?;
        Ok(staged.publish_new()?.map(|placed| Self {
            placed,
            shown: shown.to_owned(),
            size,
            left: Left::Everything,
            records: Arc::new(Mutex::new(records)),
            standing: Standing::New,
        }))
    }

    fn resume(placed: Placed, shown: &str, plan: &Plan) -> Result<Self, Error> {
        let cannot = |error: io::Error| unusable(shown, &error);
        let file = &placed.file;
        let head = bytes::read_head(file).map_err(cannot)?.map_err(|what| not_one(shown, &what))?;
        identity::compare(shown, &head.identity, &identity::of(plan).map_err(cannot)?)?;
        let size = plan.size();
        if head.size != size || head.bytes != RESULT + plan.result_bytes() {
            return Err(not_one(shown, &Unusable::Damaged("its head contradicts itself")));
        }
        let live = bytes::read_live(file).map_err(cannot)?;
        let records = Records::read(file.try_clone().map_err(cannot)?, live, size);
        let none = || not_one(shown, &Unusable::Damaged("no record in it can be read"));
        let mut records = records.map_err(cannot)?.ok_or_else(none)?;
        let left = what_is_left(file, size, live, &records).map_err(cannot)?;
        let left = left.map_err(|what| not_one(shown, &what))?;
        records.rebase(left.clone()).map_err(cannot)?;
        Ok(Self {
            placed,
            shown: shown.to_owned(),
            size,
            left: as_left(left, size),
            records: Arc::new(Mutex::new(records)),
            standing: Standing::Found,
        })
    }

    /// Refuses an output that is this file: it would be replaced, and then removed.
    fn check_output(&self, plan: &Plan) -> Result<(), Error> {
        let path = match &plan.options.output {
            Some(
                OutputSpec::Npy(path)
                | OutputSpec::Bin(path)
                | OutputSpec::Csv(path)
                | OutputSpec::Txt(path)
                | OutputSpec::Png(path),
            ) => path,
            Some(OutputSpec::Stdout) | None => return Ok(()),
        };
        if fs::metadata(path).is_ok_and(|found| self.is_this(&found)) {
            let what = format!("checkpoint `{}` is the output, too", self.shown);
            return Err(Error::rejected(Explained::new(what).hint("name another file")));
        }
        Ok(())
    }

    fn is_this(&self, found: &fs::Metadata) -> bool {
        is_same(&self.placed.file, found)
    }

    /// Returns the file, which holds the results.
    pub(super) fn file(&self) -> &File {
        &self.placed.file
    }

    /// Returns what is left to be computed.
    pub(super) fn left(&self) -> &Left {
        &self.left
    }

    /// Returns how many indices were found finished.
    pub(super) fn resumed(&self) -> u64 {
        self.size - self.left.count(self.size)
    }

    /// Says what was found; `None` if this run has made the file.
    pub(super) fn found(&self) -> Option<String> {
        (self.standing == Standing::Found).then(|| {
            let share = share(self.resumed(), self.size);
            format!("resumed `{}`: {share} were finished", self.shown)
        })
    }

    /// Counts nothing as finished: memory, and so these results, may be damaged.
    pub(super) fn forget(&mut self) -> Result<(), Error> {
        let everything = if self.size == 0 { Vec::new() } else { vec![0..self.size] };
        let rebased = self.records().rebase(everything);
        self.left = Left::Everything;
        rebased.map_err(|error| unusable(&self.shown, &error))
    }

    /// Clears the claim words for a run over what is left, cut so, and returns them.
    pub(super) fn begin(&self, partition: &Partition) -> Result<Window, Error> {
        let cannot = |error: io::Error| unusable(&self.shown, &error);
        let run = LastRun { boot: boot(), pid: std::process::id(), partition: *partition };
        bytes::write_live(self.file(), 0).map_err(cannot)?;
        bytes::write_run(self.file(), &run).map_err(cannot)?;
        let window = words(self.file(), partition, Access::Write).map_err(cannot)?;
        self.file().write_all_at(&vec![0; window.len()], WORDS).map_err(cannot)?;
        Ok(window)
    }

    /// Lets the claim words count, and records be written, from now on.
    pub(super) fn arm(&mut self, partition: &Partition) -> Result<Keeper, Error> {
        let base = self.records().base();
        let watch = || -> io::Result<Watch> {
            bytes::write_live(self.file(), base)?;
            Ok(Watch {
                file: self.file().try_clone()?,
                words: words(self.file(), partition, Access::Read)?,
                partition: *partition,
                left: self.left.clone(),
                size: self.size,
                base,
                records: Arc::clone(&self.records),
            })
        };
        let keeper = watch().and_then(Keeper::start).map_err(|error| unusable(&self.shown, &error));
        if self.standing == Standing::New {
            self.standing = Standing::Begun;
        }
        keeper
    }

    fn records(&self) -> std::sync::MutexGuard<'_, Records> {
        // What a panic left behind is at worst a record that fails its checksum.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to the file of a run that ends before it is complete, and adds to why what can be done.
    pub(super) fn keep(mut self, keeper: Keeper, error: Error, orders: &Orders) -> Error {
        let Ok(left) = keeper.remaining() else { return error };
        let finished = self.size - left.iter().map(|range| range.end - range.start).sum::<u64>();
        if finished == 0 && self.standing == Standing::Begun {
            self.standing = Standing::New; // It holds nothing: not worth a file.
            return error;
        }
        let stored = match keeper.finish(orders) {
            Ok(()) => String::new(),
            Err(Fault::Orders(other)) => return other,
            Err(Fault::Disk(why)) => {
                format!(
                    " (it could not be synced: {}; it holds while this machine runs)",
                    reason(&why)
                )
            }
        };
        error.also(&format!("{}{stored}", self.holds(finished)))
    }

    /// Removes the file of a run whose last death may have damaged what is in it.
    pub(super) fn discard(self, error: Error) -> Error {
        self.remove();
        let shown = &self.shown;
        error.also(&format!(
            "the checkpoint `{shown}` was removed: memory may be damaged, and with it what was finished"
        ))
    }

    /// Adds to an error of a run that had computed everything where the results still are.
    pub(super) fn keep_complete(shown: &str, error: Error) -> Error {
        error.also(&format!("the checkpoint `{shown}` holds all results; the same command goes on"))
    }

    /// Returns what messages call it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    fn holds(&self, finished: u64) -> String {
        let share = share(finished, self.size);
        format!("the checkpoint `{}` holds {share}; the same command goes on", self.shown)
    }

    /// Says why records are no longer written, if that is so.
    pub(super) fn fault(&self, keeper: &Keeper) -> Option<String> {
        keeper.fault().map(|error| {
            format!(
                "checkpoint `{}` cannot be synced: {}; a power cut may cost more than a second",
                self.shown,
                reason(&error)
            )
        })
    }

    /// Removes the file: the run is complete, and its output is where it was to go.
    pub(super) fn remove(&self) {
        let path = in_dir(&self.placed);
        // Whatever has taken its name meanwhile is not ours.
        if fs::symlink_metadata(path).is_ok_and(|found| self.is_this(&found)) {
            // A file that stays is found complete, and costs the next run nothing.
            let _ = link::remove(self.placed.dir.as_fd(), &self.placed.name);
        }
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if self.standing == Standing::New {
            self.remove();
        }
    }
}

/// Returns what is left by what a file says, or why it cannot be believed.
fn what_is_left(
    file: &File,
    size: u64,
    live: u64,
    records: &Records,
) -> io::Result<Result<Vec<Chunk>, Unusable>> {
    let latest = || records.latest().to_vec();
    let run = bytes::read_run(file)?;
    let here = boot();
    // In another start of the machine claim words may be there, and the results before them not.
    let Some(run) = run.filter(|run| live > 0 && here.is_some() && run.boot == here) else {
        return Ok(Ok(latest()));
    };
    let damaged = |what| Ok(Err(Unusable::Damaged(what)));
    let Some(base) = records.at_base(live, size)? else {
        return damaged("the record that its claim words count from cannot be read");
    };
    let left = as_left(base, size);
    if run.partition.size() != left.count(size) {
        return damaged("its claim words count something else");
    }
    let window = words(file, &run.partition, Access::Read)?;
    let words = Words::in_window(&window, run.partition.procs(), run.partition.queues());
    match words.and_then(|words| keeper::remaining(words, &run.partition, &left, size)) {
        Some(left) => Ok(Ok(left)),
        None => damaged("its claim words name chunks that there are not"),
    }
}

fn as_left(ranges: Vec<Chunk>, size: u64) -> Left {
    if ranges.as_slice() == [0..size] { Left::Everything } else { Left::ranges(ranges) }
}

/// Maps the claim words of a run that was cut so.
fn words(file: &File, partition: &Partition, access: Access) -> io::Result<Window> {
    let bytes = Words::bytes(partition.procs(), partition.queues())
        .filter(|&bytes| bytes as u64 <= bytes::WORDS_BYTES)
        .ok_or_else(|| io::Error::other("the claim words are too many"))?;
    Window::new(file.as_fd(), usize::try_from(WORDS).map_err(io::Error::other)?, bytes, access)
}

/// What is found where a checkpoint is to be.
enum Found {
    Nothing,
    /// It was there, and was removed before it could be locked: its run is complete.
    Gone,
    File(Placed),
}

/// Opens and locks a file that is there.
fn find(path: &Path, shown: &str) -> Result<Found, Error> {
    let cannot = |error: &io::Error| {
        Error::rejected(format!("cannot use checkpoint `{shown}`: {}", reason(error)))
    };
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(found) => {
            let kind = kind(found.file_type());
            return Err(Error::rejected(format!(
                "checkpoint `{shown}` is {kind}, not a regular file"
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(cannot(&error)),
    }
    // Not blocking, should it have become a FIFO since.
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        Err(error) => return Err(cannot(&error)),
    };
    lock(&file).map_err(|error| match error {
        Some(error) => unusable(shown, &error),
        None => in_use(shown, bytes::read_run(&file).ok().flatten().map(|run| run.pid)),
    })?;
    let Ok(real) = fs::canonicalize(path) else { return Ok(Found::Gone) };
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
        return Ok(Found::Gone);
    };
    if !fs::symlink_metadata(&real).is_ok_and(|found| is_same(&file, &found)) {
        return Ok(Found::Gone);
    }
    let dir = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(parent);
    let dir = dir.map_err(|error| cannot(&error))?;
    let name = std::ffi::CString::new(name.as_bytes()).map_err(|error| cannot(&error.into()))?;
    Ok(Found::File(Placed { file, dir, name }))
}

fn is_same(file: &File, found: &fs::Metadata) -> bool {
    file.metadata().is_ok_and(|this| (this.dev(), this.ino()) == (found.dev(), found.ino()))
}

/// Returns a path to a placed file that holds wherever its directory was moved to.
fn in_dir(placed: &Placed) -> PathBuf {
    let dir = PathBuf::from(format!("/proc/self/fd/{}", placed.dir.as_raw_fd()));
    dir.join(std::ffi::OsStr::from_bytes(placed.name.as_bytes()))
}

/// Locks a file; `None` as an error: somebody else has it locked, and keeps it.
fn lock(file: &File) -> Result<(), Option<io::Error>> {
    let until = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(Some(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Err(None),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Returns which start of this machine this is.
fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

fn share(finished: u64, size: u64) -> String {
    let percent = (u128::from(finished) * 100).checked_div(u128::from(size)).unwrap_or(100);
    format!("{percent} % ({} of {} indices)", grouped(finished), grouped(size))
}

fn in_use(shown: &str, by: Option<u32>) -> Error {
    let who = by.map_or_else(|| "another run".to_owned(), |pid| format!("process {pid}"));
    Error::refused(
        Explained::new(format!("checkpoint `{shown}` is in use by {who}"))
            .hint("wait for it, or name another file"),
    )
}

fn not_one(shown: &str, what: &Unusable) -> Error {
    let hint = "delete it to begin anew, or name another file";
    Error::rejected(match what {
        Unusable::Foreign => Explained::new(format!("`{shown}` is not a checkpoint of spmd"))
            .hint("name a file that is not there yet: it is never overwritten"),
        Unusable::Version(found) => Explained::new(format!(
            "checkpoint `{shown}` is of version {found}; this spmd understands version 1"
        ))
        .hint(hint),
        Unusable::Damaged(what) => {
            Explained::new(format!("checkpoint `{shown}` is damaged: {what}")).hint(hint)
        }
    })
}

fn unusable(shown: &str, error: &io::Error) -> Error {
    Error::refused(format!("cannot use checkpoint `{shown}`: {}", reason(error)))
}
