//! `plan.jsonl`: a line for each point, with all that its key was made of, so that it can be said what
//! changed.
//!
//! It is made anew, and takes the old one's place in one step, whenever a batch begins. A point that is no
//! longer in the file, but has samples, stays in it as an *orphan*; without samples it was only intended,
//! and goes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{lines, place};
use crate::batch::key::{Key, Short, deciding};
use crate::data::{StagedFile, reason, shown_path};
use crate::error::{Error, Explained};

pub(super) const NAME: &str = "plan.jsonl";
/// As long a value as a difference quotes.
const QUOTED: usize = 60;

/// One point, as the plan has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlanLine {
    pub(crate) key: Key,
    /// Job and axes: what people call it.
    pub(crate) id: String,
    pub(crate) job: String,
    /// All resolved options that decide, by name.
    pub(crate) options: Map<String, Value>,
    /// The digest of the program.
    pub(crate) program: String,
    /// The digest of the input file, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<String>,
    #[serde(default, skip_serializing_if = "Standing::is_planned")]
    pub(crate) standing: Standing,
}

/// Whether the batch file still has a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    #[default]
    Planned,
    Orphan,
}

impl Standing {
    fn is_planned(&self) -> bool {
        *self == Self::Planned
    }
}

impl PlanLine {
    /// Returns the line of a point: of its resolved options, all of them, those that decide are taken.
    pub(crate) fn new(
        job: &str,
        id: &str,
        resolved: Map<String, Value>,
        program: &str,
        input: Option<String>,
    ) -> Result<Self, Error> {
        let options = deciding(resolved);
        let key = Key::of(&options, program, input.as_deref())?;
        Ok(Self {
            key,
            id: id.to_owned(),
            job: job.to_owned(),
            options,
            program: program.to_owned(),
            input,
            standing: Standing::Planned,
        })
    }
}

/// Says in which fields two points differ that people call the same, a field each.
pub(crate) fn difference(old: &PlanLine, new: &PlanLine) -> Vec<String> {
    let mut found = Vec::new();
    let (old_options, new_options) = (flat(&old.options), flat(&new.options));
    let mut seen = HashSet::new();
    for (name, _) in new_options.iter().chain(&old_options) {
        if !seen.insert(name) {
            continue;
        }
        let value = |list: &[(String, &Value)]| {
            list.iter().find(|(other, _)| other == name).map(|(_, value)| short(value))
        };
        let (before, after) = (value(&old_options), value(&new_options));
        if before != after {
            let absent = || "not given".to_owned();
            let (before, after) = (before.unwrap_or_else(absent), after.unwrap_or_else(absent));
            found.push(format!("{name}: {before} -> {after}"));
        }
    }
    if old.program != new.program {
        found.push("program: built anew".to_owned());
    }
    if old.input != new.input {
        let path = new.options.get("input").or_else(|| old.options.get("input"));
        let path = path.map_or_else(String::new, |path| format!(" {}", short(path)));
        found.push(format!("input{path}: content changed"));
    }
    found
}

/// Returns options with those of a kernel beside the others, as `param.NAME`.
pub(super) fn flat(options: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut list = Vec::new();
    for (name, value) in options {
        match value {
            Value::Object(own) => {
                list.extend(own.iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => list.push((name.clone(), value)),
        }
    }
    list
}

/// Writes a value as people read it: text without its quotes.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn short(value: &Value) -> String {
    let text = shown(value);
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// How a plan differs from the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edited {
    /// Points that were not there, [`Edited::changed`] ones among them.
    pub(crate) added: usize,
    /// Points that are no longer in the file and have samples. They stay, left out of reports.
    pub(crate) orphaned: usize,
    /// Points that are no longer in the file and never ran: nothing of them stays.
    pub(crate) dropped: usize,
    pub(crate) kept: usize,
    /// Points that were there by name, and what of them is another; the first hundred.
    pub(crate) changed: Vec<(String, Vec<String>)>,
}

/// So many changed points are told one by one.
const TOLD: usize = 100;

/// Gives each line of the plan to `take`; a file that is not there has none.
pub(super) fn read(dir: &Path, mut take: impl FnMut(PlanLine)) -> Result<(), Error> {
    let (Some(file), shown) = place::existing(dir, NAME)? else { return Ok(()) };
    let remedy = "remove the line, and the next batch here makes it again";
    let extent = lines::read(&file, &shown, remedy, |text| {
        take(serde_json::from_slice(text)?);
        Ok(())
    })?;
    if extent.torn > 0 {
        // It was renamed here whole.
        return Err(Error::rejected(
            Explained::new(format!("{shown}: its end is no line of JSON"))
                .hint(format!("remove it, and the next batch here makes it again: rm '{shown}'")),
        ));
    }
    Ok(())
}

/// Writes a plan in place of the old one.
///
/// The old one is read twice rather than kept: there may be very many points.
pub(super) fn replace(
    dir: &Path,
    lines: impl Iterator<Item = PlanLine>,
    has_samples: impl Fn(&Key) -> bool,
) -> Result<Edited, Error> {
    let path = dir.join(NAME);
    let staged = StagedFile::create_as("plan", &path, None)?;
    let mut out = BufWriter::with_capacity(1 << 16, staged.file());
    let edited = compare(dir, lines, has_samples, |line| write(&mut out, line))?;
    out.flush().map_err(|error| unwritten(&path, &error))?;
    drop(out);
    staged.publish()?;
    Ok(edited)
}

fn unwritten(path: &Path, error: &io::Error) -> Error {
    let what = format!("cannot write `{}`: {}", shown_path(path), reason(error));
    Error::refused(
        Explained::new(what)
            .hint("free some space; the same command continues with what is missing"),
    )
}

/// Says how a plan differs from the old one, and gives each line that the new one has to `keep`.
pub(super) fn compare(
    dir: &Path,
    lines: impl Iterator<Item = PlanLine>,
    has_samples: impl Fn(&Key) -> bool,
    mut keep: impl FnMut(&PlanLine) -> io::Result<()>,
) -> Result<Edited, Error> {
    let cannot = |error: io::Error| unwritten(&dir.join(NAME), &error);
    let mut before: HashMap<Key, Standing> = HashMap::new();
    read(dir, |line| {
        before.insert(line.key, line.standing);
    })?;
    let mut edited = Edited::default();
    let mut names: HashMap<Short, Key> = HashMap::new();
    let mut added: HashMap<String, PlanLine> = HashMap::new();
    for line in lines {
        check_name(&mut names, &line)?;
        keep(&line).map_err(cannot)?;
        match before.get(&line.key) {
            Some(Standing::Planned) => edited.kept += 1,
            // An orphan that came back was not there either.
            Some(Standing::Orphan) | None => {
                edited.added += 1;
                if edited.added <= TOLD {
                    added.insert(line.id.clone(), line);
                }
            }
        }
    }
    let mut changed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut written = Ok(());
    read(dir, |mut line| {
        if names.contains_key(&line.key.short()) {
            return; // Under another name, maybe.
        }
        if let Some(new) = added.get(&line.id) {
            // Of several points of one name, the one that was planned last.
            if line.standing == Standing::Planned || !changed.contains_key(&line.id) {
                changed.insert(line.id.clone(), difference(&line, new));
            }
        }
        if !has_samples(&line.key) {
            edited.dropped += 1;
            return;
        }
        edited.orphaned += usize::from(line.standing == Standing::Planned);
        line.standing = Standing::Orphan;
        if written.is_ok() {
            written = keep(&line);
        }
    })?;
    written.map_err(cannot)?;
    edited.changed = changed.into_iter().collect();
    Ok(edited)
}

fn write(out: &mut impl Write, line: &PlanLine) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Samples know points by twelve digits, which may not be two points'. (Two jobs may have one point, and
/// then have its samples.)
fn check_name(names: &mut HashMap<Short, Key>, line: &PlanLine) -> Result<(), Error> {
    match names.insert(line.key.short(), line.key) {
        Some(other) if other != line.key => Err(Error::refused(
            Explained::new(format!("point `{}` has the short key of another", line.id))
                .hint("another seed gives it another key"),
        )),
        _ => Ok(()),
    }
}
