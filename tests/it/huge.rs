//! Huge pages: asked for where the machine gives them, refused by name where it does not.

use std::fs;

use crate::sandbox::Sandbox;

/// 8 MB of results.
const RUN: &str = "-n 2 -k square --size 1e6 --json";

/// Whether a memfd gets huge pages when it asks, by the kernel's own word.
fn machine_gives_them() -> bool {
    let rule = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    let rule = rule.unwrap_or_default();
    ["[always]", "[within_size]", "[advise]", "[force]"].iter().any(|word| rule.contains(word))
}

#[test]
fn the_bits_do_not_depend_on_the_pages() {
    let sandbox = Sandbox::new();
    let digest = |more: &str| {
        let done = sandbox.spmd(&format!("{RUN} {more}")).run().ok();
        done.json()["result"]["digest"].clone()
    };
    let small = digest("--huge never");
    for backing in ["shm", "memfd"] {
        for huge in ["auto", "never"] {
            assert_eq!(digest(&format!("--backing {backing} --huge {huge}")), small);
        }
    }
}

#[test]
fn small_pages_are_had_on_demand() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd(&format!("{RUN} --backing memfd --huge never")).run().ok();
    for worker in done.json()["workers"].as_array().unwrap() {
        assert_eq!(worker["huge_bytes"], 0);
    }
}

#[test]
fn two_mebibytes_or_no_run_with_the_fix() {
    let sandbox = Sandbox::new();
    let run = sandbox.spmd(&format!("{RUN} --backing memfd --huge 2M")).run();
    if machine_gives_them() {
        let record = run.ok().json();
        let mapped = record["workers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|worker| worker["huge_bytes"].as_u64().unwrap() > 0);
        assert!(mapped.count() > 0, "{record}");
    } else {
        run.exited(125).message("gives no huge pages to shared memory").says("shmem_enabled");
    }
}
