//! A text that can be read more than once: a file, or bytes in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use crate::data::shown;
use crate::data::stamp::Stamp;
use crate::data::text::{Kind, Scan, TextFault, read_values, scan};
use crate::data::{DType, Scalar, Shape};
use crate::error::{Error, Explained};
use crate::with_dtype;

/// How much of a file is read at a time.
const BLOCK: usize = 1 << 18;

/// A text of numbers, checked but not converted.
#[derive(Debug)]
pub(crate) struct TextSource {
    name: String,
    body: Body,
    scan: Scan,
}

#[derive(Debug)]
enum Body {
    File { file: File, stamp: Stamp },
    Bytes(Vec<u8>),
}

impl TextSource {
    /// Checks a text file from beginning to end.
    pub(crate) fn from_file(name: String, file: File, stamp: Stamp) -> Result<Self, Error> {
        Self::check(name, Body::File { file, stamp })
    }

    /// Checks a text that is in memory.
    pub(crate) fn from_bytes(name: String, bytes: Vec<u8>) -> Result<Self, Error> {
        Self::check(name, Body::Bytes(bytes))
    }

    fn check(name: String, body: Body) -> Result<Self, Error> {
        let scan = match &body {
            Body::File { file, .. } => scan(reader(file)),
            Body::Bytes(bytes) => scan(bytes.as_slice()),
        };
        let scan = scan.map_err(|fault| rejected(&name, fault))?;
        let source = Self { name, body, scan };
        source.check_unchanged()?;
        Ok(source)
    }

    /// Says which text this is, in a way that another run of the same command finds again.
    pub(crate) fn lasting(&self) -> String {
        match &self.body {
            Body::File { stamp, .. } => stamp.lasting(),
            Body::Bytes(bytes) => format!("a text, blake3:{}", blake3::hash(bytes).to_hex()),
        }
    }

    /// Returns the shape of the numbers: a line if they are one row or one column.
    pub(crate) fn shape(&self) -> Result<Shape, Error> {
        let Scan { rows, cols, count, .. } = self.scan;
        if rows <= 1 || cols <= 1 { Shape::new([count]) } else { Shape::new([rows, cols]) }
    }

    /// Decides the type of the numbers, and checks that every one of them has a value in it.
    pub(crate) fn settle(&self, wanted: Option<DType>) -> Result<DType, Error> {
        let fits = |dtype: DType| match (self.scan.kind, dtype.integer_range()) {
            (_, None) => true,
            (Kind::Integers { least, greatest }, Some(range)) => {
                range.0 <= least && greatest <= range.1
            }
            (Kind::Floats, Some(_)) => false,
        };
        let candidates = match (wanted, self.scan.kind) {
            (Some(dtype), _) => vec![dtype],
            (None, Kind::Floats) => vec![DType::F64],
            // The last is the one to complain about: where nothing is negative it is the larger.
            (None, Kind::Integers { least: 0.., .. }) => vec![DType::I64, DType::U64],
            (None, Kind::Integers { .. }) => vec![DType::I64],
        };
        if let Some(dtype) = candidates.iter().copied().find(|dtype| fits(*dtype)) {
            return Ok(dtype);
        }
        let dtype = candidates.last().copied().unwrap_or(DType::F64);
        // Another pass finds the place, or that `1e3` is an integer after all.
        let found = with_dtype!(dtype, T => self.read(|_: T| {}));
        match found {
            Ok(_) => Ok(dtype),
            Err(fault) => Err(rejected_with(
                &self.name,
                fault,
                "--dtype f64 reads any number, rounded to the nearest",
            )),
        }
    }

    /// Calls `each` for every number, in order, and returns how many there were.
    ///
    /// Never more often than the shape has elements, even if the file has grown since.
    pub(crate) fn fill<T: Scalar>(&self, mut each: impl FnMut(T)) -> Result<u64, Error> {
        let mut left = self.scan.count;
        let found = self.read(|value| {
            if left > 0 {
                left -= 1;
                each(value);
            }
        });
        // First, because a fault in a file that was being written is not the fault to report.
        self.check_unchanged()?;
        match found {
            Ok(count) if count == self.scan.count => Ok(count),
            Ok(_) => Err(self.changed()),
            Err(fault) => Err(rejected(&self.name, fault)),
        }
    }

    fn read<T: Scalar>(&self, each: impl FnMut(T)) -> Result<u64, TextFault> {
        match &self.body {
            Body::File { file, .. } => read_values(reader(file), each),
            Body::Bytes(bytes) => read_values(bytes.as_slice(), each),
        }
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        match &self.body {
            Body::File { file, stamp } => match Stamp::of(file) {
                Ok(now) if now == *stamp => Ok(()),
                _ => Err(self.changed()),
            },
            Body::Bytes(_) => Ok(()),
        }
    }

    fn changed(&self) -> Error {
        Error::failed(format!("input `{}` changed while it was being read", self.name))
    }
}

fn rejected(name: &str, fault: TextFault) -> Error {
    rejected_with(
        name,
        fault,
        "numbers are separated by commas or blanks, all rows have as many, `#` begins a comment",
    )
}

fn rejected_with(name: &str, fault: TextFault, hint: &str) -> Error {
    Error::rejected(match fault {
        TextFault::At { line, column, what } => {
            Explained::new(format!("{name}:{line}:{column}: {what}")).hint(hint)
        }
        TextFault::Io(error) => {
            Explained::new(format!("cannot read input `{name}`: {}", shown::reason(&error)))
        }
    })
}

fn reader(file: &File) -> impl BufRead {
    BufReader::with_capacity(BLOCK, FromStart { file, at: 0 })
}

/// Reads a file from its start without moving the position that descriptors share.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(into, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
