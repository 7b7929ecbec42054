//! A rank meets a fault at each named moment between two stores, in each way, in each mode: the run
//! goes on, and its output is the one it would have been.
//!
//! `recovered` is held against the faults that struck, and warnings against what a user needs to know.
//! A point that no run of a table comes to fails the table: it would test nothing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::sandbox::{Sandbox, kill, members};
use crate::strikes::{
    IN_CHUNK, LEASES, Mode, POINTS, Run, SIZE, TURNS, all, is_reached, is_told, run_at, with_input,
};

/// A run for each point and each of its turns.
fn table(action: &str, points: &[&str], turns: impl Fn(usize) -> Vec<usize>) -> Vec<Run> {
    let points = points.iter().enumerate();
    let runs = points
        .flat_map(|(at, point)| turns(at).into_iter().map(move |turn| run_at(action, point, turn)));
    runs.collect()
}

/// Runs a table of deaths: all are survived and told, and each point is come to where it can be.
fn survives(runs: &[Run], how: &str) {
    let sandbox = with_input();
    let seen = Mutex::new(BTreeSet::new());
    all(runs, |number, run| {
        let output = format!("out{number}.npy");
        let outcome = sandbox.spmd(&run.arguments(&output)).deadline(5).run();
        run.survived(&sandbox, &output, &outcome, 0)?;
        let point = run.point();
        if run.struck(&outcome).pop() != Some(true) {
            let reached = is_reached(point, run);
            return if reached { Err(format!("never struck: {}", outcome.told())) } else { Ok(()) };
        }
        seen.lock().unwrap().insert(point.to_owned());
        let warnings = outcome.json()["warnings"].as_array().unwrap().clone();
        let mut warnings = warnings.iter().filter_map(|warning| warning.as_str());
        let told = warnings.any(|warning| is_told(warning, how, IN_CHUNK.contains(&point)));
        if told { Ok(()) } else { Err(format!("nothing tells of `{how}`: {}", outcome.told())) }
    });
    let seen = seen.into_inner().unwrap();
    let wanted: BTreeSet<String> = runs.iter().map(|run| run.point().to_owned()).collect();
    let missed: Vec<_> = wanted.difference(&seen).collect();
    assert!(missed.is_empty(), "no rank ever came to {missed:?}");
}

#[test]
fn the_table_knows_every_point() {
    let sandbox = Sandbox::new();
    let refused = sandbox.spmd("-n 1 -k square --inject kill:point=?").run();
    let refused = refused.failed(2, "there is no point `?`");
    let (_, names) = refused.stderr.split_once("one of ").unwrap();
    let names = names.split_whitespace().filter(|name| !name.starts_with("choice."));
    assert_eq!(names.collect::<Vec<_>>(), POINTS);
}

#[test]
fn survives_a_kill_at_every_point_in_every_mode() {
    let third = |at| (0..TURNS).filter(|turn| (turn + at) % 3 == 0).collect();
    survives(&table("kill", &POINTS, third), "was killed by SIGKILL");
}

#[test]
fn survives_memory_faults_at_every_point_by_beginning_again() {
    let turns = |at| vec![7 * at, 7 * at + 5, 7 * at + 10, 7 * at + 47];
    survives(&table("segv", &POINTS, turns), "was killed by SIGSEGV");
    survives(&table("abort", &POINTS, turns), "was killed by SIGABRT");
}

#[test]
fn survives_panics_and_early_exits_at_every_point() {
    let turns = |at| vec![11 * at, 11 * at + 5, 11 * at + 10, 11 * at + 47];
    survives(&table("panic", &POINTS[1..], turns), "panicked (injected");
    survives(&table("exit", &POINTS[1..], turns), "exited with status 0");
}

#[test]
fn refuses_a_program_whose_ranks_leave_before_they_have_attached() {
    let sandbox = with_input();
    let run = run_at("exit", "start", 0);
    let refused = sandbox.spmd(&run.arguments("out.npy")).deadline(5).run().exited(125);
    refused.says("exited with status 0 while starting").says("spmd::init");
    assert_eq!(sandbox.names(), ["in.npy"]);
}

#[test]
fn survives_a_rank_that_hangs_in_a_chunk() {
    let mut runs = table("hang", &IN_CHUNK, |at| vec![3 * at + 1, 3 * at + 18]);
    runs.iter_mut().for_each(|run| run.more.push_str(" --chunk-timeout 300ms"));
    // One whose first fault is a kill tells of both; the last fault is what is looked for.
    survives(&runs, "was killed after --chunk-timeout 0.3s");
}

#[test]
fn ends_in_time_when_a_rank_hangs_where_no_chunk_is() {
    let sandbox = with_input();
    let sure = |point: &&str| !IN_CHUNK.contains(point) && !point.starts_with("steal.");
    let points: Vec<&str> = POINTS.into_iter().filter(sure).collect();
    let mut runs = table("hang", &points, |at| vec![9 * at + 4]);
    runs.iter_mut().for_each(|run| run.more.push_str(" --timeout 500ms"));
    all(&runs, |number, run| {
        let output = format!("out{number}.npy");
        let outcome = sandbox.spmd(&run.arguments(&output)).deadline(5).run();
        let told = outcome.told();
        let says = |text| outcome.stderr.contains(text);
        // Where it struck is in the table of ranks, in words.
        let late = outcome.code == Some(124) && says("the time limit of 0.5s") && says("\n  rank ");
        let bare = !sandbox.path(&output).exists();
        if late && bare { Ok(()) } else { Err(told) }
    });
}

#[test]
fn waits_for_a_rank_that_is_stopped_at_any_point() {
    let sandbox = with_input();
    let runs = table("stop", &POINTS, |at| vec![13 * at, 13 * at + 5, 13 * at + 14]);
    all(&runs, |number, run| {
        let output = format!("out{number}.npy");
        let running = sandbox.spmd(&run.arguments(&output)).deadline(5).start();
        let (launcher, over) = (running.pid(), AtomicBool::new(false));
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let stopped = members(launcher).into_iter().filter(|rank| rank.state == 'T');
                    stopped.for_each(|rank| kill(rank.pid, libc::SIGCONT));
                    thread::sleep(Duration::from_millis(2));
                }
            });
            let outcome = running.wait();
            over.store(true, Ordering::Relaxed);
            outcome
        });
        let struck = run.struck(&outcome).pop() == Some(true);
        run.survived(&sandbox, &output, &outcome, usize::from(struck))
    });
}

#[test]
fn gives_the_chunk_of_a_stopped_rank_away_after_its_time() {
    let sandbox = with_input();
    let mut runs =
        table("stop", &IN_CHUNK, |at| vec![3 * at, 3 * at + 5, 3 * at + 10, 3 * at + 15]);
    runs.iter_mut().for_each(|run| run.more.push_str(" --chunk-timeout 300ms"));
    survives(&runs, "was killed after --chunk-timeout 0.3s");
    let stopped = "-n 2 -k square --inject stop --chunk-timeout 500ms";
    let done = sandbox.spmd(stopped).deadline(5).run().ok();
    done.says("was stopped by SIGSTOP while computing chunk ").says("lets it go on");
}

#[test]
fn survives_two_deaths_at_every_pair_of_points() {
    let pairs = POINTS.iter().flat_map(|first| POINTS.iter().map(move |second| (first, second)));
    let worlds = [
        (Mode::InPlace, 2, "dynamic,700", 2),
        (Mode::Indices, 2, "dynamic,700", 1),
        (Mode::FileInPlace, 3, "static", 1),
        (Mode::InPlace, 1, "dynamic,7000", 1),
        (Mode::File, 3, "guided", 1),
        (Mode::InPlace, 2, "steal,700", 1),
        (Mode::FileInPlace, 3, "steal,100", 2),
    ];
    let runs = pairs.enumerate().map(|(turn, (first, second))| {
        // Where a rank can come to both: ranges have no leases, and leases are not stolen.
        let steals = |point: &&str| point.starts_with("steal.");
        let leased = |point: &&str| LEASES.contains(point);
        let undoes = |point: &&str| point.starts_with("undo.");
        let groups = |point: &&str| *point == "barrier.completed";
        let turn_of_worlds = turn + turn / POINTS.len();
        let (mode, procs, schedule, repeats) = if steals(first) || steals(second) {
            worlds[5 + turn_of_worlds % 2]
        } else if undoes(first) || undoes(second) {
            worlds[[0, 2, 3][turn_of_worlds % 3]]
        } else if leased(first) || leased(second) {
            worlds[turn_of_worlds % 5]
        } else {
            worlds[turn_of_worlds % worlds.len()]
        };
        let procs = if groups(first) || groups(second) { 9 } else { procs };
        // At once, or a moment later.
        let nth = (turn / POINTS.len() + 1) % 2;
        let faults = vec![format!("kill:point={first}"), format!("kill:point={second},nth={nth}")];
        let more = if turn % 2 == 0 { String::new() } else { "--wait block".to_owned() };
        Run { faults, mode, procs, schedule, repeats, more }
    });
    let runs: Vec<Run> = runs.collect();
    let sandbox = with_input();
    let seen: Mutex<BTreeSet<usize>> = Mutex::default();
    all(&runs, |number, run| {
        let output = format!("out{number}.npy");
        let outcome = sandbox.spmd(&run.arguments(&output)).deadline(5).run();
        run.survived(&sandbox, &output, &outcome, 0)?;
        if run.struck(&outcome) == [true, true] {
            seen.lock().unwrap().insert(number % POINTS.len());
        }
        Ok(())
    });
    let seen = seen.into_inner().unwrap();
    let missed: Vec<_> = (0..POINTS.len()).filter(|at| !seen.contains(at)).collect();
    assert!(
        missed.is_empty(),
        "second in no pair: {:?}",
        missed.iter().map(|&at| POINTS[at]).collect::<Vec<_>>()
    );
}

#[test]
fn survives_deaths_in_a_world_of_many_groups_of_the_barrier() {
    // 66 ranks: nine groups.
    let mut runs = table("kill", &POINTS, |at| vec![3 * at]);
    for run in &mut runs {
        run.procs = 66;
        "--wait block".clone_into(&mut run.more);
        run.faults.push("kill:rank=65,point=barrier.before,nth=1".to_owned());
    }
    let sandbox = with_input();
    all(&runs, |number, run| {
        let output = format!("out{number}.npy");
        let outcome = sandbox.spmd(&run.arguments(&output)).deadline(20).run();
        run.survived(&sandbox, &output, &outcome, 0)
    });
}

#[test]
fn names_the_chunk_and_the_index_that_kill_whoever_tries() {
    let sandbox = with_input();
    for (mode, schedule, action) in [
        (Mode::Indices, "dynamic,700", "kill"),
        (Mode::InPlace, "dynamic,700", "panic"),
        (Mode::File, "static,700", "exit"),
        (Mode::FileInPlace, "dynamic,700", "kill"),
    ] {
        sandbox.write("out.npy", "old");
        let run = format!(
            "-n 3 -k square {} --schedule {schedule} --output out.npy --inject {action}:chunk=3,times=9",
            mode.arguments()
        );
        let failed = sandbox.spmd(&run).deadline(5).run().exited(1);
        let failed =
            failed.message("kernel `square` cannot be run on chunk 3 (indices 2100..2800)");
        let failed = failed.says("3 ranks died in it, the last one at index 2100: rank ");
        failed.says("--on-error keep");
        assert_eq!(sandbox.read("out.npy"), b"old");
    }
    // One time less, and the third rank that tries is through.
    let run = "-n 3 -k square --schedule dynamic,700 --inject kill:chunk=3,times=2 --json";
    let run = format!("{run} --size {SIZE} --verify full");
    assert_eq!(sandbox.spmd(&run).deadline(5).run().ok().json()["recovered"], 2);
}

#[test]
fn begins_again_once_and_then_names_the_address() {
    let sandbox = with_input();
    sandbox.write("out.npy", "old");
    let run = "-n 2 -k square --schedule dynamic,700 --output out.npy";
    let run = format!("{run} --size {SIZE} --inject segv:chunk=3,times=2");
    let failed = sandbox.spmd(&run).deadline(5).run().exited(1);
    let failed = failed.message("was killed by SIGSEGV at address 0x10 at index 2100 of ");
    failed.says("chunk 3 (indices 2100..2800), in kernel `square`, after the run was begun again");
    assert_eq!(sandbox.read("out.npy"), b"old");
}
