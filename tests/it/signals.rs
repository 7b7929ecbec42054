//! Signals and time limits: a clean stop, and nobody outlives the launcher.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::{Sandbox, kill};

const ENDLESS: &str = "-n 2 -k spin --param cost=5ms --size 1e6 --output out.npy";

const ENDING: [(i32, &str); 3] =
    [(libc::SIGINT, "SIGINT"), (libc::SIGTERM, "SIGTERM"), (libc::SIGHUP, "SIGHUP")];

#[test]
fn dies_by_the_signal_that_stopped_it_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for (signal, name) in ENDING {
        for schedule in ["static", "dynamic"] {
            let mut running = sandbox.spmd(&format!("{ENDLESS} --schedule {schedule}")).start();
            running.ranks(2);
            running.signal(signal);
            let stopped = running.wait();
            assert_eq!(stopped.signal, Some(signal), "{}", stopped.told());
            assert!(stopped.stdout.is_empty());
            stopped.message(&format!("stopped by {name}"));
            assert_eq!(sandbox.read("out.npy"), b"old");
            assert_eq!(sandbox.names(), ["out.npy"]);
        }
    }
}

#[test]
fn a_signal_at_any_moment_of_the_start_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for microseconds in (0..20_000).step_by(500) {
        let running = sandbox.spmd(&format!("{ENDLESS} --timeout 30s")).orphans_follow().start();
        std::thread::sleep(std::time::Duration::from_micros(microseconds));
        running.signal(libc::SIGTERM);
        let stopped = running.wait();
        assert_eq!(stopped.signal, Some(libc::SIGTERM), "{}", stopped.told());
        assert_eq!(sandbox.read("out.npy"), b"old");
        assert_eq!(sandbox.names(), ["out.npy"]);
    }
}

#[test]
fn the_document_of_a_stopped_run_says_so() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(&format!("{ENDLESS} --json")).start();
    running.ranks(2);
    running.signal(libc::SIGINT);
    let stopped = running.wait();
    assert_eq!(stopped.signal, Some(libc::SIGINT));
    let document = stopped.json();
    assert_eq!(document["status"], "failed");
    assert_eq!(document["exit"], 130);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(ENDLESS).orphans_follow().start();
    let ranks = running.ranks(2);
    ranks.iter().for_each(|&rank| kill(rank, libc::SIGSTOP));
    running.signal(libc::SIGINT);
    std::thread::sleep(std::time::Duration::from_millis(100));
    running.signal(libc::SIGTERM);
    let stopped = running.wait();
    assert_eq!(stopped.signal, Some(libc::SIGTERM), "{}", stopped.told());
}

#[test]
fn stopped_ranks_cannot_keep_it_from_ending() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(ENDLESS).start();
    let ranks = running.ranks(2);
    kill(ranks[1], libc::SIGSTOP);
    running.signal(libc::SIGTERM);
    let stopped = running.wait();
    assert_eq!(stopped.signal, Some(libc::SIGTERM), "{}", stopped.told());
}

#[test]
fn ranks_follow_a_launcher_that_is_killed() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for schedule in ["static", "dynamic,1"] {
        for signal in [libc::SIGKILL, libc::SIGQUIT, libc::SIGABRT] {
            let arguments = format!("{ENDLESS} --schedule {schedule}");
            let mut running = sandbox.spmd(&arguments).orphans_follow().deadline(20).start();
            running.ranks(2);
            running.signal(signal);
            let killed = running.wait(); // Fails if they do not.
            assert_eq!(killed.signal, Some(signal), "{}", killed.told());
            assert_eq!(sandbox.read("out.npy"), b"old");
            assert_eq!(sandbox.names(), ["out.npy"]);
        }
    }
}

#[test]
fn a_launcher_killed_at_any_moment_of_the_start_leaves_nothing() {
    let sandbox = Sandbox::new();
    for microseconds in (0..20_000).step_by(500) {
        let running = sandbox.spmd(ENDLESS).orphans_follow().deadline(20).start();
        std::thread::sleep(std::time::Duration::from_micros(microseconds));
        running.signal(libc::SIGKILL);
        running.wait();
        assert!(sandbox.names().is_empty(), "{:?}", sandbox.names());
    }
    // Killed between creating a segment and removing its name, it leaves that to the next run.
    std::thread::sleep(std::time::Duration::from_millis(150));
    sandbox.spmd("-q -n 1 -k square").run().ok();
}

#[test]
fn names_that_killed_launchers_left_are_swept_and_nobody_elses() {
    let sandbox = Sandbox::new();
    // SAFETY: always succeeds.
    #[expect(unsafe_code, reason = "geteuid")]
    let uid = unsafe { libc::geteuid() };
    let name = |rest: &str| format!("/dev/shm/spmd-{uid}-test-{}-{rest}", std::process::id());
    let (stale, locked, link, folder) =
        (name("stale"), name("locked"), name("link"), name("folder"));
    let target = sandbox.write("target", "1");
    fs::write(&stale, "").unwrap();
    let held = fs::File::create(&locked).unwrap();
    held.lock().unwrap();
    std::os::unix::fs::symlink(target, &link).unwrap();
    fs::create_dir(&folder).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(150));
    sandbox.spmd("-q -n 1 -k square").run().ok();
    let left = [&stale, &locked, &link, &folder].map(|path| fs::symlink_metadata(path).is_ok());
    fs::remove_file(&locked).unwrap();
    fs::remove_file(&link).unwrap();
    fs::remove_dir(&folder).unwrap();
    assert_eq!(left, [false, true, true, true]);
    assert!(sandbox.names().contains(&"target".to_owned()));
}

#[test]
fn a_signal_that_was_ignored_before_stays_ignored() {
    // What nohup does, and a shell without job control to what it starts in the background.
    let sandbox = Sandbox::new();
    for (signal, name) in [(libc::SIGHUP, "HUP"), (libc::SIGINT, "INT")] {
        let script =
            format!("trap '' {name}; exec \"$0\" -n 2 -k spin --param cost=2ms --size 1000");
        let mut running = sandbox.shell(&script).start();
        running.ranks(2);
        running.signal(signal);
        let done = running.wait();
        assert_eq!(done.signal, None, "{}", done.told());
        done.ok();
    }
}

#[test]
fn the_interrupt_of_a_terminal_reaches_the_launcher_alone() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(ENDLESS).start();
    running.ranks(2);
    // Ctrl-C goes to the foreground group, which the launcher leads.
    kill(-running.pid(), libc::SIGINT);
    let stopped = running.wait();
    assert_eq!(stopped.signal, Some(libc::SIGINT), "{}", stopped.told());
    stopped.message("stopped by SIGINT");
}

#[test]
fn the_time_limit_ends_a_run_with_124() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for schedule in ["static", "dynamic"] {
        let arguments = format!("{ENDLESS} --timeout 200ms --schedule {schedule}");
        sandbox.spmd(&arguments).run().failed(124, "the time limit of 0.2s was reached");
        assert_eq!(sandbox.read("out.npy"), b"old");
    }
    let late = sandbox.spmd(&format!("{ENDLESS} --timeout 200ms --json")).run().exited(124);
    assert_eq!((&late.json()["status"], &late.json()["exit"]), (&"timeout".into(), &124.into()));
}

#[test]
fn the_time_limit_holds_for_a_chunk_longer_than_it() {
    // One index that takes a minute: nobody looks at a flag meanwhile.
    let sandbox = Sandbox::new();
    let arguments = "-n 2 -k spin --param cost=60s --size 2 --timeout 200ms";
    sandbox.spmd(arguments).deadline(30).run().failed(124, "time limit");
}

#[test]
fn a_run_faster_than_its_limit_is_not_touched_by_it() {
    let sandbox = Sandbox::new();
    sandbox.spmd("-q -n 2 -k square --timeout 1h").run().ok();
}

#[test]
fn the_program_may_be_replaced_while_it_runs() {
    let sandbox = Sandbox::new();
    let copy = sandbox.path("copy");
    std::fs::copy(crate::sandbox::SPMD, &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = "(sleep 0.02; rm copy) & exec ./copy -n 4 -k spin --param cost=1ms --size 400";
    sandbox.shell(script).orphans_follow().run().ok();
}

#[test]
fn a_signal_while_the_segment_has_a_name_leaves_none() {
    // It comes in the middle of the few system calls between making the segment and removing its name.
    let sandbox = Sandbox::new();
    let traced = std::process::Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !traced.is_ok_and(|status| status.success()) {
        return crate::sandbox::skipped("no process can be traced here");
    }
    for signal in ["TERM", "INT", "HUP"] {
        let trace =
            format!("-o trace -e trace=flock,unlink -e inject=flock:signal={signal}:when=1");
        let run = sandbox.program("strace").words(&trace).arg(crate::sandbox::SPMD);
        let stopped = run.words("-n 1 -k square").run();
        assert!(stopped.signal.is_some(), "{}", stopped.told());
        let trace = String::from_utf8(sandbox.read("trace")).unwrap();
        assert!(trace.contains("flock(") && trace.contains("unlink(\"/dev/shm/"), "{trace}");
        assert_eq!(sandbox.names(), ["trace"]);
    }
}
