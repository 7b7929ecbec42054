//! What was written, on disk soon after: a thread that syncs, so that trials need not wait for it.
//!
//! A sample is the system's as soon as it is written, so no kill takes it away; a power cut would, until a
//! sync. Writes that follow within [`GATHER`] of each other share one.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::data::reason;
use crate::error::{Error, Explained};

/// How long a write waits for others before it is synced: with what the disk takes, less than the 100 ms
/// that a power cut may cost.
const GATHER: Duration = Duration::from_millis(40);

/// Syncs files shortly after they were written to.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Of each file, whether it was written to since its last sync began.
    written: Vec<bool>,
    stage: Stage,
    /// What the disk said, once: what was written since may not be there.
    failed: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Everything is synced once more, and that is all.
    Closing,
}

impl Syncer {
    /// Begins to watch over files, which later have the number they have here.
    pub(super) fn start(files: Vec<(File, String)>) -> Result<Self, Error> {
        let written = vec![false; files.len()];
        let state = State { written, stage: Stage::Running, failed: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("spmd-sync".to_owned())
            .spawn(move || theirs.follow(&files))
            .map_err(|error| {
                Error::refused(format!("cannot start a thread: {}", reason(&error)))
            })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that a file was written to. Fails if an earlier write did not get to the disk.
    pub(super) fn written(&self, number: usize) -> Result<(), Error> {
        let mut state = self.shared.lock();
        if let Some(written) = state.written.get_mut(number)
            && !*written
        {
            *written = true;
            self.shared.changed.notify_one();
        }
        judged(&state)
    }

    /// Returns once everything is on disk.
    pub(super) fn close(mut self) -> Result<(), Error> {
        self.stop();
        judged(&self.shared.lock())
    }

    fn stop(&mut self) {
        self.shared.lock().stage = Stage::Closing;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It does not panic; and nothing would follow from it.
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, files: &[(File, String)]) {
        loop {
            let idle =
                |state: &mut State| state.stage == Stage::Running && !state.written.contains(&true);
            let state =
                self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            let running = |state: &mut State| state.stage == Stage::Running;
            let (mut state, _) = self
                .changed
                .wait_timeout_while(state, GATHER, running)
                .unwrap_or_else(PoisonError::into_inner);
            let stage = state.stage;
            let due: Vec<bool> = state.written.iter_mut().map(std::mem::take).collect();
            drop(state);
            for ((file, shown), _) in files.iter().zip(due).filter(|(_, due)| *due) {
                if let Err(error) = synced(file) {
                    self.lock().failed = Some(format!("`{shown}`: {}", reason(&error)));
                }
            }
            if stage == Stage::Closing {
                return;
            }
        }
    }
}

fn synced(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // What cannot be synced, such as a pipe in place of the file, is as safe as it can be.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}

fn judged(state: &State) -> Result<(), Error> {
    match &state.failed {
        None => Ok(()),
        Some(why) => Err(Error::refused(
            Explained::new(format!("the last samples may not be on disk: cannot sync {why}"))
                .hint("look after the disk; the same command continues with what is missing"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::testing::Folder;

    fn syncer(folder: &Folder) -> Syncer {
        let file = File::create(folder.path("a")).unwrap();
        Syncer::start(vec![(file, "a".to_owned())]).unwrap()
    }

    #[test]
    fn closes_whether_or_not_anything_was_written() {
        let folder = Folder::new();
        syncer(&folder).close().unwrap();
        let syncer = syncer(&folder);
        fs::write(folder.path("a"), "1").unwrap();
        syncer.written(0).unwrap();
        syncer.written(0).unwrap();
        syncer.close().unwrap();
    }

    #[test]
    fn nothing_is_left_to_sync_after_a_while_and_after_closing() {
        let folder = Folder::new();
        let syncer = syncer(&folder);
        syncer.written(0).unwrap();
        while syncer.shared.lock().written.contains(&true) {
            thread::yield_now();
        }
        syncer.written(0).unwrap();
        let shared = Arc::clone(&syncer.shared);
        syncer.close().unwrap();
        assert!(!shared.lock().written.contains(&true));
    }

    #[test]
    fn what_the_disk_did_not_take_ends_the_batch_at_the_next_write() {
        let folder = Folder::new();
        let syncer = syncer(&folder);
        syncer.shared.lock().failed = Some("`a`: input/output error".to_owned());
        let error = syncer.written(0).unwrap_err();
        assert_eq!(error.exit().code(), 125);
        assert!(error.to_string().ends_with("cannot sync `a`: input/output error"), "{error}");
        assert!(syncer.close().is_err());
    }
}
