//! Standard streams that are closed, full, gone, or not what one expects.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Stdio;

use crate::sandbox::{Running, Sandbox};

#[test]
fn a_closed_stdout_is_an_error_and_not_a_silent_loss() {
    let sandbox = Sandbox::new();
    for arguments in
        ["-n 2 -k square", "-n 2 -k square --output -", "kernels", "--help", "plan -k square"]
    {
        let failed = sandbox.shell(&format!("exec \"$0\" {arguments} >&-")).run().exited(1);
        failed.says("cannot write to standard output: it is closed");
    }
    sandbox.shell("exec \"$0\" -n 2 -k square --json >&-").run().exited(1).says("standard output");
    // Results that go to a file need no stdout.
    sandbox.shell("exec \"$0\" -n 2 -k square --output out.txt >&-").run().ok();
}

#[test]
fn a_full_stdout_is_an_error() {
    let sandbox = Sandbox::new();
    for arguments in
        ["-n 2 -k square", "-n 2 -k square --size 1e5 --output -", "-n 2 -k square --json"]
    {
        let failed = sandbox.shell(&format!("exec \"$0\" {arguments} > /dev/full")).run().exited(1);
        failed.says("cannot write to standard output").says("o space left on device");
    }
    // The advice is one that the command can take.
    for (arguments, hint) in [
        ("-n 2 -k square --size 1e5 --output -", "--output FILE"),
        ("topo", "a file where there is room"),
    ] {
        let failed = sandbox.shell(&format!("exec \"$0\" {arguments} > /dev/full")).run().exited(1);
        failed.says(hint);
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let sandbox = Sandbox::new();
    for arguments in
        ["-n 2 -k square --size 1e6 --output -", "-q -n 2 -k square", "--help", "kernels"]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = sandbox.spmd(arguments).start_with(writer.into(), Stdio::piped()).wait().ok();
        for word in ["panicked", "error", "roken pipe"] {
            assert!(!done.stderr.contains(word), "{}", done.told());
        }
    }
    let script = "(\"$0\" -q -n 2 -k square --size 1e6 --output -; echo $? > code) | head -c0";
    let done = sandbox.shell(script).run().ok();
    assert_eq!((done.stderr.as_str(), sandbox.read("code")), ("", b"0\n".to_vec()));
    let script = "(\"$0\" -q -n 2 -k square --size 1e6 --output -; echo $? > code) | head -n 2";
    let done = sandbox.shell(script).run().ok();
    assert_eq!((done.text(), sandbox.read("code")), ("0\n1\n", b"0\n".to_vec()));
}

#[test]
fn a_closed_or_full_stderr_changes_nothing() {
    let sandbox = Sandbox::new();
    for redirection in ["2>&-", "2>/dev/full"] {
        let done = sandbox.shell(&format!("exec \"$0\" -n 3 -k square {redirection}")).run().ok();
        assert_eq!(done.text(), "Results: [1, 4, 9, 16, 25]\n");
        sandbox.shell(&format!("exec \"$0\" -n 0 -k square {redirection}")).run().exited(2);
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = sandbox.spmd("-n 3 -k square").start_with(Stdio::piped(), writer.into()).wait().ok();
    assert_eq!(done.text(), "Results: [1, 4, 9, 16, 25]\n");
}

#[test]
fn all_streams_closed_still_makes_the_output_file() {
    let sandbox = Sandbox::new();
    for backing in ["shm", "memfd"] {
        let script =
            format!("exec \"$0\" -n 2 -k square --backing {backing} --output out.txt <&- >&- 2>&-");
        sandbox.shell(&script).run().ok();
        assert_eq!(sandbox.read("out.txt"), b"1\n4\n9\n16\n25\n");
    }
}

#[test]
fn a_closed_stdin_is_not_an_empty_input() {
    let sandbox = Sandbox::new();
    let refused = sandbox.shell("exec \"$0\" -n 2 -k square --input - <&-").run();
    refused.failed(2, "cannot read input `standard input`: it is closed");
    sandbox.shell("exec \"$0\" -q -n 2 -k square <&-").run().ok();
}

#[test]
fn stdin_is_left_alone_unless_it_is_the_input() {
    let sandbox = Sandbox::new();
    let script = "printf '1\\n2\\n' | (\"$0\" -q -n 2 -k square --input 3 > /dev/null; cat)";
    assert_eq!(sandbox.shell(script).run().ok().text(), "1\n2\n");
}

#[test]
fn a_directory_as_stdin_is_refused() {
    let sandbox = Sandbox::new();
    let job = sandbox.spmd("-n 2 -k square --input -").stdin(File::open("/").unwrap());
    job.run().failed(2, "standard input");
}

#[test]
fn a_large_stdin_is_read_whole() {
    let sandbox = Sandbox::new();
    let text: String = (0..300_000).map(|x| format!("{x}\n")).collect();
    let record = sandbox.spmd("-n 2 -k square --input - --json").input(text).run().ok().json();
    assert_eq!(record["size"], 300_000);
    assert_eq!(record["result"]["last"][0], 299_999_u64 * 299_999);
}

#[test]
fn there_is_no_progress_bar_on_a_pipe() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("-n 2 -k spin --param cost=1ms --size 3000").run().ok();
    assert!(!done.stderr.contains(['\r', '\u{1b}']), "{}", done.told());
    assert!(!done.stderr.contains(" left"), "{}", done.told());
}

/// Runs a job with a terminal as stderr; returns what the terminal was shown.
#[expect(unsafe_code, reason = "openpty")]
fn on_terminal(start: impl FnOnce(Stdio) -> Running) -> String {
    let (mut master, mut slave) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: two writable integers; no name, no modes, no size.
    let done =
        unsafe { libc::openpty(&raw mut master, &raw mut slave, null, null.cast(), null.cast()) };
    assert_eq!(done, 0);
    // SAFETY: just returned to us alone.
    let master = unsafe { OwnedFd::from_raw_fd(master) };
    // SAFETY: as above.
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    let running = start(slave.into());
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        let mut master = File::from(master);
        while let Ok(n @ 1..) = master.read(&mut buffer) {
            text.extend_from_slice(&buffer[..n]);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    running.wait().ok();
    reader.join().unwrap()
}

#[test]
fn a_long_run_on_a_terminal_has_a_progress_bar() {
    let sandbox = Sandbox::new();
    let run = |more: &str| {
        let arguments = format!("-n 2 -k spin --param cost=1ms --size 4000 {more}");
        let job = sandbox.spmd(&arguments).env("TERM", "xterm");
        on_terminal(|stderr| job.start_with(Stdio::piped(), stderr))
    };
    assert!(run("").contains("/4,000"), "there is a bar");
    for without in ["--progress never", "--json", "-q"] {
        assert!(!run(without).contains("/4,000"), "{without}");
    }
}

#[test]
fn colour_is_for_terminals_and_for_who_asks() {
    let sandbox = Sandbox::new();
    let refused = sandbox.spmd("-n 1 -k nothing --color always").run().exited(127);
    assert!(refused.stderr.contains("\u{1b}["));
    for job in [
        sandbox.spmd("-n 1 -k nothing"),
        sandbox.spmd("-n 1 -k nothing --color never"),
        sandbox.spmd("-n 1 -k nothing --color auto").env("NO_COLOR", "1"),
    ] {
        assert!(!job.run().exited(127).stderr.contains('\u{1b}'));
    }
}
