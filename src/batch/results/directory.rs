//! The directory, open: one batch at a time, from its lock to its last sync.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::done::Done;
use super::journal::{self, Event, Reruns};
use super::lines::{self, Extent, Lines};
use super::lock::Lock;
use super::machine::Machine;
use super::place;
use super::plan::{self, Edited, PlanLine};
use super::reports::Study;
use super::samples::{self, Sample, Samples};
use super::syncer::Syncer;
use super::visits::{MixMachines, Visits};
use crate::batch::key::{Key, Short};
use crate::data::shown_path;
use crate::error::Error;

/// What begins to work on a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit<'a> {
    /// The batch's name.
    pub(crate) name: &'a str,
    /// The batch file, as it was read.
    pub(crate) text: &'a str,
    pub(crate) machine: &'a Machine,
    pub(crate) mix: MixMachines,
}

/// A batch's results, open to be added to, by nobody else.
///
/// In the order of use: `open`, `plan`, then for each trial that [`Done::trial`] has not, `sample` and
/// `note`; at the end `report`, `close`.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    samples: Samples,
    reruns: Reruns,
    sample_lines: Lines,
    journal_lines: Lines,
    syncer: Syncer,
    warnings: Vec<String>,
    /// The line that is being made.
    line: Vec<u8>,
    /// Until everything else is closed.
    _lock: Lock,
}

/// The numbers that the syncer knows files by.
const SAMPLE: usize = 0;
const JOURNAL: usize = 1;

impl Directory {
    /// Opens a directory, or makes it: locks it, reads what was done, and adds the visit to `env.json`. (That
    /// it begins is for the caller to [`note`](Self::note), who knows what is to be done.)
    ///
    /// Refused are a directory of other things, of another batch, one at which another batch is at work,
    /// and samples of another machine. What is refused stays as it was.
    pub(crate) fn open(path: &Path, visit: &Visit<'_>) -> Result<Self, Error> {
        place::make(path)?;
        place::check_free(path)?;
        let lock = Lock::take(path, &visit.machine.host)?;
        let mut visits = Visits::read(path)?;
        let mut samples = Samples::default();
        let extent = samples.read(path)?;
        if samples.count() == 0 {
            visits.forget(); // A machine, or a name, that left nothing here.
        }
        visits.check(path, visit.name, visit.machine, visit.mix)?;

        // From here on it is written to.
        place::sweep(path)?;
        place::keep_file(path, visit.text)?;
        visits.add(path, visit.name, visit.machine)?;
        place::make(&path.join("logs"))?;
        Self::begin(path, lock, samples, extent)
    }

    /// Begins to add to the files that grow, after what is whole of them.
    fn begin(path: &Path, lock: Lock, samples: Samples, extent: Extent) -> Result<Self, Error> {
        let (sample_file, samples_shown) = place::growing(path, samples::NAME)?;
        let (journal_file, journal_shown) = place::growing(path, journal::NAME)?;
        place::sync_names(path);
        let mut reruns = Reruns::default();
        let journal_extent = lines::read(&journal_file, &journal_shown, "", |text| {
            reruns.take(text);
            Ok(())
        })?;
        let copied = |file: &File, shown: &str| {
            let copy = file.try_clone().map_err(|error| place::unreadable(shown, &error))?;
            Ok::<_, Error>((copy, shown.to_owned()))
        };
        let syncer = Syncer::start(vec![
            copied(&sample_file, &samples_shown)?,
            copied(&journal_file, &journal_shown)?,
        ])?;
        let mut directory = Self {
            path: path.to_path_buf(),
            sample_lines: Lines::after(sample_file, samples_shown, extent)?,
            journal_lines: Lines::after(journal_file, journal_shown, journal_extent)?,
            warnings: samples.warning().into_iter().collect(),
            samples,
            reruns,
            syncer,
            line: Vec::new(),
            _lock: lock,
        };
        directory.tell_cut(samples::NAME, extent)?;
        directory.tell_cut(journal::NAME, journal_extent)?;
        Ok(directory)
    }

    /// Puts a plan in place of the old one, and says how they differ. Of all points of the file, not only
    /// of those that run now.
    pub(crate) fn plan(&mut self, lines: impl Iterator<Item = PlanLine>) -> Result<Edited, Error> {
        let has_samples = |key: &Key| !self.samples.done(key).trials().is_empty();
        plan::replace(&self.path, lines, has_samples)
    }

    /// Returns what was done of a point.
    pub(crate) fn done(&self, key: &Key) -> &Done {
        self.samples.done(key)
    }

    /// Returns what was done of all points.
    #[cfg(test)]
    pub(crate) fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Returns the round for a `--rerun` of these points: that of one which did not come to its end, else a
    /// new one. A point may be in a later round by now: then that counts.
    pub(crate) fn rerun(&self, only: Option<&str>) -> u32 {
        self.reruns.round(only, &self.samples)
    }

    /// Writes a sample down: it is done once this returns, and on disk within 100 ms.
    pub(crate) fn sample(&mut self, sample: &Sample<'_>) -> Result<(), Error> {
        let trial = self.samples.line(sample, &mut self.line)?;
        self.sample_lines.append(&self.line)?;
        self.samples.add(sample.key.short(), sample.round, trial);
        self.syncer.written(SAMPLE)
    }

    /// Writes down what happened.
    pub(crate) fn note(&mut self, event: &Event<'_>) -> Result<(), Error> {
        journal::line(event, &mut self.line)
            .map_err(|error| Error::refused(format!("an event cannot be written: {error}")))?;
        self.journal_lines.append(&self.line)?;
        self.syncer.written(JOURNAL)
    }

    /// Gives each sample that counts and succeeded, with its point, to `look`: read from the file once more.
    pub(crate) fn each(&self, mut look: impl FnMut(Short, &Value)) -> Result<(), Error> {
        self.all(|key, record| {
            if let Some(key) = key {
                look(key, record);
            }
        })
    }

    /// Gives every line to `look`, of a sample that counts and succeeded with its point.
    pub(crate) fn all(&self, mut look: impl FnMut(Option<Short>, &Value)) -> Result<(), Error> {
        let (file, shown) = place::growing(&self.path, samples::NAME)?;
        self.samples.all(&file, &shown, |key, record| {
            look(key, record);
            Ok(())
        })
    }

    /// Says whether a `--rerun` was ended before its end.
    pub(crate) fn has_unfinished_rerun(&self) -> bool {
        !self.reruns.are_finished()
    }

    /// Opens the log of a point, or of what is around all of them, to add to it.
    pub(crate) fn log(&self, key: Option<&str>) -> Result<File, Error> {
        let name = format!("logs/{}.log", key.unwrap_or("batch"));
        place::growing(&self.path, &name).map(|(file, _)| file)
    }

    /// Returns what somebody should know of what was found here.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Writes a whole file beside the samples, in place of what was there, in one step.
    pub(crate) fn put(&self, noun: &'static str, name: &str, text: &str) -> Result<(), Error> {
        super::visits::put(noun, &self.path.join(name), text)
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what all samples say, for reports.
    pub(crate) fn study(&self) -> Result<Study, Error> {
        Study::of(&self.path, &self.samples)
    }

    /// Returns once everything is on disk, and lets others in.
    pub(crate) fn close(self) -> Result<(), Error> {
        self.syncer.close()
    }

    fn tell_cut(&mut self, file: &'static str, extent: Extent) -> Result<(), Error> {
        let Extent { whole, torn } = extent;
        if torn == 0 {
            return Ok(());
        }
        self.warnings.push(format!(
            "the last {torn} bytes of `{}` were no whole line, and are cut off",
            shown_path(&self.path.join(file))
        ));
        self.note(&Event::Cut { file, whole, torn })
    }
}
