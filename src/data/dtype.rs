//! The six element types, once as a value ([`DType`]) and once as a bound ([`Scalar`]).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Explained};

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit unsigned integer.
    U64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

impl DType {
    /// Every element type.
    pub const ALL: &'static [Self] =
        &[Self::I32, Self::I64, Self::U32, Self::U64, Self::F32, Self::F64];

    /// Returns the size of one element in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Returns the name, as the option `--dtype` spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Says whether the elements are integers.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F64)
    }

    /// Returns the smallest and largest integer of this type; `None` for floating point.
    #[must_use]
    pub const fn integer_range(self) -> Option<(i128, i128)> {
        match self {
            Self::I32 => Some((i32::MIN as i128, i32::MAX as i128)),
            Self::I64 => Some((i64::MIN as i128, i64::MAX as i128)),
            Self::U32 => Some((0, u32::MAX as i128)),
            Self::U64 => Some((0, u64::MAX as i128)),
            Self::F32 | Self::F64 => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|dtype| dtype.name() == text).ok_or_else(|| {
            Error::rejected(
                Explained::new(format!("unknown dtype `{text}`"))
                    .hint("one of i32, i64, u32, u64, f32, f64"),
            )
        })
    }
}

mod sealed {
    pub trait Sealed {}
}

/// An element type a kernel can be written over.
///
/// Sealed: exactly the types of [`DType`]. Every bit pattern is a value, so any bytes of the right
/// length may be read as one.
pub trait Scalar:
    sealed::Sealed + Copy + PartialEq + PartialOrd + fmt::Debug + Send + Sync + 'static
{
    /// The value that names this type.
    const DTYPE: DType;

    /// What stands where there is no result: NaN, or 0 in a type that has none.
    const NONE: Self;

    /// Converts an index or another integer: wraps integers, rounds to nearest even for floats.
    fn from_i128(value: i128) -> Self;

    /// As [`Scalar::from_i128`], many times faster.
    fn from_i64(value: i64) -> Self;

    /// Returns the value as an integer; `None` for floating point.
    fn to_i128(self) -> Option<i128>;

    /// Returns the value as a floating-point number, rounded where it has to be.
    fn to_f64(self) -> f64;

    /// Multiplies; integers wrap around.
    #[must_use]
    fn mul_wrapping(self, other: Self) -> Self;

    /// Multiplies; integers stop at the ends of their range.
    #[must_use]
    fn mul_saturating(self, other: Self) -> Self;

    /// Returns the same bytes in the other order.
    #[must_use]
    fn swap_bytes(self) -> Self;

    /// Compares bit for bit, so that NaN equals itself and 0 differs from -0.
    fn same_bits(self, other: Self) -> bool;

    /// Writes the shortest text that reads back to the same value: `1`, `1.0`, `NaN`, `-inf`.
    fn write_text(self, out: &mut impl fmt::Write) -> fmt::Result;

    /// Appends the bytes of the value, in this machine's order.
    fn append_bytes(self, out: &mut Vec<u8>);

    /// Reads a number as [`Scalar::write_text`] and people write it.
    fn parse_text(text: &str) -> Option<Self>;
}

macro_rules! integer {
    ($type:ty, $dtype:expr) => {
        impl sealed::Sealed for $type {}
        impl Scalar for $type {
            const DTYPE: DType = $dtype;
            const NONE: Self = 0;
            #[inline]
            fn from_i128(value: i128) -> Self {
                value as Self
            }
            #[inline]
            fn from_i64(value: i64) -> Self {
                value as Self
            }
            fn to_i128(self) -> Option<i128> {
                Some(i128::from(self))
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline]
            fn mul_wrapping(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline]
            fn mul_saturating(self, other: Self) -> Self {
                self.saturating_mul(other)
            }
            #[inline]
            fn swap_bytes(self) -> Self {
                <$type>::swap_bytes(self)
            }
            fn same_bits(self, other: Self) -> bool {
                self == other
            }
            #[inline]
            fn append_bytes(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }
            fn write_text(self, out: &mut impl fmt::Write) -> fmt::Result {
                write!(out, "{self}")
            }
            fn parse_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    };
}

macro_rules! float {
    ($type:ty, $dtype:expr) => {
        impl sealed::Sealed for $type {}
        impl Scalar for $type {
            const DTYPE: DType = $dtype;
            const NONE: Self = Self::NAN;
            #[inline]
            fn from_i128(value: i128) -> Self {
                value as Self
            }
            #[inline]
            fn from_i64(value: i64) -> Self {
                value as Self
            }
            fn to_i128(self) -> Option<i128> {
                None
            }
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline]
            fn mul_wrapping(self, other: Self) -> Self {
                self * other
            }
            #[inline]
            fn mul_saturating(self, other: Self) -> Self {
                self * other
            }
            #[inline]
            fn swap_bytes(self) -> Self {
                Self::from_bits(self.to_bits().swap_bytes())
            }
            fn same_bits(self, other: Self) -> bool {
                self.to_bits() == other.to_bits()
            }
            #[inline]
            fn append_bytes(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }
            fn write_text(self, out: &mut impl fmt::Write) -> fmt::Result {
                // Debug, not Display: `1.0` stays a float when read back, and 1e300 stays short.
                write!(out, "{self:?}")
            }
            fn parse_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    };
}

integer!(i32, DType::I32);
integer!(i64, DType::I64);
integer!(u32, DType::U32);
integer!(u64, DType::U64);
float!(f32, DType::F32);
float!(f64, DType::F64);

/// Runs an expression with `T` bound to the Rust type that a [`DType`] names.
///
/// ```
/// use spmd::{DType, with_dtype};
/// let bytes = with_dtype!(DType::F32, T => size_of::<T>());
/// assert_eq!(bytes, 4);
/// ```
#[macro_export]
macro_rules! with_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::DType::U64 => {
                type $T = u64;
                $body
            }
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}
