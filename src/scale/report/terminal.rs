//! A study in a terminal: eighty columns, no colour, and a small chart of bars.

use std::fmt::Write as _;

use super::Findings;
use super::words::{estimate, few, interval, law_name, percent, ranks, reach, times};
use crate::figures::{scaled, time};
use crate::scaling::{Cause, Losses};

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyphs {
    /// Blocks in eighths.
    Unicode,
    Ascii,
}

const WIDE: usize = 80;
/// The longest bar: the number of ranks stands before it, the speedup behind.
const CELLS: usize = 62;

impl Glyphs {
    /// Looks at what the terminal's user asked for, as the C library does: the first of these that is set.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
        let locale = named.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") {
            Self::Unicode
        } else {
            Self::Ascii
        }
    }

    /// Returns a bar of so many cells, and a fraction.
    fn bar(self, cells: f64) -> String {
        let cells = cells.clamp(0.0, CELLS as f64);
        if self == Self::Ascii {
            return "#".repeat(cells.round() as usize);
        }
        let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
        let part = ((cells - cells.floor()) * 8.0).round() as usize;
        format!("{}{}", "█".repeat(cells.floor() as usize), parts[part.min(8)])
    }

    fn ideal(self) -> char {
        match self {
            Self::Unicode => '│',
            Self::Ascii => '|',
        }
    }

    /// Writes the text with what can be shown.
    fn shown(self, text: &str) -> String {
        if self == Self::Unicode {
            return text.to_owned();
        }
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '×' => plain.push('x'),
                '∞' => plain.push_str("inf"),
                'σ' => plain.push_str("sigma"),
                'κ' => plain.push_str("kappa"),
                c if c.is_ascii() => plain.push(c),
                _ => plain.push('?'),
            }
        }
        plain
    }
}

impl Findings {
    /// Returns the whole of it as lines of at most eighty columns.
    pub(crate) fn terminal(&self, glyphs: Glyphs) -> String {
        let mut text = String::new();
        paragraph(&mut text, glyphs, "", &self.question());
        paragraph(&mut text, glyphs, "", &self.answer());
        paragraph(
            &mut text,
            glyphs,
            "",
            &format!("{}; base: {}, {}", self.problem(), self.base, estimate(self.base_time, time)),
        );
        self.points_lines(&mut text, glyphs);
        self.bars(&mut text, glyphs);
        self.losses_lines(&mut text, glyphs);
        self.counters_lines(&mut text);
        self.laws_lines(&mut text, glyphs);
        text.push('\n');
        paragraph(&mut text, glyphs, "noise   ", &self.noise_words());
        paragraph(&mut text, glyphs, "ended   ", &self.ended);
        for note in &self.notes {
            paragraph(&mut text, glyphs, "note    ", note);
        }
        text.trim_end().to_owned()
    }

    fn points_lines(&self, text: &mut String, glyphs: Glyphs) {
        let _ = writeln!(
            text,
            "\n{:>6} {:>4} {:>9}  {:<20} {:>7}  {:<15} {:>8}",
            "ranks", "n", "time", "95 %", "speedup", "95 %", "effic."
        );
        for point in &self.points {
            let figures = &point.figures;
            let _ = writeln!(
                text,
                "{:>6} {:>4} {:>9}  {:<20} {:>7}  {:<15} {:>8}",
                figures.procs,
                figures.n,
                time(figures.time_s.value),
                glyphs.shown(&interval(figures.time_s, time)),
                times(figures.speedup.value),
                short(&glyphs.shown(&interval(figures.speedup, times))),
                percent(figures.efficiency.value),
            );
        }
    }

    /// The speedup of each point, as long as it is, and where the ideal one would end.
    fn bars(&self, text: &mut String, glyphs: Glyphs) {
        let most = self
            .points
            .iter()
            .map(|point| f64::from(point.figures.procs).max(point.figures.speedup.value));
        let most = most.fold(1.0, f64::max);
        let _ = writeln!(text, "\nspeedup {} is ideal", glyphs.ideal());
        for point in &self.points {
            let (procs, speedup) = (point.figures.procs, point.figures.speedup.value);
            let ideal = (f64::from(procs) / most * CELLS as f64).round() as usize;
            let bar = glyphs.bar(speedup / most * CELLS as f64);
            let mut line: Vec<char> = bar.chars().collect();
            if line.len() < ideal {
                line.resize(ideal, ' ');
                line.push(glyphs.ideal());
            }
            let line: String = line.into_iter().collect();
            let _ = writeln!(text, "{procs:>6}  {line} {}", times(speedup));
        }
    }

    /// What is nothing in every line has no column.
    fn losses_lines(&self, text: &mut String, glyphs: Glyphs) {
        let Some(first) = self.losses.first() else { return };
        // Of -0.04 nobody wants to see the sign.
        let share = |losses: &Losses, cause| {
            let share = losses.share(cause) * 100.0;
            if share.abs() < 0.05 { 0.0 } else { share }
        };
        let causes: Vec<Cause> = first
            .parts
            .iter()
            .map(|part| part.cause)
            .filter(|cause| self.losses.iter().any(|losses| share(losses, *cause) != 0.0))
            .collect();
        let _ =
            write!(text, "\n{}\n{:>6}{:>7}", glyphs.shown("% of ranks × time"), "ranks", "ideal");
        for cause in &causes {
            let _ = write!(text, "{:>6}", brief(*cause));
        }
        text.push('\n');
        for losses in &self.losses {
            let _ = write!(text, "{:>6}{:>7.1}", losses.procs, losses.efficiency() * 100.0);
            for cause in &causes {
                let _ = write!(text, "{:>6.1}", share(losses, *cause));
            }
            text.push('\n');
        }
    }

    /// What the processor counted, where it did.
    fn counters_lines(&self, text: &mut String) {
        if self.points.iter().all(|point| point.counters.counted.is_none()) {
            return;
        }
        let _ = writeln!(
            text,
            "\n{:>6} {:>21} {:>10} {:>22}",
            "ranks", "instructions a cycle", "clock", "cache misses an index"
        );
        let cell = |value: Option<f64>, write: &dyn Fn(f64) -> String| {
            value.map_or_else(|| "-".to_owned(), write)
        };
        for point in &self.points {
            let counters = &point.counters;
            let _ = writeln!(
                text,
                "{:>6} {:>21} {:>10} {:>22}",
                point.figures.procs,
                cell(counters.per_cycle, &times),
                cell(counters.frequency, &|rate| format!("{}Hz", scaled(rate))),
                cell(counters.cache_misses, &few),
            );
        }
    }

    fn laws_lines(&self, text: &mut String, glyphs: Glyphs) {
        if !(self.fits.is_empty() && self.refused.is_empty()) {
            text.push('\n');
        }
        let laws = self.laws_table();
        for row in &laws.rows {
            let cells: Vec<&str> =
                row.iter().map(|cell| &*cell.text).filter(|text| !text.is_empty()).collect();
            if let Some((law, rest)) = cells.split_first() {
                paragraph(text, glyphs, "model   ", &format!("{law}: {}", rest.join("; ")));
            }
        }
        for (law, prediction) in &self.predictions {
            let said = format!(
                "{}: {}, speedup {}; by {}, {}",
                ranks(u64::from(prediction.procs)),
                estimate(prediction.time_s, time),
                estimate(prediction.speedup, times),
                law_name(*law),
                reach(prediction.reach)
            );
            paragraph(text, glyphs, "predict ", &said);
        }
    }
}

/// A cause in five letters.
fn brief(cause: Cause) -> &'static str {
    match cause {
        Cause::Launch => "start",
        Cause::Touch => "touch",
        Cause::Claim => "claim",
        Cause::Imbalance => "imbal",
        Cause::Barrier => "barr.",
        Cause::Memory => "mem.",
        Cause::Steal => "steal",
        Cause::Delay => "delay",
        Cause::Frequency => "freq.",
        Cause::Computing => "comp.",
        Cause::Output => "outp.",
        Cause::Rest => "rest",
    }
}

/// What a column has room for.
fn short(interval: &str) -> &str {
    if interval == "[too few samples]" { "[few samples]" } else { interval }
}

/// Writes words in lines of eighty columns, the first after a heading, the others below it.
fn paragraph(text: &mut String, glyphs: Glyphs, heading: &str, words: &str) {
    let words = glyphs.shown(words);
    let mut line = heading.to_owned();
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDE {
            let _ = writeln!(text, "{line}");
            line = " ".repeat(heading.len());
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.extend(word.chars().map(|c| if c.is_control() { '?' } else { c }));
        empty = false;
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_interval_is_not_taken_for_none() {
        assert_eq!(short("[100.12, 105.33]"), "[100.12, 105.33]");
        assert_eq!(short("[too few samples]"), "[few samples]");
    }
}
