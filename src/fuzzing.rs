//! What the targets in `fuzz/` call: bytes from anywhere go in, and every promise about them is checked.
//!
//! Compiled for fuzzing and for the tests only; the tests run every file of the corpora through the
//! same functions. A promise that does not hold is a panic, which is how a fuzzer is told. The checks
//! of one module's private parsers are in that module's `fuzzing.rs`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::data::{InputSpec, OutputSpec};
use crate::error::Error;
use crate::host::affinity::CpuSet;
use crate::kernel::{ParamKind, Params};
use crate::options::{Count, KeyValue, Procs, RunOptions, Span};
use crate::schedule::Schedule;
use crate::{cli, data, run, shm};

/// What was done with some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They mean something, and everything that follows from them held.
    Accepted,
    /// They were refused, with a message fit to print.
    Refused,
}

/// Reads the start of a `.npy` file.
pub fn npy(bytes: &[u8]) -> Verdict {
    judged(data::fuzzing::npy(bytes))
}

/// Reads numbers as text, and as what is typed after `--input` and `--output`.
pub fn text_input(bytes: &[u8]) -> Verdict {
    judged(data::fuzzing::text_input(bytes))
}

/// Attaches to a segment that begins with these bytes.
pub fn segment_header(bytes: &[u8]) -> Verdict {
    judged(shm::fuzzing::segment_header(bytes))
}

/// Reads a command line, its arguments separated by NUL or newline; and the same text as a file.
pub fn options(bytes: &[u8]) -> Verdict {
    options_toml(bytes);
    let arguments: Vec<OsString> = bytes
        .split(|byte| [0, b'\n'].contains(byte))
        .map(|argument| OsString::from_vec(argument.to_vec()))
        .collect();
    for argument in arguments.iter().filter_map(|argument| argument.to_str()).take(16) {
        values(argument);
    }
    match options_of(arguments) {
        Ok(Some(options)) => {
            check_round_trips(&options);
            check_params(&options);
            Verdict::Accepted
        }
        Ok(None) => Verdict::Accepted,
        Err(error) => refused(&error),
    }
}

/// Reads a TOML table of run options, as files hold it.
pub fn options_toml(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else { return Verdict::Refused };
    match toml::from_str::<RunOptions>(text) {
        Ok(options) => {
            check_round_trips(&options);
            check_params(&options);
            Verdict::Accepted
        }
        Err(_) => Verdict::Refused, // The message is the TOML package's own, and shows the place.
    }
}

fn judged(result: Result<(), String>) -> Verdict {
    match result {
        Ok(()) => Verdict::Accepted,
        Err(message) => refused(&Error::rejected(message)),
    }
}

fn refused(error: &Error) -> Verdict {
    error.check_printable();
    Verdict::Refused
}

fn options_of(arguments: Vec<OsString>) -> Result<Option<RunOptions>, Error> {
    let mut all = vec![OsString::from("spmd")];
    all.extend(arguments);
    cli::options_of(&all)
}

/// Options mean the same after they were written down and read again, in each form there is.
fn check_round_trips(options: &RunOptions) {
    let nothing = RunOptions::default;
    assert_eq!(options.clone().over(nothing()), *options);
    assert_eq!(nothing().over(options.clone()), *options);
    let spoken = options.spoken();
    // A path that is not UTF-8 is written with what can be written, which is another path.
    let path = |name: &str| spoken.get(name).and_then(|text| text.as_str()).unwrap_or_default();
    if [path("input"), path("output"), path("trace"), path("checkpoint")]
        .iter()
        .any(|path| path.contains('\u{fffd}'))
    {
        return;
    }
    let text = toml::to_string(options).unwrap_or_else(|error| panic!("{options:?}: {error}"));
    assert_eq!(toml::from_str::<RunOptions>(&text).as_ref(), Ok(options), "{text}");
    let text = serde_json::to_string(options).unwrap_or_else(|error| panic!("{error}"));
    match serde_json::from_str::<RunOptions>(&text) {
        Ok(again) => assert_eq!(again, *options, "{text}"),
        Err(error) => panic!("{text}: {error}"),
    }
    // On the command line and in the environment this character ends a parameter.
    if options
        .param
        .iter()
        .any(|param| param.value.contains('\u{1f}') || param.key.contains('\u{1f}'))
    {
        return;
    }
    let mut flags = Vec::new();
    for (name, value) in &spoken {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        flags.extend(values.iter().map(|value| match value.as_str() {
            Some(text) => OsString::from(format!("--{name}={text}")),
            None => OsString::from(format!("--{name}={value}")),
        }));
    }
    match options_of(flags) {
        Ok(again) => assert_eq!(again.as_ref(), Some(options), "{spoken:?}"),
        Err(error) => panic!("{spoken:?}: {error}"),
    }
}

/// A kernel's parameters are read or refused, and their values are within their kinds.
fn check_params(options: &RunOptions) {
    let catalog = run::catalog();
    let Ok(kernel) = catalog.find(options.kernel.as_deref().unwrap_or("spin")) else { return };
    let given: Vec<(String, String)> =
        options.param.iter().map(|param| (param.key.clone(), param.value.clone())).collect();
    match Params::resolve(kernel.name(), kernel.params(), &given) {
        Ok(params) => {
            for (name, text) in params.texts() {
                let of_kind = kernel.params().iter().any(|param| {
                    param.name == name
                        && match param.kind {
                            ParamKind::Duration => {
                                let ns = params.nanoseconds(name);
                                ns.is_finite() && ns >= 0.0
                            }
                            ParamKind::Fraction => (0.0..=1.0).contains(&params.fraction(name)),
                            ParamKind::Whole { least, greatest } => {
                                (least..=greatest).contains(&params.whole(name))
                            }
                            ParamKind::Number => params.number(name).is_finite(),
                            ParamKind::Positive => params.number(name) > 0.0,
                            ParamKind::Choice(words) => words.contains(&params.choice(name)),
                        }
                });
                assert!(of_kind, "{name}={text}");
            }
        }
        Err(error) => {
            refused(&error);
        }
    }
}

/// Reads a text as every kind of value there is; what is accepted is the same after it was shown.
fn values(text: &str) {
    fn shown<T>(text: &str)
    where
        T: std::str::FromStr<Err = Error> + std::fmt::Display + std::fmt::Debug + PartialEq,
    {
        match text.parse::<T>() {
            Ok(value) => {
                let again = value.to_string().parse::<T>();
                assert!(again.is_ok_and(|again| again == value), "{text:?} is {value:?}");
            }
            Err(error) => {
                refused(&error);
            }
        }
    }
    shown::<Procs>(text);
    shown::<Span>(text);
    shown::<KeyValue>(text);
    shown::<CpuSet>(text);
    shown::<Schedule>(text);
    shown::<InputSpec>(text);
    shown::<OutputSpec>(text);
    match text.parse::<Count>() {
        Ok(count) => assert!(count.0.to_string().parse::<Count>().is_ok_and(|c| c == count)),
        Err(error) => {
            refused(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Runs every file of a corpus through its target: no promise is broken, and the files still
    /// reach both ends.
    fn replay(target: &str, check: fn(&[u8]) -> Verdict) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut verdicts = Vec::new();
        for entry in fs::read_dir(&corpus).unwrap_or_else(|e| panic!("{}: {e}", corpus.display())) {
            verdicts.push(check(&fs::read(entry.unwrap().path()).unwrap()));
        }
        assert!(verdicts.contains(&Verdict::Accepted), "nothing is accepted any more");
        assert!(verdicts.contains(&Verdict::Refused), "nothing is refused any more");
    }

    #[test]
    fn the_corpus_of_npy_holds() {
        replay("npy", npy);
    }

    #[test]
    fn the_corpus_of_text_input_holds() {
        replay("text_input", text_input);
    }

    #[test]
    fn the_corpus_of_segment_header_holds() {
        replay("segment_header", segment_header);
    }

    #[test]
    fn the_corpus_of_options_holds() {
        replay("options", options);
    }

    #[test]
    fn the_corpus_of_options_toml_holds() {
        replay("options_toml", options_toml);
    }
}
