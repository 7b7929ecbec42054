//! The work counter's lock: `raw_sync`'s mutex over a pthread mutex that survives its holder.
//!
//! `raw_sync::Mutex::new` makes a mutex that nobody can take once its holder was killed. So the
//! launcher initialises a *robust* process-shared mutex itself, and everybody wraps it with
//! `Mutex::from_existing`. The next locker after a death is then told (`EOWNERDEAD`), while it
//! holds the lock. It goes on as if nothing had happened: who owns a chunk is decided by one store, and
//! every claim begins by repairing one that was left half done (see [`super::claims`]).
//!
//! The mark of a death is the kernel's: it walks a list in the dying thread's memory. The out-of-memory
//! reaper may have taken that memory before, and then the mutex stays locked for ever. So the
//! launcher looks after each death, and marks it itself: [`Lock::break_if_held_by`].
//!
//! Three traps of `raw_sync` 0.1.5 are handled here and nowhere else: the death notice arrives as
//! an `Err` although the lock is held; its guard unwraps in `Drop`; and timeouts that are not whole
//! seconds fail at once under contention.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
// Not loom's: the word is the C library's, which loom does not see.
#[cfg(target_env = "gnu")]
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use raw_sync::Timeout;
use raw_sync::locks::{LockImpl, LockInit, Mutex};

use super::header::Header;
#[cfg(target_env = "gnu")]
use super::sync::{Relaxed, Release};

/// No wait for the lock is longer than this without looking at `abort`. Whole seconds.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The counter's lock, as this process sees it.
pub(crate) struct Lock<'a> {
    mutex: Box<dyn LockImpl>,
    memory: PhantomData<&'a Header>,
}

/// The lock is held until this is dropped.
#[must_use]
pub(crate) struct Held<'a> {
    mutex: &'a dyn LockImpl,
}

/// Why the lock was not acquired.
#[derive(Debug)]
pub(crate) enum LockFault {
    /// A second has passed: look at `abort`, and try again.
    Busy,
    /// The mutex is unusable.
    Broken(io::Error),
}

impl<'a> Lock<'a> {
    /// Initialises the mutex in a segment that no other process uses yet.
    #[expect(unsafe_code, reason = "pthread calls")]
    pub(crate) fn initialise(header: &Header) -> io::Result<()> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: `attributes` is writable memory of its type.
        check(unsafe { libc::pthread_mutexattr_init(attributes) })?;
        // SAFETY: initialised above.
        let shared = || unsafe {
            libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED)
        };
        // SAFETY: initialised above.
        let robust =
            || unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) };
        // SAFETY: the header keeps 128 bytes, aligned to 128, for the 40 of the mutex; no other
        // process uses them yet (the segment is not published).
        let init = || unsafe { libc::pthread_mutex_init(header.lock().cast(), attributes) };
        let done = check(shared()).and_then(|()| check(robust())).and_then(|()| check(init()));
        // SAFETY: initialised above, destroyed once.
        unsafe { libc::pthread_mutexattr_destroy(attributes) };
        done
    }

    /// Wraps the mutex of a published segment.
    #[expect(unsafe_code, reason = "raw_sync takes raw memory")]
    pub(crate) fn attach(header: &'a Header) -> io::Result<Self> {
        // The second pointer is the datum of raw_sync's own guard type, which never dereferences it.
        // SAFETY: a mutex was initialised there before the segment was published, and stays mapped
        // for 'a.
        let (mutex, _) = unsafe { Mutex::from_existing(header.lock(), std::ptr::null_mut()) }
            .map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self { mutex, memory: PhantomData })
    }

    /// Acquires the lock, waiting a second at most.
    ///
    /// First without raw_sync, which reads the clock before it looks at the mutex: that is a third of a
    /// claim. Then a few times after a while, and at last by raw_sync, which sleeps.
    pub(crate) fn acquire(&self) -> Result<Held<'_>, LockFault> {
        let mutex = &*self.mutex;
        let mut patience = Patience::new();
        loop {
            match self.seize() {
                libc::EBUSY => {}
                code => return self.outcome(code),
            }
            if !patience.wait(mutex) {
                break;
            }
        }
        match mutex.try_lock(Timeout::Val(LOOK_AGAIN)) {
            Ok(guard) => {
                std::mem::forget(guard); // Its Drop panics where ours reports.
                Ok(Held { mutex })
            }
            Err(error) => match trailing_number(&error.to_string()) {
                Some(code) => self.outcome(code),
                None => Err(LockFault::Broken(io::Error::other(error.to_string()))),
            },
        }
    }

    /// Takes the mutex if it is free; returns what the C library says.
    #[expect(unsafe_code, reason = "pthread_mutex_trylock")]
    fn seize(&self) -> i32 {
        // SAFETY: `attach` has wrapped a mutex that was initialised and stays mapped.
        unsafe { libc::pthread_mutex_trylock(self.mutex.as_raw().cast()) }
    }

    /// Says what a try to lock has come to.
    #[expect(unsafe_code, reason = "pthread_mutex_consistent")]
    fn outcome(&self, code: i32) -> Result<Held<'_>, LockFault> {
        let mutex = &*self.mutex;
        match code {
            0 => Ok(Held { mutex }),
            libc::EOWNERDEAD => {
                let held = Held { mutex }; // Held from here on, also if the next line fails.
                // SAFETY: this thread holds the mutex, as EOWNERDEAD says.
                check(unsafe { libc::pthread_mutex_consistent(mutex.as_raw().cast()) })
                    .map_err(LockFault::Broken)?;
                tracing::debug!("the counter's last holder died; its lock was taken over");
                Ok(held)
            }
            libc::ETIMEDOUT => Err(LockFault::Busy),
            number => Err(LockFault::Broken(io::Error::from_raw_os_error(number))),
        }
    }
}

/// How long a rank stays awake for a lock that is held: it is held for some ten nanoseconds, and to sleep and
/// be woken takes a hundred times that.
///
/// Between two looks it leaves the mutex's line alone. The line, the tail's and the leases' then stay with the
/// holder, which may well be back for its next chunk: a series of claims by one rank costs a fraction of as
/// many that change hands. Nobody starves by that: whoever computes between two claims is away for longer.
struct Patience {
    looks: u32,
}

impl Patience {
    /// Pauses before each look. How long one lasts differs by processor; all looks together are some microseconds: a
    /// holder that has lost its CPU is not waited for like this. (On a Xeon of two virtual CPUs: two ranks that do nothing else: 430 ns a claim with
    /// a look after every pause, 160 with 16 pauses, 68 with 64. Where a chunk lasts 300 ns, 1 or 3 us, no
    /// difference showed.)
    const PAUSES: u32 = 64;
    const LOOKS: u32 = 4;

    fn new() -> Self {
        Self { looks: 0 }
    }

    /// Waits until the lock looks free, or returns false when it has waited for long enough.
    fn wait(&mut self, mutex: &dyn LockImpl) -> bool {
        while self.looks < Self::LOOKS {
            self.looks += 1;
            for _ in 0..Self::PAUSES {
                std::hint::spin_loop();
            }
            if looks_free(mutex) {
                return true;
            }
        }
        false
    }
}

/// What glibc's robust mutex begins with: a word whose bits are agreed with the kernel
/// (`linux/futex.h`). That it comes first in the mutex is glibc's choice, checked below by
/// `the_first_word_of_the_mutex_names_the_thread_that_holds_it`.
#[cfg(target_env = "gnu")]
mod word {
    pub(super) const WAITERS: u32 = 0x8000_0000;
    pub(super) const OWNER_DIED: u32 = 0x4000_0000;
    pub(super) const OWNER: u32 = 0x3fff_ffff;
}

#[cfg(target_env = "gnu")]
impl Lock<'_> {
    /// Marks the death of the process `pid` in the lock, if that held it and the kernel has not.
    ///
    /// For the launcher, once the death is confirmed and before any process is started that might be
    /// given the same number. Takes no lock and never waits. A rank holds the lock in its first thread
    /// only, whose number is the pid.
    pub(crate) fn break_if_held_by(header: &Header, pid: libc::pid_t) {
        use word::{OWNER, OWNER_DIED, WAITERS};
        let word = futex(header);
        let mut now = word.load(Relaxed); // The exchange decides.
        while pid > 0 && now & OWNER == pid.unsigned_abs() {
            // Release, pairs with the Acquire of whoever locks the mutex next: what the dead holder
            // stored comes before its death, and that before this.
            match word.compare_exchange(now, now & WAITERS | OWNER_DIED, Release, Relaxed) {
                Ok(_) => {
                    tracing::debug!("the counter's lock was still held by {pid}, which is dead");
                    break;
                }
                Err(other) => now = other, // Somebody has begun to wait.
            }
        }
        // Also where it had given the lock back: it may have died before it woke the next one.
        wake_one(word);
    }
}

/// Says whether nobody seems to hold the mutex. A look; whether it is free the mutex decides.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the mutex is the C library's")]
fn looks_free(mutex: &dyn LockImpl) -> bool {
    // SAFETY: the mutex begins with this word (see `word`), aligned to 128; all uses of it are atomic.
    let word = unsafe { AtomicU32::from_ptr(mutex.as_raw().cast()) };
    word.load(Relaxed) & word::OWNER == 0
}

#[cfg(not(target_env = "gnu"))]
fn looks_free(_: &dyn LockImpl) -> bool {
    true
}

#[cfg(not(target_env = "gnu"))]
impl Lock<'_> {
    /// Does nothing: how this C library lays out its mutex is not known.
    pub(crate) fn break_if_held_by(_: &Header, _: libc::pid_t) {}
}

/// Returns the word on which glibc's mutex sleeps.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the mutex is the C library's")]
fn futex(header: &Header) -> &AtomicU32 {
    // SAFETY: inside the header, aligned to 128; all that use these four bytes use them atomically.
    unsafe { AtomicU32::from_ptr(header.lock().cast()) }
}

/// Wakes one of those who wait for the mutex, in whatever process.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the futex system call")]
fn wake_one(word: &AtomicU32) {
    // SAFETY: the word outlives the call, which does not access it. No FUTEX_PRIVATE_FLAG: the mutex is
    // process-shared, and glibc sleeps on it without.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.mutex.release() {
            tracing::error!("the counter's lock cannot be released: {error}");
        }
    }
}

fn check(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Reads the errno at the end of raw_sync's messages: "Failed to acquire mutex : 130".
fn trailing_number(text: &str) -> Option<i32> {
    text.rsplit(' ').next()?.parse().ok()
}

#[cfg(all(test, target_env = "gnu", not(spmd_loom)))]
mod tests {
    #![expect(unsafe_code, reason = "system calls, and a header in memory of its own")]

    use super::*;
    use std::thread;

    /// A header of nothing but a mutex.
    fn header() -> &'static Header {
        let memory = Box::leak(Box::new(MaybeUninit::<Header>::zeroed()));
        // SAFETY: made of atomics, for which zero is a value.
        let header = unsafe { memory.assume_init_ref() };
        Lock::initialise(header).unwrap();
        header
    }

    fn thread_id() -> libc::pid_t {
        // SAFETY: always succeeds.
        unsafe { libc::gettid() }
    }

    /// Locks in a thread that the kernel will know nothing of, and ends it; returns its number.
    fn die_unmarked(header: &'static Header) -> libc::pid_t {
        thread::spawn(move || {
            let lock = Lock::attach(header).unwrap();
            let none = std::ptr::null::<u8>();
            // SAFETY: a list that is not there is never walked.
            let forgotten = unsafe { libc::syscall(libc::SYS_set_robust_list, none, 24) };
            assert_eq!(forgotten, 0);
            std::mem::forget(lock.acquire().unwrap());
            thread_id()
        })
        .join()
        .unwrap()
    }

    #[test]
    fn the_first_word_of_the_mutex_names_the_thread_that_holds_it() {
        let header = header();
        let lock = Lock::attach(header).unwrap();
        assert_eq!(futex(header).load(Relaxed), 0);
        let held = lock.acquire().unwrap();
        assert_eq!(futex(header).load(Relaxed), thread_id().unsigned_abs());
        Lock::break_if_held_by(header, thread_id() + 1);
        assert_eq!(futex(header).load(Relaxed), thread_id().unsigned_abs());
        drop(held);
        assert_eq!(futex(header).load(Relaxed), 0);
    }

    #[test]
    fn a_lock_whose_holder_died_without_a_mark_is_had_once_it_is_broken() {
        let header = header();
        let holder = die_unmarked(header);
        let lock = Lock::attach(header).unwrap();
        assert!(matches!(lock.acquire(), Err(LockFault::Busy)), "the kernel has marked it");
        Lock::break_if_held_by(header, holder);
        assert_eq!(futex(header).load(Relaxed) & word::OWNER_DIED, word::OWNER_DIED);
        drop(lock.acquire().unwrap());
        drop(lock.acquire().unwrap());
        assert_eq!(futex(header).load(Relaxed), 0, "and it is as any other again");
    }

    #[test]
    fn who_waits_for_a_lock_that_is_broken_is_woken() {
        let header = header();
        let holder = die_unmarked(header);
        let waiter = thread::spawn(move || {
            let lock = Lock::attach(header).unwrap();
            while lock.acquire().is_err() {}
        });
        while futex(header).load(Relaxed) & word::WAITERS == 0 {
            thread::yield_now();
        }
        Lock::break_if_held_by(header, holder);
        waiter.join().unwrap();
    }
}
