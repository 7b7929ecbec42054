//! What `spmd tune` shows: how well the trace is understood, predictions in order, a command to copy.

use std::fmt::Write as _;

use super::time;
use crate::data::{grouped, shown_path};
use crate::tune::{Doubt, Origin, Prediction, Ranking};

/// Makes the table of the `top` fastest predictions; the recorded one is there in any case.
pub(crate) fn ranking(ranking: &Ranking, path: &std::path::Path, top: usize) -> String {
    let about = &ranking.about;
    let mut text = format!(
        "trace  {}: {} on {} x {}, {} ranks, {}{}\n",
        shown_path(path),
        about.kernel,
        grouped(about.size),
        about.dtype,
        about.procs,
        about.schedule,
        if about.schedule == about.chosen { String::new() } else { format!(": {}", about.chosen) },
    );
    let grain = ranking.grain;
    let _ = writeln!(
        text,
        "       {:.0} chunks a pass, of {:.1} indices; the costliest {}; {} passes",
        grain.chunks,
        grain.length,
        time(grain.largest / 1e9),
        about.passes
    );
    let _ = writeln!(
        text,
        "       {} of work; a claim {}{}",
        time(ranking.work / 1e9),
        time(ranking.overheads.locked / 1e9),
        if ranking.overheads.origin == Origin::Assumed { ", assumed" } else { "" },
    );
    if grain.covered < 1.0 {
        let _ = writeln!(
            text,
            "       {:.1} % of the indices have no time of their own: taken for average ones",
            (1.0 - grain.covered) * 100.0
        );
    }
    if let Some(recorded) = ranking.recorded()
        && let (Some(measured), Some(error)) = (recorded.measured, recorded.error())
    {
        let _ = writeln!(
            text,
            "check  measured {}, predicted {}: {:+.1} %",
            time(measured),
            time(recorded.seconds),
            error * 100.0
        );
        if error.abs() > 0.1 {
            text.push_str(
                "       the machine did something else too, or few chunks hide what it was: trace again,\n       \
                 with --warmup 1 --repeats 5 and smaller chunks\n",
            );
        }
    }
    let _ = writeln!(
        text,
        "\n  {:>5}  {:<24} {:>10} {:>10} {:>10}",
        "procs", "schedule", "predicted", "imbalance", "claims"
    );
    let rows = ranking.predictions.iter().enumerate();
    let rows = rows.filter(|(at, row)| *at < top || row.measured.is_some());
    let (mut doubts, mut shown) = (Vec::new(), 0);
    for (_, row) in rows {
        shown += 1;
        doubts.extend(&row.doubts);
        text.push_str(&line(row));
    }
    let left = ranking.predictions.len() - shown;
    if left > 0 {
        let _ = writeln!(text, "  ... {left} more; --top N shows them");
    }
    for (doubt, meaning) in [
        (
            Doubt::OtherProcs,
            "p  another number of ranks than traced: indices may cost more or less than they did",
        ),
        (
            Doubt::Finer,
            "f  finer than the trace, which does not show imbalance within its chunks: trace smaller ones",
        ),
    ] {
        if doubts.contains(&doubt) {
            let _ = writeln!(text, "  {meaning}");
        }
    }
    if let Some(best) = ranking.best() {
        let _ = writeln!(text, "\nbest   {}", ranking.command(best));
    }
    text
}

fn line(row: &Prediction) -> String {
    let settled = if row.schedule == row.settled {
        row.schedule.to_string()
    } else {
        format!("{}: {}", row.schedule, row.settled)
    };
    let marks: String = row
        .doubts
        .iter()
        .map(|doubt| match doubt {
            Doubt::OtherProcs => 'p',
            Doubt::Finer => 'f',
        })
        .collect();
    let measured = row
        .measured
        .map_or(String::new(), |measured| format!("  <- traced; measured {}", time(measured)));
    let line = format!(
        "  {:>5}  {settled:<24} {:>10} {:>8.1} % {:>10}  {marks}{measured}",
        row.procs,
        time(row.seconds),
        row.imbalance * 100.0,
        grouped(row.claims),
    );
    format!("{}\n", line.trim_end())
}
