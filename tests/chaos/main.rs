//! Random faults from outside at random times, in random runs: each ends in time, right or with the
//! documented code, and leaves nothing.
//!
//! `SPMD_CHAOS_RUNS` says how many, 1000 if it does not. A run that goes wrong is told with its seed;
//! `SPMD_CHAOS_SEED=…` plays that one again (`SPMD_CHAOS_RUNS` times, if that is given: what a fault
//! meets depends on time too). No failure in N runs means at most 3/N, with a confidence of 95 %.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use self::dice::Dice;
use self::scenario::Scenario;
use self::trial::{PLACES, Report};

mod dice;
#[path = "../it/npy.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod npy;
#[path = "../it/sandbox.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod sandbox;
mod scenario;
mod trial;
#[path = "../it/values.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod values;

/// Runs at a time: enough for the ranks of one to be in the way of another's.
const AT_A_TIME: usize = 3;
/// A test that has found so much is over.
const ENOUGH: usize = 5;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let parsed = text
        .strip_prefix("0x")
        .map_or_else(|| text.parse().ok(), |hexadecimal| u64::from_str_radix(hexadecimal, 16).ok());
    Some(parsed.unwrap_or_else(|| panic!("{name}={text} is no number")))
}

/// Plays one seed.
fn play(seed: u64) -> Result<Report, String> {
    let scenario = Scenario::new(seed);
    let played = catch_unwind(AssertUnwindSafe(|| trial::run(&scenario)));
    let played = played.unwrap_or_else(|said| {
        let text = said.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "a check of what was left has failed".to_owned()))
    });
    played.map_err(|why| format!("SPMD_CHAOS_SEED={seed:#x}: {why}\n{scenario:#?}"))
}

#[test]
#[expect(clippy::print_stderr, reason = "figures are for people")]
fn random_faults_at_random_times_change_no_result() {
    let replayed = number("SPMD_CHAOS_SEED");
    let runs = number("SPMD_CHAOS_RUNS").unwrap_or(if replayed.is_some() { 1 } else { 1000 });
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let base = since.as_nanos() as u64;
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::new());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                    if number >= runs || wrong.lock().unwrap().len() >= ENOUGH {
                        break;
                    }
                    let seed = replayed.unwrap_or_else(|| Dice::new(base ^ number << 40).next());
                    match play(seed) {
                        Ok(report) => reports.lock().unwrap().push(report),
                        Err(why) => {
                            eprintln!("{why}"); // At once: a long test may itself be killed.
                            wrong.lock().unwrap().push(why);
                        }
                    }
                }
            });
        }
    });
    let (reports, wrong) = (reports.into_inner().unwrap(), wrong.into_inner().unwrap());
    eprintln!("{}", figures(&reports, wrong.len(), base, begun.elapsed()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What has happened, in words.
fn figures(reports: &[Report], wrong: usize, base: u64, took: Duration) -> String {
    let sum = |what: fn(&Report) -> u64| reports.iter().map(what).sum::<u64>();
    let count = |what: fn(&Report) -> bool| reports.iter().filter(|report| what(report)).count();
    let places: Vec<String> = PLACES
        .iter()
        .enumerate()
        .map(|(at, place)| {
            let deaths: u64 = reports.iter().map(|report| report.places[at]).sum();
            format!("{deaths} {place}")
        })
        .collect();
    let most = |what: fn(&Report) -> Duration| reports.iter().map(what).max().unwrap_or_default();
    format!(
        "{} runs in {took:.1?}, first seed from {base:#x}: {wrong} wrong\n\
         {} ranks killed, {} deaths recovered, {} ranks stopped and continued\n\
         ranks died while: {}\n\
         {} launchers told to end, {} killed; {} hidden names left by those\n\
         {} runs gave up on a rank that did nothing but die\n\
         from the last fault to the end: {:.0?} at most\n\
         from a launcher's death to its last rank's: {:.1?} at most",
        reports.len(),
        sum(|r| r.kills),
        sum(|r| r.recovered),
        sum(|r| r.stops),
        places.join(", "),
        count(|r| r.terminated),
        count(|r| r.launcher_killed),
        count(|r| r.hidden),
        count(|r| r.gave_up),
        most(|r| r.end),
        most(|r| r.follow),
    )
}
