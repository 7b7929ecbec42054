//! What befalls the launcher itself, and what it owes to whoever started it.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::npy;
use crate::sandbox::{
    Job, Process, Running, SPMD, Sandbox, example, kill, members, skipped, status_field,
};
use crate::values::Type::I64;

const LONG: &str = "-n 2 -k spin --param cost=5ms --size 1e6 --schedule dynamic,100";

fn faulty(sandbox: &Sandbox, how: &str, more: &str) -> Job {
    let arguments = format!("-n 2 -k faulty --param how={how} --size 1000 {more}");
    sandbox.program(example("faulty")).words(&arguments).env("FAULTY_AT", "567")
}

/// The processes of a session but its leader that have not ended.
fn living(session: i32) -> Vec<Process> {
    members(session).into_iter().filter(|process| process.state != 'Z').collect()
}

fn state(pid: i32) -> String {
    status_field(&pid.to_string(), "State")
}

/// Waits until the launcher and all of its ranks are, or are not, stopped.
fn until_stopped(running: &mut Running, wanted: bool) {
    running.until("stopped or continued", |launcher| {
        let ranks = members(launcher);
        let all = ranks.iter().all(|rank| (rank.state == 'T') == wanted);
        (all && state(launcher).starts_with('T') == wanted).then_some(())
    });
}

#[test]
#[expect(clippy::print_stderr, reason = "a figure, for people")]
fn ranks_follow_a_launcher_that_is_killed_at_any_of_two_hundred_moments() {
    /// Ten times what it takes: for a loaded machine.
    const WITHIN: Duration = Duration::from_millis(500);
    const SIZE: usize = 300_000;
    const MOMENTS: u32 = 200;
    let sandbox = Sandbox::new();
    let squares: Vec<u64> = (0..SIZE as u64).map(|x| x * x).collect();
    // Preparation, several passes, verification, output: all of it is in the span.
    let run =
        format!("-n 3 -k square --size {SIZE} --schedule dynamic,500 --repeats 4 --verify full");
    let whole = (0..5).map(|_| {
        let begun = Instant::now();
        sandbox.spmd(&format!("{run} --output out.npy")).run().ok();
        begun.elapsed()
    });
    let span = whole.min().unwrap();
    let (mut longest, mut finished) = (Duration::ZERO, 0);
    for moment in 0..MOMENTS {
        sandbox.write("out.npy", "old");
        let mode = if moment % 2 == 0 { "" } else { "--in-place" };
        let job = sandbox.spmd(&format!("{run} {mode} --output out.npy"));
        let running = job.orphans_follow().deadline(5).start();
        thread::sleep(span * moment / MOMENTS);
        running.signal(libc::SIGKILL);
        let killed = Instant::now();
        while !living(running.pid()).is_empty() {
            thread::sleep(Duration::from_micros(200));
        }
        longest = longest.max(killed.elapsed());
        running.wait();
        let found = sandbox.read("out.npy");
        if found != b"old" {
            assert_eq!(npy::payload(&found, I64, &[SIZE]), I64.bytes(&squares));
            finished += 1;
        }
        // Between the last two system calls of a replacement there is one more name.
        let hidden = sandbox.names().into_iter().filter(|name| name != "out.npy");
        hidden.for_each(|name| fs::remove_file(sandbox.path(&name)).unwrap());
    }
    eprintln!("{MOMENTS} launchers killed, {finished} too late; ranks lived {longest:.1?} longer");
    assert!(longest < WITHIN, "ranks lived {longest:?} longer than their launcher");
    // What a launcher left between making its segment and removing the name, the next run removes.
    thread::sleep(Duration::from_millis(150));
    sandbox.spmd("-q -n 1 -k square").run().ok();
}

/// More ranks than one thread starts: see `engine/spawners.rs`.
#[test]
fn ranks_that_several_threads_have_started_are_recovered_and_follow_their_launcher() {
    let sandbox = Sandbox::new();
    let run = "-n 40 -k square --size 1e4 --schedule static --verify full --json";
    let done = sandbox.spmd(run).run().ok();
    assert_eq!(done.json()["workers"].as_array().unwrap().len(), 40, "{}", done.told());
    let done = sandbox.spmd(&format!("{run} --inject kill:rank=33")).run().ok();
    assert_eq!(done.json()["recovered"], 1, "{}", done.told());
    let long = "-n 40 -k spin --param cost=5ms --size 1e6 --schedule dynamic,100";
    let mut running = sandbox.spmd(long).orphans_follow().deadline(20).start();
    running.ranks(40);
    running.signal(libc::SIGKILL);
    running.wait(); // Fails if they do not.
    // One that dies before it can read what it is to do.
    let done = sandbox.spmd(&format!("{run} --inject kill:rank=33,point=start")).run().ok();
    assert_eq!(done.json()["recovered"], 1, "{}", done.told());
    // Where a process too many is refused, those that are there already are ended: the sandbox looks. Files
    // that the shell has open leave room for what the launcher has counted, and for no more.
    let open: String = (30..60).map(|fd| format!("exec {fd}</dev/null; ")).collect();
    let script = format!("{open} ulimit -n 74; exec \"$0\" -n 40 -k square");
    let refused = sandbox.program("bash").arg("-c").arg(&script).arg(SPMD).run();
    refused.failed(125, "cannot start rank").says("ulimit -n");
}

#[test]
fn as_process_1_of_a_container_it_recovers_ends_and_reaps() {
    let sandbox = Sandbox::new();
    let probe = Command::new("unshare").args(["-pf", "--mount-proc", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return skipped("no process namespace can be made here");
    }
    let contained = |arguments: &str| {
        sandbox.program("unshare").words("-pf --mount-proc").arg(SPMD).words(arguments)
    };
    let done = contained("-n 2 -k square --verify full --inject kill --json").run().ok();
    assert_eq!(done.json()["recovered"], 1, "{}", done.told());
    for (signal, code) in [(libc::SIGTERM, 143), (libc::SIGINT, 130), (libc::SIGHUP, 129)] {
        let mut running = contained(LONG).deadline(10).start();
        running.ranks(2);
        // A signal's default action does not exist for process 1: it has to be heard, and an exit
        // code stands for what raising it again would say.
        let first = members(running.pid()).into_iter().find(|process| process.name == SPMD);
        kill(first.unwrap().pid, signal);
        running.wait().exited(code);
    }
}

#[test]
fn stops_and_goes_on_with_its_ranks() {
    let sandbox = Sandbox::new();
    let spin = "-n 2 -k spin --param cost=1ms --size 1000 --schedule dynamic,10 --verify full";
    let mut running = sandbox.spmd(&format!("{spin} --json")).start();
    running.ranks(2);
    for _ in 0..2 {
        running.signal(libc::SIGTSTP);
        until_stopped(&mut running, true);
        running.signal(libc::SIGCONT);
        until_stopped(&mut running, false);
    }
    let done = running.wait().ok();
    assert_eq!(done.json()["recovered"], 0, "{}", done.told());
    assert_eq!(done.json()["verify"], "ok");
}

#[test]
fn a_time_limit_does_not_run_while_it_is_stopped() {
    let sandbox = Sandbox::new();
    // Half a second of work, five to do it in, and six asleep.
    let spin = "-n 2 -k spin --param cost=1ms --size 1000 --timeout 5s";
    let mut running = sandbox.spmd(spin).start();
    running.ranks(2);
    running.signal(libc::SIGTSTP);
    until_stopped(&mut running, true);
    thread::sleep(Duration::from_secs(6));
    running.signal(libc::SIGCONT);
    running.wait().ok();
}

#[test]
fn a_second_signal_of_any_kind_ends_it_at_once() {
    let sandbox = Sandbox::new();
    for (first, second) in [
        (libc::SIGHUP, libc::SIGHUP),
        (libc::SIGTERM, libc::SIGTERM),
        (libc::SIGINT, libc::SIGINT),
        (libc::SIGTERM, libc::SIGHUP),
    ] {
        let mut running = sandbox.spmd(LONG).orphans_follow().deadline(5).start();
        // Ranks that cannot stop by themselves.
        running.ranks(2).into_iter().for_each(|rank| kill(rank, libc::SIGSTOP));
        running.signal(first);
        thread::sleep(Duration::from_millis(50));
        running.signal(second);
        let stopped = running.wait();
        assert_eq!(stopped.signal, Some(second), "{}", stopped.told());
    }
}

#[test]
fn time_in_which_it_was_stopped_is_no_overtime_of_a_rank() {
    let sandbox = Sandbox::new();
    // One chunk of 0.7 s, in steps: what is left of it after a stop still takes its time.
    for ranks_too in [false, true] {
        let more = "--schedule dynamic,100 --chunk-timeout 1s --json";
        let mut running = faulty(&sandbox, "doze", more).start();
        let ranks = running.ranks(2);
        thread::sleep(Duration::from_millis(200));
        running.signal(libc::SIGSTOP);
        let all = |signal| {
            if ranks_too {
                ranks.iter().for_each(|&rank| kill(rank, signal));
            }
        };
        all(libc::SIGSTOP);
        thread::sleep(Duration::from_secs(2));
        all(libc::SIGCONT);
        running.signal(libc::SIGCONT);
        let done = running.wait().ok();
        assert_eq!(done.json()["recovered"], 0, "{}", done.told());
    }
}

#[test]
fn fails_at_once_on_a_death_that_is_not_to_be_recovered() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    // The ranks that are left would take minutes for their blocks. The best of three: of a loaded
    // machine nothing can be demanded once.
    let tries = (0..3).map(|_| {
        let mut running = sandbox.spmd(&format!("{LONG} --on-death fail --output out.npy")).start();
        let ranks = running.ranks(2);
        kill(ranks[1], libc::SIGKILL);
        let killed = Instant::now();
        let failed = running.wait().exited(1);
        let took = killed.elapsed();
        failed.message(&format!("rank 1 (pid {}", ranks[1])).says("--on-death recover");
        assert_eq!(sandbox.read("out.npy"), b"old");
        took
    });
    let best = tries.min().unwrap();
    assert!(best < Duration::from_millis(500), "{best:?}");
}

#[test]
fn strict_makes_a_recovered_death_an_error_and_keeps_the_output() {
    let sandbox = Sandbox::new();
    let arguments = "-n 1 -k square --size 1000 --inject kill --output out.npy --strict";
    sandbox.spmd(arguments).run().exited(1).says("complete only after recovered deaths");
    let squares: Vec<u64> = (0..1000_u64).map(|x| x * x).collect();
    assert_eq!(npy::payload(&sandbox.read("out.npy"), I64, &[1000]), I64.bytes(&squares));
}

#[test]
fn what_a_kernel_has_started_ends_with_the_run() {
    let sandbox = Sandbox::new();
    for more in ["", "--inject kill:point=commit.after,chunk=5", "--in-place"] {
        let more = format!("{more} --schedule dynamic,100 --verify full");
        // A child of a rank waits for ever, in the rank's process group; it must not be waited for.
        let running = faulty(&sandbox, "fork", &more).orphans_follow().deadline(5).start();
        running.wait().ok();
    }
}

#[test]
fn ranks_dump_no_core() {
    let sandbox = Sandbox::new();
    let script = format!("ulimit -c unlimited; exec \"$0\" {LONG}");
    let mut running = sandbox.shell(&script).start();
    for rank in running.ranks(2) {
        let limits = fs::read_to_string(format!("/proc/{rank}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
    running.signal(libc::SIGTERM);
    running.wait();
}

#[test]
fn runs_at_once_do_not_know_of_each_other() {
    let sandbox = Sandbox::new();
    let squares: Vec<u64> = (0..5000_u64).map(|x| x * x).collect();
    thread::scope(|scope| {
        for thread in 0..8 {
            let (sandbox, squares) = (&sandbox, &squares);
            scope.spawn(move || {
                for _ in 0..5 {
                    let output = format!("out{thread}.npy");
                    let fault = if thread % 2 == 0 { "--inject kill" } else { "" };
                    let run = format!("-n 3 -k square --size 5000 --output {output} {fault}");
                    sandbox.spmd(&run).run().ok();
                    let found = sandbox.read(&output);
                    assert_eq!(npy::payload(&found, I64, &[5000]), I64.bytes(squares));
                }
            });
        }
    });
}
