//! Jobs: tables of the file, with every layer laid over them, become points.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use toml::de::DeValue;

use super::axes::Axes;
use super::derived::{self, Pending};
use super::expect::Expect;
use super::hooks::Hooks;
use super::item::{Entry, Item};
use super::laid::{ONCE, base, check_over, check_rivals, laid, rival, rivals};
use super::layer::Layer;
use super::reference::Reference;
use super::set::{Set, Target};
use super::shared_files;
use super::source::{Fault, Faults, Place, Source};
use super::top::{named, unset};
use crate::batch::expand::{MOST_POINTS, NoSpace, Space};
use crate::batch::job::Job;
use crate::options::RunOptions;

/// The keys of a job that are no options and no rules.
pub(super) const KEYS: [&str; 9] =
    ["name", "matrix", "zip", "exclude", "include", "derive", "hooks", "expect", "reference"];

/// What lies over and under a job.
pub(super) struct Layers<'a> {
    pub(super) source: Arc<Source>,
    pub(super) sets: Vec<Read<'a>>,
    pub(super) above: Layer,
    /// The same as it was given: a path in it may be no text.
    pub(super) given: RunOptions,
    pub(super) profile: Layer,
    pub(super) defaults: Layer,
    pub(super) built_in: Arc<Layer>,
    pub(super) expect: Expect,
    pub(super) references: Vec<Reference>,
}

/// A `--set` with its value.
pub(super) struct Read<'a> {
    pub(super) set: &'a Set,
    pub(super) value: DeValue<'a>,
}

impl Read<'_> {
    /// Returns what it says as an entry of a table.
    fn entry(&self) -> Entry<'_> {
        let place = Place::Argument(self.set.text.clone());
        let item = Item { value: &self.value, place: place.clone() };
        Entry { name: self.set.target.name().to_owned(), key: place, item }
    }

    fn is_for(&self, job: Option<&str>) -> bool {
        self.set.job.is_none() || self.set.job.as_deref() == job
    }
}

impl Layers<'_> {
    /// Returns what `--set` says of plain options and rules, in a job or in all of them.
    pub(super) fn set_layer(&self, job: Option<&str>, faults: &mut Faults) -> Layer {
        let mut layer = Layer::default();
        // What names the job comes last, and wins.
        for named in [false, true] {
            let sets = self.sets.iter().filter(|read| read.is_for(job));
            for read in sets.filter(|read| read.set.job.is_some() == named) {
                if matches!(read.set.target, Target::Plain(_)) {
                    let taken = layer.take(&read.entry(), "--set", &[]);
                    faults.keep(taken);
                }
            }
        }
        layer
    }
}

/// Reads all jobs.
pub(super) fn read(items: &[Item<'_>], layers: &mut Layers<'_>, faults: &mut Faults) -> Vec<Job> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut jobs = Vec::new();
    let mut taken = BTreeSet::new();
    for item in items {
        let Some(name) = faults.keep(name(item)) else { continue };
        if !names.insert(name.clone()) {
            let what = format!("there is another job `{name}`");
            faults.add(Fault::new(item.place.clone(), what).hint("names of jobs are unique"));
            continue;
        }
        jobs.extend(job(name, item, layers, &mut taken, faults));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (number, read) in layers.sets.iter().enumerate() {
        let place = Place::Argument(read.set.text.clone());
        match unset(read.set, &names) {
            Some((what, hint)) if !taken.contains(&number) => {
                faults.add(Fault::new(place, what).hint(hint));
            }
            _ => {}
        }
        if let (Some(job), Target::Plain(name)) = (&read.set.job, &read.set.target)
            && name == "order"
        {
            faults.add(order_of_a_job(Place::Argument(read.set.text.clone()), job));
        }
    }
    jobs
}

fn name(item: &Item<'_>) -> Result<String, Fault> {
    let entries = item.entries()?;
    let Some(entry) = entries.iter().find(|entry| entry.name == "name") else {
        return Err(Fault::new(item.place.clone(), "a job without a `name`")
            .hint("name = \"strong\": it is part of every sample's identity"));
    };
    named(entry.item.text()?, &entry.item.place)
}

fn order_of_a_job(place: Place, job: &str) -> Fault {
    Fault::new(place, format!("`order` in job `{job}`: it is the order of the whole batch"))
        .hint("give it in [defaults]")
}

/// What a table of a job says, before anything is laid over it.
#[derive(Default)]
struct Table {
    layer: Layer,
    axes: Axes,
    derived: Vec<Pending>,
    hooks: Hooks,
    expect: Expect,
    references: Vec<Reference>,
}

fn job(
    name: String,
    item: &Item<'_>,
    layers: &Layers<'_>,
    taken: &mut BTreeSet<usize>,
    faults: &mut Faults,
) -> Option<Job> {
    let section = format!("job `{name}`");
    let entries = faults.keep(item.options())?;
    let before = faults.count();
    let mut table = Table::default();
    let origin = format!("[[job]] {name}");
    table.layer = Layer::read(&entries, &origin, &KEYS, faults);
    if let Some(order) = table.layer.rules.order.take() {
        faults.add(order_of_a_job(order.place, &name));
    }
    let lists = table.take(&entries, &section, &origin, faults);
    table.override_by(&name, layers, taken, faults);
    table.check_once(&section, faults);
    let sets = layers.set_layer(Some(&name), faults);
    let varied = table.varied();
    for layer in [&sets, &layers.above, &layers.profile, &table.layer] {
        check_over(layer, &varied, &section, faults);
    }
    for layer in [&sets, &layers.profile, &table.layer, &layers.defaults] {
        check_rivals(layer, &section, faults);
    }
    let space = table.expand(&lists, &section, faults);
    let rules = sets.rules.clone().over(layers.above.rules.clone());
    let rules = rules.over(layers.profile.rules.clone()).over(table.layer.rules.clone());
    let rules = rules.over(layers.defaults.rules.clone());
    let plain =
        laid([&sets, &layers.above, &layers.profile, &table.layer, &layers.defaults], &varied);
    let derived = derived::resolve(table.derived, &table.axes, &plain, &layers.built_in, faults);
    // What follows looks at points, and there are none before all this is right.
    if faults.count() > before {
        return None;
    }
    let base = faults.keep(base(&plain, layers))?;
    let mut references = table.references;
    for lower in &layers.references {
        if !references.iter().any(|own| own.metric == lower.metric && own.place != lower.place) {
            references.push(lower.clone());
        }
    }
    let expect = table.expect.over(&layers.expect);
    let job = Job {
        name,
        repeats: rules.repeats.as_ref().map_or(1, |given| given.value),
        target_ci: rules.target_ci.as_ref().map(|given| given.value),
        max_time: rules.max_time.as_ref().map(|given| given.value),
        on_fail: rules.on_fail.as_ref().map(|given| given.value).unwrap_or_default(),
        hooks: table.hooks,
        expect: (expect != Expect::default()).then_some(expect),
        references,
        rules,
        plain,
        base,
        built_in: Arc::clone(&layers.built_in),
        axes: table.axes,
        derived,
        space: Space::default(),
        source: Arc::clone(&layers.source),
    };
    let job = faults.keep(placed(job, space?, item, &section))?;
    faults.keep(derived::check(&job));
    faults.keep(shared_files::check(&job));
    Some(job)
}

/// The entries of `exclude` and `include`.
struct Lists<'a> {
    exclude: Vec<Item<'a>>,
    include: Vec<Item<'a>>,
}

impl Table {
    /// Takes what is no option.
    fn take<'a>(
        &mut self,
        entries: &[Entry<'a>],
        section: &str,
        origin: &str,
        faults: &mut Faults,
    ) -> Lists<'a> {
        let mut lists = Lists { exclude: Vec::new(), include: Vec::new() };
        for Entry { name, item, .. } in entries {
            match name.as_str() {
                "matrix" => {
                    for entry in faults.keep(item.options()).unwrap_or_default() {
                        let origin = format!("{origin}, matrix");
                        let read = self.axes.take_matrix(&entry, "a matrix", &origin);
                        faults.keep(read);
                    }
                }
                "zip" => {
                    let tables = item
                        .tables()
                        .map_err(|fault| fault.hint("a group begins with [[job.zip]]"));
                    for group in faults.keep(tables).unwrap_or_default() {
                        let origin = format!("{origin}, zip");
                        let read = self.axes.take_zip(&group, "a zip", &origin);
                        faults.keep(read);
                    }
                }
                "derive" => {
                    for entry in faults.keep(item.options()).unwrap_or_default() {
                        let origin = format!("{origin}, derive");
                        let read = Pending::read(&entry, section, &origin);
                        self.derived.extend(faults.keep(read));
                    }
                }
                "exclude" => lists.exclude = faults.keep(item.tables()).unwrap_or_default(),
                "include" => lists.include = faults.keep(item.tables()).unwrap_or_default(),
                "hooks" => self.hooks = Hooks::read(item, faults),
                "expect" => self.expect = Expect::read(item, faults),
                "reference" => self.references = Reference::read(item, faults),
                _ => {}
            }
        }
        lists
    }

    /// Replaces what `--set` replaces; notes in `taken` which of them found something.
    fn override_by(
        &mut self,
        name: &str,
        layers: &Layers<'_>,
        taken: &mut BTreeSet<usize>,
        faults: &mut Faults,
    ) {
        for (number, read) in
            layers.sets.iter().enumerate().filter(|(_, read)| read.is_for(Some(name)))
        {
            let entry = read.entry();
            let here = read.set.job.is_some();
            match &read.set.target {
                Target::Plain(_) => {}
                Target::Matrix(option) => {
                    let axis = self.axes.axes.iter().find(|axis| axis.name == *option);
                    if axis.is_some_and(|axis| self.axes.is_zipped(axis)) {
                        let what =
                            format!("`{option}` is in a zip of job `{name}`, with other options");
                        faults.add(Fault::new(entry.key, what).hint("edit the file for this"));
                        taken.insert(number);
                    } else if axis.is_some() || here {
                        self.layer.options.remove(option);
                        let replaced = self.axes.replace(&entry, "");
                        faults.keep(replaced);
                        taken.insert(number);
                    }
                }
                Target::Derive(option) => {
                    let known = self.derived.iter().position(|derived| derived.name == *option);
                    if known.is_some() || here {
                        self.layer.options.remove(option);
                        if let Some(new) = faults.keep(Pending::read(&entry, "--set", "")) {
                            self.derived.retain(|derived| derived.name != *option);
                            self.derived.push(new);
                        }
                        taken.insert(number);
                    }
                }
            }
        }
    }

    /// Returns every option that differs from point to point, with the word for how.
    fn varied(&self) -> BTreeMap<String, &'static str> {
        let axes = self.axes.axes.iter().map(|axis| {
            (axis.name.clone(), if self.axes.is_zipped(axis) { "in a zip" } else { "an axis" })
        });
        axes.chain(self.derived.iter().map(|derived| (derived.name.clone(), "derived"))).collect()
    }

    /// Checks that no option is varied twice, or contradicted by its rival.
    fn check_once(&self, section: &str, faults: &mut Faults) {
        let axes = self.axes.axes.iter().map(|axis| (&axis.name, &axis.place));
        let derived = self.derived.iter().map(|derived| (&derived.name, &derived.given.place));
        let mut seen: Vec<&String> = Vec::new();
        for (name, place) in axes.chain(derived) {
            if seen.contains(&name) {
                let what = format!("`{name}` is given twice in {section}");
                faults.add(Fault::new(place.clone(), what).hint(ONCE));
            } else if let Some(rival) = rival(name).filter(|rival| seen.iter().any(|n| n == rival))
            {
                faults.add(rivals(&format!("`{name}`"), rival, section, place));
            }
            seen.push(name);
        }
    }

    /// Reads exclude and include, and expands.
    fn expand(
        &mut self,
        lists: &Lists<'_>,
        section: &str,
        faults: &mut Faults,
    ) -> Option<(Space, Option<NoSpace>)> {
        let mut excluded = Vec::new();
        for item in &lists.exclude {
            excluded.extend(faults.keep(self.axes.excluded(item, section)));
        }
        let mut included = Vec::new();
        for item in &lists.include {
            let row = self.axes.included(item, section);
            included.extend(faults.keep(row));
        }
        let right = excluded.len() == lists.exclude.len() && included.len() == lists.include.len();
        right.then(|| Space::new(&self.axes.classes(), &excluded, included))
    }
}

/// Gives a job its points, or says why there are none.
fn placed(
    mut job: Job,
    (space, why): (Space, Option<NoSpace>),
    item: &Item<'_>,
    section: &str,
) -> Result<Job, Fault> {
    job.space = space;
    let place = item.place.clone();
    match why {
        None => Ok(job),
        Some(NoSpace::TooMany) => {
            let what = format!("{section} has more than {MOST_POINTS} points");
            Err(Fault::new(place, what).hint("several jobs, or shorter axes"))
        }
        Some(NoSpace::Empty) => {
            let what = format!("{section} has no points: all are excluded");
            Err(Fault::new(place, what))
        }
        Some(NoSpace::Equal(first, second)) => {
            let (first, second) = (
                format!("point {}, `{}`", first.number() + 1, job.label(first)),
                format!("point {}, `{}`", second.number() + 1, job.label(second)),
            );
            Err(Fault::new(
                place,
                format!("two points of {section} are equal: {first}, and {second}"),
            )
            .hint("`repeats` runs a point more than once"))
        }
    }
}
