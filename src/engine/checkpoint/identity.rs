//! What has to be the same for a run to go on from a checkpoint.
//!
//! All that decides a bit of the result. Not: how many ranks there are, their schedule, where they run,
//! how they wait, what is done with the output. Of an input file its length, inode and time are compared,
//! not its content: that would cost a pass over it, and whoever writes to a file changes its time. Of this
//! program it is the content: kernels are in it, and one that was built again may compute otherwise
//! under the same version.

use std::io;

use crate::error::{Error, Explained};
use crate::host::program;
use crate::job::Mode;
use crate::plan::Plan;

/// Names what a plan computes, in the order in which differences are told.
pub(super) fn of(plan: &Plan) -> io::Result<Vec<(String, String)>> {
    let job = &plan.job;
    let mode = match job.mode {
        Mode::Apart => "apart",
        Mode::InPlace | Mode::InPlaceUnsaved => "in place",
    };
    let shape: Vec<String> = plan.shape.dims().iter().map(ToString::to_string).collect();
    let mut identity = vec![("kernel".to_owned(), job.kernel.clone())];
    identity
        .extend(job.params.iter().map(|(name, text)| (format!("parameter {name}"), text.clone())));
    let rest = [
        ("dtype", job.dtype.to_string()),
        ("size", job.size.to_string()),
        ("shape", shape.join(" x ")),
        ("overflow", job.overflow.to_string()),
        ("seed", job.seed.to_string()),
        ("mode", mode.to_owned()),
        ("input", plan.input.lasting()),
        ("version of spmd", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    identity.extend(rest.map(|(name, text)| (name.to_owned(), text)));
    identity.push(("program".to_owned(), program::digest()?.to_owned()));
    Ok(identity)
}

/// Refuses to go on with something else; the first difference is told.
pub(super) fn compare(
    shown: &str,
    found: &[(String, String)],
    expected: &[(String, String)],
) -> Result<(), Error> {
    let text = |list: &[(String, String)], name: &str| {
        list.iter()
            .find(|(other, _)| other == name)
            .map_or("not there", |(_, text)| text)
            .to_owned()
    };
    let names = expected.iter().chain(found).map(|(name, _)| name.as_str());
    let differs = names.map(|name| (name, text(found, name), text(expected, name)));
    match differs.into_iter().find(|(_, found, expected)| found != expected) {
        None => Ok(()),
        Some((name, found, expected)) => Err(Error::rejected(
            Explained::new(format!(
                "checkpoint `{shown}` is of another run: its {name} is {found}, this run's is {expected}"
            ))
            .hint("the same options go on with it; delete it, or name another file, for another run"),
        )),
    }
}
