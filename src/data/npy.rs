//! The header of NumPy's `.npy` files, read strictly and written as NumPy writes it.
//!
//! The packages `npyz` and `ndarray-npy` were considered. They read values into memory of their
//! own; here the payload is mapped where it lies, so all that is needed of a header is what it
//! says, with hard limits on what it may say, and a payload that is exactly as long as it claims.

use crate::data::shown;
use crate::data::{DType, Shape};

const MAGIC: &[u8] = b"\x93NUMPY";

/// NumPy's own limit; longer headers are refused before they are looked at.
const MAX_HEADER: u64 = 10_000;

/// How much of a file [`parse`] wants to see: any header that is accepted, and its prefix.
pub(crate) const START: usize = 10_300;

/// What NumPy pads the header to, so that a mapped payload is aligned for any use.
const ALIGN: usize = 64;

/// What a `.npy` file says about its payload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NpyHeader {
    pub(crate) dtype: DType,
    pub(crate) order: ByteOrder,
    pub(crate) shape: Shape,
    /// Where the payload begins; need not be a multiple of anything.
    pub(crate) offset: u64,
}

/// Whether elements have their bytes in this machine's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum ByteOrder {
    /// As this machine has them.
    Native,
    /// The other way round.
    Swapped,
}

impl ByteOrder {
    const LITTLE: Self = if cfg!(target_endian = "little") { Self::Native } else { Self::Swapped };
    const BIG: Self = if cfg!(target_endian = "little") { Self::Swapped } else { Self::Native };
}

/// Says whether these bytes begin as a `.npy` file does.
pub(crate) fn has_magic(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// Reads a header from the first `min(file_len, START)` bytes of a file.
pub(crate) fn parse(start: &[u8], file_len: u64) -> Result<NpyHeader, String> {
    let Some(rest) = start.strip_prefix(MAGIC) else {
        let found = shown::excerpt(start.get(..MAGIC.len()).unwrap_or(start));
        return Err(format!("not a .npy file: it begins with `{found}`, not `\\x93NUMPY`"));
    };
    let cut = || format!("the .npy header is cut off: the file has {file_len} bytes");
    let (prefix, claimed, ascii) = match *rest {
        [1, 0, a, b, ..] => (10, u64::from(u16::from_le_bytes([a, b])), Charset::Ascii),
        [2, 0, a, b, c, d, ..] => (12, u64::from(u32::from_le_bytes([a, b, c, d])), Charset::Ascii),
        [3, 0, a, b, c, d, ..] => (12, u64::from(u32::from_le_bytes([a, b, c, d])), Charset::Utf8),
        [1..=3, 0, ..] | [_] | [] => return Err(cut()),
        [major, minor, ..] => {
            return Err(format!(
                "unknown .npy version {major}.{minor}; 1.0, 2.0 and 3.0 are supported"
            ));
        }
    };
    if claimed > MAX_HEADER {
        return Err(format!(
            "the .npy header claims to be {claimed} bytes long; the limit is {MAX_HEADER}"
        ));
    }
    let offset = prefix + claimed;
    if offset > file_len {
        return Err(format!(
            "the .npy header claims to end at byte {offset}; the file has {file_len} bytes"
        ));
    }
    let text = index(prefix).zip(index(offset)).and_then(|(from, to)| start.get(from..to));
    let text = text.ok_or_else(cut)?;
    let text = std::str::from_utf8(text).map_err(|_| "the .npy header is not text".to_owned())?;
    if ascii == Charset::Ascii && !text.is_ascii() {
        return Err("the .npy header has a character that is not ASCII".to_owned());
    }
    let Some(text) = text.strip_suffix('\n') else {
        return Err("the .npy header does not end in a newline".to_owned());
    };
    let said = Dictionary::parse(text)?;

    let (dtype, order) = element(&said.descr)?;
    if said.order == Order::Fortran && said.shape.len() >= 2 {
        return Err("the array is in Fortran order; only C order is supported \
             (`numpy.ascontiguousarray` converts)"
            .to_owned());
    }
    let shape = Shape::new(said.shape).map_err(|error| error.to_string())?;
    // At most 2^40 elements of 8 bytes: no overflow.
    let expected = shape.elements() * dtype.size() as u64;
    let found = file_len - offset;
    if found != expected {
        let which = if found < expected { "short" } else { "long" };
        return Err(format!(
            "the payload is too {which}: {found} bytes found, {expected} expected \
             for shape {shape} of {dtype}"
        ));
    }
    Ok(NpyHeader { dtype, order, shape, offset })
}

/// Returns the header of a file of `shape` elements in little-endian order, byte for byte as
/// NumPy writes it.
///
/// Always version 1.0: a [`Shape`] has too few dimensions to need more.
pub(crate) fn header(dtype: DType, shape: &Shape) -> Vec<u8> {
    /// NumPy leaves room for the first dimension to grow to this many digits in place.
    const GROWTH: usize = 21;
    let descr = match dtype {
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::U32 => "<u4",
        DType::U64 => "<u8",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
    };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    if let Some(first) = shape.dims().first() {
        let digits = first.to_string().len();
        text.extend(std::iter::repeat_n(' ', GROWTH.saturating_sub(digits)));
    }
    let prefix = MAGIC.len() + 4;
    let unpadded = prefix + text.len() + 1;
    // NumPy adds a whole 64 where nothing is missing; so does this, to be the same file.
    text.extend(std::iter::repeat_n(' ', ALIGN - unpadded % ALIGN));
    text.push('\n');
    // 32 dimensions of 13 digits at most: far below 2^16.
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [MAGIC, &[1, 0], &len.to_le_bytes(), text.as_bytes()].concat()
}

#[derive(PartialEq, Eq)]
enum Charset {
    Ascii,
    Utf8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    C,
    Fortran,
}

fn index(offset: u64) -> Option<usize> {
    usize::try_from(offset).ok()
}

fn element(descr: &str) -> Result<(DType, ByteOrder), String> {
    let unsupported = || {
        format!(
            "dtype `{}` is not supported: expected `<` or `>` with i4, i8, u4, u8, f4 or f8",
            shown::excerpt(descr.as_bytes())
        )
    };
    let order = match descr.as_bytes().first() {
        Some(b'<') => ByteOrder::LITTLE,
        Some(b'>') => ByteOrder::BIG,
        Some(b'=') => ByteOrder::Native,
        _ => return Err(unsupported()),
    };
    let dtype = match descr.get(1..) {
        Some("i4") => DType::I32,
        Some("i8") => DType::I64,
        Some("u4") => DType::U32,
        Some("u8") => DType::U64,
        Some("f4") => DType::F32,
        Some("f8") => DType::F64,
        _ => return Err(unsupported()),
    };
    Ok((dtype, order))
}

/// What the Python dictionary in a header says, before any of it is believed.
struct Dictionary {
    descr: String,
    order: Order,
    shape: Vec<u64>,
}

impl Dictionary {
    fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens { rest: text };
        let (mut descr, mut order, mut shape) = (None, None, None);
        tokens.expect(Token::Mark('{'))?;
        loop {
            let key = match tokens.next()? {
                Token::Mark('}') => break,
                Token::Text(key) => key,
                other => return Err(unexpected("a key or `}`", &other)),
            };
            let duplicate = match key {
                "descr" => descr.is_some(),
                "fortran_order" => order.is_some(),
                "shape" => shape.is_some(),
                _ => {
                    return Err(format!(
                        "unknown key `{}` in the .npy header",
                        shown::excerpt(key.as_bytes())
                    ));
                }
            };
            if duplicate {
                return Err(format!("key `{key}` appears twice in the .npy header"));
            }
            tokens.expect(Token::Mark(':'))?;
            match key {
                "descr" => descr = Some(tokens.descr()?),
                "fortran_order" => order = Some(tokens.order()?),
                _ => shape = Some(tokens.shape()?),
            }
            match tokens.next()? {
                Token::Mark(',') => {}
                Token::Mark('}') => break,
                other => return Err(unexpected("`,` or `}`", &other)),
            }
        }
        if !tokens.is_empty() {
            return Err(format!(
                "`{}` after the end of the dictionary in the .npy header",
                shown::excerpt(tokens.rest.trim().as_bytes())
            ));
        }
        let missing = |key| format!("key `{key}` is missing from the .npy header");
        Ok(Self {
            descr: descr.ok_or_else(|| missing("descr"))?,
            order: order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

/// One token of the small part of Python's literals that headers are made of.
#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// One of `{}()[]:,`.
    Mark(char),
    /// A string, without its quotes.
    Text(&'a str),
    /// Digits, with their sign if they have one.
    Digits(&'a str),
    /// Anything else that looks like a word: `True`, `None`, `3L`, `1_000`.
    Word(&'a str),
    /// The end of the header.
    End,
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn is_empty(&mut self) -> bool {
        self.skip_blanks();
        self.rest.is_empty()
    }

    fn next(&mut self) -> Result<Token<'a>, String> {
        self.skip_blanks();
        let rest = self.rest;
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        match first {
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | ',' => {
                self.rest = after;
                Ok(Token::Mark(first))
            }
            '\'' | '"' => {
                let (text, rest) =
                    after.split_once(first).ok_or("a string without end in the .npy header")?;
                // No header needs escapes, and reading them wrongly is worse than not at all.
                if text.contains(|c: char| c == '\\' || c.is_control()) {
                    return Err(format!(
                        "odd string `{}` in the .npy header",
                        shown::excerpt(text.as_bytes())
                    ));
                }
                self.rest = rest;
                Ok(Token::Text(text))
            }
            _ if first == '-' || first == '_' || first.is_alphanumeric() => {
                let end = after
                    .find(|c: char| c != '_' && c != '.' && !c.is_alphanumeric())
                    .map_or(rest.len(), |end| first.len_utf8() + end);
                let (word, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
                self.rest = rest;
                let digits = word.strip_prefix('-').unwrap_or(word);
                let all = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
                Ok(if all { Token::Digits(word) } else { Token::Word(word) })
            }
            _ => Err(format!(
                "unexpected `{}` in the .npy header",
                shown::excerpt(first.encode_utf8(&mut [0; 4]).as_bytes())
            )),
        }
    }

    fn expect(&mut self, wanted: Token<'_>) -> Result<(), String> {
        let found = self.next()?;
        if found == wanted { Ok(()) } else { Err(unexpected(&wanted.to_string(), &found)) }
    }

    fn descr(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Text(descr) => Ok(descr.to_owned()),
            Token::Mark('[') => Err("a structured dtype is not supported: \
                 expected `<` or `>` with i4, i8, u4, u8, f4 or f8"
                .to_owned()),
            other => Err(unexpected("the dtype as a string", &other)),
        }
    }

    fn order(&mut self) -> Result<Order, String> {
        match self.next()? {
            Token::Word("False") => Ok(Order::C),
            Token::Word("True") => Ok(Order::Fortran),
            other => Err(unexpected("`True` or `False` for `fortran_order`", &other)),
        }
    }

    fn shape(&mut self) -> Result<Vec<u64>, String> {
        let mut dims = Vec::new();
        match self.next()? {
            Token::Mark('(') => {}
            other => return Err(unexpected("a tuple for `shape`", &other)),
        }
        loop {
            match self.next()? {
                Token::Mark(')') => return Ok(dims),
                Token::Digits(text) => dims.push(dimension(text)?),
                other => return Err(unexpected("a dimension or `)`", &other)),
            }
            // No check of the count here: the header's length bounds it, and `Shape` has the rule.
            match self.next()? {
                Token::Mark(',') => {}
                Token::Mark(')') if dims.len() > 1 => return Ok(dims),
                Token::Mark(')') => {
                    return Err("the shape in the .npy header is a number, not a tuple".to_owned());
                }
                other => return Err(unexpected("`,` or `)`", &other)),
            }
        }
    }
}

fn dimension(text: &str) -> Result<u64, String> {
    let shown = shown::excerpt(text.as_bytes());
    if text.starts_with('-') {
        return Err(format!("dimension `{shown}` in the .npy header is negative"));
    }
    // As in Python, where a leading zero once meant octal.
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("dimension `{shown}` in the .npy header begins with a zero"));
    }
    text.parse().map_err(|_| format!("dimension `{shown}` in the .npy header is too large"))
}

fn unexpected(wanted: &str, found: &Token<'_>) -> String {
    format!("expected {wanted} in the .npy header, found {found}")
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mark(mark) => write!(f, "`{mark}`"),
            Self::Text(text) => write!(f, "the string `{}`", shown::excerpt(text.as_bytes())),
            Self::Digits(text) | Self::Word(text) => {
                write!(f, "`{}`", shown::excerpt(text.as_bytes()))
            }
            Self::End => f.write_str("its end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(version: u8, text: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        let len = u32::try_from(text.len()).unwrap().to_le_bytes();
        bytes.extend(if version == 1 { &len[..2] } else { &len[..] });
        bytes.extend(text.as_bytes());
        bytes
    }

    /// Parses a file with this header and a payload of so many bytes.
    fn parse_text(version: u8, text: &str, payload: u64) -> Result<NpyHeader, String> {
        let bytes = file(version, text);
        parse(&bytes, bytes.len() as u64 + payload)
    }

    const GOOD: &str = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n";

    #[test]
    fn reads_every_version() {
        for version in 1..=3 {
            let found = parse_text(version, GOOD, 48).unwrap();
            assert_eq!(found.dtype, DType::F64);
            assert_eq!(found.order, ByteOrder::LITTLE);
            assert_eq!(found.shape.dims(), [2, 3]);
            assert_eq!(found.offset, GOOD.len() as u64 + if version == 1 { 10 } else { 12 });
        }
    }

    #[test]
    fn reads_every_element_type_in_both_orders() {
        for (name, dtype) in [
            ("i4", DType::I32),
            ("i8", DType::I64),
            ("u4", DType::U32),
            ("u8", DType::U64),
            ("f4", DType::F32),
            ("f8", DType::F64),
        ] {
            for (mark, order) in
                [("<", ByteOrder::LITTLE), (">", ByteOrder::BIG), ("=", ByteOrder::Native)]
            {
                let text = GOOD.replace("<f8", &format!("{mark}{name}"));
                let found = parse_text(1, &text, 6 * dtype.size() as u64).unwrap();
                assert_eq!((found.dtype, found.order), (dtype, order));
            }
        }
    }

    #[test]
    fn reads_any_spelling_of_the_dictionary_and_of_shapes() {
        for (text, dims) in [
            ("{\"shape\":(3,),\"descr\":\"<f8\",\"fortran_order\":False}\n", vec![3]),
            ("  {'descr':'<f8',\n'fortran_order':False,'shape':()}   \n", vec![]),
            ("{'descr': '<f8', 'fortran_order': True, 'shape': (4,)}\n", vec![4]),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (0,)}\n", vec![0]),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2,)}\n", vec![1, 2]),
        ] {
            let payload = 8 * dims.iter().product::<u64>();
            assert_eq!(parse_text(1, text, payload).unwrap().shape.dims(), dims, "{text}");
        }
    }

    #[test]
    fn refuses_bad_prefixes() {
        let long = |version: u8, len: u32| {
            let mut bytes = MAGIC.to_vec();
            bytes.extend([version, 0]);
            bytes.extend(len.to_le_bytes());
            bytes
        };
        for (bytes, message) in [
            (b"".to_vec(), "not a .npy file: it begins with ``, not `\\x93NUMPY`"),
            (b"1,2,3\n".to_vec(), "not a .npy file: it begins with `1,2,3\\n`, not `\\x93NUMPY`"),
            (MAGIC.to_vec(), "the .npy header is cut off: the file has 6 bytes"),
            (b"\x93NUMPY\x01\0\x10".to_vec(), "the .npy header is cut off: the file has 9 bytes"),
            (long(0, 0), "unknown .npy version 0.0; 1.0, 2.0 and 3.0 are supported"),
            (long(255, 0), "unknown .npy version 255.0; 1.0, 2.0 and 3.0 are supported"),
            (
                b"\x93NUMPY\x01\x07".to_vec(),
                "unknown .npy version 1.7; 1.0, 2.0 and 3.0 are supported",
            ),
            (
                long(2, u32::MAX),
                "the .npy header claims to be 4294967295 bytes long; the limit is 10000",
            ),
            (long(1, 10_001), "the .npy header claims to be 10001 bytes long; the limit is 10000"),
            (long(3, 0), "the .npy header does not end in a newline"),
        ] {
            assert_eq!(parse(&bytes, bytes.len() as u64).unwrap_err(), message);
        }
    }

    #[test]
    fn refuses_a_header_longer_than_the_file() {
        let mut bytes = file(1, GOOD);
        bytes.truncate(20);
        assert_eq!(
            parse(&bytes, 20).unwrap_err(),
            format!(
                "the .npy header claims to end at byte {}; the file has 20 bytes",
                10 + GOOD.len()
            )
        );
    }

    #[test]
    fn refuses_a_payload_that_is_one_byte_off() {
        assert_eq!(
            parse_text(1, GOOD, 47).unwrap_err(),
            "the payload is too short: 47 bytes found, 48 expected for shape (2, 3) of f64"
        );
        assert_eq!(
            parse_text(1, GOOD, 49).unwrap_err(),
            "the payload is too long: 49 bytes found, 48 expected for shape (2, 3) of f64"
        );
    }

    #[test]
    fn refuses_unsupported_dtypes_by_name() {
        for descr in ["|O8", "|V16", "<U5", "<c16", "<i2", "<f2", "f8", "float64", "", "<", "é8"] {
            let message = parse_text(3, &GOOD.replace("<f8", descr), 48).unwrap_err();
            assert!(message.starts_with(&format!("dtype `{descr}` is not supported")), "{message}");
        }
        let text = GOOD.replace("'<f8'", "[('a', '<f8')]");
        assert!(parse_text(1, &text, 48).unwrap_err().starts_with("a structured dtype"));
    }

    #[test]
    fn refuses_odd_dictionaries() {
        let nested = format!("{}\n", "(".repeat(9_999));
        for (text, message) in [
            ("\n", "expected `{` in the .npy header, found its end"),
            (nested.as_str(), "expected `{` in the .npy header, found `(`"),
            ("{}\n", "key `descr` is missing from the .npy header"),
            ("{'descr': '<f8'}\n", "key `fortran_order` is missing from the .npy header"),
            (
                "{'descr': '<f8', 'fortran_order': False}\n",
                "key `shape` is missing from the .npy header",
            ),
            ("{'descr': '<f8', 'descr': '<f8'}\n", "key `descr` appears twice in the .npy header"),
            ("{'x': 1}\n", "unknown key `x` in the .npy header"),
            ("{descr: '<f8'}\n", "expected a key or `}` in the .npy header, found `descr`"),
            ("{'descr' '<f8'}\n", "expected `:` in the .npy header, found the string `<f8`"),
            ("{'descr': '<f8\n", "a string without end in the .npy header"),
            ("{'descr': '<f8\0'}\n", "odd string `<f8\\u{0}` in the .npy header"),
            ("{'descr': '<\\x668'}\n", "odd string `<\\x668` in the .npy header"),
            ("{'descr': 8}\n", "expected the dtype as a string in the .npy header, found `8`"),
            (
                "{'fortran_order': 0}\n",
                "expected `True` or `False` for `fortran_order` in the .npy header, found `0`",
            ),
            ("{'shape': 3}\n", "expected a tuple for `shape` in the .npy header, found `3`"),
            ("{'shape': (3)}\n", "the shape in the .npy header is a number, not a tuple"),
            ("{'shape': (,)}\n", "expected a dimension or `)` in the .npy header, found `,`"),
            ("{'shape': ((1,),)}\n", "expected a dimension or `)` in the .npy header, found `(`"),
            (
                "{'shape': (True,)}\n",
                "expected a dimension or `)` in the .npy header, found `True`",
            ),
            ("{'shape': (1L,)}\n", "expected a dimension or `)` in the .npy header, found `1L`"),
            (
                "{'shape': (1_000,)}\n",
                "expected a dimension or `)` in the .npy header, found `1_000`",
            ),
            ("{'shape': (1.5,)}\n", "expected a dimension or `)` in the .npy header, found `1.5`"),
            ("{'shape': (-1,)}\n", "dimension `-1` in the .npy header is negative"),
            ("{'shape': (01,)}\n", "dimension `01` in the .npy header begins with a zero"),
            (
                "{'shape': (18446744073709551616,)}\n",
                "dimension `18446744073709551616` in the .npy header is too large",
            ),
            ("{'shape': (1 2)}\n", "expected `,` or `)` in the .npy header, found `2`"),
            ("{'shape': (1,)\n", "expected `,` or `}` in the .npy header, found its end"),
            ("{'shape': +1}\n", "unexpected `+` in the .npy header"),
            ("{'descr': '<é'}\n", "the .npy header has a character that is not ASCII"),
            ("{'descr': '<f8'}", "the .npy header does not end in a newline"),
        ] {
            assert_eq!(parse_text(1, text, 0).unwrap_err(), message);
        }
        let after = GOOD.replace("}", "} x");
        assert_eq!(
            parse_text(1, &after, 48).unwrap_err(),
            "`x` after the end of the dictionary in the .npy header"
        );
    }

    #[test]
    fn refuses_shapes_that_are_too_much() {
        for (shape, message) in [
            ("(9223372036854775808,)", "has a dimension of 9223372036854775808"),
            ("(1048576, 2097152)", "has 2199023255552 elements"),
            ("(1099511627776, 1099511627776)", "has 2^64 elements or more"),
        ] {
            let found = parse_text(1, &GOOD.replace("(2, 3)", shape), 48).unwrap_err();
            assert_eq!(found, format!("shape `{shape}` {message}"));
        }
        let shape = format!("({})", "1,".repeat(33));
        let found = parse_text(1, &GOOD.replace("(2, 3)", &shape), 8).unwrap_err();
        assert_eq!(found, "array has 33 dimensions; at most 32 are supported");
    }

    #[test]
    fn refuses_fortran_order_where_it_matters() {
        let text = GOOD.replace("False", "True");
        assert!(parse_text(1, &text, 48).unwrap_err().starts_with("the array is in Fortran order"));
    }

    #[test]
    fn writes_what_numpy_writes() {
        // From numpy.save of NumPy 2: zeros(5), zeros((2, 3), 'i4') and float64(0).
        for (dtype, dims, text, spaces) in [
            (DType::F64, vec![5], "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }", 60),
            (
                DType::I32,
                vec![2, 3],
                "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }",
                58,
            ),
            (DType::F64, vec![], "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 62),
        ] {
            let expected = file(1, &format!("{text}{}\n", " ".repeat(spaces)));
            let shape = Shape::new(dims).unwrap();
            let found = header(dtype, &shape);
            assert_eq!(found, expected, "{}", found.escape_ascii());
        }
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        prop::collection::vec(0_u64..9, 0..12)
            .prop_filter_map("at most 2^40", |d| Shape::new(d).ok())
    }

    proptest! {
        #[test]
        fn never_panics_on_any_bytes(
            start in prop::collection::vec(any::<u8>(), 0..400),
            version in 0_u8..5,
            len in any::<u64>(),
        ) {
            let _ = parse(&start, len);
            let text = String::from_utf8_lossy(&start);
            let bytes = file(version, &text);
            let _ = parse(&bytes, bytes.len() as u64);
            let bytes = file(version, &format!("{text}\n"));
            let _ = parse(&bytes, bytes.len() as u64);
        }

        #[test]
        fn never_panics_on_mutated_headers(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = header(DType::F64, &Shape::new([2, 3]).unwrap());
            let i = at.index(bytes.len());
            bytes[i] = byte;
            let _ = parse(&bytes, bytes.len() as u64 + 48);
            bytes.truncate(cut.index(bytes.len()));
            let _ = parse(&bytes, bytes.len() as u64 + 48);
            let _ = parse(&bytes, bytes.len() as u64);
        }

        #[test]
        fn reads_back_what_it_writes(shape in shapes(), which in 0..DType::ALL.len()) {
            let dtype = DType::ALL[which];
            let bytes = header(dtype, &shape);
            prop_assert_eq!(bytes.len() % ALIGN, 0);
            let offset = bytes.len() as u64;
            let len = offset + shape.elements() * dtype.size() as u64;
            let expected = NpyHeader { dtype, order: ByteOrder::LITTLE, shape, offset };
            prop_assert_eq!(parse(&bytes, len), Ok(expected));
        }
    }
}
