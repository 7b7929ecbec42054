//! a = b + s·c, the triad.

use std::fs;

use crate::Bench;
use crate::contender::{Contender, Reading};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::sections::passes;

const OURS: &str = "spmd -k triad";

pub(crate) fn run(bench: &mut Bench) {
    let n = bench.effort.scaled(size());
    let arguments = format!("-k triad --dtype f64 --size {n} {}", passes::own());
    let mut contenders = vec![Contender::spmd(OURS, Reading::Pass, &arguments)];
    for openmp in &bench.tools.openmps {
        contenders.extend(passes::openmp(bench, openmp, "triad_omp", n));
    }
    contenders.extend(passes::streaming(bench, "triad_omp", n));
    bench.hold(Contest {
        section: "triad",
        title: format!("Triad, three arrays of {n} f64, steady pass"),
        definition: "a = b + 3c. Each array is at least four times as large as the largest cache."
            .into(),
        unit: Unit::Milliseconds,
        contenders,
        targets: vec![Target {
            ours: OURS,
            families: &["libgomp", "libomp"],
            settings: Settings::Best,
            at_most: 1.03,
        }],
    });
}

/// Returns how many numbers four of the largest caches hold, at least fifty million and at most two hundred.
fn size() -> u64 {
    let caches = (0..5).filter_map(|index| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
        let text = fs::read_to_string(path).ok()?;
        text.trim().strip_suffix('K')?.parse::<u64>().ok()
    });
    let largest = caches.max().unwrap_or(0) * 1024;
    (4 * largest / 8).clamp(50_000_000, 200_000_000)
}
