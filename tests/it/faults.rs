//! Kernels and ranks that go wrong: the run fails, says who, where and how, and leaves nothing.

use crate::sandbox::{Job, Sandbox, example, kill};

fn faulty(sandbox: &Sandbox, how: &str, more: &str) -> Job {
    let arguments = format!("-n 2 -k faulty --param how={how} --size 1000 {more}");
    sandbox.program(example("faulty")).words(&arguments).env("FAULTY_AT", "567")
}

/// Every way for a kernel to end its rank, and what is said about it.
const DEATHS: [(&str, &str); 8] = [
    ("segv", "was killed by SIGSEGV"),
    ("abort", "was killed by SIGABRT"),
    ("kill", "was killed by SIGKILL"),
    ("bus", "was killed by SIGBUS"),
    ("overflow", "was killed by SIGABRT"),
    ("exit", "exited with status 0"),
    ("exit7", "exited with status 7"),
    ("panic", "panicked"),
];

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
fn dies_with_rank_pid_signal_and_chunk_however_a_rank_dies() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for (how, said) in DEATHS {
        for (schedule, chunk) in [
            ("static", "chunk 500..1000"),
            ("dynamic,10", "chunk 560..570"),
            ("static,8", "chunk 560..568"),
        ] {
            for mode in ["", "--in-place"] {
                let more = format!("--schedule {schedule} {mode} --output out.npy");
                let failed = faulty(&sandbox, how, &more).run();
                // A rank's own last words (of Rust's stack guard) may come before.
                assert_eq!(failed.code, Some(1), "{}", failed.told());
                assert!(failed.stdout.is_empty());
                let failed = failed.says(said).says(chunk);
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
    let failed = faulty(&sandbox, "panic", "").run();
    let failed = failed.failed(1, "kernel `faulty` panicked on rank ");
    let failed = failed.says("the index is unlucky at ").says("faulty.rs:");
    assert_eq!(failed.stderr.lines().count(), 1, "{}", failed.told());
    faulty(&sandbox, "panic-any", "").run().failed(1, "panicked on rank ");
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
fn a_rank_killed_from_outside_fails_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    for (signal, name) in
        [(libc::SIGKILL, "SIGKILL"), (libc::SIGTERM, "SIGTERM"), (libc::SIGABRT, "SIGABRT")]
    {
        for victim in [0, 1, 2] {
            let arguments =
                "-n 3 -k spin --param cost=10ms --size 100000 --schedule static --output out.npy";
            let mut running = sandbox.spmd(arguments).start();
            let ranks = running.ranks(3);
            kill(ranks[victim], signal);
            let failed = running.wait().exited(1);
            failed
                .says(&format!("(pid {}", ranks[victim]))
                .says(&format!("was killed by {name}"))
                .says(&format!("rank {victim} "));
            assert_eq!(sandbox.read("out.npy"), b"old");
        }
    }
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
