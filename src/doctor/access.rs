//! What the kernel has, and what stands between it and us.

use super::{Facts, Finding, Grade};
use crate::host::confinement::Seccomp;
use crate::host::probe::Call;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let calls = facts.process.iter().flat_map(|process| &process.calls);
    let calls = calls.map(|(call, result)| called(facts, *call, result));
    [kernel(facts), confined(facts)]
        .into_iter()
        .flatten()
        .chain(calls)
        .chain(counters(facts))
        .collect()
}

/// A kernel that is too old.
fn kernel(facts: &Facts) -> Option<Finding> {
    /// `waitid(P_PIDFD)`.
    const NEEDED: (u32, u32) = (5, 4);
    /// `MADV_POPULATE_WRITE`: without it one process touches all pages.
    const WHOLE: (u32, u32) = (5, 14);
    let (major, minor) = facts.kernel?;
    let found = format!("Linux {major}.{minor}; 5.4 is needed, 5.14 is better");
    let why =
        "deaths of ranks are seen by pidfds (5.4); each rank makes its own pages present (5.14)";
    let finding = |grade| Finding::new("kernel", grade, found, why);
    Some(match (major, minor) {
        version if version < NEEDED => finding(Grade::Stop).fix("a newer kernel"),
        version if version < WHOLE => finding(Grade::Note).fix("a newer kernel"),
        _ => finding(Grade::Well),
    })
}

/// A container, a filter of system calls, a hypervisor.
fn confined(facts: &Facts) -> Option<Finding> {
    let parts: Vec<&str> = [
        facts.container,
        match facts.seccomp {
            Some(Seccomp::Filter | Seccomp::Strict) => Some("system calls filtered (seccomp)"),
            Some(Seccomp::Off) | None => None,
        },
        facts.is_virtual.filter(|is_virtual| *is_virtual).map(|_| "a virtual machine"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let why = "containers bound CPUs, memory and /dev/shm, and filter calls: what matters is listed by itself";
    let found =
        if parts.is_empty() { "no sign of a container".to_owned() } else { parts.join(", ") };
    Some(Finding::new("container", Grade::Well, found, why))
}

/// What a call came to.
fn called(facts: &Facts, call: Call, result: &Result<(), String>) -> Finding {
    let (name, what, why) = match call {
        Call::Pidfd => ("pidfd", "pidfd_open", "the launcher learns by it that a rank is gone"),
        Call::Memfd => ("memfd", "memfd_create", "`--backing memfd` holds the segment in it"),
        Call::DevShm => (
            "dev-shm-write",
            "a file in /dev/shm",
            "`--backing shm`, the default, makes its segment there",
        ),
        Call::Affinity => {
            ("pinning", "sched_setaffinity", "ranks are pinned by it; without it they wander")
        }
        Call::Populate => (
            "populate",
            "madvise(MADV_POPULATE_WRITE)",
            "each rank makes its own pages present, near its CPU",
        ),
        Call::Mbind => {
            ("mbind", "mbind", "places pages by node; spmd does so by first touch, without it")
        }
    };
    let Err(error) = result else {
        return Finding::new(name, Grade::Well, format!("{what} works"), why);
    };
    let found = format!("{what}: {error}");
    let filter = filter(facts).unwrap_or("a newer kernel, or rights that this user lacks");
    match call {
        Call::Pidfd => Finding::new(name, Grade::Stop, found, why).fix(filter),
        Call::DevShm => Finding::new(name, Grade::Stop, found, why)
            .fix("--backing memfd, or as root, mount -t tmpfs -o mode=1777 tmpfs /dev/shm"),
        Call::Affinity => {
            Finding::new(name, Grade::Warning, found, why).fix(format!("{filter}; or --bind none"))
        }
        Call::Memfd => Finding::new(name, Grade::Note, found, why).fix(filter),
        Call::Populate => Finding::new(name, Grade::Note, found, why).fix("a kernel from 5.14 on"),
        Call::Mbind => Finding::new(name, Grade::Note, found, why),
    }
}

/// Hardware counters.
fn counters(facts: &Facts) -> Option<Finding> {
    /// Above this even one's own programs are hidden.
    const OWN: i32 = 2;
    let why = "`--counters` tells by them why a kernel is slow; runs need none";
    let finding = |grade, found: String| Finding::new("perf", grade, found, why);
    let counters = facts.counters;
    let level = counters.paranoid.map_or("not known".to_owned(), |level| level.to_string());
    let refused = facts.process.as_ref().and_then(|process| process.counting.as_ref().err());
    Some(if !counters.present {
        finding(Grade::Note, "this machine shows no hardware counters".to_owned())
    } else if counters.paranoid.is_some_and(|level| level > OWN) && !facts.is_root {
        finding(Grade::Note, format!("perf_event_paranoid is {level}"))
            .fix("as root, sysctl kernel.perf_event_paranoid=2")
    } else if let Some(refused) = refused {
        let found = format!("perf_event_paranoid is {level}, and yet: {refused}");
        match filter(facts) {
            Some(filter) => finding(Grade::Note, found).fix(filter),
            None => finding(Grade::Note, found),
        }
    } else {
        finding(Grade::Well, format!("perf_event_paranoid is {level}"))
    })
}

/// How calls are let through that a container's filter refuses; nothing where there is no filter.
fn filter(facts: &Facts) -> Option<&'static str> {
    match (facts.container, facts.seccomp) {
        (Some(_), _) | (_, Some(Seccomp::Filter)) => {
            Some("docker run --security-opt seccomp=unconfined")
        }
        _ => None,
    }
}
