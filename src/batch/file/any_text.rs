//! No text is a panic: what anybody may have written is read, or refused with a message fit to print.

use std::path::Path;

use proptest::prelude::*;

use super::{Asked, Batch, Only, Set};
use crate::error::Exit;
use crate::options::RunOptions;

const VALID: &str = include_str!("any_text.toml");

/// Reads a text; what is read is consistent with itself.
fn check(text: &str, sets: &[Set]) {
    let above = RunOptions::default();
    let asked = Asked { profile: None, sets, above: &above, origin: &|_| String::new() };
    match Batch::parse(Path::new("x.toml"), text, &asked) {
        Ok(batch) => {
            for job in &batch.jobs {
                for point in job.points().take(100) {
                    job.options(point).unwrap();
                    job.settings(point).unwrap();
                    job.origins(point).unwrap();
                    assert!(job.label(point).starts_with(&job.name));
                }
            }
        }
        Err(error) => {
            assert_eq!(error.exit(), Exit::Rejected, "{text}: {error}");
            error.check_printable();
            assert!(error.details().iter().all(|line| !line.contains(char::is_control)));
        }
    }
}

/// Pieces that lead deep into the reader.
const PIECES: [&str; 30] = [
    "matrix.procs = ",
    "matrix.",
    "derive.size = \"",
    "procs",
    "param.x = ",
    "[[job]]\nname = \"k\"\n",
    "[[job.zip]]\n",
    "exclude = [{",
    "include = [{ procs = 1 }]",
    "}]",
    "{ from = 1, to = 9, step = 1 }",
    "{ from = 9, to = 1e-9, mul = 0.1 }",
    "expect.values.a = ",
    "reference.time = [{ value = 1, tolerance = \"1%\" }]",
    "[defaults]\n",
    "[profile.a]\n",
    "-1",
    "1e999",
    "nan",
    "99999999999999999999999999",
    "\"\"",
    "\"\\u0000\"",
    "é",
    "\t",
    "\r\n",
    " / 0",
    "0x7f",
    "1979-05-27",
    "\"\"\"\n\n\"\"\"",
    "[[[[[[",
];

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        check(&text, &[]);
    }

    #[test]
    fn a_file_with_a_piece_put_in_or_cut_out_is_read_or_refused(
        at in 0..VALID.len(),
        cut in 0..20_usize,
        pieces in prop::collection::vec(0..PIECES.len(), 0..3),
    ) {
        prop_assume!(VALID.is_char_boundary(at));
        let end = (at + cut).min(VALID.len());
        prop_assume!(VALID.is_char_boundary(end));
        let put: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        check(&format!("{}{put}{}", &VALID[..at], &VALID[end..]), &[]);
    }

    #[test]
    fn any_set_is_taken_or_refused(
        key in "(strong|weak|x)?\\.?(matrix|derive|param)?\\.?(procs|size|x|seed|schedule|repeats|order)?",
        value in prop_oneof!["\\PC{0,20}", prop::sample::select(&PIECES[..]).prop_map(str::to_owned)],
    ) {
        if let Ok(set) = format!("{key}={value}").parse::<Set>() {
            check(VALID, &[set]);
        }
        let _ = format!("{key}={value}").parse::<Only>();
    }
}

#[test]
fn the_file_that_is_mutated_is_right() {
    let above = RunOptions::default();
    let asked = Asked { profile: None, sets: &[], above: &above, origin: &|_| String::new() };
    let batch = Batch::parse(Path::new("x.toml"), VALID, &asked);
    assert_eq!(batch.map(|batch| batch.jobs.len()).unwrap_or_default(), 3);
}
