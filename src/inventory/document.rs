//! The JSON of an inventory: one schema, versioned, that only grows. What is not known is `null`.

use serde_json::{Value, json};

use super::{Caches, Cpu, Inventory, Node};
use crate::host::affinity::CpuSet;
use crate::host::huge::Means;
use crate::host::topology::Kind;

impl Inventory {
    /// Returns it as one JSON document.
    pub(crate) fn to_json(&self) -> String {
        json!({
            "schema": 1,
            "status": "ok",
            "exit": 0,
            "host": self.host,
            "kernel": self.kernel,
            "cpu_model": self.model,
            "cpus_online": self.online.to_string(),
            "cpus_allowed": self.allowed.to_string(),
            "cpuset": self.cpuset.as_ref().map(CpuSet::to_string),
            "cpu_quota": self.quota,
            "packages": self.packages(),
            "cores": self.cores(),
            "cpus": self.cpus.iter().map(|cpu| self.cpu_json(cpu)).collect::<Vec<Value>>(),
            "caches": self.caches.iter().map(caches).collect::<Vec<Value>>(),
            "numa": self.nodes.iter().map(node).collect::<Vec<Value>>(),
            "memory": {
                "total_bytes": self.memory.total,
                "available_bytes": self.memory.available,
                "limit_bytes": self.memory.limit,
            },
            "shm": self.memory.dev_shm.map(|room| json!({
                "bytes": room.bytes,
                "free_bytes": room.free,
            })),
            "huge_pages": {
                "private": self.pages.private,
                "shared": self.pages.shared,
                "means": match self.pages.means {
                    Means::Given => Some("given"),
                    Means::Made => Some("made"),
                    Means::None { .. } => None,
                },
                "missing": match &self.pages.means {
                    Means::None { fix } => Some(fix),
                    Means::Given | Means::Made => None,
                },
                "reserved": self.pages.reserved.iter().map(|pool| json!({
                    "page_bytes": pool.bytes,
                    "total": pool.total,
                    "free": pool.free,
                })).collect::<Vec<Value>>(),
            },
            "ranks": {
                "procs": self.ranks.procs,
                "because": self.ranks.because,
                "cpus": self.ranks.pins,
                "nodes": self.ranks.nodes(),
                "warnings": self.ranks.warnings,
            },
        })
        .to_string()
    }

    fn cpu_json(&self, cpu: &Cpu) -> Value {
        json!({
            "cpu": cpu.place.cpu,
            "core": cpu.place.core,
            "thread": cpu.thread,
            "package": cpu.place.package,
            "node": cpu.place.node,
            "kind": cpu.kind.map(|kind| match kind {
                Kind::Performance => "performance",
                Kind::Efficiency => "efficiency",
            }),
            "capacity": cpu.capacity,
            "highest_khz": cpu.highest_khz,
            "allowed": self.allowed.contains(cpu.place.cpu),
        })
    }
}

fn caches(caches: &Caches) -> Value {
    json!({
        "level": caches.level,
        "kind": caches.kind,
        "bytes": caches.bytes,
        "shared_by": caches.shared.iter().map(CpuSet::to_string).collect::<Vec<String>>(),
    })
}

fn node(node: &Node) -> Value {
    json!({
        "node": node.node,
        "cpus": node.cpus.to_string(),
        "total_bytes": node.total,
        "free_bytes": node.free,
    })
}
