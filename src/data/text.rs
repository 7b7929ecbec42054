//! Numbers in text, read and written as a stream.
//!
//! Neither the file nor a line is ever held: a line may have 10^8 numbers. What is kept between
//! two reads is at most one field. Fields are separated by commas or by blanks, `#` begins a
//! comment, and every row has as many fields as the first.

use std::io::{self, BufRead};

pub(crate) use crate::data::fields::TextFault;
use crate::data::fields::{MAX_FIELD, walk};
use crate::data::number::{Decimal, Form, NotInteger, Sign};
use crate::data::shown;
use crate::data::{DType, Scalar};

/// What a text holds, found without keeping any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Lines with numbers in them.
    pub(crate) rows: u64,
    /// Numbers in each.
    pub(crate) cols: u64,
    /// Numbers altogether.
    pub(crate) count: u64,
    /// What kind of numbers.
    pub(crate) kind: Kind,
}

/// What kind of numbers a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All are written as integers, from `least` to `greatest`; both are 0 where there are none.
    /// What does not fit an `i128` counts as its nearest.
    Integers {
        /// The smallest.
        least: i128,
        /// The largest.
        greatest: i128,
    },
    /// At least one has a point, an exponent, or is not finite.
    Floats,
}

/// Checks a whole text, and says what is in it.
pub(crate) fn scan(reader: impl BufRead) -> Result<Scan, TextFault> {
    let (mut least, mut greatest, mut floats) = (i128::MAX, i128::MIN, Form::Integer);
    let extent = walk(reader, |field| {
        match short_integer(field) {
            Some(value) => {
                least = least.min(value);
                greatest = greatest.max(value);
            }
            None => match read_number(field)? {
                Number::Decimal(number) if number.form() == Form::Integer => {
                    let value = number.integer_times(1).unwrap_or(match number.sign() {
                        Sign::Plus => i128::MAX,
                        Sign::Minus => i128::MIN,
                    });
                    least = least.min(value);
                    greatest = greatest.max(value);
                }
                _ => floats = Form::Float,
            },
        }
        Ok(())
    })?;
    let kind = match floats {
        Form::Float => Kind::Floats,
        Form::Integer if extent.count == 0 => Kind::Integers { least: 0, greatest: 0 },
        Form::Integer => Kind::Integers { least, greatest },
    };
    Ok(Scan { rows: extent.rows, cols: extent.cols.unwrap_or(0), count: extent.count, kind })
}

/// Reads a text as numbers of one type, and returns how many there were.
///
/// An integer that the type does not have is a fault; a float is rounded to the nearest.
pub(crate) fn read_values<T: Scalar>(
    reader: impl BufRead,
    mut each: impl FnMut(T),
) -> Result<u64, TextFault> {
    let range = T::DTYPE.integer_range();
    let extent = walk(reader, |field| {
        each(match range {
            Some(range) => integer(field, range)?,
            None => float(field)?,
        });
        Ok(())
    })?;
    Ok(extent.count)
}

/// Writes values one a line.
pub(crate) fn write_lines<T: Scalar>(values: &[T], out: &mut impl io::Write) -> io::Result<()> {
    write_rows(values, 1, out)
}

/// Writes values in lines of `cols`, separated by commas.
pub(crate) fn write_rows<T: Scalar>(
    values: &[T],
    cols: usize,
    out: &mut impl io::Write,
) -> io::Result<()> {
    /// Formatted before it is written: a write for each value would be most of the time.
    const BLOCK: usize = 1 << 16;
    let mut text = String::with_capacity(BLOCK + MAX_FIELD);
    for row in values.chunks(cols.max(1)) {
        for (i, value) in row.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            // Writing to a string cannot fail.
            let _ = value.write_text(&mut text);
            if text.len() >= BLOCK {
                out.write_all(text.as_bytes())?;
                text.clear();
            }
        }
        text.push('\n');
    }
    out.write_all(text.as_bytes())
}

/// A field that is a number.
enum Number<'a> {
    Decimal(Decimal<'a>),
    /// NaN or an infinity.
    NotFinite,
}

/// Reads an integer of up to 18 digits: most of what there is, and a tenth of the work.
#[inline]
fn short_integer(field: &[u8]) -> Option<i128> {
    let (digits, sign) = match field {
        [b'-', digits @ ..] => (digits, -1),
        digits => (digits, 1),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for c in digits {
        let digit = c.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(i128::from(sign * value))
}

fn read_number(field: &[u8]) -> Result<Number<'_>, String> {
    if let Some((number, [])) = Decimal::read(field) {
        return Ok(Number::Decimal(number));
    }
    let unsigned = match field {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    };
    if ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word.as_bytes()))
    {
        return Ok(Number::NotFinite);
    }
    let shown = shown::excerpt(field);
    Err(match unsigned {
        [b'0', b'x' | b'X', ..] => format!("`{shown}` is hexadecimal; only decimal is read"),
        _ => format!("`{shown}` is not a number"),
    })
}

fn integer<T: Scalar>(field: &[u8], (least, greatest): (i128, i128)) -> Result<T, String> {
    let value = match short_integer(field) {
        Some(value) => Ok(value),
        None => match read_number(field)? {
            Number::Decimal(number) => number.integer_times(1),
            Number::NotFinite => Err(NotInteger::Fraction),
        },
    };
    match value {
        Ok(value) if (least..=greatest).contains(&value) => Ok(T::from_i128(value)),
        Err(NotInteger::Fraction) => Err(format!(
            "`{}` is not an integer, and the dtype is {}",
            shown::excerpt(field),
            T::DTYPE
        )),
        Ok(_) | Err(NotInteger::TooLarge) => Err(format!(
            "`{}` is outside the range of {}, which is {least} to {greatest}",
            shown::excerpt(field),
            T::DTYPE
        )),
    }
}

fn float<T: Scalar>(field: &[u8]) -> Result<T, String> {
    // So few digits are exact in an f64, and `-` is left out because of -0.
    if T::DTYPE == DType::F64
        && field.len() < 16
        && field.first() != Some(&b'-')
        && let Some(value) = short_integer(field)
    {
        return Ok(T::from_i128(value));
    }
    read_number(field)?;
    let mut plain = [0; MAX_FIELD];
    let mut len = 0;
    for (to, from) in plain.iter_mut().zip(field.iter().filter(|c| **c != b'_')) {
        *to = *from;
        len += 1;
    }
    plain
        .get(..len)
        .and_then(|plain| std::str::from_utf8(plain).ok())
        .and_then(T::parse_text)
        .ok_or_else(|| format!("`{}` is not a number", shown::excerpt(field)))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;
    use crate::with_dtype;

    fn values<T: Scalar>(text: &str) -> Result<Vec<T>, String> {
        let mut found = Vec::new();
        let count = read_values(text.as_bytes(), |value| found.push(value))
            .map_err(|fault| fault.to_string())?;
        assert_eq!(count, found.len() as u64);
        Ok(found)
    }

    fn fault(text: &str) -> String {
        scan(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn reads_commas_blanks_comments_and_both_line_ends() {
        for (text, rows, cols) in [
            ("", 0, 0),
            ("\n \n# nothing\n", 0, 0),
            ("\u{feff}", 0, 0),
            ("\u{feff}\r\n", 0, 0),
            ("\u{feff}1,2", 1, 2),
            ("\u{feff}# one\n1", 1, 1),
            ("1", 1, 1),
            ("1\n2\n3\n", 3, 1),
            ("1,2,3", 1, 3),
            ("1 , 2\t,3\r\n4 5\t6#x\n\n", 2, 3),
            ("1\r\n\r\n2\r", 2, 1),
            ("#1\r2\n3", 1, 1),
        ] {
            let found = scan(text.as_bytes()).unwrap();
            assert_eq!(
                (found.rows, found.cols, found.count),
                (rows, cols, rows * cols),
                "{text:?}"
            );
        }
    }

    #[test]
    fn tells_integers_from_floats() {
        let integers = |least, greatest| Kind::Integers { least, greatest };
        for (text, kind) in [
            ("", integers(0, 0)),
            ("3 -2 +1", integers(-2, 3)),
            ("18446744073709551615", integers(u64::MAX.into(), u64::MAX.into())),
            ("1_000", integers(1000, 1000)),
            ("1 2.0", Kind::Floats),
            ("1e3", Kind::Floats),
            ("nan", Kind::Floats),
            ("-Infinity", Kind::Floats),
        ] {
            assert_eq!(scan(text.as_bytes()).unwrap().kind, kind, "{text}");
        }
        let huge = "9".repeat(60);
        assert_eq!(
            scan(format!("{huge} -{huge}").as_bytes()).unwrap().kind,
            integers(i128::MIN, i128::MAX)
        );
    }

    #[test]
    fn says_where_and_what_is_wrong() {
        let long = format!("1 {}", "1".repeat(513));
        for (text, message) in [
            ("1,,2", "line 1, column 3: no number before the comma"),
            (",1", "line 1, column 1: no number before the comma"),
            ("1,\n", "line 1, column 3: no number after the last comma"),
            ("1, # x", "line 1, column 7: no number after the last comma"),
            ("1\n2,", "line 2, column 3: no number after the last comma"),
            ("1\n\n 2,x", "line 3, column 4: `x` is not a number"),
            ("\u{feff}x", "line 1, column 1: `x` is not a number"),
            ("1 2\n3\n", "line 2, column 1: 1 numbers in this row, 2 in the first"),
            ("1\r2", "line 1, column 2: a carriage return that does not end a line"),
            ("0x10", "line 1, column 1: `0x10` is hexadecimal; only decimal is read"),
            ("1;2", "line 1, column 1: `1;2` is not a number"),
            ("1__0", "line 1, column 1: `1__0` is not a number"),
            ("1\0", "line 1, column 1: `1\\u{0}` is not a number"),
            ("infinit", "line 1, column 1: `infinit` is not a number"),
            (long.as_str(), "line 1, column 3: a number of more than 512 bytes"),
        ] {
            assert_eq!(fault(text), message, "{text:?}");
        }
    }

    #[test]
    fn refuses_values_the_type_does_not_have() {
        for (dtype, text, what) in [
            (
                DType::I32,
                "2147483648",
                "`2147483648` is outside the range of i32, which is -2147483648 to 2147483647",
            ),
            (DType::U32, "-1", "`-1` is outside the range of u32, which is 0 to 4294967295"),
            (
                DType::U64,
                "1e20",
                "`1e20` is outside the range of u64, which is 0 to 18446744073709551615",
            ),
            (DType::I64, "1.5", "`1.5` is not an integer, and the dtype is i64"),
            (DType::I64, "nan", "`nan` is not an integer, and the dtype is i64"),
        ] {
            let found = with_dtype!(dtype, T => values::<T>(&format!("0\n {text}")).unwrap_err());
            assert_eq!(found, format!("line 2, column 2: {what}"));
        }
    }

    #[test]
    fn reads_values_exactly_or_rounded_to_the_nearest() {
        assert_eq!(values::<i64>("-9223372036854775808 1e3 2.0").unwrap(), [i64::MIN, 1000, 2]);
        assert_eq!(values::<u64>("18446744073709551615 +1_0").unwrap(), [u64::MAX, 10]);
        assert_eq!(
            values::<f64>("1_0.5 9007199254740993 .5 1e400").unwrap(),
            [10.5, 9007199254740992.0, 0.5, f64::INFINITY]
        );
        // Through an f64 this would be rounded twice, to 1.0000001.
        assert_eq!(values::<f32>("1.00000005960464477540").unwrap(), [1.000_000_1]);
        assert_eq!(values::<f32>("1.000000059604644775390625").unwrap(), [1.0]);
        assert!(values::<f64>("-0").unwrap()[0].is_sign_negative());
        assert!(values::<f32>("NaN").unwrap()[0].is_nan());
    }

    #[test]
    fn reads_the_same_whatever_the_reads_are() {
        let text = "\u{feff}1.25, -2 # x, y\r\n\r\n3\t4e1\r\n";
        for size in 1..text.len() + 1 {
            let mut found = Vec::new();
            let reader = BufReader::with_capacity(size, text.as_bytes());
            assert_eq!(read_values(reader, |value: f64| found.push(value)).unwrap(), 4);
            assert_eq!(found, [1.25, -2.0, 3.0, 40.0]);
            let reader = BufReader::with_capacity(size, "1 2\n3 x".as_bytes());
            assert_eq!(
                scan(reader).unwrap_err().to_string(),
                "line 2, column 3: `x` is not a number"
            );
            let long = "1".repeat(513);
            assert!(scan(BufReader::with_capacity(size, long.as_bytes())).is_err());
            assert!(scan(BufReader::with_capacity(size, &long.as_bytes()[1..])).is_ok());
        }
    }

    #[test]
    fn writes_rows() {
        let mut out = Vec::new();
        write_rows(&[1, -2, 3, 4], 2, &mut out).unwrap();
        write_rows(&[1.0, f64::NAN, f64::NEG_INFINITY], 3, &mut out).unwrap();
        write_lines(&[5_u32, 6], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "1,-2\n3,4\n1.0,NaN,-inf\n5\n6\n");
    }

    fn round_trip<T: Scalar>(values: &[T], cols: usize, buffer: usize) {
        let mut text = Vec::new();
        write_rows(values, cols, &mut text).unwrap();
        let mut found = Vec::new();
        let reader = BufReader::with_capacity(buffer, text.as_slice());
        let count = read_values(reader, |value: T| found.push(value)).unwrap();
        assert_eq!(count, scan(text.as_slice()).unwrap().count);
        assert_eq!(found.len(), values.len());
        for (found, value) in found.iter().zip(values) {
            assert!(found.same_bits(*value), "{found:?} {value:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_every_bit(
            words in prop::collection::vec(any::<u64>(), 0..50),
            cols in 1_usize..5,
            buffer in 1_usize..64,
        ) {
            let words = &words[..words.len() / cols * cols];
            round_trip::<u64>(words, cols, buffer);
            round_trip::<i64>(&words.iter().map(|w| w.cast_signed()).collect::<Vec<_>>(), cols, buffer);
            round_trip::<u32>(&words.iter().map(|w| *w as u32).collect::<Vec<_>>(), cols, buffer);
            round_trip::<i32>(&words.iter().map(|w| *w as i32).collect::<Vec<_>>(), cols, buffer);
            // Text has one NaN only.
            let doubles = words.iter().map(|w| f64::from_bits(*w));
            let doubles: Vec<_> = doubles.map(|v| if v.is_nan() { f64::NAN } else { v }).collect();
            round_trip::<f64>(&doubles, cols, buffer);
            let floats = words.iter().map(|w| f32::from_bits(*w as u32));
            let floats: Vec<_> = floats.map(|v| if v.is_nan() { f32::NAN } else { v }).collect();
            round_trip::<f32>(&floats, cols, buffer);
        }

        #[test]
        fn scans_and_reads_the_same_texts(text in "[-+0-9._, \t\r\n#naife\u{feff}x]{0,60}") {
            let scanned = scan(text.as_bytes());
            let read = read_values(text.as_bytes(), |_: f64| {});
            match (scanned, read) {
                (Ok(scan), Ok(count)) => prop_assert_eq!(scan.count, count),
                (Err(a), Err(b)) => prop_assert_eq!(a.to_string(), b.to_string()),
                (a, b) => prop_assert!(false, "{:?} {:?}", a, b),
            }
        }

        #[test]
        fn never_panics_on_any_bytes(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = scan(text.as_slice());
            let _ = read_values(text.as_slice(), |_: i32| {});
        }
    }
}
