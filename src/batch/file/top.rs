//! The whole file: its top level, its layers, and the jobs in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::expect::Expect;
use super::hooks::Hooks;
use super::item::{Entry, Item};
use super::jobs::{self, Layers, Read};
use super::knobs;
use super::layer::Layer;
use super::policy::Order;
use super::reference::Reference;
use super::set::{Set, Target};
use super::source::{Fault, Faults, Place, Source};
use crate::batch::job::Job;
use crate::data::{reason, shown_path};
use crate::error::{Error, nearest};
use crate::options::RunOptions;

/// The keys of the top level.
pub(super) const KEYS: [&str; 8] =
    ["version", "name", "defaults", "job", "hooks", "expect", "reference", "profile"];
const LONGEST_NAME: usize = 100;

/// What an invocation adds to the file.
pub(crate) struct Asked<'a> {
    /// `--profile`.
    pub(crate) profile: Option<&'a str>,
    /// Each `--set`, in the order they were typed.
    pub(crate) sets: &'a [Set],
    /// The command line, and below it the environment.
    pub(crate) above: &'a RunOptions,
    /// Says where an option of `above` is from.
    pub(crate) origin: &'a dyn Fn(&str) -> String,
}

/// A batch file that was read, expanded and found right.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// As it was read.
    pub(crate) text: String,
    pub(crate) order: Order,
    /// What `shuffled` permutes by.
    pub(crate) seed: u64,
    /// Around all trials, whichever their job.
    pub(crate) hooks: Hooks,
    pub(crate) jobs: Vec<Job>,
}

impl Batch {
    /// Reads a file.
    pub(crate) fn read(path: &Path, asked: &Asked<'_>) -> Result<Self, Error> {
        let shown = shown_path(path);
        let bytes = fs::read(path).map_err(|error| {
            Error::rejected(format!("cannot read batch file `{shown}`: {}", reason(&error)))
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::rejected(format!("batch file `{shown}` is not UTF-8: see its byte {at}"))
        })?;
        Self::parse(path, &text, asked)
    }

    /// Reads the text of a file.
    pub(crate) fn parse(path: &Path, text: &str, asked: &Asked<'_>) -> Result<Self, Error> {
        let source = Arc::new(Source::new(path, text));
        let mut faults = Faults::default();
        let batch = read(&source, asked, &mut faults)?;
        match batch {
            Some(batch) if faults.is_empty() => Ok(batch),
            _ => Err(source.error(faults)),
        }
    }
}

fn read(
    source: &Arc<Source>,
    asked: &Asked<'_>,
    faults: &mut Faults,
) -> Result<Option<Batch>, Error> {
    let built_in = Arc::new(Layer::built_in(&RunOptions::built_in()?));
    let table = match DeTable::parse(source.text()) {
        Ok(table) => table,
        Err(error) => {
            let place = error.span().map_or(Place::Unknown, Place::File);
            faults.add(Fault::new(place, error.message().replace('\n', ", ")));
            return Ok(None);
        }
    };
    let span = table.span();
    let value = DeValue::Table(table.into_inner());
    let top = Item { value: &value, place: Place::File(span) };
    let mut file = File::default();
    for entry in faults.keep(top.entries()).unwrap_or_default() {
        file.take(entry, faults);
    }
    if !file.has_version {
        let what = "no `version`: this is the version of the format, not of your file";
        faults.add(Fault::new(Place::File(0..0), what).hint("version = 1"));
    }
    if file.jobs.is_empty() && faults.is_empty() {
        faults.add(Fault::new(Place::File(0..0), "no [[job]]: nothing to run"));
    }
    let mut layers = Layers {
        source: Arc::clone(source),
        sets: parse_sets(asked.sets),
        above: faults.keep(Layer::above(asked.above, asked.origin)).unwrap_or_default(),
        given: asked.above.clone(),
        profile: file.profile(asked.profile, faults),
        defaults: file.defaults,
        built_in,
        expect: file.expect,
        references: file.references,
    };
    let jobs = jobs::read(&file.jobs, &mut layers, faults);
    let sets = layers.set_layer(None, faults);
    let rules =
        sets.rules.over(layers.above.rules).over(layers.profile.rules).over(layers.defaults.rules);
    let seeds =
        [&sets.options, &layers.above.options, &layers.profile.options, &layers.defaults.options];
    let seed = seeds.iter().find_map(|options| options.get("seed")?.value.as_u64());
    Ok(Some(Batch {
        name: file.name.unwrap_or_else(|| stem(source.path())),
        path: source.path().to_owned(),
        text: source.text().to_owned(),
        order: rules.order.map_or(Order::default(), |given| given.value),
        seed: seed.unwrap_or(1),
        hooks: file.hooks,
        jobs,
    }))
}

/// What the top level says.
#[derive(Default)]
struct File<'a> {
    has_version: bool,
    name: Option<String>,
    defaults: Layer,
    profiles: BTreeMap<String, Layer>,
    hooks: Hooks,
    expect: Expect,
    references: Vec<Reference>,
    jobs: Vec<Item<'a>>,
}

impl<'a> File<'a> {
    fn take(&mut self, entry: Entry<'a>, faults: &mut Faults) {
        let Entry { name, key, item } = entry;
        match name.as_str() {
            "version" => {
                self.has_version = true;
                if item.value.as_integer().is_none_or(|version| version.as_str() != "1") {
                    let what = "this is no version of the format that is known";
                    faults.add(Fault::new(item.place, what).hint("version = 1"));
                }
            }
            "name" => {
                self.name = faults.keep(item.text().and_then(|text| named(text, &item.place)))
            }
            "defaults" => {
                let entries = faults.keep(item.options()).unwrap_or_default();
                self.defaults = Layer::read(&entries, "[defaults]", &[], faults);
            }
            "profile" => {
                for entry in faults.keep(item.entries()).unwrap_or_default() {
                    let section = format!("[profile.{}]", entry.name);
                    let entries = faults.keep(entry.item.options()).unwrap_or_default();
                    let layer = Layer::read(&entries, &section, &[], faults);
                    self.profiles.insert(entry.name, layer);
                }
            }
            "hooks" => self.hooks = Hooks::read(&item, faults),
            "expect" => self.expect = Expect::read(&item, faults),
            "reference" => self.references = Reference::read(&item, faults),
            "job" => {
                let tables = item.tables().map_err(|fault| fault.hint("a job begins with [[job]]"));
                self.jobs = faults.keep(tables).unwrap_or_default();
            }
            other => faults.add(knobs::unknown(other, &key, "the batch", &KEYS)),
        }
    }

    fn profile(&self, wanted: Option<&str>, faults: &mut Faults) -> Layer {
        let Some(wanted) = wanted else { return Layer::default() };
        self.profiles.get(wanted).cloned().unwrap_or_else(|| {
            let names = || self.profiles.keys().map(String::as_str);
            let hint = match nearest(wanted, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.profiles.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            let what = format!("no profile `{wanted}`");
            faults.add(Fault::new(Place::Unknown, what).hint(hint));
            Layer::default()
        })
    }
}

/// Reads the values of `--set`: as TOML where they are TOML, else as text.
fn parse_sets(sets: &[Set]) -> Vec<Read<'_>> {
    sets.iter()
        .map(|set| {
            let value = match DeValue::parse(&set.value) {
                Ok(value) => value.into_inner(),
                Err(_) => DeValue::String(set.value.as_str().into()),
            };
            Read { set, value }
        })
        .collect()
}

/// Checks a name that becomes part of names of files.
pub(super) fn named(text: &str, place: &Place) -> Result<String, Fault> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.chars().all(fine)
        && !text.starts_with('.')
    {
        return Ok(text.to_owned());
    }
    Err(Fault::new(place.clone(), format!("`{text}` is no name"))
        .hint(format!("letters, digits, - _ and ., at most {LONGEST_NAME}, not a . first")))
}

/// Names a batch by its file.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.chars().take(LONGEST_NAME).map(plain).collect();
    if name.is_empty() { "batch".to_owned() } else { name }
}

/// What is wrong with a set that no job takes.
pub(super) fn unset(set: &Set, names: &[&str]) -> Option<(String, String)> {
    let name = set.target.name();
    match (&set.job, &set.target) {
        (Some(job), _) if !names.contains(&job.as_str()) => {
            let hint = nearest(job, names.iter().copied()).map_or_else(
                || format!("the jobs are {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            Some((format!("no job `{job}`"), hint))
        }
        (None, Target::Matrix(_)) => {
            let hint = format!("JOB.matrix.{name}=[…] adds one to a job");
            Some((format!("no job has an axis `{name}` in its matrix"), hint))
        }
        (None, Target::Derive(_)) => {
            let hint = format!("JOB.derive.{name}=… derives it in a job");
            Some((format!("no job derives `{name}`"), hint))
        }
        _ => None,
    }
}
