//! The names a batch file may use: every run option, from the same declarations the flags come from.

use std::sync::OnceLock;

use clap::builder::PossibleValue;

use super::source::{Fault, Place};
use crate::error::nearest;
use crate::options::RunOptions;

/// What governs the trials of points: in `[defaults]`, in profiles, and but for `order` in jobs.
pub(super) const RULES: [&str; 5] = ["repeats", "target-ci", "max-time", "order", "on-fail"];

/// Options of one invocation, which a file cannot give.
const INVOCATION: [&str; 23] = [
    "profile",
    "export-junit",
    "export-hyperfine",
    "dry-run",
    "json",
    "events",
    "progress",
    "results",
    "report-bindings",
    "color",
    "quiet",
    "verbose",
    "out",
    "only",
    "explain",
    "schema",
    "set",
    "retry-failed",
    "rerun",
    "why",
    "yes",
    "mix-machines",
    "cold",
];

/// One run option.
pub(super) struct Knob {
    /// The flag without its dashes.
    pub(super) name: String,
    /// One line on what it does.
    pub(super) about: String,
    pub(super) form: Form,
}

/// What its values look like.
pub(super) enum Form {
    /// `true` or `false`.
    Switch,
    /// A number, or its text; `auto` may be one too.
    Number,
    /// One of these words.
    Words(Vec<String>),
    /// Text of a form of its own.
    Text,
    /// A list of texts.
    List,
    /// A table: the parameters of a kernel.
    Parameters,
}

/// Returns every run option but `repeats`, which in a batch counts trials.
pub(super) fn knobs() -> &'static [Knob] {
    static KNOBS: OnceLock<Vec<Knob>> = OnceLock::new();
    KNOBS.get_or_init(|| {
        let command = command();
        let arguments = command.get_arguments().filter(|argument| argument.get_long().is_some());
        let knob = |argument: &clap::Arg| {
            let name = argument.get_long().unwrap_or_default().to_owned();
            let value = argument.get_value_names().and_then(<[_]>::first).map_or("", |v| v);
            let words = argument.get_possible_values();
            let form = match (name.as_str(), value) {
                ("param", _) => Form::Parameters,
                ("inject", _) => Form::List,
                (_, "BOOL") => Form::Switch,
                (_, "N" | "N|auto") => Form::Number,
                _ if words.is_empty() => Form::Text,
                _ => Form::Words(
                    words.iter().map(PossibleValue::get_name).map(str::to_owned).collect(),
                ),
            };
            let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
            Knob { name, about, form }
        };
        arguments.map(knob).filter(|knob| knob.name != "repeats").collect()
    })
}

/// Returns the command whose flags are the run options, without their variables.
pub(super) fn command() -> clap::Command {
    <RunOptions as clap::Args>::augment_args(clap::Command::new("spmd").no_binary_name(true))
        .disable_help_flag(true)
        .mut_args(|argument| argument.env(None::<&str>))
}

/// Returns the option of this name; `param.x` is one of `param`.
pub(super) fn knob(name: &str) -> Option<&'static Knob> {
    knobs().iter().find(|knob| match knob.form {
        Form::Parameters => name.strip_prefix("param.").is_some_and(|key| !key.is_empty()),
        _ => knob.name == name,
    })
}

/// Says whether a point's options may be computed: whether its values are numbers.
pub(super) fn is_numeric(name: &str) -> bool {
    knob(name).is_some_and(|knob| matches!(knob.form, Form::Number | Form::Parameters))
}

/// Says that a key is not known here, and which one is near.
pub(super) fn unknown(key: &str, place: &Place, section: &str, known: &[&str]) -> Fault {
    if INVOCATION.contains(&key) {
        let what = format!("`{key}` is an option of one invocation, not a key of a batch file");
        return Fault::new(place.clone(), what)
            .hint(format!("give it on the command line: --{key}"));
    }
    let fault = Fault::new(place.clone(), format!("unknown key `{key}` in {section}"));
    match nearest(key, known.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None if knob(key).is_some() || RULES.contains(&key) => {
            fault.hint("options of runs belong in [defaults] or in a [[job]]")
        }
        None => fault.hint("`spmd batch --schema` describes every key"),
    }
}

/// Returns the names of all run options.
pub(super) fn option_names() -> Vec<&'static str> {
    knobs().iter().map(|knob| knob.name.as_str()).collect()
}
