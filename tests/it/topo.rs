//! `spmd topo` and `spmd doctor`: what they say agrees with the system, with a run's plan, and with itself.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, cpus};

/// What is said of one thing.
#[track_caller]
fn finding(document: &Value, name: &str) -> Value {
    let findings = document["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["name"] == name);
    found.unwrap_or_else(|| panic!("nothing is said of {name}: {document}")).clone()
}

/// A copy of a machine: four CPUs on two cores, a quota, a small /dev/shm.
fn copy(sandbox: &Sandbox) {
    let mut files = vec![
        ("proc/self/status".to_owned(), "Uid:\t7\t7\t7\t7\nCpus_allowed_list:\t0-3\n".to_owned()),
        ("proc/self/cgroup".to_owned(), "0::/job\n".to_owned()),
        ("proc/self/mounts".to_owned(), "shm /dev/shm tmpfs rw,size=65536k 0 0\n".to_owned()),
        ("proc/meminfo".to_owned(), "MemTotal: 8388608 kB\n".to_owned()),
        ("proc/sys/kernel/osrelease".to_owned(), "6.1.0\n".to_owned()),
        ("sys/devices/system/cpu/online".to_owned(), "0-3\n".to_owned()),
        ("sys/fs/cgroup/job/cpu.max".to_owned(), "150000 100000\n".to_owned()),
    ];
    for cpu in 0..4 {
        let base = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        files.push((format!("{base}/core_cpus_list"), format!("{},{}\n", cpu % 2, cpu % 2 + 2)));
    }
    for (path, text) in files {
        let path = sandbox.path("copy").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn topo_agrees_with_the_system_and_with_the_plan_of_a_run() {
    let sandbox = Sandbox::new();
    let document = sandbox.spmd("topo --json").run().ok().json();
    assert_eq!((&document["schema"], &document["exit"]), (&1.into(), &0.into()));
    let allowed: Vec<u64> = document["cpus"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|cpu| cpu["allowed"] == true)
        .map(|cpu| cpu["cpu"].as_u64().unwrap())
        .collect();
    assert_eq!(allowed, cpus().iter().map(|&cpu| u64::from(cpu)).collect::<Vec<_>>());
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    assert_eq!(document["cpus_online"].as_str().unwrap(), online.trim());
    let plan = sandbox.spmd("plan -k square --size 1000 --json").run().ok().json();
    assert_eq!(document["ranks"]["cpus"], plan["cpus"]);
    assert_eq!(document["ranks"]["procs"], plan["params"]["procs"]);
}

#[test]
fn topo_places_ranks_as_the_options_of_a_run_say() {
    let sandbox = Sandbox::new();
    let one = cpus()[0];
    let arguments = format!("topo -n 1 --cpus {one} --json");
    let document = sandbox.spmd(&arguments).run().ok().json();
    assert_eq!(document["ranks"]["cpus"], serde_json::json!([one]));
    assert_eq!(document["ranks"]["because"], "--procs");
    let crowded = sandbox.spmd("topo --json").env("SPMD_PROCS", "999").run().ok().json();
    assert_eq!(crowded["ranks"]["warnings"].as_array().unwrap().len(), 1);
    sandbox.spmd("topo --cpus 99999").run().exited(2).message("this process may use cpus");
}

#[test]
fn tables_are_on_stdout_and_nothing_is_said_beside_them() {
    let sandbox = Sandbox::new();
    let shown = sandbox.spmd("topo").run().ok();
    for name in ["host ", "processor ", "cpus ", "memory ", "/dev/shm ", "huge pages ", "ranks "] {
        let lines = shown.text().lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(lines, 1, "{name} in {}", shown.told());
    }
    assert!(shown.stderr.is_empty(), "{}", shown.told());
    let shown = sandbox.spmd("doctor").run();
    assert!(shown.stderr.is_empty(), "{}", shown.told());
    let last = shown.text().lines().last().unwrap();
    assert!(last.contains(" ok, ") && last.contains(" stop a run"), "{last}");
}

#[test]
fn doctor_finds_nothing_that_would_stop_the_runs_of_these_tests() {
    let sandbox = Sandbox::new();
    let document = sandbox.spmd("doctor --json").run().ok().json();
    assert_eq!((&document["schema"], &document["stops"]), (&1.into(), &0.into()));
    for name in ["cpus", "dev-shm", "limit-files", "clock", "pidfd", "pinning", "kernel"] {
        let finding = finding(&document, name);
        assert!(["ok", "note", "warning"].contains(&finding["level"].as_str().unwrap()));
        assert!(!finding["found"].as_str().unwrap().is_empty(), "{finding}");
        assert!(!finding["why"].as_str().unwrap().is_empty(), "{finding}");
    }
}

#[test]
fn a_limit_that_would_stop_a_run_is_exit_1_with_the_command_that_lifts_it() {
    let sandbox = Sandbox::new();
    let limited = "ulimit -Sn 25; exec \"$0\"";
    let document = sandbox.shell(&format!("{limited} doctor -n 2 --json")).run().exited(1).json();
    let files = finding(&document, "limit-files");
    assert_eq!((&files["level"], &files["stops"]), (&"warning".into(), &true.into()));
    assert_eq!(files["fix"], "ulimit -S -n 26");
    // What it says is so: before the fix a run is refused, after it there is one.
    let run = "-n 2 -k square --input 1,2,3";
    sandbox.shell(&format!("{limited} {run}")).run().exited(125);
    sandbox.shell(&format!("ulimit -Sn 25; ulimit -n 26; exec \"$0\" {run}")).run().ok();
}

#[test]
fn a_full_dev_shm_is_exit_1_and_the_fix_is_one() {
    let sandbox = Sandbox::new();
    let full = "mount -t tmpfs -o size=4k none /dev/shm; exec \"$0\"";
    let Some(job) = sandbox.mounted(&format!("{full} doctor --json")) else { return };
    let shm = finding(&job.run().exited(1).json(), "dev-shm");
    assert_eq!(shm["stops"], true);
    assert!(shm["fix"].as_str().unwrap().starts_with("--backing memfd"), "{shm}");
    let run = "-k square --input 1,2,3";
    sandbox.mounted(&format!("{full} {run}")).unwrap().run().exited(125);
    sandbox.mounted(&format!("{full} {run} --backing memfd")).unwrap().run().ok();
}

#[test]
fn strict_makes_any_warning_exit_1() {
    let sandbox = Sandbox::new();
    let crowded = "doctor -n 4000 --bind none --root copy";
    copy(&sandbox);
    let warned = sandbox.spmd(&format!("{crowded} --json")).run().ok().json();
    assert!(warned["warnings"].as_u64().unwrap() > 0, "{warned}");
    let strict = sandbox.spmd(&format!("{crowded} --strict --json")).run().exited(1).json();
    assert_eq!((&strict["exit"], &strict["stops"]), (&1.into(), &0.into()));
    sandbox.spmd(crowded).env("SPMD_STRICT", "1").run().exited(1);
}

#[test]
fn a_copy_of_another_machine_is_looked_at_in_its_place() {
    let sandbox = Sandbox::new();
    copy(&sandbox);
    let document = sandbox.spmd("topo --root copy --json").run().ok().json();
    assert_eq!((&document["cpus_allowed"], &document["cores"]), (&"0-3".into(), &2.into()));
    assert_eq!(document["cpu_quota"], 1.5);
    assert_eq!(document["shm"]["bytes"], 64 << 20);
    assert_eq!(document["ranks"]["cpus"], serde_json::json!([0, 1]));
    let document = sandbox.spmd("doctor --root copy --json").run().ok().json();
    let quota = finding(&document, "cpu-quota");
    assert_eq!(quota["fix"], "--procs 1, or as root, echo max > /sys/fs/cgroup/job/cpu.max");
    assert_eq!(finding(&document, "dev-shm")["level"], "warning");
    let names = document["findings"].as_array().unwrap().iter();
    assert!(names.clone().all(|finding| finding["name"] != "pidfd"), "this process was asked");
    sandbox.spmd("topo --root .").run().exited(2).message("neither `proc` nor `sys`");
}
