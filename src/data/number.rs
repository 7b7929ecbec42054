//! A decimal number as people write it, kept exact: `1_000`, `2.5e3`, `-7`.

/// A decimal number, split into the parts it was written in; nothing is rounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    sign: Sign,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
    form: Form,
}

/// The sign a number is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// `+`, or none.
    Plus,
    /// `-`.
    Minus,
}

/// Whether a number is written as an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Digits only.
    Integer,
    /// With a point or an exponent, whatever its value.
    Float,
}

/// Why a decimal number is not an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotInteger {
    /// It has a fraction.
    Fraction,
    /// It needs more than 127 bits.
    TooLarge,
}

impl<'a> Decimal<'a> {
    /// Reads the number at the start of `text`, and returns it with what follows.
    pub(crate) fn read(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (sign, rest) = Sign::read(text);
        let (whole, mut rest) = digits(rest);
        let mut fraction: &[u8] = &[];
        let mut form = Form::Integer;
        if let Some(after) = rest.strip_prefix(b".") {
            (fraction, rest) = digits(after);
            form = Form::Float;
        }
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut exponent = 0;
        if let [b'e' | b'E', after @ ..] = rest {
            let (sign, after) = Sign::read(after);
            let (power, after) = digits(after);
            // A letter without digits is no exponent: it is left to the caller, as a suffix.
            if !power.is_empty() {
                let magnitude = values(power)
                    .fold(0_i64, |sum, d| sum.saturating_mul(10).saturating_add(i64::from(d)));
                // Far from the ends of i64, so that later sums cannot overflow; and still far
                // beyond any exponent that matters.
                let magnitude = magnitude.min(i64::MAX / 4);
                exponent = if sign == Sign::Minus { -magnitude } else { magnitude };
                form = Form::Float;
                rest = after;
            }
        }
        Some((Self { sign, whole, fraction, exponent, form }, rest))
    }

    /// Returns the sign it is written with, which zero has too.
    pub(crate) fn sign(&self) -> Sign {
        self.sign
    }

    /// Says whether it is written as an integer.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Returns the number times `factor`, if that is an integer.
    pub(crate) fn integer_times(&self, factor: i128) -> Result<i128, NotInteger> {
        let all = || values(self.whole).chain(values(self.fraction));
        let count = all().count();
        // Trailing zeros say nothing, and left in they would overflow `1.000…0`.
        let Some(last) = all().enumerate().filter(|(_, d)| *d != 0).map(|(i, _)| i).last() else {
            return Ok(0);
        };
        let dropped = count - 1 - last;
        let shift = self.exponent - signed(values(self.fraction).count()) + signed(dropped);
        let mut value = all()
            .take(last + 1)
            .try_fold(0_i128, |sum, d| sum.checked_mul(10)?.checked_add(i128::from(d)))
            // So many digits: with a fraction among them or not, it is too long to be exact.
            .ok_or(if shift < 0 { NotInteger::Fraction } else { NotInteger::TooLarge })?
            .checked_mul(factor)
            .ok_or(NotInteger::TooLarge)?;
        let power = u32::try_from(shift.unsigned_abs()).ok().and_then(|p| 10_i128.checked_pow(p));
        if shift >= 0 {
            value = power.and_then(|p| value.checked_mul(p)).ok_or(NotInteger::TooLarge)?;
        } else {
            // A power that does not fit is larger than the value, which is not zero.
            let power = power.ok_or(NotInteger::Fraction)?;
            if value % power != 0 {
                return Err(NotInteger::Fraction);
            }
            value /= power;
        }
        Ok(if self.sign == Sign::Minus { -value } else { value })
    }
}

impl Sign {
    fn read(text: &[u8]) -> (Self, &[u8]) {
        match text {
            [b'-', rest @ ..] => (Self::Minus, rest),
            [b'+', rest @ ..] => (Self::Plus, rest),
            rest => (Self::Plus, rest),
        }
    }
}

/// Splits off the longest run of digits with single `_` between them.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    loop {
        match text.get(end..) {
            Some([b'0'..=b'9', ..]) => end += 1,
            Some([b'_', b'0'..=b'9', ..]) if end > 0 => end += 2,
            _ => return text.split_at(end),
        }
    }
}

fn values(digits: &[u8]) -> impl Iterator<Item = u8> {
    digits.iter().filter(|c| **c != b'_').map(|c| c.wrapping_sub(b'0'))
}

fn signed(count: usize) -> i64 {
    // A length of something in memory: it fits.
    i64::try_from(count).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(text: &str) -> Result<i128, NotInteger> {
        let (number, rest) = Decimal::read(text.as_bytes()).unwrap();
        assert!(rest.is_empty(), "{text}");
        number.integer_times(1)
    }

    #[test]
    fn reads_exact_integers_however_they_are_written() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("1_000", 1000),
            ("2.5e3", 2500),
            ("1.", 1),
            ("-12.50e1", -125),
            ("100e-2", 1),
            ("0e99999999999999999999", 0),
            ("0.000e-99999999999999999999", 0),
            ("170141183460469231731687303715884105727", i128::MAX),
        ] {
            assert_eq!(integer(text), Ok(value), "{text}");
        }
        let long = format!("1.{}", "0".repeat(400));
        assert_eq!(integer(&long), Ok(1));
        let long = format!("1{}e-400", "0".repeat(400));
        assert_eq!(integer(&long), Ok(1));
    }

    #[test]
    fn tells_fractions_from_numbers_that_are_too_large() {
        for (text, why) in [
            ("1.5", NotInteger::Fraction),
            ("1e-1", NotInteger::Fraction),
            ("1e-99999999999999999999", NotInteger::Fraction),
            ("1e39", NotInteger::TooLarge),
            ("1e99999999999999999999", NotInteger::TooLarge),
            ("170141183460469231731687303715884105728", NotInteger::TooLarge),
        ] {
            assert_eq!(integer(text), Err(why), "{text}");
        }
    }

    #[test]
    fn leaves_what_is_not_part_of_the_number() {
        for (text, rest) in
            [("1e", "e"), ("1__0", "__0"), ("1_", "_"), ("4Ki", "Ki"), ("1e+", "e+")]
        {
            let (_, found) = Decimal::read(text.as_bytes()).unwrap();
            assert_eq!(found, rest.as_bytes(), "{text}");
        }
        for text in ["", "-", ".", "_1", "e5", "x", "+-1"] {
            assert!(Decimal::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
