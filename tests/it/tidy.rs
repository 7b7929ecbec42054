//! Rules of this repository that a compiler does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, by its path from the root, with its text.
fn files(folder: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// The code of a file: no comments, and nothing from its tests on.
fn code(text: &str) -> String {
    let body = text.split("tests {\n").next().unwrap();
    let lines = body.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every file whose code holds one of these.
fn holding(texts: &[&str]) -> BTreeSet<String> {
    files("src")
        .into_iter()
        .chain(files("kernels"))
        .filter(|(_, text)| texts.iter().any(|needle| code(text).contains(needle)))
        .map(|(name, _)| name)
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn each_wrapped_package_is_imported_by_one_file() {
    for (package, file) in [
        ("shared_memory::", "src/shm/region.rs"),
        ("raw_sync::", "src/shm/lock.rs"),
        ("memmap2::", "src/host/map.rs"),
        ("core_affinity::", "src/host/affinity.rs"),
        ("perf_event::", "src/host/events.rs"),
    ] {
        assert_eq!(holding(&[package]), set(&[file]), "{package}");
    }
}

#[test]
fn only_the_reporter_prints() {
    let printing =
        ["println!", "print!(", "eprint", "dbg!", "io::stdout()", "io::stderr()", "io::Stdout"];
    let known = set(&[
        "src/report.rs",
        // Asks whether stderr is a terminal, and lets the progress bar draw on it.
        "src/cli/screen.rs",
        // A rank that cannot attach has no other place for its last words.
        "src/worker/mod.rs",
    ]);
    assert_eq!(holding(&printing), known);
    let cli = code(&fs::read_to_string(root().join("src/cli/screen.rs")).unwrap());
    for line in cli.lines().filter(|line| printing.iter().any(|needle| line.contains(needle))) {
        assert_eq!(line.trim(), "&& io::stderr().is_terminal()", "src/cli/screen.rs prints");
    }
    let worker = code(&fs::read_to_string(root().join("src/worker/mod.rs")).unwrap());
    let lines = worker.lines().filter(|line| printing.iter().any(|needle| line.contains(needle)));
    assert_eq!(lines.count(), 1, "src/worker/mod.rs prints once");
}

/// The modules, from the top down: each uses only what stands below it, or beside it in its line.
const ORDER: &[&[&str]] = &[
    &["main"],
    &["lib"],
    &["fuzzing"],
    &["cli"],
    &["report"],
    &["scale"],
    &["bench"],
    &["compare"],
    &["batch"],
    &["crew"],
    &["run"],
    &["record"],
    &["doctor"],
    &["inventory"],
    &["clean"],
    &["engine"],
    &["worker"],
    &["plan"],
    &["tune"],
    &["trace"],
    &["arrays"],
    &["job"],
    &["calibration"],
    &["phase"],
    &["placement"],
    &["kernels"],
    &["options"],
    &["inject"],
    &["kernel"],
    &["shm"],
    &["left"],
    &["scaling"],
    &["plots"],
    &["statistics", "figures"],
    &["schedule"],
    &["data"],
    &["host"],
    &["panics", "log"],
    &["error"],
];

/// What the crate's root re-exports, and which module it is from.
fn home(name: &str) -> &str {
    match name {
        "DType" | "Scalar" | "Shape" | "InputSpec" | "OutputSpec" | "Overflow" | "with_dtype" => {
            "data"
        }
        "Error" | "Exit" | "Explained" => "error",
        "Verify" | "RunOptions" | "Procs" => "options",
        "Cost" | "Block" | "Kernel" | "KernelError" | "random_bits" | "vectorised" => "kernel",
        module => module,
    }
}

/// The modules that a file's code names with `crate::`, singly or in braces.
fn uses(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut found = BTreeSet::new();
    // In a macro `$crate::` is the same for whoever calls it, anywhere.
    for rest in code.replace("$crate::", "").split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap(),
            None => rest,
        };
        let list = if rest.starts_with('{') { names.split(',').collect() } else { vec![names] };
        for name in list {
            let name: String =
                name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(home(&name).to_owned());
        }
    }
    found.remove("");
    found
}

#[test]
fn modules_depend_downwards() {
    let level = |module: &str| {
        let found = ORDER.iter().position(|line| line.contains(&module));
        found.unwrap_or_else(|| panic!("module `{module}` has no place in ORDER"))
    };
    for (name, text) in files("src").into_iter().chain(files("kernels")) {
        let path = Path::new(&name);
        let module = match path.components().nth(1).unwrap().as_os_str().to_str().unwrap() {
            _ if name.starts_with("kernels/") => "kernels",
            file => file.trim_end_matches(".rs"),
        };
        if module == "lib" {
            continue; // It names every module to declare it.
        }
        for used in uses(&text) {
            if used == module {
                continue;
            }
            assert!(
                level(module) < level(&used),
                "{name} uses `crate::{used}`, which stands above it"
            );
        }
    }
}

#[test]
fn kernels_see_the_contract_and_nothing_else() {
    for (name, text) in files("kernels") {
        for used in uses(&text) {
            let known = ["kernel", "data"];
            assert!(known.contains(&used.as_str()), "{name} uses `crate::{used}`");
        }
    }
}

#[test]
fn every_label_of_an_ordering_has_a_partner() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (name, text) in files("src/shm") {
        let comments = text.lines().filter_map(|line| line.split_once("// ").map(|(_, c)| c));
        for comment in comments.filter(|comment| !comment.starts_with('!')) {
            for part in comment.split('[').skip(1) {
                let label = part.split(']').next().unwrap();
                let word = |c: char| c.is_ascii_lowercase() || c == '-';
                if part.contains(']') && !label.is_empty() && label.chars().all(word) {
                    *seen.entry(label.to_owned()).or_default() += 1;
                }
            }
        }
        let _ = name;
    }
    assert!(seen.len() > 3, "{seen:?}");
    let alone: Vec<&String> =
        seen.iter().filter(|(_, count)| **count < 2).map(|(label, _)| label).collect();
    assert!(alone.is_empty(), "labels without a partner: {alone:?}");
}

#[test]
fn atomic_orderings_outside_of_tests_are_explained() {
    let unexplained: Vec<String> = files("src/shm")
        .into_iter()
        .flat_map(|(name, text)| {
            let body = text.split("tests {\n").next().unwrap().to_owned();
            let lines: Vec<String> = body.lines().map(str::to_owned).collect();
            (0..lines.len())
                .filter(|&at| {
                    let line = lines[at].split("//").next().unwrap();
                    let call =
                        line.contains('(') && !line.trim_start().starts_with("pub(crate) use");
                    let strong = ["Acquire", "Release", "AcqRel", "SeqCst"];
                    call && strong.iter().any(|ordering| line.contains(ordering))
                        && !lines[at.saturating_sub(4)..=at].iter().any(|line| line.contains("//"))
                })
                .map(|at| format!("{name}:{}: {}", at + 1, lines[at].trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}

#[test]
fn files_are_named_by_what_they_hold() {
    for name in ["src", "kernels", "tests", "examples"].into_iter().flat_map(files).map(|(n, _)| n)
    {
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap();
        for vague in ["utils", "util", "common", "misc", "manager", "helpers", "helper"] {
            assert_ne!(stem, vague, "{name}");
        }
    }
}

#[test]
fn unsafe_code_is_where_it_is_expected() {
    for (name, text) in files("src") {
        let code = code(&text);
        let holds =
            code.contains("unsafe {") || code.contains("unsafe impl") || code.contains("unsafe fn");
        assert!(!holds || code.contains("expect(unsafe_code"), "{name}");
    }
    for (name, text) in files("kernels") {
        assert!(!code(&text).contains("unsafe"), "{name}: a kernel needs none");
    }
}
