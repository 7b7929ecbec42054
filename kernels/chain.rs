//! Chain: v → 0.999999·v + 0.000001, an exactly given number of times for each index.
//!
//! Measures: schedules and scaling under a cost that any program in any language can repeat: a count
//! of steps, each a multiplication and then an addition that wait for one another, and no clock.
//! Cost per index: one element written, 2 flops a step, `steps` steps on average.
//! Check: bit for bit against a serial run; every operation is rounded by itself, never fused.
//!
//! Index i of n, mean S = `steps`, SEED = `--seed`. All whole numbers; / drops the remainder; products
//! that may leave 64 bits are taken in 128.
//!
//! ```text
//! h(i)       z = SEED·0xd1342543de82ef95 + i·0x9e3779b97f4a7c15      (all of h modulo 2^64)
//!            z = (z ^ z>>30)·0xbf58476d1ce4e5b9
//!            z = (z ^ z>>27)·0x94d049bb133111eb
//!            h = z ^ z>>31
//! p(i)       = i·65536/n                                             (place, 0..65536)
//!
//! steps(i), by `shape`:
//! constant   S
//! linear     (2i + 1)·S/n                                            (from 0 to 2S)
//! heavy      S·1024000/(7509·d),  d = (h(i)>>54) + 1                 (Pareto, 1/d; up to 136·S)
//! humps      S·(131072 + 30·bump(p, 16384) + 15·bump(p, 49152))/524288
//!            bump(p, c): t = |p − c|; 0 if t >= 8192, else q = 8192² − t², q·q>>36   (0..=65536)
//! mandelbrot S·4096·image[p>>4]/total,  total = the sum of all 4096 of image
//!            image[64·row + col]: cr = (2·col + 1)·24576 − 2097152, ci = (2·row + 1)·24576 − 1572864
//!            (both in units of 2^-20); zr = zi = 0, count = 0; while count < 256:
//!              a = zr·zr/2^20; b = zi·zi/2^20; stop if a + b > 2^22; count += 1
//!              zi = 2·zr·zi/2^20 + ci; zr = a − b + cr     (zi from the old zr; / towards zero)
//!            image = count
//!
//! result     v = (h(i)>>11)·2^-53; steps(i) times: v = v·0.999999; v = v + 0.000001
//! ```
//!
//! `humps` is a floor of a quarter of the mean with two bumps on it, at a quarter and three quarters of
//! the index space, the first twice as high. `mandelbrot` is what the rows of an image cost, one after
//! another. In C: `double`, `unsigned __int128` for the products, `-ffp-contract=off`.

use crate::kernel::{Block, Cost, Kernel, KernelError, Param, ParamKind, Params, Reads, Setting};
use crate::{DType, random_bits};

/// y = the last value of a chain of steps.
pub(crate) struct Chain;

impl Kernel for Chain {
    fn name(&self) -> &'static str {
        "chain"
    }

    fn about(&self) -> &'static str {
        "v -> a*v + b a given number of times: exact synthetic cost"
    }

    fn params(&self) -> &'static [Param] {
        &[
            Param {
                name: "steps",
                about: "mean number of steps of an index",
                kind: ParamKind::Whole { least: 1, greatest: 1_000_000_000 },
                default: "1000",
            },
            Param {
                name: "shape",
                about: "how steps spread over the index space; the kernel's file has the formulas",
                kind: ParamKind::Choice(Shape::NAMES),
                default: "constant",
            },
        ]
    }

    fn dtypes(&self) -> &'static [DType] {
        &[DType::F64]
    }

    fn input(&self) -> &'static str {
        "range:0:100000"
    }

    fn reads(&self) -> Reads {
        Reads::Index
    }

    fn cost(&self, setting: &Setting<'_>) -> Cost {
        let steps = setting.params.whole("steps") as f64;
        // A multiplication and an addition wait for one another: 6 to 8 cycles.
        Cost { bytes: setting.dtype.size() as f64, flops: 2.0 * steps, ns: 2.0 * steps + 2.0 }
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let (size, seed) = (block.setting().size, block.setting().seed);
        let work = Work::new(block.params(), size, seed);
        let first = block.first();
        for (index, y) in (first..).zip(block.result::<f64>()) {
            *y = chain(random_bits(seed, index), work.steps(index));
        }
        Ok(())
    }
}

/// Takes `steps` steps from a start in [0, 1).
fn chain(bits: u64, steps: u64) -> f64 {
    let mut v = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    for _ in 0..steps {
        v *= 0.999_999;
        v += 0.000_001;
    }
    v
}

/// How many steps each index takes.
struct Work {
    shape: Shape,
    mean: u64,
    size: u64,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Constant,
    Linear,
    Heavy,
    Humps,
    Mandelbrot,
}

impl Shape {
    const ALL: [(&str, Self); 5] = [
        ("constant", Self::Constant),
        ("linear", Self::Linear),
        ("heavy", Self::Heavy),
        ("humps", Self::Humps),
        ("mandelbrot", Self::Mandelbrot),
    ];
    const NAMES: &[&str] = &["constant", "linear", "heavy", "humps", "mandelbrot"];

    fn named(name: &str) -> Self {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map_or(Self::Constant, |(_, shape)| *shape)
    }
}

impl Work {
    fn new(params: &Params, size: u64, seed: u64) -> Self {
        let shape = Shape::named(params.choice("shape"));
        Self { shape, mean: params.whole("steps"), size, seed }
    }

    fn steps(&self, index: u64) -> u64 {
        let (mean, size) = (self.mean, self.size.max(1));
        match self.shape {
            Shape::Constant => mean,
            Shape::Linear => scaled(mean, 2 * index + 1, size),
            Shape::Heavy => {
                let d = (random_bits(self.seed, index) >> 54) + 1;
                // 7.509 is 1 + 1/2 + 1/3 + … + 1/1024: the mean of 1024/d.
                mean * 1_024_000 / (7509 * d)
            }
            Shape::Humps => {
                let p = scaled(index, 65536, size);
                mean * (131_072 + 30 * bump(p, 16384) + 15 * bump(p, 49152)) / 524_288
            }
            Shape::Mandelbrot => {
                let pixel = scaled(index, 65536, size) >> 4;
                scaled(mean * 4096, IMAGE.counts[pixel.min(4095) as usize].into(), IMAGE.total)
            }
        }
    }
}

/// Returns a·b/c, with the product in 128 bits.
fn scaled(a: u64, b: u64, c: u64) -> u64 {
    u64::try_from(u128::from(a) * u128::from(b) / u128::from(c)).unwrap_or(u64::MAX)
}

/// A quartic bump of height 65536 and half-width 8192 about `centre`: near to a Gaussian one.
fn bump(p: u64, centre: u64) -> u64 {
    let t = p.abs_diff(centre);
    if t >= 8192 {
        return 0;
    }
    let q = 8192 * 8192 - t * t;
    (q * q) >> 36
}

/// What the pixels of a small Mandelbrot image cost, in fixed point.
struct Image {
    counts: [u16; 4096],
    total: u64,
}

/// Made by the compiler: no rank spends part of its first pass on it.
static IMAGE: Image = Image::new();

impl Image {
    const fn new() -> Self {
        let mut image = Self { counts: [0; 4096], total: 0 };
        let mut pixel = 0;
        while pixel < image.counts.len() {
            let (row, col) = ((pixel / 64) as i64, (pixel % 64) as i64);
            let count =
                escape((2 * col + 1) * 24576 - 2_097_152, (2 * row + 1) * 24576 - 1_572_864);
            image.counts[pixel] = count;
            image.total += count as u64;
            pixel += 1;
        }
        image
    }
}

const fn escape(cr: i64, ci: i64) -> u16 {
    const ONE: i64 = 1 << 20;
    let (mut zr, mut zi, mut count) = (0_i64, 0_i64, 0);
    while count < 256 {
        let (a, b) = (zr * zr / ONE, zi * zi / ONE);
        if a + b > 4 * ONE {
            break;
        }
        count += 1;
        zi = 2 * zr * zi / ONE + ci;
        zr = a - b + cr;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(shape: &str, size: u64) -> Work {
        Work { shape: Shape::named(shape), mean: 1000, size, seed: 1 }
    }

    #[test]
    fn every_shape_has_the_mean_it_promises() {
        for size in [65_536, 100_000] {
            for (shape, tolerance) in [
                ("constant", 0.0),
                ("linear", 1.0),
                ("heavy", 50.0),
                ("humps", 2.0),
                ("mandelbrot", 2.0),
            ] {
                let work = work(shape, size);
                let mean = (0..size).map(|i| work.steps(i)).sum::<u64>() as f64 / size as f64;
                assert!((mean - 1000.0).abs() <= tolerance, "{shape}, {size}: {mean}");
            }
        }
    }

    #[test]
    fn every_shape_has_its_name() {
        assert!(Shape::ALL.iter().map(|(name, _)| name).eq(Shape::NAMES));
    }

    #[test]
    fn shapes_have_the_values_of_the_formulas() {
        // Worked out by a program of another language from the head of this file.
        let of = |shape, indices: &[u64]| {
            indices.iter().map(|&i| work(shape, 1000).steps(i)).collect::<Vec<_>>()
        };
        assert_eq!(of("constant", &[0, 999]), [1000, 1000]);
        assert_eq!(of("linear", &[0, 499, 500, 999]), [1, 999, 1001, 1999]);
        assert_eq!(of("heavy", &[0, 1, 500, 999]), [196, 139, 370, 173]);
        assert_eq!(of("humps", &[0, 250, 500, 750, 999]), [250, 4000, 250, 2125, 250]);
        assert_eq!(of("mandelbrot", &[0, 499, 500, 999]), [21, 63, 105, 42]);
        assert_eq!(IMAGE.total, 194_544);
        assert_eq!(chain(random_bits(1, 0), 1000).to_bits(), 0.677_383_220_148_357_6_f64.to_bits());
    }

    #[test]
    fn the_largest_mean_stays_within_64_bits() {
        for (_, shape) in Shape::ALL {
            for size in [1, 2, 1 << 40] {
                let work = Work { shape, mean: 1_000_000_000, size, seed: u64::MAX };
                for index in [0, size / 4, size / 2, size - 1] {
                    assert!(work.steps(index) <= 137 * work.mean, "{shape:?} {index} of {size}");
                }
            }
        }
    }
}
