//! Points with intervals, and lines, over two axes.
//!
//! What was measured is points, and points are not joined: between them nothing was. Lines are laws and bounds,
//! which are there for every number.

use super::axis::{Axis, Ruler};
use super::canvas::{Body, Canvas, Label, Pen, Picture, SIZE, WIDTH, width};
use super::legend::{Shape, Swatch, legend};
use super::palette::Ink;

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// Of the file, less its ending.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// What the picture says, for those who do not see it.
    pub(crate) description: String,
    pub(crate) note: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
    pub(crate) points: Vec<Points>,
}

/// A law or a bound.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) ink: Ink,
    pub(crate) dash: Dash,
    pub(crate) places: Vec<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dash {
    Solid,
    Dashes,
    Dots,
    /// One and one.
    Mixed,
}

/// What belongs together.
#[derive(Clone, Debug)]
pub(crate) struct Points {
    pub(crate) name: String,
    pub(crate) ink: Ink,
    pub(crate) marker: Marker,
    pub(crate) points: Vec<Datum>,
}

/// How sure a point is that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    /// A filled circle.
    Measured,
    /// A hollow diamond, with a dashed interval.
    Predicted,
}

/// One point.
#[derive(Clone, Debug)]
pub(crate) struct Datum {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) interval: Option<[f64; 2]>,
    /// For whoever points at it, and for those who do not see it.
    pub(crate) about: String,
    /// Beside it; mostly nothing.
    pub(crate) label: String,
}

impl Dash {
    pub(super) fn pen(self, ink: Ink) -> Pen {
        match self {
            Self::Solid => Pen::new(ink, 1.75),
            Self::Dashes => Pen::new(ink, 1.75).dashed("7 4"),
            Self::Dots => Pen::new(ink, 1.75).dashed("1.5 3.5"),
            Self::Mixed => Pen::new(ink, 1.75).dashed("9 3 2 3"),
        }
    }
}

impl Marker {
    fn swatch(self, ink: Ink) -> Swatch {
        let (shape, body) = self.shape();
        Swatch::Marker(ink, shape, body)
    }

    fn shape(self) -> (Shape, Body) {
        match self {
            Self::Measured => (Shape::Circle, Body::Filled),
            Self::Predicted => (Shape::Diamond, Body::Hollow),
        }
    }

    fn whisker(self, ink: Ink) -> Pen {
        match self {
            Self::Measured => Pen::new(ink, 1.5),
            Self::Predicted => Pen::new(ink, 1.25).dashed("3 2.5"),
        }
    }
}

/// What the axes span.
const HEIGHT: f64 = 220.0;

/// The part of the picture that values lie in.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: Ruler,
    y: Ruler,
}

impl Chart {
    pub(crate) fn draw(&self) -> Picture {
        let mut canvas = Canvas::new(self.name);
        let below = legend(&mut canvas, &self.entries(), 28.0);
        let top = below + 28.0;
        let frame = self.frame(top, top + HEIGHT);
        self.axes(&mut canvas, &frame);
        for line in &self.lines {
            for stretch in frame.visible(&line.places) {
                canvas.line(line.dash.pen(line.ink), &stretch);
            }
        }
        for points in &self.points {
            frame.points(&mut canvas, points);
        }
        canvas.picture(frame.bottom + 42.0, &self.title, &self.description, &self.note)
    }

    fn entries(&self) -> Vec<(Swatch, &str)> {
        let points = self.points.iter().filter(|points| !points.points.is_empty());
        let points = points.map(|points| (points.marker.swatch(points.ink), &*points.name));
        let lines = self.lines.iter().filter(|line| !line.places.is_empty());
        let lines = lines.map(|line| (Swatch::Line(line.dash.pen(line.ink)), &*line.name));
        points.chain(lines).collect()
    }

    fn frame(&self, top: f64, bottom: f64) -> Frame {
        let data = || self.points.iter().flat_map(|points| &points.points);
        let places = || self.lines.iter().flat_map(|line| &line.places);
        let across = data().map(|datum| datum.x).chain(places().map(|[x, _]| *x));
        // The interval of a prediction may be of any length: it is no reason to make all else small.
        let sure = self.points.iter().filter(|points| points.marker != Marker::Predicted);
        let ends = sure.flat_map(|points| &points.points).filter_map(|datum| datum.interval);
        let up = data().map(|datum| datum.y).chain(places().map(|[_, y]| *y));
        let up: Vec<f64> = up.chain(ends.flatten()).collect();
        let y = Ruler::new(&self.y, up.into_iter(), [bottom, top]);
        let names = y.ticks(&self.y, 7).into_iter().map(|value| self.y.unit.write(value));
        let widest = names.map(|name| width(&name, SIZE)).fold(0.0, f64::max);
        let (left, right) = (12.0 + widest + 6.0, WIDTH - 16.0);
        Frame { left, right, top, bottom, x: Ruler::new(&self.x, across, [left, right]), y }
    }

    fn axes(&self, canvas: &mut Canvas, frame: &Frame) {
        let Frame { left, right, top, bottom, x, y } = frame;
        let grid = Pen::new(Ink::Grid, 1.0);
        for value in y.ticks(&self.y, 7) {
            let Some(place) = y.place(value) else { continue };
            // Where values are on both sides of nothing, that has to be seen.
            let pen = if value == 0.0 { Pen::new(Ink::Faint, 1.0) } else { grid };
            canvas.line(pen, &[[*left, place], [*right, place]]);
            let name = self.y.unit.write(value);
            canvas.text(Label::new(&name, left - 6.0, place + 4.0).end().ink(Ink::Faint));
        }
        let mut free = f64::NEG_INFINITY;
        for value in x.ticks(&self.x, 12) {
            let Some(place) = x.place(value) else { continue };
            canvas.line(grid, &[[place, *top], [place, *bottom]]);
            let name = self.x.unit.write(value);
            let half = width(&name, SIZE) / 2.0;
            // Two that are near one another are one and a line.
            if place - half > free {
                canvas.text(Label::new(&name, place, bottom + 16.0).middle().ink(Ink::Faint));
                free = place + half + 2.0;
            }
        }
        let axis = Pen::new(Ink::Faint, 1.0);
        canvas.line(axis, &[[*left, *top], [*left, *bottom], [*right, *bottom]]);
        canvas.text(Label::new(&self.y.label, 12.0, top - 10.0).ink(Ink::Faint));
        canvas.text(Label::new(&self.x.label, *right, bottom + 34.0).end().ink(Ink::Faint));
    }
}

impl Frame {
    fn place(&self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        Some([self.x.place(x)?, self.y.place(y)?])
    }

    /// Returns the stretches of a line whose places lie on the axes.
    fn visible(&self, places: &[[f64; 2]]) -> Vec<Vec<[f64; 2]>> {
        let places: Vec<Option<[f64; 2]>> = places.iter().map(|place| self.place(*place)).collect();
        let stretches = places.split(Option::is_none);
        let stretches = stretches.map(|stretch| stretch.iter().copied().flatten().collect());
        stretches.filter(|stretch: &Vec<[f64; 2]>| stretch.len() > 1).collect()
    }

    fn points(&self, canvas: &mut Canvas, points: &Points) {
        let (shape, body) = points.marker.shape();
        // All intervals first: a marker hides none of its neighbour's.
        for datum in &points.points {
            self.interval(canvas, points, datum);
        }
        for datum in &points.points {
            let Some([x, y]) = self.place([datum.x, datum.y]) else { continue };
            shape.draw(canvas, points.ink, body, [x, y], &datum.about);
            if !datum.label.is_empty() {
                let near = x + 8.0 + width(&datum.label, 11.0) > self.right;
                let label = if near {
                    Label::new(&datum.label, x - 9.0, y + 4.0).end()
                } else {
                    Label::new(&datum.label, x + 9.0, y + 4.0)
                };
                canvas.text(label.size(11.0).rimmed());
            }
        }
    }

    /// Draws a whisker with an end at each end of the interval; where that is outside, without.
    fn interval(&self, canvas: &mut Canvas, points: &Points, datum: &Datum) {
        let Some([low, high]) = datum.interval else { return };
        let Some(x) = self.x.place(datum.x) else { return };
        let place = |value: f64, beyond: f64| self.y.place(value).unwrap_or(beyond);
        let (low, high) = (place(low, self.bottom + 1.0), place(high, self.top - 1.0));
        let pen = points.marker.whisker(points.ink);
        let [from, to] = [low, high].map(|end| end.clamp(self.top, self.bottom));
        canvas.line(pen, &[[x, from], [x, to]]);
        for end in [low, high].into_iter().filter(|end| (self.top..=self.bottom).contains(end)) {
            canvas.line(Pen::new(points.ink, 1.5), &[[x - 6.0, end], [x + 6.0, end]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{From, Scale, Ticks, Unit};
    use super::*;

    fn axis(label: &str, scale: Scale) -> Axis {
        let (label, from) = (label.to_owned(), From::Zero);
        Axis { label, scale, from, ticks: Ticks::Round, unit: Unit::Plain }
    }

    fn datum(x: f64, y: f64, interval: Option<[f64; 2]>) -> Datum {
        Datum { x, y, interval, about: format!("{x} ranks: {y}"), label: String::new() }
    }

    fn chart(points: Vec<Datum>) -> Chart {
        let points =
            Points { name: "measured".into(), ink: Ink::Blue, marker: Marker::Measured, points };
        let line = Line {
            name: "ideal".into(),
            ink: Ink::Faint,
            dash: Dash::Dashes,
            places: vec![[1.0, 1.0], [4.0, 4.0]],
        };
        Chart {
            name: "speedup",
            title: "Speedup".into(),
            description: "how far".into(),
            note: "one machine".into(),
            x: axis("ranks", Scale::Linear),
            y: axis("speedup", Scale::Linear),
            lines: vec![line],
            points: vec![points],
        }
    }

    /// The lines and the circles of a picture, as numbers.
    fn drawn(text: &str, begin: &str) -> Vec<Vec<f64>> {
        let shapes = text.split(begin).skip(1).map(|rest| rest.split('"').next().unwrap());
        let numbers = |shape: &str| {
            let parts = shape.split(|c: char| !c.is_ascii_digit() && c != '.' && c != '-');
            parts.filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
        };
        shapes.map(numbers).collect()
    }

    #[test]
    fn intervals_are_drawn_where_they_are() {
        let text = chart(vec![datum(2.0, 2.0, Some([1.0, 3.0]))]).draw().inline();
        let [whisker, one, other] = &drawn(&text, " d=\"M")[drawn(&text, " d=\"M").len() - 3..]
        else {
            panic!("{text}")
        };
        let (x, y) = (drawn(&text, " cx=\"")[1][0], drawn(&text, " cy=\"")[1][0]);
        assert!((whisker[0] - x).abs() < 0.02 && whisker[0] == whisker[2], "{whisker:?} {x}");
        assert!(((whisker[1] + whisker[3]) / 2.0 - y).abs() < 0.02, "{whisker:?} {y}");
        // The ideal line passes 1 and 4, on the same axis.
        let ideal = drawn(&text, " d=\"M")
            .into_iter()
            .find(|line| line[0] != line[2] && line[1] != line[3] && line.len() == 4)
            .unwrap();
        let unit = (ideal[1] - ideal[3]) / 3.0;
        assert!((whisker[1] - whisker[3] - 2.0 * unit).abs() < 0.05, "{whisker:?} {ideal:?}");
        assert_eq!((one[1], other[1]), (whisker[1], whisker[3]));
    }

    #[test]
    fn a_picture_is_the_same_bytes_twice() {
        let points: Vec<Datum> =
            (1..40).map(|p| datum(f64::from(p), f64::from(p).sqrt(), Some([0.5, 9.0]))).collect();
        assert_eq!(chart(points.clone()).draw().file(), chart(points).draw().file());
    }

    #[test]
    fn what_has_no_place_on_an_axis_is_left_out_and_not_drawn_elsewhere() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut chart = chart(vec![datum(1.0, bad, Some([bad, 2.0])), datum(bad, 1.0, None)]);
            chart.lines[0].places.push([bad, bad]);
            let text = chart.draw().file();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert_eq!(text.matches("<circle").count(), 1, "the legend's alone: {text}");
        }
        assert!(!chart(vec![]).draw().file().contains("NaN"));
    }

    #[test]
    fn a_prediction_with_a_long_interval_makes_nothing_else_small() {
        let mut chart = chart(vec![datum(1.0, 1.0, None)]);
        let far =
            vec![datum(4.0, 3.0, Some([1.0, 1e9])), datum(3.0, 3.0, Some([1.0, f64::INFINITY]))];
        chart.points.push(Points {
            points: far,
            marker: Marker::Predicted,
            ..chart.points[0].clone()
        });
        let text = chart.draw().inline();
        let ideal = drawn(&text, " d=\"M")
            .into_iter()
            .find(|line| line.len() == 4 && line[1] > line[3] + 100.0 && line[0] < line[2]);
        assert!(ideal.is_some(), "{text}");
        assert!(text.contains("stroke-dasharray=\"3 2.5\""));
    }

    #[test]
    fn texts_of_others_are_text() {
        let mut chart = chart(vec![datum(1.0, 1.0, None)]);
        chart.title = "</title><script>alert(1)</script>&\u{0}\u{8}\"'".into();
        chart.points[0].points[0].about = "]]><b>".into();
        let text = chart.draw().file();
        assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
        assert!(text.contains("&lt;script&gt;") && !text.contains('\u{0}'));
    }
}
