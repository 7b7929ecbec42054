//! What clap finds wrong with a command line, in our own shape of message.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::{Error, Explained};

/// Says what clap found.
pub(super) fn usage(error: &clap::Error, arguments: &[OsString]) -> Error {
    let context = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    if arguments.iter().any(|argument| argument == "-np") {
        return Error::rejected(
            Explained::new("unknown option `-np`").hint("did you mean `--np`?"),
        );
    }
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    let first = |text: &str| text.split([' ', '=', '[']).next().unwrap_or_default().to_owned();
    let hint = match (context(ContextKind::SuggestedArg), context(ContextKind::SuggestedValue)) {
        (Some(near), _) | (None, Some(near)) => Some(format!("did you mean `{}`?", first(&near))),
        (None, None) => None,
    };
    let explained = match error.kind() {
        ErrorKind::UnknownArgument => {
            let what = Explained::new(format!("unknown option `{argument}`"));
            what.hint(hint.unwrap_or_else(|| "`spmd --help` lists them".to_owned()))
        }
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            let near = match error.get(ContextKind::SuggestedSubcommand) {
                Some(ContextValue::Strings(names)) => names.first().cloned(),
                _ => None,
            };
            Explained::new(format!("unknown command `{name}`")).hint(near.map_or_else(
                || "`spmd --help` lists them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            ))
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            Explained::new(format!("option `{argument}` needs a value"))
        }
        ErrorKind::InvalidValue => {
            let known = context(ContextKind::ValidValue).unwrap_or_default();
            let what = Explained::new(format!("`{value}` is no value for `{argument}`"));
            what.hint(hint.unwrap_or_else(|| format!("one of {known}")))
        }
        ErrorKind::ValueValidation => {
            let argument = origin_of_fault(&first(&argument), arguments);
            // Our own types have said what is wrong with it, and what to do.
            use std::error::Error as _;
            match error.source().and_then(|source| source.downcast_ref::<Error>()) {
                Some(own) => {
                    let what = Explained::new(format!("{own}, for `{argument}`"));
                    match own.hint() {
                        Some(hint) => what.hint(hint),
                        None => what,
                    }
                }
                None => Explained::new(format!("`{value}` is no value for `{argument}`")),
            }
        }
        ErrorKind::ArgumentConflict if argument.is_empty() => {
            Explained::new("unexpected argument beside the options")
                .hint("lists are comma-separated, --input 1,2,3; options come after a command")
        }
        ErrorKind::ArgumentConflict => {
            let other = context(ContextKind::PriorArg).unwrap_or_default();
            Explained::new(format!("option `{argument}` cannot be used with `{other}`"))
        }
        ErrorKind::MissingRequiredArgument => {
            let what = Explained::new(format!("missing {argument}"));
            match error.get(ContextKind::Usage) {
                Some(ContextValue::StyledStr(usage)) => {
                    what.hint(usage.to_string().trim_start_matches("Usage: ").trim().to_owned())
                }
                _ => what.hint("`spmd --help`"),
            }
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or("cannot read the command line");
            Explained::new(line.trim_start_matches("error: ").to_owned()).hint("`spmd --help`")
        }
    };
    Error::rejected(explained)
}

/// Names the variable an option's value came from, if it was not typed.
fn origin_of_fault(flag: &str, arguments: &[OsString]) -> String {
    let variable =
        format!("SPMD_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
    let typed = arguments.iter().any(|argument| argument.to_string_lossy().starts_with(flag));
    if !typed && std::env::var_os(&variable).is_some() { variable } else { flag.to_owned() }
}
