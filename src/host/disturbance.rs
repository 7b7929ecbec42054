//! What may disturb a measurement from outside of this program, as far as the system tells.

use std::time::Duration;

use super::affinity::CpuSet;
use super::frequency;
use super::kept::Kept;
use super::root::Root;

/// What some CPUs have done since the system started, added up. Counted in ticks: see [`tick`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// For programs, the system and interrupts.
    pub(crate) busy: Duration,
    /// How long the host of this virtual machine has kept them for others; zero on a machine that is none.
    pub(crate) stolen: Duration,
    /// All of it, idleness too.
    pub(crate) all: Duration,
}

/// Returns how long the host of this virtual machine has kept these CPUs for others, since the system
/// started; zero on a machine that is none. Counted in ticks: see [`tick`].
pub(crate) fn stolen(cpus: &CpuSet) -> Option<Duration> {
    spent_of(&Root::system(), cpus).map(|spent| spent.stolen)
}

/// Returns what these CPUs have done, by the files below `root`.
pub(crate) fn spent_of(root: &Root, cpus: &CpuSet) -> Option<Spent> {
    let text = root.text("proc/stat")?;
    ticks_spent(&text, cpus).map(|[busy, stolen, all]| Spent {
        busy: ticks(busy),
        stolen: ticks(stolen),
        all: ticks(all),
    })
}

/// Returns how long so many ticks are. Of many CPUs over months they are more than 32 bits hold.
fn ticks(count: u64) -> Duration {
    let nanoseconds = u64::try_from(tick().as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(nanoseconds.saturating_mul(count))
}

/// The columns of the lines `cpuN` of these CPUs, added up: busy, stolen, all.
fn ticks_spent(text: &str, cpus: &CpuSet) -> Option<[u64; 3]> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
        let cpu: u32 = words.next().filter(|_| !line.starts_with("cpu "))?.parse().ok()?;
        if !cpus.contains(cpu) {
            return None;
        }
        // Guests are counted as user time already (Documentation/filesystems/proc.rst).
        let mut columns = [0_u64; 8];
        for column in &mut columns {
            *column = words.next()?.parse().ok()?;
        }
        let [user, nice, system, idle, iowait, irq, softirq, stolen] = columns;
        let busy = user + nice + system + irq + softirq;
        Some([busy, stolen, busy + idle + iowait + stolen])
    });
    lines.reduce(|sum, line| std::array::from_fn(|at| sum[at].saturating_add(line[at])))
}

/// Where [`stolen`] is read, kept open for whoever asks often.
#[derive(Debug)]
pub(crate) struct Stealing {
    cpus: CpuSet,
    stat: Option<Kept>,
}

impl Stealing {
    pub(crate) fn open(root: &Root, cpus: CpuSet) -> Self {
        // The lines of CPUs come first, and none is longer; what follows them is left unread.
        let lines = cpus.iter().last().map_or(0, |last| last as usize) + 2;
        Self { stat: Kept::open(root, "proc/stat", 256 * lines), cpus }
    }

    /// Returns the CPUs that are watched.
    pub(crate) fn cpus(&self) -> &CpuSet {
        &self.cpus
    }

    /// Returns what the host has kept of these CPUs since the system started.
    pub(crate) fn time(&mut self) -> Option<Duration> {
        let [_, stolen, _] = ticks_spent(&self.stat.as_mut()?.read()?, &self.cpus)?;
        Some(ticks(stolen))
    }
}

/// How much the machine has to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// Tasks that ran, or waited for a CPU or a disk, averaged over the last minute.
    pub(crate) minute: f64,
    /// Tasks that run, or wait for a CPU, at this moment; this one too.
    pub(crate) now: u64,
}

/// Returns how much the machine has to do.
pub(crate) fn load_of(root: &Root) -> Option<Load> {
    let text = root.line("proc/loadavg")?;
    let mut words = text.split(' ');
    let minute = words.next()?.parse().ok()?;
    let now = words.nth(2)?.split('/').next()?.parse().ok()?;
    Some(Load { minute, now })
}

/// Returns the unit in which the system counts stolen time.
#[expect(unsafe_code, reason = "sysconf")]
pub(crate) fn tick() -> Duration {
    // SAFETY: no memory is involved.
    let rate = u32::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1);
    Duration::from_secs(1) / rate
}

/// Returns what decides the frequency of a CPU, where the system says: `performance`, `powersave`.
pub(crate) fn governor(cpu: u32) -> Option<String> {
    frequency::governor_of(&Root::system(), cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cpus_have_done_is_in_eight_columns_of_those_that_are_asked_for() {
        let text = "cpu  9 9 9 9 9 9 9 99 9 9\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 1 2 3 4 5 6 7 20 0 0\nintr 5\n";
        let ticks = |cpus: &str| ticks_spent(text, &cpus.parse().unwrap());
        assert_eq!(ticks("0"), Some([19, 8, 36]));
        assert_eq!(ticks("0-1"), Some([38, 28, 84]));
        assert_eq!(ticks("7"), None);
    }

    #[test]
    fn ticks_of_many_cpus_over_months_are_still_told_apart() {
        // 128 CPUs over 100 days, in ticks of 10 ms: more than 2^32 of them.
        let months = 128 * 100 * 86_400 * 100_u64;
        assert_eq!(ticks(months + 7) - ticks(months), 7 * tick());
    }
}
