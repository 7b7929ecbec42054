//! Runs one after another with ranks that stay alive, as the lines on stdin say.

use std::fs;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use spmd::{Crew, Error, Finished, Run, RunOptions};

/// Follows each line, and answers it with one of JSON.
pub(crate) fn follow() -> io::Result<()> {
    let mut crew = Crew::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match verb {
            "warm" => told(crew.run(run(rest))),
            "cold" => told(run(rest).start().and_then(spmd::Handle::wait)),
            "often" => often(&mut crew, rest),
            "hold" => hold(&mut crew, rest),
            "drop" => {
                crew = Crew::new();
                facts()
            }
            "facts" => facts(),
            other => panic!("{other:?} is no order"),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn run(options: &str) -> Run {
    let options: RunOptions = serde_json::from_str(options).expect("options as JSON");
    Run::from_options(options)
}

fn told(finished: Result<Finished, Error>) -> String {
    match finished {
        Ok(finished) => finished.record().to_json().trim_end().to_owned(),
        Err(error) => serde_json::json!({ "error": error.to_string() }).to_string(),
    }
}

/// Runs one after another, and returns the values of each when all are over.
fn hold(crew: &mut Crew, rest: &str) -> String {
    let all: Vec<RunOptions> = serde_json::from_str(rest).expect("a list of options");
    let all: Vec<Finished> = all
        .into_iter()
        .map(|options| crew.run(Run::from_options(options)).expect("a run that goes well"))
        .collect();
    let values = |finished: &Finished| finished.values::<i64>().expect("integers");
    serde_json::json!(all.iter().map(values).collect::<Vec<_>>()).to_string()
}

/// `N OPTIONS`: returns the microseconds of each of so many runs, sorted, at some places.
fn often(crew: &mut Crew, rest: &str) -> String {
    let (count, options) = rest.split_once(' ').expect("a number and options");
    let count: usize = count.parse().expect("a number");
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        if let Err(error) = crew.run(run(options)) {
            return told(Err(error));
        }
        spans.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let mean = spans.iter().sum::<f64>() / count.max(1) as f64;
    spans.sort_by(f64::total_cmp);
    let at = |part: usize| spans.get((spans.len().saturating_sub(1)) * part / 100).copied();
    serde_json::json!({
        "runs": count, "mean_us": mean, "min_us": at(0), "median_us": at(50), "p99_us": at(99),
    })
    .to_string()
}

/// What this process holds.
fn facts() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = rss.and_then(|rss| rss.trim().trim_end_matches(" kB").parse().ok());
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    serde_json::json!({ "descriptors": descriptors, "rss_kib": kib }).to_string()
}
