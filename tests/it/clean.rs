//! `spmd clean` removes what dead runs left, and nothing that anybody needs.

use std::fs;
use std::fs::File;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::sandbox::{Job, Outcome, Sandbox, is_root, skipped};

/// A random part of a hidden name, as the program makes them.
const RANDOM: &str = "0123456789abcdef";

/// Begins a script in a `/dev/shm` of its own, where `$s` begins the names of this user's segments:
/// other runs on this machine sweep, and are not to be swept.
fn alone(sandbox: &Sandbox, script: &str) -> Option<Job> {
    let begin = "mount -t tmpfs none /dev/shm || exit 99; s=/dev/shm/spmd-$(id -u)-; \
                 old() { touch -d '1 hour ago' \"$@\"; }; ";
    sandbox.mounted(&format!("{begin}{script}"))
}

/// Plants a file that is an hour old.
fn plant(sandbox: &Sandbox, name: &str, bytes: usize) -> File {
    let file = File::create(sandbox.path(name)).unwrap();
    file.set_len(bytes as u64).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    file
}

/// The lines of stdout, without what this machine's `/dev/shm` may have had.
fn lines(outcome: &Outcome) -> Vec<&str> {
    outcome.text().lines().filter(|line| !line.starts_with("/dev/shm/")).collect()
}

#[test]
fn stale_segments_are_removed_and_named_and_all_else_stays() {
    let sandbox = Sandbox::new();
    sandbox.write("target", "1");
    let script = "truncate -s 65536 ${s}a; truncate -s 131072 ${s}b; old ${s}a ${s}b; \
        truncate -s 9 ${s}locked /dev/shm/spmd-99999-a /dev/shm/spmd /dev/shm/other; \
        ln -s $PWD/target ${s}link; mkdir ${s}folder; mkfifo ${s}fifo; old /dev/shm/*; \
        exec 9<${s}locked; flock 9; \
        \"$0\" clean; echo exit $?; \"$0\" clean; echo exit $?; ls /dev/shm | LC_ALL=C sort";
    let Some(job) = alone(&sandbox, script) else { return };
    let done = job.run().ok();
    let mine = |text: &str| text.replace("spmd-ID-", &format!("spmd-{}-", uid()));
    let (shown, left) = done.text().split_once("exit 0\nexit 0\n").unwrap();
    assert_eq!(shown, mine("/dev/shm/spmd-ID-a 65536\n/dev/shm/spmd-ID-b 131072\n"));
    let mut expected: Vec<String> = ["fifo", "folder", "link", "locked"]
        .iter()
        .map(|name| mine(&format!("spmd-ID-{name}")))
        .chain(["other", "spmd", "spmd-99999-a"].map(str::to_owned))
        .collect();
    expected.sort();
    assert_eq!(left.lines().collect::<Vec<_>>(), expected, "{}", done.told());
    assert_eq!(done.stderr, "spmd: removed 2 segments, 196608 bytes\nspmd: nothing to clean\n");
    assert_eq!(sandbox.names(), ["target"]);
}

#[test]
fn a_young_segment_is_left_to_its_launcher_by_a_run_but_watched_by_clean() {
    let sandbox = Sandbox::new();
    // Of tomorrow: no machine is so slow that it is old when the run begins.
    let script = "touch -d '1 day' ${s}young ${s}locked; exec 9<${s}locked; flock 9; \
        \"$0\" -q -n 1 -k square --input 2; ls /dev/shm | wc -l; \"$0\" clean | wc -l; ls /dev/shm";
    let Some(job) = alone(&sandbox, script) else { return };
    let done = job.run().ok();
    let locked = format!("spmd-{}-locked", uid());
    let expected = ["Results: [4]", "2", "1", &locked];
    assert_eq!(done.text().lines().collect::<Vec<_>>(), expected, "{}", done.told());
    done.says("spmd: removed 1 segment, 0 bytes\n");
}

#[test]
fn a_dry_run_shows_what_would_go_and_lets_it_stay() {
    let sandbox = Sandbox::new();
    let hidden = format!(".out.npy.spmd.{RANDOM}");
    let script = format!(
        "truncate -s 7 ${{s}}a; touch '{hidden}'; old ${{s}}a '{hidden}'; \
         \"$0\" clean --dry-run .; \"$0\" clean --dry-run --json . >dry.json; \
         \"$0\" clean --json . >wet.json; \"$0\" clean --json . >none.json"
    );
    let Some(job) = alone(&sandbox, &script) else { return };
    let done = job.run().ok();
    let segment = format!("/dev/shm/spmd-{}-a", uid());
    assert_eq!(done.text(), format!("{segment} 7\n./{hidden} 0\n"), "{}", done.told());
    let would = "spmd: would remove 1 segment, 1 temporary file, 7 bytes\n";
    assert_eq!(
        done.stderr,
        format!(
            "{would}{would}{}spmd: nothing to clean\n",
            would.replace("would remove", "removed")
        )
    );
    let removed = json!([
        { "path": segment, "bytes": 7 },
        { "path": format!("./{hidden}"), "bytes": 0 },
    ]);
    for (name, dry_run, removed) in
        [("dry", true, removed.clone()), ("wet", false, removed), ("none", false, json!([]))]
    {
        let found: serde_json::Value =
            serde_json::from_slice(&sandbox.read(&format!("{name}.json"))).unwrap();
        let expected = json!({ "schema": 1, "dry_run": dry_run, "removed": removed, "failed": [] });
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn hidden_files_of_killed_runs_are_removed_from_the_directories_named() {
    let sandbox = Sandbox::new();
    let hidden = |name: &str| format!(".{name}.spmd.{RANDOM}");
    fs::create_dir(sandbox.path("results")).unwrap();
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    let (stale, odd) = (hidden("out.npy"), hidden("a b\n\u{1b}"));
    let held = plant(&sandbox, &format!("results/{}", hidden("held")), 1);
    held.lock().unwrap();
    plant(&sandbox, &format!("results/{stale}"), 80);
    plant(&sandbox, &odd, 1);
    plant(&sandbox, &format!("elsewhere/{stale}"), 1);
    let kept = [
        format!("results/out.npy.spmd.{RANDOM}"),
        format!("results/.spmd.{RANDOM}"),
        "results/.out.npy.spmd.0123".to_owned(),
        format!("results/.out.npy.spmd.{}", RANDOM.to_uppercase()),
        "results/out.npy".to_owned(),
    ];
    for name in &kept {
        plant(&sandbox, name, 1);
    }
    fs::create_dir(sandbox.path(&format!("results/{}", hidden("folder")))).unwrap();
    let link = sandbox.path(&format!("results/{}", hidden("link")));
    std::os::unix::fs::symlink("out.npy", &link).unwrap();
    let done = sandbox.spmd("clean results .").run().ok();
    let shown = format!("./.a b\\n\\u{{1b}}.spmd.{RANDOM} 1");
    assert_eq!(lines(&done), [format!("results/{stale} 80"), shown], "{}", done.told());
    assert!(done.stderr.contains("2 temporary files, "), "{}", done.told());
    for name in &kept {
        assert!(sandbox.path(name).exists(), "{name}");
    }
    assert!(fs::symlink_metadata(link).is_ok());
    assert_eq!(fs::read_dir(sandbox.path("results")).unwrap().count(), kept.len() + 3);
    assert_eq!(fs::read_dir(sandbox.path("elsewhere")).unwrap().count(), 1);
    drop(held);
    let done = sandbox.spmd("clean results").run().ok();
    assert_eq!(lines(&done), [format!("results/{} 1", hidden("held"))], "{}", done.told());
}

/// Begins a script that sees no descriptors in `/proc`, so that outputs have hidden names.
const WITHOUT_DESCRIPTORS: &str =
    "mount -t tmpfs none /proc && mkdir /proc/self && ln -s \"$0\" /proc/self/exe || exit 99; ";

#[test]
fn the_output_of_a_living_run_stays_until_the_run_is_killed() {
    let sandbox = Sandbox::new();
    let script = format!(
        "{WITHOUT_DESCRIPTORS}\
         \"$0\" -q -n 2 -k spin --param cost=60s --size 2 --output out.npy & run=$!; \
         until ls .out.npy.spmd.* >ls.txt 2>&1; do sleep 0.01; done; \
         sleep 0.2; \"$0\" clean .; ls -A | grep -c spmd; \
         kill -9 $run; wait $run; \
         until \"$0\" clean . >gone.txt && [ -s gone.txt ]; do sleep 0.01; done; ls -A"
    );
    let Some(job) = alone(&sandbox, &script) else { return };
    let done = job.orphans_follow().run().ok();
    assert_eq!(done.text(), "1\ngone.txt\nls.txt\n", "{}", done.told());
    done.says("spmd: nothing to clean\n").says("spmd: removed 1 temporary file, ");
}

#[test]
fn what_cannot_be_removed_is_named_and_is_a_failure() {
    let sandbox = Sandbox::new();
    let hidden = format!(".out.npy.spmd.{RANDOM}");
    let script = format!(
        "mkdir fixed; truncate -s 5 'fixed/{hidden}'; old 'fixed/{hidden}'; \
         mount --bind fixed fixed && mount -o remount,ro,bind fixed || exit 99; \
         \"$0\" clean fixed; echo exit $?; \"$0\" clean --json fixed; echo exit $?; \
         umount fixed; rm -r fixed"
    );
    let Some(job) = alone(&sandbox, &script) else { return };
    let done = job.run().ok();
    let path = format!("fixed/{hidden}");
    let document = json!({
        "schema": 1,
        "dry_run": false,
        "removed": [],
        "failed": [{ "path": path, "error": "read-only file system" }],
    });
    let found: Vec<&str> = done.text().lines().collect();
    assert_eq!([found[0], found[2]], ["exit 1", "exit 1"], "{}", done.told());
    assert_eq!(serde_json::from_str::<serde_json::Value>(found[1]).unwrap(), document);
    let error = format!("spmd: error: cannot clean up `{path}`: read-only file system\n");
    done.says(&error).says("  hint: ").says("spmd: removed nothing\n");
}

#[test]
fn directories_that_cannot_be_looked_into_are_refused_before_anything_is_removed() {
    let sandbox = Sandbox::new();
    let hidden = format!(".out.npy.spmd.{RANDOM}");
    plant(&sandbox, &hidden, 1);
    sandbox.write("file", "");
    for bad in ["none", "file"] {
        let refused = sandbox.spmd(&format!("clean . {bad}")).run();
        refused.failed(2, &format!("cannot look into `{bad}`: "));
        let refused = sandbox.spmd(&format!("clean --json . {bad}")).run().exited(2);
        assert_eq!(refused.json()["status"], "refused");
        assert_eq!(sandbox.names(), [hidden.as_str(), "file"]);
    }
    sandbox.spmd("clean --forse").run().failed(2, "unknown option `--forse`");
    fs::remove_file(sandbox.path(&hidden)).unwrap();
}

#[test]
fn files_of_other_users_stay() {
    if !is_root() {
        return skipped("only root can plant files of others");
    }
    let sandbox = Sandbox::new();
    let hidden = format!(".out.npy.spmd.{RANDOM}");
    plant(&sandbox, &hidden, 1);
    std::os::unix::fs::chown(sandbox.path(&hidden), Some(12345), None).unwrap();
    assert!(lines(&sandbox.spmd("clean .").run().ok()).is_empty());
    fs::remove_file(sandbox.path(&hidden)).unwrap();
}

fn uid() -> u32 {
    // SAFETY: always succeeds.
    #[expect(unsafe_code, reason = "geteuid")]
    unsafe {
        libc::geteuid()
    }
}
