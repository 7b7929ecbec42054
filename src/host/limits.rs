//! What this machine, and the control group we are in, will let us use.

use std::fs;
use std::path::Path;

/// Returns the CPU quota in CPUs, over all ancestors; `None` if there is none.
pub(crate) fn cpu_quota() -> Option<f64> {
    strictest("cpu", read_cpu_max, read_cfs_quota)
}

/// Returns the bytes that our control group may have, over all ancestors; `None` if there is no limit.
pub(crate) fn memory_limit() -> Option<u64> {
    let read = |group: &Path, file: &str| -> Option<f64> {
        // "max" is no number; version 1 writes no limit as one that no machine has.
        let bytes: f64 = fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()?;
        (bytes < f64::from(u32::MAX) * f64::from(1 << 24)).then_some(bytes)
    };
    strictest(
        "memory",
        |group| read(group, "memory.max"),
        |group| read(group, "memory.limit_in_bytes"),
    )
    .map(|bytes| bytes as u64)
}

/// The least that a controller allows us, as version 2 and version 1 of control groups say it.
fn strictest(
    controller: &str,
    version2: impl Fn(&Path) -> Option<f64>,
    version1: impl Fn(&Path) -> Option<f64>,
) -> Option<f64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            if controllers.is_empty() {
                least(path, "/sys/fs/cgroup", &version2)
            } else if controllers.split(',').any(|name| name == controller) {
                least(path, &format!("/sys/fs/cgroup/{controller}"), &version1)
            } else {
                None
            }
        })
        .min_by(f64::total_cmp)
}

/// The least of what `read` finds in the group `path` below `root` and in all its ancestors.
fn least(path: &str, root: &str, read: impl Fn(&Path) -> Option<f64>) -> Option<f64> {
    let below = Path::new(path.trim_start_matches('/'));
    below.ancestors().filter_map(|group| read(&Path::new(root).join(group))).min_by(f64::total_cmp)
}

/// Version 2: `cpu.max` holds "max 100000" or "200000 100000".
fn read_cpu_max(group: &Path) -> Option<f64> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    ratio(quota, period)
}

/// Version 1: a quota of -1 is none.
fn read_cfs_quota(group: &Path) -> Option<f64> {
    let quota = fs::read_to_string(group.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(group.join("cpu.cfs_period_us")).ok()?;
    ratio(quota.trim(), period.trim())
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Watches how often the kernel killed for want of memory in our control group.
#[derive(Debug)]
pub(crate) struct OomKills {
    /// Where they are counted, and how many there were.
    counted: Option<(std::path::PathBuf, u64)>,
}

impl OomKills {
    /// Begins to watch.
    pub(crate) fn now() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let counted = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            let (root, file) = if controllers.is_empty() {
                ("/sys/fs/cgroup", "memory.events")
            } else if controllers.split(',').any(|name| name == "memory") {
                ("/sys/fs/cgroup/memory", "memory.oom_control") // Version 1.
            } else {
                return None;
            };
            let file = Path::new(root).join(path).join(file);
            Some((oom_kills(&file)?, file))
        });
        Self { counted: counted.map(|(count, file)| (file, count)) }
    }

    /// Says so, if there were more since the last call.
    pub(crate) fn more(&mut self) -> Option<String> {
        let (file, before) = self.counted.as_mut()?;
        let count = oom_kills(file)?;
        let more = count > *before;
        *before = count;
        let name = file.file_name()?.to_string_lossy().into_owned();
        more.then(|| {
            format!(
                " (most likely by the kernel, for want of memory: {name} counts one oom_kill more)"
            )
        })
    }
}

fn oom_kills(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// Returns the bytes free on the file system that holds `path`.
pub(crate) fn free_bytes(path: &std::ffi::CStr) -> Option<u64> {
    let stat = file_system(path)?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Returns the bytes that the file system that holds `path` has room for.
pub(crate) fn room_bytes(path: &std::ffi::CStr) -> Option<u64> {
    let stat = file_system(path)?;
    Some(stat.f_blocks.saturating_mul(stat.f_frsize))
}

#[expect(unsafe_code, reason = "statvfs")]
fn file_system(path: &std::ffi::CStr) -> Option<libc::statvfs> {
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: a C string and writable memory of its type.
    let done = unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) };
    // SAFETY: zeroed above, so valid whatever the call did.
    let stat = unsafe { stat.assume_init() };
    (done == 0).then_some(stat)
}

/// Returns the bytes of memory the kernel thinks can still be had without swapping.
pub(crate) fn available_memory() -> Option<u64> {
    memory("MemAvailable:")
}

/// Returns the bytes of memory that this machine has.
pub(crate) fn total_memory() -> Option<u64> {
    memory("MemTotal:")
}

fn memory(what: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(what))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns how many descriptors this process may have open.
#[expect(unsafe_code, reason = "getrlimit")]
pub(crate) fn descriptors() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writable memory of its type.
    let done = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (done == 0).then_some(limit.rlim_cur)
}

/// Writes a number of bytes as people read it: `1.5 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut value = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}
