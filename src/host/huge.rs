//! Huge pages under shared memory: whether this machine gives them, asking for them, and what came of it.
//!
//! Shared memory is the page cache of a file system in memory, and that has rules of its own, apart from
//! those for private memory: `shmem_enabled` for a memfd, a mount option for `/dev/shm`
//! (Documentation/admin-guide/mm/transhuge.rst). The usual setting is "never" for both.

use std::io;

use serde::{Deserialize, Serialize};

use super::map::Window;
use super::root::Root;

/// Smaller arrays have no huge page's worth.
pub(crate) const WORTH: u64 = 2 << 20;
const RULE: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
const RULES: &str = "sys/kernel/mm/transparent_hugepage";

/// What holds the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    DevShm,
    Memfd,
}

/// Returns what would have to be done for this machine to give huge pages; `None` if it does.
pub(crate) fn missing(holder: Holder) -> Option<String> {
    missing_of(&Root::system(), holder)
}

/// Reads the same below `root`.
pub(crate) fn missing_of(root: &Root, holder: Holder) -> Option<String> {
    let rule = root.text(&format!("{RULES}/shmem_enabled")).unwrap_or_default();
    let mounts = root.text("proc/self/mounts").unwrap_or_default();
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
        Holder::DevShm => {
            super::limits::mounted(mounts, "huge=").is_some_and(|word| word != "never")
        }
    }
}

/// The word in brackets, of all that there may be.
fn chosen(rule: &str) -> Option<&str> {
    rule.split('[').nth(1).and_then(|rest| rest.split(']').next())
}

/// Returns the rule for private memory (`enabled`) or for shared (`shmem_enabled`), in the kernel's word.
pub(crate) fn rule(name: &str) -> Option<String> {
    rule_of(&Root::system(), name)
}

/// Reads the same below `root`.
pub(crate) fn rule_of(root: &Root, name: &str) -> Option<String> {
    chosen(&root.text(&format!("{RULES}/{name}"))?).map(str::to_owned)
}

/// Pages of one size that were set aside, which spmd does not use: they are lost to everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// Of one page.
    pub(crate) bytes: u64,
    pub(crate) total: u64,
    pub(crate) free: u64,
}

/// Returns the sizes of huge pages that this machine can set aside, and how many it has.
pub(crate) fn reserved_of(root: &Root) -> Vec<Reserved> {
    const POOLS: &str = "sys/kernel/mm/hugepages";
    let pool = |name: &String| {
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let number = |file: &str| root.number(&format!("{POOLS}/{name}/{file}"));
        Some(Reserved {
            bytes: kib.checked_mul(1024)?,
            total: number("nr_hugepages")?,
            free: number("free_hugepages")?,
        })
    };
    let mut pools: Vec<Reserved> = root.names(POOLS).iter().filter_map(pool).collect();
    pools.sort_unstable_by_key(|pool| pool.bytes);
    pools
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
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
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
