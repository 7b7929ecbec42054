//! What this machine, and the control group we are in, will let us use.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::affinity::CpuSet;
use super::kept::Kept;
use super::rlimits::{self, Resource};
use super::root::Root;

/// Returns the CPU quota in CPUs, over all ancestors; `None` if there is none.
pub(crate) fn cpu_quota() -> Option<f64> {
    cpu_quota_of(&Root::system())
}

/// Reads the same below `root`.
pub(crate) fn cpu_quota_of(root: &Root) -> Option<f64> {
    groups(root, "cpu").iter().filter_map(|group| group.quota(root)).min_by(f64::total_cmp)
}

/// Returns the bytes that our control group may have, over all ancestors; `None` if there is no limit.
pub(crate) fn memory_limit() -> Option<u64> {
    memory_limit_of(&Root::system())
}

/// Reads the same below `root`.
pub(crate) fn memory_limit_of(root: &Root) -> Option<u64> {
    // "max" is no number; version 1 writes no limit as one that no machine has.
    const NONE: u64 = 1 << 56;
    let limit = |group: &Group| group.number(root, "memory.max", "memory.limit_in_bytes");
    groups(root, "memory").iter().filter_map(limit).filter(|bytes| *bytes < NONE).min()
}

/// Returns the CPUs that our control group may use, where it says.
pub(crate) fn cpuset_of(root: &Root) -> Option<CpuSet> {
    // The nearest group that has the controller: what is effective there regards all above.
    groups(root, "cpuset").iter().find_map(|group| match group.version {
        Version::Two => root.cpus(&group.file("cpuset.cpus.effective")),
        Version::One => root
            .cpus(&group.file("cpuset.effective_cpus"))
            .or_else(|| root.cpus(&group.file("cpuset.cpus"))),
    })
}

/// How often a quota has held a control group back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttled {
    /// The quota's periods in which somebody ran.
    pub(crate) periods: u64,
    /// Those in which all had to stop.
    pub(crate) stopped: u64,
    /// For how long, over all CPUs.
    pub(crate) time: Duration,
}

/// Returns how often our control group was held back since it exists: the worst of it and its ancestors.
pub(crate) fn throttled_of(root: &Root) -> Option<Throttled> {
    let read = |group: &Group| throttled_in(&root.text(&group.file("cpu.stat"))?, group.version);
    groups(root, "cpu").iter().filter_map(read).max_by_key(|throttled| throttled.time)
}

fn throttled_in(text: &str, version: Version) -> Option<Throttled> {
    let number = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    };
    Some(Throttled {
        periods: number("nr_periods ")?,
        stopped: number("nr_throttled ")?,
        time: match version {
            Version::Two => Duration::from_micros(number("throttled_usec ")?),
            Version::One => Duration::from_nanos(number("throttled_time ")?),
        },
    })
}

/// What [`throttled_of`] reads, kept open for whoever asks often.
#[derive(Debug)]
pub(crate) struct Throttling(Vec<(Kept, Version)>);

impl Throttling {
    /// Opens the files of the groups that say how often they were held back.
    pub(crate) fn open(root: &Root) -> Self {
        let open = |group: Group| {
            let mut file = Kept::open(root, &group.file("cpu.stat"), 4096)?;
            throttled_in(&file.read()?, group.version)?;
            Some((file, group.version))
        };
        Self(groups(root, "cpu").into_iter().filter_map(open).collect())
    }

    /// Returns for how long the worst of them was held back since it exists; `None` if none says.
    pub(crate) fn time(&mut self) -> Option<Duration> {
        let times = self.0.iter_mut().filter_map(|(file, version)| {
            throttled_in(&file.read()?, *version).map(|throttled| throttled.time)
        });
        times.max()
    }
}

/// Returns how many more tasks our control group may have, over all ancestors.
pub(crate) fn tasks_left_of(root: &Root) -> Option<u64> {
    let left = |group: &Group| {
        let [most, now]: [Option<u64>; 2] =
            ["pids.max", "pids.current"].map(|file| root.number(&group.file(file)));
        most?.checked_sub(now?)
    };
    groups(root, "pids").iter().filter_map(left).min()
}

/// What a control group bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounded {
    Cpu,
    Memory,
    Tasks,
}

/// Returns the command that lifts the tightest bound of our control groups, if there is one.
pub(crate) fn lift_of(root: &Root, what: Bounded) -> Option<String> {
    let (controller, two, one, none) = match what {
        Bounded::Cpu => ("cpu", "cpu.max", "cpu.cfs_quota_us", ["max", "-1"]),
        Bounded::Memory => ("memory", "memory.max", "memory.limit_in_bytes", ["max", "-1"]),
        Bounded::Tasks => ("pids", "pids.max", "pids.max", ["max", "max"]),
    };
    let bound = |group: &Group| match what {
        Bounded::Cpu => group.quota(root),
        Bounded::Memory | Bounded::Tasks => group.number(root, two, one),
    };
    let tightest = groups(root, controller)
        .into_iter()
        .filter_map(|group| Some((bound(&group)?, group)))
        .min_by(|(a, _), (b, _)| a.total_cmp(b));
    let (_, group) = tightest?;
    let (file, none) = match group.version {
        Version::Two => (two, none[0]),
        Version::One => (one, none[1]),
    };
    Some(format!("as root, echo {none} > /{}", group.file(file)))
}

/// Which of the two kinds of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A control group that we are in.
#[derive(Debug)]
struct Group {
    version: Version,
    /// Where its files are.
    dir: String,
}

impl Group {
    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// Reads a number, by the name it has in each version.
    fn number<T: std::str::FromStr>(&self, root: &Root, two: &str, one: &str) -> Option<T> {
        root.number(&self.file(match self.version {
            Version::One => one,
            Version::Two => two,
        }))
    }

    fn quota(&self, root: &Root) -> Option<f64> {
        match self.version {
            // "max 100000" or "200000 100000".
            Version::Two => {
                let text = root.line(&self.file("cpu.max"))?;
                let (quota, period) = text.split_once(' ')?;
                ratio(quota, period)
            }
            // A quota of -1 is none.
            Version::One => {
                let [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
                    .map(|name| root.line(&self.file(name)));
                ratio(&quota?, &period?)
            }
        }
    }
}

/// Returns the groups that may bound what a controller gives us: ours and its ancestors, nearest first, in
/// the one hierarchy of version 2 and in that of version 1 which has the controller.
fn groups(root: &Root, controller: &str) -> Vec<Group> {
    let mut found = Vec::new();
    for line in root.text("proc/self/cgroup").unwrap_or_default().lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (version, base) = if controllers.is_empty() {
            (Version::Two, "sys/fs/cgroup".to_owned())
        } else if controllers.split(',').any(|name| name == controller) {
            (Version::One, format!("sys/fs/cgroup/{controller}"))
        } else {
            continue;
        };
        let below = Path::new(path.trim_start_matches('/'));
        found.extend(below.ancestors().map(|group| {
            let dir =
                Path::new(&base).join(group).to_string_lossy().trim_end_matches('/').to_owned();
            Group { version, dir }
        }));
    }
    found
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
        let root = Root::system();
        let counted = groups(&root, "memory").iter().find_map(|group| {
            let file = root.path(&group.file(match group.version {
                Version::Two => "memory.events",
                Version::One => "memory.oom_control",
            }));
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
    available_memory_of(&Root::system())
}

/// Reads the same below `root`.
pub(crate) fn available_memory_of(root: &Root) -> Option<u64> {
    memory(root, "proc/meminfo", "MemAvailable:")
}

/// Returns the bytes of memory that this machine has.
pub(crate) fn total_memory() -> Option<u64> {
    total_memory_of(&Root::system())
}

/// Reads the same below `root`.
pub(crate) fn total_memory_of(root: &Root) -> Option<u64> {
    memory(root, "proc/meminfo", "MemTotal:")
}

/// Returns the bytes of memory of a NUMA node: all of them, and those in nobody's use.
pub(crate) fn node_memory_of(root: &Root, node: u32) -> (Option<u64>, Option<u64>) {
    let path = format!("sys/devices/system/node/node{node}/meminfo");
    let read = |what: &str| memory(root, &path, &format!("Node {node} {what}"));
    (read("MemTotal:"), read("MemFree:"))
}

fn memory(root: &Root, path: &str, what: &str) -> Option<u64> {
    let text = root.text(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(what))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// What a file system in memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    /// Not known of a copy.
    pub(crate) free: Option<u64>,
}

/// Returns how much `/dev/shm` holds; `None` where there is none.
pub(crate) fn dev_shm_of(root: &Root) -> Option<Room> {
    const DIR: &std::ffi::CStr = c"/dev/shm";
    if root.is_system() {
        return Some(Room { bytes: room_bytes(DIR)?, free: free_bytes(DIR) });
    }
    // A copy has its mount's word alone: `size=65536k`.
    let mounts = root.text("proc/self/mounts")?;
    let kib: u64 = mounted(&mounts, "size=")?.strip_suffix('k')?.parse().ok()?;
    Some(Room { bytes: kib.checked_mul(1024)?, free: None })
}

/// Returns the value of a mount option of `/dev/shm`, written `name=`, from the list of mounts.
pub(crate) fn mounted<'a>(mounts: &'a str, name: &str) -> Option<&'a str> {
    let mut options = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next() == Some("/dev/shm")).then(|| fields.nth(1).unwrap_or_default())
    });
    // The last one is on top.
    options.next_back()?.split(',').find_map(|option| option.strip_prefix(name))
}

/// Returns how many descriptors this process may have open.
pub(crate) fn descriptors() -> Option<u64> {
    rlimits::soft(Resource::Files)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::root::tests::Tree;

    #[test]
    fn the_least_of_a_group_and_its_ancestors_bounds_us_in_version_2() {
        let tree = Tree::new(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/a/cpuset.cpus.effective", "0-3\n"),
            ("sys/fs/cgroup/a/cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_usec 2500\n"),
            ("sys/fs/cgroup/a/b/pids.max", "20\n"),
            ("sys/fs/cgroup/a/b/pids.current", "5\n"),
        ]);
        let root = &tree.root;
        assert_eq!(cpu_quota_of(root), Some(1.5));
        assert_eq!(memory_limit_of(root), Some(1 << 30));
        assert_eq!(cpuset_of(root).unwrap().to_string(), "0-3");
        let time = Duration::from_micros(2500);
        assert_eq!(throttled_of(root), Some(Throttled { periods: 10, stopped: 4, time }));
        assert_eq!(tasks_left_of(root), Some(15));
        let lift = |what| lift_of(root, what).unwrap();
        assert_eq!(lift(Bounded::Cpu), "as root, echo max > /sys/fs/cgroup/a/cpu.max");
        assert_eq!(lift(Bounded::Memory), "as root, echo max > /sys/fs/cgroup/a/b/memory.max");
        assert_eq!(lift(Bounded::Tasks), "as root, echo max > /sys/fs/cgroup/a/b/pids.max");
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let tree = Tree::new(&[
            ("proc/self/cgroup", "4:memory:/m\n2:cpu,cpuacct:/c\n1:cpuset:/\n0::/\n"),
            ("sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/c/cpu.stat", "nr_periods 3\nnr_throttled 1\nthrottled_time 7\n"),
            ("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n"),
            ("sys/fs/cgroup/cpuset/cpuset.effective_cpus", "0,2\n"),
        ]);
        let root = &tree.root;
        assert_eq!(cpu_quota_of(root), Some(0.5));
        assert_eq!(memory_limit_of(root), Some(4096));
        assert_eq!(cpuset_of(root).unwrap().to_string(), "0,2");
        assert_eq!(throttled_of(root).unwrap().time, Duration::from_nanos(7));
        assert_eq!((tasks_left_of(root), lift_of(root, Bounded::Tasks)), (None, None));
        let lift = lift_of(root, Bounded::Cpu).unwrap();
        assert_eq!(lift, "as root, echo -1 > /sys/fs/cgroup/cpu/c/cpu.cfs_quota_us");
    }

    #[test]
    fn memory_is_the_machines_and_each_nodes() {
        let tree = Tree::new(&[
            ("proc/meminfo", "MemTotal:       2048 kB\nMemAvailable:   1024 kB\n"),
            (
                "sys/devices/system/node/node1/meminfo",
                "Node 1 MemTotal:  64 kB\nNode 1 MemFree:  32 kB\n",
            ),
            ("proc/self/mounts", "shm /dev/shm tmpfs rw,size=65536k 0 0\n"),
        ]);
        let root = &tree.root;
        assert_eq!(total_memory_of(root), Some(2 << 20));
        assert_eq!(available_memory_of(root), Some(1 << 20));
        assert_eq!(node_memory_of(root, 1), (Some(64 << 10), Some(32 << 10)));
        assert_eq!(node_memory_of(root, 0), (None, None));
        assert_eq!(dev_shm_of(root), Some(Room { bytes: 64 << 20, free: None }));
    }
}
