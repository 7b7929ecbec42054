//! Removes the names that killed launchers left in `/dev/shm`.
//!
//! A launcher holds a lock on its segment's file from just after it is created until its name is gone,
//! microseconds later. A name whose file is not locked, and which is not brand-new, therefore belongs to
//! a launcher that was killed in between. A sweep may still take the name of a launcher that was stopped
//! right between creating and locking; that one then finds its name gone and takes another.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::host::leftover::{self, Deed, Swept, Young, effective_uid};

/// Where POSIX shared memory has its names on Linux.
const NAMES: &str = "/dev/shm";

/// Returns what every name of this user's begins with.
pub(super) fn prefix() -> String {
    format!("spmd-{}-", effective_uid())
}

/// Between two sweeps of one process: most of its runs may take less than a sweep.
const AGAIN: Duration = Duration::from_secs(1);

/// Removes stale names before a run; what cannot be looked at stays.
pub(super) fn sweep() {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    if let Ok(mut last) = LAST.lock() {
        if last.is_some_and(|last| last.elapsed() < AGAIN) {
            return;
        }
        *last = Some(Instant::now());
    }
    // Nobody waits for names that may be in use at this moment.
    for leftover in look(Young::Keep, Deed::Remove).unwrap_or_default().found {
        tracing::debug!("removed what a killed launcher left: {:?}", leftover.path);
    }
}

/// Removes stale names, or shows them; young ones are watched until they can be judged.
pub(crate) fn clean(deed: Deed) -> io::Result<Swept> {
    match look(Young::Watch, deed) {
        // A machine without such names has none that are stale.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Swept::default()),
        looked => looked,
    }
}

fn look(young: Young, deed: Deed) -> io::Result<Swept> {
    let prefix = prefix();
    let ours = |name: &OsStr| name.as_bytes().starts_with(prefix.as_bytes());
    leftover::sweep(Path::new(NAMES), &ours, young, deed)
}
