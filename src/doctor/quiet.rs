//! What would disturb a measurement: others on these CPUs, the host, a coarse clock.

use std::time::Duration;

use super::{Facts, Finding, Grade};
use crate::figures::time;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let checks = [steal_since_boot, steal_now, load, clock];
    checks.iter().filter_map(|check| check(facts)).collect()
}

/// Of one hundred; less is what any virtual machine has.
const STOLEN: f64 = 1.0;
const BUSY: f64 = 10.0;

fn percent(part: Duration, all: Duration) -> f64 {
    if all.is_zero() { 0.0 } else { 100.0 * part.as_secs_f64() / all.as_secs_f64() }
}

const STEAL: &str =
    "while a host keeps a CPU for others its rank stands still, and all others wait for it";

fn steal_since_boot(facts: &Facts) -> Option<Finding> {
    let spent = facts.since_boot?;
    let share = percent(spent.stolen, spent.busy + spent.stolen);
    let found = format!(
        "the host took {:.1} s since the system started, {share:.1} % of what was wanted",
        spent.stolen.as_secs_f64()
    );
    let grade = if share > STOLEN { Grade::Note } else { Grade::Well };
    let finding = Finding::new("steal-since-boot", grade, found, STEAL);
    Some(if grade == Grade::Note {
        finding.fix("a machine whose CPUs are its own")
    } else {
        finding
    })
}

fn steal_now(facts: &Facts) -> Option<Finding> {
    let watched = facts.watched?;
    let (stolen, all) = (
        watched.after.stolen.saturating_sub(watched.before.stolen),
        watched.after.all.saturating_sub(watched.before.all),
    );
    let share = percent(stolen, all);
    let found =
        format!("the host took {share:.1} % of the last {}", time(watched.time.as_secs_f64()));
    Some(if share > STOLEN {
        Finding::new("steal-now", Grade::Warning, found, STEAL)
            .fix("measure again later, or on a machine whose CPUs are its own")
    } else {
        Finding::new("steal-now", Grade::Well, found, STEAL)
    })
}

/// Others that run.
fn load(facts: &Facts) -> Option<Finding> {
    let why =
        "a rank that shares its CPU takes turns with whoever is there; the others wait for it";
    let finding = |grade, found: String| Finding::new("load", grade, found, why);
    let load = facts.load?;
    let cpus = facts.inventory.allowed.len();
    let past = format!("load of the last minute {:.2}", load.minute);
    let Some(watched) = facts.watched else {
        // A copy: all that is known is how it was.
        return Some(finding(Grade::Note, past));
    };
    let busy = watched.after.busy.saturating_sub(watched.before.busy);
    let all = watched.after.all.saturating_sub(watched.before.all);
    let share = percent(busy, all);
    let found = format!("others use {:.2} of {cpus} cpus now; {past}", share / 100.0 * cpus as f64);
    Some(if share > BUSY {
        finding(Grade::Warning, found)
            .fix("end what else runs (`top`), or --cpus with those it leaves")
    } else {
        finding(Grade::Well, found)
    })
}

fn clock(facts: &Facts) -> Option<Finding> {
    /// A chunk lasts 50 us by default: this is a tenth of one.
    const COARSE: Duration = Duration::from_micros(5);
    let step = facts.process.as_ref()?.clock_step;
    let why = "what is shorter than some steps of the clock cannot be timed";
    let found = format!("CLOCK_MONOTONIC moves in steps of {}", time(step.as_secs_f64()));
    Some(if step > COARSE {
        Finding::new("clock", Grade::Warning, found, why).fix(
            "larger chunks; `cat /sys/devices/system/clocksource/clocksource0/current_clocksource` is best tsc or arch_sys_counter",
        )
    } else {
        Finding::new("clock", Grade::Well, found, why)
    })
}
