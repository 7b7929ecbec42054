//! `report.html`: the question and the answer, then what they are made of.

use super::Findings;
use super::page::{Cell, Page};
use super::pictures::Shown;
use super::tables::Table;
use super::words::{interval, percent, ranks, times};
use crate::figures::time;
use crate::plots::Picture;
use crate::scaling::Estimate;

pub(super) fn text(findings: &Findings, pictures: &[Shown]) -> String {
    let mut page = Page::new(&format!("Scaling of {}", findings.kernel));
    page.opening(&findings.question(), &findings.answer(), &about(findings));
    page.tiles(&tiles(findings));
    page.list(findings.notes.iter().map(String::as_str));
    page.heading("Points");
    table(&mut page, &findings.points_table());
    page.heading("Pictures");
    let shown: Vec<(&Picture, String)> =
        pictures.iter().map(|shown| (&shown.picture, shown.caption.clone())).collect();
    page.figures(&shown);
    if let Some(losses) = findings.losses_table() {
        page.heading("Losses");
        table(&mut page, &losses);
        let open = findings.losses.iter().filter(|losses| !losses.closes());
        for losses in open {
            page.paragraph(&format!(
                "Of {} more than 1 % is rest: clocks do not agree, or something is done that nobody times.",
                ranks(losses.procs as u64)
            ));
        }
    }
    page.heading("Models and predictions");
    table(&mut page, &findings.laws_table());
    if let Some(predictions) = findings.predictions_table() {
        table(&mut page, &predictions);
    }
    page.heading("Noise");
    page.paragraph(&findings.noise_words());
    page.heading("How it was measured");
    let options = findings.options.iter().map(|(name, value)| (&**name, value.clone()));
    let own = [("sampling", findings.ended.clone()), ("seed", findings.seed.to_string())];
    let environment = findings.environment.iter().map(|(name, fact)| (*name, fact.clone()));
    page.facts(environment.chain(own).chain(options));
    page.paragraph(METHOD);
    page.html()
}

const METHOD: &str = "Trials of all points take turns in rounds. A time is from when the barrier \
    before the pass opened for the first rank to when the slowest rank had done its part. Medians have distribution-free intervals, ratios those of a bootstrap over rounds. \
    No sample was dropped for its value. The raw samples are in samples.jsonl.";

fn about(findings: &Findings) -> String {
    format!("{}; {}.", findings.problem(), findings.numbers())
}

fn tiles(findings: &Findings) -> Vec<(String, Cell)> {
    let mut tiles = vec![(
        format!("base: {}", findings.base),
        Cell { text: time(findings.base_time.value), small: interval(findings.base_time, time) },
    )];
    if let Some(last) = findings.points.last() {
        let figures = &last.figures;
        let at = ranks(u64::from(figures.procs));
        let tile = |name: &str, figure: Estimate, write: fn(f64) -> String| {
            (
                format!("{name}, {at}"),
                Cell { text: write(figure.value), small: interval(figure, write) },
            )
        };
        tiles.push(tile("speedup", figures.speedup, times));
        tiles.push(tile("efficiency", figures.efficiency, percent));
    }
    let last = findings.losses.last().filter(|losses| losses.procs > 1);
    if let Some((losses, greatest)) = last.and_then(|losses| Some((losses, losses.greatest()?)))
        && greatest.lost > 0.0
    {
        tiles.push((
            format!("most is lost by, {}", ranks(losses.procs as u64)),
            Cell {
                text: super::words::cause(greatest.cause).to_owned(),
                small: format!("{} of the ranks' time", percent(greatest.lost / losses.whole)),
            },
        ));
    }
    tiles
}

fn table(page: &mut Page, table: &Table) {
    page.table(&table.caption, &table.head, &table.rows);
}
