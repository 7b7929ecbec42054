//! What decides how fast a CPU's clock is, where the system says.

use super::kept::Kept;
use super::root::Root;

/// Whether a CPU's clock may rise above what all cores can keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turbo {
    On,
    Off,
}

/// Where turbo is switched: each driver has its own file, and one of them says it the other way round.
const INTEL: &str = "sys/devices/system/cpu/intel_pstate/no_turbo";
const OTHERS: &str = "sys/devices/system/cpu/cpufreq/boost";

/// Says whether turbo is on, and how it is switched off.
pub(crate) fn turbo_of(root: &Root) -> Option<(Turbo, String)> {
    let state = |word: String, on: &str| if word == on { Turbo::On } else { Turbo::Off };
    let intel = root.line(INTEL).map(|word| (state(word, "0"), format!("echo 1 > /{INTEL}")));
    intel.or_else(|| Some((state(root.line(OTHERS)?, "1"), format!("echo 0 > /{OTHERS}"))))
}

/// Returns the word for what decides a CPU's frequency: `performance`, `powersave`.
pub(crate) fn governor_of(root: &Root, cpu: u32) -> Option<String> {
    root.line(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"))
}

/// Returns the highest frequency of a CPU, in kHz.
pub(crate) fn highest_khz_of(root: &Root, cpu: u32) -> Option<u64> {
    root.number(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"))
}

/// What one CPU says of its clock and its heat, kept open for whoever asks often. A virtual machine has
/// neither, and says nothing.
#[derive(Debug)]
pub(crate) struct Clockwork {
    khz: Option<Kept>,
    heat: Vec<Kept>,
}

impl Clockwork {
    pub(crate) fn open(root: &Root, cpu: u32) -> Self {
        let open =
            |path: &str| Kept::open(root, &format!("sys/devices/system/cpu/cpu{cpu}/{path}"), 64);
        let counts = ["core_throttle_count", "package_throttle_count"];
        let heat = counts.iter().filter_map(|count| open(&format!("thermal_throttle/{count}")));
        Self { khz: open("cpufreq/scaling_cur_freq"), heat: heat.collect() }
    }

    /// Returns the frequency, in kHz.
    pub(crate) fn khz(&mut self) -> Option<u64> {
        self.khz.as_mut()?.read()?.trim().parse().ok()
    }

    /// Returns how often the core, or its package, was slowed because it was too hot.
    pub(crate) fn overheated(&mut self) -> Option<u64> {
        let counts = self.heat.iter_mut().map(|count| count.read()?.trim().parse::<u64>().ok());
        counts.reduce(|sum, count| sum?.checked_add(count?))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::root::tests::Tree;

    #[test]
    fn both_ways_to_say_turbo_are_understood() {
        for (path, word, found) in [
            (INTEL, "0", Turbo::On),
            (INTEL, "1", Turbo::Off),
            (OTHERS, "1", Turbo::On),
            (OTHERS, "0", Turbo::Off),
        ] {
            let tree = Tree::new(&[(path, word)]);
            assert_eq!(turbo_of(&tree.root).unwrap().0, found, "{path} {word}");
        }
        assert_eq!(turbo_of(&Tree::new(&[]).root), None);
    }
}
