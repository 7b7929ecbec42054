//! Which of stdin, stdout and stderr were closed when this process began.
//!
//! Rust's runtime opens `/dev/null` for each of them before `main`, which is right for safety and
//! wrong for honesty: results written there are lost without an error. So this looks before the
//! runtime does. (Looking later for `/dev/null` cannot work: it is also what a parent passes that
//! wants no output.)
#![expect(unsafe_code, reason = "looks at descriptors before the runtime does")]

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

static CLOSED: AtomicU8 = AtomicU8::new(0);

/// The linker's table of functions to run before `main`.
#[used]
// SAFETY: the section holds pointers to functions of this signature, which run once, before
// threads exist; this one calls fcntl and stores to a static, neither of which needs the runtime.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    for fd in 0..3 {
        // SAFETY: asks about a number; no memory is involved.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            CLOSED.fetch_or(1 << fd, Relaxed); // One thread exists.
        }
    }
}

/// Opens `/dev/null` for each that was closed, as Rust's start does, so that no file gets its number.
pub(crate) fn open_the_closed() {
    for fd in 0..3 {
        if CLOSED.load(Relaxed) & (1 << fd) != 0 {
            // SAFETY: a C string. The lowest free number is this one: those below are open by now.
            let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
            if opened != fd {
                std::process::abort(); // No descriptor to be had, or no /dev/null: as Rust's start.
            }
        }
    }
}

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Descriptor 0.
    Stdin,
    /// Descriptor 1.
    Stdout,
}

/// Says whether a stream was closed when this process began.
pub(crate) fn was_closed(stream: Stream) -> bool {
    CLOSED.load(Relaxed) & (1 << stream as u8) != 0 // Written before `main`.
}
