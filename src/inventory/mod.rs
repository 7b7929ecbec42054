//! What this machine offers a run: CPUs and caches, memory, limits, and where ranks would go.
//!
//! Every fact is read by its one reader in `host/`, below a [`Root`]: so a copy of another machine's `/sys` and
//! `/proc` is looked at as this machine is. Judges nothing: `doctor/` does.

mod cpus;
mod document;
mod memory;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod trees;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub(crate) use self::cpus::{Caches, Cpu, Group};
pub(crate) use self::memory::{Memory, Node, Pages};
use crate::error::{Error, Explained};
use crate::host::affinity::CpuSet;
use crate::host::root::Root;
use crate::host::{limits, topology};
use crate::options::{Bind, Map, Procs};
use crate::placement::{Machine as _, Placement};

/// How ranks would be placed, as the options of a run say it.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) procs: Procs,
    pub(crate) bind: Bind,
    pub(crate) map: Map,
    pub(crate) cpus: Option<CpuSet>,
}

/// What a machine offers.
#[derive(Clone, Debug)]
pub(crate) struct Inventory {
    pub(crate) host: Option<String>,
    /// The release of the kernel.
    pub(crate) kernel: Option<String>,
    pub(crate) model: Option<String>,
    /// All that are switched on, in order.
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) online: CpuSet,
    /// Those this process may use.
    pub(crate) allowed: CpuSet,
    /// Those its control group may use, where it says.
    pub(crate) cpuset: Option<CpuSet>,
    pub(crate) caches: Vec<Caches>,
    pub(crate) nodes: Vec<Node>,
    /// In CPUs.
    pub(crate) quota: Option<f64>,
    pub(crate) memory: Memory,
    pub(crate) pages: Pages,
    pub(crate) bind: Bind,
    /// Where ranks would go.
    pub(crate) ranks: Placement,
}

impl Inventory {
    /// Looks at the machine whose files are below `root`.
    pub(crate) fn take(root: &Root, wish: &Wish) -> Result<Self, Error> {
        let allowed = root.allowed()?;
        let online = topology::online_of(root).unwrap_or_else(|| allowed.clone());
        let Wish { procs, bind, map, cpus } = wish;
        let ranks = Placement::new(root, *procs, *bind, *map, cpus.as_ref())?;
        Ok(Self {
            host: root.line("proc/sys/kernel/hostname"),
            kernel: root.line("proc/sys/kernel/osrelease"),
            model: topology::model_of(root),
            cpus: cpus::read(root, &online),
            cpuset: limits::cpuset_of(root),
            caches: cpus::caches(root, &online),
            nodes: memory::nodes(root),
            quota: limits::cpu_quota_of(root),
            memory: memory::read(root),
            pages: memory::pages(root),
            bind: *bind,
            ranks,
            online,
            allowed,
        })
    }

    /// Returns how many packages the CPUs that are switched on lie in.
    pub(crate) fn packages(&self) -> usize {
        distinct(self.cpus.iter().map(|cpu| cpu.place.package))
    }

    /// Returns how many physical cores they are.
    pub(crate) fn cores(&self) -> usize {
        distinct(self.cpus.iter().map(|cpu| cpu.place.core))
    }

    /// Returns which of the machine's CPUs are of one sort, sort by sort.
    pub(crate) fn groups(&self) -> Vec<Group> {
        cpus::groups(&self.cpus)
    }

    /// Returns a CPU that is switched on.
    pub(crate) fn cpu(&self, cpu: u32) -> Option<&Cpu> {
        self.cpus.iter().find(|known| known.place.cpu == cpu)
    }
}

fn distinct(numbers: impl Iterator<Item = u32>) -> usize {
    numbers.collect::<BTreeSet<u32>>().len()
}

/// Returns the root that somebody asks about: this machine's, or a copy in a directory.
pub(crate) fn root(copy: Option<PathBuf>) -> Result<Root, Error> {
    let Some(dir) = copy else { return Ok(Root::system()) };
    let root = Root::copy(&dir);
    if root.has("proc") || root.has("sys") {
        return Ok(root);
    }
    let what = format!("`{}` holds neither `proc` nor `sys`", crate::data::shown_path(&dir));
    Err(Error::rejected(
        Explained::new(what).hint("--root names the directory above a copy of another machine's"),
    ))
}
