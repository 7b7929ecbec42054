//! Inventories of machines that tests have written.

use serde_json::Value;

use super::trees::{arm, container, hybrid, two_sockets};
use super::*;
use crate::host::huge::Means;
use crate::host::root::tests::Tree;

fn wish(bind: Bind) -> Wish {
    Wish { procs: Procs::Auto, bind, map: Map::Close, cpus: None }
}

fn take(tree: &Tree) -> Inventory {
    Inventory::take(&tree.root, &wish(Bind::Core)).unwrap()
}

#[test]
fn two_sockets_have_cores_siblings_caches_and_a_node_of_memory_alone() {
    let tree = two_sockets();
    let found = take(&tree);
    assert_eq!((found.packages(), found.cores(), found.cpus.len()), (2, 4, 8));
    let groups: Vec<(u32, u32, String, String)> = found
        .groups()
        .iter()
        .map(|group| {
            (group.package, group.node, group.cores.to_string(), group.siblings.to_string())
        })
        .collect();
    let group =
        |at: u32, cores: &str, siblings: &str| (at, at, cores.to_owned(), siblings.to_owned());
    assert_eq!(groups, [group(0, "0-1", "4-5"), group(1, "2-3", "6-7")]);
    let shared: Vec<usize> = found.caches.iter().map(|caches| caches.shared.len()).collect();
    assert_eq!(shared, [4, 2]);
    assert_eq!(found.caches[1].shared[1].to_string(), "2-3,6-7");
    let alone = &found.nodes[2];
    assert!(alone.cpus.is_empty());
    assert_eq!((alone.total, alone.free), (Some(1 << 30), Some(512 << 20)));
    assert_eq!((found.ranks.procs, found.ranks.because), (4, "the physical cores"));
    assert_eq!(found.ranks.pins, [0, 1, 2, 3].map(Some));
    assert_eq!(found.pages.means, Means::Given);
    let threads = Inventory::take(&tree.root, &wish(Bind::Hwthread)).unwrap();
    assert_eq!(threads.ranks.procs, 8);
}

#[test]
fn kinds_of_cores_are_told_apart_by_name_or_by_capacity() {
    let found = take(&hybrid());
    let kinds: Vec<_> =
        found.groups().iter().map(|group| (group.kind, group.cores.len())).collect();
    use crate::host::topology::Kind::{Efficiency, Performance};
    assert_eq!(kinds, [(Some(Performance), 2), (Some(Efficiency), 4)]);

    let found = take(&arm());
    assert!(found.caches.is_empty() && found.nodes.is_empty());
    let capacities: Vec<_> =
        found.groups().iter().map(|group| (group.capacity, group.cores.to_string())).collect();
    assert_eq!(capacities, [(Some(1024), "2-3".to_owned()), (Some(430), "0-1".to_owned())]);
}

#[test]
fn a_container_is_bounded_in_all_it_has() {
    let found = take(&container());
    assert_eq!(
        (found.online.to_string(), found.allowed.to_string()),
        ("0-3".to_owned(), "0-1".to_owned())
    );
    assert_eq!(found.quota, Some(1.5));
    assert_eq!(found.memory.most(), Some(1 << 30));
    assert_eq!(found.memory.dev_shm.unwrap().bytes, 64 << 20);
    assert_eq!(found.ranks.pins, [Some(0), Some(1)]);
}

#[test]
fn a_document_holds_what_is_not_known_as_null() {
    let read = |tree: &Tree| -> Value { serde_json::from_str(&take(tree).to_json()).unwrap() };
    let document = read(&arm());
    for name in ["cpu_quota", "cpuset", "cpu_model", "shm"] {
        assert!(document.get(name).is_some_and(Value::is_null), "{name} of {document}");
    }
    let document = read(&two_sockets());
    assert_eq!(document["schema"], 1);
    assert_eq!(document["cpus"][6]["thread"], 1);
    assert_eq!(document["cpus"][6]["core"], 2);
    assert_eq!(document["caches"][0]["shared_by"][3], "3,7");
    assert_eq!(document["huge_pages"]["reserved"][0]["free"], 3);
    assert_eq!(document["ranks"]["nodes"], serde_json::json!([0, 0, 1, 1]));
}

#[test]
fn a_document_says_how_shared_memory_comes_by_huge_pages() {
    let tree = two_sockets();
    let pages = || {
        let document: Value = serde_json::from_str(&take(&tree).to_json()).unwrap();
        document["huge_pages"].clone()
    };
    assert_eq!(pages()["means"], "given");
    tree.put("proc/self/mounts", "tmpfs /dev/shm tmpfs rw 0 0\n");
    assert!(pages()["means"].is_null());
    assert!(pages()["missing"].as_str().unwrap().contains("remount"), "{}", pages());
    tree.put("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n");
    assert_eq!(pages()["means"], "made");
    assert!(pages()["missing"].is_null());
}

#[test]
fn a_directory_without_a_machine_is_refused() {
    let tree = Tree::new(&[("home/a", "")]);
    let error = root(Some(tree.root.path(""))).unwrap_err();
    assert!(error.to_string().contains("neither `proc` nor `sys`"), "{error}");
}
