//! Shapes and texts, and the picture they make.

use std::fmt::Write as _;

use svg::node::Text;
use svg::node::element::Element;

use super::palette::{Fill, Ink, style_of_files};

/// How wide every picture is, in pixels of its own: of a size at which its texts can be read in half a page.
pub(super) const WIDTH: f64 = 420.0;
/// The size of texts, in the same pixels.
pub(super) const SIZE: f64 = 12.0;
const TITLE: f64 = 14.0;
const NOTE: f64 = 10.0;

/// A picture that is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// What its file is called, less the ending.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    description: String,
    height: f64,
    shapes: Vec<Element>,
    /// Where the figures are from: a file of its own says so, a page does once for all.
    note: String,
}

impl Picture {
    /// Returns the picture as a file.
    pub(crate) fn file(&self) -> String {
        let lines = wrapped(&self.note, WIDTH - 24.0, NOTE);
        let height =
            self.height + lines.len() as f64 * 13.0 + if lines.is_empty() { 0.0 } else { 6.0 };
        let mut style = Element::new("style");
        // Text is escaped; there is nothing in this one that would be.
        style.get_children_mut().push(Box::new(Text::new(style_of_files())));
        let mut root = self.root(height);
        root.get_children_mut().push(Box::new(style));
        set(&mut root, &[("width", number(WIDTH)), ("height", number(height))]);
        self.fill(&mut root, height);
        for (at, line) in lines.iter().enumerate() {
            let y = self.height + 10.0 + at as f64 * 13.0;
            let text = Label::new(line, 12.0, y).ink(Ink::Faint).size(NOTE).element();
            root.get_children_mut().push(Box::new(text));
        }
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{root}\n")
    }

    /// Returns the picture as a part of a page that has the style of pages.
    pub(crate) fn inline(&self) -> String {
        let mut root = self.root(self.height);
        self.fill(&mut root, self.height);
        root.to_string()
    }

    fn root(&self, height: f64) -> Element {
        let mut root = Element::new("svg");
        set(
            &mut root,
            &[
                ("xmlns", "http://www.w3.org/2000/svg".to_owned()),
                ("viewBox", format!("0 0 {} {}", number(WIDTH), number(height))),
                ("font-family", "system-ui, 'DejaVu Sans', 'Noto Sans', sans-serif".to_owned()),
                ("role", "img".to_owned()),
                ("aria-labelledby", format!("{0}-title {0}-desc", self.name)),
            ],
        );
        for (tag, text) in [("title", &self.title), ("desc", &self.description)] {
            let mut element = Element::new(tag);
            set(&mut element, &[("id", format!("{}-{tag}", self.name))]);
            element.get_children_mut().push(Box::new(Text::new(clean(text))));
            root.get_children_mut().push(Box::new(element));
        }
        root
    }

    fn fill(&self, root: &mut Element, height: f64) {
        let mut canvas = Canvas::new(self.name);
        canvas.area(Fill::Plain(Ink::Surface), [0.0, 0.0, WIDTH, height]);
        canvas.text(Label::new(&self.title, 12.0, 20.0).size(TITLE).bold());
        let children = root.get_children_mut();
        for shape in canvas.shapes.into_iter().chain(self.shapes.iter().cloned()) {
            children.push(Box::new(shape));
        }
    }
}

/// Where shapes are put, one over the other.
#[derive(Debug)]
pub(super) struct Canvas {
    name: &'static str,
    shapes: Vec<Element>,
    /// Inks whose stripes are defined.
    hatched: Vec<Ink>,
}

impl Canvas {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, shapes: Vec::new(), hatched: Vec::new() }
    }

    pub(super) fn picture(
        self,
        height: f64,
        title: &str,
        description: &str,
        note: &str,
    ) -> Picture {
        Picture {
            name: self.name,
            title: title.to_owned(),
            description: description.to_owned(),
            height,
            shapes: self.shapes,
            note: note.to_owned(),
        }
    }

    pub(super) fn text(&mut self, label: Label<'_>) {
        self.shapes.push(label.element());
    }

    /// Draws a line through these places.
    pub(super) fn line(&mut self, pen: Pen, places: &[[f64; 2]]) {
        let mut path = String::new();
        for (at, [x, y]) in places.iter().enumerate() {
            let step = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{step}{} {}", number(*x), number(*y));
        }
        let mut element = Element::new("path");
        set(&mut element, &[("d", path), ("fill", "none".to_owned())]);
        pen.stroke(&mut element);
        self.shapes.push(element);
    }

    /// Fills a rectangle: left, top, right, bottom.
    pub(super) fn area(&mut self, fill: Fill, corners: [f64; 4]) {
        let element = self.rectangle(fill, corners);
        self.shapes.push(element);
    }

    /// Fills a rectangle with an outline and a text for whoever points at it.
    pub(super) fn part(&mut self, fill: Fill, corners: [f64; 4], about: &str) {
        let mut element = self.rectangle(fill, corners);
        Pen::new(Ink::Surface, 0.75).stroke(&mut element);
        tell(&mut element, about);
        self.shapes.push(element);
    }

    fn rectangle(&mut self, fill: Fill, [left, top, right, bottom]: [f64; 4]) -> Element {
        let mut element = Element::new("rect");
        set(
            &mut element,
            &[
                ("x", number(left)),
                ("y", number(top)),
                ("width", number((right - left).max(0.0))),
                ("height", number((bottom - top).max(0.0))),
            ],
        );
        match fill {
            Fill::Plain(ink) => paint(&mut element, ink),
            Fill::Hatched(ink) => {
                let name = format!("{}-{}", self.name, ink.name());
                self.hatch(ink, &name);
                set(&mut element, &[("fill", format!("url(#{name})"))]);
            }
        }
        element
    }

    /// Defines stripes of this ink.
    fn hatch(&mut self, ink: Ink, name: &str) {
        if self.hatched.contains(&ink) {
            return;
        }
        self.hatched.push(ink);
        let mut pattern = Element::new("pattern");
        set(
            &mut pattern,
            &[
                ("id", name.to_owned()),
                ("width", "5".to_owned()),
                ("height", "5".to_owned()),
                ("patternUnits", "userSpaceOnUse".to_owned()),
                ("patternTransform", "rotate(45)".to_owned()),
            ],
        );
        let mut ground = Element::new("rect");
        set(&mut ground, &[("width", "5".to_owned()), ("height", "5".to_owned())]);
        paint(&mut ground, Ink::Surface);
        let mut stripe = Element::new("rect");
        set(&mut stripe, &[("width", "3".to_owned()), ("height", "5".to_owned())]);
        paint(&mut stripe, ink);
        pattern.get_children_mut().push(Box::new(ground));
        pattern.get_children_mut().push(Box::new(stripe));
        self.shapes.push(pattern);
    }

    /// Draws a closed shape: filled with ink, or hollow with an outline of it.
    pub(super) fn marker(&mut self, ink: Ink, body: Body, places: &[[f64; 2]], about: &str) {
        let corners: Vec<String> =
            places.iter().map(|[x, y]| format!("{},{}", number(*x), number(*y))).collect();
        let mut element = Element::new("polygon");
        set(&mut element, &[("points", corners.join(" "))]);
        self.mark(element, ink, body, about);
    }

    pub(super) fn dot(&mut self, ink: Ink, body: Body, [x, y]: [f64; 2], radius: f64, about: &str) {
        let mut element = Element::new("circle");
        set(&mut element, &[("cx", number(x)), ("cy", number(y)), ("r", number(radius))]);
        self.mark(element, ink, body, about);
    }

    fn mark(&mut self, mut element: Element, ink: Ink, body: Body, about: &str) {
        match body {
            Body::Filled => paint(&mut element, ink),
            Body::Hollow => {
                paint(&mut element, Ink::Surface);
                Pen::new(ink, 1.75).stroke(&mut element);
            }
        }
        tell(&mut element, about);
        self.shapes.push(element);
    }
}

/// Whether a marker is one colour or a ring of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Filled,
    Hollow,
}

/// What a line is drawn with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    ink: Ink,
    width: f64,
    dashes: Option<&'static str>,
}

impl Pen {
    pub(super) fn new(ink: Ink, width: f64) -> Self {
        Self { ink, width, dashes: None }
    }

    /// Takes lengths of dash and gap.
    pub(super) fn dashed(self, dashes: &'static str) -> Self {
        Self { dashes: Some(dashes), ..self }
    }

    fn stroke(self, element: &mut Element) {
        class(element, "s-", self.ink);
        set(
            element,
            &[("stroke", self.ink.on_light().to_owned()), ("stroke-width", number(self.width))],
        );
        if let Some(dashes) = self.dashes {
            set(element, &[("stroke-dasharray", dashes.to_owned())]);
        }
    }
}

/// A text and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label<'a> {
    text: &'a str,
    x: f64,
    /// Of the line that letters stand on.
    y: f64,
    ink: Ink,
    size: f64,
    anchor: &'static str,
    weight: &'static str,
    ground: Ground,
}

/// What is behind letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    Anything,
    /// A rim of the surface: lines that pass below do not cross them.
    Rim,
}

impl<'a> Label<'a> {
    /// Begins at this place.
    pub(super) fn new(text: &'a str, x: f64, y: f64) -> Self {
        Self {
            text,
            x,
            y,
            ink: Ink::Text,
            size: SIZE,
            anchor: "start",
            weight: "normal",
            ground: Ground::Anything,
        }
    }

    pub(super) fn ink(self, ink: Ink) -> Self {
        Self { ink, ..self }
    }

    pub(super) fn size(self, size: f64) -> Self {
        Self { size, ..self }
    }

    pub(super) fn bold(self) -> Self {
        Self { weight: "600", ..self }
    }

    /// Keeps lines away from its letters.
    pub(super) fn rimmed(self) -> Self {
        Self { ground: Ground::Rim, ..self }
    }

    /// Has its middle there.
    pub(super) fn middle(self) -> Self {
        Self { anchor: "middle", ..self }
    }

    /// Ends there.
    pub(super) fn end(self) -> Self {
        Self { anchor: "end", ..self }
    }

    fn element(self) -> Element {
        let mut element = Element::new("text");
        set(
            &mut element,
            &[("x", number(self.x)), ("y", number(self.y)), ("font-size", number(self.size))],
        );
        if self.anchor != "start" {
            set(&mut element, &[("text-anchor", self.anchor.to_owned())]);
        }
        if self.weight != "normal" {
            set(&mut element, &[("font-weight", self.weight.to_owned())]);
        }
        paint(&mut element, self.ink);
        if self.ground == Ground::Rim {
            Pen::new(Ink::Surface, 3.0).stroke(&mut element);
            set(&mut element, &[("paint-order", "stroke".to_owned())]);
        }
        element.get_children_mut().push(Box::new(Text::new(clean(self.text))));
        element
    }
}

/// Returns about how wide a text is; rather too wide.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '(' | ')' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' => 0.95,
        c if u32::from(c) >= 0x1100 => 1.0,
        c if c.is_uppercase() => 0.72,
        _ => 0.62,
    };
    text.chars().map(of).sum::<f64>() * size
}

/// Returns lines that are no wider than this, as far as words can be parted.
pub(super) fn wrapped(text: &str, most: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line, size) + width(word, size) + 0.36 * size <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Text that XML may hold: of control characters it has none, whoever wrote them.
fn clean(text: &str) -> String {
    let fits = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if fits(c) { c } else { ' ' }).collect()
}

fn tell(element: &mut Element, about: &str) {
    if !about.is_empty() {
        let mut title = Element::new("title");
        title.get_children_mut().push(Box::new(Text::new(clean(about))));
        element.get_children_mut().push(Box::new(title));
    }
}

fn paint(element: &mut Element, ink: Ink) {
    class(element, "f-", ink);
    set(element, &[("fill", ink.on_light().to_owned())]);
}

fn class(element: &mut Element, kind: &str, ink: Ink) {
    let before = element.get_attributes().get("class").map(|before| format!("{} ", &**before));
    let name = format!("{}{kind}{}", before.unwrap_or_default(), ink.name());
    set(element, &[("class", name)]);
}

fn set(element: &mut Element, attributes: &[(&str, String)]) {
    for (name, value) in attributes {
        element.get_attributes_mut().insert((*name).to_owned(), value.clone().into());
    }
}

/// Writes a coordinate, to a hundredth.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
