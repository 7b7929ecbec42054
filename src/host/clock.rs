//! The clock all ranks share: CLOCK_MONOTONIC, in nanoseconds.

/// Returns nanoseconds since boot; the same clock in every process of this machine.
#[inline]
#[expect(unsafe_code, reason = "clock_gettime")]
pub(crate) fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec; CLOCK_MONOTONIC exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
