//! Where ranks run: what was asked for, what was done, and what the operating system says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::sandbox::{Running, Sandbox, cpu_list, cpu_ticks, cpus, skipped, status_field};

fn used(record: &Value) -> BTreeSet<u64> {
    let workers = record["workers"].as_array().unwrap();
    workers.iter().map(|worker| worker["cpu"].as_u64().unwrap()).collect()
}

/// The masks the kernel holds for the ranks of a run, in the order of their numbers.
fn masks(sandbox: &Sandbox, arguments: &str, procs: usize) -> Vec<Vec<u32>> {
    let arguments = format!("-n {procs} {SPIN} {arguments}");
    let mut running = sandbox.spmd(&arguments).start();
    let ranks = running.ranks(procs);
    // Pinned is what a rank does first, before it maps the arrays; the segment comes before.
    let masks = running.until("ranks placed", |_| {
        let masks: Vec<Vec<u32>> = ranks
            .iter()
            .map(|rank| cpu_list(&status_field(&rank.to_string(), "Cpus_allowed_list")))
            .collect();
        // After so much CPU time a rank must be in its kernel.
        let spinning = ranks.iter().all(|&rank| cpu_ticks(rank) >= 3);
        spinning.then_some(masks)
    });
    end(running);
    masks
}

/// A run that goes on until it has been looked at, however slow the machine is.
const SPIN: &str = "-k spin --param cost=1ms --size 60000";

/// Ends a run of [`SPIN`] that has been looked at.
fn end(running: Running) {
    running.signal(libc::SIGINT);
    assert_eq!(running.wait().signal, Some(libc::SIGINT));
}

#[test]
fn every_rank_is_pinned_to_a_cpu_of_its_own() {
    let sandbox = Sandbox::new();
    let cpus = cpus();
    let procs = cpus.len().min(2);
    for bind in ["core", "hwthread"] {
        for map in ["close", "spread"] {
            let masks = masks(&sandbox, &format!("--bind {bind} --map {map}"), procs);
            assert!(masks.iter().all(|mask| mask.len() == 1), "{masks:?}");
            let distinct: BTreeSet<&Vec<u32>> = masks.iter().collect();
            assert_eq!(distinct.len(), procs, "{masks:?}");
            assert!(masks.iter().all(|mask| cpus.contains(&mask[0])), "{masks:?}");
        }
    }
}

#[test]
fn ranks_that_are_not_bound_or_too_many_keep_the_whole_mask() {
    let sandbox = Sandbox::new();
    let cpus = cpus();
    assert_eq!(masks(&sandbox, "--bind none", 1), std::slice::from_ref(&cpus));
    assert_eq!(masks(&sandbox, "", cpus.len() + 1), vec![cpus.clone(); cpus.len() + 1]);
}

#[test]
fn the_cpus_named_are_the_cpus_used() {
    let sandbox = Sandbox::new();
    for &cpu in &cpus() {
        let arguments = format!("-n 1 -k square --json --cpus {cpu}");
        let record = sandbox.spmd(&arguments).run().ok().json();
        assert_eq!(used(&record), BTreeSet::from([u64::from(cpu)]));
        assert_eq!(masks(&sandbox, &format!("--cpus {cpu}"), 1), [[cpu]]);
    }
}

#[test]
fn bindings_are_reported_and_verified() {
    let sandbox = Sandbox::new();
    let cpu = *cpus().last().unwrap();
    let done = sandbox.spmd(&format!("-n 1 -k square --report-bindings --cpus {cpu}")).run().ok();
    let done = done.says(&format!("spmd: rank 0 bound to cpu {cpu} (core ")).says("verified");
    assert!(done.stderr.contains(&format!("seen on cpu {cpu}")), "{}", done.told());
    let done = sandbox.spmd("-n 1 -k square --report-bindings --bind none").run().ok();
    done.says("rank 0 bound to any cpu").says("unpinned");
}

#[test]
fn the_mask_of_taskset_is_respected() {
    let sandbox = Sandbox::new();
    let cpus = cpus();
    let cpu = *cpus.last().unwrap();
    let under = |arguments: &str| {
        sandbox.shell(&format!("exec taskset -c {cpu} \"$0\" -k square {arguments}")).run()
    };
    let record = under("--json").ok().json();
    assert_eq!(record["procs"], 1, "one CPU, one rank");
    assert_eq!(used(&record), BTreeSet::from([u64::from(cpu)]));
    let record = under("-n 3 --json").ok().json();
    assert_eq!(
        used(&record),
        BTreeSet::from([u64::from(cpu)]),
        "also of ranks that are not pinned"
    );
    let Some(other) = cpus.iter().find(|&&other| other != cpu) else {
        return skipped("there is one CPU only");
    };
    // The system would allow it; the user did not.
    under(&format!("-n 1 --cpus {other}"))
        .failed(2, &format!("this process may use cpus {cpu} only"));
    under(&format!("-n 1 --cpus {other} --bind none")).exited(2);
}

#[test]
fn the_default_number_of_ranks_is_what_the_machine_suggests() {
    let sandbox = Sandbox::new();
    let suggested = |more: &str| {
        let done = sandbox.spmd(&format!("-k square --json {more}")).run().ok();
        assert!(done.json()["warnings"].as_array().unwrap().is_empty(), "{}", done.told());
        done.json()["procs"].as_u64().unwrap()
    };
    let all = suggested("");
    assert!((1..=cpus().len() as u64).contains(&all));
    assert_eq!(suggested("--procs auto"), all);
    assert_eq!(suggested(&format!("--cpus {}", cpus()[0])), 1);
}

#[test]
fn more_ranks_than_cpus_is_a_warning_and_strict_makes_it_an_error() {
    let sandbox = Sandbox::new();
    let procs = cpus().len() + 1;
    let text = format!("spmd: warning: {procs} ranks, {} cpus allowed", cpus().len());
    let done = sandbox.spmd(&format!("-n {procs} -k square")).run().ok().says(&text);
    assert_eq!(done.text(), "Results: [1, 4, 9, 16, 25]\n");
    let record = sandbox.spmd(&format!("-n {procs} -k square --json")).run().ok().json();
    assert!(record["warnings"][0].as_str().unwrap().contains("cpus allowed"));
    let refused = sandbox.spmd(&format!("-n {procs} -k square --strict")).run();
    refused.failed(2, "cpus allowed").says("--strict");
    let quiet = sandbox.spmd(&format!("-q -n {procs} -k square")).run().ok();
    assert_eq!(quiet.stderr, "");
    sandbox.spmd("-n 1 -k square --strict").run().ok();
}

#[test]
fn many_more_ranks_than_cpus_finish() {
    let sandbox = Sandbox::new();
    for schedule in ["static", "dynamic,1", "guided"] {
        let arguments =
            format!("-n 64 -k square --size 1000 --repeats 3 --json --schedule {schedule}");
        let record = sandbox.spmd(&arguments).run().ok().json();
        assert_eq!(record["workers"].as_array().unwrap().len(), 64);
    }
}

#[test]
fn a_plan_shows_everything_and_runs_nothing() {
    let sandbox = Sandbox::new();
    let problem = "-n 1 -k spin --param cost=1h --size 1000 --output out.npy --schedule guided,8";
    for arguments in [format!("plan {problem}"), format!("{problem} --dry-run")] {
        let plan = sandbox.spmd(&arguments).run().ok();
        for text in [
            "procs = 1 ",
            "kernel = \"spin\" ",
            "schedule = \"guided,8\" ",
            "size = 1000 ",
            "dtype = \"i64\" ",
            "param.cost = \"1h\" ",
            "param.serial = \"0\" ",
            "seed = 1 ",
            "# command line",
            "# default",
            "1_000 indices in ",
            "of results, ",
            "# rank 0: cpu ",
        ] {
            assert!(plan.text().contains(text), "{text}: {}", plan.told());
        }
        assert!(sandbox.names().is_empty(), "a plan writes nothing");
    }
    let document = sandbox.spmd(&format!("plan {problem} --json")).run().ok().json();
    assert_eq!(document["status"], "planned");
    assert_eq!(document["params"]["procs"], 1);
    assert_eq!(document["params"]["schedule"], "guided,8");
    assert!(document["chunks"].as_u64().unwrap() > 1);
}

#[test]
fn a_plan_refuses_what_a_run_refuses() {
    let sandbox = Sandbox::new();
    for (arguments, code) in [
        ("-k nothing", 127),
        ("-k square --cpus 999", 2),
        ("-k square --size 1e18", 2),
        ("-k square --dtype i32 --input range:0:50000", 2),
        ("-k square --input missing.npy", 2),
    ] {
        let refused = sandbox.spmd(&format!("plan {arguments}")).run().exited(code);
        assert!(refused.stdout.is_empty(), "{}", refused.told());
        sandbox.spmd(&format!("{arguments} --dry-run")).run().exited(code);
    }
}

#[test]
fn ranks_know_who_they_are_and_how_many_threads_they_may_start() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(&format!("-n 2 {SPIN}")).env("OMP_NUM_THREADS", "5").start();
    let ranks = running.ranks(2);
    let mut run_ids = BTreeSet::new();
    for (number, rank) in ranks.iter().enumerate() {
        let environment = std::fs::read(format!("/proc/{rank}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let value = |name: &str| {
            let entry =
                environment.split('\0').find(|entry| entry.starts_with(&format!("{name}=")));
            entry.and_then(|entry| entry.split_once('=')).map(|(_, value)| value.to_owned())
        };
        assert_eq!(value("SPMD_RANK").unwrap(), number.to_string());
        assert_eq!(value("SPMD_PROCS").as_deref(), Some("2"));
        assert_eq!(value("OMP_NUM_THREADS").as_deref(), Some("5"), "the user's word stands");
        assert_eq!(value("OPENBLAS_NUM_THREADS").as_deref(), Some("1"));
        run_ids.insert(value("SPMD_RUN_ID").unwrap());
    }
    assert_eq!(run_ids.len(), 1, "one run");
    end(running);
}

#[test]
fn a_rank_holds_exactly_the_descriptors_it_should() {
    let sandbox = Sandbox::new();
    sandbox.write("in.txt", "1\n");
    // Descriptors a careless parent left open must not reach a rank.
    let script = format!("exec \"$0\" -n 2 {SPIN} --output out.npy 7<in.txt 9<in.txt");
    let mut running = sandbox.shell(&script).start();
    for rank in running.ranks(2) {
        let fds = std::fs::read_dir(format!("/proc/{rank}/fd")).unwrap();
        let mut open: Vec<(u32, String)> = fds
            .flatten()
            .map(|entry| {
                let number = entry.file_name().to_str().unwrap().parse().unwrap();
                let target = std::fs::read_link(entry.path()).unwrap_or_default();
                (number, target.to_string_lossy().into_owned())
            })
            .collect();
        open.sort();
        let numbers: Vec<u32> = open.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5], "{open:?}");
        assert_eq!(open[0].1, "/dev/null");
        assert_eq!(open[1].1, open[2].1, "stdout of a rank is stderr: {open:?}");
        assert!(open[3].1.starts_with("/dev/shm/spmd-"), "{open:?}");
        assert!(open[3].1.ends_with("(deleted)"), "the segment has no name: {open:?}");
    }
    end(running);
}
