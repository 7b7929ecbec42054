//! `auto`: it says what it chose, the bits do not depend on that, and a death around the choice is survived.

use crate::sandbox::Sandbox;

/// Enough indices, costly enough, to look first.
const RUN: &str = "-k collatz --size 60000 --schedule auto --json --verify full";

#[test]
fn the_record_says_what_was_chosen_and_what_was_asked_for() {
    let sandbox = Sandbox::new();
    let record = sandbox.spmd(&format!("-n 2 {RUN}")).run().ok().json();
    let chosen = record["schedule"].as_str().unwrap();
    let (rule, chunk) = chosen.split_once(',').expect(chosen);
    assert!(["dynamic", "steal"].contains(&rule), "{chosen}");
    assert!(chunk.parse::<u64>().unwrap() > 0);
    assert_eq!(record["params"]["schedule"], "auto");
    let few = sandbox.spmd("-n 2 -k square --size 100 --json").run().ok().json();
    assert!(few["schedule"].as_str().unwrap().starts_with("dynamic,"), "{few}");
}

#[test]
fn says_why_when_asked() {
    let sandbox = Sandbox::new();
    let told = sandbox.spmd("-n 2 -k collatz --size 60000 -v").run().ok();
    told.says("auto: ").says("indices took ").says("on the counter claims would be ");
    sandbox.spmd("-n 2 -k square -v").run().ok().says("too few indices to look first");
}

#[test]
fn survives_deaths_around_the_choice() {
    let sandbox = Sandbox::new();
    for mode in ["", "--in-place"] {
        let run = |procs: u32, more: &str| {
            let run = format!("-n {procs} {RUN} {mode} --repeats 2 {more}");
            sandbox.spmd(&run).deadline(10).run().ok().json()
        };
        let digest = run(1, "")["result"]["digest"].clone();
        for first in ["choice.laid", "choice.made"] {
            for procs in [1, 2, 3] {
                for then in ["", "lock.tail", "lock.held", "steal.taken", "steal.moved", "run.mid"]
                {
                    let mut faults = format!("--inject kill:point={first}");
                    if !then.is_empty() {
                        faults += &format!(" --inject kill:point={then},nth=1");
                    }
                    let record = run(procs, &faults);
                    assert_eq!(record["result"]["digest"], digest, "{procs} {faults}");
                    assert_eq!(record["verify"], "ok");
                    assert!(record["recovered"].as_u64().unwrap() >= 1, "{faults}: {record}");
                }
            }
        }
    }
}

#[test]
fn a_checkpoint_of_it_is_gone_on_from() {
    let sandbox = Sandbox::new();
    let run = "-n 2 -k collatz --size 60000 --schedule auto --output out.npy";
    sandbox.spmd(run).run().ok();
    let whole = sandbox.read("out.npy");
    for point in ["choice.laid", "choice.made", "steal.taken", "commit.before,nth=20"] {
        std::fs::remove_file(sandbox.path("out.npy")).unwrap();
        let run = format!("{run} --checkpoint kept");
        let ends = format!("{run} --on-death fail --inject kill:point={point}");
        let ended = sandbox.spmd(&ends).run();
        if ended.code == Some(0) {
            continue; // Nobody had to steal.
        }
        assert_eq!(ended.code, Some(1), "{}", ended.told());
        let resumed = sandbox.spmd(&run).run().ok();
        assert!(sandbox.read("out.npy") == whole, "{point}: {}", resumed.told());
    }
}
