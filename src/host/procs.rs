//! Processes: start a rank, watch it by descriptor, signal it, reap it.
//!
//! Started with `posix_spawn` itself and not `std::process::Command`, for three reasons: file
//! actions place descriptors in the child without a moment in which another thread's child could
//! inherit them; spawn attributes reset the signal mask and dispositions in the child; and the path
//! is `clone(CLONE_VM|CLONE_VFORK)` whatever else is asked for, so that a launcher with gigabytes
//! mapped starts a rank as fast as a small one.
#![expect(unsafe_code, reason = "process system calls")]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The program every rank runs: this one, even if its file was replaced meanwhile.
pub(crate) const SELF: &CStr = c"/proc/self/exe";

/// A process this one has started and not yet reaped.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: libc::pid_t,
    /// Readable once the process has ended; signals go through it, so a reused pid cannot be hit.
    pub(crate) pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// A signal killed it.
    Killed(i32),
    /// Somebody else in this process reaped it: dead, of unknown cause.
    Unknown,
}

/// What happened to a process that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// This signal stopped it.
    Stopped(i32),
    /// It goes on.
    Continued,
}

/// Starts `program` with `arguments` and `environment`.
///
/// In the child, `descriptors[i]` is number 3+i, stdin is `/dev/null`, stdout goes to stderr (a
/// rank's print must not mix with results), every signal is unblocked and has its default action,
/// and the process is in a group of its own: a terminal's Ctrl-C reaches the launcher alone.
pub(crate) fn spawn(
    program: &CStr,
    arguments: &[&CStr],
    environment: &[CString],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<Child> {
    let mut actions = MaybeUninit::<libc::posix_spawn_file_actions_t>::uninit();
    let actions = actions.as_mut_ptr();
    // SAFETY: `actions` is writable memory of its type.
    check(unsafe { libc::posix_spawn_file_actions_init(actions) })?;
    let mut attributes = MaybeUninit::<libc::posix_spawnattr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: `attributes` is writable memory of its type.
    let prepared = check(unsafe { libc::posix_spawnattr_init(attributes) });
    let child = prepared.and_then(|()| {
        let child = describe(actions, attributes, descriptors)
            .and_then(|()| start(program, arguments, environment, actions, attributes));
        // SAFETY: initialised above, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(attributes) };
        child
    });
    // SAFETY: initialised above, destroyed once.
    unsafe { libc::posix_spawn_file_actions_destroy(actions) };
    child
}

fn describe(
    actions: *mut libc::posix_spawn_file_actions_t,
    attributes: *mut libc::posix_spawnattr_t,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    // First to numbers above all of them, then down: a source may itself be numbered like another
    // one's target, or like the streams replaced between. The high copies go with the rank's
    // `close_from`.
    let above = descriptors.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(0).max(16) + 1;
    for (fd, number) in descriptors.iter().zip(above..) {
        // SAFETY: `actions` is initialised. dup2 clears close-on-exec on the copy.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(actions, fd.as_raw_fd(), number) })?;
    }
    let null = |number, flags| {
        // SAFETY: `actions` is initialised; the path is a C string that outlives the call.
        check(unsafe {
            let path = c"/dev/null".as_ptr();
            libc::posix_spawn_file_actions_addopen(actions, number, path, flags, 0)
        })
    };
    null(0, libc::O_RDONLY)?;
    // SAFETY: asks about a number; no memory is involved.
    if unsafe { libc::fcntl(2, libc::F_GETFD) } < 0 {
        null(2, libc::O_WRONLY)?; // A host may have closed it.
    }
    // SAFETY: `actions` is initialised.
    check(unsafe { libc::posix_spawn_file_actions_adddup2(actions, 2, 1) })?;
    for (number, target) in (above..).zip(3..).take(descriptors.len()) {
        // SAFETY: as above.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(actions, number, target) })?;
    }
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: writable memory of its type.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: writable memory of its type.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: both are initialised.
    check(unsafe { libc::posix_spawnattr_setsigmask(attributes, none.as_ptr()) })?;
    // SAFETY: both are initialised.
    check(unsafe { libc::posix_spawnattr_setsigdefault(attributes, all.as_ptr()) })?;
    // SAFETY: initialised.
    check(unsafe { libc::posix_spawnattr_setpgroup(attributes, 0) })?;
    let flags =
        libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETPGROUP;
    let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
    // SAFETY: initialised.
    check(unsafe { libc::posix_spawnattr_setflags(attributes, flags) })
}

fn start(
    program: &CStr,
    arguments: &[&CStr],
    environment: &[CString],
    actions: *const libc::posix_spawn_file_actions_t,
    attributes: *const libc::posix_spawnattr_t,
) -> io::Result<Child> {
    let pointers =
        |texts: &mut dyn Iterator<Item = *const libc::c_char>| -> Vec<*mut libc::c_char> {
            texts.map(<*const _>::cast_mut).chain([std::ptr::null_mut()]).collect()
        };
    let argv = pointers(&mut arguments.iter().map(|text| text.as_ptr()));
    let envp = pointers(&mut environment.iter().map(|text| text.as_ptr()));
    let mut pid = 0;
    // SAFETY: all strings are NUL-terminated and both arrays end with null; posix_spawn only reads
    // them, despite the `*mut` of its C signature.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            actions,
            attributes,
            argv.as_ptr(),
            envp.as_ptr(),
        )
    })?;
    match pidfd_open(pid) {
        Ok(pidfd) => Ok(Child { pid, pidfd }),
        Err(error) => {
            // SAFETY: `pid` is our own unreaped child, so it cannot be anybody else.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above; no status is asked for.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            Err(error)
        }
    }
}

/// Opens what becomes readable when a process is gone.
pub(crate) fn pidfd_open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel just returned it, close-on-exec, to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Child {
    /// Sends a signal; a process that has already ended is no error.
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the descriptor is a pidfd we own; no memory is involved.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
    }

    /// Reaps the process if it has ended; `None` while it lives.
    ///
    /// What it has started, and left in its process group, ends with it.
    pub(crate) fn reap(&self) -> Option<Ended> {
        // While it is a zombie nobody else can have its number.
        match self.wait(libc::WEXITED | libc::WNOWAIT) {
            Ok(None) => return None,
            // SAFETY: no memory is involved; a group without members is no error that matters.
            Ok(Some(_)) => unsafe {
                libc::kill(-self.pid, libc::SIGKILL);
            },
            Err(_) => {}
        }
        match self.wait(libc::WEXITED) {
            Ok(None) => None,
            Ok(Some((libc::CLD_EXITED, status))) => Some(Ended::Exited(status)),
            Ok(Some((_, signal))) => Some(Ended::Killed(signal)),
            Err(error) => (error.raw_os_error() == Some(libc::ECHILD)).then_some(Ended::Unknown),
        }
    }

    /// Returns that the process was stopped or continued, if it was since the last call.
    pub(crate) fn change(&self) -> Option<Change> {
        match self.wait(libc::WSTOPPED | libc::WCONTINUED) {
            Ok(Some((libc::CLD_CONTINUED, _))) => Some(Change::Continued),
            Ok(Some((_, signal))) => Some(Change::Stopped(signal)),
            Ok(None) | Err(_) => None,
        }
    }

    /// Returns what `waitid` has to say, at once: a code and a status.
    fn wait(&self, what: i32) -> io::Result<Option<(i32, i32)>> {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: `info` is writable memory of its type.
        let done = unsafe {
            libc::waitid(
                libc::P_PIDFD,
                self.pidfd.as_raw_fd().unsigned_abs(),
                info.as_mut_ptr(),
                what | libc::WNOHANG,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed above, perhaps filled in since: valid either way.
        let info = unsafe { info.assume_init() };
        // SAFETY: waitid filled the child's part of the union, or left it zero.
        let pid = unsafe { info.si_pid() };
        // SAFETY: as above.
        let status = unsafe { info.si_status() };
        Ok((pid != 0).then_some((info.si_code, status)))
    }
}

/// Makes this process die with `parent`, and says whether that parent is still there.
///
/// The parent is named by pid rather than compared with 1, which in a container may be it.
pub(crate) fn die_with(parent: u32) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // Asked after the prctl: a parent that died before it is noticed here.
    // SAFETY: always succeeds.
    let now = unsafe { libc::getppid() };
    now.unsigned_abs() == parent
}

/// Closes every descriptor from `first` on: whatever a host program left open.
pub(crate) fn close_from(first: u32) {
    // SAFETY: called at the start of a rank, which owns no descriptor there yet.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Takes over a descriptor that the launcher placed at `number`.
///
/// # Safety
/// Nothing else in this process may own that number.
pub(crate) unsafe fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD touches no memory; SETFD below neither.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) };
    // SAFETY: it is open, and the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Whose figures the kernel is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This process's.
    Own,
    /// Those of its children that have ended and were reaped.
    Children,
}

/// What the kernel counts of a process for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// How often it took the CPU away to give it to others.
    pub(crate) involuntary_switches: u64,
    /// Page faults that had to wait for a disk.
    pub(crate) major_faults: u64,
}

/// Returns what the kernel has counted, since the process began.
pub(crate) fn usage(whose: Whose) -> Usage {
    let who = match whose {
        Whose::Own => libc::RUSAGE_SELF,
        Whose::Children => libc::RUSAGE_CHILDREN,
    };
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: writable memory of its type; zeroed, so valid whatever the call does.
    unsafe { libc::getrusage(who, usage.as_mut_ptr()) };
    // SAFETY: zeroed above.
    let usage = unsafe { usage.assume_init() };
    Usage {
        involuntary_switches: usage.ru_nivcsw.unsigned_abs(),
        major_faults: usage.ru_majflt.unsigned_abs(),
    }
}

/// Returns how often the kernel took the CPU away to give it to others.
pub(crate) fn involuntary_switches(whose: Whose) -> u64 {
    usage(whose).involuntary_switches
}

/// Sets the limit on core dumps to zero: a crash must not take minutes to become a death.
pub(crate) fn no_core_dumps() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid rlimit, only read.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}

/// Waits until one of the descriptors is readable, at most `timeout_ms`; says which are.
pub(crate) fn poll(descriptors: &[BorrowedFd<'_>], timeout_ms: i32) -> io::Result<Vec<bool>> {
    let mut set: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    // SAFETY: `set` is an array of that many pollfd.
    let ready = unsafe { libc::poll(set.as_mut_ptr(), set.len() as libc::nfds_t, timeout_ms) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok(vec![false; set.len()]);
    }
    Ok(set.iter().map(|entry| entry.revents != 0).collect())
}

fn check(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}
