//! The batch file: TOML to jobs. Every error names file, line and column; nothing runs before all is read.
//!
//! One table of names, made from the flags' own declarations (`knobs`), says what is a key, what its
//! values look like, and what the published schema says; a value becomes the option's own type by the
//! option's own parser (`typed`). Layers are laid over one another by name, so that each value keeps the
//! place it is from.

#[cfg(test)]
mod any_text;
mod axes;
mod axis_values;
mod derived;
mod expect;
mod hooks;
mod item;
mod jobs;
mod knobs;
mod laid;
mod layer;
mod only;
mod policy;
#[cfg(test)]
mod read_in_tests;
mod reference;
mod schema;
#[cfg(test)]
mod schema_tests;
mod set;
#[cfg(test)]
mod set_tests;
mod shared_files;
mod source;
#[cfg(test)]
mod tests;
mod top;
mod typed;
#[cfg(test)]
mod verdict_tests;

pub(crate) use self::axes::Axes;
pub(crate) use self::expect::Expect;
pub(crate) use self::hooks::Hooks;
pub(crate) use self::layer::{Given, Layer, Rules};
pub(crate) use self::only::Only;
pub(crate) use self::policy::{Limit, OnFail, Order};
pub(crate) use self::reference::{Judgement, Metric, Reference};
pub(crate) use self::schema::schema;
pub(crate) use self::set::Set;
pub(crate) use self::source::Source;
pub(crate) use self::top::{Asked, Batch};
pub(crate) use self::typed::{options, shown};
