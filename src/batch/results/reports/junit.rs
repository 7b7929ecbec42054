//! JUnit's XML: a suite for each job, a case for each point.

use std::fmt::Write as _;

use super::study::{Point, Study};

pub(super) fn text(study: &Study) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    let all: Vec<&Point> = study.points.iter().collect();
    head(&mut text, &study.name, &all);
    for (job, points) in study.jobs() {
        text.push_str("  <testsuite");
        head(&mut text, job, &points);
        for point in points {
            case(&mut text, point);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn head(text: &mut String, name: &str, points: &[&Point]) {
    let bad = |point: &&&Point| !point.failures.is_empty() || !point.missed.is_empty();
    let failed = points.iter().filter(bad).count();
    let skipped = points.iter().filter(|point| point.exits.is_empty()).count();
    let seconds = points.iter().fold(0.0, |sum, point| sum + point.total);
    let _ = writeln!(
        text,
        " name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{seconds:.6}\">",
        escaped(name),
        points.len(),
    );
}

fn case(text: &mut String, point: &Point) {
    let (job, id, seconds) = (escaped(&point.job), escaped(&point.id), point.total);
    let _ = write!(text, "    <testcase classname=\"{job}\" name=\"{id}\" time=\"{seconds:.6}\"");
    match point.failures.first() {
        None if point.exits.is_empty() => text.push_str(">\n      <skipped/>\n    </testcase>\n"),
        None if !point.missed.is_empty() => {
            let why = escaped(&point.missed.join("; "));
            let _ = write!(
                text,
                ">\n      <failure type=\"slow\" message=\"{why}\"/>\n    </testcase>\n"
            );
        }
        None => text.push_str("/>\n"),
        Some(first) => {
            let (kind, why) = (first.status.name(), escaped(&first.why));
            let _ = write!(text, ">\n      <failure type=\"{kind}\" message=\"{why}\">");
            for failure in &point.failures {
                let (kind, why) = (failure.status.name(), escaped(&failure.why));
                let _ = writeln!(
                    text,
                    "repeat {}, attempt {}: {kind} ({}): {why}",
                    failure.repeat, failure.attempt, failure.exit
                );
            }
            text.push_str("</failure>\n    </testcase>\n");
        }
    }
}

/// Text as XML 1.0 has it; characters that it has no way to write become a space.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
