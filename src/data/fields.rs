//! Cuts a text into fields and lines, as a stream: what a field means is its caller's business.

use std::fmt;
use std::io::{self, BufRead};

use crate::data::shown;

/// The longest field. Any binary64 is exact in fewer digits than a person would write.
pub(super) const MAX_FIELD: usize = 512;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Why a text cannot be read.
#[derive(Debug)]
pub(crate) enum TextFault {
    /// There is something wrong with it here.
    At {
        /// The line, from 1.
        line: u64,
        /// The byte of the line at which the field begins, from 1.
        column: u64,
        /// What.
        what: String,
    },
    /// The system did not give it.
    Io(io::Error),
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { line, column, what } => write!(f, "line {line}, column {column}: {what}"),
            Self::Io(error) => f.write_str(&shown::reason(error)),
        }
    }
}

/// How much there is in a text.
pub(super) struct Extent {
    pub(super) rows: u64,
    pub(super) cols: Option<u64>,
    pub(super) count: u64,
}

/// Calls `each` for every field of a text, in order; what it finds wrong becomes a fault there.
pub(super) fn walk<R: BufRead>(
    mut reader: R,
    each: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<Extent, TextFault> {
    let mut walk = Walk {
        each,
        line: 1,
        line_start: 0,
        fields: 0,
        before: Before::Line,
        extent: Extent { rows: 0, cols: None, count: 0 },
    };
    let mut inside = Inside::Nothing;
    let mut base = 0_u64;
    // The part of a field that an earlier read ended with, and where it began.
    let (mut partial, mut partial_at) = (Vec::with_capacity(MAX_FIELD), 0_u64);
    loop {
        let chunk = match reader.fill_buf() {
            Ok([]) => break,
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(TextFault::Io(error)),
        };
        let mut rest = chunk;
        while let [first, after @ ..] = rest {
            let at = base + (chunk.len() - rest.len()) as u64;
            match inside {
                Inside::Comment => {
                    let end = rest.iter().position(|c| *c == b'\n').unwrap_or(rest.len());
                    if end < rest.len() {
                        inside = Inside::Nothing;
                    }
                    rest = rest.get(end..).unwrap_or_default();
                }
                Inside::Ending if *first != b'\n' => {
                    let what = "a carriage return that does not end a line".to_owned();
                    return Err(walk.fault(at.saturating_sub(1), what));
                }
                Inside::Ending => inside = Inside::Nothing,
                Inside::Field => {
                    let (part, next) = split_field(rest);
                    if partial.len() + part.len() > MAX_FIELD {
                        return Err(walk.too_long(partial_at));
                    }
                    partial.extend_from_slice(part);
                    if !next.is_empty() {
                        inside = Inside::Nothing;
                        walk.field(&partial, partial_at)?;
                    }
                    rest = next;
                }
                Inside::Nothing => match first {
                    b' ' | b'\t' => rest = after,
                    b'\n' => {
                        walk.end_line(at)?;
                        walk.line += 1;
                        walk.line_start = at + 1;
                        rest = after;
                    }
                    b',' => {
                        walk.comma(at)?;
                        rest = after;
                    }
                    b'\r' => {
                        inside = Inside::Ending;
                        rest = after;
                    }
                    b'#' => {
                        inside = Inside::Comment;
                        rest = after;
                    }
                    _ => {
                        let (field, next) = split_field(rest);
                        if field.len() > MAX_FIELD {
                            return Err(walk.too_long(at));
                        }
                        if next.is_empty() {
                            partial.clear();
                            partial.extend_from_slice(field);
                            partial_at = at;
                            inside = Inside::Field;
                        } else {
                            walk.field(field, at)?;
                        }
                        rest = next;
                    }
                },
            }
        }
        let len = chunk.len();
        reader.consume(len);
        base += len as u64;
    }
    if let Inside::Field = inside {
        walk.field(&partial, partial_at)?;
    }
    walk.end_line(base)?;
    Ok(walk.extent)
}

/// What the next byte belongs to.
#[derive(Clone, Copy)]
enum Inside {
    /// Whatever it begins.
    Nothing,
    /// The field that an earlier read ended with.
    Field,
    /// A comment.
    Comment,
    /// The end of a line, after its carriage return.
    Ending,
}

/// What the fields of a line so far end with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// There are none.
    Line,
    /// A field.
    Field,
    /// A comma, so another must follow.
    Comma,
}

struct Walk<F> {
    each: F,
    line: u64,
    line_start: u64,
    fields: u64,
    before: Before,
    extent: Extent,
}

impl<F: FnMut(&[u8]) -> Result<(), String>> Walk<F> {
    #[inline]
    fn field(&mut self, mut field: &[u8], mut at: u64) -> Result<(), TextFault> {
        if at == 0
            && let Some(rest) = field.strip_prefix(BOM)
        {
            // Editors do not show it, so columns do not count it.
            self.line_start = BOM.len() as u64;
            if rest.is_empty() {
                return Ok(());
            }
            (field, at) = (rest, self.line_start);
        }
        match (self.each)(field) {
            Ok(()) => {
                self.fields += 1;
                self.before = Before::Field;
                Ok(())
            }
            Err(what) => Err(self.fault(at, what)),
        }
    }

    fn comma(&mut self, at: u64) -> Result<(), TextFault> {
        if self.before != Before::Field {
            return Err(self.fault(at, "no number before the comma".to_owned()));
        }
        self.before = Before::Comma;
        Ok(())
    }

    fn end_line(&mut self, at: u64) -> Result<(), TextFault> {
        match self.before {
            Before::Line => return Ok(()),
            Before::Comma => {
                return Err(self.fault(at, "no number after the last comma".to_owned()));
            }
            Before::Field => {}
        }
        let found = self.fields;
        let expected = *self.extent.cols.get_or_insert(found);
        if found != expected {
            let what = format!("{found} numbers in this row, {expected} in the first");
            return Err(self.fault(self.line_start, what));
        }
        self.extent.rows += 1;
        self.extent.count += found;
        self.fields = 0;
        self.before = Before::Line;
        Ok(())
    }

    fn too_long(&self, at: u64) -> TextFault {
        self.fault(at, format!("a number of more than {MAX_FIELD} bytes"))
    }

    fn fault(&self, at: u64, what: String) -> TextFault {
        let column = at.saturating_sub(self.line_start) + 1;
        TextFault::At { line: self.line, column, what }
    }
}

/// Splits off the bytes up to the next separator; all of them if there is none.
#[inline]
fn split_field(bytes: &[u8]) -> (&[u8], &[u8]) {
    /// A table: six comparisons for each byte would take longer than reading its digit.
    const ENDS: [bool; 256] = {
        let mut ends = [false; 256];
        ends[b' ' as usize] = true;
        ends[b'\t' as usize] = true;
        ends[b'\n' as usize] = true;
        ends[b'\r' as usize] = true;
        ends[b',' as usize] = true;
        ends[b'#' as usize] = true;
        ends
    };
    let end = bytes.iter().position(|c| ENDS[usize::from(*c)]).unwrap_or(bytes.len());
    bytes.split_at(end)
}
