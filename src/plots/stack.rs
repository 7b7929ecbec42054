//! Parts of a whole: a bar for each whole, and its parts in a row.
//!
//! Every bar ends where its whole does. Parts below nothing, which are gains, let the bar begin that much
//! before nothing, and a thin strip below it shows whose they are: so what the parts add up to is seen
//! from the ends alone.

use super::axis::{Axis, From, Ruler, Scale, Ticks, Unit};
use super::canvas::{Canvas, Label, Pen, Picture, SIZE, WIDTH, width};
use super::legend::{Swatch, legend};
use super::palette::{Fill, Ink};

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) note: String,
    pub(crate) label: String,
    pub(crate) bars: Vec<Bar>,
}

#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    /// In their order; shares of the whole, which add up to 1.
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) fill: Fill,
    pub(crate) share: f64,
    /// For whoever points at it.
    pub(crate) about: String,
}

const THICK: f64 = 24.0;
const STEP: f64 = 40.0;
/// Thinner than this, in pixels, a part is seen by nobody, and is not in the legend either.
const SEEN: f64 = 0.75;

impl Stack {
    pub(crate) fn draw(&self) -> Picture {
        let mut canvas = Canvas::new(self.name);
        let widest = self.bars.iter().map(|bar| width(&bar.name, SIZE)).fold(0.0, f64::max);
        let (left, right) = (12.0 + widest + 8.0, WIDTH - 24.0);
        let axis = Axis {
            label: self.label.clone(),
            scale: Scale::Linear,
            from: From::Zero,
            ticks: Ticks::Round,
            unit: Unit::Percent,
        };
        let gains = self.bars.iter().map(|bar| -bar.gains());
        let ruler = Ruler::new(&axis, gains.chain([1.0]), [left, right]);
        let place = |share: f64| ruler.place(share).unwrap_or(left);
        let pixels = place(1.0) - place(0.0);
        let top = legend(&mut canvas, &self.entries(pixels), 28.0) + 12.0;
        let bottom = top + self.bars.len() as f64 * STEP;
        for value in ruler.ticks(&axis, 7) {
            let x = place(value);
            canvas.line(Pen::new(Ink::Grid, 1.0), &[[x, top], [x, bottom]]);
            let name = axis.unit.write(value);
            canvas.text(Label::new(&name, x, bottom + 16.0).middle().ink(Ink::Faint));
        }
        for (at, bar) in self.bars.iter().enumerate() {
            let y = top + at as f64 * STEP + (STEP - THICK) / 2.0;
            canvas.text(Label::new(&bar.name, left - 8.0, y + THICK / 2.0 + 4.0).end());
            bar.draw(&mut canvas, y, &place);
        }
        for (share, pen) in [(0.0, Pen::new(Ink::Faint, 1.0)), (1.0, Pen::new(Ink::Text, 1.25))] {
            canvas.line(pen, &[[place(share), top - 4.0], [place(share), bottom]]);
        }
        canvas.text(Label::new(&axis.label, right, bottom + 34.0).end().ink(Ink::Faint));
        canvas.picture(bottom + 42.0, &self.title, &self.description, &self.note)
    }

    /// Returns each part that is seen in some bar, once.
    fn entries(&self, pixels: f64) -> Vec<(Swatch, &'static str)> {
        let mut entries: Vec<(Swatch, &'static str)> = Vec::new();
        let seen = |part: &&Part| part.share.abs() * pixels >= SEEN;
        for bar in &self.bars {
            for (at, part) in bar.parts.iter().enumerate().filter(|(_, part)| seen(part)) {
                if entries.iter().all(|(_, name)| *name != part.name) {
                    // In the order of the parts, whichever bar shows them first.
                    let before = &bar.parts[..at];
                    let after = entries
                        .iter()
                        .rposition(|(_, name)| before.iter().any(|part| part.name == *name));
                    let place = after.map_or(0, |after| after + 1);
                    entries.insert(place, (Swatch::Area(part.fill), part.name));
                }
            }
        }
        entries
    }
}

impl Bar {
    /// Returns what parts below nothing come to.
    fn gains(&self) -> f64 {
        // From 0.0: the sum of nothing would be -0.
        self.parts.iter().fold(0.0, |sum, part| sum + (-part.share).max(0.0))
    }

    fn draw(&self, canvas: &mut Canvas, y: f64, place: &impl Fn(f64) -> f64) {
        let mut end = -self.gains();
        let mut gained = end;
        for part in self.parts.iter().filter(|part| part.share.is_finite()) {
            if part.share < 0.0 {
                let corners =
                    [place(gained), y + THICK + 2.0, place(gained - part.share), y + THICK + 7.0];
                canvas.part(part.fill, corners, &part.about);
                gained -= part.share;
                continue;
            }
            let [from, to] = [place(end), place(end + part.share)];
            end += part.share;
            canvas.part(part.fill, [from, y, to, y + THICK], &part.about);
            let name = Unit::Percent.write((part.share * 100.0).round() / 100.0);
            if let Fill::Plain(Ink::Neutral) = part.fill
                && width(&name, 11.0) + 6.0 < to - from
            {
                let label = Label::new(&name, (from + to) / 2.0, y + THICK / 2.0 + 4.0);
                canvas.text(label.middle().size(11.0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &'static str, ink: Ink, share: f64) -> Part {
        Part { name, fill: Fill::Plain(ink), share, about: format!("{name} {share}") }
    }

    fn stack(bars: Vec<Vec<Part>>) -> Stack {
        Stack {
            name: "losses",
            title: "Where the time went".into(),
            description: String::new(),
            note: String::new(),
            label: "share of procs × time".into(),
            bars: bars
                .into_iter()
                .enumerate()
                .map(|(at, parts)| Bar { name: format!("{} ranks", at + 1), parts })
                .collect(),
        }
    }

    /// Left and right of each rectangle that says what it is.
    fn parts(text: &str) -> Vec<[f64; 2]> {
        let shapes = text.split("<rect ").skip(1).filter(|shape| shape.contains("<title>"));
        let value = |shape: &str, name: &str| -> f64 {
            let from = shape.split(&format!("{name}=\"")).nth(1).unwrap();
            from.split('"').next().unwrap().parse().unwrap()
        };
        shapes
            .map(|shape| {
                let x = value(shape, " x");
                [x, x + value(shape, " width")]
            })
            .collect()
    }

    #[test]
    fn the_bars_of_losses_end_where_the_whole_ends() {
        let text = stack(vec![
            vec![part("ideal", Ink::Neutral, 1.0)],
            vec![part("ideal", Ink::Neutral, 0.7), part("memory", Ink::Blue, 0.3)],
            vec![
                part("ideal", Ink::Neutral, 1.1),
                part("claim", Ink::Orange, 0.05),
                part("computing", Ink::Green, -0.15),
            ],
        ])
        .draw()
        .inline();
        let found = parts(&text);
        assert_eq!(found.len(), 6);
        let whole = found[0][1];
        for end in [found[2][1], found[4][1]] {
            assert!((end - whole).abs() < 0.03, "{found:?}");
        }
        // The gain lies before nothing, and as long as the bar begins before it.
        assert!(
            (found[5][1] - found[0][0]).abs() < 0.03 && found[5][0] == found[3][0],
            "{found:?}"
        );
        assert!((found[1][1] - found[2][0]).abs() < 0.03);
    }

    #[test]
    fn the_legend_has_what_is_seen_in_the_order_of_the_parts() {
        let text = stack(vec![
            vec![part("ideal", Ink::Neutral, 0.9), part("barrier", Ink::Yellow, 0.1)],
            vec![
                part("ideal", Ink::Neutral, 0.8),
                part("claim", Ink::Orange, 0.1),
                part("barrier", Ink::Yellow, 0.0999),
                part("steal", Ink::Purple, 0.0001),
            ],
        ])
        .draw()
        .inline();
        let at = |name: &str| text.find(&format!(">{name}</text>"));
        assert!(at("ideal") < at("claim") && at("claim") < at("barrier"), "{text}");
        assert_eq!(at("steal"), None);
    }

    #[test]
    fn no_bars_are_a_picture_of_none() {
        assert!(!stack(vec![]).draw().file().contains("NaN"));
    }
}
