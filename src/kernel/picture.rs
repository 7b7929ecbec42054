//! Results that are a picture.

use super::Setting;

/// Results that can be looked at: one pixel an index, row by row from the top, each from the left.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Returns the colour of a result, as red, green and blue. A result that is missing is 0, or NaN
    /// in a type that has it.
    pub colour: fn(setting: &Setting<'_>, value: f64) -> [u8; 3],
}

impl Picture {
    /// Returns the size of the index space.
    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}
