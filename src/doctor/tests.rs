//! Diagnoses of machines that tests have written, and of processes with made-up limits.

use std::time::Duration;

use super::facts::{Process, Watched};
use super::*;
use crate::host::disturbance::Spent;
use crate::host::probe::Call;
use crate::host::rlimits::{Bound, Resource};
use crate::host::root::tests::Tree;
use crate::inventory::Wish;
use crate::inventory::trees::{arm, container, hybrid, two_sockets};
use crate::options::{Bind, Map, Procs};

fn facts_for(tree: &Tree, procs: Procs, bind: Bind) -> Facts {
    Facts::gather(&tree.root, &Wish { procs, bind, map: Map::Close, cpus: None }).unwrap()
}

fn facts(tree: &Tree) -> Facts {
    facts_for(tree, Procs::Auto, Bind::Core)
}

#[track_caller]
fn finding(facts: &Facts, name: &str) -> Finding {
    let found = diagnose(facts).findings.into_iter().find(|finding| finding.name == name);
    found.unwrap_or_else(|| panic!("nothing is said of {name}"))
}

#[track_caller]
fn judged(facts: &Facts, name: &str, grade: Grade, fix: &str) {
    let finding = finding(facts, name);
    assert_eq!(finding.grade, grade, "{finding:?}");
    assert!(finding.fix.clone().unwrap_or_default().contains(fix), "{finding:?}");
    assert_eq!(finding.fix.is_none(), fix.is_empty(), "{finding:?}");
}

/// A process that has all it needs.
fn well(procs: u64) -> Process {
    Process {
        limits: Resource::ALL
            .map(|resource| match resource {
                Resource::Core => (resource, Bound::AtMost(0), Bound::Unlimited),
                _ => (resource, Bound::Unlimited, Bound::Unlimited),
            })
            .to_vec(),
        calls: Call::ALL.map(|call| (call, Ok(()))).to_vec(),
        counting: Ok(()),
        clock_step: Duration::from_nanos(20),
        stale: Ok((0, 0)),
        descriptors: [procs + 24, 2 * procs + 24],
    }
}

#[test]
fn two_sockets_are_fit_but_for_one_governor_and_turbo() {
    let mut facts = facts(&two_sockets());
    facts.process = Some(well(4));
    for name in ["cpus", "cpu-quota", "smt", "core-kinds", "dev-shm", "memory-limit", "kernel"] {
        judged(&facts, name, Grade::Well, "");
    }
    judged(&facts, "governor", Grade::Warning, "cpupower frequency-set -g performance");
    assert!(finding(&facts, "governor").found.contains("`powersave` on cpus 7"));
    judged(&facts, "turbo", Grade::Note, "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo");
    judged(&facts, "huge-pages-shared", Grade::Well, "");
    let back = "echo 5 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    judged(&facts, "huge-pages-reserved", Grade::Note, back);
    judged(&facts, "perf", Grade::Note, "kernel.perf_event_paranoid=2");
    facts.counters.paranoid = Some(2);
    judged(&facts, "perf", Grade::Well, "");
    facts.process.as_mut().unwrap().counting = Err("perf_event_open is not permitted".to_owned());
    judged(&facts, "perf", Grade::Note, "");
    assert!(finding(&facts, "perf").found.contains("2, and yet: perf_event_open is not permitted"));
    facts.seccomp = Some(crate::host::confinement::Seccomp::Filter);
    judged(&facts, "perf", Grade::Note, "seccomp=unconfined");
    let diagnosis = diagnose(&facts);
    assert_eq!(diagnosis.exit(Strictness::Stops), Exit::Complete);
    assert_eq!(diagnosis.exit(Strictness::Warnings), Exit::Failed);
}

#[test]
fn ranks_that_share_a_core_are_a_warning_unless_that_was_asked_for() {
    let tree = two_sockets();
    let eight = Procs::Exactly(8.try_into().unwrap());
    judged(&facts_for(&tree, eight, Bind::Core), "smt", Grade::Warning, "--procs 4 --bind core");
    judged(&facts_for(&tree, eight, Bind::Hwthread), "smt", Grade::Note, "--procs 4");
    let nine = facts_for(&tree, Procs::Exactly(9.try_into().unwrap()), Bind::Core);
    judged(&nine, "ranks", Grade::Warning, "--procs 8");
    judged(&nine, "smt", Grade::Note, "--bind core");
}

#[test]
fn ranks_on_fast_and_slow_cores_are_told_the_fast_ones() {
    judged(&facts(&hybrid()), "core-kinds", Grade::Warning, "--cpus 0,2");
    judged(&facts(&arm()), "core-kinds", Grade::Warning, "--cpus 2-3");
    let two = facts_for(&hybrid(), Procs::Exactly(2.try_into().unwrap()), Bind::Core);
    judged(&two, "core-kinds", Grade::Well, "");
}

#[test]
fn a_container_is_told_what_its_maker_can_change() {
    let facts = facts(&container());
    judged(&facts, "cpus", Grade::Note, "docker run --cpuset-cpus 0-3");
    judged(&facts, "cpu-quota", Grade::Warning, "--procs 1, or docker run --cpus 2");
    judged(&facts, "throttling", Grade::Warning, "--procs");
    assert!(finding(&facts, "throttling").found.contains("40 of 100 periods, 1.5 s"));
    judged(&facts, "dev-shm", Grade::Warning, "--backing memfd, or docker run --shm-size");
    judged(&facts, "memory-limit", Grade::Note, "docker run --memory");
    judged(&facts, "limit-tasks", Grade::Stop, "docker run --pids-limit");
    assert!(finding(&facts, "container").found.contains("docker, system calls filtered"));
    assert_eq!(diagnose(&facts).exit(Strictness::Stops), Exit::Failed);
}

#[test]
fn outside_of_a_container_the_control_group_itself_is_named() {
    let tree = container();
    std::fs::remove_file(tree.root.path(".dockerenv")).unwrap();
    let facts = facts(&tree);
    judged(&facts, "cpu-quota", Grade::Warning, "echo max > /sys/fs/cgroup/cpu.max");
    judged(&facts, "limit-tasks", Grade::Stop, "echo max > /sys/fs/cgroup/pids.max");
    judged(&facts, "cpus", Grade::Note, "AllowedCPUs=0-3");
}

#[test]
fn kernels_are_judged_by_what_runs_need_of_them() {
    for (release, grade, fix) in [
        ("5.3.18", Grade::Stop, "newer"),
        ("5.4.0", Grade::Note, "newer"),
        ("5.14.0-70.el9", Grade::Well, ""),
        ("6.1", Grade::Well, ""),
    ] {
        let tree = arm();
        tree.put("proc/sys/kernel/osrelease", release);
        judged(&facts(&tree), "kernel", grade, fix);
    }
}

#[test]
fn huge_pages_that_ranks_make_are_as_good_as_given_ones() {
    let tree = two_sockets();
    tree.put("proc/self/mounts", "tmpfs /dev/shm tmpfs rw,size=8388608k 0 0\n");
    judged(&facts(&tree), "huge-pages-shared", Grade::Note, "remount,huge=advise");
    tree.put("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n");
    judged(&facts(&tree), "huge-pages-shared", Grade::Well, "");
}

#[test]
fn limits_are_judged_by_the_ranks_that_are_to_be() {
    let mut facts = facts(&two_sockets());
    let mut limited = |resource: Resource, soft: u64, hard: Bound| {
        let mut process = well(4);
        process.limits.retain(|(known, ..)| *known != resource);
        process.limits.push((resource, Bound::AtMost(soft), hard));
        facts.process = Some(process);
        facts.clone()
    };
    let files = limited(Resource::Files, 27, Bound::Unlimited);
    judged(&files, "limit-files", Grade::Stop, "ulimit -S -n 28");
    let files = limited(Resource::Files, 27, Bound::AtMost(27));
    judged(&files, "limit-files", Grade::Stop, "prlimit --pid $$ --nofile=28:28");
    let files = limited(Resource::Files, 28, Bound::Unlimited);
    judged(&files, "limit-files", Grade::Note, "ulimit -S -n 32");
    let processes = limited(Resource::Processes, 5, Bound::Unlimited);
    judged(&processes, "limit-processes", Grade::Stop, "ulimit -S -u 68");
    let processes = limited(Resource::Processes, 6, Bound::Unlimited);
    judged(&processes, "limit-processes", Grade::Warning, "ulimit -S -u 68");
    let space = limited(Resource::Space, 1 << 30, Bound::Unlimited);
    judged(&space, "limit-address-space", Grade::Warning, "ulimit -S -v unlimited");
    let core = limited(Resource::Core, 1, Bound::Unlimited);
    judged(&core, "limit-core", Grade::Note, "ulimit -S -c 0");
    let mut root = limited(Resource::Processes, 1, Bound::Unlimited);
    root.is_root = true;
    judged(&root, "limit-processes", Grade::Well, "");
}

#[test]
fn calls_that_are_refused_stop_a_run_only_if_it_needs_them() {
    let mut facts = facts(&two_sockets());
    for (call, name, grade, fix) in [
        (Call::Pidfd, "pidfd", Grade::Stop, "rights"),
        (Call::DevShm, "dev-shm-write", Grade::Stop, "--backing memfd"),
        (Call::Affinity, "pinning", Grade::Warning, "--bind none"),
        (Call::Memfd, "memfd", Grade::Note, "rights"),
        (Call::Populate, "populate", Grade::Note, "5.14"),
        (Call::Mbind, "mbind", Grade::Note, ""),
    ] {
        let mut process = well(4);
        process.calls = vec![(call, Err("permission denied".to_owned()))];
        facts.process = Some(process);
        judged(&facts, name, grade, fix);
    }
    facts.container = Some("docker");
    judged(&facts, "mbind", Grade::Note, "");
}

#[test]
fn others_and_the_host_are_seen_while_the_machine_is_watched() {
    let mut facts = facts(&two_sockets());
    let ms = Duration::from_millis;
    let spent = |busy, stolen| Spent { busy: ms(busy), stolen: ms(stolen), all: ms(1600) };
    let mut watched = |busy, stolen| {
        let after = spent(busy, stolen);
        facts.watched = Some(Watched { before: Spent::default(), after, time: ms(200) });
        facts.clone()
    };
    judged(&watched(10, 0), "load", Grade::Well, "");
    judged(&watched(10, 0), "steal-now", Grade::Well, "");
    judged(&watched(400, 0), "load", Grade::Warning, "--cpus");
    assert!(finding(&watched(400, 0), "load").found.starts_with("others use 2.00 of 8 cpus"));
    judged(&watched(0, 40), "steal-now", Grade::Warning, "later");
    let mut before = watched(0, 0);
    before.since_boot = Some(spent(900, 100));
    judged(&before, "steal-since-boot", Grade::Note, "CPUs are its own");
}

#[test]
fn a_full_or_missing_dev_shm_stops_a_run() {
    let mut facts = facts(&two_sockets());
    facts.process = Some(well(4));
    let mut room = facts.inventory.memory.dev_shm.unwrap();
    room.free = Some(4096);
    facts.inventory.memory.dev_shm = Some(room);
    judged(&facts, "dev-shm", Grade::Stop, "--backing memfd");
    // One that is as large as memory is full: nothing is told that would make it smaller.
    room.bytes = facts.inventory.memory.most().unwrap();
    facts.inventory.memory.dev_shm = Some(room);
    judged(&facts, "dev-shm", Grade::Stop, "spmd clean");
    assert!(!finding(&facts, "dev-shm").fix.as_deref().unwrap().contains("remount"));
    facts.inventory.memory.dev_shm = None;
    judged(&facts, "dev-shm", Grade::Stop, "--backing memfd");
}

#[test]
fn what_dead_runs_left_is_cleaned_by_name() {
    let mut facts = facts(&two_sockets());
    let mut process = well(4);
    process.stale = Ok((2, 4096));
    process.clock_step = Duration::from_millis(4);
    facts.process = Some(process);
    judged(&facts, "stale-segments", Grade::Note, "spmd clean");
    judged(&facts, "clock", Grade::Warning, "current_clocksource");
}

#[test]
fn a_document_says_of_each_finding_whether_it_stops_a_run() {
    let diagnosis = diagnose(&facts(&container()));
    let text = diagnosis.to_json(diagnosis.exit(Strictness::Stops));
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&document["schema"], &document["exit"]), (&1.into(), &1.into()));
    let findings = document["findings"].as_array().unwrap();
    let stops: Vec<_> = findings.iter().filter(|finding| finding["stops"] == true).collect();
    assert!(
        stops.iter().all(|finding| finding["level"] == "warning" && finding["fix"].is_string())
    );
    assert_eq!(document["stops"], stops.len());
    let sum: u64 = ["ok", "notes", "warnings"].iter().map(|n| document[n].as_u64().unwrap()).sum();
    assert_eq!(sum, findings.len() as u64);
}

#[test]
fn names_are_given_once() {
    let mut facts = facts(&container());
    facts.process = Some(well(2));
    let mut names: Vec<_> = diagnose(&facts).findings.iter().map(|finding| finding.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
