//! Who, and what, made a run fail: from how a rank ended, and from what the ranks wrote down.

use super::World;
use super::signals;
use crate::error::{Error, Explained};
use crate::host::procs::Ended;
use crate::shm::{Acquire, Fault, NO_CPU, RankSlot, Relaxed, Stage};

/// Says whether a rank ended because its work was done.
pub(super) fn finished(world: &World, rank: usize, end: Ended) -> bool {
    let stage = world.segment.control().ranks()[rank].stage();
    // A kernel that calls exit(0) has not finished, whatever its status says.
    matches!(end, Ended::Exited(0) | Ended::Unknown) && stage == Stage::Done
}

/// Finds out why the run failed when `rank` ended as it did.
pub(super) fn blame(world: &World, rank: usize, pid: i32, end: Ended) -> Error {
    // A rank that found a fault has written it down and stopped the others; any of them may have
    // ended first.
    let control = world.segment.control();
    let mut slots = control.ranks().iter().enumerate();
    match slots.find_map(|(rank, slot)| Some((rank, slot, slot.reported()?))) {
        Some((rank, slot, (fault, index, text))) => {
            reported(world, rank, slot, fault, index, &text)
        }
        None => lost(world, rank, pid, end),
    }
}

/// Tells what a rank reported about itself.
fn reported(
    world: &World,
    rank: usize,
    slot: &RankSlot,
    fault: Fault,
    index: Option<u64>,
    text: &str,
) -> Error {
    let kernel = world.plan.kernel.name();
    let pid = slot.pid.load(Acquire); // Pairs with Release in `worker::live` [pid].
    let who = format!("rank {rank} (pid {pid})");
    match fault {
        Fault::Kernel => {
            let at = index.map_or(String::new(), |index| format!(" at index {index}"));
            Error::failed(format!("kernel `{kernel}` failed{at} on {who}: {text}"))
        }
        Fault::Panic => {
            let chunk = chunk(world, rank);
            Error::failed(format!("kernel `{kernel}` panicked on {who}{chunk}: {text}"))
        }
        Fault::Machine => Error::refused(
            Explained::new(format!("{who}: {text}"))
                .hint("more room in /dev/shm or memory, --backing memfd, or a smaller problem"),
        ),
        Fault::None | Fault::Internal => Error::refused(format!("{who}: {text}")),
    }
}

/// Tells how a rank ended that said nothing.
fn lost(world: &World, rank: usize, pid: i32, end: Ended) -> Error {
    let slot = &world.segment.control().ranks()[rank];
    let stage = slot.stage();
    let cpu = slot.cpu.load(Relaxed); // For the message.
    let cpu = if cpu == NO_CPU { String::new() } else { format!(", cpu {cpu}") };
    let chunk = chunk(world, rank);
    let how = match end {
        Ended::Killed(signal) => format!("was killed by {}", signals::name(signal)),
        Ended::Exited(status) => format!("exited with status {status}"),
        Ended::Unknown => "ended".to_owned(),
    };
    let what = format!("rank {rank} (pid {pid}{cpu}) {how} while {}{chunk}", stage.name());
    // A rank that was killed on its way is a lost rank; one that left by itself never was a rank.
    if stage == Stage::Starting && !matches!(end, Ended::Killed(_)) {
        Error::refused(Explained::new(what).hint(INIT))
    } else {
        Error::failed(Explained::new(what).hint("no output was written"))
    }
}

const INIT: &str =
    "a program that starts runs must call `spmd::init` or `spmd::main` first thing in its main";

/// Tells of ranks that never attached.
pub(super) fn never_began(ranks: &[usize]) -> Error {
    let names: Vec<String> = ranks.iter().take(8).map(ToString::to_string).collect();
    Error::refused(
        Explained::new(format!("ranks {} have not attached in time", names.join(", "))).hint(INIT),
    )
}

fn chunk(world: &World, rank: usize) -> String {
    let control = world.segment.control();
    u32::try_from(rank)
        .ok()
        .and_then(|rank| control.claims().current(&world.plan.job.partition, rank))
        .map_or(String::new(), |chunk| format!(", chunk {}..{}", chunk.start, chunk.end))
}
