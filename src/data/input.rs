//! The input array: found, checked and described, before anything runs.
//!
//! Nothing is converted or copied here that can wait: a file stays a descriptor, to be mapped or
//! read when there is somewhere to put it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::data::npy::{self, ByteOrder, NpyHeader};
use crate::data::regular;
use crate::data::shown;
use crate::data::stamp::Stamp;
use crate::data::text_source::TextSource;
use crate::data::{DType, InputSpec, Scalar, Shape};
use crate::error::{Error, Explained};
use crate::host::streams::{self, Stream};

/// An array to be computed on.
#[derive(Debug)]
pub(crate) struct Input {
    /// The type of its elements.
    pub(crate) dtype: DType,
    /// Its shape.
    pub(crate) shape: Shape,
    /// Where its elements are.
    pub(crate) source: Source,
    /// What messages call it.
    pub(crate) name: String,
}

/// Where the elements of an input are.
#[derive(Debug)]
pub(crate) enum Source {
    /// Nowhere: element i is `first + i`.
    Index {
        /// Element 0.
        first: i128,
    },
    /// In a file, one after the other.
    File {
        /// The file, open to read.
        file: File,
        /// Where in it the first element begins; need not be aligned.
        offset: u64,
        /// Whether their bytes are in this machine's order.
        order: ByteOrder,
        /// The file's state when it was checked.
        stamp: Stamp,
    },
    /// In a text.
    Text(TextSource),
    /// Here, as bytes in this machine's order.
    Values(Vec<u8>),
}

impl Input {
    /// Finds and checks an input; `dtype` is what was asked for, if anything was.
    pub(crate) fn open(spec: &InputSpec, dtype: Option<DType>) -> Result<Self, Error> {
        match spec {
            InputSpec::Literals(text) => {
                let name = "--input".to_owned();
                Self::text(TextSource::from_bytes(name.clone(), text.clone().into())?, name, dtype)
            }
            InputSpec::Range { first, end } => Self::range(*first, *end, dtype),
            InputSpec::Npy(path) => Self::npy(path, dtype),
            InputSpec::Csv(path) | InputSpec::Txt(path) => {
                let name = shown::path(path);
                let (file, stamp) = regular::open(path)?;
                Self::text(TextSource::from_file(name.clone(), file, stamp)?, name, dtype)
            }
            InputSpec::Bin(path) => Self::bin(path, dtype),
            InputSpec::Stdin => Self::stream(read_stdin()?, dtype),
        }
    }

    /// Says what the elements are, in a way that another run of the same command finds again.
    pub(crate) fn lasting(&self) -> String {
        match &self.source {
            Source::Index { first } => format!("the integers from {first} on"),
            Source::File { stamp, .. } => stamp.lasting(),
            Source::Text(text) => text.lasting(),
            Source::Values(bytes) => format!("values, blake3:{}", blake3::hash(bytes).to_hex()),
        }
    }

    /// Returns the indices from 0 to `n`, as elements of the given type.
    pub(crate) fn index(n: u64, dtype: DType) -> Result<Self, Error> {
        Self::range(0, i128::from(n), Some(dtype))
    }

    /// Returns the values a caller has in memory.
    pub(crate) fn from_values<T: Scalar>(values: &[T]) -> Self {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        for value in values {
            value.append_bytes(&mut bytes);
        }
        Self {
            dtype: T::DTYPE,
            shape: Shape::line(values.len() as u64),
            source: Source::Values(bytes),
            name: "values".to_owned(),
        }
    }

    fn text(text: TextSource, name: String, dtype: Option<DType>) -> Result<Self, Error> {
        let dtype = text.settle(dtype)?;
        Ok(Self { dtype, shape: text.shape()?, source: Source::Text(text), name })
    }

    fn range(first: i128, end: i128, dtype: Option<DType>) -> Result<Self, Error> {
        let name = format!("range:{first}:{end}");
        let n = u64::try_from(end - first).map_err(|_| {
            Error::rejected(format!("input `{name}` is not a range of fewer than 2^64 elements"))
        })?;
        let shape = Shape::new([n])?;
        let fits = |dtype: &DType| match dtype.integer_range() {
            Some((least, greatest)) => n == 0 || (least <= first && end - 1 <= greatest),
            None => true,
        };
        let candidates = dtype.map_or(vec![DType::I64, DType::U64], |dtype| vec![dtype]);
        let Some(dtype) = candidates.iter().copied().find(fits) else {
            let (names, hint) = match dtype {
                Some(dtype) => (dtype.to_string(), "a wider --dtype, or a shorter range"),
                None => ("i64 nor of u64".to_owned(), "--dtype f64 rounds to the nearest"),
            };
            let last = end - 1;
            return Err(Error::rejected(
                Explained::new(format!(
                    "input `{name}`: {first} to {last} is not within the range of {names}"
                ))
                .hint(hint),
            ));
        };
        Ok(Self { dtype, shape, source: Source::Index { first }, name })
    }

    fn npy(path: &Path, dtype: Option<DType>) -> Result<Self, Error> {
        let name = shown::path(path);
        let (file, stamp) = regular::open(path)?;
        let mut start = Vec::new();
        // Bounded by what a header may be, whatever the file's length.
        let len = usize::try_from(stamp.size()).unwrap_or(npy::START).min(npy::START);
        start.resize(len, 0);
        file.read_exact_at(&mut start, 0).map_err(|error| unreadable(&name, &error))?;
        let header = npy::parse(&start, stamp.size()).map_err(|what| bad(&name, what))?;
        agree(&name, dtype, header.dtype)?;
        let NpyHeader { dtype, order, shape, offset } = header;
        Ok(Self { dtype, shape, source: Source::File { file, offset, order, stamp }, name })
    }

    fn bin(path: &Path, dtype: Option<DType>) -> Result<Self, Error> {
        let name = shown::path(path);
        let Some(dtype) = dtype else {
            return Err(Error::rejected(
                Explained::new(format!("input `{name}` does not say what its elements are"))
                    .hint("--dtype, one of i32, i64, u32, u64, f32, f64"),
            ));
        };
        let (file, stamp) = regular::open(path)?;
        let (len, size) = (stamp.size(), dtype.size() as u64);
        if len % size != 0 {
            return Err(bad(
                &name,
                format!("{len} bytes are not a multiple of {size}, the size of {dtype}"),
            ));
        }
        let shape = Shape::new([len / size]).map_err(|error| bad(&name, error.to_string()))?;
        let source = Source::File { file, offset: 0, order: ByteOrder::Native, stamp };
        Ok(Self { dtype, shape, source, name })
    }

    /// Makes an input of all that a stream held: a `.npy` file, or text.
    pub(super) fn stream(mut bytes: Vec<u8>, dtype: Option<DType>) -> Result<Self, Error> {
        let name = "standard input".to_owned();
        if !npy::has_magic(&bytes) {
            return Self::text(TextSource::from_bytes(name.clone(), bytes)?, name, dtype);
        }
        let start = bytes.get(..npy::START).unwrap_or(&bytes);
        let header = npy::parse(start, bytes.len() as u64).map_err(|what| bad(&name, what))?;
        agree(&name, dtype, header.dtype)?;
        let NpyHeader { dtype, order, shape, offset } = header;
        // The header was parsed from these bytes, so it ends within them.
        bytes.drain(..usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len()));
        if order == ByteOrder::Swapped {
            bytes.chunks_exact_mut(dtype.size()).for_each(<[u8]>::reverse);
        }
        Ok(Self { dtype, shape, source: Source::Values(bytes), name })
    }
}

fn bad(name: &str, what: String) -> Error {
    Error::rejected(format!("input `{name}`: {what}"))
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    Error::rejected(format!("cannot read input `{name}`: {}", shown::reason(error)))
}

/// Checks that the type asked for is the type that is there.
fn agree(name: &str, wanted: Option<DType>, found: DType) -> Result<(), Error> {
    match wanted {
        Some(wanted) if wanted != found => Err(Error::rejected(
            Explained::new(format!("input `{name}` holds {found}, but --dtype says {wanted}"))
                .hint("leave --dtype out: the file has its own"),
        )),
        _ => Ok(()),
    }
}

fn read_stdin() -> Result<Vec<u8>, Error> {
    // A descriptor of its own: std's handle takes a closed standard input for an empty one.
    let mut bytes = Vec::new();
    let owned = io::stdin().as_fd().try_clone_to_owned();
    let read = owned.map(File::from).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| unreadable("standard input", &error))?;
    if bytes.is_empty() && streams::was_closed(Stream::Stdin) {
        return Err(Error::rejected(
            Explained::new("cannot read input `standard input`: it is closed")
                .hint("pipe numbers into it, or name a file"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::data::testing::Folder;

    fn open(spec: &str, dtype: Option<DType>) -> Result<Input, Error> {
        Input::open(&spec.parse()?, dtype)
    }

    fn at(folder: &Folder, name: &str) -> String {
        folder.path(name).into_os_string().into_string().unwrap()
    }

    fn numbers(input: &Input) -> Vec<f64> {
        let Source::Text(text) = &input.source else { panic!("{input:?}") };
        let mut found = Vec::new();
        let count = text.fill(|value: f64| found.push(value)).unwrap();
        assert_eq!(count, input.shape.elements());
        found
    }

    #[test]
    fn chooses_the_type_of_literals() {
        for (text, dtype) in [
            ("", DType::I64),
            ("1,2", DType::I64),
            ("-9223372036854775808", DType::I64),
            ("9223372036854775808", DType::U64),
            ("1,2.5", DType::F64),
        ] {
            assert_eq!(open(text, None).unwrap().dtype, dtype, "{text}");
        }
        assert_eq!(open("1e3,2.0", Some(DType::I32)).unwrap().dtype, DType::I32);
        assert_eq!(numbers(&open("1,2", Some(DType::F32)).unwrap()), [1.0, 2.0]);
    }

    #[test]
    fn refuses_literals_that_fit_no_type() {
        for (text, dtype, message) in [
            (
                "1,18446744073709551616",
                None,
                "--input:1:3: `18446744073709551616` is outside the range of u64, which is 0 to 18446744073709551615",
            ),
            (
                "-1,9223372036854775808",
                None,
                "--input:1:4: `9223372036854775808` is outside the range of i64, which is -9223372036854775808 to 9223372036854775807",
            ),
            (
                "1,-2",
                Some(DType::U32),
                "--input:1:3: `-2` is outside the range of u32, which is 0 to 4294967295",
            ),
            ("1.5", Some(DType::I64), "--input:1:1: `1.5` is not an integer, and the dtype is i64"),
        ] {
            let error = open(text, dtype).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit().code()), (message, 2));
            assert!(error.hint().unwrap().contains("--dtype f64"));
        }
    }

    #[test]
    fn takes_ranges_that_fit() {
        for (text, dtype, found, n) in [
            ("range:0:10", None, DType::I64, 10),
            ("range:5:5", None, DType::I64, 0),
            ("range:18446744073709551615:18446744073709551616", None, DType::U64, 1),
            ("range:0:4294967296", Some(DType::U32), DType::U32, 1 << 32),
            ("range:-3:3", Some(DType::F32), DType::F32, 6),
        ] {
            let input = open(text, dtype).unwrap();
            assert_eq!((input.dtype, input.shape.elements()), (found, n), "{text}");
        }
        for (text, dtype) in [
            ("range:0:4294967297", Some(DType::U32)),
            ("range:-1:1", Some(DType::U64)),
            ("range:-18446744073709551616:-18446744073709551615", None),
            ("range:0:1100000000000", None),
        ] {
            assert_eq!(open(text, dtype).unwrap_err().exit().code(), 2, "{text}");
        }
        assert!(Input::index(1 << 31, DType::I32).is_ok());
        assert!(Input::index((1 << 31) + 1, DType::I32).is_err());
    }

    #[test]
    fn reads_text_files_twice() {
        let folder = Folder::new();
        fs::write(folder.path("a.csv"), "# two rows\n1,2\n3,4\n").unwrap();
        let input = open(&at(&folder, "a.csv"), None).unwrap();
        assert_eq!((input.dtype, input.shape.dims()), (DType::I64, [2, 2].as_slice()));
        assert_eq!(numbers(&input), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(numbers(&input), [1.0, 2.0, 3.0, 4.0]);
        fs::write(folder.path("b.txt"), "1\n2\n3\n").unwrap();
        assert_eq!(open(&at(&folder, "b.txt"), None).unwrap().shape.dims(), [3]);
        fs::write(folder.path("c.txt"), "1\nx\n").unwrap();
        let name = at(&folder, "c.txt");
        let error = open(&name, None).unwrap_err();
        assert_eq!(error.to_string(), format!("{name}:2:1: `x` is not a number"));
    }

    #[test]
    fn notices_a_text_that_grows_between_the_passes() {
        let folder = Folder::new();
        fs::write(folder.path("a.txt"), "1\n").unwrap();
        let input = open(&at(&folder, "a.txt"), None).unwrap();
        fs::write(folder.path("a.txt"), "1\n2\n").unwrap();
        let Source::Text(text) = &input.source else { panic!() };
        let mut calls = 0;
        let error = text.fill(|_: i64| calls += 1).unwrap_err();
        assert_eq!((error.exit().code(), calls), (1, 1));
        assert!(error.to_string().ends_with("changed while it was being read"), "{error}");
    }

    #[test]
    fn takes_npy_files_as_they_are() {
        let folder = Folder::new();
        let shape = Shape::new([2, 3]).unwrap();
        let mut bytes = npy::header(DType::F32, &shape);
        let header = bytes.len() as u64;
        bytes.extend([0; 24]);
        fs::write(folder.path("a.npy"), &bytes).unwrap();
        let name = at(&folder, "a.npy");
        let input = open(&name, None).unwrap();
        assert_eq!((input.dtype, &input.shape), (DType::F32, &shape));
        let Source::File { offset, file, stamp, .. } = input.source else { panic!() };
        assert_eq!(offset, header);
        assert_eq!(stamp, Stamp::of(&file).unwrap());
        let error = open(&name, Some(DType::F64)).unwrap_err();
        assert_eq!(error.to_string(), format!("input `{name}` holds f32, but --dtype says f64"));
        bytes.push(0);
        fs::write(folder.path("a.npy"), &bytes).unwrap();
        let error = open(&name, None).unwrap_err().to_string();
        assert!(error.contains("25 bytes found, 24 expected"), "{error}");
    }

    #[test]
    fn takes_raw_files_only_with_a_type_and_whole() {
        let folder = Folder::new();
        fs::write(folder.path("a.bin"), [0; 12]).unwrap();
        let name = at(&folder, "a.bin");
        assert_eq!(open(&name, Some(DType::I32)).unwrap().shape.dims(), [3]);
        assert!(open(&name, None).unwrap_err().hint().unwrap().starts_with("--dtype"));
        assert_eq!(
            open(&name, Some(DType::F64)).unwrap_err().to_string(),
            format!("input `{name}`: 12 bytes are not a multiple of 8, the size of f64")
        );
    }

    #[test]
    fn refuses_what_is_not_a_regular_file_without_waiting() {
        let folder = Folder::new();
        fs::create_dir(folder.path("dir.npy")).unwrap();
        let _listener = UnixListener::bind(folder.path("socket.csv")).unwrap();
        symlink("/dev/zero", folder.path("zero.bin")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path("fifo.txt")).status();
        assert!(made.unwrap().success());
        for (name, what) in [
            ("dir.npy", "is a directory, not a regular file"),
            ("socket.csv", "is a socket, not a regular file"),
            ("zero.bin", "is a character device, not a regular file"),
            ("fifo.txt", "is a FIFO, not a regular file"),
            ("none.npy", ": no such file or directory"),
        ] {
            let error = open(&at(&folder, name), Some(DType::F64)).unwrap_err();
            assert_eq!(error.exit().code(), 2, "{name}");
            assert!(error.to_string().ends_with(what), "{name}: {error}");
        }
    }

    #[test]
    fn refuses_a_huge_sparse_file_without_reading_it() {
        let folder = Folder::new();
        let file = File::create(folder.path("a.npy")).unwrap();
        file.set_len(1 << 40).unwrap();
        let error = open(&at(&folder, "a.npy"), None).unwrap_err().to_string();
        assert!(error.contains("not a .npy file"), "{error}");
    }

    #[test]
    fn takes_streams_of_text_and_of_npy() {
        let input = Input::stream(b"1 2\n3 4\n".to_vec(), None).unwrap();
        assert_eq!(input.shape.dims(), [2, 2]);
        assert_eq!(numbers(&input), [1.0, 2.0, 3.0, 4.0]);
        let header = npy::header(DType::I32, &Shape::line(2));
        let big = String::from_utf8_lossy(&header[10..]).replace("<i4", ">i4");
        for (header, values) in [
            (header.clone(), [1_i32.to_le_bytes(), 2_i32.to_le_bytes()]),
            ([&header[..10], big.as_bytes()].concat(), [1_i32.to_be_bytes(), 2_i32.to_be_bytes()]),
        ] {
            let bytes = [header, values.concat()].concat();
            let input = Input::stream(bytes, None).unwrap();
            assert_eq!(input.dtype, DType::I32);
            let Source::Values(found) = input.source else { panic!() };
            assert_eq!(found, [1_i32.to_ne_bytes(), 2_i32.to_ne_bytes()].concat());
        }
        assert!(Input::stream(b"\x93NUMPY".to_vec(), None).is_err());
    }

    #[test]
    fn keeps_the_bytes_of_values_in_memory() {
        let input = Input::from_values(&[1.5_f32, -0.0]);
        assert_eq!((input.dtype, input.shape.dims()), (DType::F32, [2].as_slice()));
        let Source::Values(found) = input.source else { panic!() };
        assert_eq!(found, [1.5_f32.to_ne_bytes(), (-0.0_f32).to_ne_bytes()].concat());
    }
}
