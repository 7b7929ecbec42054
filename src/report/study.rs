//! A scaling study as a person reads it in a terminal.

use crate::scale::report::{Findings, Glyphs};

/// Makes the table and the small chart of a study, in what this terminal can show.
pub(crate) fn study(findings: &Findings) -> String {
    findings.terminal(Glyphs::of(|name| std::env::var(name).ok()))
}
