//! Removes the names that killed launchers left in `/dev/shm`.
//!
//! A launcher holds a lock on its segment's file from just after it is created until its name is gone,
//! microseconds later. A name whose file is not locked, and which is not brand-new, therefore belongs to
//! a launcher that was killed in between. The lock decides, not the pid: pids are used again, and pid
//! namespaces may share a `/dev/shm`. A sweep may still take the name of a launcher that was stopped
//! right between creating and locking; that one then finds its name gone and takes another.

use std::fs::{self, DirEntry, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::Duration;

/// Where POSIX shared memory has its names on Linux.
const NAMES: &str = "/dev/shm";
/// Younger names are left alone: most likely their launcher is just about to remove them.
const AGE: Duration = Duration::from_millis(100);

/// Removes stale names that begin with `prefix` and belong to `uid`; what cannot be looked at stays.
pub(super) fn sweep(prefix: &str, uid: u32) {
    for entry in fs::read_dir(NAMES).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        if ours && is_stale(&entry, uid) {
            tracing::debug!("removing what a killed launcher left: {:?}", entry.path());
            let _ = fs::remove_file(entry.path()); // Gone already is as good.
        }
    }
}

fn is_stale(entry: &DirEntry, uid: u32) -> bool {
    // No link is followed, and nothing that is no file is waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(entry.path()) else {
        return false;
    };
    let Ok(stat) = file.metadata() else { return false };
    let old = stat.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= AGE));
    stat.is_file() && stat.uid() == uid && old && file.try_lock().is_ok()
}
