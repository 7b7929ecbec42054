//! The tables of a study, as rows of cells: every report has the same ones, in its own writing.

use super::page::{Cell, Column};
use super::words::{cause, doubt, estimate, few, interval, law_name, percent, ranks, reach, times};
use super::{Findings, Point};
use crate::figures::{scaled, time};
use crate::scaling::Estimate;

/// A table, before it is written.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<(&'static str, Column)>,
    pub(super) rows: Vec<Vec<Cell>>,
}

fn sure(figure: Estimate, write: impl Fn(f64) -> String) -> Cell {
    Cell { text: write(figure.value), small: interval(figure, write) }
}

fn known(value: Option<f64>, write: impl Fn(f64) -> String) -> Cell {
    Cell::text(value.filter(|value| value.is_finite()).map_or_else(String::new, write))
}

fn rate(unit: &'static str) -> impl Fn(f64) -> String {
    move |value| format!("{}{unit}", scaled(value))
}

impl Findings {
    /// The points, with intervals.
    pub(super) fn points_table(&self) -> Table {
        let n = Column::Figures;
        let mut head =
            vec![("ranks", n), ("n", n), ("time of a pass", n), ("speedup", n), ("efficiency", n)];
        let serial = self.points.iter().any(|point| point.figures.karp_flatt.is_some());
        if serial {
            head.push(("serial share", n));
        }
        let columns: [Optional; 7] = [
            ("imbalance", |point| known(point.imbalance, percent)),
            ("items", |point| known(point.items_per_s, rate("/s"))),
            ("memory", |point| known(point.bytes_per_s, rate("B/s"))),
            ("flops", |point| known(point.flops_per_s.filter(|rate| *rate > 0.0), rate("flop/s"))),
            ("instructions a cycle", |point| known(point.counters.per_cycle, times)),
            ("clock", |point| known(point.counters.frequency, rate("Hz"))),
            ("cache misses an index", |point| known(point.counters.cache_misses, few)),
        ];
        let used: Vec<Optional> = columns
            .into_iter()
            .filter(|(_, of)| self.points.iter().any(|point| !of(point).text.is_empty()))
            .collect();
        head.extend(used.iter().map(|(name, _)| (*name, n)));
        head.extend([("disturbed samples", Column::Text), ("ended by", Column::Text)]);
        let rows = self.points.iter().map(|point| {
            let figures = &point.figures;
            let mut row = vec![
                Cell::text(figures.procs.to_string()),
                Cell::text(figures.n.to_string()),
                sure(figures.time_s, time),
                sure(figures.speedup, times),
                sure(figures.efficiency, percent),
            ];
            if serial {
                row.push(
                    figures.karp_flatt.map_or_else(Cell::default, |share| sure(share, percent)),
                );
            }
            row.extend(used.iter().map(|(_, of)| of(point)));
            row.extend([Cell::text(point.samples()), Cell::text(&point.ended)]);
            row
        });
        Table {
            caption: format!(
                "Medians, and below each what holds it with 95 %; speedup against {}: {}",
                self.base_words(),
                estimate(self.base_time, time)
            ),
            rows: rows.collect(),
            head,
        }
    }

    /// What the ranks' time was spent on; `None` where nothing is known of it.
    pub(super) fn losses_table(&self) -> Option<Table> {
        let first = self.losses.first()?;
        let mut head = vec![("ranks", Column::Figures), ("ideal", Column::Figures)];
        let causes: Vec<_> = first.parts.iter().map(|part| part.cause).collect();
        head.extend(causes.iter().map(|part| (cause(*part), Column::Figures)));
        head.push(("sum", Column::Figures));
        let rows = self.losses.iter().map(|losses| {
            let shares: Vec<f64> = std::iter::once(losses.efficiency())
                .chain(causes.iter().map(|cause| losses.share(*cause)))
                .collect();
            let sum = shares.iter().sum();
            let cells = shares.into_iter().chain([sum]).map(|share| Cell::text(percent(share)));
            std::iter::once(Cell::text(losses.procs.to_string())).chain(cells).collect()
        });
        Some(Table {
            caption: "Shares of ranks × time, beyond what the base spends on the same work; below nothing is a gain"
                .to_owned(),
            head,
            rows: rows.collect(),
        })
    }

    /// The laws that were fitted, and those that were not.
    pub(super) fn laws_table(&self) -> Table {
        let head = ["law", "parameters", "says", "fits", "doubts"].map(|name| (name, Column::Text));
        let fitted = self.fits.iter().map(|fit| {
            let parameters: Vec<String> = fit
                .parameters
                .iter()
                .map(|parameter| {
                    let write = |value: f64| format!("{value:.4}");
                    format!("{} = {}", symbol(parameter.name), estimate(parameter.estimate, write))
                })
                .collect();
            let mut says = vec![format!("one rank {}", estimate(fit.one_s, time))];
            says.extend(
                fit.limit
                    .map(|limit| format!("no more than {} times as fast", estimate(limit, times))),
            );
            says.extend(fit.knee.map(|knee| {
                if knee.value.is_finite() {
                    format!("turns down at {} ranks", estimate(knee, times))
                } else {
                    "never turns down".to_owned()
                }
            }));
            let goodness = &fit.goodness;
            let missed: Vec<String> = goodness.missed.iter().map(u32::to_string).collect();
            let mut fits = vec![format!(
                "within {} (rms), at most {} at {}",
                percent(goodness.rms),
                percent(goodness.largest.abs()),
                ranks(u64::from(goodness.largest_procs))
            )];
            if !missed.is_empty() {
                fits.push(format!("outside of the intervals of {} ranks", missed.join(", ")));
            }
            let doubts: Vec<String> = fit.doubts.iter().map(doubt).collect();
            [
                law_name(fit.law),
                parameters.join("; "),
                says.join("; "),
                fits.join("; "),
                doubts.join("; "),
            ]
            .map(Cell::text)
            .to_vec()
        });
        let refused = self.refused.iter().map(|(law, why)| {
            [law_name(*law), "not fitted".to_owned(), why.clone(), String::new(), String::new()]
                .map(Cell::text)
                .to_vec()
        });
        Table {
            caption: "Laws of scaling, with what holds each parameter with 95 % if the law is the right one".to_owned(),
            head: head.to_vec(),
            rows: fitted.chain(refused).collect(),
        }
    }

    /// What was not measured; `None` where nothing is predicted.
    pub(super) fn predictions_table(&self) -> Option<Table> {
        let n = Column::Figures;
        let rows = self.predictions.iter().map(|(law, prediction)| {
            vec![
                Cell::text(prediction.procs.to_string()),
                sure(prediction.time_s, time),
                sure(prediction.speedup, times),
                Cell::text(law_name(*law)),
                Cell::text(reach(prediction.reach)),
            ]
        });
        (!self.predictions.is_empty()).then(|| Table {
            caption: "Predictions: none of this was measured; each holds if its law does"
                .to_owned(),
            head: vec![
                ("ranks", n),
                ("time", n),
                ("speedup", n),
                ("by", Column::Text),
                ("lies", Column::Text),
            ],
            rows: rows.collect(),
        })
    }
}

/// A column that is there if any point has it.
type Optional = (&'static str, fn(&Point) -> Cell);

impl Point {
    fn samples(&self) -> String {
        match (self.marked, self.figures.apart.len()) {
            (0, 0) => "none".to_owned(),
            (0, apart) => format!("{apart} apart"),
            (marked, apart) => {
                let apart = if apart == 0 { String::new() } else { format!(", {apart} apart") };
                format!("{marked} marked, {} again, {} stayed{apart}", self.rerun, self.stayed)
            }
        }
    }
}

fn symbol(name: &str) -> &str {
    match name {
        "sigma" => "σ",
        "kappa" => "κ",
        name => name,
    }
}
