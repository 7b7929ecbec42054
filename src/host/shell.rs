//! Commands of the user's, run by the shell.
#![expect(unsafe_code, reason = "what a new process does before it is the shell")]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::guard::Guard;

/// From SIGTERM to SIGKILL, for a command that is no longer wanted.
const GRACE: Duration = Duration::from_secs(2);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Killed(i32),
}

/// Runs `sh -c command` to its end, in the group of `guard`, with stdin empty and both its outputs
/// going to `log`. `go_on` is asked every now and then; once it has an error, the group is ended, with
/// SIGTERM first, and that error returned.
///
/// # Errors
/// Whatever `go_on` said, or that there is no such process to be had.
pub(crate) fn run<E: From<io::Error>>(
    command: &str,
    guard: &Guard,
    variables: &[(&str, String)],
    log: &File,
    mut go_on: impl FnMut() -> Result<(), E>,
) -> Result<Ended, E> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).process_group(guard.group());
    shell.stdout(log.try_clone()?).stderr(log.try_clone()?);
    shell.envs(variables.iter().map(|(name, value)| (name, value)));
    let parent = std::process::id();
    let with_us = move || {
        if super::procs::die_with(parent) { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
    };
    // SAFETY: `die_with` makes two system calls and touches no memory.
    unsafe { shell.pre_exec(with_us) };
    let mut child = shell.spawn()?;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(match status.signal() {
                Some(signal) => Ended::Killed(signal),
                None => Ended::Exited(status.code().unwrap_or(-1)),
            });
        }
        if let Err(error) = go_on() {
            end(&mut child, guard)?;
            return Err(error);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends a command and whatever it has started and left in its group.
fn end(child: &mut Child, guard: &Guard) -> io::Result<()> {
    let group = -guard.group();
    // SAFETY: no memory is involved; the leader is not reaped, so its number is still the group's.
    unsafe { libc::kill(group, libc::SIGTERM) };
    let asked = Instant::now();
    while !has_ended(child)? && asked.elapsed() < GRACE {
        thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: as above.
    unsafe { libc::kill(group, libc::SIGKILL) };
    child.wait().map(drop)
}

/// Says whether a child has ended, and leaves it as it is.
fn has_ended(child: &Child) -> io::Result<bool> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let how = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
    // SAFETY: writable memory of its type.
    let code = unsafe { libc::waitid(libc::P_PID, child.id(), info.as_mut_ptr(), how) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, perhaps filled in since: valid either way.
    let info = unsafe { info.assume_init() };
    // SAFETY: of a child that has ended it is set, else zero.
    Ok(unsafe { info.si_pid() } != 0)
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _};

    fn guard() -> Guard {
        Guard::start().expect("a shell")
    }

    fn log() -> File {
        let name = format!("spmd-shell-{}-{:?}", std::process::id(), thread::current().id());
        let path = std::env::temp_dir().join(name);
        let file =
            File::options().read(true).write(true).create_new(true).open(&path).expect("a log");
        std::fs::remove_file(path).expect("it is ours");
        file
    }

    #[test]
    fn a_command_has_its_variables_and_its_output_goes_to_the_log() {
        let mut log = log();
        let variables = [("WHO", "you".to_owned())];
        let ended = run::<io::Error>(
            "echo hello $WHO; echo no >&2; exit 3",
            &guard(),
            &variables,
            &log,
            || Ok(()),
        );
        assert_eq!(ended.expect("a shell"), Ended::Exited(3));
        let mut text = String::new();
        log.rewind().expect("a file");
        log.read_to_string(&mut text).expect("text");
        assert_eq!(text, "hello you\nno\n");
    }

    #[test]
    fn a_command_that_is_no_longer_wanted_is_ended() {
        let begin = Instant::now();
        let stop = || {
            let late = begin.elapsed() > Duration::from_millis(50);
            if late { Err(io::Error::other("enough")) } else { Ok(()) }
        };
        let ended = run("sleep 60", &guard(), &[], &log(), stop);
        assert_eq!(ended.expect_err("it was ended").to_string(), "enough");
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_signal_that_killed_a_command_is_known() {
        let ended = run::<io::Error>("kill -9 $$", &guard(), &[], &log(), || Ok(()));
        assert_eq!(ended.expect("a shell"), Ended::Killed(libc::SIGKILL));
    }
}
