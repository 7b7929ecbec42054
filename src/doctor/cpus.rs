//! The CPUs that ranks would get: which, how fast, and whether anything holds them back.

use super::{Facts, Finding, Grade, lifted};
use crate::host::affinity::CpuSet;
use crate::host::frequency::Turbo;
use crate::host::limits::Bounded;
use crate::host::topology::Kind;
use crate::options::Bind;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let checks = [mask, crowd, quota, throttling, siblings, kinds, governor, turbo];
    checks.iter().filter_map(|check| check(facts)).collect()
}

/// A mask or cpuset that is narrower than the machine.
fn mask(facts: &Facts) -> Option<Finding> {
    let inventory = &facts.inventory;
    let (allowed, online) = (&inventory.allowed, &inventory.online);
    let finding = |grade, found| {
        Finding::new("cpus", grade, found, "ranks are pinned to the CPUs this process may use")
    };
    if online.iter().all(|cpu| allowed.contains(cpu)) {
        return Some(finding(
            Grade::Well,
            format!("all {} cpus may be used ({allowed})", online.len()),
        ));
    }
    let found =
        format!("{} of {} cpus may be used: {allowed} of {online}", allowed.len(), online.len());
    let narrow =
        inventory.cpuset.as_ref().filter(|cpuset| online.iter().any(|cpu| !cpuset.contains(cpu)));
    Some(match narrow {
        Some(cpuset) => {
            let fix = match facts.container {
                Some(_) => format!("docker run --cpuset-cpus {online}"),
                None => format!("systemd-run --scope -p AllowedCPUs={online} spmd ..."),
            };
            finding(Grade::Note, format!("{found}; the control group's cpuset is {cpuset}"))
                .fix(fix)
        }
        None => finding(Grade::Note, found).fix(format!("taskset -c {online} spmd ...")),
    })
}

/// More ranks than CPUs: asked for, since the default is never more.
fn crowd(facts: &Facts) -> Option<Finding> {
    let (procs, cpus) = (facts.inventory.ranks.procs, facts.inventory.ranks.cpus);
    let found = format!("{procs} ranks on {cpus} cpus");
    let why = "more ranks than CPUs take turns: they run unpinned, and wait without spinning";
    let crowded = procs as usize > cpus;
    let grade = if crowded { Grade::Warning } else { Grade::Well };
    let finding = Finding::new("ranks", grade, found, why);
    Some(if crowded { finding.fix(format!("--procs {cpus}")) } else { finding })
}

/// A quota that is less than the CPUs allowed.
fn quota(facts: &Facts) -> Option<Finding> {
    let inventory = &facts.inventory;
    let (procs, cpus) = (inventory.ranks.procs, inventory.allowed.len());
    let finding = |grade, found| {
        let why =
            "when a quota is used up, all ranks stop until the next period, mostly 100 ms long";
        Finding::new("cpu-quota", grade, found, why)
    };
    let Some(quota) = inventory.quota else {
        return Some(finding(Grade::Well, "no cpu quota".to_owned()));
    };
    let found = format!("a quota of {quota:.2} cpus, {cpus} allowed, {procs} ranks");
    // No less than a rank, and no more than can run all the time.
    let fits = (quota.floor() as usize).max(1);
    let lift = lifted(facts, Bounded::Cpu, format!("docker run --cpus {cpus}"));
    Some(if quota >= f64::from(procs) {
        finding(if quota < cpus as f64 { Grade::Note } else { Grade::Well }, found)
    } else {
        finding(Grade::Warning, found).fix(format!("--procs {fits}, or {lift}"))
    })
}

fn throttling(facts: &Facts) -> Option<Finding> {
    let throttled = facts.throttled?;
    let found = format!(
        "stopped by the quota in {} of {} periods, {:.1} s over all cpus, since the control group exists",
        throttled.stopped,
        throttled.periods,
        throttled.time.as_secs_f64()
    );
    let why = "a rank that is stopped holds up all others at the barrier";
    let finding = |grade, found: String| Finding::new("throttling", grade, found, why);
    Some(match throttled.stopped {
        0 => finding(Grade::Well, "never stopped by a quota".to_owned()),
        // A cgroup may have been throttled by what ran in it before.
        _ if facts.inventory.quota.is_none() => finding(Grade::Note, found),
        _ => finding(Grade::Warning, found)
            .fix("fewer --procs than the quota has CPUs; nothing else in this control group"),
    })
}

/// Ranks that would share a core.
fn siblings(facts: &Facts) -> Option<Finding> {
    let inventory = &facts.inventory;
    let ranks = &inventory.ranks;
    let why = "two ranks on one core share its units and first caches: neither is twice as fast";
    let finding = |grade, found: String| Finding::new("smt", grade, found, why);
    let threads = inventory.cpus.iter().map(|cpu| cpu.thread).max()? + 1;
    if threads == 1 {
        return Some(finding(Grade::Well, "one hardware thread a core".to_owned()));
    }
    if ranks.pins.iter().any(Option::is_none) {
        let found =
            format!("{threads} hardware threads a core; ranks are not pinned, and may meet on one");
        return Some(finding(Grade::Note, found).fix("--bind core, and no more ranks than cores"));
    }
    let mut cores: Vec<u32> =
        ranks.pins.iter().flatten().filter_map(|&cpu| Some(ranks.place(cpu)?.core)).collect();
    let pinned = cores.len();
    cores.sort_unstable();
    cores.dedup();
    Some(if pinned == cores.len() {
        let found =
            format!("{threads} hardware threads a core; no two of {} ranks on one", ranks.procs);
        finding(Grade::Well, found)
    } else {
        let found =
            format!("{pinned} ranks on {} cores of {threads} hardware threads", cores.len());
        let asked = inventory.bind == Bind::Hwthread;
        finding(if asked { Grade::Note } else { Grade::Warning }, found)
            .fix(format!("--procs {} --bind core", cores.len()))
    })
}

/// Ranks on cores of different speed.
fn kinds(facts: &Facts) -> Option<Finding> {
    /// Of the fastest; cores of one kind may differ by a little (preferred cores).
    const ALIKE: f64 = 0.9;
    let inventory = &facts.inventory;
    let why =
        "with `--schedule static` all wait for the slowest core; other schedules give it less";
    let finding = |grade, found: String| Finding::new("core-kinds", grade, found, why);
    let capacity = |cpu: &crate::inventory::Cpu| f64::from(cpu.capacity.unwrap_or(1024));
    let fastest = inventory.cpus.iter().map(capacity).fold(0.0, f64::max);
    let is_fast = |cpu: &crate::inventory::Cpu| {
        cpu.kind != Some(Kind::Efficiency) && capacity(cpu) >= ALIKE * fastest
    };
    let used: Vec<u32> = if inventory.ranks.pins.iter().any(Option::is_none) {
        inventory.allowed.iter().collect()
    } else {
        inventory.ranks.pins.iter().flatten().copied().collect()
    };
    let fast: CpuSet =
        used.iter().copied().filter(|&cpu| inventory.cpu(cpu).is_none_or(is_fast)).collect();
    let slow: CpuSet = used.iter().copied().filter(|&cpu| !fast.contains(cpu)).collect();
    Some(if inventory.cpus.iter().all(is_fast) {
        finding(Grade::Well, "all cores are of one kind, as far as the kernel says".to_owned())
    } else if fast.is_empty() || slow.is_empty() {
        finding(
            Grade::Well,
            format!("cores of several kinds; the ranks' cpus {fast}{slow} are of one"),
        )
    } else {
        finding(Grade::Warning, format!("ranks on fast cpus {fast} and on slow cpus {slow}"))
            .fix(format!("--cpus {fast}, or --schedule dynamic"))
    })
}

fn governor(facts: &Facts) -> Option<Finding> {
    let why = "another governor raises the frequency only under load: short runs are measured slow";
    let finding = |grade, found: String| Finding::new("governor", grade, found, why);
    let found = facts
        .governors
        .iter()
        .map(|(name, cpus)| format!("`{name}` on cpus {cpus}"))
        .collect::<Vec<_>>()
        .join(", ");
    Some(if facts.governors.is_empty() {
        let host = if facts.is_virtual == Some(true) {
            ": the host of this virtual machine decides"
        } else {
            ""
        };
        finding(Grade::Note, format!("what decides the frequency is not known{host}"))
    } else if facts.governors.keys().all(|name| name == "performance") {
        finding(Grade::Well, found)
    } else {
        finding(Grade::Warning, found).fix("as root, cpupower frequency-set -g performance")
    })
}

fn turbo(facts: &Facts) -> Option<Finding> {
    let why = "with turbo one rank has a higher frequency than many: part of what scaling loses";
    let finding = |grade, found: &str| Finding::new("turbo", grade, found, why);
    Some(match &facts.turbo {
        None => {
            finding(Grade::Note, "whether the frequency rises with few cores busy is not known")
        }
        Some((Turbo::Off, _)) => finding(Grade::Well, "off"),
        Some((Turbo::On, off)) => finding(Grade::Note, "on").fix(format!("as root, {off}")),
    })
}
