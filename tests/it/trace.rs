//! Traces of runs, and what `spmd tune` makes of them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// The events of a name in a trace.
fn events<'a>(trace: &'a Value, name: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = trace["traceEvents"].as_array().unwrap();
    all.iter().filter(move |event| event["name"] == name)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn parsed(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_slice(&sandbox.read(name)).unwrap()
}

/// Checks that each pass computes every index once; returns how many chunks there are.
#[track_caller]
fn covers(trace: &Value, passes: u64, size: u64) -> usize {
    let mut chunks: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for event in events(trace, "chunk") {
        let args = &event["args"];
        let range = (number(&args["first"]), number(&args["end"]));
        chunks.entry(number(&args["pass"])).or_default().push(range);
    }
    assert_eq!(chunks.keys().copied().collect::<Vec<_>>(), (0..passes).collect::<Vec<_>>());
    for chunks in chunks.values_mut() {
        chunks.sort_unstable();
        let mut at = 0;
        for &(first, end) in &*chunks {
            assert_eq!(first, at);
            assert!(end > first);
            at = end;
        }
        assert_eq!(at, size);
    }
    chunks.values().map(Vec::len).sum()
}

#[test]
fn a_trace_has_every_index_once_in_each_pass_under_every_schedule() {
    let sandbox = Sandbox::new();
    for schedule in
        ["static", "static,7", "dynamic,64", "guided", "tss", "fac2", "awf-b", "steal,16", "auto"]
    {
        let arguments = "-n 3 -k chain --param steps=20 --size 5000 --repeats 2 --warmup 1 --json";
        let more = format!("--schedule {schedule} --trace t.json");
        let record = sandbox.spmd(&format!("{arguments} {more}")).run().ok().json();
        let trace = parsed(&sandbox, "t.json");
        let chunks = covers(&trace, 2, 5000);
        let counted = record["workers"].as_array().unwrap().iter();
        let last: u64 = counted.map(|worker| number(&worker["chunks"])).sum();
        assert!(chunks as u64 > last, "two passes have more chunks than the last: {schedule}");
        let about = &trace["spmd"];
        assert_eq!(about["kernel"], "chain");
        assert_eq!(about["dtype"], "f64");
        assert_eq!((number(&about["procs"]), number(&about["size"])), (3, 5000));
        assert_eq!(about["pass_s"], record["time"]["pass_s"]["samples"]);
        assert_eq!(about["options"]["param"][0], "steps=20");
        assert_eq!(events(&trace, "wait").count(), 6, "a rank, a pass");
        assert_eq!(events(&trace, "pass").count(), 6);
    }
}

#[test]
fn ranks_and_processes_of_a_trace_are_those_of_the_record() {
    let sandbox = Sandbox::new();
    let arguments = "-n 2 -k chain --param steps=50 --size 4000 --schedule dynamic,50 --json";
    let done = sandbox.spmd(arguments).env("SPMD_TRACE", "t.json").run().ok();
    let record = done.json();
    assert_eq!(record["params"]["trace"], "t.json");
    let trace = parsed(&sandbox, "t.json");
    for worker in record["workers"].as_array().unwrap() {
        let of_rank = |event: &&Value| event["pid"] == worker["pid"];
        let names: Vec<&Value> = events(&trace, "process_name").filter(of_rank).collect();
        assert_eq!(names[0]["args"]["name"], format!("rank {}", worker["rank"]));
        let chunks: Vec<&Value> = events(&trace, "chunk").filter(of_rank).collect();
        assert_eq!(chunks.len() as u64, number(&worker["chunks"]));
        let items = chunks.iter().map(|c| number(&c["args"]["end"]) - number(&c["args"]["first"]));
        assert_eq!(items.sum::<u64>(), number(&worker["items"]));
        // In nanoseconds: the record sums the same stamps.
        let time: f64 = chunks.iter().map(|chunk| chunk["dur"].as_f64().unwrap() * 1e3).sum();
        assert!((time - worker["busy_s"].as_f64().unwrap() * 1e9).abs() < 1.0);
        let [pass] = events(&trace, "pass").filter(of_rank).collect::<Vec<_>>()[..] else {
            panic!("one pass");
        };
        let end = |event: &Value| event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap();
        for event in events(&trace, "chunk").chain(events(&trace, "claim")).filter(of_rank) {
            assert!(event["ts"].as_f64() >= pass["ts"].as_f64() && end(event) <= end(pass));
        }
    }
}

#[test]
fn a_trace_is_whole_after_a_recovered_death_and_knows_both_processes() {
    let sandbox = Sandbox::new();
    for (mode, schedule) in [("", "dynamic,50"), ("", "steal,50"), ("--in-place", "dynamic,50")] {
        let arguments = "-n 2 -k square --size 4000 --json --trace t.json";
        // Whoever runs it: on a busy machine one rank may have run all before the other begins.
        let fault = "--inject kill:chunk=5";
        let all = format!("{arguments} {mode} --schedule {schedule} {fault}");
        let record = sandbox.spmd(&all).run().ok().json();
        assert_eq!(record["recovered"], 1);
        let trace = parsed(&sandbox, "t.json");
        covers(&trace, 1, 4000);
        for rank in 0..2 {
            let (name, pid) = (format!("rank {rank}"), &record["workers"][rank]["pid"]);
            let mut named = events(&trace, "process_name");
            assert!(
                named.any(|e| e["args"]["name"] == name.as_str() && e["pid"] == *pid),
                "{trace}"
            );
        }
    }
}

#[test]
fn a_run_that_begins_again_has_the_trace_of_its_last_attempt() {
    let sandbox = Sandbox::new();
    let arguments = "-n 2 -k square --size 4000 --schedule dynamic,50 --trace t.json";
    sandbox.spmd(&format!("{arguments} --inject segv:chunk=9")).run().ok();
    covers(&parsed(&sandbox, "t.json"), 1, 4000);
}

#[test]
fn chunks_that_do_not_fit_are_counted_and_said() {
    let sandbox = Sandbox::new();
    let arguments = "-n 1 -k square --size 3e5 --schedule dynamic,1 --trace t.json --repeats 2";
    let done = sandbox.spmd(arguments).run().ok();
    let done = done.says("no room for");
    let trace = parsed(&sandbox, "t.json");
    let (found, left) =
        (events(&trace, "chunk").count() as u64, number(&trace["spmd"]["left_out"]));
    assert_eq!(
        number(&trace["spmd"]["passes"]),
        1,
        "no second pass beside a first that does not fit"
    );
    assert_eq!(found + left, 300_000, "{}", done.told());
    assert!(left > 0);
    sandbox.spmd("tune t.json").run().ok();
}

#[test]
fn as_many_passes_as_fit_are_recorded_whole() {
    let sandbox = Sandbox::new();
    let arguments = "-n 1 -k square --size 1e5 --schedule dynamic,1 --trace t.json --repeats 4";
    sandbox.spmd(arguments).run().ok();
    let trace = parsed(&sandbox, "t.json");
    assert_eq!(number(&trace["spmd"]["left_out"]), 0);
    covers(&trace, number(&trace["spmd"]["passes"]), 100_000);
    assert_eq!(trace["spmd"]["pass_s"].as_array().unwrap().len(), 4);
}

#[test]
fn a_trace_replaces_the_old_one_only_when_the_run_is_complete() {
    let sandbox = Sandbox::new();
    sandbox.write("t.json", "old");
    let arguments = "-n 1 -k square --size 1000 --trace t.json";
    let fails = format!("{arguments} --inject kill --on-death fail");
    sandbox.spmd(&fails).run().exited(1);
    assert_eq!(sandbox.read("t.json"), b"old");
    sandbox.spmd(&format!("{arguments} --output y.npy")).run().ok().says("trace  t.json");
    covers(&parsed(&sandbox, "t.json"), 1, 1000);
    assert_eq!(sandbox.names(), ["t.json", "y.npy"]);
}

#[test]
fn traces_that_make_no_sense_are_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    for (more, what) in [
        ("--trace y.bin --output y.bin", "both the output and the trace"),
        ("--trace -", "`-` is none"),
        ("--trace t.json --checkpoint y.ckpt", "--checkpoint"),
        ("--trace nowhere/t.json", "trace `nowhere/t.json`"),
        ("--trace .", "names a directory"),
    ] {
        let refused = sandbox.spmd(&format!("-n 1 -k square --size 10 {more}")).run();
        let code = refused.code;
        assert!([Some(2), Some(125)].contains(&code), "{more}: {}", refused.told());
        refused.says(what);
        assert_eq!(sandbox.names(), [] as [&str; 0]);
    }
    let planned = sandbox.spmd("plan -k square --size 10 --trace t.json").run().ok();
    assert!(planned.text().contains("trace = \"t.json\""), "{}", planned.told());
    assert_eq!(sandbox.names(), [] as [&str; 0], "a plan writes nothing");
}

/// A trace with known times: 1000 indices of 1 µs, or of 3 µs in the second half.
fn made(sandbox: &Sandbox, procs: u64) {
    let mut events = Vec::new();
    let mut clocks = vec![0.0; usize::try_from(procs).unwrap()];
    for chunk in 0..100_u64 {
        let length = if chunk < 50 { 10.0 } else { 30.0 };
        let clock = &mut clocks[usize::try_from(chunk % procs).unwrap()];
        let begin = *clock;
        *clock += length;
        let pid = 70 + chunk % procs;
        let args = serde_json::json!({"first": chunk * 10, "end": chunk * 10 + 10, "pass": 0});
        events.push(serde_json::json!({"name": "chunk", "ph": "X", "pid": pid, "tid": pid,
            "ts": begin, "dur": length, "args": args}));
    }
    let ranks: Vec<Value> =
        (0..procs).map(|rank| serde_json::json!({"rank": rank, "pid": 70 + rank})).collect();
    let about = serde_json::json!({"schema": 1, "version": "0", "kernel": "chain", "procs": procs,
        "size": 1000, "dtype": "f64", "schedule": "dynamic,10", "chosen": "dynamic,10",
        "stated_ns": 1000.0, "cpus": 4, "warmup": 0, "repeats": 1, "passes": 1, "left_out": 0,
        "pass_s": [0.001], "ranks": ranks,
        "options": {"kernel": "chain", "param": ["shape=linear", "steps=10"], "size": 1000,
            "bind": "core", "schedule": "dynamic,10", "procs": procs, "trace": "t.json"}});
    let trace = serde_json::json!({"spmd": about, "traceEvents": events});
    sandbox.write("made.json", trace.to_string());
}

#[test]
fn tuning_predicts_what_the_costs_of_a_trace_say() {
    let sandbox = Sandbox::new();
    made(&sandbox, 2);
    let run = |more: &str| sandbox.spmd(&format!("tune made.json {more} --json")).run().ok().json();
    let tuned = run("");
    let find = |procs: u64, schedule: &str| -> Value {
        let all = tuned["predictions"].as_array().unwrap();
        let found = all.iter().find(|p| p["procs"] == procs && p["schedule"] == schedule);
        found.unwrap_or_else(|| panic!("{procs} {schedule}")).clone()
    };
    let near = |found: &Value, seconds: f64| {
        let found = found["predicted_s"].as_f64().unwrap();
        // Claims are extra.
        assert!((0.999..1.06).contains(&(found / seconds)), "{found} for {seconds}");
    };
    // 500 µs and 1500 µs: simulated, so this holds on any machine.
    near(&find(1, "static"), 2.0e-3);
    near(&find(2, "static"), 1.5e-3);
    near(&find(4, "static"), 0.75e-3);
    near(&find(2, "dynamic,10"), 1.0e-3);
    near(&find(2, "static,4"), 1.0e-3);
    assert_eq!(find(2, "dynamic,10")["measured_s"], 0.001);
    assert_eq!(tuned["recorded"]["schedule"], "dynamic,10");
    assert!(tuned["recorded"]["error"].as_f64().unwrap().abs() < 0.06);
    assert_eq!(find(2, "static")["doubts"], serde_json::json!([]));
    assert_eq!(find(1, "static")["doubts"], serde_json::json!(["other-procs"]));
    let order: Vec<f64> = tuned["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["predicted_s"].as_f64().unwrap())
        .collect();
    assert!(order.is_sorted());
    assert_eq!(tuned["best"]["procs"], 4);
    let command = tuned["best"]["command"].as_str().unwrap();
    let problem = "spmd --kernel chain --param shape=linear --param steps=10 --size 1000";
    assert!(command.starts_with(problem), "{command}");
    assert!(command.contains("--procs 4") && command.contains("--schedule "), "{command}");
    assert!(!command.contains("--trace") && !command.contains("--bind"), "{command}");

    let few = run("--procs 1,2 --schedule static,dynamic,10,steal,5");
    let predictions = few["predictions"].as_array().unwrap();
    assert!(predictions.iter().all(|p| p["procs"] != 4));
    let schedules: Vec<&str> =
        predictions.iter().map(|p| p["schedule"].as_str().unwrap()).collect();
    assert!(schedules.contains(&"steal,5") && schedules.contains(&"static"), "{schedules:?}");
    assert!(!schedules.iter().any(|name| name.starts_with("guided")), "{schedules:?}");
    assert_eq!(run("--top 3")["predictions"].as_array().unwrap().len(), 3);
}

#[test]
fn tuning_shows_the_traced_run_beside_its_prediction_and_a_command() {
    let sandbox = Sandbox::new();
    let arguments = "-n 2 -k chain --param shape=linear --size 4000 --repeats 3 --trace t.json";
    for schedule in ["dynamic,40", "auto", "static", "steal,8"] {
        sandbox.spmd(&format!("{arguments} --schedule {schedule}")).run().ok();
        let told = sandbox.spmd("tune t.json --top 4").run().ok();
        let text = told.text();
        for part in
            ["check  measured", "<- traced; measured", "best   spmd --procs", "--top N shows them"]
        {
            assert!(text.contains(part), "{schedule}: no `{part}` in {text}");
        }
        let tuned = sandbox.spmd("tune t.json --json").run().ok().json();
        assert!(tuned["recorded"]["error"].is_f64(), "{tuned}");
        assert_eq!(tuned["trace"]["covered"], 1.0);
        // The command is one that runs.
        let command = tuned["best"]["command"].as_str().unwrap();
        sandbox.spmd(command.strip_prefix("spmd ").unwrap()).run().ok();
    }
}

#[test]
fn a_coarse_trace_is_said_to_hide_what_is_within_its_chunks() {
    let sandbox = Sandbox::new();
    let arguments = "-n 2 -k chain --size 4000 --schedule static --trace t.json";
    sandbox.spmd(arguments).run().ok();
    let tuned = sandbox.spmd("tune t.json --json").run().ok().json();
    let all = tuned["predictions"].as_array().unwrap();
    let fine = all.iter().find(|p| p["procs"] == 2 && p["schedule"] == "dynamic,16").unwrap();
    assert_eq!(fine["doubts"], serde_json::json!(["finer-than-trace"]));
    let told = sandbox.spmd("tune t.json").run().ok();
    assert!(told.text().contains("finer than the trace"), "{}", told.told());
}

#[test]
fn files_that_are_no_traces_are_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    made(&sandbox, 2);
    let good = String::from_utf8(sandbox.read("made.json")).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    for (text, what) in [
        (String::new(), "is no trace of spmd"),
        ("{".to_owned(), "line 1"),
        ("[]".to_owned(), "is no trace of spmd"),
        ("{\"traceEvents\":[]}".to_owned(), "it has no `spmd`"),
        (good[..good.len() / 2].to_owned(), "line 1"),
        (changed("\"schema\":1", "\"schema\":2"), "its schema is 2"),
        (changed("\"procs\":2", "\"procs\":0"), "`procs` is 0"),
        (changed("\"size\":1000", "\"size\":5"), "are none of 0..5"),
        (changed("\"size\":1000", "\"size\":1e30"), "is no trace of spmd"),
        (changed("\"first\":10,", "\"first\":9,"), "computes index 9 twice"),
        (changed("\"first\":10,", "\"first\":70,"), "are none of"),
        (changed("\"dur\":10.0", "\"dur\":-1.0"), "is no time"),
        (changed("\"dur\":10.0", "\"dur\":1e300"), "is no time"),
        (changed("\"pid\":70", "\"pid\":12"), "is no rank"),
        (changed("\"dynamic,10\"", "\"dynamik\""), "unknown schedule"),
        (changed("\"passes\":1", "\"passes\":4000000000"), "`passes` is"),
        (good.replace("\"name\":\"chunk\"", "\"name\":\"other\""), "0 % of the 1000 indices"),
    ] {
        sandbox.write("bad.json", &text);
        let refused = sandbox.spmd("tune bad.json").run().exited(2);
        assert!(refused.stderr.contains(what), "{what}: {}", refused.told());
        let document = sandbox.spmd("tune bad.json --json").run().exited(2).json();
        assert_eq!(document["status"], "refused");
    }
    sandbox.spmd("tune missing.json").run().exited(2).says("no such file");
    sandbox.spmd("tune .").run().exited(2).says("is a directory");
    sandbox.spmd("tune").run().exited(2);
    sandbox.spmd("tune made.json --procs 5").run().exited(2).says("5 ranks cannot be predicted");
    sandbox.spmd("tune made.json --procs 0").run().exited(2).says("`0` is no number of ranks");
    sandbox.spmd("tune made.json --schedule quick").run().exited(2).says("unknown schedule");
}
