//! Arrays on their way in and out: element types, file formats, text, the staged output file.
//!
//! Pure parsing and formatting, and files. It knows nothing of ranks, segments or schedules.

mod count;
mod dtype;
mod fields;
#[cfg(all(any(fuzzing, test), not(spmd_loom)))]
pub(crate) mod fuzzing;
mod hidden;
mod input;
mod npy;
mod number;
mod overflow;
mod png;
mod regular;
mod shape;
mod shown;
mod spec;
mod staged;
mod stamp;
#[cfg(test)]
pub(crate) mod testing;
mod text;
mod text_form;
mod text_source;

pub(crate) use self::png::write_png;
pub(crate) use count::parse_count;
pub use dtype::{DType, Scalar};
pub(crate) use hidden::is_hidden;
pub(crate) use input::{Input, Source};
pub(crate) use npy::{ByteOrder, header as npy_header};
pub use overflow::Overflow;
pub use shape::Shape;
pub(crate) use shown::{excerpt, grouped, path as shown_path, reason};
pub use spec::{InputSpec, OutputSpec};
pub(crate) use staged::{Placed, StagedFile, kind};
pub(crate) use stamp::Stamp;
pub(crate) use text::{write_lines, write_rows};
pub(crate) use text_form::text_in_files;
