//! Files that killed processes left: found by name, judged by their lock, removed.
//!
//! Whoever needs such a file holds a lock on it (`flock`), which the system drops with the last
//! descriptor and mapping, however their owners end. The lock decides, and no pid in a name: pids are
//! used again, and pid namespaces may share a directory. A file exists for a moment before it is locked;
//! so one that is brand-new is left alone, or watched until it is not.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Younger files are not judged: most likely their owner is just about to lock or remove them.
const AGE: Duration = Duration::from_millis(100);

/// What is done about files that are too young to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Young {
    /// They stay.
    Keep,
    /// They are looked at again once they must be old enough. What their dates say does not count
    /// then: a clock may have been set back.
    Watch,
}

/// What is done about files that nobody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// They are removed.
    Remove,
    /// They stay, and are named.
    Show,
}

/// A file that nobody needed any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// What was removed, or would have been; by name.
    pub(crate) found: Vec<Leftover>,
    /// What could be neither judged nor removed, and why.
    pub(crate) failed: Vec<(PathBuf, io::Error)>,
}

/// Removes from a directory this user's files that are named like `ours` and that nobody needs.
pub(crate) fn sweep(
    dir: &Path,
    ours: &dyn Fn(&OsStr) -> bool,
    young: Young,
    deed: Deed,
) -> io::Result<Swept> {
    // All names before the first deed: what was done is not lost to an error on the way.
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if ours(&entry.file_name()) {
            paths.push(entry.path());
        }
    }
    let mut swept = Swept::default();
    let mut watched = Vec::new();
    for path in paths {
        match judge(&path, Age::Counts) {
            Ok(Judgement::Young(id)) => watched.push((path, id)),
            judgement => swept.act(path, judgement, deed),
        }
    }
    if young == Young::Watch && !watched.is_empty() {
        thread::sleep(AGE);
        for (path, id) in watched {
            let judgement = judge(&path, Age::IsPast(id));
            swept.act(path, judgement, deed);
        }
    }
    swept.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(swept)
}

impl Swept {
    fn act(&mut self, path: PathBuf, judgement: io::Result<Judgement>, deed: Deed) {
        let result = match judgement {
            // The lock is held until the name is gone, so that its owner can tell.
            Ok(Judgement::Stale { locked, bytes }) => {
                let removed = match deed {
                    Deed::Remove => fs::remove_file(&path),
                    Deed::Show => Ok(()),
                };
                drop(locked);
                removed.map(|()| self.found.push(Leftover { path: path.clone(), bytes }))
            }
            Ok(Judgement::Needed | Judgement::Young(_)) => Ok(()),
            Err(error) => Err(error),
        };
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.failed.push((path, error));
            }
            _ => {} // Gone already is as good.
        }
    }
}

/// Which file a name stands for: device and inode.
type Id = (u64, u64);

fn id(stat: &Metadata) -> Id {
    (stat.dev(), stat.ino())
}

enum Age {
    /// A young file is not judged.
    Counts,
    /// This file is old enough: it was there before.
    IsPast(Id),
}

enum Judgement {
    /// Somebody needs it, or it is none of ours.
    Needed,
    Young(Id),
    /// Nobody needs it, and nobody can begin to while this lock is held.
    Stale {
        locked: File,
        bytes: u64,
    },
}

fn judge(path: &Path, age: Age) -> io::Result<Judgement> {
    // Looked at before it is opened: opening a FIFO or a device may do something to it.
    let stat = fs::symlink_metadata(path)?;
    if !stat.is_file() || stat.uid() != effective_uid() {
        return Ok(Judgement::Needed);
    }
    match age {
        Age::Counts => {
            let old = stat.modified()?.elapsed().is_ok_and(|age| age >= AGE);
            if !old {
                return Ok(Judgement::Young(id(&stat)));
            }
        }
        Age::IsPast(before) if before != id(&stat) => return Ok(Judgement::Needed),
        Age::IsPast(_) => {}
    }
    let file = open(path)?;
    let now = file.metadata()?;
    if id(&now) != id(&stat) {
        return Ok(Judgement::Needed);
    }
    match file.try_lock() {
        Ok(()) => Ok(Judgement::Stale { locked: file, bytes: now.len() }),
        Err(TryLockError::WouldBlock) => Ok(Judgement::Needed),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a file to lock it: to write if it may be written to, because NFS locks nothing else.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Neither a link nor a FIFO that took the name meanwhile is followed or waited for.
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    match options.clone().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.open(path),
        opened => opened,
    }
}

/// Returns the user this process acts as.
#[expect(unsafe_code, reason = "geteuid")]
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use super::*;

    /// A folder of files that are an hour old.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let pid = std::process::id();
            let path = std::env::temp_dir().join(format!("spmd-leftover-{pid}-{name}"));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn plant(&self, name: &str) -> File {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            let file = options.open(self.0.join(name)).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
            file
        }

        fn sweep(&self, young: Young, deed: Deed) -> Vec<String> {
            let ours = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("ours"));
            let swept = sweep(&self.0, &ours, young, deed).unwrap();
            assert!(swept.failed.is_empty(), "{swept:?}");
            assert!(swept.found.iter().all(|found| found.bytes == 10), "{swept:?}");
            let name =
                |found: &Leftover| found.path.file_name().unwrap().to_str().unwrap().to_owned();
            swept.found.iter().map(name).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn removes_files_that_are_ours_old_and_unlocked_and_nothing_else() {
        let folder = Folder::new("kinds");
        folder.plant("ours-1");
        folder.plant("ours-2");
        folder.plant("other");
        let held = folder.plant("ours-locked");
        held.lock().unwrap();
        symlink("other", folder.0.join("ours-link")).unwrap();
        fs::create_dir(folder.0.join("ours-folder")).unwrap();
        assert_eq!(folder.sweep(Young::Keep, Deed::Show), ["ours-1", "ours-2"]);
        assert_eq!(folder.sweep(Young::Keep, Deed::Remove), ["ours-1", "ours-2"]);
        assert!(folder.sweep(Young::Watch, Deed::Remove).is_empty());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 4);
        drop(held);
        assert_eq!(folder.sweep(Young::Keep, Deed::Remove), ["ours-locked"]);
    }

    #[test]
    fn keeps_young_files_unless_it_watches_them_grow_old() {
        let folder = Folder::new("young");
        // Of tomorrow, so that a slow machine does not make it old meanwhile.
        let young = folder.plant("ours");
        young.set_modified(SystemTime::now() + Duration::from_secs(86400)).unwrap();
        assert!(folder.sweep(Young::Keep, Deed::Remove).is_empty());
        young.lock().unwrap();
        assert!(folder.sweep(Young::Watch, Deed::Remove).is_empty());
        young.unlock().unwrap();
        assert_eq!(folder.sweep(Young::Watch, Deed::Remove), ["ours"]);
    }

    #[test]
    fn a_lock_lives_as_long_as_a_mapping_or_another_process_needs_it() {
        let folder = Folder::new("mapped");
        let file = folder.plant("ours");
        file.lock().unwrap();
        let map = memory(&file);
        drop(file);
        assert!(folder.sweep(Young::Keep, Deed::Remove).is_empty());
        drop(map);
        assert_eq!(folder.sweep(Young::Keep, Deed::Remove), ["ours"]);
    }

    fn memory(file: &File) -> crate::host::map::Window {
        use std::os::fd::AsFd;
        crate::host::map::Window::new(file.as_fd(), 0, 10, crate::host::map::Access::Read).unwrap()
    }
}
