//! Huge pages: asked for where the machine gives them, refused by name where it does not.

use std::fs;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// 8 MB of results.
const RUN: &str = "-n 2 -k square --size 1e6 --json";

/// Whether shared memory gets huge pages here, of its own accord or because ranks make them, by the kernel's own
/// words.
fn machine_has_them(backing: &str) -> bool {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let rule = read("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    let size = read("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    let release = read("/proc/sys/kernel/osrelease");
    let mut version = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let made = (version.next(), version.next()) >= (Some(6), Some(1)) && size.trim() == "2097152";
    let memfd = ["[always]", "[within_size]", "[advise]"].iter().any(|word| rule.contains(word));
    let given = rule.contains("[force]") || backing == "memfd" && memfd;
    given || made && !rule.contains("[deny]")
}

/// How many bytes in huge pages each rank had.
fn huge_bytes(record: &Value) -> Vec<u64> {
    let workers = record["workers"].as_array().unwrap();
    workers.iter().map(|worker| worker["huge_bytes"].as_u64().unwrap()).collect()
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
fn the_bits_are_the_same_around_the_size_of_a_page() {
    let sandbox = Sandbox::new();
    // In elements of 8 bytes: less than a huge page, one, a little more, enough for the last to be made whole.
    for size in [262_143, 262_144, 262_145, 400_000, 1_000_001] {
        for how in ["-k square", "-k square --in-place", "-k triad --repeats 2"] {
            let digest = |more: &str| {
                let done = sandbox.spmd(&format!("{how} --size {size} --json {more}")).run().ok();
                done.json()["result"]["digest"].clone()
            };
            let small = digest("-n 1 --huge never");
            for more in ["-n 1", "-n 2", "-n 5 --schedule static", "-n 3 --schedule dynamic,1000"] {
                assert_eq!(digest(more), small, "{how} {size} {more}");
            }
        }
    }
}

#[test]
fn large_arrays_have_them_unless_told_otherwise() {
    let sandbox = Sandbox::new();
    for backing in ["shm", "memfd"] {
        let bytes = |more: &str| {
            let run = sandbox.spmd(&format!("{RUN} --backing {backing} {more}"));
            huge_bytes(&run.run().ok().json())
        };
        assert_eq!(bytes("--huge never"), [0, 0]);
        // Each rank has two pages of its own; one that takes long is followed by a small one.
        let has = || bytes("").iter().all(|&bytes| bytes >= 2 << 20);
        assert!(!machine_has_them(backing) || (0..5).any(|_| has()), "{backing}: {:?}", bytes(""));
    }
    assert_eq!(
        huge_bytes(&sandbox.spmd("-n 1 -k square --size 2e5 --json").run().ok().json()),
        [0]
    );
}

#[test]
fn two_mebibytes_or_no_run_with_the_fix() {
    let sandbox = Sandbox::new();
    let run = sandbox.spmd(&format!("{RUN} --backing memfd --huge 2M")).run();
    if machine_has_them("memfd") {
        let bytes = huge_bytes(&run.ok().json());
        assert!(bytes.iter().any(|&bytes| bytes > 0), "{bytes:?}");
    } else {
        run.exited(125).message("gives no huge pages to shared memory").says("shmem_enabled");
    }
}

#[test]
fn a_run_needs_no_more_room_for_them_than_it_has_data() {
    let sandbox = Sandbox::new();
    let small = sandbox.spmd(&format!("{RUN} --huge never")).run().ok().json();
    // 8,000,000 bytes of results in as good as no more room, and in so much that the last page can be whole.
    for (room, huge) in [("8m", false), ("32m", true)] {
        let script = format!("mount -t tmpfs -o size={room} none /dev/shm && exec \"$0\" {RUN}");
        let Some(job) = sandbox.mounted(&script) else { return };
        let record = job.run().ok().json();
        assert_eq!(record["result"]["digest"], small["result"]["digest"]);
        let bytes: u64 = huge_bytes(&record).iter().sum();
        assert_eq!(bytes > 0, huge && machine_has_them("shm"), "{room}");
    }
}

#[test]
fn where_addresses_cannot_be_reserved_pages_are_small_and_the_bits_the_same() {
    let sandbox = Sandbox::new();
    let small = sandbox.spmd(&format!("{RUN} --huge never")).run().ok().json();
    // What is private and writable counts against this limit; what is shared does not.
    let script = format!("ulimit -d 6000; exec \"$0\" {RUN}");
    for _ in 0..8 {
        let record = sandbox.shell(&script).run().ok().json();
        assert_eq!(record["result"]["digest"], small["result"]["digest"]);
        assert_eq!(huge_bytes(&record), [0, 0]);
    }
}
