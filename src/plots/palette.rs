//! Colours by what they are for, each for light paper and for dark.

use std::fmt::Write as _;

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ink {
    /// What everything lies on.
    Surface,
    Text,
    /// Text that is not looked for first.
    Faint,
    /// Lines that only guide the eye.
    Grid,
    /// What stands for nothing lost, and nothing special.
    Neutral,
    Blue,
    Sky,
    Green,
    Yellow,
    Orange,
    Vermillion,
    Purple,
}

impl Ink {
    const ALL: [Self; 12] = [
        Self::Surface,
        Self::Text,
        Self::Faint,
        Self::Grid,
        Self::Neutral,
        Self::Blue,
        Self::Sky,
        Self::Green,
        Self::Yellow,
        Self::Orange,
        Self::Vermillion,
        Self::Purple,
    ];

    /// Returns its name in style sheets, and what it is on light paper and on dark.
    const fn of(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Surface => ("surface", "#ffffff", "#14171b"),
            Self::Text => ("text", "#1b1f24", "#e8eaed"),
            Self::Faint => ("faint", "#5a626c", "#a3abb5"),
            Self::Grid => ("grid", "#dde1e6", "#32383f"),
            Self::Neutral => ("neutral", "#c3c9d0", "#5b646e"),
            Self::Blue => ("blue", "#0072b2", "#4a9fe0"),
            Self::Sky => ("sky", "#56b4e9", "#9fdcfa"),
            Self::Green => ("green", "#009e73", "#2fc495"),
            Self::Yellow => ("yellow", "#f0e442", "#f0e442"),
            Self::Orange => ("orange", "#e69f00", "#f2b134"),
            Self::Vermillion => ("vermillion", "#d55e00", "#ff8547"),
            Self::Purple => ("purple", "#cc79a7", "#e29cc3"),
        }
    }

    pub(super) const fn name(self) -> &'static str {
        self.of().0
    }

    pub(super) const fn on_light(self) -> &'static str {
        self.of().1
    }
}

/// How an area is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fill {
    Plain(Ink),
    /// Stripes, with the surface between them: a second use of a colour.
    Hatched(Ink),
}

/// Returns what a picture's own file needs to be readable on dark, too.
pub(super) fn style_of_files() -> String {
    let mut text = String::from("@media (prefers-color-scheme:dark){");
    for (name, _, dark) in Ink::ALL.map(Ink::of) {
        let _ = write!(text, ".f-{name}{{fill:{dark}}}.s-{name}{{stroke:{dark}}}");
    }
    text.push('}');
    text
}

/// Returns what a page with pictures in it needs: the colours as custom properties, `--blue` and so on, which
/// the page may use, too, and the classes of pictures by them. Paper is always light.
pub(crate) fn style_of_pages() -> String {
    let properties = |of: fn(Ink) -> &'static str| {
        Ink::ALL.map(|ink| format!("--{}:{}", ink.name(), of(ink))).join(";")
    };
    let mut text = format!(
        ":root{{color-scheme:light dark;{}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        properties(Ink::on_light),
        properties(|ink| ink.of().2)
    );
    for name in Ink::ALL.map(Ink::name) {
        let _ = write!(text, ".f-{name}{{fill:var(--{name})}}.s-{name}{{stroke:var(--{name})}}");
    }
    text.push('\n');
    text
}
