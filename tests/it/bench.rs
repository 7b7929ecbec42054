//! `spmd bench`: real ranks measure, the document holds what it says, and nothing is left. What the
//! figures are is nobody's promise.

use serde_json::Value;

use crate::sandbox::{Sandbox, cpus, kill};

const BENCHES: [(&str, &str); 4] =
    [("launch", ""), ("barrier", ""), ("pull", ""), ("bandwidth", " --size 1Mi")];

/// A bench that goes on until somebody ends it.
const ENDLESS: [&str; 4] = [
    "bench launch -n 2 --time 1h",
    "bench barrier -n 2 --time 1h",
    // The default cuts large chunks, and has as many samples as there may be before long.
    "bench pull -n 2 --schedule dynamic,1 --time 1h",
    "bench bandwidth -n 2 --size 64Mi --time 1h",
];

/// The figure, where it is a positive number.
#[track_caller]
fn positive(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!(number.is_finite() && number > 0.0, "{number}");
    number
}

/// Holds a summary against itself: ordered, and made of its samples.
#[track_caller]
fn summarised(summary: &Value) {
    let [median, min, max] = ["median", "min", "max"].map(|name| summary[name].as_f64().unwrap());
    let ci95 = [0, 1].map(|end| summary["ci95"][end].as_f64().unwrap());
    assert!(
        min <= ci95[0] && ci95[0] <= median && median <= ci95[1] && ci95[1] <= max,
        "{summary}"
    );
    let samples: Vec<f64> = summary["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| sample.as_f64().unwrap())
        .collect();
    assert_eq!(summary["n"], samples.len());
    assert!(samples.iter().all(|sample| (min..=max).contains(sample)), "{summary}");
    let below = |limit: f64| samples.iter().filter(|&&sample| sample < limit).count();
    assert!(below(median) * 2 <= samples.len(), "{summary}");
}

#[test]
fn each_bench_measures_with_one_rank_and_with_more() {
    let sandbox = Sandbox::new();
    for procs in [1, 2, 4] {
        for (name, more) in BENCHES {
            let arguments = format!("bench {name} -n {procs} --time 20ms --json{more}");
            let document = sandbox.spmd(&arguments).run().ok().json();
            assert_eq!((&document["schema"], &document["exit"]), (&1.into(), &0.into()));
            assert_eq!((&document["bench"], &document["status"]), (&name.into(), &"ok".into()));
            assert_eq!(document["procs"], procs);
            let unit = if name == "bandwidth" { "bytes_per_s" } else { "ns_per_op" };
            let main = &document[unit];
            summarised(main);
            positive(&main["median"]);
            positive(&main["min"]);
            let parts: &[&str] = match name {
                "launch" => &["spawn", "attach", "rest"],
                "barrier" => &[],
                "pull" => &["rank"],
                _ => &["read", "update", "copy"],
            };
            let found = document["parts"].as_object().unwrap();
            assert_eq!(found.keys().collect::<Vec<_>>(), parts);
            found.values().for_each(|part| summarised(&part[unit]));
            let least = if name == "bandwidth" { 11 } else { 31 };
            assert!(main["n"].as_u64().unwrap() >= least, "{main}");

            let noise = &document["noise"];
            let rounds = if name == "bandwidth" { 4 } else { 1 };
            assert_eq!(noise["samples"].as_u64(), main["n"].as_u64().map(|n| n * rounds));
            assert!(noise["disturbed"].as_u64() <= noise["samples"].as_u64(), "{noise}");
            assert!(noise["disturbed"].as_u64() <= noise["involuntary_switches"].as_u64());
            assert_eq!(noise["oversubscribed"], procs > cpus().len(), "{noise}");
            let belong = name == "launch" || procs > cpus().len();
            assert_eq!(noise["switches_belong"].is_string(), belong, "{noise}");
            for field in ["migrations", "steal_s", "governor"] {
                assert!(noise.get(field).is_some(), "{noise}");
            }
            assert!(!document["definition"].as_str().unwrap().is_empty());
            assert!(document["environment"]["cpus_online"].is_string());
        }
    }
}

#[test]
fn the_table_is_on_stdout_and_talk_is_not() {
    let sandbox = Sandbox::new();
    for (name, more) in BENCHES {
        let shown = sandbox.spmd(&format!("bench {name} -n 1 --time 20ms{more}")).run().ok();
        let lines: Vec<&str> = shown.text().lines().collect();
        assert!(lines[0].starts_with("bench ") && lines[0].contains("95 % interval"), "{lines:?}");
        let main = if name == "bandwidth" { "triad" } else { name };
        assert!(lines.iter().any(|line| line.starts_with(main)), "{}", shown.told());
        let [of, noise] = lines[lines.len() - 2..] else { panic!("{lines:?}") };
        assert!(of.starts_with("of ") && of.contains("1 rank on cpu"), "{of}");
        assert!(noise.starts_with("noise ") && noise.contains(" samples disturbed"), "{noise}");
        for line in shown.stderr.lines() {
            assert!(line.starts_with("spmd: warning: arrays of 1.0 MiB"), "{}", shown.told());
        }
    }
    let quiet = sandbox.spmd("bench barrier -q -n 9 --time 20ms").run().ok();
    assert!(quiet.stderr.is_empty(), "{}", quiet.told());
}

#[test]
fn without_a_name_it_lists_what_each_bench_answers() {
    let sandbox = Sandbox::new();
    let listed = sandbox.spmd("bench").run().ok();
    for (name, _) in BENCHES {
        let line = listed.text().lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.ends_with('?'), "{line}");
    }
}

#[test]
fn a_bench_that_is_not_there_is_refused_with_the_nearest_name() {
    let sandbox = Sandbox::new();
    for (name, hint) in
        [("barier", "did you mean `barrier`?"), ("bandwith", "did you mean `bandwidth`?")]
    {
        let refused = sandbox.spmd(&format!("bench {name}")).run();
        refused.failed(2, &format!("there is no bench `{name}`")).says(hint);
    }
    for name in ["allreduce", "pingpong"] {
        let refused = sandbox.spmd(&format!("bench {name}")).run();
        refused.failed(2, "yet").says("one of launch, barrier, pull, bandwidth");
    }
    let document = sandbox.spmd("bench nothing --json").run().exited(2).json();
    assert_eq!((&document["status"], &document["exit"]), (&"refused".into(), &2.into()));
}

#[test]
fn options_are_for_the_bench_that_has_a_use_for_them() {
    let sandbox = Sandbox::new();
    for (arguments, what) in [
        ("barrier --schedule static", "bench `barrier` takes no --schedule"),
        ("pull --size 1Mi", "bench `pull` takes no --size"),
        ("barrier --kernel square", "unknown option `--kernel`"),
        ("pull --schedule dinamic", "unknown schedule `dinamic`"),
        ("barrier --time soon", "`soon` is no length of time"),
        ("barrier -n 0", "`0` is no number of ranks"),
    ] {
        sandbox.spmd(&format!("bench {arguments}")).run().failed(2, what);
    }
    // A variable is set for runs: nobody typed it here.
    let ran = sandbox.spmd("bench barrier -n 1 --time 20ms").env("SPMD_SCHEDULE", "guided");
    ran.run().ok();
    let document = sandbox.spmd("bench pull --time 20ms --json").env("SPMD_PROCS", "2").run().ok();
    assert_eq!(document.json()["procs"], 2);
}

#[test]
fn chunks_are_pulled_under_every_schedule() {
    let sandbox = Sandbox::new();
    for (schedule, settled) in [
        ("static", "static"),
        ("static,3", "static,3"),
        ("dynamic", "dynamic,1"),
        ("dynamic,1000", "dynamic,1000"),
        ("guided", "guided,1"),
        ("guided,64", "guided,64"),
    ] {
        let arguments = format!("bench pull -n 3 --schedule {schedule} --time 20ms --json");
        let document = sandbox.spmd(&arguments).run().ok().json();
        assert_eq!(document["schedule"], settled);
        assert!(document["ops_per_sample"].as_u64().unwrap() >= 3, "{document}");
        let handed = &document["handed_over"];
        assert_eq!(handed.is_null(), schedule.starts_with("static"), "{handed}");
        assert!(handed.as_f64().is_none_or(|part| (0.0..=1.0).contains(&part)), "{handed}");
    }
}

#[test]
fn arrays_are_as_large_as_asked_for_and_say_when_caches_hold_them() {
    let sandbox = Sandbox::new();
    let arguments = "bench bandwidth -n 3 --size 1e6 --time 20ms --json";
    let document = sandbox.spmd(arguments).run().ok().json();
    let array = document["array_bytes"].as_u64().unwrap();
    assert!(array.is_multiple_of(4096) && array.abs_diff(1_000_000) <= 64 * 1024, "{array}");
    let caches = document["last_level_cache_bytes"].as_u64();
    let warned = document["warnings"].to_string().contains("last-level caches");
    assert_eq!(warned, caches.is_some_and(|caches| array < caches * 4), "{document}");
}

#[test]
fn arrays_for_which_there_is_no_room_are_refused() {
    let sandbox = Sandbox::new();
    for backing in ["shm", "memfd"] {
        let arguments = format!("bench bandwidth -n 2 --backing {backing} --size 100Ti");
        sandbox.spmd(&arguments).run().failed(125, "need 300.0 TiB");
    }
}

#[test]
fn a_small_dev_shm_makes_small_arrays_and_says_the_way_out() {
    let sandbox = Sandbox::new();
    let script = "mount -t tmpfs -o size=8m none /dev/shm && \
                  exec \"$0\" bench bandwidth -n 2 --time 20ms --json";
    let Some(job) = sandbox.mounted(script) else { return };
    let document = job.run().ok().json();
    assert!(document["array_bytes"].as_u64().unwrap() <= (8 << 20) / 6, "{document}");
    let warned = document["warnings"].to_string().contains("--backing memfd");
    assert_eq!(warned, !document["last_level_cache_bytes"].is_null(), "{document}");
}

#[test]
fn a_signal_ends_any_bench_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    for arguments in ENDLESS {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            let mut running = sandbox.spmd(&format!("{arguments} --json")).start();
            running.ranks(2);
            running.signal(signal);
            let stopped = running.wait();
            assert_eq!(stopped.signal, Some(signal), "{}", stopped.told());
            assert_eq!(stopped.json()["exit"], 128 + signal);
        }
    }
    assert!(sandbox.names().is_empty());
}

#[test]
fn ranks_follow_a_launcher_that_is_killed() {
    let sandbox = Sandbox::new();
    for arguments in &ENDLESS[1..] {
        let mut running = sandbox.spmd(arguments).orphans_follow().deadline(20).start();
        running.ranks(2);
        running.signal(libc::SIGKILL);
        running.wait(); // Fails if they do not.
    }
}

#[test]
fn a_bench_whose_rank_dies_fails_and_says_which() {
    let sandbox = Sandbox::new();
    for arguments in &ENDLESS[1..] {
        for signal in [libc::SIGKILL, libc::SIGSEGV] {
            let mut running = sandbox.spmd(arguments).start();
            let ranks = running.ranks(2);
            kill(ranks[1], signal);
            let failed = running.wait();
            failed.failed(1, &format!("(pid {}", ranks[1])).says("run it again");
        }
    }
}

#[test]
fn the_time_limit_ends_a_bench() {
    let sandbox = Sandbox::new();
    for arguments in ENDLESS {
        let late = sandbox.spmd(&format!("{arguments} --timeout 300ms")).run();
        late.failed(124, "the time limit of 0.3s was reached");
    }
}
