//! Files of JSON lines: read as a stream, with what a power cut leaves at their end; and appended to, a
//! line whole or not at all.
//!
//! A line is one `write`. What may be torn is therefore the last one, by a full disk or by a kill inside the
//! system call; and after a power cut, as file systems write the length of a file before or after its
//! blocks, everything since the last sync: lines of NULs, mostly. Such an end is cut off. A line that is
//! wrong and has right ones after it was not torn: somebody wrote it, and has to say what it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use crate::data::{excerpt, reason};
use crate::error::{Error, Explained};

/// Longer lines are none of ours: one with a thousand ranks has a quarter of a mebibyte.
const LONGEST: u64 = 64 << 20;
/// More than a power cut can tear: a syncer is never so far behind.
const TORN: u64 = 1 << 20;

/// What a file of lines holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Up to the end of the last whole line.
    pub(super) whole: u64,
    /// What follows it, and is none.
    pub(super) torn: u64,
}

/// The first line that was not understood, since the last that was.
struct Wrong {
    line: u64,
    at: u64,
    error: serde_json::Error,
    start: Vec<u8>,
}

/// Gives each line of a file to `take`; a torn end is only measured.
///
/// `remedy` says what to do about a wrong line that is followed by right ones.
pub(super) fn read(
    file: &File,
    shown: &str,
    remedy: &str,
    take: impl FnMut(&[u8]) -> serde_json::Result<()>,
) -> Result<Extent, Error> {
    read_from(BufReader::with_capacity(1 << 16, file), shown, remedy, take)
}

fn read_from(
    mut reader: impl BufRead,
    shown: &str,
    remedy: &str,
    mut take: impl FnMut(&[u8]) -> serde_json::Result<()>,
) -> Result<Extent, Error> {
    let mut line = Vec::new();
    let (mut at, mut number) = (0, 0);
    let mut wrong: Option<Wrong> = None;
    loop {
        line.clear();
        let read = (&mut reader).take(LONGEST).read_until(b'\n', &mut line).map_err(|error| {
            Error::refused(format!("cannot read `{shown}`: {}", reason(&error)))
        })?;
        let next = at + read as u64;
        number += 1;
        let Some(text) = line.strip_suffix(b"\n") else {
            return end(shown, wrong.map_or(at, |wrong| wrong.at), next);
        };
        match (take(text), &wrong) {
            (Ok(()), None) => {}
            (Ok(()), Some(wrong)) => return Err(refused(shown, remedy, wrong)),
            // JSON, and not what it should be: this was not torn, wherever it stands.
            (Err(error), _) if error.is_data() => {
                let wrong = Wrong { line: number, at, error, start: text.to_vec() };
                return Err(refused(shown, remedy, &wrong));
            }
            (Err(error), None) => {
                wrong = Some(Wrong { line: number, at, error, start: text.to_vec() });
            }
            (Err(_), Some(_)) => {}
        }
        at = next;
    }
}

fn end(shown: &str, whole: u64, len: u64) -> Result<Extent, Error> {
    let torn = len - whole;
    if torn > TORN {
        return Err(Error::rejected(
            Explained::new(format!(
                "`{shown}`: the last {torn} bytes are no lines of JSON, and more than a power cut tears"
            ))
            .hint(format!("if they may go: truncate -s {whole} '{shown}'")),
        ));
    }
    Ok(Extent { whole, torn })
}

fn refused(shown: &str, remedy: &str, wrong: &Wrong) -> Error {
    let Wrong { line, error, start, .. } = wrong;
    let text = error.to_string();
    let why = text.rsplit_once(" at line ").map_or(&*text, |(why, _)| why);
    Error::rejected(
        Explained::new(format!(
            "{shown}:{line}:{column}: {why}: `{found}`",
            column = error.column(),
            found = excerpt(start),
        ))
        .hint(format!("{remedy}: sed -i {line}d '{shown}'")),
    )
}

/// What lines are kept in: a file, or in tests one that fails.
pub(super) trait Storage {
    /// Adds bytes at the end; returns how many.
    fn add(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes it this long.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

/// Opened to append.
impl Storage for File {
    fn add(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Appends lines, each whole or not at all.
#[derive(Debug)]
pub(super) struct Lines<S = File> {
    storage: S,
    /// To the end of the last line.
    len: u64,
    shown: String,
    ending: Ending,
}

/// How the file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    /// In part of a line, which could not be taken back. Whoever opens the file next will.
    Torn,
}

impl<S: Storage> Lines<S> {
    /// Goes on after the whole lines of a file, without what is torn.
    pub(super) fn after(mut storage: S, shown: String, extent: Extent) -> Result<Self, Error> {
        let Extent { whole, torn } = extent;
        if torn > 0 {
            storage.cut(whole).map_err(|error| {
                let why = reason(&error);
                Error::refused(format!("cannot cut `{shown}` to {whole} bytes: {why}"))
            })?;
        }
        Ok(Self { storage, len: whole, shown, ending: Ending::Whole })
    }

    /// Appends one line, which `text` ends with its newline.
    pub(super) fn append(&mut self, text: &[u8]) -> Result<(), Error> {
        if self.ending == Ending::Torn {
            return Err(self.refused("part of a line is at its end"));
        }
        let added = loop {
            match self.storage.add(text) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                added => break added,
            }
        };
        let why = match added {
            Ok(added) if added == text.len() => {
                self.len += text.len() as u64;
                return Ok(());
            }
            // A disk that is nearly full takes a part; what is wrong, the next write would say.
            Ok(_) => "it takes no more".to_owned(),
            Err(error) => reason(&error),
        };
        if self.storage.cut(self.len).is_err() {
            self.ending = Ending::Torn;
        }
        Err(self.refused(&why))
    }

    fn refused(&self, why: &str) -> Error {
        Error::refused(
            Explained::new(format!("cannot write to `{}`: {why}", self.shown))
                .hint("free some space; the same command continues with what is missing"),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<(Extent, usize), Error> {
        let mut lines = 0;
        let extent = read_from(bytes, "s.jsonl", "it runs again", |line| {
            serde_json::from_slice::<Value>(line)?;
            lines += 1;
            Ok(())
        })?;
        Ok((extent, lines))
    }

    fn extent(whole: u64, torn: u64) -> Extent {
        Extent { whole, torn }
    }

    #[test]
    fn an_end_that_a_power_cut_tore_is_measured() {
        for (bytes, whole, torn, lines) in [
            (&b""[..], 0, 0, 0),
            (b"{}\n", 3, 0, 1),
            (b"{", 0, 1, 0),
            (b"{}\n{}", 3, 2, 1),
            (b"{}\n{\"a\n", 3, 4, 1),
            (b"{}\n{\"a\n\0\0\n\0\0\0", 3, 10, 1),
            (b"{}\n\n", 3, 1, 1),
        ] {
            assert_eq!(read_bytes(bytes).unwrap(), (extent(whole, torn), lines), "{bytes:?}");
        }
    }

    #[test]
    fn a_wrong_line_before_right_ones_is_refused_with_its_place() {
        let error = read_bytes(b"{}\n{\"a\": nil}\n{}\n").unwrap_err();
        assert_eq!(error.to_string(), "s.jsonl:2:8: expected ident: `{\"a\": nil}`");
        assert_eq!(error.hint(), Some("it runs again: sed -i 2d 's.jsonl'"));
        assert_eq!(error.exit().code(), 2);
    }

    #[test]
    fn what_is_json_and_not_ours_is_refused_at_the_end_too() {
        let read = read_from(&b"1\ntrue\n"[..], "s", "r", |line| {
            serde_json::from_slice::<u32>(line).map(drop)
        });
        assert!(read.unwrap_err().to_string().starts_with("s:2:"));
    }

    #[test]
    fn more_than_a_power_cut_tears_is_not_cut() {
        let error = read_bytes(&[b"{}\n", &vec![b'x'; 1 << 21][..]].concat()).unwrap_err();
        assert_eq!(
            error.hint(),
            Some("if they may go: truncate -s 3 's'".replace("'s'", "'s.jsonl'").as_str())
        );
    }

    /// A file on a disk of so many bytes.
    #[derive(Debug)]
    struct Small {
        held: Vec<u8>,
        room: usize,
        cuts: io::Result<()>,
        interrupted: u32,
    }

    impl Small {
        fn new(room: usize) -> Self {
            Self { held: Vec::new(), room, cuts: Ok(()), interrupted: 0 }
        }
    }

    impl Storage for &mut Small {
        fn add(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.interrupted > 0 {
                self.interrupted -= 1;
                return Err(io::ErrorKind::Interrupted.into());
            }
            let taken = bytes.len().min(self.room - self.held.len());
            if taken == 0 {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            self.held.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn cut(&mut self, len: u64) -> io::Result<()> {
            if self.cuts.is_err() {
                return Err(io::ErrorKind::Other.into());
            }
            self.held.truncate(len as usize);
            Ok(())
        }
    }

    fn lines(storage: &mut Small) -> Lines<&mut Small> {
        Lines::after(storage, "s".to_owned(), Extent::default()).unwrap()
    }

    #[test]
    fn a_full_disk_keeps_whole_lines_wherever_it_ends() {
        for room in 0..=10 {
            let mut small = Small::new(room);
            let mut lines = lines(&mut small);
            let taken = (0..5).take_while(|_| lines.append(b"{}\n").is_ok()).count();
            let error = lines.append(b"{}\n").unwrap_err();
            assert_eq!(error.exit().code(), 125);
            assert!(error.hint().unwrap().contains("the same command continues"));
            assert_eq!((taken, &*small.held), (room / 3, "{}\n".repeat(room / 3).as_bytes()));
        }
    }

    #[test]
    fn room_that_is_made_is_used() {
        let mut small = Small::new(4);
        let mut lines = lines(&mut small);
        lines.append(b"{}\n").unwrap();
        lines.append(b"{}\n").unwrap_err();
        lines.storage.room = 6;
        lines.append(b"{}\n").unwrap();
        assert_eq!(small.held, b"{}\n{}\n");
    }

    #[test]
    fn nothing_follows_part_of_a_line_that_cannot_be_taken_back() {
        let mut small = Small::new(4);
        small.cuts = Err(io::ErrorKind::Other.into());
        let mut lines = lines(&mut small);
        lines.append(b"{}\n").unwrap();
        lines.append(b"{}\n").unwrap_err();
        lines.storage.room = 100;
        lines.append(b"{}\n").unwrap_err();
        assert_eq!(small.held, b"{}\n{");
    }

    #[test]
    fn an_interrupted_write_is_made_again() {
        let mut small = Small { interrupted: 3, ..Small::new(10) };
        lines(&mut small).append(b"{}\n").unwrap();
        assert_eq!(small.held, b"{}\n");
    }
}
