//! `env.json`: a visit for each time that the batch was at work here, with the machine it found.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::data::{StagedFile, reason, shown_path};
use crate::error::{Error, Explained};

const NAME: &str = "env.json";
const SCHEMA: u32 = 1;

/// All visits, the first one first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Visits {
    schema: u32,
    pub(crate) visits: Vec<Past>,
}

/// One visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// The name of the batch.
    pub(crate) batch: String,
    pub(crate) machine: Machine,
}

/// Whether samples of unlike machines may lie beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MixMachines {
    Yes,
    No,
}

impl Visits {
    /// Reads the visits of a directory; there are none where there is no file.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(NAME);
        let shown = shown_path(&path);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { schema: SCHEMA, visits: Vec::new() });
            }
            Err(error) => {
                return Err(Error::refused(format!("cannot read `{shown}`: {}", reason(&error))));
            }
        };
        let read: Self = serde_json::from_slice(&text).map_err(|error| {
            Error::rejected(
                Explained::new(format!("{shown}:{}:{}: {error}", error.line(), error.column()))
                    .hint("put back what it was; without it nobody knows which machine the samples are of"),
            )
        })?;
        if read.schema != SCHEMA {
            let found = read.schema;
            return Err(Error::rejected(
                Explained::new(format!("`{shown}` has schema {found}; this spmd knows {SCHEMA}"))
                    .hint("go on with the spmd that wrote it, or into another --out"),
            ));
        }
        Ok(read)
    }

    /// Returns the visit that began last.
    pub(crate) fn last(&self) -> Option<&Past> {
        self.visits.last()
    }

    /// Checks that a visit of this batch on this machine may go on here.
    pub(super) fn check(
        &self,
        dir: &Path,
        name: &str,
        machine: &Machine,
        mix: MixMachines,
    ) -> Result<(), Error> {
        let Some(last) = self.last() else { return Ok(()) };
        let shown = shown_path(dir);
        if last.batch != name {
            return Err(Error::rejected(
                Explained::new(format!(
                    "`{shown}` has the results of batch `{}`, and this is batch `{name}`",
                    last.batch
                ))
                .hint(format!(
                    "another --out; or name = \"{}\" in the file, to go on here",
                    last.batch
                )),
            ));
        }
        // Once they are mixed, each of the machines may go on.
        let known =
            self.visits.iter().any(|past| machine.fingerprint() == past.machine.fingerprint());
        if mix == MixMachines::Yes || known {
            return Ok(());
        }
        let differences = machine.differences(&last.machine);
        Err(Error::rejected(
            Explained::new(format!(
                "the samples in `{shown}` are of another machine: {}",
                differences.join("; ")
            ))
            .hint("another --out keeps them apart, --mix-machines puts them together"),
        ))
    }

    /// Adds a visit, and writes all of them.
    pub(super) fn add(&mut self, dir: &Path, name: &str, machine: &Machine) -> Result<(), Error> {
        self.visits.push(Past { batch: name.to_owned(), machine: machine.clone() });
        let path = dir.join(NAME);
        let mut text = serde_json::to_string_pretty(self).map_err(|error| {
            Error::refused(format!("`{}` cannot be written: {error}", shown_path(&path)))
        })?;
        text.push('\n');
        put("environment", &path, &text)
    }

    /// Forgets visits of which nothing is here.
    pub(super) fn forget(&mut self) {
        self.visits.clear();
    }
}

/// Writes a whole file in place of what was there, in one step.
pub(super) fn put(noun: &'static str, path: &Path, text: &str) -> Result<(), Error> {
    let staged = StagedFile::create_as(noun, path, Some(text.len() as u64))?;
    staged.file().write_all(text.as_bytes()).map_err(|error| {
        let (shown, why) = (shown_path(path), reason(&error));
        Error::refused(format!("cannot write {noun} `{shown}`: {why}"))
    })?;
    staged.publish()
}
