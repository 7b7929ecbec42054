//! The work counter's lock: `raw_sync`'s mutex over a pthread mutex that survives its holder.
//!
//! `raw_sync::Mutex::new` makes a mutex that nobody can take once its holder was killed. So the
//! launcher initialises a *robust* process-shared mutex itself, and everybody wraps it with
//! `Mutex::from_existing`. The next locker after a death is then told (`EOWNERDEAD`), while it
//! holds the lock. It goes on, so that nobody hangs until the abort that follows a death reaches all.
//! Who owns a chunk is decided by one store (see [`super::claims`]); if the holder died right after it,
//! the claim is half done, which whoever goes on claiming after a death would have to repair first.
//!
//! Three traps of `raw_sync` 0.1.5 are handled here and nowhere else: the death notice arrives as
//! an `Err` although the lock is held; its guard unwraps in `Drop`; and timeouts that are not whole
//! seconds fail at once under contention.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::time::Duration;

use raw_sync::Timeout;
use raw_sync::locks::{LockImpl, LockInit, Mutex};

use super::header::Header;

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
        // process maps them yet (the segment is not published).
        let init = || unsafe { libc::pthread_mutex_init(header.lock().cast(), attributes) };
        let done = check(shared()).and_then(|()| check(robust())).and_then(|()| check(init()));
        // SAFETY: initialised above, destroyed once.
        unsafe { libc::pthread_mutexattr_destroy(attributes) };
        done
    }

    /// Wraps the mutex of a published segment.
    #[expect(unsafe_code, reason = "raw_sync takes raw memory")]
    pub(crate) fn attach(header: &'a Header) -> io::Result<Self> {
        // SAFETY: a mutex was initialised there before the segment was published; the memory stays
        // mapped for 'a. The second pointer is the datum raw_sync guards for its own guard type,
        // which is never dereferenced here.
        let (mutex, _) = unsafe { Mutex::from_existing(header.lock(), std::ptr::null_mut()) }
            .map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self { mutex, memory: PhantomData })
    }

    /// Acquires the lock, waiting a second at most. The only place that calls raw_sync's `lock`.
    #[expect(unsafe_code, reason = "pthread_mutex_consistent")]
    pub(crate) fn acquire(&self) -> Result<Held<'_>, LockFault> {
        let mutex = &*self.mutex;
        match mutex.try_lock(Timeout::Val(LOOK_AGAIN)) {
            Ok(guard) => {
                std::mem::forget(guard); // Its Drop panics where ours reports.
                Ok(Held { mutex })
            }
            Err(error) => match trailing_number(&error.to_string()) {
                Some(libc::EOWNERDEAD) => {
                    let held = Held { mutex }; // Held from here on, also if the next line fails.
                    // SAFETY: this thread holds the mutex, as EOWNERDEAD says.
                    check(unsafe { libc::pthread_mutex_consistent(mutex.as_raw().cast()) })
                        .map_err(LockFault::Broken)?;
                    tracing::debug!("the counter's last holder died; its lock was taken over");
                    Ok(held)
                }
                Some(libc::ETIMEDOUT) => Err(LockFault::Busy),
                Some(number) => Err(LockFault::Broken(io::Error::from_raw_os_error(number))),
                None => Err(LockFault::Broken(io::Error::other(error.to_string()))),
            },
        }
    }
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
