//! What `spmd topo` shows: CPUs, caches, memory, bounds, and the ranks that would use them.

use std::fmt::Write as _;

use crate::host::affinity::CpuSet;
use crate::host::huge::Means;
use crate::host::limits::bytes;
use crate::host::topology::Kind;
use crate::inventory::{Caches, Inventory};

/// So many are listed one by one.
const LISTED: usize = 16;

/// Makes the tables of a machine.
pub(crate) fn inventory(found: &Inventory) -> String {
    let mut text = String::new();
    let line = |text: &mut String, name: &str, said: &str| {
        let _ = writeln!(text, "{name:<11} {said}");
    };
    let known = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "not known".to_owned());
    let amount = |fact: Option<u64>| fact.map_or("not known".to_owned(), bytes);
    line(&mut text, "host", &format!("{}, Linux {}", known(&found.host), known(&found.kernel)));
    line(&mut text, "processor", &known(&found.model));
    line(
        &mut text,
        "cpus",
        &format!(
            "{} on {}, {}; online {}, this process may use {}",
            counted(found.cpus.len(), "cpu"),
            counted(found.cores(), "core"),
            counted(found.packages(), "package"),
            found.online,
            found.allowed,
        ),
    );
    if let Some(cpuset) = &found.cpuset {
        line(&mut text, "cpuset", &cpuset.to_string());
    }
    let quota = found.quota.map_or("none".to_owned(), |quota| format!("{quota:.2} cpus"));
    line(&mut text, "cpu quota", &quota);
    cores(&mut text, found);
    if !found.caches.is_empty() {
        let _ = writeln!(text, "\n  {:<14} {:>10} {:>6}  shared by cpus", "cache", "size", "count");
        found.caches.iter().for_each(|caches| cache(&mut text, caches));
    }
    if !found.nodes.is_empty() {
        let _ = writeln!(text, "\n  {:<12} {:>10} {:>10}  cpus", "node", "memory", "free");
        for node in &found.nodes {
            let cpus = if node.cpus.is_empty() { "none" } else { &node.cpus.to_string() };
            let (total, free) = (amount(node.total), amount(node.free));
            let _ = writeln!(text, "  {:<12} {total:>10} {free:>10}  {cpus}", node.node);
        }
    }
    text.push('\n');
    let memory = &found.memory;
    let limit = memory.limit.map_or("none".to_owned(), bytes);
    let (total, available) = (amount(memory.total), amount(memory.available));
    line(&mut text, "memory", &format!("{total}, {available} available; limit {limit}"));
    let shm = memory.dev_shm.map_or("not known".to_owned(), |room| {
        format!("{}, {} free", bytes(room.bytes), amount(room.free))
    });
    line(&mut text, "/dev/shm", &shm);
    line(&mut text, "huge pages", &pages(found));
    text.push('\n');
    ranks(&mut text, found);
    text.trim_end().to_owned()
}

fn counted(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// One row for each sort of core in each place.
fn cores(text: &mut String, found: &Inventory) {
    let groups = found.groups();
    // A capacity that all have says nothing.
    let differ = groups.iter().any(|group| group.capacity != groups[0].capacity);
    let _ = writeln!(
        text,
        "\n  {:<12} {:>4} {:>6}  {:<12} {:>8}  cpus, and their siblings",
        "package", "node", "cores", "kind", "capacity"
    );
    for group in groups {
        let kind = match group.kind {
            Some(Kind::Performance) => "performance",
            Some(Kind::Efficiency) => "efficiency",
            None => "-",
        };
        let capacity = group.capacity.filter(|_| differ).map_or("-".to_owned(), |c| c.to_string());
        let siblings =
            if group.siblings.is_empty() { String::new() } else { format!("; {}", group.siblings) };
        let _ = writeln!(
            text,
            "  {:<12} {:>4} {:>6}  {kind:<12} {capacity:>8}  {}{siblings}",
            group.package,
            group.node,
            group.cores.len(),
            group.cores,
        );
    }
}

fn cache(text: &mut String, caches: &Caches) {
    let kind = match caches.kind.as_str() {
        "Unified" => "",
        kind => &format!(" {}", kind.to_lowercase()),
    };
    let sets: Vec<String> =
        caches.shared.iter().take(LISTED).map(|cpus: &CpuSet| cpus.to_string()).collect();
    let more = if caches.shared.len() > LISTED { " | ..." } else { "" };
    let _ = writeln!(
        text,
        "  {:<14} {:>10} {:>6}  {}{more}",
        format!("L{}{kind}", caches.level),
        bytes(caches.bytes),
        caches.shared.len(),
        sets.join(" | "),
    );
}

fn pages(found: &Inventory) -> String {
    let pages = &found.pages;
    let rule = |word: &Option<String>| word.clone().unwrap_or_else(|| "not known".to_owned());
    let shm = match pages.means {
        Means::Given => "gives them",
        Means::Made => "lets ranks make them",
        Means::None { .. } => "gives none",
    };
    let reserved: Vec<String> = pages
        .reserved
        .iter()
        .filter(|pool| pool.total > 0)
        .map(|pool| format!("{} of {} ({} free)", pool.total, bytes(pool.bytes), pool.free))
        .collect();
    let reserved = if reserved.is_empty() { "none".to_owned() } else { reserved.join(", ") };
    let (private, shared) = (rule(&pages.private), rule(&pages.shared));
    format!("private {private}, shared {shared}, /dev/shm {shm}; reserved {reserved}")
}

fn ranks(text: &mut String, found: &Inventory) {
    let ranks = &found.ranks;
    let procs = ranks.procs as usize;
    let _ = writeln!(text, "{:<11} {procs}, decided by {}", "ranks", ranks.because);
    if ranks.pins.iter().all(Option::is_none) {
        let _ = writeln!(text, "  not pinned");
    } else if procs <= LISTED {
        for (rank, pin) in ranks.pins.iter().enumerate() {
            let place = pin.and_then(|cpu| ranks.place(cpu));
            let place = place.map_or("not pinned".to_owned(), |place| {
                let crate::host::topology::Place { cpu, core, package, node } = place;
                format!("cpu {cpu} (core {core}, package {package}, node {node})")
            });
            let _ = writeln!(text, "  rank {rank:<6} {place}");
        }
    } else {
        let cpus: Vec<String> = ranks
            .pins
            .iter()
            .map(|pin| pin.map_or("-".to_owned(), |cpu| cpu.to_string()))
            .collect();
        let _ = writeln!(text, "  rank by rank on cpus {}", cpus.join(" "));
    }
    for warning in &ranks.warnings {
        let _ = writeln!(text, "  warning: {warning}");
    }
}
