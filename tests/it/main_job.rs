//! The job the program is for, as its README shows it.

use crate::sandbox::{Sandbox, cpus};

#[test]
fn squares_five_numbers_on_four_ranks() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("--procs 4 --kernel square --input 1,2,3,4,5").run().ok();
    assert_eq!(done.text(), "Results: [1, 4, 9, 16, 25]\n");
}

#[test]
fn stderr_tells_who_did_what_and_where_the_time_went() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("--procs 2 --bind none --kernel square --input range:0:1000").run();
    let done = done.ok();
    let lines: Vec<&str> = done.stderr.lines().collect();
    let table = lines.iter().position(|line| line.trim_start().starts_with("rank ")).unwrap();
    let columns: Vec<&str> = lines[table].split_whitespace().collect();
    assert_eq!(columns, ["rank", "pid", "cpu", "items", "chunks", "busy", "claim", "wait"]);
    let mut items = 0;
    for (rank, line) in lines[table + 1..table + 3].iter().enumerate() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(fields[0], rank.to_string(), "{}", done.told());
        assert!(fields[1].parse::<u32>().unwrap() > 1);
        assert!(cpus().contains(&fields[2].trim_start_matches('~').parse().unwrap()));
        items += fields[3].replace('_', "").parse::<u64>().unwrap();
    }
    assert_eq!(items, 1000);
    for word in ["total: spawn ", ", attach ", ", init ", ", pass ", ", output ", "items/s"] {
        assert!(done.stderr.contains(word), "{word}: {}", done.told());
    }
    assert!(done.stderr.contains("imbalance "), "{}", done.told());
}

#[test]
fn run_is_the_bare_command_and_np_is_procs() {
    let sandbox = Sandbox::new();
    for arguments in [
        "run --procs 2 --kernel square --input 1,2,3",
        "-n 2 -k square --input 1,2,3",
        "--np 2 -k square --input 1,2,3",
        "run -k square --procs=auto --input=1,2,3",
    ] {
        let done = sandbox.spmd(arguments).run().ok();
        assert_eq!(done.text(), "Results: [1, 4, 9]\n");
    }
}

#[test]
fn quiet_says_nothing_and_verbose_says_where_options_are_from() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("-q -n 1 -k square --input 3").run().ok();
    assert_eq!((done.text(), done.stderr.as_str()), ("Results: [9]\n", ""));
    let job = sandbox.spmd("-v -n 1 -k square --input 3").env("SPMD_SEED", "7");
    let done = job.run().ok().says("procs = 1").says("# command line");
    let line = done.stderr.lines().find(|line| line.starts_with("seed = 7")).unwrap();
    assert!(line.ends_with("# SPMD_SEED"), "{line}");
}

#[test]
fn the_environment_is_a_layer_below_the_command_line() {
    let sandbox = Sandbox::new();
    let job = |arguments: &str| {
        sandbox
            .spmd(arguments)
            .env("SPMD_KERNEL", "square")
            .env("SPMD_PROCS", "1")
            .env("SPMD_INPUT", "7")
    };
    assert_eq!(job("").run().ok().text(), "Results: [49]\n");
    assert_eq!(job("--input 2").run().ok().text(), "Results: [4]\n");
    assert_eq!(job("--size 3").run().ok().text(), "Results: [0, 1, 4]\n");
    job("").env("SPMD_PROCS", "none").run().failed(2, "`none` is no number of ranks");
}

#[test]
fn small_results_are_shown_whole_and_large_ones_by_their_ends() {
    let sandbox = Sandbox::new();
    let whole = sandbox.spmd("-q -n 2 -k square --size 100").run().ok();
    let list: Vec<String> = (0..100_u64).map(|x| (x * x).to_string()).collect();
    assert_eq!(whole.text(), format!("Results: [{}]\n", list.join(", ")));
    let ends = sandbox.spmd("-q -n 2 -k square --size 101").run().ok();
    assert_eq!(ends.text(), "Results: [0, 1, 4, ..., 9604, 9801, 10000]\n");
}

#[test]
fn counts_may_be_typed_as_people_type_them() {
    let sandbox = Sandbox::new();
    for (count, last) in [("1_0", 9_u64), ("1e1", 9), ("1Ki", 1023), ("2K", 1999)] {
        let done = sandbox.spmd(&format!("-n 2 -k square --json --size {count}")).run().ok();
        assert_eq!(done.json()["size"], last + 1);
        assert_eq!(done.json()["result"]["last"][0], last * last);
    }
}

#[test]
fn an_empty_input_is_a_run_with_no_results() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.txt", "");
    sandbox.write("empty.bin", "");
    for arguments in [
        "--size 0",
        "--input range:3:3",
        "--input empty.txt",
        "--input empty.bin --dtype f32",
        "--input -",
    ] {
        for schedule in ["static", "static,2", "dynamic", "guided"] {
            let arguments = format!("-n 3 -k square --schedule {schedule} {arguments}");
            let done = sandbox.spmd(&arguments).run().ok();
            assert_eq!(done.text(), "Results: []\n", "{arguments}");
        }
    }
    let done = sandbox.spmd("-n 2 -k square --input").arg("").run().ok();
    assert_eq!(done.text(), "Results: []\n");
    sandbox.spmd("-n 2 -k square --size 0 --verify full --in-place").run().ok();
}

#[test]
fn help_and_version_are_results() {
    let sandbox = Sandbox::new();
    let help = sandbox.spmd("--help").run().ok();
    for word in ["--procs", "--kernel", "--schedule", "--in-place", "124", "Examples:"] {
        assert!(help.text().contains(word), "{word}");
    }
    assert_eq!(help.stderr, "");
    let version = sandbox.spmd("--version").run().ok();
    assert_eq!(version.text(), format!("spmd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn repeats_and_warmup_count_passes() {
    let sandbox = Sandbox::new();
    for mode in ["", "--in-place"] {
        let arguments = "-n 2 -k square --size 10000 --repeats 5 --warmup 2 --verify full --json";
        let record = sandbox.spmd(&format!("{arguments} {mode}")).run().ok().json();
        assert_eq!(record["time"]["pass_s"]["n"], 5);
        assert_eq!(record["time"]["pass_s"]["samples"].as_array().unwrap().len(), 5);
        let warmups = record["time"]["warmup_s"].as_array().unwrap();
        assert!(warmups.len() == 2 && warmups.iter().all(|s| s.as_f64().unwrap() > 0.0));
        let items: u64 = record["workers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|w| w["items"].as_u64().unwrap())
            .sum();
        assert_eq!(items, 10_000, "items are those of one pass");
        assert_eq!(record["result"]["last"][0], 9999 * 9999);
    }
}

#[test]
fn every_way_to_wait_and_every_backing_gives_the_same() {
    let sandbox = Sandbox::new();
    for wait in ["hybrid", "spin", "block"] {
        for backing in ["shm", "memfd"] {
            for procs in [1, 2, 3] {
                let arguments = format!(
                    "-q -n {procs} -k square --size 5 --wait {wait} --backing {backing} --repeats 3"
                );
                assert_eq!(
                    sandbox.spmd(&arguments).run().ok().text(),
                    "Results: [0, 1, 4, 9, 16]\n"
                );
            }
        }
    }
}

#[test]
fn ranks_print_to_stderr_never_into_the_results() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("-n 2 -k hello --input 1").run().ok();
    assert_eq!(done.text().lines().count(), 2);
}
