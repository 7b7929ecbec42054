//! The program `spmd`.
//!
//! Where the C library hands the arguments to everybody before `main` (glibc does), Rust's own start is
//! left out: it reads `/proc/self/maps` and maps a signal stack, in the launcher and once more in each
//! rank, which is about a tenth of a small run. What it does that we need, [`spmd::program`] does.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

/// Called by the C library's start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library calls `main` by its name")]
// SAFETY: no other symbol of this program has that name: `no_main` leaves it out.
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    spmd::program()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {
    spmd::program()
}
