//! `summary.csv`: a row for each point, with the environment in comments above. Seconds, items and bytes
//! per second; what there is not is empty.

use std::fmt::Write as _;

use super::study::{Point, Study, cell};

pub(super) fn text(study: &Study) -> String {
    let mut text = format!("# batch: {}\n", line(&study.name));
    for (name, fact) in study.environment() {
        let _ = writeln!(text, "# {name}: {}", line(&fact));
    }
    text.push_str(
        "# units: seconds of one pass; items and bytes a second; imbalance max/mean - 1\n",
    );
    let fixed = [
        "n",
        "failed",
        "min",
        "p25",
        "median",
        "p75",
        "p95",
        "max",
        "mean",
        "ci_lo",
        "ci_hi",
        "items_per_s",
        "bytes_per_s",
        "imbalance",
        "flags",
    ];
    let varying = study.varying.iter().map(String::as_str);
    let header = ["job", "id", "key"].into_iter().chain(varying).chain(fixed);
    row(&mut text, header.map(str::to_owned));
    for point in &study.points {
        row(&mut text, cells(point));
    }
    text
}

fn cells(point: &Point) -> impl Iterator<Item = String> {
    let named = [point.job.clone(), point.id.clone(), point.key.clone()];
    let options = point.options.iter().map(|value| cell(value.as_ref()));
    let counts = [point.times.len().to_string(), point.failures.len().to_string()];
    let figures = point.figures.as_ref();
    let figures = [
        figures.map(|f| f.min),
        figures.map(|f| f.p25),
        figures.map(|f| f.median),
        figures.map(|f| f.p75),
        figures.map(|f| f.p95),
        figures.map(|f| f.max),
        figures.map(|f| f.mean),
        figures.and_then(|f| f.interval).map(|[low, _]| low),
        figures.and_then(|f| f.interval).map(|[_, high]| high),
        figures.and_then(|f| f.items_per_s),
        figures.and_then(|f| f.bytes_per_s),
        figures.and_then(|f| f.imbalance),
    ];
    let figures = figures.into_iter().map(number);
    named.into_iter().chain(options).chain(counts).chain(figures).chain([point.flags.join(" ")])
}

/// As many digits as tell it from its neighbours; nothing for what is no number.
fn number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(String::new, |value| format!("{value:?}"))
}

fn row(text: &mut String, cells: impl Iterator<Item = String>) {
    let mut separator = "";
    for cell in cells {
        text.push_str(separator);
        if cell.contains([',', '"', '\n', '\r']) {
            let _ = write!(text, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            text.push_str(&cell);
        }
        separator = ",";
    }
    text.push('\n');
}

/// A comment is one line, whatever a host or a file is called.
fn line(fact: &str) -> String {
    fact.replace(char::is_control, " ")
}
