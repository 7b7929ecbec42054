//! A rank trusts no byte of its segment that says how large it is, and nobody can cut it short unseen.

use std::fs::{self, OpenOptions};

use crate::sandbox::{Outcome, Sandbox};

const LONG: &str = "-n 1 -k spin --param cost=10ms --size 1e6";

/// Starts a rank by hand, with these bytes as its segment.
fn rank(sandbox: &Sandbox, segment: &[u8]) -> Outcome {
    sandbox.write("segment", segment);
    // Not the shell's last command: a rank is a child of whoever its mark names.
    let script = "SPMD_WORKER=$$ SPMD_RANK=0 \"$0\" 3<>segment 4<segment 5<segment; exit $?";
    sandbox.shell(script).deadline(5).run()
}

#[test]
fn refuses_a_segment_that_is_none() {
    let sandbox = Sandbox::new();
    let magic = |bytes: usize, fill: u8| [&b"SPMDSHM\0"[..], &vec![fill; bytes]].concat();
    for segment in [
        Vec::new(),
        vec![0; 1],
        vec![0; 4096],
        vec![0xff; 1 << 20],
        magic(0, 0),
        magic(100, 0),
        magic(1 << 20, 0),
        magic(1 << 20, 0xff),
    ] {
        let refused = rank(&sandbox, &segment).exited(125);
        refused.says("spmd: error: a rank could not start: ");
    }
}

#[test]
fn refuses_a_segment_with_any_byte_changed_that_says_what_it_is() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(LONG).start();
    let first = running.ranks(1)[0];
    let segment = fs::read(format!("/proc/{first}/fd/3")).unwrap();
    running.signal(libc::SIGTERM);
    running.wait();
    // Magic, version, sizes of types, length, and the seven numbers all offsets come from.
    for at in 0..80 {
        for bit in [0, 7] {
            let mut changed = segment.clone();
            changed[at] ^= 1 << bit;
            let refused = rank(&sandbox, &changed);
            // One that attaches first says why it leaves in the segment itself.
            let known = [Some(125), Some(1)].contains(&refused.code);
            assert!(known, "byte {at}, bit {bit}: {}", refused.told());
        }
    }
    for len in [8, 100, 384, segment.len() / 2, segment.len() - 1] {
        rank(&sandbox, &segment[..len]).exited(125);
    }
}

#[test]
fn a_segment_without_a_name_cannot_be_cut_short_under_its_ranks() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.spmd(&format!("{LONG} --backing memfd")).start();
    let rank = running.ranks(1)[0];
    let segment = OpenOptions::new().write(true).open(format!("/proc/{rank}/fd/3")).unwrap();
    let denied = segment.set_len(0).unwrap_err();
    assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
    running.signal(libc::SIGTERM);
    running.wait();
}

#[test]
fn a_segment_that_is_cut_short_ends_the_run_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("out.npy", "old");
    let run = format!("{LONG} --backing shm --output out.npy");
    let mut running = sandbox.spmd(&run).orphans_follow().deadline(10).start();
    let rank = running.ranks(1)[0];
    let segment = OpenOptions::new().write(true).open(format!("/proc/{rank}/fd/3")).unwrap();
    segment.set_len(0).unwrap();
    let ended = running.wait();
    assert_ne!(ended.code, Some(0), "{}", ended.told());
    assert_eq!(sandbox.read("out.npy"), b"old");
}
