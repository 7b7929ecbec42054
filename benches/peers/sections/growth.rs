//! What a run costs as its index space and its ranks grow.

use std::fmt::Write as _;

use crate::Bench;
use crate::contender::{Contender, Reading};
use crate::contest::Unit;
use crate::input::available;
use crate::options::Effort;
use crate::shared::median;

const RANKS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];
/// A cell is a jump when it costs so much more than the step to it explains.
const TOLERANCE: f64 = 1.3;

pub(crate) fn run(bench: &mut Bench) {
    bench.head(
        "Cost of a run as it grows",
        "Time of the whole process, milliseconds, squares of i64 indices, more ranks than CPUs allowed; medians of rounds over the whole table. A jump, in bold: ten times the indices, or twice the ranks, cost more than 1.3 times as many times as much.",
    );
    let (decades, rounds) = match bench.effort {
        Effort::Full { .. } => (3..=9, 5),
        Effort::Quick => (3..=6, 2),
    };
    let sizes: Vec<u64> = decades.map(|decade| 10_u64.pow(decade)).collect();
    let mut samples = vec![vec![Vec::new(); RANKS.len()]; sizes.len()];
    let mut refused = vec![];
    for _ in 0..rounds {
        for (row, &n) in samples.iter_mut().zip(&sizes) {
            for (cell, ranks) in row.iter_mut().zip(RANKS) {
                if available() < n * 10 {
                    continue; // Results of eight bytes, and some room.
                }
                let arguments = format!("-k square --size {n} --procs {ranks} -q");
                let contender = Contender::spmd("spmd", Reading::Whole, &arguments);
                match contender.sample() {
                    Ok(sample) => cell.push(sample.seconds),
                    Err(reason) => refused.push(format!("- {n} indices, {ranks} ranks: {reason}")),
                }
            }
        }
    }
    let middles: Vec<Vec<Option<f64>>> = samples
        .iter()
        .map(|row| row.iter().map(|cell| (!cell.is_empty()).then(|| median(cell))).collect())
        .collect();
    bench.say(&table(&sizes, &middles));
    refused.dedup();
    refused.iter().for_each(|line| bench.say(line));
    for (row, &n) in samples.iter().zip(&sizes) {
        for (cell, ranks) in row.iter().zip(RANKS) {
            bench.keep(&serde_json::json!({"bench": "peers", "section": "growth", "size": n, "procs": ranks, "seconds": cell}));
        }
    }
}

fn table(sizes: &[u64], middles: &[Vec<Option<f64>>]) -> String {
    let mut text = String::from("| indices, by ranks |");
    for ranks in RANKS {
        write!(text, " {ranks} |").expect("a String");
    }
    text.push_str("\n|--:|");
    text.push_str(&"--:|".repeat(RANKS.len()));
    text.push('\n');
    for (at, n) in sizes.iter().enumerate() {
        write!(text, "| {n} |").expect("a String");
        for (column, middle) in middles[at].iter().enumerate() {
            let Some(middle) = *middle else {
                text.push_str(" no room |");
                continue;
            };
            let above = at.checked_sub(1).and_then(|at| middles[at][column]);
            let left = column.checked_sub(1).and_then(|column| middles[at][column]);
            let jump = above.is_some_and(|above| middle > above * 10.0 * TOLERANCE)
                || left.is_some_and(|left| middle > left * 2.0 * TOLERANCE);
            let shown = Unit::Milliseconds.shown(middle);
            let shown = if jump { format!("**{shown}**") } else { shown };
            write!(text, " {shown} |").expect("a String");
        }
        text.push('\n');
    }
    text
}
