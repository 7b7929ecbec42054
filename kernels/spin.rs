//! Spin: work of a given cost and distribution, for studies of schedules and scaling.
//!
//! Index i costs `cost` on average, spread by `dist`; a share `serial` of all the work is done by
//! rank 0 alone, first, while the others wait, and every index is cheaper by that share. So p ranks
//! need W·(serial + (1 − serial)/p), Amdahl's law by construction. The result of an index is its cost
//! in nanoseconds, rounded: it depends on (seed, index) alone.
//!
//! Time is counted while the rank runs: a gap of more than 20 µs between two looks at the clock is
//! taken for the processor being given to somebody else, and not counted as work.

use std::time::{Duration, Instant};

use crate::kernel::{Block, Cost, Kernel, KernelError, Param, ParamKind, Setting};
use crate::{Scalar, random_bits, with_dtype};

/// y = what the index cost.
pub(crate) struct Spin;

impl Kernel for Spin {
    fn name(&self) -> &'static str {
        "spin"
    }

    fn about(&self) -> &'static str {
        "busy for a set time an index: synthetic cost for studies"
    }

    fn params(&self) -> &'static [Param] {
        &[
            Param {
                name: "cost",
                about: "mean cost of an index",
                kind: ParamKind::Duration,
                default: "1us",
            },
            Param {
                name: "dist",
                about: "how costs spread: const; linear from 0 to twice the mean; exp; heavy (Pareto 1.5)",
                kind: ParamKind::Choice(&["const", "linear", "exp", "heavy"]),
                default: "const",
            },
            Param {
                name: "serial",
                about: "share of the work that rank 0 does alone while the others wait",
                kind: ParamKind::Fraction,
                default: "0",
            },
        ]
    }

    fn input(&self) -> &'static str {
        "range:0:10000"
    }

    fn cost(&self, setting: &Setting<'_>) -> Cost {
        Cost {
            bytes: setting.dtype.size() as f64,
            flops: 0.0,
            ns: setting.params.nanoseconds("cost") * (1.0 - setting.params.fraction("serial")),
        }
    }

    fn has_serial(&self, setting: &Setting<'_>) -> bool {
        setting.params.fraction("serial") > 0.0
    }

    fn serial(&self, setting: &Setting<'_>) -> Result<(), KernelError> {
        let work = setting.params.nanoseconds("cost") * setting.size as f64;
        busy(work * setting.params.fraction("serial"));
        Ok(())
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let setting = *block.setting();
        let mean = setting.params.nanoseconds("cost");
        let dist = setting.params.choice("dist");
        let parallel = 1.0 - setting.params.fraction("serial");
        let first = block.first();
        with_dtype!(block.dtype(), T => {
            let (_, result) = block.slices::<T>();
            for (index, y) in (first..).zip(result) {
                let cost = mean * factor(dist, index, &setting);
                busy(cost * parallel);
                *y = T::from_i128(cost.round() as i128);
            }
        });
        Ok(())
    }
}

/// Returns the cost of an index over the mean cost.
fn factor(dist: &str, index: u64, setting: &Setting<'_>) -> f64 {
    match dist {
        "linear" => 2.0 * (index as f64 + 0.5) / setting.size as f64,
        "exp" => -uniform(setting.seed, index).ln(),
        // Pareto with shape 1.5 has mean 3·x_m; cut at a thousand means, which holds nearly all.
        "heavy" => (uniform(setting.seed, index).powf(-1.0 / 1.5) / 3.0).min(1000.0),
        _ => 1.0,
    }
}

/// Returns a number in (0, 1] that depends on (seed, index) alone.
fn uniform(seed: u64, index: u64) -> f64 {
    ((random_bits(seed, index) >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// Keeps the processor busy for this many nanoseconds of its own time.
fn busy(ns: f64) {
    const GAP: Duration = Duration::from_micros(20);
    const LOOK: Duration = Duration::from_micros(1);
    let work = Duration::from_nanos(ns as u64);
    let mut spent = Duration::ZERO;
    let mut last = Instant::now();
    while spent < work {
        std::hint::spin_loop();
        let now = Instant::now();
        let passed = now - last;
        // A gap counts as one look, not as nothing: under an emulator every step is a gap.
        spent += if passed > GAP { LOOK } else { passed };
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Params;
    use crate::{DType, Overflow};

    #[test]
    fn every_distribution_has_the_mean_it_promises() {
        let params = Params::default();
        let setting = Setting {
            params: &params,
            dtype: DType::F64,
            size: 200_000,
            overflow: Overflow::Error,
            seed: 1,
        };
        for (dist, tolerance) in [("const", 1e-9), ("linear", 1e-9), ("exp", 0.02), ("heavy", 0.1)]
        {
            let sum: f64 = (0..setting.size).map(|i| factor(dist, i, &setting)).sum();
            let mean = sum / setting.size as f64;
            assert!((mean - 1.0).abs() < tolerance, "{dist}: {mean}");
        }
    }
}
