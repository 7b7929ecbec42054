//! The library: programs of one's own, run as real processes.

use crate::sandbox::{Sandbox, example};

#[test]
fn a_kernel_of_ones_own_has_the_whole_command_line() {
    let sandbox = Sandbox::new();
    let run = |arguments: &str| sandbox.program(example("own_kernel")).words(arguments).run();
    let done = run("--procs 2 --kernel horner --input 0,0.5,1,-1 --verify full").ok();
    assert_eq!(done.text(), "Results: [1.0, 2.75, 6.0, 2.0]\n");
    for schedule in ["static", "dynamic,1", "guided"] {
        for mode in ["", "--in-place"] {
            let arguments =
                format!("-n 3 -k horner --size 1000 --schedule {schedule} --output - {mode}");
            let expected: String = (0..1000)
                .map(f64::from)
                .map(|x| format!("{:?}\n", 1.0 + x * (2.0 + x * 3.0)))
                .collect();
            assert_eq!(run(&arguments).ok().text(), expected);
        }
    }
    assert!(run("kernels").ok().text().contains("horner"));
    assert!(run("kernels").ok().text().contains("square"), "the built-in ones stay");
    run("-k horner --dtype i64 --size 3").failed(2, "does not work on i64");
    run("-k hornr").failed(127, "did you mean `horner`?");
}

#[test]
fn a_program_starts_watches_and_cancels_runs() {
    let sandbox = Sandbox::new();
    let done = sandbox.program(example("from_a_program")).run().ok();
    let (progress, lines): (Vec<&str>, Vec<&str>) =
        done.text().lines().partition(|line| line.ends_with(" of 2000"));
    assert!(!progress.is_empty(), "the program looked while the run went on");
    assert_eq!(
        lines,
        ["squares: [1, 4, 9, 16, 25]", "busy for 200000000 ns in all", "the run was cancelled"]
    );
    assert_eq!(done.stderr, "", "a library says nothing");
}

#[test]
fn a_run_outlives_the_thread_that_started_it() {
    let sandbox = Sandbox::new();
    let done = sandbox.program(example("host")).arg("short-thread").run().ok();
    assert_eq!(done.text(), "300000000 ns, 0 warnings\n");
}

#[test]
fn a_host_that_reaps_every_child_does_not_disturb() {
    let sandbox = Sandbox::new();
    let done = sandbox.program(example("host")).arg("thief").run().ok();
    assert_eq!(done.text(), "300000000 ns, 0 warnings\n");
}
