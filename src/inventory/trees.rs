//! Machines that tests have written: their `/sys` and `/proc`, as far as anybody reads them.

use crate::host::root::tests::Tree;

fn topology(tree: &Tree, cpu: u32, package: u32, siblings: &str) {
    let base = format!("sys/devices/system/cpu/cpu{cpu}/topology");
    tree.put(&format!("{base}/physical_package_id"), &format!("{package}\n"));
    tree.put(&format!("{base}/core_cpus_list"), &format!("{siblings}\n"));
}

fn cache(tree: &Tree, cpu: u32, index: u32, level: u32, kind: &str, size: &str, shared: &str) {
    let base = format!("sys/devices/system/cpu/cpu{cpu}/cache/index{index}");
    for (name, text) in [
        ("level", level.to_string().as_str()),
        ("type", kind),
        ("size", size),
        ("shared_cpu_list", shared),
    ] {
        tree.put(&format!("{base}/{name}"), &format!("{text}\n"));
    }
}

/// Two packages of two cores of two threads, a node each, and a node of memory alone.
pub(crate) fn two_sockets() -> Tree {
    let tree = Tree::new(&[
        ("sys/devices/system/cpu/online", "0-7\n"),
        (
            "proc/self/status",
            "Name:\tspmd\nUid:\t1000\t1000\t1000\t1000\nCpus_allowed_list:\t0-7\n",
        ),
        ("proc/cpuinfo", "model name\t: Example 9000\nflags\t\t: fpu lm\n"),
        ("proc/sys/kernel/hostname", "big\n"),
        ("proc/sys/kernel/osrelease", "6.8.0-generic\n"),
        ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"),
        ("proc/self/mounts", "tmpfs /dev/shm tmpfs rw,huge=advise,size=8388608k 0 0\n"),
        ("proc/stat", "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 100 0 0 800 0 0 0 0 0 0\n"),
        ("proc/loadavg", "0.10 0.20 0.30 1/200 99\n"),
        ("proc/sys/kernel/perf_event_paranoid", "4\n"),
        ("sys/bus/event_source/devices/cpu/type", "4\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
        (
            "sys/kernel/mm/transparent_hugepage/shmem_enabled",
            "always within_size [advise] never deny force\n",
        ),
        ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n"),
        ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n"),
        ("sys/devices/system/node/node0/cpulist", "0-1,4-5\n"),
        ("sys/devices/system/node/node1/cpulist", "2-3,6-7\n"),
        ("sys/devices/system/node/node2/cpulist", "\n"),
        (
            "sys/devices/system/node/node2/meminfo",
            "Node 2 MemTotal: 1048576 kB\nNode 2 MemFree: 524288 kB\n",
        ),
        ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"),
    ]);
    for cpu in 0..8 {
        let (core, package) = (cpu % 4, cpu % 4 / 2);
        let siblings = format!("{core},{}", core + 4);
        topology(&tree, cpu, package, &siblings);
        cache(&tree, cpu, 0, 1, "Data", "48K", &siblings);
        let all = if package == 0 { "0-1,4-5" } else { "2-3,6-7" };
        cache(&tree, cpu, 1, 3, "Unified", "32M", all);
        let governor = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        tree.put(&governor, if cpu == 7 { "powersave\n" } else { "performance\n" });
    }
    tree
}

/// Two cores of two threads, and four small cores.
pub(crate) fn hybrid() -> Tree {
    let tree = Tree::new(&[
        ("sys/devices/system/cpu/online", "0-7\n"),
        ("proc/self/status", "Cpus_allowed_list:\t0-7\n"),
        ("sys/devices/cpu_core/cpus", "0-3\n"),
        ("sys/devices/cpu_atom/cpus", "4-7\n"),
    ]);
    for cpu in 0..8 {
        let siblings = match cpu {
            0 | 1 => "0-1".to_owned(),
            2 | 3 => "2-3".to_owned(),
            _ => cpu.to_string(),
        };
        topology(&tree, cpu, 0, &siblings);
    }
    tree
}

/// A container of one and a half CPUs, two of four in its cpuset, and little room.
pub(crate) fn container() -> Tree {
    let tree = Tree::new(&[
        (".dockerenv", ""),
        ("sys/devices/system/cpu/online", "0-3\n"),
        ("proc/self/status", "Seccomp:\t2\nUid:\t0\t0\t0\t0\nCpus_allowed_list:\t0-1\n"),
        ("proc/self/cgroup", "0::/\n"),
        ("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n"),
        ("proc/self/mounts", "shm /dev/shm tmpfs rw,nosuid,size=65536k 0 0\n"),
        ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/cpu.stat", "nr_periods 100\nnr_throttled 40\nthrottled_usec 1500000\n"),
        ("sys/fs/cgroup/cpuset.cpus.effective", "0-1\n"),
        ("sys/fs/cgroup/memory.max", "1073741824\n"),
        ("sys/fs/cgroup/pids.max", "4\n"),
        ("sys/fs/cgroup/pids.current", "3\n"),
    ]);
    for cpu in 0..4 {
        topology(&tree, cpu, 0, &cpu.to_string());
    }
    tree
}

/// Two large cores and two small ones, and no word on caches, nodes or packages.
pub(crate) fn arm() -> Tree {
    let tree = Tree::new(&[
        ("sys/devices/system/cpu/online", "0-3\n"),
        ("proc/self/status", "Cpus_allowed_list:\t0-3\n"),
        ("proc/sys/kernel/osrelease", "5.10.110\n"),
        ("proc/cpuinfo", "processor\t: 0\nCPU part\t: 0xd05\n"),
    ]);
    for cpu in 0..4 {
        let capacity = format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity");
        tree.put(&capacity, if cpu < 2 { "430\n" } else { "1024\n" });
        tree.put(&format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"), "-1\n");
    }
    tree
}
