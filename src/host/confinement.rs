//! What stands between this process and the machine: a container, a filter of system calls, a hypervisor.

use super::root::Root;

/// Returns what kind of container this looks like, by the marks that each leaves.
pub(crate) fn container_of(root: &Root) -> Option<&'static str> {
    let init = root.text("proc/1/environ").unwrap_or_default();
    let marked = [(".dockerenv", "docker"), ("run/.containerenv", "podman")];
    marked
        .into_iter()
        .find(|(mark, _)| root.has(mark))
        .map(|(_, name)| name)
        .or_else(|| root.has("var/run/secrets/kubernetes.io").then_some("kubernetes"))
        .or_else(|| {
            init.split('\0').any(|entry| entry.starts_with("container=")).then_some("a container")
        })
}

/// Which system calls may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seccomp {
    Off,
    Strict,
    /// A program decides, call by call.
    Filter,
}

/// Says whether system calls of this process are filtered.
pub(crate) fn seccomp_of(root: &Root) -> Option<Seccomp> {
    match status(root, "Seccomp:")?.as_str() {
        "0" => Some(Seccomp::Off),
        "1" => Some(Seccomp::Strict),
        _ => Some(Seccomp::Filter),
    }
}

/// Says whether the process is the superuser's, whom several limits do not bind.
pub(crate) fn is_root_of(root: &Root) -> bool {
    // Real, effective, saved, of files.
    status(root, "Uid:").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}

/// Says whether the processor knows that a hypervisor runs it.
pub(crate) fn is_virtual_of(root: &Root) -> Option<bool> {
    let text = root.text("proc/cpuinfo")?;
    let flags = text.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// Returns the kernel's version, its first two numbers.
pub(crate) fn kernel_of(root: &Root) -> Option<(u32, u32)> {
    let release = root.line("proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// How much of the processor's own counters a user may see, and whether there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// -1 everything, 0 and 1 less, 2 one's own programs, above that nothing (some distributions).
    pub(crate) paranoid: Option<i32>,
    /// Whether the processor has counters here: virtual machines often have none.
    pub(crate) present: bool,
}

pub(crate) fn counters_of(root: &Root) -> Counters {
    let sources = root.names("sys/bus/event_source/devices");
    let is_processor = |name: &String| {
        ["cpu", "cpu_core", "cpu_atom"].contains(&name.as_str()) || name.starts_with("armv")
    };
    Counters {
        paranoid: root.number("proc/sys/kernel/perf_event_paranoid"),
        present: sources.iter().any(is_processor),
    }
}

fn status(root: &Root, name: &str) -> Option<String> {
    let text = root.text("proc/self/status")?;
    Some(text.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::root::tests::Tree;

    #[test]
    fn a_container_is_known_by_its_marks() {
        for (path, text, found) in [
            (".dockerenv", "", Some("docker")),
            ("run/.containerenv", "", Some("podman")),
            ("proc/1/environ", "PATH=/bin\0container=lxc\0", Some("a container")),
            ("proc/1/environ", "PATH=/bin\0", None),
        ] {
            assert_eq!(container_of(&Tree::new(&[(path, text)]).root), found, "{path}");
        }
    }

    #[test]
    fn what_is_said_of_the_process_is_read_by_name() {
        let status = "Name:\tspmd\nUid:\t1000\t0\t0\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let tree = Tree::new(&[
            ("proc/self/status", status),
            ("proc/sys/kernel/osrelease", "5.10.0-28-amd64\n"),
            ("proc/cpuinfo", "flags\t\t: fpu hypervisor lm\n"),
            ("proc/sys/kernel/perf_event_paranoid", "-1\n"),
            ("sys/bus/event_source/devices/armv8_pmuv3_0/type", "8\n"),
        ]);
        assert_eq!(seccomp_of(&tree.root), Some(Seccomp::Filter));
        assert!(is_root_of(&tree.root));
        assert_eq!(kernel_of(&tree.root), Some((5, 10)));
        assert_eq!(is_virtual_of(&tree.root), Some(true));
        assert_eq!(counters_of(&tree.root), Counters { paranoid: Some(-1), present: true });
    }
}
