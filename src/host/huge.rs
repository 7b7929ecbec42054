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
pub(crate) const WORTH: u64 = super::map::HUGE_PAGE as u64;
const RULE: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
const RULES: &str = "sys/kernel/mm/transparent_hugepage";

/// What holds the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    DevShm,
    Memfd,
}

/// How shared memory comes by huge pages on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// Its rules give them to who asks.
    Given,
    /// Its rules do not, but ranks can make them of small ones: see [`super::collapse`].
    Made,
    /// Not at all, before this is done.
    None { fix: String },
}

/// Returns how this machine's shared memory comes by huge pages.
pub(crate) fn means(holder: Holder) -> Means {
    means_of(&Root::system(), holder)
}

/// Reads the same below `root`.
pub(crate) fn means_of(root: &Root, holder: Holder) -> Means {
    let rule = root.text(&format!("{RULES}/shmem_enabled")).unwrap_or_default();
    let mounts = root.text("proc/self/mounts").unwrap_or_default();
    let release = root.line("proc/sys/kernel/osrelease").unwrap_or_default();
    if gives(holder, &rule, &mounts) {
        return Means::Given;
    }
    let size = root.number(&format!("{RULES}/hpage_pmd_size"));
    if size == Some(WORTH) && can_collapse(&rule, &release) {
        return Means::Made;
    }
    let memfd = format!("as root, echo advise > {RULE}; then --backing memfd");
    let fix = match holder {
        Holder::Memfd => memfd,
        Holder::DevShm => format!("as root, mount -o remount,huge=advise /dev/shm; or {memfd}"),
    };
    Means::None { fix }
}

/// Returns how many bytes there is room for, where that has a limit of its own.
pub(crate) fn room(holder: Holder) -> Option<u64> {
    match holder {
        Holder::DevShm => super::limits::free_bytes(c"/dev/shm"),
        Holder::Memfd => None,
    }
}

/// Says whether processes can make huge pages of shared memory: a kernel that has such pages, does not deny
/// them, and is Linux 6.1 or later.
fn can_collapse(rule: &str, release: &str) -> bool {
    let mut numbers = release.split(|other: char| !other.is_ascii_digit()).map(str::parse::<u32>);
    let version = (numbers.next().and_then(Result::ok), numbers.next().and_then(Result::ok));
    chosen(rule).is_some_and(|word| word != "deny") && version >= (Some(6), Some(1))
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
    /// That faults bring huge ones.
    Huge,
    /// That huge ones are made as ranks touch their slices.
    Collapse,
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
        Advice::Nothing | Advice::Collapse => return,
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
    use crate::host::root::tests::Tree;

    #[test]
    fn a_kernel_that_does_not_deny_them_and_is_young_enough_can_make_them() {
        let rule = "always within_size advise [never] deny force\n";
        for (release, can) in [
            ("6.1.0-13-amd64", true),
            ("6.18.44-fc", true),
            ("7.0", true),
            ("6.0.19", false),
            ("5.15.0-1", false),
            ("6", false),
            ("", false),
            ("six.one", false),
        ] {
            assert_eq!(can_collapse(rule, release), can, "{release}");
        }
        assert!(!can_collapse("always within_size advise never [deny] force\n", "6.8.0"));
        assert!(!can_collapse("", "6.8.0"), "built without huge pages");
    }

    #[test]
    fn a_machine_gives_them_or_has_them_made_or_says_what_is_missing() {
        let tree = Tree::new(&[]);
        let of = |rule: &str, mounts: &str, size: &str| {
            let all = "always within_size advise never deny force";
            tree.put(
                "sys/kernel/mm/transparent_hugepage/shmem_enabled",
                &all.replace(rule, &format!("[{rule}]")),
            );
            tree.put("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", size);
            tree.put("proc/self/mounts", mounts);
            tree.put("proc/sys/kernel/osrelease", "6.8.0-generic\n");
            [Holder::DevShm, Holder::Memfd].map(|holder| match means_of(&tree.root, holder) {
                Means::Given => "given".to_owned(),
                Means::Made => "made".to_owned(),
                Means::None { fix } => fix,
            })
        };
        let (plain, advised) =
            ("tmpfs /dev/shm tmpfs rw 0 0\n", "tmpfs /dev/shm tmpfs rw,huge=advise 0 0\n");
        let two = "2097152\n";
        assert_eq!(of("never", plain, two), ["made", "made"]);
        assert_eq!(of("never", advised, two), ["given", "made"]);
        assert_eq!(of("advise", plain, two), ["made", "given"]);
        for [dev_shm, memfd] in [of("deny", advised, two), of("never", plain, "33554432\n")] {
            assert!(dev_shm.contains("remount,huge=advise"), "{dev_shm}");
            assert!(memfd.contains("echo advise"), "{memfd}");
        }
    }

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
