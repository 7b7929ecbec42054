//! How much the last caches before memory hold, as `/sys` tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::affinity::CpuSet;
use super::root::Root;

/// Returns the bytes of the last-level caches of these CPUs together, each counted once; `None` where
/// the system does not say.
pub(crate) fn last_level(cpus: &CpuSet) -> Option<u64> {
    // By who shares it: that names a cache.
    let mut caches: BTreeMap<String, u64> = BTreeMap::new();
    for cpu in cpus.iter() {
        let (shared, bytes) = last_of(cpu)?;
        caches.insert(shared, bytes);
    }
    caches.into_values().reduce(u64::saturating_add)
}

/// One cache of a CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cache {
    pub(crate) level: u32,
    /// `Data`, `Instruction` or `Unified`.
    pub(crate) kind: String,
    pub(crate) bytes: u64,
    /// The CPUs that share it, as a list.
    pub(crate) cpus: String,
}

/// Returns the caches of a CPU, as far as the system tells.
pub(crate) fn of(cpu: u32) -> Vec<Cache> {
    below(&Root::system(), cpu)
}

/// Reads the same below `root`.
pub(crate) fn below(root: &Root, cpu: u32) -> Vec<Cache> {
    let cache = |index: u32| {
        let base = format!("sys/devices/system/cpu/cpu{cpu}/cache/index{index}");
        let text = |name: &str| root.line(&format!("{base}/{name}"));
        Some(Cache {
            level: text("level")?.parse().ok()?,
            kind: text("type").unwrap_or_default(),
            bytes: size(&text("size")?)?,
            cpus: text("shared_cpu_list")?,
        })
    };
    (0..16).map_while(cache).collect()
}

/// Returns who shares the last cache of a CPU, and its size.
fn last_of(cpu: u32) -> Option<(String, u64)> {
    let last = of(cpu).into_iter().max_by_key(|cache| cache.level)?;
    Some((last.cpus, last.bytes))
}

fn size(text: &str) -> Option<u64> {
    let (digits, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match unit {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_system_writes_them() {
        assert_eq!(
            [size("32768K"), size("1M"), size("64")],
            [Some(32 << 20), Some(1 << 20), Some(64)]
        );
        assert_eq!([size("K"), size("1T"), size("")], [None; 3]);
    }
}
