//! Places in a batch file, and what is wrong there: file, line, column, the line itself, and a caret.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::data::shown_path;
use crate::error::{Error, Explained};

/// As much of a line is shown, in characters.
const WIDTH: usize = 90;
/// So many faults of one file are shown.
const MOST_SHOWN: usize = 8;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// These bytes of the file.
    File(Range<usize>),
    /// This argument of the command line.
    Argument(String),
    /// Nowhere in particular.
    Unknown,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    place: Place,
    what: String,
    hint: Option<String>,
}

impl Fault {
    /// Returns a fault without a hint.
    pub(crate) fn new(place: Place, what: impl Into<String>) -> Self {
        Self { place, what: what.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Speaks of a key where another one's type has spoken of its own.
    #[must_use]
    pub(crate) fn instead(mut self, other: &str, key: &str) -> Self {
        self.what = self.what.replace(&format!("`{other}`"), &format!("`{key}`"));
        self.hint = Some("a length of time: \"60s\", \"5m\", \"1h\"".to_owned());
        self
    }

    /// Adds what to do about it, if that is known.
    #[must_use]
    pub(crate) fn hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}

/// Everything that was found wrong so far: a reader goes on after a fault, to find the next.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub(crate) fn add(&mut self, fault: Fault) {
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    /// Returns the value, or notes why there is none.
    pub(crate) fn keep<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Says whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The text of a batch file, and where it is from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    path: PathBuf,
    text: String,
    /// The byte each line begins at.
    lines: Vec<usize>,
}

impl Source {
    /// Holds a text.
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { path: path.to_owned(), text: text.to_owned(), lines }
    }

    /// Returns the text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says where something is from, for people: `configs/x.toml:12 [defaults]`.
    pub(crate) fn origin(&self, place: &Place, section: &str) -> String {
        match place {
            Place::File(span) => {
                let line = self.locate(span.start).0 + 1;
                format!("{}:{line} {section}", shown_path(&self.path))
            }
            Place::Argument(argument) => format!("--set {argument}"),
            Place::Unknown => section.to_owned(),
        }
    }

    /// Returns the line a byte is in, counted from 0, and that line's first byte.
    fn locate(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= byte).saturating_sub(1);
        (line, self.lines.get(line).copied().unwrap_or(0))
    }

    /// Makes all faults one error; there is at least one.
    pub(crate) fn error(&self, faults: Faults) -> Error {
        let Faults(mut faults) = faults;
        faults.sort_by_key(|fault| match &fault.place {
            Place::Argument(_) => 0,
            Place::File(span) => span.start + 1,
            Place::Unknown => usize::MAX,
        });
        let single = faults.len() == 1;
        let beyond = faults.len().saturating_sub(MOST_SHOWN);
        let mut shown = faults.into_iter().take(MOST_SHOWN);
        let Some(first) = shown.next() else {
            return Error::rejected(format!("{}: not understood", shown_path(&self.path)));
        };
        let mut what = Explained::new(self.headline(&first)).details(self.excerpt(&first.place));
        if single {
            return Error::rejected(match first.hint {
                Some(hint) => what.hint(hint),
                None => what,
            });
        }
        // With several, each keeps its own hint beside it.
        let hint = |fault: &Fault| fault.hint.as_ref().map(|hint| format!("hint: {hint}"));
        what = what.details(hint(&first));
        for fault in shown {
            what = what
                .details([self.headline(&fault)])
                .details(self.excerpt(&fault.place))
                .details(hint(&fault));
        }
        if beyond > 0 {
            what = what.details([format!("and {beyond} more")]);
        }
        Error::rejected(what)
    }

    fn headline(&self, fault: &Fault) -> String {
        match &fault.place {
            Place::File(span) => {
                let (line, start) = self.locate(span.start);
                let before = self.text.get(start..span.start).unwrap_or_default();
                let column = before.chars().count() + 1;
                format!("{}:{}:{column}: {}", shown_path(&self.path), line + 1, fault.what)
            }
            Place::Argument(argument) => format!("--set {argument}: {}", fault.what),
            Place::Unknown => format!("{}: {}", shown_path(&self.path), fault.what),
        }
    }

    /// Returns the line of a place, and below it a caret under each of its characters.
    fn excerpt(&self, place: &Place) -> Vec<String> {
        let Place::File(span) = place else { return Vec::new() };
        let (line, start) = self.locate(span.start);
        let text = self.text.get(start..).unwrap_or_default();
        let text = text.lines().next().unwrap_or_default();
        let before = self.text.get(start..span.start).unwrap_or_default().chars().count();
        let marked = self.text.get(span.clone()).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default().chars().count().max(1);
        // Of a long line the part around the place.
        let skipped = (before + marked.min(WIDTH / 2)).saturating_sub(WIDTH);
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let part: String = text.chars().skip(skipped).take(WIDTH).map(plain).collect();
        let margin = " ".repeat((line + 1).to_string().len());
        let carets = "^".repeat(marked.min(WIDTH.saturating_sub(before - skipped)).max(1));
        vec![
            format!("{} | {}", line + 1, part.trim_end()),
            format!("{margin} | {}{carets}", " ".repeat(before - skipped)),
        ]
    }
}
