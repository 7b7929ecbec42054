//! What dead runs left: names of segments, and hidden files beside outputs. Normally nothing.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::data::{is_hidden, reason, shown_path};
use crate::error::{Error, Explained};
use crate::host::leftover::{self, Deed, Leftover, Swept, Young};
use crate::shm;

/// What a cleaning came to.
#[derive(Debug)]
pub(crate) struct Cleaned {
    pub(crate) deed: Deed,
    pub(crate) segments: Vec<Leftover>,
    pub(crate) temporaries: Vec<Leftover>,
    /// What could be neither judged nor removed, and why.
    failed: Vec<(PathBuf, String)>,
}

/// Removes what dead runs left in `/dev/shm` and in these directories, or shows it.
pub(crate) fn clean(dirs: &[PathBuf], deed: Deed) -> Result<Cleaned, Error> {
    // All of them first: a mistyped one is to be known before anything is gone.
    for dir in dirs {
        fs::read_dir(dir).map_err(|error| {
            let what = format!("cannot look into `{}`: {}", shown_path(dir), reason(&error));
            Error::rejected(Explained::new(what).hint("directories that runs wrote outputs to"))
        })?;
    }
    let mut cleaned =
        Cleaned { deed, segments: Vec::new(), temporaries: Vec::new(), failed: Vec::new() };
    let segments = shm::clean(deed);
    cleaned.segments = cleaned.note(Path::new("/dev/shm"), segments);
    for dir in dirs {
        let swept = leftover::sweep(dir, &is_hidden, Young::Watch, deed);
        let found = cleaned.note(dir, swept);
        cleaned.temporaries.extend(found);
    }
    Ok(cleaned)
}

impl Cleaned {
    /// Keeps what failed, and returns what was found.
    fn note(&mut self, dir: &Path, swept: std::io::Result<Swept>) -> Vec<Leftover> {
        match swept {
            Ok(swept) => {
                let failed = swept.failed.iter();
                self.failed.extend(failed.map(|(path, error)| (path.clone(), reason(error))));
                swept.found
            }
            Err(error) => {
                self.failed.push((dir.to_path_buf(), reason(&error)));
                Vec::new()
            }
        }
    }

    /// Returns everything that was found.
    pub(crate) fn found(&self) -> impl Iterator<Item = &Leftover> {
        self.segments.iter().chain(&self.temporaries)
    }

    /// Returns an error for each file that may be stale and is still there.
    pub(crate) fn errors(&self) -> impl Iterator<Item = Error> {
        self.failed.iter().map(|(path, why)| {
            Error::failed(
                Explained::new(format!("cannot clean up `{}`: {why}", shown_path(path)))
                    .hint("remove it yourself, once no run is using it"),
            )
        })
    }

    /// Returns what was done as one JSON document.
    pub(crate) fn to_json(&self) -> String {
        let found = |leftover: &Leftover| json!({ "path": leftover.path.to_string_lossy(), "bytes": leftover.bytes });
        let failed = |(path, why): &(PathBuf, String)| json!({ "path": path.to_string_lossy(), "error": why });
        json!({
            "schema": 1,
            "dry_run": self.deed == Deed::Show,
            "removed": self.found().map(found).collect::<Vec<Value>>(),
            "failed": self.failed.iter().map(failed).collect::<Vec<Value>>(),
        })
        .to_string()
    }
}
