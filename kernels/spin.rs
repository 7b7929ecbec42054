//! Spin: work of a given cost and distribution, for studies of schedules and scaling.
//!
//! Index i costs `cost` on average, spread by `dist`, so that n indices are W = n·`cost` of work. The
//! result of an index is its cost in nanoseconds, rounded: it depends on (seed, index) alone.
//!
//! What keeps p ranks from needing W/p can be planted, so that whoever explains lost time can be held
//! against the truth. With equal slices (`--schedule static`) and `dist=const` the truth is exact:
//!
//! ```text
//! serial=s      W·(s + (1 − s)/p)      a share s of all work is done by rank 0 alone, first, while the
//!                                      others wait, and every index is cheaper by it: Amdahl's law
//! imbalance=f   W·(1 + f)/p, p > 1     the first half of the indices costs 1 − f of the mean, the second
//!                                      half 1 + f; the one in the middle of an odd number the mean
//! contention=c  W·max(1/p, c)          a share c of each index is done with a lock that no two ranks have
//!                                      at a time: it is the bottleneck once p·c > 1, and below costs
//!                                      nothing that lasts, as ranks soon come one after another
//! ```
//!
//! Imbalance is the same for any p above 1, as some rank's slice lies in the second half alone. With
//! contention the last index ends by up to (1 − c)·`cost` later, outside of the lock. Combined, each holds
//! for the time that the others leave; serial s and imbalance s/(1 − s) keep two ranks equally busy, and
//! yet each waits for the other once: barriers, and no imbalance, are what W·2s is lost by.
//!
//! The lock is the system's (`flock`), so that a rank that dies leaves it open, on what all ranks of a run
//! have in common: their launcher's folder in `/proc`. (Runs that one program has at a time share it.) Whoever
//! waits for it spins; to get it is part of the work, so that p = 1 pays as much for it.
//!
//! Time is counted while the rank runs: a gap of more than 20 µs between two looks at the clock is
//! taken for the processor being given to somebody else, and not counted as work.

use std::cmp::Ordering;
use std::fs::{File, TryLockError};
use std::os::unix::process::parent_id;
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
            Param {
                name: "imbalance",
                about: "by what share of the mean the second half costs more, and the first less",
                kind: ParamKind::Fraction,
                default: "0",
            },
            Param {
                name: "contention",
                about: "share of each index's work that only one rank at a time can do",
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
        Spinning::now().busy(work * setting.params.fraction("serial"));
        Ok(())
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let setting = *block.setting();
        let mean = setting.params.nanoseconds("cost");
        let parallel = 1.0 - setting.params.fraction("serial");
        let alone = setting.params.fraction("contention");
        let lock = (alone > 0.0).then(Lock::of_this_run).transpose()?;
        let costs = Costs::of(&setting);
        let mut spinning = Spinning::now();
        let first = block.first();
        with_dtype!(block.dtype(), T => {
            let (_, result) = block.slices::<T>();
            for (index, y) in (first..).zip(result) {
                let cost = mean * costs.factor(index);
                let work = cost * parallel;
                if let Some(lock) = &lock {
                    lock.hold(&mut spinning, work * alone)?;
                }
                spinning.busy(work * (1.0 - alone));
                *y = T::from_i128(cost.round() as i128);
            }
        });
        Ok(())
    }
}

/// How costs spread over the index space.
struct Costs {
    dist: &'static str,
    imbalance: f64,
    size: u64,
    seed: u64,
}

impl Costs {
    fn of(setting: &Setting<'_>) -> Self {
        Self {
            dist: setting.params.choice("dist"),
            imbalance: setting.params.fraction("imbalance"),
            size: setting.size,
            seed: setting.seed,
        }
    }

    /// Returns the cost of an index over the mean cost.
    fn factor(&self, index: u64) -> f64 {
        let (size, more) = (self.size, self.imbalance);
        let half = match (2 * index + 1).cmp(&size) {
            Ordering::Less => 1.0 - more,
            Ordering::Equal => 1.0,
            Ordering::Greater => 1.0 + more,
        };
        half * match self.dist {
            // What rises is higher in the half that becomes dearer, and yet the mean has to stay.
            "linear" => 2.0 * (index as f64 + 0.5) / size as f64 / (1.0 + more / 2.0),
            "exp" => -uniform(self.seed, index).ln(),
            // Pareto with shape 1.5 has mean 3·x_m; cut at a thousand means, which holds nearly all.
            "heavy" => (uniform(self.seed, index).powf(-1.0 / 1.5) / 3.0).min(1000.0),
            _ => 1.0,
        }
    }
}

/// Returns a number in (0, 1] that depends on (seed, index) alone.
fn uniform(seed: u64, index: u64) -> f64 {
    ((random_bits(seed, index) >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// What one rank of a run has at a time.
struct Lock(File);

impl Lock {
    fn of_this_run() -> Result<Self, KernelError> {
        // The launcher verifies, too, and may be the first process of a container: that has no parent.
        let folder = format!("/proc/{}", parent_id().max(1));
        match File::open(&folder) {
            Ok(file) => Ok(Self(file)),
            Err(error) => Err(refused(&error)),
        }
    }

    /// Keeps the processor busy with the lock in hand. To get it is part of the work.
    fn hold(&self, spinning: &mut Spinning, ns: f64) -> Result<(), KernelError> {
        spinning.last = loop {
            let tried = Instant::now();
            match self.0.try_lock() {
                Ok(()) => break tried,
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
                Err(TryLockError::Error(error)) => return Err(refused(&error)),
            }
        };
        spinning.busy(ns);
        self.0.unlock().map_err(|error| refused(&error))
    }
}

fn refused(error: &std::io::Error) -> KernelError {
    KernelError::new(format!("contention takes a lock on the launcher's folder in /proc: {error}"))
}

/// Keeps the processor busy, piece after piece.
struct Spinning {
    last: Instant,
    /// What was done too much is a part of the next piece, so that many take no longer than all of them.
    ahead: Duration,
}

impl Spinning {
    fn now() -> Self {
        Self { last: Instant::now(), ahead: Duration::ZERO }
    }

    /// Spins for this many nanoseconds of the rank's own time.
    fn busy(&mut self, ns: f64) {
        const GAP: Duration = Duration::from_micros(20);
        const LOOK: Duration = Duration::from_micros(1);
        let work = Duration::from_nanos(ns as u64);
        let mut spent = self.ahead;
        while spent < work {
            std::hint::spin_loop();
            let now = Instant::now();
            let passed = now - self.last;
            // A gap counts as one look, not as nothing: under an emulator every step is a gap.
            spent += if passed > GAP { LOOK } else { passed };
            self.last = now;
        }
        self.ahead = spent - work;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// The mean factor of these indices.
    fn mean(dist: &'static str, imbalance: f64, indices: Range<u64>, size: u64) -> f64 {
        let costs = Costs { dist, imbalance, size, seed: 1 };
        let count = (indices.end - indices.start) as f64;
        indices.map(|index| costs.factor(index)).sum::<f64>() / count
    }

    #[test]
    fn every_distribution_has_the_mean_it_promises() {
        for (dist, tolerance) in [("const", 1e-9), ("linear", 1e-9), ("exp", 0.02), ("heavy", 0.1)]
        {
            for imbalance in [0.0, 0.3, 1.0] {
                let found = mean(dist, imbalance, 0..200_000, 200_000);
                assert!((found - 1.0).abs() < tolerance, "{dist}, {imbalance}: {found}");
            }
        }
        assert!((mean("const", 0.5, 0..7, 7) - 1.0).abs() < 1e-12, "an index in the middle");
    }

    #[test]
    fn the_last_of_any_number_of_equal_slices_costs_more_by_the_imbalance() {
        let size = 27_720; // What all of these divide.
        for procs in 2..=12 {
            let slice = size / procs;
            let slices =
                (0..procs).map(|rank| mean("const", 0.3, rank * slice..(rank + 1) * slice, size));
            let most = slices.fold(0.0, f64::max);
            assert!((most - 1.3).abs() < 1e-9, "{procs}: {most}");
        }
    }
}
