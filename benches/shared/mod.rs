//! What all benches need: the machine in words, medians, and a place for results.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes report and samples to where `--save DIR` says, if it does.
pub(crate) fn save(arguments: &[String], report: &str, raw: &str) {
    let at = arguments.iter().position(|argument| argument == "--save");
    if let Some(folder) = at.and_then(|at| arguments.get(at + 1)) {
        fs::create_dir_all(folder).expect("a folder for results");
        fs::write(Path::new(folder).join("README.md"), report).expect("results");
        fs::write(Path::new(folder).join("samples.jsonl"), raw).expect("samples");
    }
}

/// Returns the head of a report: what was run, where.
pub(crate) fn machine(title: &str, bench: &str) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("?");
    let cpus = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().unwrap_or("?").trim_start_matches("MemTotal:").trim();
    let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let commit = commit.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    format!(
        "# {title}\n\n- machine: {}, {cpus} cpus, {memory} memory, Linux {}\n- commit: {}\n- command: `cargo bench --bench {bench}`\n\n",
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        commit.unwrap_or_default(),
    )
}

/// Returns the middle one.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Returns the distribution-free 95 % interval of the median, by order statistics.
pub(crate) fn interval(samples: &[f64]) -> (f64, f64) {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let half = 0.98 * n.sqrt();
    let low = (n / 2.0 - half).floor().max(0.0) as usize;
    let high = ((n / 2.0 + half).ceil() as usize).min(sorted.len() - 1);
    (sorted[low], sorted[high])
}
