//! Checkpoints: what is finished outlives the death of everything, and of the machine.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{Job, Outcome, Running, Sandbox, example, kill};

/// Where the parts of a checkpoint lie; `src/engine/checkpoint/bytes.rs` draws them.
const RUN_BODY: u64 = (64 << 10) + 4096;
const RECORDS: u64 = 128 << 10;
const RECORD_BYTES: u64 = 640 << 10;
const WORDS: u64 = 2 << 20;
const RESULT: u64 = 4 << 20;

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// Kills a run and all its ranks at once.
fn crash(running: Running) -> Outcome {
    kill(-running.pid(), libc::SIGKILL);
    running.wait()
}

/// Lets a run go on for so long, and kills all of it; `None` if it was complete before.
fn crash_after(job: Job, milliseconds: u64) -> Option<Outcome> {
    let running = job.orphans_follow().start();
    thread::sleep(Duration::from_millis(milliseconds));
    let outcome = crash(running);
    assert!(outcome.signal == Some(libc::SIGKILL) || outcome.code == Some(0), "{}", outcome.told());
    (outcome.code != Some(0)).then_some(outcome)
}

/// Waits until a run has computed something, by what lies in its checkpoint.
fn until_some(sandbox: &Sandbox, running: &mut Running, size: u64) {
    running.until("some results", |_| (computed(sandbox, "c", size)? > 0).then_some(()));
}

/// Counts the results of 8 bytes that are not zero; `None` without a file.
fn computed(sandbox: &Sandbox, name: &str, size: u64) -> Option<u64> {
    let file = fs::File::open(sandbox.path(name)).ok()?;
    let mut bytes = vec![0; usize::try_from(size * 8).unwrap()];
    file.read_exact_at(&mut bytes, RESULT).ok()?;
    Some(bytes.chunks(8).filter(|bytes| bytes.iter().any(|&byte| byte != 0)).count() as u64)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

/// Checks that a run has found `found` indices finished and computed all the others.
fn check_shares(record: &Value) -> u64 {
    let resumed = number(&record["resumed"]);
    let items: u64 =
        record["workers"].as_array().unwrap().iter().map(|worker| number(&worker["items"])).sum();
    assert_eq!(items, number(&record["size"]) - resumed, "{record}");
    resumed
}

#[test]
fn a_run_killed_whole_forty_times_redoes_only_what_was_in_flight() {
    let sandbox = Sandbox::new();
    const SIZE: u64 = 40_000;
    let problem = format!("-k spin --param cost=60us --param dist=exp --size {SIZE} --seed 5");
    let mut dice = Dice(1);
    let (mut kills, mut in_flight, mut seen) = (0, 0, 0);
    for _ in 0..40 {
        let procs = 1 + dice.below(3);
        let schedule = dice.one_of(&["dynamic,7", "static,5", "dynamic,1", "static,1"]);
        let run = format!("-q -n {procs} --schedule {schedule} {problem} --output out.npy");
        let Some(_) = crash_after(sandbox.spmd(&run).words("--checkpoint c"), dice.below(120))
        else {
            break;
        };
        kills += 1;
        in_flight += procs * 7;
        let now = computed(&sandbox, "c", SIZE).unwrap_or(0);
        assert!(now >= seen, "results were lost");
        seen = now;
    }
    assert!(kills >= 30, "{kills} kills");
    let done = sandbox
        .spmd(&format!("-n 2 --schedule guided {problem} --output out.npy --checkpoint c --json"))
        .run()
        .ok();
    let resumed = check_shares(&done.json());
    assert!(resumed > 0, "{}", done.told());
    assert!(resumed <= seen && seen - resumed <= in_flight, "{resumed} of {seen}, {in_flight}");
    sandbox.spmd(&format!("-q -n 2 {problem} --output whole.npy")).run().ok();
    assert_eq!(sandbox.read("out.npy"), sandbox.read("whole.npy"));
    assert_eq!(sandbox.names(), ["out.npy", "whole.npy"], "the checkpoint is gone");
}

#[test]
fn any_output_and_schedule_is_the_same_after_crashes() {
    let sandbox = Sandbox::new();
    let problem = "-k spin --param cost=100us --param dist=heavy --size 6000 --dtype f64 --seed 9";
    let schedules = ["static", "static,3", "dynamic", "dynamic,2", "guided", "guided,4"];
    let mut dice = Dice(7);
    for output in ["out.npy", "out.bin", "out.txt", "out.csv", "-"] {
        for _ in 0..6 {
            let (procs, schedule) = (1 + dice.below(3), dice.one_of(&schedules));
            let run = format!("-q -n {procs} --schedule {schedule} {problem} --output {output}");
            if crash_after(sandbox.spmd(&run).words("--checkpoint c"), dice.below(150)).is_none() {
                break;
            }
            assert!(!sandbox.path(output).exists());
        }
        let run = |more: &str| sandbox.spmd(&format!("-q -n 2 {problem} {more}")).run().ok();
        let resumed = run(&format!("--output {output} --checkpoint c"));
        let name = output.strip_prefix("out").map(|kind| format!("whole{kind}"));
        let whole = run(&format!("--output {}", name.as_deref().unwrap_or("-")));
        assert_eq!(resumed.stdout, whole.stdout);
        if let Some(name) = name {
            assert_eq!(sandbox.read(output), sandbox.read(&name));
        }
        assert!(!sandbox.path("c").exists());
    }
}

#[test]
fn in_place_nothing_finished_is_computed_twice() {
    let sandbox = Sandbox::new();
    const SIZE: u64 = 600_000;
    sandbox.spmd(&format!("-q -n 2 -k square --size {SIZE} --output x.npy")).run().ok();
    let text: String = (0..20_000_u64).map(|i| format!("{}\n", i * i % 40_001)).collect();
    sandbox.write("x.txt", text);
    let mut dice = Dice(3);
    for input in ["x.npy", "x.txt"] {
        let problem = format!("-q -k square --input {input} --overflow wrap");
        let mut finished = 0;
        for _ in 0..12 {
            let (procs, schedule) = (1 + dice.below(3), dice.one_of(&["dynamic,1", "static,1"]));
            let run = format!("{problem} -n {procs} --in-place --schedule {schedule}");
            let run = sandbox.spmd(&run).words("--output out.npy --checkpoint c");
            if crash_after(run, 20 + dice.below(120)).is_none() {
                finished += 1;
                break;
            }
        }
        if finished == 0 {
            let run = "--in-place -n 2 --output out.npy --checkpoint c --verify full";
            sandbox.spmd(&format!("{problem} {run}")).run().ok();
        }
        sandbox.spmd(&format!("{problem} -n 2 --output whole.npy")).run().ok();
        assert_eq!(sandbox.read("out.npy"), sandbox.read("whole.npy"), "{input}");
    }
}

const SLOW: &str = "-n 2 -k spin --param cost=300us --size 8000 --output out.npy --checkpoint c";

/// Leaves a checkpoint of `SLOW` of which some is finished, after at least so long.
fn leave(sandbox: &Sandbox, milliseconds: u64) {
    let mut running = sandbox.spmd(SLOW).orphans_follow().start();
    until_some(sandbox, &mut running, 8000);
    thread::sleep(Duration::from_millis(milliseconds));
    crash(running);
}

#[test]
fn what_decides_a_result_must_not_have_changed() {
    let sandbox = Sandbox::new();
    let problem = "-q -n 1 -k spin --param cost=2ms --output out.npy --checkpoint c";
    let begin = |input: &str| {
        let _ = fs::remove_file(sandbox.path("c"));
        let job = sandbox.spmd(problem).words("--dtype i64").words(input);
        let mut running = job.orphans_follow().start();
        until_some(&sandbox, &mut running, 1000);
        crash(running);
    };
    let refused = |job: Job, field: &str, found: &str, expected: &str| {
        let before = sandbox.read("c");
        let text = format!(
            "checkpoint `c` is of another run: its {field} is {found}, this run's is {expected}"
        );
        job.run().failed(2, &text).says("hint: ").says("delete it, or name another file");
        assert!(before == sandbox.read("c"), "it is as it was");
    };
    begin("--size 1000");
    let with = |more: &str| sandbox.spmd(problem).words("--size 1000").words(more);
    let other =
        |problem: &str| sandbox.spmd("-q -n 1 --checkpoint c --size 1000 -k").words(problem);
    refused(other("square"), "kernel", "spin", "square");
    refused(other("spin --param cost=3ms"), "parameter cost", "2ms", "3ms");
    refused(other("spin --param cost=2ms --param dist=exp"), "parameter dist", "const", "exp");
    refused(with("--dtype f64"), "dtype", "i64", "f64");
    refused(with("--overflow wrap"), "overflow", "error", "wrap");
    refused(with("--seed 2"), "seed", "1", "2");
    refused(with("--in-place"), "mode", "apart", "in place");
    refused(sandbox.spmd(problem).words("--size 1001"), "size", "1000", "1001");
    let first = "the integers from 0 on";
    let job = || sandbox.spmd(problem).words("--dtype i64");
    refused(job().words("--input range:1:1001"), "input", first, "the integers from 1 on");

    let numbers =
        |first: u64| -> Vec<u8> { (first..first + 1000).flat_map(u64::to_le_bytes).collect() };
    sandbox.write("x.bin", numbers(0));
    begin("--input x.bin");
    sandbox.write("x.bin", numbers(1));
    let changed = job().words("--input x.bin").run();
    changed.failed(2, "its input is a file of 8000 bytes, inode ");

    let text = |first: u64| (first..first + 1000).map(|i| format!("{i}\n")).collect::<String>();
    let piped = |first: u64| job().words("--input -").input(text(first));
    let _ = fs::remove_file(sandbox.path("c"));
    let mut running = piped(0).orphans_follow().start();
    until_some(&sandbox, &mut running, 1000);
    crash(running);
    piped(1).run().failed(2, "its input is a text, blake3:");
    assert!(check_shares(&piped(0).words("--json").run().ok().json()) > 0);
}

#[test]
fn what_is_no_checkpoint_is_refused_and_left_alone() {
    let sandbox = Sandbox::new();
    let refused = |text: &str| {
        let before = sandbox.read("c");
        sandbox.spmd(SLOW).run().failed(2, text).says("hint: ");
        assert!(before == sandbox.read("c"), "it is as it was");
    };
    let foreign = "`c` is not a checkpoint of spmd";
    for bytes in [&b""[..], b"results of ten years", &[0; 5_000_000]] {
        sandbox.write("c", bytes);
        refused(foreign);
    }
    fs::remove_file(sandbox.path("c")).unwrap();
    leave(&sandbox, 50);
    let whole = sandbox.read("c");
    let damaged = |at: u64, bytes: &[u8]| {
        sandbox.write("c", &whole);
        let file = fs::File::options().write(true).open(sandbox.path("c")).unwrap();
        file.write_all_at(bytes, at).unwrap();
    };
    damaged(0, b"X");
    refused(foreign);
    damaged(8, &9_u32.to_le_bytes());
    refused("checkpoint `c` is of version 9; this spmd understands version 1");
    for at in [16, 30, 60, 200] {
        damaged(at, b"~");
        refused("checkpoint `c` is damaged: its head cannot be read");
    }
    sandbox.write("c", &whole[..whole.len() - 1]);
    refused("checkpoint `c` is damaged: it is not as long as it was");
    for length in [10, 20, 70_000] {
        sandbox.write("c", &whole[..length]);
        sandbox.spmd(SLOW).run().failed(2, "`c` is");
    }
    damaged(RECORDS, &vec![0; usize::try_from(3 * RECORD_BYTES).unwrap()]);
    refused("checkpoint `c` is damaged: no record in it can be read");
    // Claim words from nowhere: the tail of the one queue, behind 1024 bytes of what is left out.
    damaged(WORDS + 1024, &[0x7f; 8]);
    refused("checkpoint `c` is damaged: its claim words name chunks that there are not");
    sandbox.write("c", &whole);
    sandbox.spmd(SLOW).run().ok().says("spmd: resumed `c`: ");
}

#[test]
fn what_cannot_be_a_file_is_refused() {
    let sandbox = Sandbox::new();
    let run = |more: &str| sandbox.spmd("-n 2 -k square --size 10 --checkpoint").words(more).run();
    run(".").failed(2, "checkpoint `.` is a directory, not a regular file");
    run("/dev/null").failed(2, "checkpoint `/dev/null` is a character device");
    run("no/c").failed(2, "cannot create checkpoint `no/c`: no directory `no`");
    run("c --repeats 3").failed(2, "--checkpoint is for one pass, and this run has 3");
    run("c --warmup 1").failed(2, "--checkpoint is for one pass, and this run has 2");
    run("out.npy --output out.npy").failed(2, "checkpoint `out.npy` is the output, too");
    run("c.npy --output ./c.npy").failed(2, "checkpoint `c.npy` is the output, too");
    sandbox.spmd("-n 2 -k square --size 10").env("SPMD_CHECKPOINT", "").run().exited(2);
    assert_eq!(sandbox.names(), Vec::<String>::new());
}

#[test]
fn a_disk_that_is_too_small_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    let script = "mkdir m && mount -t tmpfs -o size=6M none m && \
                  \"$0\" -n 2 -k square --size 1e6 --checkpoint m/c --output out.npy; \
                  code=$?; ls m; exit $code";
    let Some(job) = sandbox.mounted(script) else { return };
    job.run().failed(125, "checkpoint `m/c` needs 12194304 bytes; ");
}

#[test]
fn after_a_restart_of_the_machine_the_last_record_counts() {
    let sandbox = Sandbox::new();
    leave(&sandbox, 1500);
    let file = fs::File::options().read(true).write(true).open(sandbox.path("c")).unwrap();
    let word = |at: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    };
    // Another boot id, sealed as the first was.
    let mut body = vec![0; usize::try_from(word(RUN_BODY)).unwrap()];
    file.read_exact_at(&mut body, RUN_BODY + 40).unwrap();
    let mut run: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(run["boot"].as_str().unwrap().len(), 36);
    run["boot"] = "01234567-89ab-cdef-0123-456789abcdef".into();
    let body = serde_json::to_vec(&run).unwrap();
    file.write_all_at(&(body.len() as u64).to_ne_bytes(), RUN_BODY).unwrap();
    file.write_all_at(blake3::hash(&body).as_bytes(), RUN_BODY + 8).unwrap();
    file.write_all_at(&body, RUN_BODY + 40).unwrap();
    // What was not synced: claim words, and the results that the latest record does not vouch for.
    file.write_all_at(&[0x5a; 4096], WORDS).unwrap();
    let slots = (0..3).map(|slot| RECORDS + slot * RECORD_BYTES);
    let latest =
        slots.filter(|&at| word(at) < RECORD_BYTES).max_by_key(|&at| word(at + 40)).unwrap();
    let ranges = (0..word(latest + 48)).map(|at| latest + 56 + 16 * at);
    let left: Vec<Range<u64>> = ranges.map(|at| word(at)..word(at + 8)).collect();
    let count: u64 = left.iter().map(|range| range.end - range.start).sum();
    assert!(0 < count && count < 8000, "a record was written: {left:?}");
    for index in left.into_iter().flatten() {
        file.write_all_at(&[0xee; 8], RESULT + index * 8).unwrap();
    }
    let done = sandbox.spmd(SLOW).words("--json").run().ok();
    assert_eq!(check_shares(&done.json()), 8000 - count);
    sandbox.spmd("-q -n 2 -k spin --param cost=300us --size 8000 --output whole.npy").run().ok();
    assert_eq!(sandbox.read("out.npy"), sandbox.read("whole.npy"));
}

#[test]
fn one_run_at_a_time() {
    let sandbox = Sandbox::new();
    let slow = SLOW.replace("300us", "3ms");
    let mut running = sandbox.spmd(&slow).orphans_follow().start();
    until_some(&sandbox, &mut running, 8000);
    let text = format!("checkpoint `c` is in use by process {}", running.pid());
    sandbox.spmd(&slow).run().failed(125, &text).says("wait for it, or name another file");
    crash(running);
    // Both begin at once; one makes or finds the file.
    for _ in 0..5 {
        let start = || sandbox.spmd(&slow).words("--timeout 0.6s").start();
        let runs = [start(), start()].map(Running::wait);
        let refused = runs.iter().filter(|run| run.code == Some(125)).count();
        assert!(refused <= 1, "{}\n{}", runs[0].told(), runs[1].told());
        assert!(runs.iter().all(|run| matches!(run.code, Some(124 | 125))), "{}", runs[0].told());
    }
}

#[test]
fn ctrl_c_and_time_limits_keep_it_and_say_so() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(SLOW).start();
    until_some(&sandbox, &mut running, 8000);
    running.signal(libc::SIGINT);
    let stopped = running.wait();
    assert_eq!(stopped.signal, Some(libc::SIGINT));
    stopped
        .message("stopped by SIGINT")
        .says("the checkpoint `c` holds ")
        .says("the same command goes on");
    assert_eq!(sandbox.names(), ["c"]);
    let late = sandbox.spmd(SLOW).words("-q --timeout 300ms").run().exited(124);
    late.says("hint: a longer --timeout; the checkpoint `c` holds ");
    sandbox
        .spmd(SLOW)
        .run()
        .ok()
        .says("spmd: resumed `c`: ")
        .says(" of 8_000 indices) were finished");
    assert_eq!(sandbox.names(), ["out.npy"]);
}

#[test]
fn a_file_that_holds_nothing_is_not_left() {
    let sandbox = Sandbox::new();
    let endless = "-n 2 -k spin --param cost=30s --size 10 --schedule static --checkpoint c";
    let late = sandbox.spmd(endless).words("--timeout 200ms").run().exited(124);
    assert!(late.stderr.contains("time limit") && !late.stderr.contains("checkpoint"));
    assert_eq!(sandbox.names(), Vec::<String>::new());
    sandbox.spmd("-n 2 -k square --size 10 --checkpoint c --output no/x.npy").run().exited(2);
    assert_eq!(sandbox.names(), Vec::<String>::new());
}

#[test]
fn the_whole_and_the_empty_are_resumed_too() {
    let sandbox = Sandbox::new();
    sandbox.spmd("-n 2 -k square --size 0 --checkpoint c --output out.bin").run().ok();
    assert_eq!(sandbox.read("out.bin"), b"");
    // Killed while everything is verified: all chunks are finished.
    let whole = "-q -n 2 -k spin --param cost=200us --size 5000 --output out.npy --checkpoint c";
    let mut running = sandbox.spmd(whole).words("--verify full").orphans_follow().start();
    running.ranks(2);
    running.until("no ranks", |session| crate::sandbox::members(session).is_empty().then_some(()));
    crash(running);
    assert!(!sandbox.path("out.npy").exists());
    let done = sandbox.spmd(whole).words("--json").run().ok();
    assert_eq!(check_shares(&done.json()), 5000);
    sandbox.spmd("-q -n 2 -k spin --param cost=200us --size 5000 --output whole.npy").run().ok();
    assert_eq!(sandbox.read("out.npy"), sandbox.read("whole.npy"));
}

#[test]
fn a_launcher_killed_alone_leaves_what_its_ranks_finish() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(SLOW).orphans_follow().start();
    until_some(&sandbox, &mut running, 8000);
    kill(running.pid(), libc::SIGKILL);
    // The next one waits for ranks that are on their way out.
    let next = sandbox.spmd(SLOW).words("--json").start();
    running.wait();
    assert!(check_shares(&next.wait().ok().json()) > 0);
}

fn faulty(sandbox: &Sandbox, how: &str, at: &str) -> Job {
    let run = format!("-n 2 -k faulty --param how={how} --size 1000 --schedule dynamic,10");
    let job = sandbox.program(example("faulty")).words(&run);
    job.words("--output out.txt --checkpoint c").env("FAULTY_AT", at)
}

fn successors() -> Vec<u8> {
    (1..=1000).map(|y| format!("{y}\n")).collect::<String>().into_bytes()
}

#[test]
fn a_chunk_that_cannot_be_computed_costs_only_itself() {
    let sandbox = Sandbox::new();
    faulty(&sandbox, "panic", "567").run().exited(1).says("the checkpoint `c` holds ");
    assert_eq!(sandbox.names(), ["c"]);
    let mended = faulty(&sandbox, "panic", "5000").words("--json").run().ok();
    assert!(check_shares(&mended.json()) > 0);
    assert_eq!(sandbox.read("out.txt"), successors());
}

#[test]
fn memory_that_may_be_damaged_is_not_resumed_from() {
    let sandbox = Sandbox::new();
    // A sound run finishes all but the chunk of 600..610.
    faulty(&sandbox, "segv", "5000").words("--inject hang:chunk=60 --timeout 1s").run().exited(124);
    assert_eq!(sandbox.names(), ["c"]);
    let failed = faulty(&sandbox, "segv", "605").run().exited(1);
    failed
        .says("spmd: resumed `c`: ")
        .says("memory may be damaged, so the run begins again")
        .says("the checkpoint `c` was removed: memory may be damaged");
    assert_eq!(sandbox.names(), Vec::<String>::new());
    // One fault is survived: from the beginning, and not from what was finished before.
    faulty(&sandbox, "not", "0").words("--inject hang:chunk=60 --timeout 1s").run().exited(124);
    let begun_again = faulty(&sandbox, "not", "0").words("--inject segv:chunk=0 --json").run().ok();
    assert_eq!(check_shares(&begun_again.json()), 0);
    assert_eq!(sandbox.read("out.txt"), successors());
}

#[test]
fn another_program_does_not_go_on() {
    let sandbox = Sandbox::new();
    leave(&sandbox, 0);
    let mut program = fs::read(crate::sandbox::SPMD).unwrap();
    program.push(0);
    let other = sandbox.write("spmd", program);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&other, open).unwrap();
    let text = "checkpoint `c` is of another run: its program is blake3:";
    sandbox.program(other).words(SLOW).run().failed(2, text);
}

#[test]
fn what_was_left_out_is_tried_again() {
    let sandbox = Sandbox::new();
    let kept = |at: &str| faulty(&sandbox, "panic", at).words("--on-error keep");
    // With the index left out all is complete but for it; the crash comes while that is verified.
    for _ in 0..20 {
        let mut running = kept("567").words("--schedule dynamic,1").orphans_follow().start();
        running.until("a checkpoint", |_| sandbox.path("c").exists().then_some(()));
        thread::sleep(Duration::from_millis(150));
        let outcome = crash(running);
        if outcome.signal == Some(libc::SIGKILL) {
            break;
        }
    }
    let done = kept("5000").words("--json").run().ok();
    check_shares(&done.json());
    assert_eq!(done.json()["missing"], Value::Array(Vec::new()));
    assert_eq!(sandbox.read("out.txt"), successors());
}

#[test]
fn a_record_says_that_nothing_was_resumed() {
    let sandbox = Sandbox::new();
    let path: PathBuf = sandbox.path("c");
    for more in ["", "--checkpoint c"] {
        let done = sandbox.spmd("-n 2 -k square --size 100 --json").words(more).run().ok();
        assert_eq!(done.json()["resumed"], 0);
        assert!(!path.exists());
    }
}
