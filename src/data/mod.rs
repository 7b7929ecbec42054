//! Arrays on their way in and out: element types, file formats, text, the staged output file.
//!
//! Pure parsing and formatting, and files. It knows nothing of ranks, segments or schedules.

mod count;
mod dtype;
mod npy;
mod number;
mod shape;
mod shown;
mod staged;
#[cfg(test)]
mod testing;
mod text;

pub(crate) use count::parse_count;
pub use dtype::{DType, Scalar};
pub(crate) use npy::{ByteOrder, header as npy_header};
pub use shape::Shape;
pub(crate) use staged::StagedFile;
pub(crate) use text::{write_lines, write_rows};
