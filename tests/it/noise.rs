//! What disturbs a run while passes are timed, and what its record says of it.

use serde_json::Value;

use crate::sandbox::{Running, Sandbox, cpu_ticks, cpus, skipped};

/// The marks of a record.
fn marks(record: &Value) -> Vec<String> {
    let marked = record["noise"]["marked"].as_array().unwrap();
    marked.iter().map(|mark| mark.as_str().unwrap().to_owned()).collect()
}

/// A run that keeps one CPU busy until it is told to stop; under way once this returns.
fn hog(sandbox: &Sandbox, cpu: u32) -> Running {
    let arguments = format!("-n 1 -k spin --param cost=1ms --size 60000 --cpus {cpu}");
    let mut hog = sandbox.spmd(&arguments).start();
    let rank = hog.ranks(1)[0];
    hog.until("the hog at work", |_| (cpu_ticks(rank) >= 3).then_some(()));
    hog
}

#[test]
fn a_rank_that_shares_its_cpu_with_another_process_is_marked() {
    let sandbox = Sandbox::new();
    let cpu = cpus()[0];
    let hog = hog(&sandbox, cpu);
    let arguments = format!("-n 1 -k spin --param cost=1ms --size 300 --cpus {cpu} --json");
    let record = sandbox.spmd(&arguments).run().ok().json();
    hog.signal(libc::SIGTERM);
    let _ = hog.wait();
    let noise = &record["noise"];
    assert!(marks(&record).contains(&"preempted".to_owned()), "{noise}");
    assert!(noise["nivcsw"].as_u64().unwrap() > 0, "{noise}");
    if let Some(delay) = noise["run_delay_s"].as_f64() {
        // Both are at work all the time, on one CPU.
        assert!(delay > record["time"]["pass_s"]["median"].as_f64().unwrap() / 10.0, "{record}");
    }
}

#[test]
fn every_record_says_what_disturbed_it() {
    let sandbox = Sandbox::new();
    let record = sandbox.spmd("-n 1 -k square --size 1e5 --repeats 3 --json").run().ok().json();
    let noise = record["noise"].as_object().unwrap();
    for name in ["steal_s", "throttled_s", "run_delay_s", "frequency_drop"] {
        let value = &noise[name];
        assert!(value.is_null() || value.as_f64().unwrap() >= 0.0, "{name}: {value}");
    }
    assert!(noise["nivcsw"].is_u64() && noise["majflt"].is_u64(), "{noise:?}");
    assert_eq!(noise["migrations"], 0, "it is pinned: {noise:?}");
    assert!(noise["steal_s"].is_f64(), "/proc/stat has the column: {noise:?}");
    if noise["nivcsw"] == 0 {
        assert!(!marks(&record).contains(&"preempted".to_owned()), "{noise:?}");
    }
}

#[test]
fn what_came_before_the_timed_passes_is_not_in_it() {
    let sandbox = Sandbox::new();
    let cpu = cpus()[0];
    let hog = hog(&sandbox, cpu);
    // Warming up takes as long as a hundred timed passes, and loses the CPU as often.
    let arguments = format!(
        "-n 1 -k spin --param cost=1ms --size 5 --warmup 100 --repeats 1 --cpus {cpu} --json"
    );
    let record = sandbox.spmd(&arguments).run().ok().json();
    hog.signal(libc::SIGTERM);
    let _ = hog.wait();
    let timed = record["noise"]["nivcsw"].as_u64().unwrap();
    let all = record["workers"][0]["nivcsw"].as_u64().unwrap();
    assert!(timed * 4 < all, "{timed} of {all}");
}

#[test]
fn samples_of_a_batch_are_marked_and_counted() {
    let sandbox = Sandbox::new();
    let cpu = cpus()[0];
    let text = format!(
        "version = 1\n[[job]]\nname = \"a\"\nkernel = \"spin\"\nparam.cost = \"1ms\"\nsize = 200\nprocs = 1\ncpus = \"{cpu}\"\nrepeats = 3\n"
    );
    let file = sandbox.write("a.toml", text);
    let hog = hog(&sandbox, cpu);
    sandbox.spmd(&format!("batch {} --out out", file.display())).run().ok();
    hog.signal(libc::SIGTERM);
    let _ = hog.wait();
    let samples = String::from_utf8(sandbox.read("out/samples.jsonl")).unwrap();
    for line in samples.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(marks(&record).contains(&"preempted".to_owned()), "{record}");
    }
    let report = String::from_utf8(sandbox.read("out/report.md")).unwrap();
    assert!(report.contains("0 failed, 3 disturbed"), "{report}");
    let table = String::from_utf8(sandbox.read("out/summary.csv")).unwrap();
    assert!(table.lines().last().unwrap().contains("disturbed"), "{table}");
}

#[test]
fn a_rank_that_comes_late_to_a_timed_pass_is_marked() {
    let cpus = cpus();
    if cpus.len() < 2 {
        return skipped("two ranks need two cpus");
    }
    let sandbox = Sandbox::new();
    // In one session: of two the system would give each its share, and whoever wakes in one would come first.
    let script = format!(
        r#"
        "$0" -q -n 1 -k spin --param cost=1ms --size 600000 --cpus {1} >/dev/null 2>&1 & hog=$!
        sleep 0.2
        "$0" scale -k spin --param cost=10us --size 100 --cpus {0},{1} --procs 1,2 --schedule static \
            --repeats 500 --out s
        code=$?
        kill $hog; wait $hog
        exit $code
        "#,
        cpus[0], cpus[1]
    );
    sandbox.shell(&script).run().ok();
    let samples = String::from_utf8(sandbox.read("s/samples.jsonl")).unwrap();
    let samples = samples.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let time = |value: &Value| value.as_f64().unwrap();
    let late: Vec<Value> = samples
        .filter(|sample| sample["procs"] == 2 && sample["warmup"] == false)
        .filter(|sample| {
            // The clock began with the first rank. Whoever waited least has come last.
            let workers = sample["workers"].as_array().unwrap().iter();
            let last = workers.min_by(|a, b| time(&a["wait_s"]).total_cmp(&time(&b["wait_s"])));
            let own = last.map_or(0.0, |last| time(&last["busy_s"]) + time(&last["claim_s"]));
            time(&sample["time"]["pass_s"]["median"]) > own + 1e-3
        })
        .collect();
    if late.len() < 12 {
        return skipped("hardly a rank came late, also where another process is at work");
    }
    // What a host keeps for less than a tick nobody is told of.
    let unmarked: Vec<&Value> = late.iter().filter(|sample| marks(sample).is_empty()).collect();
    assert!(unmarked.len() * 6 < late.len(), "of {} late: {unmarked:?}", late.len());
}
