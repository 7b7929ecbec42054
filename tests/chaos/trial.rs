//! One run under fire, and whether what came of it is right.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::npy;
use crate::sandbox::{Outcome, Running, Sandbox, kill};
use crate::scenario::{Input, Kind, Output, Scenario};

/// From the last fault to the end of the run.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Ranks follow their launcher in well under 100 ms; a loaded machine gets five times that.
const FOLLOW_WITHIN: Duration = Duration::from_millis(500);

const OLD: &[u8] = b"old";

/// What the program calls the places in which a rank can die, most particular first.
pub(crate) const PLACES: [&str; 6] = [
    "starting",
    "waiting to begin",
    "touching its slice",
    "computing chunk",
    "waiting at the barrier",
    "computing",
];

/// What struck, and how it ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) terminated: bool,
    pub(crate) launcher_killed: bool,
    pub(crate) recovered: u64,
    /// Deaths that were told of, by place.
    pub(crate) places: [u64; PLACES.len()],
    /// It ended with 1, because a rank did nothing but die.
    pub(crate) gave_up: bool,
    /// A launcher that was killed between its last two system calls has left its output's hidden name.
    pub(crate) hidden: bool,
    /// From the last fault to the end of the run.
    pub(crate) end: Duration,
    /// From the death of the launcher to that of the last rank.
    pub(crate) follow: Duration,
}

/// Runs a scenario; an error tells what is wrong with what came of it.
pub(crate) fn run(scenario: &Scenario) -> Result<Report, String> {
    let sandbox = Sandbox::new();
    if scenario.input == Input::File {
        sandbox.write("in.npy", npy_file(scenario.input()));
    }
    if let Some(name) = scenario.output.name().filter(|_| scenario.replaces) {
        sandbox.write(name, OLD);
    }
    let mut report = Report::default();
    let job = sandbox.spmd(&scenario.arguments()).orphans_follow().deadline(10);
    let running = job.start();
    let begun = Instant::now();
    let last = assault(scenario, &running, begun, &mut report);
    let outcome = running.wait();
    report.end = last.elapsed();
    for line in outcome.stderr.lines().filter(|line| line.contains("was killed by SIGKILL while "))
    {
        if let Some(place) = PLACES.iter().position(|place| line.contains(place)) {
            report.places[place] += 1;
        }
    }
    let judged = judge(scenario, &sandbox, &outcome, &mut report);
    if report.launcher_killed {
        // What the very next run is to sweep, if this one was killed between making and removing it.
        if fs::read_dir("/dev/shm").is_ok_and(|mut names| names.next().is_some()) {
            thread::sleep(Duration::from_millis(120));
            let _ = sandbox.spmd("-q -n 1 -k square").run().ok();
        }
        report.hidden = remove_hidden(&sandbox);
    }
    judged.map_err(|why| format!("{why}\n{report:?}\n{}", outcome.told()))?;
    Ok(report)
}

/// Lets the faults strike; returns when the last one did.
fn assault(scenario: &Scenario, running: &Running, begun: Instant, report: &mut Report) -> Instant {
    let launcher = running.pid();
    let mut stopped = Vec::new();
    let mut last = begun;
    for fault in &scenario.faults {
        let due = begun + Duration::from_micros(fault.at);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let ranks = || living(launcher);
        let one = |number: u64| {
            let ranks = ranks();
            (!ranks.is_empty()).then(|| ranks[(number % ranks.len() as u64) as usize])
        };
        match fault.kind {
            Kind::Kill(number) => {
                if let Some(rank) = one(number) {
                    kill(rank, libc::SIGKILL);
                    report.kills += 1;
                }
            }
            Kind::KillAll => {
                for rank in ranks() {
                    kill(rank, libc::SIGKILL);
                    report.kills += 1;
                }
            }
            Kind::Stop(number) => {
                if let Some(rank) = one(number) {
                    kill(rank, libc::SIGSTOP);
                    stopped.push(rank);
                    report.stops += 1;
                }
            }
            Kind::Continue => {
                for rank in stopped.drain(..) {
                    kill(rank, libc::SIGCONT);
                }
            }
            // Until it is waited for its number is its own.
            Kind::Terminate => {
                kill(launcher, libc::SIGTERM);
                report.terminated = true;
            }
            Kind::KillLauncher => {
                kill(launcher, libc::SIGKILL);
                report.launcher_killed = true;
                let dead = Instant::now();
                // A process that was stopped before it could ask to die with its launcher cannot do
                // anything about that before it is continued; then it does, or `wait` fails.
                let follows = |rank: &i32| !stopped.contains(rank);
                while living(launcher).iter().any(follows) && dead.elapsed() < END_WITHIN {
                    thread::sleep(Duration::from_micros(200));
                }
                report.follow = dead.elapsed();
            }
        }
        last = Instant::now();
    }
    last
}

/// The processes of a session but its leader, as long as they live.
///
/// Looked for among later numbers only: that is quick, and numbers begin anew so seldom that it costs
/// a fault now and then.
fn living(launcher: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let lives = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let session = fields.get(3).and_then(|field| field.parse::<i32>().ok());
        session == Some(launcher) && !["Z", "X"].contains(&fields[0])
    };
    pids.filter(|&pid| pid > launcher).filter(lives).collect()
}

/// Says what is wrong with how a run ended, if anything is.
fn judge(
    scenario: &Scenario,
    sandbox: &Sandbox,
    outcome: &Outcome,
    report: &mut Report,
) -> Result<(), String> {
    if report.end > END_WITHIN {
        return Err(format!("took {:?} from the last fault to its end", report.end));
    }
    if report.follow > FOLLOW_WITHIN {
        return Err(format!("ranks lived {:?} longer than their launcher", report.follow));
    }
    let written = written(scenario, sandbox)?;
    match (outcome.code, outcome.signal) {
        (Some(0), _) => {
            let record = outcome.json();
            report.recovered = record["recovered"].as_u64().unwrap_or(u64::MAX);
            if !written && scenario.output != Output::Nothing {
                return Err("the output is still the old one".to_owned());
            }
            if record["result"]["digest"] != digest(&scenario.expected()) {
                return Err("the digest is not that of the right results".to_owned());
            }
            if report.recovered > report.kills || record["restarts"] != 0 {
                return Err("more deaths were survived than there were".to_owned());
            }
            Ok(())
        }
        (_, Some(libc::SIGKILL)) if report.launcher_killed => Ok(()),
        (_, Some(libc::SIGTERM)) if report.terminated => Ok(()),
        // A rank that comes to nothing in four lives in a row is a reason to give up, which says so.
        (Some(1), _) if !written && report.kills >= 4 => {
            report.gave_up = true;
            let told = outcome.stderr.contains("deaths in a row in which it finished nothing");
            if told { Ok(()) } else { Err("it gave up without a reason".to_owned()) }
        }
        _ => Err("it ended as it should not".to_owned()),
    }
}

/// Says whether the output is the new one; if it is neither that nor what was there before, that is wrong.
fn written(scenario: &Scenario, sandbox: &Sandbox) -> Result<bool, String> {
    let Some(name) = scenario.output.name() else { return Ok(false) };
    let found = fs::read(sandbox.path(name));
    match &found {
        Ok(found) if scenario.replaces && found == OLD => return Ok(false),
        Err(_) if !scenario.replaces => return Ok(false),
        _ => {}
    }
    let found = found.map_err(|error| format!("the old output is gone: {error}"))?;
    let expected = scenario.expected();
    let right = match scenario.output {
        Output::Txt => {
            let lines: Vec<String> = expected.iter().map(|y| format!("{y}\n")).collect();
            found == lines.concat().as_bytes()
        }
        _ => found == npy_file(expected.into_iter()),
    };
    if right { Ok(true) } else { Err("the output is wrong".to_owned()) }
}

/// A file as NumPy writes it.
fn npy_file(values: impl Iterator<Item = i64>) -> Vec<u8> {
    let payload: Vec<u8> = values.flat_map(i64::to_le_bytes).collect();
    let len = payload.len() / 8;
    npy::raw(&npy::dictionary("<i8", &npy::tuple(&[len])), &payload)
}

fn digest(values: &[i64]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    format!("blake3:{}", blake3::hash(&bytes).to_hex())
}

/// Removes the hidden name that is all a launcher may leave which was killed between linking its
/// output to it and renaming that (`src/data/staged.rs`).
fn remove_hidden(sandbox: &Sandbox) -> bool {
    let names = sandbox.names();
    let hidden: Vec<&String> = names.iter().filter(|name| name.starts_with(".out.")).collect();
    if let [one] = hidden[..] {
        fs::remove_file(sandbox.path(one)).unwrap();
    }
    !hidden.is_empty()
}
