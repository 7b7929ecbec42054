//! Batches: files that are understood or refused, results that survive everything, trials made once.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox, kill, members};

const SMALL: &str = r#"
version = 1
[defaults]
kernel = "square"
size = 1000
repeats = 3
[[job]]
name = "a"
matrix.procs = [1, 2]
matrix.schedule = ["static", "dynamic,100"]
"#;

/// The lines of a file of JSON lines in a results directory.
fn lines(sandbox: &Sandbox, name: &str) -> Vec<Value> {
    let text = String::from_utf8(sandbox.read(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// The timed samples of a results directory.
fn samples(sandbox: &Sandbox, directory: &str) -> Vec<Value> {
    let mut samples = lines(sandbox, &format!("{directory}/samples.jsonl"));
    samples.retain(|sample| sample["warmup"] == false);
    samples
}

/// Checks that there is one sample for each of so many points and repeats.
fn each_once(samples: &[Value], points: usize, repeats: u64) {
    let mut found: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for sample in samples {
        let key = sample["key"].as_str().unwrap().to_owned();
        *found.entry((key, sample["repeat"].as_u64().unwrap())).or_default() += 1;
    }
    assert!(found.values().all(|&count| count == 1), "made twice: {found:?}");
    assert_eq!(found.len() as u64, points as u64 * repeats, "{found:?}");
    assert!(found.keys().all(|(_, repeat)| *repeat < repeats));
}

fn batch(sandbox: &Sandbox, text: &str, more: &str) -> Outcome {
    sandbox.write("b.toml", text);
    sandbox.spmd(&format!("batch b.toml --out r {more}")).run()
}

#[test]
fn a_batch_makes_every_trial_once_and_leaves_what_the_contract_names() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let mut names: Vec<String> = fs::read_dir(sandbox.path("r"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in [
        "batch.toml",
        "env.json",
        "journal.jsonl",
        "logs",
        "plan.jsonl",
        "report.md",
        "samples.jsonl",
        "summary.csv",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    assert_eq!(sandbox.read("r/batch.toml"), SMALL.as_bytes(), "the copy is what was read");
    let samples = samples(&sandbox, "r");
    each_once(&samples, 4, 3);
    for sample in &samples {
        assert_eq!(sample["batch"], "b");
        assert_eq!(sample["job"], "a");
        assert_eq!((&sample["status"], &sample["exit"]), (&"ok".into(), &0.into()));
        assert_eq!(sample["time"]["pass_s"]["n"], 1, "a repeat is a timing");
        assert_eq!(sample["result"]["last"][0], 999 * 999);
        assert!(
            sample["workers"].as_array().unwrap().len() as u64 == sample["procs"].as_u64().unwrap()
        );
    }
    let digests: Vec<&Value> = samples.iter().map(|sample| &sample["result"]["digest"]).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn the_same_command_again_makes_nothing_twice() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let before = sandbox.read("r/samples.jsonl");
    let again = batch(&sandbox, SMALL, "");
    assert!(
        again.told().contains("nothing to do") || again.told().contains("12 done"),
        "{}",
        again.told()
    );
    again.ok();
    assert_eq!(sandbox.read("r/samples.jsonl"), before);
}

#[test]
fn interleaved_batches_go_round_and_sequential_ones_stay() {
    let sandbox = Sandbox::new();
    let repeats = |order: &str| -> Vec<u64> {
        let _ = fs::remove_dir_all(sandbox.path("r"));
        batch(&sandbox, SMALL, &format!("--set order={order}")).ok();
        samples(&sandbox, "r").iter().map(|sample| sample["repeat"].as_u64().unwrap()).collect()
    };
    assert_eq!(repeats("interleaved"), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    assert_eq!(repeats("sequential"), [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
    assert_eq!(repeats("shuffled"), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn a_batch_ends_with_its_last_point_whatever_repeats_it_may_have() {
    let sandbox = Sandbox::new();
    for order in ["interleaved", "sequential", "shuffled"] {
        let text = SMALL.replace("repeats = 3", "repeats = 4_000_000_000\nmax-time = \"20ms\"");
        let _ = fs::remove_dir_all(sandbox.path("r"));
        let summary = batch(&sandbox, &text, &format!("--json --set order={order}")).ok().json();
        let trials = &summary["trials"];
        assert!(trials["made"].as_u64().unwrap() >= 4, "{order}: {trials}");
        assert_eq!((&trials["left"], &trials["done"]), (&0.into(), &trials["made"]), "{trials}");
        let again = batch(&sandbox, &text, &format!("--json --set order={order}")).ok().json();
        assert_eq!(again["trials"]["left"], 0, "what will not be made is not left: {again}");
    }
}

#[test]
fn warm_up_passes_are_kept_apart() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "--set warmup=2").ok();
    each_once(&samples(&sandbox, "r"), 4, 3);
    let all = lines(&sandbox, "r/samples.jsonl");
    let warm: Vec<&Value> = all.iter().filter(|sample| sample["warmup"] == true).collect();
    assert_eq!(warm.len(), 4 * 3 * 2);
    assert!(warm.iter().all(|sample| sample["time"]["pass_s"]["median"].as_f64().unwrap() > 0.0));
}

const LONG: &str = r#"
version = 1
[defaults]
kernel = "spin"
size = 100
param.cost = "20us"
repeats = 10
[[job]]
name = "a"
matrix.procs = [1, 2, 3]
matrix.seed = [1, 2]
"#;

#[test]
fn a_batch_killed_at_any_moment_goes_on_and_no_sample_is_lost_or_doubled() {
    let sandbox = Sandbox::new();
    sandbox.write("b.toml", LONG);
    let mut kills = 0;
    for round in 0_u64.. {
        let running = sandbox.spmd("batch b.toml --out r -q").orphans_follow().start();
        thread::sleep(Duration::from_millis(15 + round * 37 % 90));
        kill(-running.pid(), libc::SIGKILL);
        let outcome = running.wait();
        if outcome.code == Some(0) {
            break;
        }
        kills += 1;
        if let Ok(bytes) = fs::read(sandbox.path("r/samples.jsonl")) {
            // All but the last line are whole, and stay.
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            for line in String::from_utf8_lossy(&bytes[..whole]).lines() {
                serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            }
        }
        if kills == 25 {
            sandbox.spmd("batch b.toml --out r -q").run().ok();
            break;
        }
    }
    assert!(kills > 3, "it was too fast to be killed");
    each_once(&samples(&sandbox, "r"), 6, 10);
}

#[test]
fn a_batch_that_is_interrupted_says_how_to_go_on() {
    let sandbox = Sandbox::new();
    sandbox.write("b.toml", LONG.replace("repeats = 10", "repeats = 1000"));
    let mut running = sandbox.spmd("batch b.toml --out r").start();
    running.until("some samples", |_| {
        let bytes = fs::read(sandbox.path("r/samples.jsonl")).ok()?;
        (bytes.iter().filter(|&&byte| byte == b'\n').count() > 5).then_some(())
    });
    running.signal(libc::SIGINT);
    let outcome = running.wait();
    assert_eq!(outcome.signal, Some(libc::SIGINT), "{}", outcome.told());
    assert!(outcome.told().contains("batch b.toml --out r"), "{}", outcome.told());
    let before = samples(&sandbox, "r").len();
    sandbox.spmd("batch b.toml --out r --set repeats=1").run().ok();
    assert!(samples(&sandbox, "r").len() >= before);
}

#[test]
fn a_torn_last_line_is_cut_off_and_its_trial_made_again() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let whole = sandbox.read("r/samples.jsonl");
    let torn = &whole[..whole.len() - 17];
    sandbox.write("r/samples.jsonl", torn);
    batch(&sandbox, SMALL, "").ok();
    each_once(&samples(&sandbox, "r"), 4, 3);
}

#[test]
fn a_damaged_line_is_named_and_nothing_runs() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let text = String::from_utf8(sandbox.read("r/samples.jsonl")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[3] = "{\"schema\":1,";
    sandbox.write("r/samples.jsonl", lines.join("\n") + "\n");
    let refused = batch(&sandbox, SMALL, "");
    refused.failed(2, "samples.jsonl:4");
}

#[test]
fn two_batches_on_one_directory_are_one_too_many() {
    let sandbox = Sandbox::new();
    sandbox.write("b.toml", LONG.replace("repeats = 10", "repeats = 1000"));
    let mut running = sandbox.spmd("batch b.toml --out r -q").start();
    running.until("a sample", |_| {
        fs::metadata(sandbox.path("r/samples.jsonl")).ok().filter(|file| file.len() > 0)
    });
    let pid = running.pid().to_string();
    let second = sandbox.spmd("batch b.toml --out r -q").run();
    second.failed(2, &pid);
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait().signal, Some(libc::SIGTERM));
}

#[test]
fn an_edited_file_adds_points_and_orphans_others() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let edited = SMALL.replace("[1, 2]", "[2, 3]");
    let outcome = batch(&sandbox, &edited, "--why");
    let told = outcome.told();
    outcome.ok();
    assert!(told.contains("2 new points, 2 as before, 2 orphans"), "{told}");
    let samples = samples(&sandbox, "r");
    each_once(&samples, 6, 3);
    let summary = String::from_utf8(sandbox.read("r/summary.csv")).unwrap();
    let rows = summary.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(rows, 1 + 4, "orphans are not in the summary:\n{summary}");
}

#[test]
fn a_changed_value_is_a_new_point_and_why_names_it() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let outcome = batch(&sandbox, &SMALL.replace("size = 1000", "size = 2000"), "--why");
    let told = outcome.told();
    outcome.ok();
    assert!(told.contains("size") && told.contains("1000") && told.contains("2000"), "{told}");
    each_once(&samples(&sandbox, "r"), 8, 3);
}

#[test]
fn what_cannot_change_a_result_is_no_reason_to_make_a_trial_again() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let before = sandbox.read("r/samples.jsonl");
    let same =
        SMALL.replace("repeats = 3", "# a comment\ntimeout = \"50s\"\nrepeats = 3\nretries = 4");
    batch(&sandbox, &same, "").ok();
    assert_eq!(sandbox.read("r/samples.jsonl"), before);
}

#[test]
fn a_changed_input_file_is_another_point() {
    let sandbox = Sandbox::new();
    sandbox.write("x.txt", "1\n2\n3\n");
    let text = SMALL.replace("size = 1000", "input = \"x.txt\"");
    batch(&sandbox, &text, "").ok();
    sandbox.write("x.txt", "1\n2\n4\n");
    batch(&sandbox, &text, "").ok();
    each_once(&samples(&sandbox, "r"), 8, 3);
}

#[test]
fn an_input_that_changes_in_the_midst_ends_the_batch_and_is_another_point_then() {
    let sandbox = Sandbox::new();
    sandbox.write("x.txt", "1\n2\n3\n");
    let text = SMALL.replace("size = 1000", "input = \"x.txt\"");
    let hook = "[hooks]\nafter-each = \"echo 4 >> x.txt\"\n[defaults]";
    let changing = text.replace("[defaults]", hook);
    let ended = batch(&sandbox, &changing, "");
    assert_eq!(ended.code, Some(125), "{}", ended.told());
    assert!(ended.told().contains("has changed since the batch began"), "{}", ended.told());
    assert_eq!(samples(&sandbox, "r").len(), 1, "none is of another input than its key says");
    batch(&sandbox, &text, "").ok();
    each_once(&samples(&sandbox, "r")[1..], 4, 3);
}

const FAILING: &str = r#"
version = 1
[defaults]
kernel = "square"
repeats = 2
order = "sequential"
[[job]]
name = "bad"
procs = 2
size = 1000
inject = ["panic:chunk=0,times=9"]
on-fail = "ON_FAIL"
matrix.seed = [1, 2]
[[job]]
name = "good"
procs = 1
size = 10
"#;

#[test]
fn a_failing_trial_is_recorded_and_the_batch_goes_on_or_stops_as_it_says() {
    for (rule, made) in [("continue", 6), ("skip-job", 3), ("stop", 1), ("stop-after:2", 2)] {
        let sandbox = Sandbox::new();
        let outcome = batch(&sandbox, &FAILING.replace("ON_FAIL", rule), "");
        assert_eq!(outcome.code, Some(1), "{rule}: {}", outcome.told());
        let samples = samples(&sandbox, "r");
        assert_eq!(samples.len(), made, "{rule}: {}", outcome.told());
        assert_eq!(samples[0]["status"], "failed");
        assert_eq!(samples[0]["exit"], 1);
        assert!(
            samples[0]["error"]["message"].as_str().unwrap().contains("rank"),
            "{}",
            samples[0]
        );
        let report = String::from_utf8(sandbox.read("r/report.md")).unwrap();
        assert!(report.contains("failed"), "{report}");
    }
}

#[test]
fn a_job_that_was_skipped_stays_so_until_its_failures_are_made_again() {
    let sandbox = Sandbox::new();
    let text = FAILING.replace("ON_FAIL", "skip-job");
    for _ in 0..2 {
        assert_eq!(batch(&sandbox, &text, "").code, Some(1));
        assert_eq!(samples(&sandbox, "r").len(), 3, "one of the bad job, two of the good one");
    }
    assert_eq!(batch(&sandbox, &text, "--retry-failed").code, Some(1));
    assert_eq!(samples(&sandbox, "r").len(), 4, "it failed again");
    let mended = text.replace("inject", "# ");
    batch(&sandbox, &mended, "").ok();
    each_once(&samples(&sandbox, "r")[4..], 2, 2);
}

#[test]
fn a_failed_trial_is_made_again_only_if_asked() {
    let sandbox = Sandbox::new();
    let text = FAILING.replace("ON_FAIL", "continue");
    assert_eq!(batch(&sandbox, &text, "").code, Some(1));
    assert_eq!(samples(&sandbox, "r").len(), 6);
    assert_eq!(batch(&sandbox, &text, "").code, Some(1), "it still has failed trials");
    assert_eq!(samples(&sandbox, "r").len(), 6);
    let retried = batch(&sandbox, &text, "--retry-failed --json");
    assert_eq!(retried.code, Some(1));
    let trials = &retried.json()["trials"];
    assert_eq!(
        (&trials["made"], &trials["done"], &trials["left"]),
        (&4.into(), &6.into(), &0.into())
    );
    assert_eq!(samples(&sandbox, "r").len(), 10);
}

#[test]
fn rerun_makes_everything_again_and_keeps_the_old() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    batch(&sandbox, SMALL, "--rerun").ok();
    let samples = samples(&sandbox, "r");
    assert_eq!(samples.len(), 24);
    assert_eq!(
        samples.iter().filter(|sample| sample["attempt"] == samples[23]["attempt"]).count(),
        12
    );
}

#[test]
fn reruns_of_different_points_know_each_of_their_own_end() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    // One that was ended before its end, as its journal would tell.
    batch(&sandbox, SMALL, "--rerun --only procs=1").ok();
    let journal = String::from_utf8(sandbox.read("r/journal.jsonl")).unwrap();
    let ended = journal.trim_end().rsplit_once('\n').unwrap().0;
    sandbox.write("r/journal.jsonl", format!("{ended}\n"));
    let all = String::from_utf8(sandbox.read("r/samples.jsonl")).unwrap();
    let torn: Vec<&str> = all.lines().collect();
    sandbox.write("r/samples.jsonl", format!("{}\n", torn[..torn.len() - 2].join("\n")));
    // Another comes to its end, and that is not the end of the first.
    batch(&sandbox, SMALL, "--rerun --only procs=2").ok();
    assert_eq!(samples(&sandbox, "r").len(), 12 + 4 + 6);
    assert!(batch(&sandbox, SMALL, "").told().contains("a --rerun was ended before its end"));
    batch(&sandbox, SMALL, "--rerun --only procs=1").ok();
    assert_eq!(samples(&sandbox, "r").len(), 24, "the two that were missing, and no more");
    assert!(!batch(&sandbox, SMALL, "").told().contains("--rerun was ended"));
}

#[test]
fn what_failed_trials_took_counts_in_later_visits_too() {
    let sandbox = Sandbox::new();
    let text = r#"
version = 1
[defaults]
kernel = "square"
size = 1000
timeout = "300ms"
repeats = 1
max-time = "200ms"
[[job]]
name = "hangs"
procs = 1
inject = ["hang:chunk=0"]
"#;
    assert_eq!(batch(&sandbox, text, "").code, Some(1));
    let sample = &samples(&sandbox, "r")[0];
    assert!(sample["time"]["total_s"].as_f64().is_some_and(|took| took >= 0.3), "{sample}");
    let more = text.replace("repeats = 1", "repeats = 3");
    assert_eq!(batch(&sandbox, &more, "").code, Some(1));
    assert_eq!(samples(&sandbox, "r").len(), 1, "its time was over");
    assert_eq!(batch(&sandbox, &more, "--retry-failed").code, Some(1));
    assert_eq!(samples(&sandbox, "r").len(), 2, "asked for, it has its time anew");
}

#[test]
fn a_hanging_trial_is_ended_by_its_time_limit_and_recorded() {
    let sandbox = Sandbox::new();
    let text = r#"
version = 1
[defaults]
kernel = "square"
size = 1000
procs = 2
timeout = "300ms"
[[job]]
name = "hangs"
inject = ["hang:chunk=0"]
[[job]]
name = "good"
"#;
    let outcome = batch(&sandbox, text, "");
    assert_eq!(outcome.code, Some(1), "{}", outcome.told());
    let samples = samples(&sandbox, "r");
    assert_eq!(samples[0]["status"], "timeout", "{}", samples[0]);
    assert_eq!((&samples[0]["exit"], &samples[1]["status"]), (&124.into(), &"ok".into()));
}

#[test]
fn a_result_that_was_not_expected_is_wrong() {
    let sandbox = Sandbox::new();
    let text = SMALL.replace("matrix.schedule", "expect = { last = [1] }\nmatrix.schedule");
    let outcome = batch(&sandbox, &text, "");
    assert_eq!(outcome.code, Some(1), "{}", outcome.told());
    assert!(
        samples(&sandbox, "r")
            .iter()
            .all(|sample| sample["status"] == "wrong" && sample["exit"] == 3)
    );
    let right = SMALL.replace(
        "matrix.schedule",
        "expect = { len = 1000, first = [0, 1, 4], last = [998001] }\nmatrix.schedule",
    );
    let sandbox = Sandbox::new();
    batch(&sandbox, &right, "").ok();
}

#[test]
fn an_expectation_holds_for_samples_that_were_there_before_it_and_for_each_job() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let before = sandbox.read("r/samples.jsonl");
    let expecting = SMALL.replace("matrix.schedule", "expect = { last = [1] }\nmatrix.schedule");
    let outcome = batch(&sandbox, &expecting, "");
    assert_eq!(outcome.code, Some(1), "{}", outcome.told());
    assert!(
        outcome.told().contains("998001, expected 1") || outcome.told().contains("expected [1]"),
        "{}",
        outcome.told()
    );
    assert_eq!(sandbox.read("r/samples.jsonl"), before, "the samples are what they were");
    let twice = SMALL.to_owned()
        + "[[job]]\nname = \"b\"\nprocs = 1\nschedule = \"static\"\nexpect = { len = 3 }\n";
    let outcome = batch(&sandbox, &twice, "");
    assert_eq!(outcome.code, Some(1), "{}", outcome.told());
    assert!(outcome.told().contains("b: 3 samples"), "{}", outcome.told());
}

#[test]
fn trials_with_other_hooks_around_them_are_other_trials() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "").ok();
    let hooked = SMALL.replace("[defaults]", "[hooks]\nbefore-each = \"true\"\n[defaults]");
    batch(&sandbox, &hooked, "").ok();
    each_once(&samples(&sandbox, "r"), 8, 3);
}

#[test]
fn the_command_that_continues_is_the_one_that_was_given() {
    let sandbox = Sandbox::new();
    sandbox.write("b.toml", LONG.replace("repeats = 10", "repeats = 1000"));
    let job = sandbox.spmd("batch b.toml --only procs=2 --set repeats=500 --out").arg("my results");
    let mut running = job.start();
    running.until("a sample", |_| {
        fs::metadata(sandbox.path("my results/samples.jsonl")).ok().filter(|file| file.len() > 0)
    });
    running.signal(libc::SIGTERM);
    running.signal(libc::SIGTERM); // As a program sends it that means us and our group.
    let outcome = running.wait();
    assert_eq!(outcome.signal, Some(libc::SIGTERM), "{}", outcome.told());
    let again = "batch b.toml --only procs=2 --set repeats=500 --out 'my results'";
    assert!(outcome.told().contains(again), "{}", outcome.told());
    let report = String::from_utf8(sandbox.read("my results/report.md")).unwrap();
    assert!(report.contains("Ended by a signal") && report.contains("yet to be made"), "{report}");
}

#[test]
fn a_hook_that_fails_after_a_trial_is_a_failure_as_on_fail_has_it() {
    let sandbox = Sandbox::new();
    let text = SMALL.replace("[defaults]", "[hooks]\nafter-each = \"exit 3\"\n[defaults]");
    let outcome = batch(&sandbox, &text, "");
    assert_eq!(outcome.code, Some(1), "{}", outcome.told());
    each_once(&samples(&sandbox, "r"), 4, 3);
    assert!(outcome.told().contains("after-each"), "{}", outcome.told());
    let sandbox = Sandbox::new();
    let stop = text.replace("repeats = 3", "repeats = 3\non-fail = \"stop\"");
    assert_eq!(batch(&sandbox, &stop, "").code, Some(1));
    assert_eq!(samples(&sandbox, "r").len(), 1);
}

#[test]
fn a_dry_run_refuses_what_the_run_would() {
    let sandbox = Sandbox::new();
    let text = SMALL.replace("kernel = \"square\"", "kernel = \"square\"\nparam.nothing = 3");
    batch(&sandbox, &text, "--dry-run").failed(2, "nothing");
    let idle = SMALL.to_owned()
        + "reference.time = { value = 1, tolerance = \"10%\", when = { procs = 99 } }\n";
    batch(&sandbox, &idle, "").failed(2, "no point");
}

#[test]
fn a_reference_that_is_not_met_is_exit_4() {
    let sandbox = Sandbox::new();
    let with = |value: &str| {
        SMALL.to_owned()
            + &format!("reference.throughput = {{ value = {value}, tolerance = \"10%\" }}\n")
    };
    let outcome = batch(&sandbox, &with("1e30"), "");
    assert_eq!(outcome.code, Some(4), "{}", outcome.told());
    assert!(outcome.told().contains("throughput"), "{}", outcome.told());
    let report = String::from_utf8(sandbox.read("r/report.md")).unwrap();
    assert!(
        report.contains("References that were not reached") && report.contains("slow"),
        "{report}"
    );
    batch(&sandbox, &with("1.0"), "").ok();
    each_once(&samples(&sandbox, "r"), 4, 3);
}

#[test]
fn a_batch_that_was_stopped_has_not_missed_what_it_did_not_measure() {
    let sandbox = Sandbox::new();
    let reference = "reference.time = { value = 1e9, tolerance = \"10%\" }\n";
    let text = FAILING.replace("ON_FAIL", "stop") + reference;
    let outcome = batch(&sandbox, &text, "");
    assert_eq!(outcome.code, Some(1), "{}", outcome.told());
    assert!(!outcome.told().contains("not reached"), "{}", outcome.told());
}

#[test]
fn hooks_run_around_the_batch_its_jobs_and_its_trials() {
    let sandbox = Sandbox::new();
    let text = r#"
version = 1
[hooks]
setup = "echo setup >> said"
teardown = "echo teardown >> said"
[defaults]
kernel = "square"
size = 10
procs = 1
[[job]]
name = "a"
repeats = 2
hooks.setup = "echo job $SPMD_JOB >> said"
hooks.before-each = "echo before $SPMD_REPEAT >> said; echo noise"
hooks.after-each = "echo after $SPMD_REPEAT >> said"
hooks.teardown = "echo done $SPMD_JOB >> said"
"#;
    batch(&sandbox, text, "").ok();
    let said = String::from_utf8(sandbox.read("said")).unwrap();
    let expected = "setup\njob a\nbefore 0\nafter 0\nbefore 1\nafter 1\ndone a\nteardown\n";
    assert_eq!(said, expected);
    let again = batch(&sandbox, text, "");
    again.ok();
    assert_eq!(sandbox.read("said"), expected.as_bytes(), "nothing to do needs no setup");
}

#[test]
fn a_hook_that_fails_before_a_trial_fails_the_trial() {
    let sandbox = Sandbox::new();
    let text = SMALL.replace("[defaults]", "[hooks]\nbefore-each = \"exit 3\"\n[defaults]");
    assert_eq!(batch(&sandbox, &text, "").code, Some(1));
    let samples = samples(&sandbox, "r");
    each_once(&samples, 4, 3);
    assert!(
        samples[0]["error"]["message"].as_str().unwrap().contains("before-each"),
        "{}",
        samples[0]
    );
}

#[test]
fn a_dry_run_shows_the_points_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let outcome = batch(&sandbox, SMALL, "--dry-run");
    let text = outcome.ok().text().to_owned();
    assert!(text.contains("a/procs=1,schedule=static") && text.contains("4 points"), "{text}");
    assert!(!sandbox.path("r").exists());
    let explained =
        batch(&sandbox, SMALL, "--dry-run --explain --set size=5").ok().text().to_owned();
    assert!(explained.contains("b.toml:") && explained.contains("--set"), "{explained}");
}

#[test]
fn a_dry_run_counts_what_is_done_and_says_why_the_rest_is_not() {
    let sandbox = Sandbox::new();
    let dry = |text: &str, more: &str| {
        batch(&sandbox, text, &format!("--dry-run {more}")).ok().text().to_owned()
    };
    assert!(dry(SMALL, "").ends_with("12 trials at most: 0 done, 12 to be made\n"));
    batch(&sandbox, SMALL, "--only procs=1").ok();
    let before = sandbox.read("r/journal.jsonl");
    assert!(dry(SMALL, "").ends_with("12 trials at most: 6 done, 6 to be made\n"));
    assert!(dry(SMALL, "--only procs=1").ends_with(": 6 done, 0 to be made\n"));
    assert!(dry(SMALL, "--rerun").ends_with(": 0 done, 12 to be made\n"));
    let changed = SMALL.replace("size = 1000", "size = 2000");
    let told = dry(&changed, "--why");
    assert!(
        told.contains("changed: a/procs=1,schedule=static: size: 1000 -> 2000; input"),
        "{told}"
    );
    assert!(told.ends_with(": 0 done, 12 to be made\n"), "{told}");
    let plan: Value = serde_json::from_str(&dry(&changed, "--why --json")).unwrap();
    assert_eq!((&plan["done"], &plan["left"]), (&0.into(), &12.into()));
    assert_eq!(plan["changed"][0]["why"][0], "size: 1000 -> 2000", "{plan}");
    assert_eq!(sandbox.read("r/journal.jsonl"), before, "nothing was written");
    assert_eq!(samples(&sandbox, "r").len(), 6);
}

#[test]
fn a_wrong_file_runs_nothing_and_says_where() {
    let sandbox = Sandbox::new();
    for (text, place, hint) in [
        (SMALL.replace("kernel =", "kernl ="), "b.toml:4:1", "did you mean `kernel`"),
        (SMALL.replace("\"static\"", "\"statik\""), "b.toml:10:20", "statik"),
        (SMALL.replace("version = 1", "version = 2"), "b.toml:2:", "version"),
        (SMALL.replace("name = \"a\"", "name = \"a\"\nprocs = 3"), "procs", "matrix"),
        (SMALL.replace("[[job]]", "[[jobs]]"), "b.toml:7:", "did you mean `job`"),
        (SMALL.replace("[1, 2]", "[1, 2"), "b.toml:", ""),
    ] {
        let outcome = batch(&sandbox, &text, "");
        let told = outcome.told();
        outcome.failed(2, place);
        assert!(told.contains(hint), "{told}");
        assert!(!sandbox.path("r").exists());
    }
    sandbox.spmd("batch nothing.toml --out r").run().failed(2, "nothing.toml");
    let missing = batch(&sandbox, &SMALL.replace("square", "sqare"), "");
    missing.failed(127, "square");
}

#[test]
fn the_points_of_a_million_are_counted_without_running_one() {
    let sandbox = Sandbox::new();
    let hundred: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
    let text = format!(
        "version = 1\n[[job]]\nname = \"a\"\nkernel = \"square\"\nprocs = 1\nmatrix.seed = [{0}]\nmatrix.size = [{0}]\nmatrix.retries = [{0}]\n",
        hundred.join(", ")
    );
    let outcome = batch(&sandbox, &text, "--dry-run");
    assert!(
        outcome.text().contains("1,000,000 points") || outcome.text().contains("1_000_000 points")
    );
    outcome.ok();
    batch(&sandbox, &text, "").failed(2, "--yes");
    let some = text.replace("matrix.retries", "# ");
    batch(&sandbox, &some, "--only seed=1").ok();
    each_once(&samples(&sandbox, "r"), 100, 1);
}

#[test]
fn only_some_points_are_run_if_only_some_are_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write("b.toml", SMALL);
    sandbox.spmd("batch b.toml --out r --only").arg("procs=2 schedule=static").run().ok();
    each_once(&samples(&sandbox, "r"), 1, 3);
    batch(&sandbox, SMALL, "").ok();
    each_once(&samples(&sandbox, "r"), 4, 3);
}

#[test]
fn warm_and_cold_ranks_give_the_same_bits() {
    let sandbox = Sandbox::new();
    let text = "version = 1\n[defaults]\nsize = 5000\nrepeats = 2\n[[job]]\nname = \"a\"\nmatrix.kernel = [\"square\", \"collatz\", \"triad\", \"chain\"]\nmatrix.procs = [1, 2, 3]\nmatrix.schedule = [\"static\", \"steal\", \"auto\"]\n";
    let digests = |more: &str| -> BTreeMap<String, String> {
        let _ = fs::remove_dir_all(sandbox.path("r"));
        batch(&sandbox, text, more).ok();
        let samples = samples(&sandbox, "r");
        each_once(&samples, 36, 2);
        let digest = |sample: &Value| {
            (sample["id"].to_string(), sample["result"]["digest"].as_str().unwrap().to_owned())
        };
        samples.iter().map(digest).collect()
    };
    assert_eq!(digests(""), digests("--cold"));
}

#[test]
fn warm_ranks_are_the_same_processes_from_trial_to_trial() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "--only procs=2").ok();
    let pids: Vec<Vec<u64>> = samples(&sandbox, "r")
        .iter()
        .map(|sample| {
            sample["workers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|w| w["pid"].as_u64().unwrap())
                .collect()
        })
        .collect();
    assert!(pids.iter().all(|trial| *trial == pids[0]), "{pids:?}");
}

#[test]
fn a_killed_rank_is_replaced_and_the_batch_is_complete() {
    let sandbox = Sandbox::new();
    sandbox
        .write("b.toml", LONG.replace("[1, 2, 3]", "[3]").replace("repeats = 10", "repeats = 60"));
    let mut running = sandbox.spmd("batch b.toml --out r -q").start();
    for _ in 0..5 {
        let ranks = running.ranks(3);
        kill(ranks[1], libc::SIGKILL);
        thread::sleep(Duration::from_millis(30));
    }
    running.wait().ok();
    let samples = samples(&sandbox, "r");
    each_once(&samples, 2, 60);
    assert!(samples.iter().all(|sample| sample["status"] == "ok"));
}

#[test]
fn a_full_disk_stops_the_batch_and_a_later_visit_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("b.toml", LONG);
    fs::create_dir(sandbox.path("r")).unwrap();
    let script = "mount -t tmpfs -o size=48k none r && { \"$0\" batch b.toml --out r -q; echo $? >code; } && \
        cp r/samples.jsonl half && mount -o remount,size=10m r && \"$0\" batch b.toml --out r -q && cp -r r whole";
    let Some(job) = sandbox.mounted(script) else { return };
    let outcome = job.run();
    assert_eq!(sandbox.read("code"), b"125\n", "{}", outcome.told());
    assert!(outcome.told().contains("jsonl"), "{}", outcome.told());
    let outcome = outcome.ok();
    assert!(outcome.told().contains("batch b.toml --out r"), "how to go on: {}", outcome.told());
    let half = String::from_utf8(sandbox.read("half")).unwrap();
    assert!(half.is_empty() || half.ends_with('\n'), "a whole line, or nothing");
    each_once(&samples(&sandbox, "whole"), 6, 10);
}

#[test]
fn events_are_lines_that_tell_the_batch_as_it_goes() {
    let sandbox = Sandbox::new();
    batch(&sandbox, SMALL, "--events e.jsonl").ok();
    let events = lines(&sandbox, "e.jsonl");
    let count = |name: &str| events.iter().filter(|event| event["ev"] == name).count();
    assert_eq!(
        (count("batch_start"), count("trial_start"), count("trial_end"), count("batch_end")),
        (1, 12, 12, 1)
    );
    assert!(events.iter().all(|event| event["v"] == 1 && event["ts"].is_number()), "{events:?}");
}

#[test]
fn the_summary_as_json_is_one_document() {
    let sandbox = Sandbox::new();
    let summary = batch(&sandbox, SMALL, "--json").ok().json();
    assert_eq!(summary["schema"], 1);
    assert_eq!(
        (&summary["batch"], &summary["points"], &summary["status"]),
        (&"b".into(), &4.into(), &"ok".into())
    );
    assert_eq!((&summary["trials"]["done"], &summary["trials"]["failed"]), (&12.into(), &0.into()));
}

#[test]
fn a_schema_for_editors_knows_every_option() {
    let sandbox = Sandbox::new();
    let schema: Value =
        serde_json::from_str(sandbox.spmd("batch --schema").run().ok().text()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let text = schema.to_string();
    for name in [
        "procs",
        "in-place",
        "chunk-timeout",
        "matrix",
        "zip",
        "derive",
        "target-ci",
        "on-fail",
        "hooks",
        "expect",
        "reference",
    ] {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn every_batch_file_that_comes_with_spmd_runs_at_a_reduced_size() {
    for (name, sets) in [
        ("quickstart", "--set million.size=1000"),
        (
            "strong-scaling",
            "--set compute.size=100 --set memory.size=1000 --set uneven.size=100 --set repeats=2",
        ),
        (
            "weak-scaling",
            "--set compute.derive.size=100*procs --set memory.derive.size=1000*procs --set repeats=2",
        ),
        ("schedules", "--set size=100 --set param.steps=10 --set repeats=1"),
        (
            "kernels-verify",
            "--set numbers.size=1000 --set stream.size=1000 --set in-place.size=1000",
        ),
        ("stream", "--set size=10_000 --set repeats=2"),
    ] {
        let sandbox = Sandbox::new();
        let file = format!("{}/configs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        sandbox.spmd(&format!("batch {file} --out r {sets}")).deadline(120).run().ok();
        let samples = samples(&sandbox, "r");
        assert!(
            !samples.is_empty() && samples.iter().all(|sample| sample["status"] == "ok"),
            "{name}"
        );
        assert!(samples.iter().all(|sample| sample["batch"] == name));
    }
}

#[test]
fn a_point_that_is_as_sure_as_was_asked_gets_no_more_trials() {
    let sandbox = Sandbox::new();
    let text = SMALL.replace("repeats = 3", "repeats = 5000\ntarget-ci = 0.9\nmax-time = \"20s\"");
    let outcome = batch(&sandbox, &text, "--only procs=1").ok();
    assert!(outcome.told().contains("not needed"), "{}", outcome.told());
    let samples = samples(&sandbox, "r");
    assert!((12..10_000).contains(&samples.len()), "six of each point at least: {}", samples.len());
    batch(&sandbox, &text, "--only procs=1").ok();
    assert_eq!(self::samples(&sandbox, "r").len(), samples.len(), "it stays settled");
}

#[test]
fn a_signal_in_a_hook_ends_it_and_tears_down() {
    let sandbox = Sandbox::new();
    let text = SMALL.replace(
        "[defaults]",
        "[hooks]\nbefore-each = \"touch begun; exec sleep 50\"\nteardown = \"touch down\"\n[defaults]",
    );
    sandbox.write("b.toml", text);
    let mut running = sandbox.spmd("batch b.toml --out r").start();
    running.until("the hook", |_| sandbox.path("begun").exists().then_some(()));
    running.signal(libc::SIGINT);
    let outcome = running.wait();
    assert_eq!(outcome.signal, Some(libc::SIGINT), "{}", outcome.told());
    assert!(sandbox.path("down").exists());
    assert_eq!(samples(&sandbox, "r").len(), 0, "the trial was not made");
}

#[test]
fn a_kill_of_the_batch_ends_what_its_hooks_started_and_left_in_the_background() {
    let sandbox = Sandbox::new();
    let text = SMALL.replace(
        "[defaults]",
        "[hooks]\nsetup = \"sleep 500 & echo $! > left\"\n\
         before-each = \"sleep 500 & echo $! > inner; mv inner begun; wait\"\n[defaults]",
    );
    sandbox.write("b.toml", text);
    let mut running = sandbox.spmd("batch b.toml --out r").orphans_follow().start();
    running.until("the hook", |_| sandbox.path("begun").exists().then_some(()));
    let started: Vec<i32> = ["left", "begun"]
        .iter()
        .map(|name| String::from_utf8(sandbox.read(name)).unwrap().trim().parse().unwrap())
        .collect();
    let running_now: Vec<i32> = members(running.pid()).iter().map(|process| process.pid).collect();
    assert!(started.iter().all(|pid| running_now.contains(pid)), "both are at work");
    running.signal(libc::SIGKILL);
    // Which fails if a process of its session does not end soon.
    assert_eq!(running.wait().signal, Some(libc::SIGKILL));
}

#[test]
fn what_would_make_a_batch_lie_is_refused() {
    let sandbox = Sandbox::new();
    let text = SMALL.replace("repeats = 3", "checkpoint = \"c\"");
    batch(&sandbox, &text, "").failed(2, "checkpoint");
    let text = SMALL.replace("repeats = 3", "output = \"y.npy\"");
    batch(&sandbox, &text, "").failed(2, "y.npy");
}
