//! What each rank did when, a row a rank.
//!
//! A trial may have a million chunks and a picture has five hundred pixels. Where a row's spans would be too
//! narrow to be seen, each fraction of a pixel has the colour of what most of it was spent on: what a row
//! looks like is then what it would look like from afar.

use super::axis::{Axis, From, Ruler, Scale, Ticks, Unit};
use super::canvas::{Canvas, Label, Pen, Picture, SIZE, WIDTH, width};
use super::legend::{Swatch, legend};
use super::palette::{Fill, Ink};

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Gantt {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) note: String,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// In the order of time, none over another.
    pub(crate) spans: Vec<Span>,
}

/// Some time, in seconds from the beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) activity: Activity,
    pub(crate) begin: f64,
    pub(crate) end: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Compute,
    Claim,
    Wait,
}

impl Activity {
    const ALL: [Self; 3] = [Self::Compute, Self::Claim, Self::Wait];

    fn name(self) -> &'static str {
        match self {
            Self::Compute => "computing",
            Self::Claim => "claiming",
            Self::Wait => "waiting at the barrier",
        }
    }

    fn fill(self) -> Fill {
        match self {
            Self::Compute => Fill::Plain(Ink::Green),
            Self::Claim => Fill::Plain(Ink::Orange),
            Self::Wait => Fill::Hatched(Ink::Neutral),
        }
    }
}

/// More spans than this in a row are looked at from afar.
const SPANS: usize = 200;
/// As many columns a pixel.
const COLUMNS: f64 = 2.0;

impl Gantt {
    pub(crate) fn draw(&self) -> Picture {
        let mut canvas = Canvas::new(self.name);
        let (thick, step) = match self.rows.len() {
            0..=12 => (14.0, 20.0),
            13..=32 => (8.0, 11.0),
            _ => (4.0, 5.0),
        };
        let spans = || self.rows.iter().flat_map(|row| &row.spans);
        let used = Activity::ALL.into_iter().filter(|activity| {
            spans().any(|span| span.activity == *activity && span.end > span.begin)
        });
        let entries: Vec<_> =
            used.map(|activity| (Swatch::Area(activity.fill()), activity.name())).collect();
        let top = legend(&mut canvas, &entries, 28.0) + 10.0;
        let bottom = top + self.rows.len() as f64 * step;
        let widest = self.rows.iter().map(|row| width(&row.name, SIZE)).fold(0.0, f64::max);
        let (left, right) = (12.0 + widest + 8.0, WIDTH - 24.0);
        let axis = Axis {
            label: "time".to_owned(),
            scale: Scale::Linear,
            from: From::Zero,
            ticks: Ticks::Round,
            unit: Unit::Seconds,
        };
        let ruler = Ruler::new(&axis, spans().map(|span| span.end), [left, right]);
        let place = |value: f64| ruler.place(value).unwrap_or(left);
        for value in ruler.ticks(&axis, 6) {
            let x = place(value);
            canvas.line(Pen::new(Ink::Grid, 1.0), &[[x, top], [x, bottom + 4.0]]);
            let name = axis.unit.write(value);
            canvas.text(Label::new(&name, x, bottom + 20.0).middle().ink(Ink::Faint));
        }
        let mut free = f64::NEG_INFINITY;
        for (at, row) in self.rows.iter().enumerate() {
            let y = top + at as f64 * step;
            let line = y + thick / 2.0 + 4.0;
            if line - SIZE >= free {
                canvas.text(Label::new(&row.name, left - 8.0, line).end());
                free = line;
            }
            let pixel = 1.0 / COLUMNS / (place(1.0) - place(0.0)).max(f64::MIN_POSITIVE);
            for span in row.seen(pixel) {
                let corners = [place(span.begin), y, place(span.end), y + thick];
                // Not even a line about them, which would be wider than what is looked at from afar.
                canvas.area(span.activity.fill(), corners);
            }
        }
        canvas.text(Label::new(&axis.label, right, bottom + 36.0).end().ink(Ink::Faint));
        canvas.picture(bottom + 44.0, &self.title, &self.description, &self.note)
    }
}

impl Row {
    /// Returns the spans that are drawn: all, or what most of each column of this many seconds went into.
    fn seen(&self, column: f64) -> Vec<Span> {
        let spans = self.spans.iter().filter(|span| span.end > span.begin && span.begin >= 0.0);
        let spans = spans.filter(|span| span.end.is_finite());
        if self.spans.len() <= SPANS {
            return spans.copied().collect();
        }
        let mut columns: Vec<[f64; 3]> = Vec::new();
        for span in spans {
            let (mut from, last) = (span.begin / column, span.end / column);
            while from < last {
                let at = from.floor();
                let to = (at + 1.0).min(last);
                // A picture has about a thousand columns; more would be no time of this axis.
                if at >= 4096.0 {
                    break;
                }
                let at = at as usize;
                if columns.len() <= at {
                    columns.resize(at + 1, [0.0; 3]);
                }
                columns[at][span.activity as usize] += to - from;
                from = to;
            }
        }
        let mut seen: Vec<Span> = Vec::new();
        for (at, spent) in columns.iter().enumerate() {
            let most = |activity: &Activity| spent[*activity as usize];
            let Some(activity) =
                Activity::ALL.into_iter().max_by(|a, b| most(a).total_cmp(&most(b)))
            else {
                continue;
            };
            if most(&activity) <= 0.0 {
                continue;
            }
            let (begin, end) = (at as f64 * column, (at + 1) as f64 * column);
            match seen.last_mut() {
                Some(last)
                    if last.activity == activity && (last.end - begin).abs() < column / 2.0 =>
                {
                    last.end = end;
                }
                _ => seen.push(Span { activity, begin, end }),
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(spans: Vec<Span>) -> Row {
        Row { name: "rank 0".into(), spans }
    }

    fn span(activity: Activity, begin: f64, end: f64) -> Span {
        Span { activity, begin, end }
    }

    #[test]
    fn few_spans_are_drawn_as_they_are() {
        let spans = vec![span(Activity::Claim, 0.0, 0.1), span(Activity::Compute, 0.1, 1.0)];
        assert_eq!(row(spans.clone()).seen(0.3), spans);
    }

    #[test]
    fn a_million_chunks_are_a_few_shapes_that_look_alike() {
        // Nine parts of ten are computing, all the way; then waiting.
        let mut spans = Vec::new();
        for at in 0..100_000 {
            let begin = f64::from(at) * 1e-5;
            spans.push(span(Activity::Claim, begin, begin + 1e-6));
            spans.push(span(Activity::Compute, begin + 1e-6, begin + 1e-5));
        }
        spans.push(span(Activity::Wait, 1.0, 1.5));
        let seen = row(spans.clone()).seen(1e-3);
        let kinds: Vec<Activity> = seen.iter().map(|span| span.activity).collect();
        assert_eq!(kinds, [Activity::Compute, Activity::Wait]);
        assert!((seen[0].end - 1.0).abs() < 2e-3 && (seen[1].end - 1.5).abs() < 2e-3, "{seen:?}");
        let gantt = Gantt {
            name: "gantt",
            title: "One trial".into(),
            description: String::new(),
            note: String::new(),
            rows: vec![row(spans); 4],
        };
        let text = gantt.draw().file();
        assert!(text.len() < 10_000, "{}", text.len());
        assert_eq!(text, gantt.draw().file());
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let mut spans: Vec<Span> = (0..300)
            .map(|at| span(Activity::Compute, f64::from(at) * 1e-3, f64::from(at + 1) * 1e-3))
            .collect();
        spans.push(span(Activity::Compute, 0.6, 0.9));
        let seen = row(spans).seen(1e-2);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!((seen[1].begin - 0.6).abs() < 2e-2);
    }
}
