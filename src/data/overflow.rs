//! What integer arithmetic does beyond the range of its type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What integer arithmetic does beyond its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// Inputs whose result would overflow are refused before anything runs.
    Error,
    /// Results wrap around, modulo 2^bits.
    Wrap,
    /// Results stop at the ends of the type's range.
    Saturate,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Wrap => "wrap",
            Self::Saturate => "saturate",
        })
    }
}
