//! Arrays on their way in and out: element types, file formats, text, the staged output file.
//!
//! Pure parsing and formatting, and files. It knows nothing of ranks, segments or schedules.

mod dtype;

pub use dtype::{DType, Scalar};
