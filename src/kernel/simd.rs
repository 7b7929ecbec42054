//! Loops compiled for the vector instructions of the machine at hand.

use multiversion::multiversion;

/// Calls `f`, compiled for the widest vector instructions of this machine.
///
/// For loops over slices, a block at a time: the choice costs a few nanoseconds, and the compiler has
/// to see through `f`, so it should be a closure around the loop itself. The result has the same bits on
/// every machine: each operation is rounded by itself, and nothing is contracted or reordered.
///
/// ```
/// let (x, mut y) = ([1.0, 2.0, 3.0], [0.0; 3]);
/// spmd::vectorised(|| y.iter_mut().zip(x).for_each(|(y, x)| *y = 2.0 * x));
/// assert_eq!(y, [2.0, 4.0, 6.0]);
/// ```
#[inline]
pub fn vectorised<R, F: FnOnce() -> R>(f: F) -> R {
    widest(f)
}

// AVX-512DQ and VL together multiply 64-bit integers; AVX2 is what nearly every machine of today has.
#[multiversion(targets(
    "x86_64+avx+avx2+avx512f+avx512bw+avx512cd+avx512dq+avx512vl",
    "x86_64+avx+avx2",
))]
fn widest<R, F: FnOnce() -> R>(f: F) -> R {
    f()
}
