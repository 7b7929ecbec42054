//! The plain loop that speedups may be multiples of: the same results from one rank that shares nothing.

use crate::sandbox::Sandbox;

fn digest(sandbox: &Sandbox, arguments: &str) -> serde_json::Value {
    let record = sandbox.spmd(&format!("{arguments} --json")).run().ok().json();
    assert!(record["result"]["digest"].is_string(), "{record}");
    record["result"]["digest"].clone()
}

#[test]
fn a_plain_loop_has_the_bits_that_ranks_have_from_every_kind_of_input() {
    let sandbox = Sandbox::new();
    let numbers: Vec<u8> = (0..100_003_u64).flat_map(|i| (i as f64 * 0.25).to_le_bytes()).collect();
    sandbox.write("numbers.bin", &numbers);
    for problem in [
        "-k square --size 100003",
        "-k triad --size 100003 --repeats 2",
        "-k collatz --size 20000",
        "-k square --dtype f64 --input numbers.bin",
        "-k square --dtype f64 --input numbers.bin --in-place --repeats 3",
        "-k scale --dtype f64 --size 70001 --warmup 1",
    ] {
        let ranks = digest(&sandbox, &format!("{problem} -n 2"));
        assert_eq!(digest(&sandbox, &format!("{problem} --plain")), ranks, "{problem}");
    }
    for name in ["plain.npy --plain", "ranks.npy -n 2"] {
        let arguments = "-k square --dtype f64 --input numbers.bin --verify full --output";
        sandbox.spmd(&format!("{arguments} {name}")).run().ok();
    }
    assert_eq!(sandbox.read("plain.npy"), sandbox.read("ranks.npy"));
}

#[test]
fn a_plain_loop_is_one_rank_that_claims_once() {
    let sandbox = Sandbox::new();
    let record = sandbox.spmd("-k square --size 50000 --plain --schedule dynamic,7 --json");
    let record = record.run().ok().json();
    assert_eq!((&record["procs"], &record["schedule"]), (&1.into(), &"static".into()));
    assert_eq!(record["workers"][0]["chunks"], 1);
    assert_eq!(record["params"]["plain"], true);
}

#[test]
fn what_a_plain_loop_has_no_place_for_is_refused() {
    let sandbox = Sandbox::new();
    for (more, why) in
        [("-n 2", "one rank"), ("--checkpoint kept", "has its results to itself until it is over")]
    {
        let refused = sandbox.spmd(&format!("-k square --size 10 --plain {more}")).run();
        refused.failed(2, why);
    }
    let refused = sandbox.spmd("scale -k square --size 10 --plain --procs 1,2").run();
    refused.failed(2, "--baseline serial");
}

#[test]
fn the_death_of_a_plain_loop_ends_the_run_and_says_why() {
    let sandbox = Sandbox::new();
    let failed = sandbox.spmd("-k square --size 1e5 --plain --inject kill:rank=0,chunk=0").run();
    failed.failed(1, "leave --plain out");
}
