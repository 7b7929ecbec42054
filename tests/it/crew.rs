//! Ranks that stay alive from one run to the next.

use std::collections::BTreeSet;
use std::fs;
use std::io::{PipeWriter, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::{Outcome, Running, Sandbox, cpu_ticks, example, kill, members};

/// A program that runs what it is told to with ranks of one crew.
struct Crew {
    running: Running,
    orders: PipeWriter,
    answers: usize,
}

impl Crew {
    fn new(sandbox: &Sandbox) -> Self {
        let (reader, orders) = std::io::pipe().unwrap();
        let job = sandbox.program(example("faulty")).arg("follow");
        let job = job.stdin(Stdio::from(reader)).orphans_follow();
        Self { running: job.start(), orders, answers: 0 }
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").unwrap();
    }

    fn answer(&mut self) -> Value {
        self.answers += 1;
        serde_json::from_str(&self.running.line(self.answers - 1)).unwrap()
    }

    fn ask(&mut self, line: &str) -> Value {
        self.order(line);
        self.answer()
    }

    /// Runs with warm ranks; returns the record of a run that went as it should.
    #[track_caller]
    fn warm(&mut self, options: &Value) -> Value {
        let answer = self.ask(&format!("warm {options}"));
        assert_eq!(answer["status"], "ok", "{options}: {answer}");
        answer
    }

    #[track_caller]
    fn fails(&mut self, options: &Value, text: &str) {
        let answer = self.ask(&format!("warm {options}"));
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{options}: {answer}"));
        assert!(error.contains(text), "`{text}` is not in: {error}");
    }

    /// Lets the program end by itself.
    fn end(self) -> Outcome {
        let Self { running, orders, .. } = self;
        drop(orders);
        running.wait().ok()
    }

    /// Gives an order for a run and waits until each of the ranks that wait for it is in its kernel.
    fn begin(&mut self, options: &Value, ranks: &[i32]) {
        let before: Vec<u64> = ranks.iter().map(|&pid| cpu_ticks(pid)).collect();
        self.order(&format!("warm {options}"));
        self.running.until("the ranks at work", |_| {
            let mut now = ranks.iter().map(|&pid| cpu_ticks(pid)).zip(&before);
            now.all(|(now, before)| now >= before + 2).then_some(())
        });
    }

    /// The pids of all ranks that there are.
    fn ranks(&self) -> Vec<i32> {
        let all = members(self.running.pid());
        let mut ranks: Vec<i32> = all.into_iter().map(|process| process.pid).collect();
        ranks.sort_unstable();
        ranks
    }
}

/// The pid of each rank, as a record has them.
fn pids(record: &Value) -> Vec<i32> {
    let workers = record["workers"].as_array().unwrap();
    workers.iter().map(|worker| i32::try_from(worker["pid"].as_i64().unwrap()).unwrap()).collect()
}

/// A run of a second or more, to do something to its ranks in the meantime.
fn slow() -> Value {
    json!({
        "kernel": "spin", "size": 2000, "procs": 2, "schedule": "dynamic,1", "param": ["cost=1ms"],
    })
}

fn square(procs: u32) -> Value {
    json!({ "kernel": "square", "size": 1000, "procs": procs })
}

#[test]
fn results_have_the_bits_of_runs_that_start_their_ranks() {
    let sandbox = Sandbox::new();
    sandbox.write("in.txt", "3\n-4\n5\n6\n7\n8\n9\n10\n11\n");
    let mut crew = Crew::new(&sandbox);
    let mut seen = Vec::new();
    for procs in [1, 2, 3] {
        for schedule in ["static", "dynamic,7", "guided", "steal,5", "auto"] {
            for (kernel, what) in [
                ("square", json!({ "size": 3000 })),
                ("square", json!({ "input": "in.txt", "in-place": true })),
                ("collatz", json!({ "size": 500, "param": [] })),
                ("triad", json!({ "size": 5000, "repeats": 2, "warmup": 1 })),
                ("mandelbrot", json!({ "param": ["width=40", "height=30"] })),
            ] {
                let mut options = what.clone();
                options["kernel"] = json!(kernel);
                options["procs"] = json!(procs);
                options["schedule"] = json!(schedule);
                let warm = crew.warm(&options);
                let cold = crew.ask(&format!("cold {options}"));
                assert_eq!(warm["result"], cold["result"], "{options}");
                assert_eq!(warm["recovered"], 0);
                assert_ne!(pids(&warm), pids(&cold));
                seen.push((procs, pids(&warm)));
            }
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "each number of ranks had one set of processes: {seen:?}");
    let square = crew.warm(&json!({ "kernel": "square", "input": "1,2,3,4,5", "procs": 2 }));
    assert_eq!(square["result"]["first"], json!([1, 4, 9]));
    assert_eq!(square["result"]["last"], json!([25]));
    crew.end();
}

#[test]
fn files_are_read_and_written_by_ranks_that_did_not_inherit_them() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    for round in 0..3 {
        let first = round * 100;
        let index = json!({
            "kernel": "square", "input": format!("range:{first}:{}", first + 50), "procs": 2,
            "output": "squares.npy",
        });
        crew.warm(&index);
        let again = json!({ "kernel": "square", "input": "squares.npy", "procs": 2,
            "output": "fourth.bin", "checkpoint": "kept" });
        crew.warm(&again);
        let expected: Vec<u8> =
            (first..first + 50).flat_map(|x: i64| x.pow(4).to_le_bytes()).collect();
        assert_eq!(sandbox.read("fourth.bin"), expected);
    }
    crew.end();
}

#[test]
fn between_runs_a_rank_holds_nothing_of_them() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let options = json!({ "kernel": "square", "size": 1000, "procs": 2, "output": "out.npy" });
    let mut before = Vec::new();
    for _ in 0..5 {
        let ranks = pids(&crew.warm(&options));
        let now: Vec<Vec<String>> = ranks.iter().map(|&pid| descriptors(pid)).collect();
        for (pid, held) in ranks.iter().zip(&now) {
            let world = |name: &String| name.contains("spmd-") || name.contains("out");
            assert!(!held.iter().any(world), "{held:?}");
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
            assert!(!maps.contains("out.npy"), "{maps}");
            assert_eq!(regions(*pid).len(), 1, "what may serve the next world: {maps}");
        }
        assert!(before.is_empty() || before == now, "{before:?} {now:?}");
        before = now;
    }
    crew.end();
}

/// The memory that a process shares with others, by inode.
fn regions(pid: i32) -> BTreeSet<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let shared = maps.lines().filter(|line| line.contains("/dev/shm/spmd-"));
    shared.map(|line| line.split_whitespace().nth(4).unwrap().parse().unwrap()).collect()
}

#[test]
fn what_an_earlier_run_has_left_in_memory_is_not_seen() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    // Options that take as many bytes, and so give the same layout.
    let faulty = |how: &str| {
        json!({
            "kernel": "faulty", "input": "range:5:1005", "procs": 2, "param": [format!("how={how}")],
            "schedule": "dynamic,7",
        })
    };
    let cold = crew.ask(&format!("cold {}", faulty("odd")));
    assert_eq!(cold["result"]["first"], json!([0, 7, 0]), "where nothing is written there is 0");
    let full = crew.warm(&faulty("not"));
    assert_eq!(full["result"]["first"], json!([6, 7, 8]));
    let ranks = pids(&full);
    let region = regions(ranks[0]);
    for _ in 0..3 {
        assert_eq!(crew.warm(&faulty("odd"))["result"], cold["result"]);
        assert_eq!(crew.warm(&faulty("not"))["result"], full["result"]);
        assert!(ranks.iter().all(|&pid| regions(pid) == region), "all in the same memory");
    }
    // A process that comes to it late finds what the others do.
    kill(ranks[1], libc::SIGKILL);
    let replaced = crew.warm(&faulty("odd"));
    assert_eq!(replaced["result"], cold["result"]);
    assert_ne!(pids(&replaced)[1], ranks[1]);
    assert_eq!(regions(pids(&replaced)[1]), region);
    crew.end();
}

#[test]
fn memory_in_which_somebody_has_died_is_not_used_again() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let ranks = pids(&crew.warm(&slow()));
    let first = regions(ranks[0]);
    crew.begin(&slow(), &ranks);
    kill(ranks[1], libc::SIGKILL);
    assert_eq!(crew.answer()["recovered"], 1);
    crew.warm(&slow());
    let now = regions(ranks[0]);
    assert!(now.is_superset(&first) && now.len() == 2, "{first:?} {now:?}");
    crew.end();
}

#[test]
fn results_that_are_still_held_are_not_overwritten() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let squares = |input: &str| json!({ "kernel": "square", "input": input, "procs": 2 });
    let inputs = ["1,2,3,4,5", "6,7,8,9,0", "5,4,3,2,1"];
    let all: Vec<Value> = inputs.iter().map(|input| squares(input)).collect();
    let held = crew.ask(&format!("hold {}", json!(all)));
    let expected = json!([[1, 4, 9, 16, 25], [36, 49, 64, 81, 0], [25, 16, 9, 4, 1]]);
    assert_eq!(held, expected);
    // Now they are free, each of them.
    let ranks = crew.ranks();
    let before = regions(ranks[0]);
    assert_eq!(before.len(), 3);
    assert_eq!(crew.ask(&format!("hold {}", json!(all))), expected);
    assert_eq!(regions(ranks[0]), before);
    crew.end();
}

#[test]
fn so_much_memory_is_kept_and_no_more() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let squares = |size: u64| json!({ "kernel": "square", "size": size, "procs": 2 });
    // Sizes of as many digits, and so on: each is a layout of its own.
    for _ in 0..3 {
        for size in 11..23 {
            let record = crew.warm(&squares(size));
            assert_eq!(record["result"]["last"][0], json!((size - 1) * (size - 1)));
        }
    }
    let ranks = crew.ranks();
    assert!(ranks.iter().all(|&pid| regions(pid).len() == 8));
    let before = regions(ranks[0]);
    crew.warm(&squares(1_000_000));
    assert!(ranks.iter().all(|&pid| regions(pid) == before), "a large one is let go of at once");
    crew.end();
}

#[test]
fn memory_is_kept_only_where_its_descriptors_leave_room_for_ranks() {
    let sandbox = Sandbox::new();
    let squares =
        |size: u64, procs: u32| json!({ "kernel": "square", "size": size, "procs": procs });
    // The limit, and with what more of ranks the memory of two would be in the way of.
    for (limit, kept, procs) in [(30, 0, 3), (50, 8, 12)] {
        let mut crew = Crew::new(&sandbox);
        open_at_most(crew.running.pid(), limit);
        (11..23).for_each(|size| drop(crew.warm(&squares(size, 2))));
        let regions: Vec<usize> = crew.ranks().iter().map(|&pid| regions(pid).len()).collect();
        assert_eq!(regions, [8, 8], "ranks remember as many either way");
        assert_eq!(held(&crew), 2 * kept, "with {limit} descriptors");
        crew.warm(&squares(11, procs));
        assert_eq!(held(&crew), 0, "{procs} ranks need them");
        crew.end();
    }
}

/// How many descriptors of shared memory a launcher has.
fn held(crew: &Crew) -> usize {
    let names = descriptors(crew.running.pid());
    names.iter().filter(|name| name.contains("/dev/shm")).count()
}

/// Lets a process have so many files open at once.
#[expect(unsafe_code, reason = "prlimit")]
fn open_at_most(pid: i32, files: u64) {
    let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
    let (resource, none) = (libc::RLIMIT_NOFILE, std::ptr::null_mut());
    // SAFETY: a limit to read, and nothing to write.
    let done = unsafe { libc::prlimit(pid, resource, &raw const limit, none) };
    assert_eq!(done, 0);
}

/// What the descriptors of a process are, but for the numbers of sockets.
fn descriptors(pid: i32) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_rank_that_dies_or_is_stopped_between_runs_is_replaced_and_nobody_else() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let mut ranks = pids(&crew.warm(&square(3)));
    let signals = [libc::SIGKILL, libc::SIGSTOP, libc::SIGTERM, libc::SIGSEGV, libc::SIGABRT];
    for (round, signal) in signals.into_iter().enumerate() {
        let rank = round % 3;
        kill(ranks[rank], signal);
        // Seen at once, if it is dead by then; else it dies in the run.
        let gone = ranks[rank];
        crew.running.until("the signal has arrived", |session| {
            let all = members(session);
            let state = all.iter().find(|process| process.pid == gone).map(|p| p.state);
            matches!(state, None | Some('Z' | 'T')).then_some(())
        });
        let record = crew.warm(&square(3));
        assert_eq!(record["recovered"], 0, "no run was harmed: {record}");
        let now = pids(&record);
        for seat in 0..3 {
            assert_eq!(
                now[seat] != ranks[seat],
                seat == rank,
                "signal {signal}: {ranks:?} {now:?}"
            );
        }
        ranks = now;
    }
    let mut alive = ranks.clone();
    alive.sort_unstable();
    assert_eq!(crew.ranks(), alive, "nothing is left of those that were replaced");
    crew.end();
}

#[test]
fn a_rank_that_dies_in_a_run_is_replaced_and_nobody_else() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let undisturbed = crew.ask(&format!("cold {}", slow()));
    let mut ranks = pids(&crew.warm(&slow()));
    for rank in [0, 1, 0] {
        crew.begin(&slow(), &ranks);
        kill(ranks[rank], libc::SIGKILL);
        let record = crew.answer();
        assert_eq!(record["recovered"], 1, "{record}");
        assert_eq!(record["result"]["digest"], undisturbed["result"]["digest"]);
        let now = pids(&record);
        assert_ne!(now[rank], ranks[rank]);
        assert_eq!(now[1 - rank], ranks[1 - rank]);
        assert_eq!(pids(&crew.warm(&square(2))), now, "who took the seat stays");
        ranks = now;
    }
    crew.end();
}

#[test]
fn a_run_that_fails_leaves_a_crew_that_works() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let faulty = |how: &str| {
        json!({
            "kernel": "faulty", "size": 1000, "procs": 2, "param": [format!("how={how}")],
            "schedule": "dynamic,10",
        })
    };
    let good = crew.warm(&faulty("not"));
    for (how, text) in [
        ("error", "failed at index 100"),
        ("segv", "SIGSEGV at address 0x1 at index 100"),
        ("overflow", "a stack overflow at index 100"),
        ("abort", "SIGABRT at index 100"),
        ("panic", "panicked (the index is unlucky"),
        ("exit", "exited with status 0"),
        ("exit7", "exited with status 7"),
        ("kill", "was killed by SIGKILL"),
    ] {
        // Once with ranks that have just been started, once with some that have not.
        for _ in 0..2 {
            crew.fails(&faulty(how), text);
        }
        let record = crew.warm(&faulty("not"));
        assert_eq!(record["result"], good["result"], "after {how}");
        assert_eq!(record["recovered"], 0, "after {how}");
        assert_eq!(pids(&crew.warm(&faulty("not"))), pids(&record), "after {how}");
    }
    let mut keeping = faulty("panic");
    keeping["on-error"] = json!("keep");
    let kept = crew.ask(&format!("warm {keeping}"));
    assert_eq!(kept["missing"], json!([[100, 101]]), "{kept}");
    assert_eq!(crew.ranks().len(), 2);
    crew.end();
}

#[test]
fn time_limits_end_what_hangs_and_the_next_run_is_whole() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let hanging = |how: &str, key: &str| {
        let mut options = json!({
            "kernel": "faulty", "size": 1000, "procs": 2, "param": [format!("how={how}")],
        });
        options[key] = json!("200ms");
        options
    };
    for how in ["sleep", "stubborn"] {
        crew.fails(&hanging(how, "timeout"), "the time limit of 0.2s was reached");
        crew.warm(&square(2));
        crew.fails(&hanging(how, "chunk-timeout"), "was killed after --chunk-timeout 0.2s");
        crew.warm(&square(2));
    }
    // Those that stop between two blocks are not killed: their answers are enough.
    let ranks = pids(&crew.warm(&square(2)));
    let slow = json!({
        "kernel": "spin", "size": 100_000, "procs": 2, "schedule": "dynamic,1", "timeout": "100ms",
        "param": ["cost=100us"],
    });
    for _ in 0..3 {
        crew.fails(&slow, "the time limit of 0.1s was reached");
        assert_eq!(pids(&crew.warm(&square(2))), ranks);
    }
    crew.end();
}

#[test]
fn a_rank_that_is_stopped_in_a_run_is_waited_for() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let ranks = pids(&crew.warm(&square(2)));
    crew.begin(&slow(), &ranks);
    kill(ranks[0], libc::SIGSTOP);
    thread::sleep(Duration::from_millis(700));
    kill(ranks[0], libc::SIGCONT);
    let record = crew.answer();
    assert_eq!(pids(&record), ranks);
    let warnings = record["warnings"].to_string();
    assert!(warnings.contains("was stopped by SIGSTOP"), "{warnings}");
    assert_eq!(pids(&crew.warm(&square(2))), ranks, "it is as good as before");
    crew.end();
}

#[test]
fn ranks_follow_a_launcher_that_is_killed_while_they_wait() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    crew.warm(&square(4));
    assert_eq!(crew.ranks().len(), 4);
    crew.running.signal(libc::SIGKILL);
    // The sandbox waits for them, and no longer than for the launcher.
    assert_eq!(crew.running.wait().signal, Some(libc::SIGKILL));
}

#[test]
fn ranks_that_several_threads_have_started_stay_between_runs() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    crew.warm(&square(40));
    let ranks = crew.ranks();
    assert_eq!(ranks.len(), 40);
    crew.warm(&square(40));
    assert_eq!(crew.ranks(), ranks, "the same processes");
    crew.ask("drop");
    assert_eq!(crew.ranks(), Vec::<i32>::new());
}

#[test]
fn nothing_grows_over_a_thousand_runs() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let options = json!({ "kernel": "square", "input": "1,2,3,4,5", "procs": 2 });
    crew.ask(&format!("often 200 {options}"));
    let before = crew.ask("facts");
    let ranks = crew.ranks();
    crew.ask(&format!("often 1000 {options}"));
    let after = crew.ask("facts");
    assert_eq!(before["descriptors"], after["descriptors"]);
    assert_eq!(crew.ranks(), ranks);
    let grown =
        after["rss_kib"].as_u64().unwrap().saturating_sub(before["rss_kib"].as_u64().unwrap());
    assert!(grown < 512, "{before} {after}");
    let last = crew.warm(&options);
    for worker in last["workers"].as_array().unwrap() {
        assert!(worker["max_rss_bytes"].as_u64().unwrap() < 32 << 20, "{worker}");
    }
    let idle = crew.ask("drop");
    assert_eq!(crew.ranks(), Vec::<i32>::new(), "no process is left, not even as a zombie");
    assert!(idle["descriptors"].as_u64() < before["descriptors"].as_u64());
    crew.end();
}

#[test]
fn so_many_placements_are_kept_and_no_more() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let all: Vec<Vec<i32>> = (1..=6).map(|procs| pids(&crew.warm(&square(procs)))).collect();
    assert_eq!(crew.ranks().len(), 3 + 4 + 5 + 6, "the four that were used last");
    assert_eq!(pids(&crew.warm(&square(3))), all[2]);
    assert_ne!(pids(&crew.warm(&square(1))), all[0]);
    assert_eq!(pids(&crew.warm(&square(3))), all[2]);
    assert_eq!(crew.ranks().len(), 1 + 3 + 5 + 6);
    let own = json!({ "kernel": "square", "size": 1000, "procs": 1, "bind": "none" });
    assert_ne!(pids(&crew.warm(&own)), pids(&crew.warm(&square(1))), "not pinned is elsewhere");
    crew.end();
}

#[test]
fn faults_on_purpose_strike_ranks_of_their_own() {
    let sandbox = Sandbox::new();
    let mut crew = Crew::new(&sandbox);
    let ranks = pids(&crew.warm(&square(2)));
    let mut struck = square(2);
    struck["inject"] = json!(["kill:rank=1,chunk=0", "kill:rank=0,point=start"]);
    struck["schedule"] = json!("static");
    let record = crew.warm(&struck);
    assert_eq!(record["recovered"], 2, "{record}");
    assert!(pids(&record).iter().all(|pid| !ranks.contains(pid)));
    assert_eq!(pids(&crew.warm(&square(2))), ranks);
    crew.end();
}
