//! Numbers of derived options: integers stay integers, and nothing is rounded unasked.

use std::cmp::Ordering;

use serde_json::Value;

use crate::data::parse_count;

/// A number of an expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// `num / den` in lowest terms; `den` is 1 but within `floor`, `ceil` and `round`.
    Exact {
        /// Carries the sign.
        num: i128,
        /// Above 0.
        den: i128,
    },
    /// What was written with a point, and what came of it.
    Real(f64),
}

/// What a division of integers may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Division {
    /// A whole number, or it is an error.
    Whole,
    /// A fraction: it is about to be rounded.
    Fraction,
}

const TOO_LARGE: &str = "a number on the way is too large";

impl Number {
    /// Returns an integer.
    pub(crate) const fn whole(value: i128) -> Self {
        Self::Exact { num: value, den: 1 }
    }

    /// Reads a number as an option or a parameter spells it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(value) = text.parse::<i128>() {
            return Some(Self::whole(value));
        }
        let real = || text.parse().ok().filter(|value: &f64| value.is_finite()).map(Self::Real);
        let count = || parse_count(text).ok().map(|value| Self::whole(value.into()));
        // A point makes it a real, but where a suffix makes it a count: `1.5Ki`.
        if text.contains('.') { real().or_else(count) } else { count().or_else(real) }
    }

    /// Reads a decimal as the fraction it is: steps of 0.1 then add up.
    pub(crate) fn decimal(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits: i128 = format!("{whole}{part}").parse().ok()?;
        let exponent =
            exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(part.len()).ok()?)?;
        let scale = 10_i128.checked_pow(exponent.unsigned_abs())?;
        if exponent < 0 {
            Self::exact(digits, scale).ok()
        } else {
            digits.checked_mul(scale).map(Self::whole)
        }
    }

    /// Reads the value of an option; `None` if that is no number.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Some(Self::whole(value.into())),
                (None, Some(value)) => Some(Self::whole(value.into())),
                (None, None) => number.as_f64().filter(|value| value.is_finite()).map(Self::Real),
            },
            Value::String(text) => Self::read(text),
            _ => None,
        }
    }

    /// Returns the number as the value of an option; a real that is whole is an integer there.
    pub(crate) fn to_json(self) -> Value {
        let integer = |value: i128| {
            let small = i64::try_from(value).map(Value::from);
            let large = || u64::try_from(value).map(Value::from);
            small.or_else(|_| large()).unwrap_or_else(|_| Value::String(value.to_string()))
        };
        match self {
            Self::Exact { num, den: 1 } => integer(num),
            Self::Exact { .. } => Value::from(self.real()),
            Self::Real(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                integer(value as i128)
            }
            Self::Real(value) => Value::from(value),
        }
    }

    /// Returns it as a float.
    pub(crate) fn real(self) -> f64 {
        match self {
            Self::Exact { num, den } => num as f64 / den as f64,
            Self::Real(value) => value,
        }
    }

    fn exact(num: i128, den: i128) -> Result<Self, String> {
        if den == 1 {
            return Ok(Self::whole(num));
        }
        let divisor = i128::try_from(gcd(num.unsigned_abs(), den.unsigned_abs()))
            .map_err(|_| TOO_LARGE.to_owned())?;
        let sign = if den < 0 { -1 } else { 1 };
        let reduced = |value: i128| value.checked_div(divisor)?.checked_mul(sign);
        match (reduced(num), reduced(den)) {
            (Some(num), Some(den)) => Ok(Self::Exact { num, den }),
            _ => Err(TOO_LARGE.to_owned()),
        }
    }

    fn finite(value: f64) -> Result<Self, String> {
        if value.is_finite() { Ok(Self::Real(value)) } else { Err(TOO_LARGE.to_owned()) }
    }

    /// Returns the sum.
    pub(crate) fn plus(self, other: Self) -> Result<Self, String> {
        match (self, other) {
            (Self::Exact { num: a, den: b }, Self::Exact { num: c, den: d }) => {
                let num = a
                    .checked_mul(d)
                    .zip(c.checked_mul(b))
                    .and_then(|(left, right)| left.checked_add(right));
                match num.zip(b.checked_mul(d)) {
                    Some((num, den)) => Self::exact(num, den),
                    None => Err(TOO_LARGE.to_owned()),
                }
            }
            _ => Self::finite(self.real() + other.real()),
        }
    }

    /// Returns the number with the other sign.
    pub(crate) fn negated(self) -> Result<Self, String> {
        match self {
            Self::Exact { num, den } => match num.checked_neg() {
                Some(num) => Ok(Self::Exact { num, den }),
                None => Err(TOO_LARGE.to_owned()),
            },
            Self::Real(value) => Ok(Self::Real(-value)),
        }
    }

    /// Returns the product.
    pub(crate) fn times(self, other: Self) -> Result<Self, String> {
        match (self, other) {
            (Self::Exact { num: a, den: b }, Self::Exact { num: c, den: d }) => {
                match a.checked_mul(c).zip(b.checked_mul(d)) {
                    Some((num, den)) => Self::exact(num, den),
                    None => Err(TOO_LARGE.to_owned()),
                }
            }
            _ => Self::finite(self.real() * other.real()),
        }
    }

    /// Returns the quotient.
    pub(crate) fn over(self, other: Self, division: Division) -> Result<Self, String> {
        if other.real() == 0.0 {
            return Err("a division by zero".to_owned());
        }
        match (self, other) {
            (Self::Exact { num: a, den: b }, Self::Exact { num: c, den: d }) => {
                let quotient = match a.checked_mul(d).zip(b.checked_mul(c)) {
                    Some((num, den)) => Self::exact(num, den)?,
                    None => return Err(TOO_LARGE.to_owned()),
                };
                match (quotient, division) {
                    (Self::Exact { den: 1, .. }, _) | (_, Division::Fraction) => Ok(quotient),
                    _ => Err(format!("{} / {} is no whole number", self.shown(), other.shown())),
                }
            }
            _ => Self::finite(self.real() / other.real()),
        }
    }

    /// Returns the remainder, which is never negative.
    pub(crate) fn modulo(self, other: Self) -> Result<Self, String> {
        if other.real() == 0.0 {
            return Err("a remainder of a division by zero".to_owned());
        }
        match (self, other) {
            (Self::Exact { num: a, den: b }, Self::Exact { num: c, den: d }) => {
                // Over their common denominator both are integers.
                let over = a.checked_mul(d).zip(b.checked_mul(c)).zip(b.checked_mul(d));
                match over.and_then(|((a, c), den)| Some((a.checked_rem_euclid(c)?, den))) {
                    Some((num, den)) => Self::exact(num, den),
                    None => Err(TOO_LARGE.to_owned()),
                }
            }
            _ => Self::finite(self.real().rem_euclid(other.real())),
        }
    }

    /// Returns the greatest whole number that is not above it.
    pub(crate) fn floor(self) -> Self {
        match self {
            Self::Exact { num, den } => Self::whole(num.div_euclid(den)),
            Self::Real(value) => Self::Real(value.floor()),
        }
    }

    /// Returns the least whole number that is not below it.
    pub(crate) fn ceil(self) -> Self {
        match self {
            Self::Exact { num, den } => {
                let up = i128::from(num.rem_euclid(den) != 0);
                Self::whole(num.div_euclid(den).saturating_add(up))
            }
            Self::Real(value) => Self::Real(value.ceil()),
        }
    }

    /// Returns the nearest whole number; from half-way, the one that is farther from zero.
    pub(crate) fn round(self) -> Self {
        match self {
            Self::Exact { num, den } => {
                let (below, rest) = (num.div_euclid(den), num.rem_euclid(den));
                let up = match rest.cmp(&(den - rest)) {
                    Ordering::Less => false,
                    Ordering::Equal => num > 0,
                    Ordering::Greater => true,
                };
                Self::whole(below.saturating_add(up.into()))
            }
            Self::Real(value) => Self::Real(value.round()),
        }
    }

    /// Says which of two is greater.
    pub(crate) fn order(self, other: Self) -> Ordering {
        if let (Self::Exact { num: a, den: b }, Self::Exact { num: c, den: d }) = (self, other)
            && let (Some(left), Some(right)) = (a.checked_mul(d), c.checked_mul(b))
        {
            return left.cmp(&right);
        }
        self.real().total_cmp(&other.real())
    }

    /// Returns the number as a message shows it.
    pub(crate) fn shown(self) -> String {
        match self {
            Self::Exact { num, den: 1 } => num.to_string(),
            Self::Exact { num, den } => format!("{num}/{den}"),
            Self::Real(value) => value.to_string(),
        }
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}
