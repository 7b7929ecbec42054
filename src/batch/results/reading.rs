//! The samples of a file that nobody is at work on, or somebody is: only read, without the lock.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use serde_json::Value;

use super::place;
use super::samples::{self, Samples};
use crate::batch::key::Short;
use crate::error::Error;

/// What the file of samples in a results directory is called.
pub(crate) const SAMPLES: &str = samples::NAME;

/// What was found beside the samples.
#[derive(Debug)]
pub(crate) struct Reading {
    /// How many bytes at the end are no line.
    pub(crate) torn: u64,
    pub(crate) warning: Option<String>,
}

/// Gives each sample that counts and succeeded, with its point, to `look`.
///
/// The file is read twice, as only its end says which attempts count; lines that come in between are of
/// repeats and attempts that the first reading has not seen, and do not count.
pub(crate) fn samples_of(
    mut file: &File,
    shown: &str,
    look: impl FnMut(Short, &Value) -> serde_json::Result<()>,
) -> Result<Reading, Error> {
    let mut samples = Samples::default();
    let extent = samples.read_file(file, shown)?;
    file.seek(SeekFrom::Start(0)).map_err(|error| place::unreadable(shown, &error))?;
    samples.each(file, shown, look)?;
    Ok(Reading { torn: extent.torn, warning: samples.warning() })
}
