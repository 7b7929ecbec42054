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
mod tests;
