//! Commands that run around trials.

use super::item::Item;
use super::knobs;
use super::source::{Fault, Faults};

/// The commands of one level, of the batch or of a job: each is given to a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hooks {
    /// Before the first trial of this level.
    pub(crate) setup: Option<String>,
    /// Before each trial.
    pub(crate) before_each: Option<String>,
    /// After each trial, ok or not.
    pub(crate) after_each: Option<String>,
    /// After the last trial of this level.
    pub(crate) teardown: Option<String>,
}

impl Hooks {
    /// What the keys are called.
    pub(super) const NAMES: [&str; 4] = ["setup", "before-each", "after-each", "teardown"];

    /// Reads a table of hooks.
    pub(super) fn read(item: &Item<'_>, faults: &mut Faults) -> Self {
        let mut hooks = Self::default();
        for entry in faults.keep(item.entries()).unwrap_or_default() {
            let slot = match entry.name.as_str() {
                "setup" => &mut hooks.setup,
                "before-each" => &mut hooks.before_each,
                "after-each" => &mut hooks.after_each,
                "teardown" => &mut hooks.teardown,
                other => {
                    faults.add(knobs::unknown(other, &entry.key, "hooks", &Self::NAMES));
                    continue;
                }
            };
            let text = entry.item.text().and_then(|text| match text.contains('\0') {
                false => Ok(text.to_owned()),
                true => Err(Fault::new(entry.item.place.clone(), "a command holds a NUL")),
            });
            *slot = faults.keep(text);
        }
        hooks
    }
}
