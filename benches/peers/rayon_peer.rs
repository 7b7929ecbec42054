//! Rayon as a peer: this program, started again, squares with a pool of pinned threads.
//!
//! A pass is what the caller inside the pool waits for, from before the loop is handed out until all of it
//! is done; on the tens of milliseconds that a pass takes, waking the other thread does not show.
#![expect(unsafe_code, reason = "the loop for the vector units this machine has")]

use std::process::ExitCode;
use std::time::Instant;

use rayon::prelude::*;

/// What this program is started with to be the peer: `--as-rayon N THREADS WARMUP PASSES BLOCK`.
pub(crate) const FLAG: &str = "--as-rayon";

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let numbers: Vec<usize> = arguments.iter().filter_map(|word| word.parse().ok()).collect();
    let [n, threads, warmup, passes, block] = numbers[..] else {
        eprintln!("peers: {FLAG} N THREADS WARMUP PASSES BLOCK");
        return ExitCode::from(2);
    };
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .start_handler(move |thread| {
            if let Some(&cpu) = cpus.get(thread) {
                core_affinity::set_for_current(cpu);
            }
        })
        .build()
        .expect("threads");
    let (seconds, y) = pool.install(|| {
        // By the threads that use them, as far as rayon gives them the same parts again.
        let x: Vec<f64> = (0..n).into_par_iter().map(|index| index as f64 + 0.5).collect();
        let mut y: Vec<f64> = (0..n).into_par_iter().map(|_| 0.5).collect();
        let mut seconds = vec![];
        for _ in 0..warmup + passes {
            let begin = Instant::now();
            y.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(y, x)| square(x, y));
            seconds.push(begin.elapsed().as_secs_f64());
        }
        (seconds, y)
    });
    let line = serde_json::json!({"seconds": seconds[warmup..], "first": y[0], "last": y[n - 1]});
    println!("{line}");
    ExitCode::SUCCESS
}

/// As the C peers are compiled for this machine, so is this loop.
fn square(x: &[f64], y: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the machine was just asked for it.
        return unsafe { square_avx2(x, y) };
    }
    plain(x, y);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn square_avx2(x: &[f64], y: &mut [f64]) {
    plain(x, y);
}

#[inline(always)]
fn plain(x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * x);
}
