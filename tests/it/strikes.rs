//! Runs in which injected faults strike, and what they must come to.
//!
//! Nothing of it is asked of the program under test: squares are computed here, and strikes are
//! counted by what was injected.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::npy;
use crate::sandbox::{Outcome, Sandbox};
use crate::values::Type::I64;

/// Every point but those of `auto`'s choice, which need more indices than these tables have.
/// `the_table_knows_every_point` holds it against the program.
pub(crate) const POINTS: [&str; 29] = [
    "start",
    "attached",
    "prepare.mid",
    "lock.held",
    "lock.repaired",
    "lock.tail",
    "lock.lease",
    "adopt.before",
    "adopt.after",
    "steal.begun",
    "steal.taken",
    "steal.moved",
    "steal.finished",
    "run.first",
    "run.mid",
    "undo.half",
    "undo.armed",
    "undo.computed",
    "undo.between",
    "undo.restored",
    "commit.before",
    "commit.after",
    "barrier.before",
    "barrier.arrived",
    "barrier.completed",
    "barrier.moved",
    "barrier.sleep",
    "barrier.exit",
    "exit",
];

/// The points at which a lease says which chunk the rank is in.
pub(crate) const IN_CHUNK: [&str; 10] = [
    "lock.lease",
    "adopt.after",
    "run.first",
    "run.mid",
    "undo.half",
    "undo.armed",
    "undo.computed",
    "undo.between",
    "undo.restored",
    "commit.before",
];

/// The points that only ranks come to whose chunks have leases.
pub(crate) const LEASES: [&str; 5] =
    ["lock.repaired", "lock.tail", "lock.lease", "adopt.before", "adopt.after"];

/// Ten blocks at 8 KiB each, and chunks of several blocks and of less than one.
pub(crate) const SIZE: usize = 20_000;
const SCHEDULES: [&str; 6] =
    ["dynamic,7000", "static", "guided", "steal,700", "dynamic,700", "static,900"];
/// All modes by all numbers of ranks by all schedules.
pub(crate) const TURNS: usize = 96;
/// Ranks of one group at the barrier, at most.
const GROUP: usize = 8;
const PROCS: [usize; 4] = [1, 2, 3, GROUP + 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Indices,
    File,
    InPlace,
    FileInPlace,
}

impl Mode {
    pub(crate) const ALL: [Self; 4] = [Self::Indices, Self::InPlace, Self::File, Self::FileInPlace];

    pub(crate) fn arguments(self) -> String {
        match self {
            Self::Indices => format!("--size {SIZE}"),
            Self::InPlace => format!("--size {SIZE} --in-place"),
            Self::File => "--input in.npy".to_owned(),
            Self::FileInPlace => "--input in.npy --in-place".to_owned(),
        }
    }

    pub(crate) fn is_in_place(self) -> bool {
        matches!(self, Self::InPlace | Self::FileInPlace)
    }

    fn input(self, index: usize) -> i64 {
        let index = i64::try_from(index).unwrap();
        if matches!(self, Self::Indices | Self::InPlace) { index } else { 7 - 3 * index }
    }

    /// What is to come out, computed one by one.
    pub(crate) fn squares(self) -> Vec<u64> {
        (0..SIZE).map(|index| self.input(index).pow(2).cast_unsigned()).collect()
    }
}

/// One run to be, with the faults that are to strike it.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) faults: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) procs: usize,
    pub(crate) schedule: &'static str,
    pub(crate) repeats: usize,
    pub(crate) more: String,
}

impl Run {
    pub(crate) fn arguments(&self, output: &str) -> String {
        let faults: String = self.faults.iter().map(|fault| format!(" --inject {fault}")).collect();
        format!(
            "-n {} -k square {} --schedule {} --repeats {} --verify full --json --output {output}{faults} {}",
            self.procs,
            self.mode.arguments(),
            self.schedule,
            self.repeats,
            self.more
        )
    }

    /// Which of the faults struck, by what the program warns of.
    pub(crate) fn struck(&self, outcome: &Outcome) -> Vec<bool> {
        let warnings = outcome.json()["warnings"].as_array().cloned().unwrap_or_default();
        let shown: Vec<String> = self.faults.iter().map(|fault| shown(fault)).collect();
        let idle = |fault: &String| {
            let warnings = warnings.iter().filter_map(|warning| warning.as_str());
            warnings.filter(|w| w.contains("never struck") && w.contains(fault)).count()
        };
        // Of two that are alike the first one strikes first.
        let alike = |at: usize| shown[at..].iter().filter(|other| **other == shown[at]).count();
        (0..shown.len()).map(|at| alike(at) > idle(&shown[at])).collect()
    }

    /// Checks that the run is complete and right, and survived as many deaths as there were strikes.
    ///
    /// `stops` of the strikes were no deaths.
    pub(crate) fn survived(
        &self,
        sandbox: &Sandbox,
        output: &str,
        outcome: &Outcome,
        stops: usize,
    ) -> Result<(), String> {
        if outcome.code != Some(0) {
            return Err(format!("did not survive: {}", outcome.told()));
        }
        let record = outcome.json();
        let strikes = self.struck(outcome).into_iter().filter(|&struck| struck).count() - stops;
        let recovered = record["recovered"].as_u64().unwrap_or(u64::MAX) as usize;
        // Of deaths at the moment in which all is begun again, nobody can say whose they were.
        let merged = record["restarts"] != 0 && (1..=strikes).contains(&recovered);
        if (recovered != strikes && !merged) || record["verify"] != "ok" {
            return Err(format!("{strikes} strikes, and: {}", outcome.told()));
        }
        let file = sandbox.read(output);
        if npy::payload(&file, I64, &[SIZE]) != I64.bytes(&self.mode.squares()) {
            return Err(format!("wrong output: {}", outcome.told()));
        }
        Ok(())
    }

    /// The point of the last fault.
    pub(crate) fn point(&self) -> &str {
        let keys = self.faults.last().and_then(|fault| fault.split_once("point="));
        keys.map_or("run.mid", |(_, keys)| keys.split(',').next().unwrap())
    }
}

/// A fault as the program writes it: what is the default anyway is left out.
fn shown(fault: &str) -> String {
    let (action, keys) = fault.split_once(':').unwrap_or((fault, ""));
    let keys: Vec<&str> =
        keys.split(',').filter(|key| !["point=run.mid", "nth=0"].contains(key)).collect();
    format!("`{action}:{}", keys.join(",")).trim_end_matches(':').to_owned() + "`"
}

/// Calls `check` for all runs, a few at a time, and fails with what it has to complain of.
pub(crate) fn all(runs: &[Run], check: impl Fn(usize, &Run) -> Result<(), String> + Sync) {
    const AT_A_TIME: usize = 4;
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((number, run)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    runs.get(number).map(|run| (number, run))
                } {
                    if let Err(complaint) = check(number, run) {
                        wrong.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let shown: Vec<&String> = wrong.iter().take(5).collect();
    assert!(wrong.is_empty(), "{} of {} runs, such as {shown:#?}", wrong.len(), runs.len());
}

pub(crate) fn with_input() -> Sandbox {
    let sandbox = Sandbox::new();
    let input: Vec<u64> = (0..SIZE).map(|index| Mode::File.input(index).cast_unsigned()).collect();
    sandbox.write("in.npy", npy::little(I64, &[SIZE], &input));
    sandbox
}

/// The fault that has to strike first for a rank to come to `point` at all, and what else it takes.
pub(crate) fn occasion(point: &str) -> (Option<&'static str>, &'static str) {
    match point {
        "lock.repaired" => (Some("kill:point=lock.tail"), ""),
        "adopt.before" | "adopt.after" => (Some("kill:point=commit.before"), ""),
        "undo.restored" => (Some("kill:point=undo.computed"), ""),
        "steal.finished" => (Some("kill:point=steal.begun"), ""),
        // Its range waits for a new process: somebody has time to take from it.
        "steal.begun" | "steal.taken" | "steal.moved" => (Some("kill:rank=0,point=run.first"), ""),
        "barrier.sleep" => (None, "--wait block"),
        _ => (None, ""),
    }
}

/// Whether a rank of this world surely comes to `point`.
pub(crate) fn is_reached(point: &str, run: &Run) -> bool {
    match point {
        "barrier.sleep" => run.procs > 1,
        "barrier.completed" => run.procs > GROUP,
        // Who is idle first depends on the machine.
        _ if point.starts_with("steal.") => false,
        "undo.half" | "undo.armed" | "undo.computed" | "undo.between" | "undo.restored" => {
            run.mode.is_in_place()
        }
        _ => true,
    }
}

/// A run in which `action` strikes at `point`; `turn` decides the rest.
pub(crate) fn run_at(action: &str, point: &str, turn: usize) -> Run {
    let (first, more) = occasion(point);
    let mut faults: Vec<String> = first.map(str::to_owned).into_iter().collect();
    faults.push(format!("{action}:point={point}"));
    let steals = point.starts_with("steal.");
    let schedule = match SCHEDULES[turn / 16 % SCHEDULES.len()] {
        _ if steals => "steal,700",
        "steal,700" if LEASES.contains(&point) => "dynamic,700", // Its chunks have no leases.
        schedule => schedule,
    };
    Run {
        faults,
        mode: Mode::ALL[turn % 4],
        procs: match point {
            "barrier.completed" => GROUP + 1,
            _ if steals || point == "barrier.sleep" => PROCS[1 + turn / 4 % 3],
            _ => PROCS[turn / 4 % 4],
        },
        schedule,
        repeats: 1 + turn % 3 % 2,
        more: more.to_owned(),
    }
}

/// A warning tells which rank died of what, and where it was.
pub(crate) fn is_told(warning: &str, how: &str, in_chunk: bool) -> bool {
    fn number(text: &str) -> Option<(u64, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        Some((text[..end].parse().ok()?, &text[end..]))
    }
    let who = || {
        let (_, rest) = number(warning.strip_prefix("rank ")?)?;
        let (pid, rest) = number(rest.strip_prefix(" (pid ")?)?;
        (pid > 1 && rest.contains(how)).then_some(rest)
    };
    let place = |rest: &str| {
        let (_, rest) = number(rest.split_once("chunk ")?.1)?;
        let (first, rest) = number(rest.strip_prefix(" (indices ")?)?;
        let (end, rest) = number(rest.strip_prefix("..")?)?;
        (first < end && end <= SIZE as u64 && rest.starts_with(')')).then_some(())
    };
    who().is_some_and(|rest| !in_chunk || place(rest).is_some())
}
