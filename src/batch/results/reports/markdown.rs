//! `report.md`: for people. The median comes first, and how sure it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::study::{Point, Study, Summary, cell};
use crate::batch::results::done::Status;
use crate::figures::{scaled, time};

pub(super) fn text(study: &Study) -> String {
    let mut text = format!("# {}\n", inline(&study.name));
    let _ = writeln!(text, "\n{}", counts(study));
    if !study.notes.is_empty() {
        text.push('\n');
    }
    for note in &study.notes {
        let _ = writeln!(text, "- {}", inline(note));
    }
    for (job, points) in study.jobs() {
        table(&mut text, study, job, &points);
    }
    missed(&mut text, study);
    failures(&mut text, study);
    if study.orphans > 0 {
        let _ = writeln!(
            text,
            "\n{} no longer what file, options and this build of spmd make, and left out; the samples are kept.",
            are(study.orphans, "point")
        );
    }
    text.push_str("\n## Environment\n\n| | |\n|---|---|\n");
    for (name, fact) in study.environment() {
        let _ = writeln!(text, "| {name} | {} |", inline(&fact));
    }
    text
}

fn counts(study: &Study) -> String {
    let samples: usize = study.points.iter().map(|point| point.times.len()).sum();
    let failed: usize = study.points.iter().map(|point| point.failures.len()).sum();
    let missing = study.points.iter().filter(|point| point.exits.is_empty()).count();
    let disturbed: usize = study.points.iter().map(|point| point.disturbed).sum();
    let mut text = format!(
        "{} of {}, {failed} failed, {disturbed} disturbed.",
        number(samples, "sample"),
        number(study.points.len(), "point")
    );
    if missing > 0 {
        let _ = write!(text, " {} not run yet.", are(missing, "point"));
    }
    text.push_str(
        " Times are of one pass: the median, in brackets what holds it with 95 % whatever the \
         distribution (of fewer than six samples nothing is sure), and the least.",
    );
    text
}

fn table(text: &mut String, study: &Study, job: &str, points: &[&Point]) {
    let _ = writeln!(text, "\n## {}\n", inline(job));
    // What varies within this job.
    let value = |point: &Point, at: usize| point.options.get(at).cloned().flatten();
    let varies = |at: &usize| {
        let first = points.first().map(|point| value(point, *at));
        points.iter().any(|point| Some(value(point, *at)) != first)
    };
    let columns: Vec<usize> = (0..study.varying.len()).filter(varies).collect();
    let _ = writeln!(text, "{}\n", same(study, points, &columns));
    let names: Vec<&str> =
        columns.iter().filter_map(|at| study.varying.get(*at).map(String::as_str)).collect();
    let head = if names.is_empty() { vec!["point"] } else { names };
    let rest = ["median [95 %]", "min", "n", "items/s", "B/s", "imbalance", "failed", "flags"];
    let _ = writeln!(text, "| {} | {} |", head.join(" | "), rest.join(" | "));
    let figures_are = "--:|".repeat(rest.len() - 1);
    let _ = writeln!(text, "|{}{figures_are}---|", "---|".repeat(head.len()));
    for point in points {
        let mut cells: Vec<String> =
            columns.iter().map(|at| inline(&cell(value(point, *at).as_ref()))).collect();
        if cells.is_empty() {
            cells.push(inline(&point.id));
        }
        cells.extend(figures(point));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn figures(point: &Point) -> [String; 8] {
    let of = |shown: fn(&Summary) -> Option<String>| {
        point.figures.as_ref().and_then(shown).unwrap_or_default()
    };
    [
        of(|f| {
            Some(match f.interval {
                Some([low, high]) => format!("{} [{}, {}]", time(f.median), time(low), time(high)),
                None => time(f.median),
            })
        }),
        of(|f| Some(time(f.min))),
        point.times.len().to_string(),
        of(|f| f.items_per_s.map(|rate| scaled(rate).trim_end().to_owned())),
        of(|f| f.bytes_per_s.map(|rate| scaled(rate).trim_end().to_owned())),
        of(|f| f.imbalance.map(|share| format!("{:.1} %", share * 100.0))),
        point.failures.len().to_string(),
        point.flags.join(" "),
    ]
}

/// What all points of a job have in common and a reader should know.
fn same(study: &Study, points: &[&Point], varies: &[usize]) -> String {
    let told = |name: &str| {
        let names = ["kernel", "size", "input", "dtype", "procs", "schedule", "warmup", "in-place"];
        names.contains(&name) || name.starts_with("param.")
    };
    let own = study.varying.iter().enumerate().filter(|(at, _)| !varies.contains(at));
    let own = own.filter_map(|(at, name)| {
        let value = points.first()?.options.get(at)?.as_ref()?;
        Some((name.as_str(), value))
    });
    let all = own.chain(study.constant.iter().map(|(name, value)| (name.as_str(), value)));
    let said: Vec<String> = all
        .filter(|(name, _)| told(name))
        .map(|(name, value)| format!("{name} {}", inline(&cell(Some(value)))))
        .collect();
    said.join(", ")
}

/// References that were not reached.
fn missed(text: &mut String, study: &Study) {
    let missed: Vec<(&Point, &String)> = study
        .points
        .iter()
        .flat_map(|point| point.missed.iter().map(move |missed| (point, missed)))
        .collect();
    if missed.is_empty() {
        return;
    }
    text.push_str("\n## References that were not reached\n\n");
    for (point, missed) in missed {
        let _ = writeln!(text, "- {}: {}", inline(&point.id), inline(missed));
    }
}

/// Failures with their reasons; alike ones of a point together.
fn failures(text: &mut String, study: &Study) {
    let mut begun = false;
    for point in &study.points {
        let mut alike: BTreeMap<(Status, &str), Vec<u32>> = BTreeMap::new();
        for failure in &point.failures {
            alike.entry((failure.status, &failure.why)).or_default().push(failure.repeat);
        }
        for ((status, why), repeats) in alike {
            if !begun {
                text.push_str("\n## Failures\n\n");
                begun = true;
            }
            let repeats = match repeats.as_slice() {
                [one] => format!("repeat {one}"),
                [first, .., last] => {
                    format!("{} repeats, {first} to {last}", repeats.len())
                }
                [] => String::new(),
            };
            let (id, why) = (inline(&point.id), inline(why));
            let _ = writeln!(text, "- {id} ({repeats}): {}: {why}", status.name());
        }
    }
}

fn number(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn are(count: usize, noun: &str) -> String {
    format!("{} {}", number(count, noun), if count == 1 { "is" } else { "are" })
}

/// Text of others, in one line that neither ends a cell nor begins a tag.
fn inline(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => line.push(' '),
            '|' | '\\' | '`' | '*' | '_' | '<' | '[' => line.extend(['\\', c]),
            c => line.push(c),
        }
    }
    line
}
