//! The memory of a machine, its bounds, and the pages it comes in.

use crate::host::affinity::CpuSet;
use crate::host::huge::{self, Holder, Means, Reserved};
use crate::host::limits::{self, Room};
use crate::host::root::Root;
use crate::host::topology;

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total: Option<u64>,
    /// What the kernel thinks can be had without swapping.
    pub(crate) available: Option<u64>,
    /// What our control group may have.
    pub(crate) limit: Option<u64>,
    pub(crate) dev_shm: Option<Room>,
}

impl Memory {
    /// Returns what a process here can have at most.
    pub(crate) fn most(&self) -> Option<u64> {
        [self.total, self.limit].into_iter().flatten().min()
    }
}

pub(super) fn read(root: &Root) -> Memory {
    Memory {
        total: limits::total_memory_of(root),
        available: limits::available_memory_of(root),
        limit: limits::memory_limit_of(root),
        dev_shm: limits::dev_shm_of(root),
    }
}

/// A NUMA node; memory in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) node: u32,
    /// None: it has only memory.
    pub(crate) cpus: CpuSet,
    pub(crate) total: Option<u64>,
    pub(crate) free: Option<u64>,
}

pub(super) fn nodes(root: &Root) -> Vec<Node> {
    let node = |(node, cpus)| {
        let (total, free) = limits::node_memory_of(root, node);
        Node { node, cpus, total, free }
    };
    topology::nodes_of(root).into_iter().map(node).collect()
}

/// Which pages memory comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    /// The rule for private memory, in the kernel's word.
    pub(crate) private: Option<String>,
    /// And for shared.
    pub(crate) shared: Option<String>,
    /// How `/dev/shm` comes by huge ones.
    pub(crate) means: Means,
    pub(crate) reserved: Vec<Reserved>,
}

pub(super) fn pages(root: &Root) -> Pages {
    Pages {
        private: huge::rule_of(root, "enabled"),
        shared: huge::rule_of(root, "shmem_enabled"),
        means: huge::means_of(root, Holder::DevShm),
        reserved: huge::reserved_of(root),
    }
}
