//! What fuzzing checks of arrays that come from anywhere: see `crate::fuzzing`.

use std::ffi::OsStr;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;

use crate::data::npy::{self, ByteOrder};
use crate::data::text::{Kind, Scan, read_values, scan, write_rows};
use crate::data::{DType, Input, InputSpec, OutputSpec, Scalar, Shape, Source};
use crate::with_dtype;

/// Reads a `.npy` file. What does not begin as one is taken for the number (8 bytes) of zeroes at the
/// file's end, and then all before them: payloads need not be in the corpus.
pub(crate) fn npy(data: &[u8]) -> Result<(), String> {
    let (zeros, bytes) = match data.split_first_chunk::<8>() {
        Some((zeros, bytes)) if !npy::has_magic(data) => (u64::from_le_bytes(*zeros), bytes),
        _ => (0, data),
    };
    let len = (bytes.len() as u64).saturating_add(zeros);
    // A file's first bytes, as `Input` reads them.
    let mut start = Vec::new();
    let all = bytes.chain(std::io::repeat(0)).take(len.min(npy::START as u64));
    { all }.read_to_end(&mut start).map_err(|error| error.to_string())?;
    let header = npy::parse(&start, len);
    if let Ok(header) = &header {
        let payload = u128::from(header.shape.elements()) * header.dtype.size() as u128;
        assert_eq!(u128::from(header.offset) + payload, u128::from(len), "{header:?}");
        assert!(header.offset <= npy::START as u64 && header.shape.dims().len() <= 32);
        check_written(header.dtype, &header.shape);
    }
    if zeros < 1 << 16 && npy::has_magic(bytes) {
        let whole = [bytes, &vec![0; zeros as usize]].concat();
        check_streamed(whole, &header);
    }
    header.map(drop)
}

/// A header that is written says what the one that was read said.
fn check_written(dtype: DType, shape: &Shape) {
    let written = npy::header(dtype, shape);
    let len = written.len() as u64 + shape.elements() * dtype.size() as u64;
    let again = npy::parse(&written, len);
    let same = |header: &npy::NpyHeader| {
        (header.dtype, &header.shape, header.offset) == (dtype, shape, written.len() as u64)
    };
    assert!(again.as_ref().is_ok_and(same), "{shape} of {dtype}: {again:?}");
}

/// A stream of the same bytes is accepted alike, and becomes its payload in this machine's order.
fn check_streamed(bytes: Vec<u8>, header: &Result<npy::NpyHeader, String>) {
    let payload = |header: &npy::NpyHeader| {
        let mut payload = bytes.get(header.offset as usize..).unwrap_or_default().to_vec();
        if header.order == ByteOrder::Swapped {
            payload.chunks_exact_mut(header.dtype.size()).for_each(<[u8]>::reverse);
        }
        payload
    };
    let expected = header.as_ref().map(payload);
    match (Input::stream(bytes.clone(), None), header, expected) {
        (Ok(input), Ok(header), Ok(expected)) => {
            assert_eq!((input.dtype, &input.shape), (header.dtype, &header.shape));
            let Source::Values(values) = input.source else { panic!("{:?}", input.source) };
            assert_eq!(values, expected);
        }
        (Err(_), Err(_), _) => {}
        (input, header, _) => panic!("{input:?}, but {header:?}"),
    }
}

/// Reads numbers as text, in pieces of a few bytes (how many, the first byte says) and at once; then
/// the same text as an option's value.
pub(crate) fn text_input(data: &[u8]) -> Result<(), String> {
    let Some((piece, text)) = data.split_first() else { return Err("no text".to_owned()) };
    let pieces = || BufReader::with_capacity(1 + usize::from(*piece), text);
    check_specs(text);
    let found = scan(text);
    assert_eq!(
        found.as_ref().map_err(ToString::to_string),
        scan(pieces()).as_ref().map_err(ToString::to_string),
    );
    let input = Input::stream(text.to_vec(), None).map(drop).map_err(|error| error.to_string());
    let found = found.map_err(|fault| fault.to_string())?;
    if !npy::has_magic(text) {
        // Not every number has a type that holds it.
        assert!(input.is_ok() || matches!(found.kind, Kind::Integers { .. }), "{input:?}");
    }
    assert_eq!(u128::from(found.rows) * u128::from(found.cols), u128::from(found.count));
    for dtype in DType::ALL.iter().copied() {
        with_dtype!(dtype, T => {
            let mut values: Vec<T> = Vec::new();
            let read = read_values(pieces(), |value: T| values.push(value));
            assert_eq!(
                read.as_ref().map_err(ToString::to_string),
                read_values(text, |_: T| {}).as_ref().map_err(ToString::to_string),
            );
            check_values(&found, read.map_err(|fault| fault.to_string()), &values);
        });
    }
    Ok(())
}

/// What was read is what the scan promised, and reads back the same after it was written.
fn check_values<T: Scalar>(found: &Scan, read: Result<u64, String>, values: &[T]) {
    match (found.kind, T::DTYPE.integer_range()) {
        (Kind::Integers { least, greatest }, Some(range)) => {
            let fits = range.0 <= least && greatest <= range.1;
            assert_eq!(read.is_ok(), fits, "{read:?}, {found:?} as {}", T::DTYPE);
            let all = || values.iter().filter_map(|value| value.to_i128());
            if fits && found.count > 0 {
                assert_eq!((all().min(), all().max()), (Some(least), Some(greatest)));
            }
        }
        (_, None) => assert!(read.is_ok(), "{read:?}, {found:?} as {}", T::DTYPE),
        (Kind::Floats, Some(_)) => {}
    }
    let Ok(count) = read else { return };
    assert_eq!((count, values.len() as u64), (found.count, found.count));
    let cols = usize::try_from(found.cols).unwrap_or(usize::MAX);
    let mut written = Vec::new();
    let wrote = write_rows(values, cols, &mut written);
    let mut again: Vec<T> = Vec::new();
    let read = read_values(written.as_slice(), |value: T| again.push(value));
    let same = values.len() == again.len()
        && values.iter().zip(&again).all(|(a, b)| a.same_bits(*b) || is_nan(*a) && is_nan(*b));
    assert!(wrote.is_ok() && read.is_ok() && same, "{values:?} became {again:?}");
    let extent = scan(written.as_slice()).map(|scan| (scan.rows, scan.cols));
    assert!(extent.is_ok_and(|extent| extent == (found.rows, found.cols)));
}

#[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
fn is_nan<T: Scalar>(value: T) -> bool {
    value != value
}

/// What is accepted after `--input` or `--output` means the same after it was shown.
fn check_specs(text: &[u8]) {
    let text = OsStr::from_bytes(text);
    match InputSpec::from_os(text) {
        Ok(spec) => {
            if text.to_str().is_some() {
                let again = spec.to_string().parse::<InputSpec>();
                assert!(again.is_ok_and(|again| again == spec), "{spec:?}");
            }
            check_opened(&spec);
        }
        Err(error) => error.check_printable(),
    }
    match OutputSpec::from_os(text) {
        Ok(spec) if text.to_str().is_some() => {
            let again = spec.to_string().parse::<OutputSpec>();
            assert!(again.is_ok_and(|again| again == spec), "{spec:?}");
        }
        Ok(_) => {}
        Err(error) => error.check_printable(),
    }
}

/// An input that needs no file has as many elements as its text says.
fn check_opened(spec: &InputSpec) {
    let elements = match spec {
        InputSpec::Literals(text) => scan(text.as_bytes()).map_or(0, |scan| i128::from(scan.count)),
        InputSpec::Range { first, end } => end - first,
        _ => return,
    };
    for dtype in [None].into_iter().chain(DType::ALL.iter().copied().map(Some)) {
        match Input::open(spec, dtype) {
            Ok(input) => {
                assert_eq!(i128::from(input.shape.elements()), elements, "{spec:?}");
                assert!(dtype.is_none_or(|dtype| dtype == input.dtype));
            }
            Err(error) => error.check_printable(),
        }
    }
}
