//! How much the last caches before memory hold, as `/sys` tells.

use std::collections::BTreeMap;
use std::fs;

use super::affinity::CpuSet;

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

/// Returns who shares the last cache of a CPU, and its size.
fn last_of(cpu: u32) -> Option<(String, u64)> {
    let caches = (0..16).map_while(|index| {
        let base = format!("/sys/devices/system/cpu/cpu{cpu}/cache/index{index}");
        let text = |name: &str| fs::read_to_string(format!("{base}/{name}")).ok();
        let level: u32 = text("level")?.trim().parse().ok()?;
        Some((level, text("shared_cpu_list")?.trim().to_owned(), size(text("size")?.trim())?))
    });
    caches.max_by_key(|(level, ..)| *level).map(|(_, shared, bytes)| (shared, bytes))
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
