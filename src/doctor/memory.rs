//! Room for arrays, and the pages they get.

use super::{Facts, Finding, Grade, lifted};
use crate::host::huge::{self, Means};
use crate::host::limits::{Bounded, bytes};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let checks = [dev_shm, limit, shared_pages, private_pages, reserved, stale];
    checks.iter().filter_map(|check| check(facts)).collect()
}

/// A `/dev/shm` that is small, or full.
fn dev_shm(facts: &Facts) -> Option<Finding> {
    /// Of the memory; Linux gives half.
    const SHARE: u64 = 4;
    /// A segment of few ranks without results; so much is always there unless it is full.
    const LEAST: u64 = 1 << 20;
    let memory = &facts.inventory.memory;
    let why = "results and operands that are not an output file lie there: more than it has free is refused";
    let finding = |grade, found: String| Finding::new("dev-shm", grade, found, why);
    let Some(room) = memory.dev_shm else {
        let found = "there is no /dev/shm whose size is known".to_owned();
        // Of a copy nothing else could be known.
        let grade = if facts.process.is_some() { Grade::Stop } else { Grade::Note };
        return Some(finding(grade, found).fix("--backing memfd"));
    };
    let free = room.free.unwrap_or(room.bytes);
    let most = memory.most().unwrap_or(0);
    let found = format!(
        "/dev/shm holds {}{}; memory {}",
        bytes(room.bytes),
        room.free.map_or(String::new(), |free| format!(", {} free", bytes(free))),
        bytes(most)
    );
    // What is as large as memory already is full, not small.
    let fix = if room.bytes < most {
        let docker =
            facts.container.map_or(String::new(), |_| format!(", or docker run --shm-size {most}"));
        format!("--backing memfd{docker}, or as root, mount -o remount,size={most} /dev/shm")
    } else {
        "spmd clean, and whatever else lies in /dev/shm; or --backing memfd".to_owned()
    };
    Some(if free < LEAST {
        finding(Grade::Stop, found).fix(fix)
    } else if free < most / SHARE {
        finding(Grade::Warning, found).fix(fix)
    } else {
        finding(Grade::Well, found)
    })
}

/// A control group that bounds memory.
fn limit(facts: &Facts) -> Option<Finding> {
    let memory = &facts.inventory.memory;
    let why =
        "beyond the limit the kernel kills a rank; what the machine has free says nothing of it";
    let finding = |grade, found: String| Finding::new("memory-limit", grade, found, why);
    let total = memory.total.unwrap_or(u64::MAX);
    Some(match memory.limit.filter(|limit| *limit < total) {
        None => finding(Grade::Well, "no limit below what the machine has".to_owned()),
        Some(limit) => {
            let lift = lifted(facts, Bounded::Memory, format!("docker run --memory {total}"));
            finding(Grade::Note, format!("{} of {}", bytes(limit), bytes(total)))
                .fix(format!("arrays below {}, or {lift}", bytes(limit)))
        }
    })
}

fn shared_pages(facts: &Facts) -> Option<Finding> {
    let pages = &facts.inventory.pages;
    let why = "huge pages make the first touch of large arrays faster, and save TLB misses";
    let finding = |grade, found: String| Finding::new("huge-pages-shared", grade, found, why);
    Some(match &pages.means {
        Means::Given => finding(Grade::Well, "/dev/shm gives huge pages to who asks".to_owned()),
        Means::Made => {
            finding(Grade::Well, "ranks make them of the small ones of /dev/shm".to_owned())
        }
        Means::None { fix } => {
            let rule = pages.shared.as_deref().unwrap_or("not known");
            let found = format!("/dev/shm gives no huge pages; the rule for memfd is `{rule}`");
            finding(Grade::Note, found).fix(fix.clone())
        }
    })
}

fn private_pages(facts: &Facts) -> Option<Finding> {
    let rule = facts.inventory.pages.private.as_deref()?;
    let why =
        "private memory: what a rank converts or saves, and kernels' own; little beside the arrays";
    let finding =
        |grade| Finding::new("huge-pages-private", grade, format!("the rule is `{rule}`"), why);
    Some(match rule {
        "never" => finding(Grade::Note)
            .fix("as root, echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"),
        _ => finding(Grade::Well),
    })
}

/// Pages that were set aside and that nobody uses.
fn reserved(facts: &Facts) -> Option<Finding> {
    let idle = |pool: &huge::Reserved| pool.free.saturating_mul(pool.bytes);
    let idle = facts.inventory.pages.reserved.iter().map(idle).fold(0, u64::saturating_add);
    let why = "spmd uses no reserved huge pages: what is set aside for them is missing for arrays";
    let finding = |grade, found: String| Finding::new("huge-pages-reserved", grade, found, why);
    let used = |pool: &huge::Reserved| {
        let kib = pool.bytes / 1024;
        let used = pool.total.saturating_sub(pool.free);
        format!("echo {used} > /sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages")
    };
    let pools = facts.inventory.pages.reserved.iter().filter(|pool| pool.free > 0);
    let back: Vec<String> = pools.map(used).collect();
    Some(if back.is_empty() {
        finding(Grade::Well, "no unused huge pages are set aside".to_owned())
    } else {
        finding(Grade::Note, format!("{} are set aside in unused huge pages", bytes(idle)))
            .fix(format!("if they are for no other program: as root, {}", back.join("; ")))
    })
}

/// What dead runs left.
fn stale(facts: &Facts) -> Option<Finding> {
    let process = facts.process.as_ref()?;
    let why = "a name in /dev/shm keeps its memory; the next run sweeps what it finds";
    let finding = |grade, found: String| Finding::new("stale-segments", grade, found, why);
    Some(match &process.stale {
        Ok((0, _)) => finding(Grade::Well, "dead runs left nothing in /dev/shm".to_owned()),
        Ok((names, size)) => {
            let found = format!("dead runs left {names} in /dev/shm, {}", bytes(*size));
            finding(Grade::Note, found).fix("spmd clean")
        }
        Err(error) => finding(Grade::Note, format!("cannot look into /dev/shm: {error}")),
    })
}
