//! Mandelbrot: y = how many steps z → z² + c takes to leave |z| <= 2, from 0; at most `iterations`.
//!
//! Measures: balance under work whose cost is a picture: cheap rows, then costly ones.
//! Cost per index: about 10 flops a step, a mean of a quarter of `iterations` steps in the default view.
//! Check: bit for bit against a serial run. A step is 3 multiplications and 5 additions in f64, each
//! rounded by itself, so the picture of a region that is symmetric about the real axis is symmetric.
//!
//! Index i is the pixel in column i mod width of row i / width, and c its middle:
//!
//! ```text
//! pixel = span/width
//! c     = x + (column + 1/2 − width/2)·pixel  +  i·(y − (row + 1/2 − height/2)·pixel)
//! ```

use crate::kernel::{
    Block, Cost, Kernel, KernelError, Param, ParamKind, Params, Picture, Reads, Setting,
};
use crate::{Scalar, with_dtype};

/// y = steps until |z| > 2.
pub(crate) struct Mandelbrot;

impl Kernel for Mandelbrot {
    fn name(&self) -> &'static str {
        "mandelbrot"
    }

    fn about(&self) -> &'static str {
        "y = steps of z -> z*z + c until |z| > 2: a picture"
    }

    fn params(&self) -> &'static [Param] {
        /// So that the pixels of the largest picture are an index space.
        const SIDE: ParamKind = ParamKind::Whole { least: 1, greatest: 1 << 16 };
        &[
            Param { name: "width", about: "pixels in a row", kind: SIDE, default: "640" },
            Param { name: "height", about: "rows of pixels", kind: SIDE, default: "480" },
            Param {
                name: "iterations",
                about: "steps after which a point counts as one that stays",
                // Exact in every type, f32 too.
                kind: ParamKind::Whole { least: 1, greatest: 1 << 24 },
                default: "256",
            },
            Param {
                name: "x",
                about: "real part of the middle of the picture",
                kind: ParamKind::Number,
                default: "-0.5",
            },
            Param {
                name: "y",
                about: "imaginary part of it",
                kind: ParamKind::Number,
                default: "0",
            },
            Param {
                name: "span",
                about: "how wide the picture is, in the plane",
                kind: ParamKind::Positive,
                default: "3",
            },
        ]
    }

    fn input(&self) -> &'static str {
        "range:0:307200"
    }

    fn reads(&self) -> Reads {
        Reads::Index
    }

    fn picture(&self, params: &Params) -> Option<Picture> {
        let side = |name| u32::try_from(params.whole(name)).unwrap_or(u32::MAX);
        Some(Picture { width: side("width"), height: side("height"), colour })
    }

    fn cost(&self, setting: &Setting<'_>) -> Cost {
        let steps = setting.params.whole("iterations") as f64 / 4.0;
        Cost { bytes: setting.dtype.size() as f64, flops: 10.0 * steps, ns: 4.0 * steps }
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let view = View::new(block.params());
        let first = block.first();
        with_dtype!(block.dtype(), T => {
            for (index, y) in (first..).zip(block.result::<T>()) {
                *y = T::from_i64(view.steps(index) as i64);
            }
        });
        Ok(())
    }
}

/// What is looked at.
struct View {
    width: u64,
    height: u64,
    x: f64,
    y: f64,
    pixel: f64,
    most: u64,
}

impl View {
    fn new(params: &Params) -> Self {
        let width = params.whole("width");
        Self {
            width,
            height: params.whole("height"),
            x: params.number("x"),
            y: params.number("y"),
            pixel: params.number("span") / width as f64,
            most: params.whole("iterations"),
        }
    }

    fn steps(&self, index: u64) -> u64 {
        // Halves of whole numbers: exact, and the same but for the sign on both sides of the middle.
        let from_middle = |at: u64, side: u64| at as f64 + 0.5 - side as f64 / 2.0;
        let column = from_middle(index % self.width, self.width);
        let row = from_middle(index / self.width, self.height);
        steps(self.x + column * self.pixel, self.y - row * self.pixel, self.most)
    }
}

fn steps(x: f64, y: f64, most: u64) -> u64 {
    let (mut re, mut im) = (0.0, 0.0);
    for taken in 0..most {
        let (a, b) = (re * re, im * im);
        if a + b > 4.0 {
            return taken;
        }
        im = (re + re) * im + y;
        re = a - b + x;
    }
    most
}

/// Colours that go around as the square root of the steps grows; black is what stays. In whole numbers,
/// so that every machine draws the same.
fn colour(setting: &Setting<'_>, steps: f64) -> [u8; 3] {
    /// The colours at equal distances around.
    const AROUND: [[u64; 3]; 5] =
        [[0, 7, 100], [32, 107, 203], [237, 255, 255], [255, 170, 0], [40, 12, 20]];
    /// Whole numbers between two of them.
    const BETWEEN: u64 = 128;
    let most = setting.params.whole("iterations");
    let steps = steps as u64; // NaN, which is no result, becomes 0.
    if steps >= most {
        return [0; 3];
    }
    let place = (steps << 12).isqrt();
    let (from, part) = (place / BETWEEN, place % BETWEEN);
    let [from, to] = [from, from + 1].map(|at| AROUND[at as usize % AROUND.len()]);
    std::array::from_fn(|at| ((from[at] * (BETWEEN - part) + to[at] * part) / BETWEEN) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_stay_and_points_that_leave_are_told_apart() {
        // The main cardioid, the circle of period two, and a cycle of period three.
        for (x, y) in [(0.0, 0.0), (-0.5, 0.5), (-1.0, 0.0), (-1.75488, 0.0), (-0.122_56, 0.744_86)]
        {
            assert_eq!(steps(x, y, 5000), 5000, "{x} {y}");
        }
        // z: 0, 2.5 | 0, 1, 2, 5 | 0, i, -1 + i, -i, …
        assert_eq!(steps(2.5, 0.0, 100), 1);
        assert_eq!(steps(1.0, 0.0, 100), 3);
        assert_eq!(steps(0.0, 1.0, 100), 100);
    }

    #[test]
    fn a_pixel_stands_for_its_middle() {
        let view = View { width: 4, height: 2, x: 0.0, y: 0.0, pixel: 1.0, most: 9 };
        assert_eq!(view.steps(0), steps(-1.5, 0.5, 9));
        assert_eq!(view.steps(7), steps(1.5, -0.5, 9));
    }
}
