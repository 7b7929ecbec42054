//! What can go wrong, grouped by who can fix it, and the exit code each group has.
//!
//! A message is a lower-case fragment that names the thing, what was found and what was expected;
//! the hint says what to do. Nothing here prints.

use std::fmt;

/// The exit codes of `spmd`: what a script may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// 0: complete.
    Complete,
    /// 1: the run failed: kernel error, rank lost, output not written.
    Failed,
    /// 2: usage, configuration or input rejected; nothing ran.
    Rejected,
    /// 3: the result is wrong: verification or the internal audit failed.
    Wrong,
    /// 4: everything ran, and was slower than it was to be.
    GateMissed,
    /// 124: the time limit was reached.
    TimedOut,
    /// 125: this machine refuses (memory, shared memory, processes, files), or spmd itself failed.
    Refused,
    /// 126: the kernel was found but cannot be loaded.
    KernelUnusable,
    /// 127: there is no such kernel.
    KernelMissing,
    /// 128+n: ended by signal n.
    Signal(i32),
}

impl Exit {
    /// Returns the number the process exits with.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Complete => 0,
            Self::Failed => 1,
            Self::Rejected => 2,
            Self::Wrong => 3,
            Self::GateMissed => 4,
            Self::TimedOut => 124,
            Self::Refused => 125,
            Self::KernelUnusable => 126,
            Self::KernelMissing => 127,
            Self::Signal(n) => 128 + n,
        }
    }

    /// Returns the word the record's `status` carries.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Complete => "ok",
            Self::GateMissed => "slow",
            Self::Failed | Self::Signal(_) => "failed",
            Self::Wrong => "wrong",
            Self::TimedOut => "timeout",
            Self::Rejected | Self::Refused | Self::KernelUnusable | Self::KernelMissing => {
                "refused"
            }
        }
    }
}

/// Why a run did not happen, or did not succeed.
///
/// Each variant is one answer to "who can fix it?", and so one exit code ([`Error::exit`]).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The person typing can fix it: usage, configuration or input. Nothing ran.
    #[error("{0}")]
    Rejected(Explained),
    /// There is no kernel of this name.
    #[error("{0}")]
    KernelMissing(Explained),
    /// This machine does not give what the run needs, or spmd itself failed.
    #[error("{0}")]
    Refused(Explained),
    /// The run started and failed: a kernel error, a lost rank, output that could not be written.
    #[error("{0}")]
    Failed(Explained),
    /// The result is wrong.
    #[error("{0}")]
    Wrong(Explained),
    /// The time limit was reached.
    #[error("{0}")]
    TimedOut(Explained),
    /// The run was ended by a signal to the launcher, or by [`crate::Handle::cancel`].
    #[error("{what}")]
    Interrupted {
        /// What ended it.
        what: Explained,
        /// The signal's number; `SIGINT` for a cancellation by the program.
        signal: i32,
    },
}

/// A message with an optional hint, a line each.
///
/// Control characters in them are escaped: messages quote what others wrote, and none of it may end the
/// line or drive the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    message: String,
    details: Vec<String>,
    hint: Option<String>,
}

impl Explained {
    /// Returns a message without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: escaped(message.into()), details: Vec::new(), hint: None }
    }

    /// Adds lines that follow the message, such as one for each rank.
    #[must_use]
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines.into_iter().map(escaped));
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(escaped(hint.into()));
        self
    }
}

fn escaped(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<String> for Explained {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Explained {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// What an error says, in whichever variant: shared or to be changed, as the error is.
macro_rules! explained {
    ($error:expr) => {
        match $error {
            Error::Rejected(what)
            | Error::KernelMissing(what)
            | Error::Refused(what)
            | Error::Failed(what)
            | Error::Wrong(what)
            | Error::TimedOut(what)
            | Error::Interrupted { what, .. } => what,
        }
    };
}

impl Error {
    /// Returns a [`Error::Rejected`].
    pub fn rejected(what: impl Into<Explained>) -> Self {
        Self::Rejected(what.into())
    }

    /// Returns a [`Error::Refused`].
    pub fn refused(what: impl Into<Explained>) -> Self {
        Self::Refused(what.into())
    }

    /// Returns a [`Error::Failed`].
    pub fn failed(what: impl Into<Explained>) -> Self {
        Self::Failed(what.into())
    }

    /// Returns the exit code of this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Rejected(_) => Exit::Rejected,
            Self::KernelMissing(_) => Exit::KernelMissing,
            Self::Refused(_) => Exit::Refused,
            Self::Failed(_) => Exit::Failed,
            Self::Wrong(_) => Exit::Wrong,
            Self::TimedOut(_) => Exit::TimedOut,
            Self::Interrupted { signal, .. } => Exit::Signal(*signal),
        }
    }

    /// Returns the lines that follow the message.
    #[must_use]
    pub fn details(&self) -> &[String] {
        &self.explained().details
    }

    /// Adds another thing to do about it.
    #[must_use]
    pub(crate) fn also(mut self, more: &str) -> Self {
        let explained = explained!(&mut self);
        explained.hint = Some(match explained.hint.take() {
            Some(hint) => format!("{hint}; {more}"),
            None => more.to_owned(),
        });
        self
    }

    /// Says first what it is about.
    #[must_use]
    pub(crate) fn about(mut self, what: &str) -> Self {
        let explained = explained!(&mut self);
        explained.message = format!("{}: {}", escaped(what.to_owned()), explained.message);
        self
    }

    /// Returns what to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.explained().hint.as_deref()
    }

    fn explained(&self) -> &Explained {
        explained!(self)
    }
}

#[cfg(any(fuzzing, test))]
impl Error {
    /// Checks that message and hint are a line each and cannot drive the terminal they are shown on.
    pub(crate) fn check_printable(&self) {
        for text in [&*self.to_string(), self.hint().unwrap_or_default()] {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

/// Returns the name in `known` that was most likely meant by `given`, if one is near.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_hints_are_one_line_that_cannot_drive_a_terminal() {
        let error = Error::rejected(Explained::new("`\x1b[31mü\n`").hint("not `\u{9b}\t`"));
        assert_eq!(error.to_string(), "`\\u{1b}[31mü\\n`");
        assert_eq!(error.hint(), Some("not `\\u{9b}\\t`"));
    }
}
