//! The signals that end a run, as a descriptor to poll.
#![expect(unsafe_code, reason = "signal system calls")]

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};

/// The signals that ask a run to stop, or a terminal's Ctrl-Z to pause.
const HEARD: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGTSTP];

/// Receives SIGINT, SIGTERM, SIGHUP and SIGTSTP in place of their default action, until it is dropped.
///
/// Made by the main thread of a command-line program before it starts others, which inherit the mask.
#[derive(Debug)]
pub(crate) struct Signals {
    file: std::fs::File,
    before: libc::sigset_t,
}

impl Signals {
    pub(crate) fn take() -> io::Result<Self> {
        let set = heard();
        let mut before = empty();
        // SAFETY: both sets are valid.
        let code =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) };
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code));
        }
        // SAFETY: a valid set; a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just returned to us alone.
        Ok(Self { file: unsafe { std::fs::File::from_raw_fd(fd) }, before })
    }

    /// Returns the descriptor that is readable when a signal has come.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Returns the next signal's number; waits for one.
    pub(crate) fn next(&self) -> io::Result<i32> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        (&self.file).read_exact(&mut info)?;
        // The number is the first field, a u32.
        let number = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
        i32::try_from(number).map_err(io::Error::other)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: the set that was in force before.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut())
        };
    }
}

/// Calls `action`; signals that come to this thread meanwhile have their effect when it is over.
///
/// For the few system calls between which something exists that nobody else would clean up.
pub(crate) fn undisturbed<R>(action: impl FnOnce() -> R) -> R {
    let (mut all, mut before) = (empty(), empty());
    // SAFETY: an initialised set.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets are valid.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before) };
    let done = action();
    // SAFETY: the set that was in force before.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    done
}

/// Ends this process by `signal`, as if it had never been handled: shells then see 128+n.
pub(crate) fn die_by(signal: i32) -> ! {
    // SAFETY: the default disposition needs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    let mut set = empty();
    // SAFETY: an initialised set.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    // SAFETY: no memory is involved. Pending until it is unblocked, at the latest in the next line.
    unsafe { libc::raise(signal) };
    // SAFETY: a valid set.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
    std::process::exit(128 + signal) // A signal whose default is to be ignored.
}

/// Stops this process, as Ctrl-Z would have done, until somebody continues it.
pub(crate) fn stop_here() {
    // SAFETY: no memory is involved.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Lets writing to a pipe that nobody reads be an error instead of the end, as Rust's start does.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: ignoring needs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Lets writing beyond a file size limit be an error instead of the end.
pub(crate) fn ignore_file_size_limit() {
    // SAFETY: ignoring needs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks only; writable memory of its type.
    unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroed, perhaps filled in since: valid either way.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn empty() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: writable memory of its type.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: zeroed, then emptied.
    unsafe { set.assume_init() }
}

/// Returns the signals of [`HEARD`] that are not ignored.
///
/// `nohup`, and a shell's `&`, say by an ignored signal that it shall not end the program; blocked, it
/// would reach our descriptor all the same.
fn heard() -> libc::sigset_t {
    let mut set = empty();
    for signal in HEARD.into_iter().filter(|&signal| !ignored(signal)) {
        // SAFETY: an initialised set.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}
