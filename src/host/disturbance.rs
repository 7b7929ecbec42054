//! What may disturb a measurement from outside of this program, as far as the system tells.

use std::fs;
use std::time::Duration;

use super::affinity::CpuSet;

/// Returns how long the host of this virtual machine has kept these CPUs for others, since the system
/// started; zero on a machine that is none. Counted in ticks: see [`tick`].
pub(crate) fn stolen(cpus: &CpuSet) -> Option<Duration> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks = stolen_ticks(&text, cpus)?;
    Some(tick().saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)))
}

/// The steal column of the lines `cpuN` of these CPUs, added up.
fn stolen_ticks(text: &str, cpus: &CpuSet) -> Option<u64> {
    let columns = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
        let cpu: u32 = words.next().filter(|_| !line.starts_with("cpu "))?.parse().ok()?;
        if !cpus.contains(cpu) {
            return None;
        }
        words.nth(7)?.parse::<u64>().ok()
    });
    columns.reduce(u64::saturating_add)
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
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_column_of_the_cpus_that_are_asked_for() {
        let text = "cpu  9 9 9 9 9 9 9 99 9 9\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 1 2 3 4 5 6 7 20 0 0\nintr 5\n";
        let ticks = |cpus: &str| stolen_ticks(text, &cpus.parse().unwrap());
        assert_eq!((ticks("0"), ticks("0-1"), ticks("7")), (Some(8), Some(28), None));
    }
}
