//! Huge pages under shared memory: whether this machine gives them, asking for them, and what came of it.
//!
//! Shared memory is the page cache of a file system in memory, and that has rules of its own, apart from
//! those for private memory: `shmem_enabled` for a memfd, a mount option for `/dev/shm`
//! (Documentation/admin-guide/mm/transhuge.rst). The usual setting is "never" for both.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::map::Window;

/// Smaller arrays have no huge page's worth.
pub(crate) const WORTH: u64 = 2 << 20;
const RULE: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/// What holds the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    DevShm,
    Memfd,
}

/// Returns what would have to be done for this machine to give huge pages; `None` if it does.
pub(crate) fn missing(holder: Holder) -> Option<String> {
    let rule = fs::read_to_string(RULE).unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if gives(holder, &rule, &mounts) {
        return None;
    }
    let memfd = format!("as root, echo advise > {RULE}; then --backing memfd");
    Some(match holder {
        Holder::Memfd => memfd,
        Holder::DevShm => format!("as root, mount -o remount,huge=advise /dev/shm; or {memfd}"),
    })
}

/// Says whether asking is of use, by the rule for shared memory and the list of mounts.
fn gives(holder: Holder, rule: &str, mounts: &str) -> bool {
    let word = chosen(rule).unwrap_or("never");
    match holder {
        _ if word == "force" => true,
        _ if word == "deny" => false,
        Holder::Memfd => word != "never",
        Holder::DevShm => mounts
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(' ').skip(1);
                (fields.next() == Some("/dev/shm")).then(|| fields.nth(1).unwrap_or_default())
            })
            .next_back() // The last one is on top.
            .is_some_and(|options| {
                let huge = options.split(',').find_map(|option| option.strip_prefix("huge="));
                huge.is_some_and(|word| word != "never")
            }),
    }
}

/// The word in brackets, of all that there may be.
fn chosen(rule: &str) -> Option<&str> {
    rule.split('[').nth(1).and_then(|rest| rest.split(']').next())
}

/// Returns the rule for private memory (`enabled`) or for shared (`shmem_enabled`), in the kernel's word.
pub(crate) fn rule(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/sys/kernel/mm/transparent_hugepage/{name}")).ok()?;
    chosen(&text).map(str::to_owned)
}

/// What is asked of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Advice {
    /// Nothing: it would be of no use.
    Nothing,
    Huge,
    Small,
}

/// Asks for huge pages in a window, or for none. Before it is touched; a machine that has none says so to
/// nobody.
#[expect(unsafe_code, reason = "madvise")]
pub(crate) fn advise(window: &Window, advice: Advice) {
    if (window.len() as u64) < WORTH {
        return;
    }
    let advice = match advice {
        Advice::Nothing => return,
        Advice::Huge => libc::MADV_HUGEPAGE,
        Advice::Small => libc::MADV_NOHUGEPAGE,
    };
    // SAFETY: one mapping of this process, whole; the advice changes none of its bytes.
    if unsafe { libc::madvise(window.as_ptr().cast(), window.len(), advice) } != 0 {
        tracing::debug!("no advice on huge pages: {}", io::Error::last_os_error());
    }
}

/// Returns the bytes of shared memory that this process has mapped in huge pages.
pub(crate) fn mapped() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let kib = |name: &str| -> u64 {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
    };
    (kib("ShmemPmdMapped:") + kib("FilePmdMapped:")) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_rules_as_the_kernel_writes_them() {
        let rule = |word: &str| {
            "always within_size advise never deny force".replace(word, &format!("[{word}]"))
        };
        for (word, memfd) in [
            ("always", true),
            ("within_size", true),
            ("advise", true),
            ("never", false),
            ("deny", false),
            ("force", true),
        ] {
            assert_eq!(gives(Holder::Memfd, &rule(word), ""), memfd, "{word}");
        }
        let mounts = "proc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs rw,huge=advise,size=1k 0 0\n";
        assert!(gives(Holder::DevShm, &rule("never"), mounts));
        assert!(!gives(Holder::DevShm, &rule("deny"), mounts));
        assert!(!gives(Holder::DevShm, &rule("advise"), &mounts.replace("huge=advise,", "")));
        assert!(!gives(Holder::DevShm, "", ""));
    }
}
