//! Atomics and the futex word: the one switch between the real ones and loom's.
//!
//! Everything in the segment that two ranks may touch at once is made of these types, so that the
//! code loom explores is the code that ships. `--cfg spmd_loom` turns the switch; nothing else in
//! the project mentions that cfg but layout assertions and the tests of the protocols.

#[cfg(not(spmd_loom))]
mod real {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, fence};
    pub(crate) use std::thread::yield_now;
}

#[cfg(spmd_loom)]
mod real {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
    pub(crate) use loom::thread::yield_now;
}

pub(crate) use real::*;
pub(crate) use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

#[cfg(not(spmd_loom))]
pub(crate) use futex::Futex;
#[cfg(spmd_loom)]
pub(crate) use modelled::Futex;

#[cfg(not(spmd_loom))]
mod futex {
    use super::{AtomicU64, Relaxed};
    use std::time::Duration;

    /// A word on whose lower half ranks sleep, in any process that maps it.
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub(crate) struct Futex(AtomicU64);

    impl Futex {
        pub(crate) const fn new(value: u64) -> Self {
            Self(AtomicU64::new(value))
        }

        pub(crate) fn word(&self) -> &AtomicU64 {
            &self.0
        }

        /// The half that the kernel compares, and alone accesses.
        fn lower(&self) -> *mut u32 {
            let halves = self.0.as_ptr().cast::<u32>();
            halves.wrapping_add(usize::from(cfg!(target_endian = "big")))
        }

        /// Sleeps while the lower half equals `expected`: until woken, at most `limit`, perhaps less.
        #[expect(unsafe_code, reason = "the futex system call")]
        pub(crate) fn sleep(&self, expected: u32, limit: Duration) {
            let limit = libc::timespec {
                tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: libc::c_long::from(limit.subsec_nanos()),
            };
            // No FUTEX_PRIVATE_FLAG: the sleepers are in other processes.
            // SAFETY: the word outlives the call, and `limit` is a valid timespec. Every outcome
            // (woken, value changed, timed out, interrupted) is one the caller re-checks for.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.lower(),
                    libc::FUTEX_WAIT,
                    expected,
                    &raw const limit,
                )
            };
        }

        /// Wakes everyone who sleeps on this word.
        #[expect(unsafe_code, reason = "the futex system call")]
        pub(crate) fn wake_all(&self) {
            // SAFETY: the word outlives the call, which does not access it.
            unsafe { libc::syscall(libc::SYS_futex, self.lower(), libc::FUTEX_WAKE, i32::MAX) };
        }
    }

    impl Clone for Futex {
        fn clone(&self) -> Self {
            Self::new(self.0.load(Relaxed))
        }
    }
}

/// The futex as loom sees it: a word, and a condition variable whose lock makes "compare and
/// sleep" one step, as the kernel does. (Modelling sleep as a yield runs loom out of branches.)
#[cfg(spmd_loom)]
mod modelled {
    use super::{AtomicU64, Relaxed};
    use loom::sync::{Condvar, Mutex};
    use std::time::Duration;

    #[derive(Debug)]
    pub(crate) struct Futex {
        word: AtomicU64,
        gate: Mutex<()>,
        sleepers: Condvar,
    }

    impl Futex {
        #[cfg(test)]
        pub(crate) fn new(value: u64) -> Self {
            Self { word: AtomicU64::new(value), gate: Mutex::new(()), sleepers: Condvar::new() }
        }

        pub(crate) fn word(&self) -> &AtomicU64 {
            &self.word
        }

        /// Sleeps without a limit: a wake-up that is lost is then a deadlock that loom reports.
        pub(crate) fn sleep(&self, expected: u32, _limit: Duration) {
            let gate = self.gate.lock().unwrap();
            if self.word.load(Relaxed) & u64::from(u32::MAX) == u64::from(expected) {
                drop(self.sleepers.wait(gate).unwrap());
            }
        }

        pub(crate) fn wake_all(&self) {
            drop(self.gate.lock().unwrap());
            self.sleepers.notify_all();
        }
    }
}
