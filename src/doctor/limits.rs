//! The limits that a shell or a control group sets.

use super::facts::Process;
use super::{Facts, Finding, Grade, lifted};
use crate::host::limits::{Bounded, bytes};
use crate::host::rlimits::{Bound, Resource};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let of_process = facts.process.iter().flat_map(|process| {
        process
            .limits
            .iter()
            .map(|(resource, soft, hard)| limit(facts, process, *resource, *soft, *hard))
    });
    of_process.chain(tasks(facts)).collect()
}

/// Judges what a shell has set.
fn limit(
    facts: &Facts,
    process: &Process,
    resource: Resource,
    soft: Bound,
    hard: Bound,
) -> Finding {
    let procs = u64::from(facts.inventory.ranks.procs);
    let Bound::AtMost(limit) = soft else {
        let (name, why) = named(resource);
        let grade = if resource == Resource::Core { Grade::Note } else { Grade::Well };
        let finding = Finding::new(name, grade, "unlimited", why);
        return if grade == Grade::Note { finding.fix("ulimit -S -c 0") } else { finding };
    };
    let raise = |to: u64| match hard {
        Bound::AtMost(most) if most < to => {
            format!("in this shell, sudo prlimit --pid $$ {}={to}:{to}", long(resource))
        }
        _ => format!("{} {to}", resource.ulimit()),
    };
    let (name, why) = named(resource);
    let finding = |grade, found: String| Finding::new(name, grade, found, why);
    match resource {
        Resource::Files => {
            let [need, crew] = process.descriptors;
            let found = format!("{limit} open files; {procs} ranks need {need}");
            match limit {
                limit if limit < need => finding(Grade::Stop, found).fix(raise(need)),
                limit if limit < crew => finding(Grade::Note, found).fix(raise(crew)),
                _ => finding(Grade::Well, found),
            }
        }
        Resource::Processes => {
            // The launcher is one already, and watches with a thread. Others of this user count too.
            let (need, ample) = (procs + 2, procs + 64);
            let found = format!("{limit} processes of one user; {procs} ranks");
            match limit {
                _ if facts.is_root => {
                    finding(Grade::Well, format!("{found}; the superuser is exempt"))
                }
                limit if limit < need => finding(Grade::Stop, found).fix(raise(ample)),
                limit if limit < ample => finding(Grade::Warning, found).fix(raise(ample)),
                _ => finding(Grade::Well, found),
            }
        }
        Resource::Space => {
            let most = facts.inventory.memory.most().unwrap_or(0);
            let found = format!("{} of address space a process", bytes(limit));
            if limit < most {
                finding(Grade::Warning, found).fix("ulimit -S -v unlimited")
            } else {
                finding(Grade::Well, found)
            }
        }
        Resource::Locked => {
            finding(Grade::Well, format!("{} may be locked; spmd locks none", bytes(limit)))
        }
        Resource::Core if limit == 0 => finding(Grade::Well, "no core dumps".to_owned()),
        Resource::Core => {
            finding(Grade::Note, format!("core dumps up to {}", bytes(limit))).fix("ulimit -S -c 0")
        }
    }
}

/// Returns a limit's name, and why it matters.
fn named(resource: Resource) -> (&'static str, &'static str) {
    match resource {
        Resource::Files => ("limit-files", "the launcher has a descriptor open for each rank"),
        Resource::Processes => {
            ("limit-processes", "each rank is a process, and all of this user's count")
        }
        Resource::Space => (
            "limit-address-space",
            "every rank maps the whole segment: a limit below it refuses the run",
        ),
        Resource::Locked => ("limit-locked", "for kernels of your own that lock memory"),
        Resource::Core => (
            "limit-core",
            "a rank that crashes writes a dump of up to the whole segment before it is gone",
        ),
    }
}

/// Returns how `prlimit` names it.
fn long(resource: Resource) -> &'static str {
    match resource {
        Resource::Files => "--nofile",
        Resource::Processes => "--nproc",
        Resource::Space => "--as",
        Resource::Locked => "--memlock",
        Resource::Core => "--core",
    }
}

/// A control group that bounds processes.
fn tasks(facts: &Facts) -> Option<Finding> {
    let left = facts.tasks_left?;
    let procs = u64::from(facts.inventory.ranks.procs);
    let found = format!("{left} more tasks in this control group; {procs} ranks");
    let finding = |grade| {
        Finding::new(
            "limit-tasks",
            grade,
            found,
            "each rank is a task, and so is each of its threads",
        )
    };
    let fix = lifted(facts, Bounded::Tasks, "docker run --pids-limit -1".to_owned());
    Some(match left {
        // The launcher's watching thread is one too.
        left if left < procs + 1 => finding(Grade::Stop).fix(fix),
        left if left < procs + 16 => finding(Grade::Warning).fix(fix),
        _ => finding(Grade::Well),
    })
}
