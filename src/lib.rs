//! spmd
#![allow(missing_docs)]
mod data;
mod error;
mod host;

pub use data::{DType, InputSpec, OutputSpec, Scalar, Shape};
pub use error::{Error, Exit, Explained};
