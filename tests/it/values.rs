//! Numbers and what `square` makes of them, computed here and not by the crate.
//!
//! An element is its bits, in the low end of a `u64`: comparing bits tells NaN from NaN and 0 from
//! -0, and one table serves all six types.

use std::hint::black_box;

/// An element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    I32,
    I64,
    U32,
    U64,
    F32,
    F64,
}

use Type::{F32, F64, I32, I64, U32, U64};

impl Type {
    pub(crate) const ALL: [Self; 6] = [I32, I64, U32, U64, F32, F64];
    pub(crate) const INTEGERS: [Self; 4] = [I32, I64, U32, U64];

    pub(crate) fn name(self) -> &'static str {
        match self {
            I32 => "i32",
            I64 => "i64",
            U32 => "u32",
            U64 => "u64",
            F32 => "f32",
            F64 => "f64",
        }
    }

    /// As `.npy` headers call it, without the byte order.
    pub(crate) fn code(self) -> &'static str {
        match self {
            I32 => "i4",
            I64 => "i8",
            U32 => "u4",
            U64 => "u8",
            F32 => "f4",
            F64 => "f8",
        }
    }

    pub(crate) fn size(self) -> usize {
        match self {
            I32 | U32 | F32 => 4,
            I64 | U64 | F64 => 8,
        }
    }

    pub(crate) fn is_signed(self) -> bool {
        !matches!(self, U32 | U64)
    }

    /// The largest input whose square is exact: published numbers, not computed ones.
    pub(crate) fn largest_exact(self) -> i128 {
        match self {
            I32 => 46_340,
            I64 => 3_037_000_499,
            U32 => 65_535,
            U64 => 4_294_967_295,
            F32 | F64 => panic!("floats have none"),
        }
    }

    pub(crate) fn bits(self, value: i128) -> u64 {
        let low = value as u64;
        match self {
            I32 | U32 => low & 0xffff_ffff,
            I64 | U64 => low,
            F32 => (value as f32).to_bits().into(),
            F64 => (value as f64).to_bits(),
        }
    }

    fn value(self, bits: u64) -> i128 {
        match self {
            I32 => (bits as u32).cast_signed().into(),
            I64 => bits.cast_signed().into(),
            U32 => (bits as u32).into(),
            U64 => bits.into(),
            F32 | F64 => panic!("not an integer"),
        }
    }

    /// x·x; integers wrap around.
    pub(crate) fn square(self, bits: u64) -> u64 {
        match self {
            F32 => {
                let x = black_box(f32::from_bits(bits as u32));
                black_box(x * x).to_bits().into()
            }
            F64 => {
                let x = black_box(f64::from_bits(bits));
                black_box(x * x).to_bits()
            }
            I32 | I64 | U32 | U64 => {
                let x = self.value(bits);
                self.bits(x.wrapping_mul(x)) // Low bits of a product need no more than 128.
            }
        }
    }

    /// x·x, stopping at the ends of the type.
    pub(crate) fn square_saturating(self, bits: u64) -> u64 {
        let most = match self {
            I32 => i128::from(i32::MAX),
            I64 => i128::from(i64::MAX),
            U32 => i128::from(u32::MAX),
            U64 => i128::from(u64::MAX),
            F32 | F64 => return self.square(bits),
        };
        let x = self.value(bits);
        self.bits(x.saturating_mul(x).min(most))
    }

    pub(crate) fn squares(self, inputs: &[u64]) -> Vec<u64> {
        inputs.iter().map(|&bits| self.square(bits)).collect()
    }

    /// Elements as this (little-endian) machine stores them.
    pub(crate) fn bytes(self, elements: &[u64]) -> Vec<u8> {
        elements.iter().flat_map(|bits| bits.to_le_bytes()[..self.size()].to_vec()).collect()
    }

    pub(crate) fn bytes_big(self, elements: &[u64]) -> Vec<u8> {
        elements.iter().flat_map(|bits| bits.to_be_bytes()[8 - self.size()..].to_vec()).collect()
    }

    pub(crate) fn text(self, bits: u64) -> String {
        match self {
            F32 => format!("{:?}", f32::from_bits(bits as u32)),
            F64 => format!("{:?}", f64::from_bits(bits)),
            I32 | I64 | U32 | U64 => self.value(bits).to_string(),
        }
    }

    pub(crate) fn lines(self, elements: &[u64]) -> String {
        elements.iter().map(|&bits| self.text(bits) + "\n").collect()
    }

    pub(crate) fn digest(self, elements: &[u64]) -> String {
        format!("blake3:{}", blake3::hash(&self.bytes(elements)).to_hex())
    }

    /// Inputs over the whole range that `square` takes; floats of every kind, first the odd ones.
    pub(crate) fn inputs(self, n: usize) -> Vec<u64> {
        let random = (0..n as u64).map(scramble);
        match self {
            F32 => {
                let odd = ODD.map(|x| u64::from((x as f32).to_bits()));
                let denormals = [1_u64, 0x8000_0001, 0x007f_ffff, 0x7fc0_dead, 0xffc0_beef];
                odd.into_iter().chain(denormals).chain(random.map(any_f32)).take(n).collect()
            }
            F64 => {
                let odd = ODD.map(f64::to_bits);
                let denormals =
                    [1, 1 | 1 << 63, (1 << 52) - 1, 0x7ff8_0000_dead_beef, 0xfff8_0000_0000_0001];
                odd.into_iter().chain(denormals).chain(random.map(any_f64)).take(n).collect()
            }
            I32 | I64 | U32 | U64 => {
                let root = self.largest_exact();
                let least = if self.is_signed() { -root } else { 0 };
                let ends = [least, root, 0, 1];
                let width = root - least + 1;
                let random = random.map(|z| least + i128::from(z) % width);
                ends.into_iter().chain(random).take(n).map(|value| self.bits(value)).collect()
            }
        }
    }

    /// The same, without the NaNs that text cannot tell apart.
    pub(crate) fn inputs_as_text_has_them(self, n: usize) -> Vec<u64> {
        let mut inputs = self.inputs(n);
        for bits in &mut inputs {
            match self {
                F32 if f32::from_bits(*bits as u32).is_nan() => *bits = 0x7fc0_0000,
                F64 if f64::from_bits(*bits).is_nan() => *bits = 0x7ff8_0000_0000_0000,
                _ => {}
            }
        }
        inputs
    }
}

const ODD: [f64; 9] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.5, -2.25, 1e30, 1e-30];

/// Any bits at all half of the time; their squares are mostly 0 or infinity, so else moderate ones.
fn any_f32(z: u64) -> u64 {
    let exponent = 127 + (z >> 8) % 100 - 50;
    if z.is_multiple_of(2) { z >> 32 } else { (z >> 32) & 0x807f_ffff | exponent << 23 }
}

fn any_f64(z: u64) -> u64 {
    let exponent = 1023 + (z >> 4) % 800 - 400;
    if (z >> 1).is_multiple_of(2) { z } else { z & 0x800f_ffff_ffff_ffff | exponent << 52 }
}

/// SplitMix64's finisher: the same numbers in every run.
fn scramble(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
