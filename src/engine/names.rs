//! Names of signals and of chunks, for messages.

use super::world::World;
use crate::job::Job;
use crate::schedule::Chunk;

/// Returns what a chunk is called: its number and its indices.
pub(super) fn chunk(world: &World, chunk: &Chunk) -> String {
    let number = world.partition().number(chunk);
    format!("chunk {number} (indices {})", indices(&world.plan.job, chunk))
}

/// Returns the indices of a chunk: one range, unless it is a chunk of what an earlier run left.
pub(super) fn indices(job: &Job, chunk: &Chunk) -> String {
    const SHOWN: usize = 4;
    let name = |piece: Chunk| format!("{}..{}", piece.start, piece.end);
    let mut names: Vec<String> = job.left.pieces(chunk).take(SHOWN).map(name).collect();
    let more = job.left.pieces(chunk).count() - names.len();
    if more > 0 {
        names.push(format!("{more} more ranges"));
    }
    names.join(", ")
}

/// Returns what `kill -l` calls a signal, with its prefix.
pub(crate) fn signal(signal: i32) -> String {
    const NAMES: [(i32, &str); 24] = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGIO, "SIGIO"),
        (libc::SIGPWR, "SIGPWR"),
        (libc::SIGSTOP, "SIGSTOP"),
        (libc::SIGTSTP, "SIGTSTP"),
        (libc::SIGTTIN, "SIGTTIN"),
        (libc::SIGTTOU, "SIGTTOU"),
    ];
    NAMES
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
