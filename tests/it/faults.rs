//! Kernels that go wrong at one index, always: the run fails, or keeps the rest; it says who, where and
//! how, and leaves nothing. (Ranks that die once are in `crash_points.rs`.)

use crate::sandbox::{Job, Sandbox, example, kill};

fn faulty(sandbox: &Sandbox, how: &str, more: &str) -> Job {
    let arguments = format!("-n 2 -k faulty --param how={how} --size 1000 {more}");
    sandbox.program(example("faulty")).words(&arguments).env("FAULTY_AT", "567")
}

/// Every way for a kernel to end its rank, and what is said about it.
const DEATHS: [(&str, &str); 8] = [
    ("segv", "was killed by SIGSEGV at address 0x1"),
    ("abort", "was killed by SIGABRT"),
    ("kill", "was killed by SIGKILL"),
    ("bus", "was killed by SIGBUS"),
    ("overflow", "was killed by SIGSEGV at address 0x"),
    ("exit", "exited with status 0"),
    ("exit7", "exited with status 7"),
    ("panic", "panicked (the index is unlucky at "),
];

/// How chunks are cut, and what the one is called that holds index 567.
const CHUNKS: [(&str, &str); 3] = [
    ("static", "chunk 1 (indices 500..1000)"),
    ("dynamic,10", "chunk 56 (indices 560..570)"),
    ("static,8", "chunk 70 (indices 560..568)"),
];

/// Those after which memory may be damaged.
const FAULTS: [&str; 4] = ["segv", "abort", "bus", "overflow"];

#[test]
fn the_program_of_these_tests_works_when_nothing_is_wrong() {
    let sandbox = Sandbox::new();
    for schedule in ["static", "dynamic,10", "guided"] {
        let more = format!("--schedule {schedule} --output - --verify full");
        let done = faulty(&sandbox, "not", &more).run().ok();
        assert_eq!(done.text(), (1..=1000).map(|y| format!("{y}\n")).collect::<String>());
    }
}

#[test]
fn a_death_that_may_not_be_survived_is_told_with_rank_pid_signal_and_chunk() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for (how, said) in DEATHS {
        for (schedule, chunk) in CHUNKS {
            for mode in ["", "--in-place"] {
                let more = format!("--on-death fail --schedule {schedule} {mode} --output out.npy");
                let failed = faulty(&sandbox, how, &more).run().failed(1, said).says(chunk);
                let line =
                    failed.stderr.lines().find(|line| line.starts_with("spmd: error: ")).unwrap();
                let pid = line.split("(pid ").nth(1).unwrap().split([',', ')']).next().unwrap();
                assert!(pid.parse::<u32>().unwrap() > 1, "{line}");
                assert!(line.contains("rank 0 (pid ") || line.contains("rank 1 (pid "), "{line}");
                assert_eq!(sandbox.read("out.npy"), b"old");
                assert_eq!(sandbox.names(), ["out.npy"]);
            }
        }
    }
}

#[test]
fn an_index_that_always_kills_is_found_and_named() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for (how, said) in DEATHS {
        for (schedule, chunk) in CHUNKS {
            for mode in ["", "--in-place"] {
                let more = format!("--schedule {schedule} {mode} --output out.npy");
                let failed = faulty(&sandbox, how, &more).run().failed(1, said);
                let failed = failed.says("at index 567").says(chunk).says("kernel `faulty`");
                if FAULTS.contains(&how) {
                    failed.says("memory may be damaged, so the run begins again");
                } else {
                    failed
                        .says("the chunk is run again, index by index")
                        .says("3 ranks died in it");
                }
                assert_eq!(sandbox.read("out.npy"), b"old");
                assert_eq!(sandbox.names(), ["out.npy"]);
            }
        }
    }
}

#[test]
fn the_rest_is_kept_where_that_is_wanted_and_what_is_missing_is_said() {
    let sandbox = Sandbox::new();
    let expected: String = (0..1000)
        .map(|x| if x == 567 { "0\n".to_owned() } else { format!("{}\n", x + 1) })
        .collect();
    for (how, _) in DEATHS.into_iter().chain([("error", ""), ("error-somewhere", "")]) {
        for schedule in ["static", "dynamic,10", "guided"] {
            for mode in ["", "--in-place"] {
                let more =
                    format!("--on-error keep --schedule {schedule} {mode} --output out.txt --json");
                let kept = faulty(&sandbox, how, &more).run().exited(1);
                assert_eq!(sandbox.read("out.txt"), expected.as_bytes(), "{}", kept.told());
                let record = kept.json();
                assert_eq!(record["missing"], serde_json::json!([[567, 568]]), "{}", kept.told());
                assert_eq!((&record["status"], &record["exit"]), (&"failed".into(), &1.into()));
                kept.says("spmd: error: index 567 has no result");
            }
        }
    }
}

#[test]
fn what_is_left_out_is_not_tried_by_the_verification_either() {
    let sandbox = Sandbox::new();
    for how in ["error", "panic", "kill", "segv", "exit"] {
        for verify in ["full", "sample"] {
            let more = format!("--on-error keep --verify {verify} --schedule dynamic,10 --json");
            let kept = faulty(&sandbox, how, &more).run().exited(1);
            let record = kept.json();
            assert_eq!(record["missing"], serde_json::json!([[567, 568]]), "{}", kept.told());
            assert_eq!(record["verify"], "ok");
        }
    }
    // The rest of the block is compared all the same.
    let more = "--on-error keep --verify full --schedule dynamic,10 --inject kill:chunk=56,times=3";
    faulty(&sandbox, "fickle", more)
        .run()
        .failed(3, "result is wrong: kernel `faulty` at index 567");
}

#[test]
fn a_fault_from_the_command_line_is_recovered_from_and_told() {
    let sandbox = Sandbox::new();
    let arguments =
        "-n 2 -k square --size 1e5 --schedule dynamic,1000 --inject kill:chunk=5 --json";
    let done = sandbox.spmd(arguments).run().ok();
    let record = done.json();
    assert_eq!((&record["recovered"], &record["exit"]), (&1.into(), &0.into()));
    assert!(record["warnings"].as_array().unwrap().iter().any(|warning| {
        let text = warning.as_str().unwrap();
        text.contains("was killed by SIGKILL while computing chunk 5 (indices 5000..6000)")
    }));
    done.says("the chunk is run again");
    // A fault that has no occasion is no test.
    let idle = "-n 1 -k square --input 1,2 --inject kill:chunk=7";
    sandbox.spmd(idle).run().says("the injected fault `kill:chunk=7` never struck");
    for (fault, said) in [
        ("kil", "did you mean `kill`?"),
        ("kill:rank=7", "ranks are 0 to 1"),
        ("kill:point=lock.tial", "did you mean `lock.tail`?"),
    ] {
        let arguments = format!("-n 2 -k square --inject {fault}");
        sandbox.spmd(&arguments).run().failed(2, said);
    }
}

#[test]
fn a_kernel_error_names_its_index() {
    let sandbox = Sandbox::new();
    for schedule in ["static", "dynamic,10", "guided"] {
        for mode in ["", "--in-place"] {
            let more = format!("--schedule {schedule} {mode}");
            faulty(&sandbox, "error", &more)
                .run()
                .failed(1, "kernel `faulty` failed at index 567 on rank ")
                .says("(pid ")
                .says("the index is unlucky");
            faulty(&sandbox, "error-somewhere", &more)
                .run()
                .failed(1, "kernel `faulty` failed on rank ")
                .says("something is wrong");
        }
    }
}

#[test]
fn a_panic_is_told_with_its_text_and_place() {
    let sandbox = Sandbox::new();
    let failed = faulty(&sandbox, "panic", "--on-death fail").run();
    let failed = failed.failed(1, "panicked (the index is unlucky at ").says("faulty.rs:");
    assert_eq!(failed.stderr.lines().count(), 2, "{}", failed.told());
    faulty(&sandbox, "panic-any", "--retries 0")
        .run()
        .failed(1, "panicked (a value that is no text");
}

#[test]
fn a_fault_of_the_last_of_seven_ranks_stops_all() {
    let sandbox = Sandbox::new();
    for how in ["error", "panic", "kill"] {
        let arguments = format!("-n 7 -k faulty --param how={how} --size 700 --schedule static");
        let failed = sandbox.program(example("faulty")).words(&arguments).env("FAULTY_AT", "699");
        failed.run().failed(1, "rank 6 (pid ");
    }
}

#[test]
fn a_fault_is_in_the_json_document_too() {
    let sandbox = Sandbox::new();
    let failed = faulty(&sandbox, "error", "--json").run().exited(1).says("index 567");
    let document = failed.json();
    assert_eq!(document["status"], "failed");
    assert_eq!(document["exit"], 1);
    assert!(document["error"]["message"].as_str().unwrap().contains("index 567"));
}

#[test]
fn what_a_kernel_prints_is_talk() {
    let sandbox = Sandbox::new();
    let done = faulty(&sandbox, "print", "--output -").run().ok().says("a kernel prints");
    assert_eq!(done.text(), (1..=1000).map(|y| format!("{y}\n")).collect::<String>());
}

#[test]
fn a_rank_that_hangs_is_ended_by_the_time_limit() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for how in ["sleep", "stubborn"] {
        let more = "--timeout 300ms --output out.npy";
        faulty(&sandbox, how, more).run().failed(124, "the time limit of 0.3s was reached");
        assert_eq!(sandbox.read("out.npy"), b"old");
    }
}

#[test]
fn a_rank_killed_from_outside_is_recovered_from() {
    let sandbox = Sandbox::new();
    for (signal, name) in [
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGABRT, "SIGABRT"),
    ] {
        for victim in [0, 1, 2] {
            let arguments = "-n 3 -k spin --param cost=1ms --size 1500 --schedule static --json";
            let mut running = sandbox.spmd(arguments).start();
            let ranks = running.ranks(3);
            kill(ranks[victim], signal);
            let done = running.wait().ok();
            assert_eq!(done.json()["recovered"], 1, "{}", done.told());
            done.says(&format!("rank {victim} (pid {}", ranks[victim]))
                .says(&format!("was killed by {name}"));
        }
    }
}

#[test]
fn a_rank_that_hangs_in_a_chunk_is_killed_and_the_chunk_run_again() {
    let sandbox = Sandbox::new();
    let more = "--inject hang:chunk=3 --chunk-timeout 200ms --schedule dynamic,10 --json";
    let done = faulty(&sandbox, "not", more).run().ok();
    assert_eq!(done.json()["recovered"], 1);
    done.says("was killed after --chunk-timeout 0.2s while computing chunk 3 (indices 30..40)");
    // A chunk that always hangs: its index is found, and the run ends as at a time limit.
    let more = "--chunk-timeout 100ms --schedule dynamic,10";
    faulty(&sandbox, "sleep", more)
        .run()
        .failed(124, "3 ranks died in it, the last one at index 567")
        .says("chunk 56 (indices 560..570)");
}

#[test]
fn a_rank_that_is_stopped_or_asleep_is_reported_within_a_second() {
    let sandbox = Sandbox::new();
    // Of dealt chunks rank 1 has the fourth, whoever is fast.
    let more = "--inject stop:rank=1,chunk=3 --timeout 1500ms --schedule static,10";
    let ended = faulty(&sandbox, "not", more).run().exited(124);
    ended
        .says("rank 1 (pid ")
        .says("was stopped by SIGSTOP while computing chunk ")
        .says("stopped  computing chunk ");
    let ended = faulty(&sandbox, "sleep", "--timeout 1500ms --schedule dynamic,10").run();
    ended
        .exited(124)
        .says("sleeping) has made no progress in chunk 56 (indices 560..570) for ")
        .says("sleeping  computing chunk 56 (indices 560..570)");
}

#[test]
fn verification_finds_a_difference_and_names_it() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for how in ["full", "sample"] {
        for mode in ["", "--in-place"] {
            let more = format!("--verify {how} --output out.npy {mode}");
            faulty(&sandbox, "fickle", &more)
                .run()
                .failed(3, "result is wrong: kernel `faulty` at index 567")
                .says("found 568, a serial run gives 569");
            assert_eq!(sandbox.read("out.npy"), b"old");
        }
    }
    let failed = faulty(&sandbox, "fickle", "--verify full --json").run().exited(3);
    assert_eq!((&failed.json()["status"], &failed.json()["exit"]), (&"wrong".into(), &3.into()));
    faulty(&sandbox, "fickle", "").run().ok();
}

#[test]
fn a_kernel_that_fails_only_in_verification_fails_the_run() {
    let sandbox = Sandbox::new();
    faulty(&sandbox, "verify-error", "--verify full").run().failed(1, "verification");
    faulty(&sandbox, "verify-panic", "--verify full")
        .run()
        .failed(1, "panicked during verification");
}

#[test]
fn verification_of_right_results_says_so() {
    let sandbox = Sandbox::new();
    for how in ["full", "sample"] {
        for n in [0, 1, 5, 100_000, 3_000_000] {
            let arguments = format!("-n 2 -k square --size {n} --verify {how} --json");
            assert_eq!(sandbox.spmd(&arguments).run().ok().json()["verify"], "ok");
        }
    }
    let record = sandbox.spmd("-n 2 -k square --json").run().ok().json();
    assert_eq!(record["verify"], "none");
}

/// A control group with little memory, below this process's own.
struct Meagre(std::path::PathBuf);

impl Meagre {
    fn new() -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            let (root, limit) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => return None,
            };
            let name = format!("spmd-test-{}", std::process::id());
            let group = Self(std::path::Path::new(root).join(path).join(name));
            std::fs::create_dir(&group.0).ok()?;
            std::fs::write(group.0.join(limit), "67108864").ok()?;
            Some(group)
        })
    }
}

impl Drop for Meagre {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_rank_killed_for_want_of_memory_is_told_as_that() {
    let Some(group) = Meagre::new() else {
        return crate::sandbox::skipped("no memory control group can be made here");
    };
    let sandbox = Sandbox::new();
    let (group, faulty) = (group.0.display(), example("faulty").display().to_string());
    let script = format!(
        "echo $$ > {group}/cgroup.procs && exec {faulty} -n 2 -k faulty --param how=devour \
         --size 200000 --retries 0"
    );
    let failed = sandbox.shell(&script).run().failed(1, "was killed by SIGKILL");
    failed.says("most likely by the kernel, for want of memory");
}
