//! A bench as a person reads it: a table, what its numbers are, and what disturbed them.

use std::fmt::Write as _;

use super::{scaled, time};
use crate::bench::{Measurement, Name, Noise, Row, Unit};

/// Lists the benches, and what each answers.
pub(crate) fn benches() -> String {
    let mut text = String::from("bench        answers\n");
    for bench in Name::ALL {
        let _ = writeln!(text, "{:<12} {}", bench.name(), bench.answers());
    }
    text.push_str(
        "\nspmd bench NAME [--procs N] [--time 1s] [--json]; `spmd bench --help` has all options",
    );
    text
}

/// Makes the table of a bench.
pub(crate) fn bench(measured: &Measurement) -> String {
    let shown = |value: f64| match measured.unit {
        Unit::NsPerOp => time(value / 1e9),
        Unit::BytesPerS => format!("{}B/s", scaled(value)),
    };
    let ranks = if measured.procs == 1 { "1 rank" } else { &format!("{} ranks", measured.procs) };
    let cpus = if measured.cpus.contains(['-', ',']) { "cpus" } else { "cpu" };
    let mut text = format!(
        "{:<10} {:>12} {:>27} {:>12} {:>12} {:>8}\n",
        "bench", "median", "95 % interval", "min", "max", "samples"
    );
    for Row { name, summary, .. } in &measured.rows {
        let interval = summary.ci95.map_or("too few samples".to_owned(), |[low, high]| {
            format!("{} .. {}", shown(low), shown(high))
        });
        let _ = writeln!(
            text,
            "{name:<10} {:>12} {interval:>27} {:>12} {:>12} {:>8}",
            shown(summary.median),
            shown(summary.min),
            shown(summary.max),
            summary.n
        );
    }
    let _ = writeln!(
        text,
        "{:<10} {ranks} on {cpus} {}; a sample is {}",
        "of", measured.cpus, measured.sample
    );
    let _ = write!(text, "{:<10} {}", "noise", noise(measured, &shown));
    text
}

fn noise(measured: &Measurement, shown: &dyn Fn(f64) -> String) -> String {
    let Noise { samples, disturbed, involuntary_switches, .. } = measured.noise;
    let mut parts = Vec::new();
    let main = measured.rows.iter().find(|row| row.name == measured.main);
    let undisturbed = main.and_then(|row| row.undisturbed);
    let others = match (disturbed, undisturbed) {
        (0, _) => String::new(),
        (_, Some(median)) => {
            format!(", median of {} without them {}", measured.main, shown(median))
        }
        (_, None) => ", none without".to_owned(),
    };
    parts.push(format!(
        "{disturbed} of {samples} samples disturbed ({involuntary_switches} involuntary switches{others})"
    ));
    let noise = &measured.noise;
    if let Some(why) = noise.switches_belong {
        parts.push(format!("these belong to it: {why}"));
    }
    match noise.migrations {
        Some(moved) if noise.pinned == Some(false) => {
            parts.push(format!("unpinned, migrations: {moved}"))
        }
        _ => {}
    }
    parts.push(match noise.steal_s {
        Some(steal) => format!("steal {:.0} ms", steal * 1e3),
        None => "steal not known".to_owned(),
    });
    parts.push(match &noise.governor {
        Some(governor) => format!("frequency by governor {governor}"),
        None => "frequency not known".to_owned(),
    });
    parts.join("; ")
}
