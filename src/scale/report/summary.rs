//! `summary.csv`: a row a point, in seconds; where it is from in comments above. What there is not is empty.

use std::fmt::Write as _;

use super::Findings;
use crate::scaling::{Estimate, Law};

pub(super) fn text(findings: &Findings) -> String {
    let mut text = format!("# {}\n", line(&findings.provenance()));
    for (name, fact) in &findings.environment {
        let _ = writeln!(text, "# {}: {}", line(name), line(fact));
    }
    for (name, value) in &findings.options {
        let _ = writeln!(text, "# {}: {}", line(name), line(value));
    }
    for (law, prediction) in &findings.predictions {
        let [time, speedup] =
            [prediction.time_s, prediction.speedup].map(|figure| number(Some(figure.value)));
        let _ = writeln!(
            text,
            "# predicted, not measured: procs {}, time_s {time}, speedup {speedup}, by {}",
            prediction.procs,
            law.name()
        );
    }
    text.push_str(
        "# units: seconds of one pass; losses are shares of procs * time and add up to 1\n",
    );
    let intervals = ["time_s", "speedup", "efficiency", "karp_flatt"]
        .into_iter()
        .flat_map(|name| [name.to_owned(), format!("{name}_lo"), format!("{name}_hi")]);
    let causes: Vec<_> = findings
        .losses
        .first()
        .map(|losses| losses.parts.iter().map(|part| part.cause).collect())
        .unwrap_or_default();
    let losses = causes.iter().map(|cause| {
        let word = super::words::cause(*cause).replace(' ', "_");
        format!("loss_{word}")
    });
    let fixed = [
        "imbalance",
        "items_per_s",
        "bytes_per_s",
        "flops_per_s",
        "instructions_per_cycle",
        "frequency_hz",
        "cache_misses_per_index",
        "marked",
        "rerun",
        "stayed_marked",
        "ended_by",
    ];
    let laws = findings.fits.iter().map(|fit| format!("time_s_by_{}", short(fit.law)));
    let mut head: Vec<String> = ["kernel", "procs", "size", "dtype", "n"].map(str::to_owned).into();
    head.extend(intervals);
    head.extend(fixed.map(str::to_owned));
    if !causes.is_empty() {
        head.push("ideal".to_owned());
    }
    head.extend(losses);
    head.extend(laws);
    row(&mut text, &head);
    for point in &findings.points {
        let figures = &point.figures;
        let mut cells = vec![
            findings.kernel.clone(),
            figures.procs.to_string(),
            figures.size.to_string(),
            findings.dtype.clone(),
            figures.n.to_string(),
        ];
        let estimates = [
            Some(figures.time_s),
            Some(figures.speedup),
            Some(figures.efficiency),
            figures.karp_flatt,
        ];
        cells.extend(estimates.into_iter().flat_map(ends));
        cells.extend(
            [point.imbalance, point.items_per_s, point.bytes_per_s, point.flops_per_s].map(number),
        );
        let counters = &point.counters;
        cells.extend([counters.per_cycle, counters.frequency, counters.cache_misses].map(number));
        cells.extend([point.marked, point.rerun, point.stayed].map(|count| count.to_string()));
        cells.push(point.ended.clone());
        let losses =
            findings.losses.iter().find(|losses| losses.procs as u64 == u64::from(figures.procs));
        if !causes.is_empty() {
            cells.push(number(losses.map(|losses| losses.efficiency())));
        }
        cells.extend(causes.iter().map(|cause| number(losses.map(|losses| losses.share(*cause)))));
        let procs = f64::from(figures.procs);
        let work = match findings.kind {
            crate::scaling::Kind::Strong => 1.0,
            crate::scaling::Kind::Weak => procs,
        };
        cells.extend(findings.fits.iter().map(|fit| number(Some(fit.time(procs, work)))));
        row(&mut text, &cells);
    }
    text
}

fn short(law: Law) -> &'static str {
    match law {
        Law::Amdahl => "amdahl",
        Law::Gustafson => "gustafson",
        Law::Usl => "usl",
    }
}

fn ends(figure: Option<Estimate>) -> [String; 3] {
    let ends = figure.and_then(|figure| figure.ci95);
    [
        number(figure.map(|figure| figure.value)),
        number(ends.map(|[low, _]| low)),
        number(ends.map(|[_, high]| high)),
    ]
}

/// As many digits as tell it from its neighbours; nothing for what is no number.
fn number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(String::new, |value| format!("{value:?}"))
}

fn row(text: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| {
            if cell.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.clone()
            }
        })
        .collect();
    text.push_str(&cells.join(","));
    text.push('\n');
}

/// A comment is one line, whatever a host or a parameter is called.
fn line(fact: &str) -> String {
    fact.replace(char::is_control, " ")
}
