//! `report.md`: the same tables, to be pasted; pictures by the names of their files.

use std::fmt::Write as _;

use super::Findings;
use super::page::{Cell, Column};
use super::pictures::Shown;
use super::tables::Table;

pub(super) fn text(findings: &Findings, pictures: &[Shown]) -> String {
    let mut text = format!("# {}\n\n", inline(&findings.question()));
    let _ = writeln!(text, "**{}**\n", inline(&findings.answer()));
    let _ = writeln!(text, "{}.", inline(&findings.provenance()));
    if !findings.notes.is_empty() {
        text.push('\n');
    }
    for note in &findings.notes {
        let _ = writeln!(text, "- {}", inline(note));
    }
    text.push_str("\n## Points\n");
    table(&mut text, &findings.points_table());
    text.push_str("\n## Pictures\n");
    for Shown { picture, caption } in pictures {
        let _ = write!(
            text,
            "\n![{}]({}.svg)\n\n{}\n",
            inline(&picture.title),
            picture.name,
            inline(caption)
        );
    }
    if let Some(losses) = findings.losses_table() {
        text.push_str("\n## Losses\n");
        table(&mut text, &losses);
    }
    text.push_str("\n## Models and predictions\n");
    table(&mut text, &findings.laws_table());
    if let Some(predictions) = findings.predictions_table() {
        table(&mut text, &predictions);
    }
    let _ = write!(text, "\n## Noise\n\n{}\n", inline(&findings.noise_words()));
    text.push_str("\n## How it was measured\n\n| | |\n|---|---|\n");
    for (name, fact) in &findings.environment {
        let _ = writeln!(text, "| {} | {} |", inline(name), inline(fact));
    }
    let _ = writeln!(text, "| sampling | {} |", inline(&findings.ended));
    let _ = writeln!(text, "| seed | {} |", findings.seed);
    for (name, value) in &findings.options {
        let _ = writeln!(text, "| {} | {} |", inline(name), inline(value));
    }
    text
}

fn table(text: &mut String, table: &Table) {
    let _ = write!(text, "\n{}:\n\n", inline(&table.caption));
    let names: Vec<String> = table.head.iter().map(|(name, _)| inline(name)).collect();
    let _ = writeln!(text, "| {} |", names.join(" | "));
    let rules = table.head.iter().map(|(_, column)| match column {
        Column::Figures => "--:",
        Column::Text => "---",
    });
    let _ = writeln!(text, "|{}|", rules.collect::<Vec<_>>().join("|"));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn cell(cell: &Cell) -> String {
    let text = inline(&cell.text);
    if cell.small.is_empty() { text } else { format!("{text} {}", inline(&cell.small)) }
}

/// Text of others, in one line that neither ends a cell nor begins a tag.
fn inline(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => line.push(' '),
            '&' => line.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '<' | '[' => line.extend(['\\', c]),
            c => line.push(c),
        }
    }
    line
}
