//! What the processor counts while passes are timed, and how little is said of it where it does not count.

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox, skipped};

/// Set, the system's own counters are asked in place of the processor's: nanoseconds on a CPU stand for cycles, and
/// page faults for instructions. Machines without counters are most of those that tests run on.
const INSTEAD: &str = "SPMD_TEST_SYSTEM_COUNTERS";

/// Says that a test was skipped, where not even the system's own are to be had.
fn counts(document: &Value, why: &Outcome) -> bool {
    let counts = !document.is_null();
    if !counts {
        skipped(&why.told());
    }
    counts
}

#[test]
fn a_record_has_the_counters_of_each_rank_or_null_and_nobody_is_warned() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("-n 2 -k square --size 1e5 --counters --json").run().ok();
    let record = done.json();
    assert_eq!(record["params"]["counters"], true);
    assert!(!done.stderr.contains("warning") && record["warnings"] == serde_json::json!([]));
    let all = record.as_object().unwrap().get("counters").expect("it was asked for");
    for worker in record["workers"].as_array().unwrap() {
        let of_rank = worker.as_object().unwrap().get("counters").expect("and of each rank");
        if all.is_null() {
            continue; // One rank without is enough.
        }
        for name in ["cycles", "instructions", "cache_misses"] {
            let (count, sum) = (&of_rank[name], &all[name]);
            assert!(count.is_null() || count.is_u64() || count.is_string(), "{name}: {of_rank}");
            assert!(sum.is_null() || count.as_u64() <= sum.as_u64(), "{name}: {record}");
        }
        let running = of_rank["running"].as_f64().unwrap();
        assert!(running > 0.0 && running <= 1.0, "{of_rank}");
        assert!(of_rank["cpu_s"].as_f64().unwrap() > 0.0, "{of_rank}");
    }
    // Why there are none is for who wants to know everything.
    let verbose = sandbox.spmd("-n 2 -k square --size 1e5 --counters -v").run().ok();
    let quiet = sandbox.spmd("-n 2 -k square --size 1e5 --counters").run().ok();
    assert_eq!(verbose.stderr.contains("  count  nothing: "), all.is_null(), "{}", verbose.told());
    assert_eq!(quiet.stderr.contains("  count  "), !all.is_null(), "{}", quiet.told());
}

#[test]
fn nothing_is_said_of_counters_that_nobody_asked_for() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("-n 1 -k square --size 1e5 --json").env(INSTEAD, "1").run().ok();
    let record = done.json();
    assert!(!record.as_object().unwrap().contains_key("counters"), "{record}");
    assert!(!record["workers"][0].as_object().unwrap().contains_key("counters"), "{record}");
    assert_eq!(record["params"]["counters"], false);
}

#[test]
fn counts_are_of_the_timed_passes_and_of_every_rank() {
    let sandbox = Sandbox::new();
    let spin = "-n 2 -k spin --param cost=1ms --size 100 --schedule static --counters --json";
    let run = |more: &str| {
        let done = sandbox.spmd(&format!("{spin} {more}")).env(INSTEAD, "1").run().ok();
        (done.json(), done)
    };
    let (record, done) = run("--warmup 2 --repeats 3");
    if !counts(&record["counters"], &done) {
        return;
    }
    let ranks = record["workers"].as_array().unwrap().iter().map(|worker| &worker["counters"]);
    let of = |counters: &Value, name: &str| counters[name].as_u64().unwrap();
    let sum: u64 = ranks.clone().map(|counters| of(counters, "cycles")).sum();
    assert_eq!(of(&record["counters"], "cycles"), sum, "{record}");
    // Each of the three timed passes keeps each rank busy for 50 ms; the two before them are not in it.
    let whole = record["time"]["total_s"].as_f64().unwrap();
    let before: f64 =
        record["time"]["warmup_s"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).sum();
    for counters in ranks {
        let on_cpu = of(counters, "cycles") as f64 / 1e9;
        assert!(on_cpu < whole - before, "{record}");
        assert_eq!(counters["running"], 1.0, "nobody else wants them");
        assert!(on_cpu <= counters["cpu_s"].as_f64().unwrap() + 1e-9, "{record}");
    }
    assert!(done.stderr.contains("  count  "), "{}", done.told());
}

#[test]
fn ranks_that_stay_alive_count_each_run_by_itself() {
    let sandbox = Sandbox::new();
    let file = sandbox.write(
        "a.toml",
        "version = 1\n[[job]]\nname = \"a\"\nkernel = \"spin\"\nparam.cost = \"1ms\"\nsize = 50\nprocs = 1\n\
         counters = true\nrepeats = 4\n",
    );
    let batch = sandbox.spmd(&format!("batch {} --out out", file.display()));
    let done = batch.env(INSTEAD, "1").run().ok();
    let samples = String::from_utf8(sandbox.read("out/samples.jsonl")).unwrap();
    for line in samples.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if !counts(&record["counters"], &done) {
            return;
        }
        let on_cpu = record["counters"]["cycles"].as_u64().unwrap() as f64 / 1e9;
        assert!(on_cpu <= record["time"]["total_s"].as_f64().unwrap(), "{record}");
    }
    // Whether it counts decides neither result nor time: what is done stays done.
    let again = sandbox.spmd(&format!("batch {} --out out --set counters=false", file.display()));
    let again = again.run().ok();
    assert!(again.stderr.contains("0 trials made now, 4 done"), "{}", again.told());
}

#[test]
fn a_study_counts_and_shows_what_was_counted() {
    let sandbox = Sandbox::new();
    let study = "scale -k spin --param cost=200ns --size 2000 --procs 1,2 --repeats 2 --json";
    let done = sandbox.spmd(study).env(INSTEAD, "1").run().ok();
    let document = done.json();
    let points = document["points"].as_array().unwrap();
    if !counts(&points[0]["frequency_hz"], &done) {
        return;
    }
    for point in points {
        // Nanoseconds on a CPU for each second on a CPU.
        let clock = point["frequency_hz"].as_f64().unwrap();
        assert!((clock / 1e9 - 1.0).abs() < 0.01, "{point}");
        assert!((point["frequency_against_one"].as_f64().unwrap() - 1.0).abs() < 0.01, "{point}");
        assert_eq!(point["cache_misses_per_index"], 0.0);
    }
    let shown = sandbox.spmd(&study.replace(" --json", "")).env(INSTEAD, "1").run().ok();
    assert!(shown.text().contains("cache misses an index"), "{}", shown.told());
    let without = sandbox.spmd(&format!("{study} --counters=false")).env(INSTEAD, "1").run().ok();
    assert!(without.json()["points"][0]["frequency_hz"].is_null());
}

#[test]
fn a_machine_without_counters_has_studies_that_do_not_mention_them() {
    let sandbox = Sandbox::new();
    let study = "scale -k spin --param cost=200ns --size 2000 --procs 1,2 --repeats 2 --out s";
    let done = sandbox.spmd(study).run().ok();
    let samples = String::from_utf8(sandbox.read("s/samples.jsonl")).unwrap();
    let record: Value = serde_json::from_str(samples.lines().next().unwrap()).unwrap();
    let counters = record.as_object().unwrap().get("counters").expect("a study asks");
    if counters.is_null() {
        assert!(
            !done.text().contains("clock") && !done.stderr.contains("count"),
            "{}",
            done.told()
        );
        let verbose = sandbox.spmd(&format!("{study} -v")).run().ok();
        assert!(verbose.stderr.contains("nothing is counted: "), "{}", verbose.told());
    }
}
