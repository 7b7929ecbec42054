//! What each mark means: entries in rows, before the picture itself.

use super::canvas::{Body, Canvas, Label, Pen, WIDTH, width};
use super::palette::{Fill, Ink};

const SIZE: f64 = 11.0;
const SWATCH: f64 = 20.0;
pub(super) const ROW: f64 = 17.0;

/// What stands before a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Swatch {
    Line(Pen),
    Marker(Ink, Shape, Body),
    Area(Fill),
}

/// The outline of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Diamond,
}

impl Shape {
    pub(super) fn draw(
        self,
        canvas: &mut Canvas,
        ink: Ink,
        body: Body,
        [x, y]: [f64; 2],
        about: &str,
    ) {
        match self {
            Self::Circle => canvas.dot(ink, body, [x, y], 3.25, about),
            Self::Diamond => {
                let corners = [[x, y - 5.0], [x + 5.0, y], [x, y + 5.0], [x - 5.0, y]];
                canvas.marker(ink, body, &corners, about);
            }
        }
    }
}

/// Draws the entries from this height on, and returns where they end.
pub(super) fn legend(canvas: &mut Canvas, entries: &[(Swatch, &str)], top: f64) -> f64 {
    let (mut x, mut y) = (12.0, top);
    for (at, (swatch, name)) in entries.iter().enumerate() {
        let wide = SWATCH + 6.0 + width(name, SIZE) + 12.0;
        if at > 0 && x + wide > WIDTH - 6.0 {
            (x, y) = (12.0, y + ROW);
        }
        let middle = y + ROW / 2.0;
        match *swatch {
            Swatch::Line(pen) => canvas.line(pen, &[[x, middle], [x + SWATCH, middle]]),
            Swatch::Marker(ink, shape, body) => {
                shape.draw(canvas, ink, body, [x + SWATCH / 2.0, middle], "");
            }
            Swatch::Area(fill) => {
                canvas.part(fill, [x + 4.0, middle - 5.5, x + SWATCH, middle + 5.5], "");
            }
        }
        canvas.text(Label::new(name, x + SWATCH + 6.0, middle + 4.0).size(SIZE));
        x += wide;
    }
    if entries.is_empty() { top } else { y + ROW }
}
