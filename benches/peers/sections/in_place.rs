//! y = y·y in place, safe from a crash and not.

use crate::Bench;
use crate::contender::{Contender, Reading};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::input::Input;
use crate::sections::passes;

const SAFE: &str = "spmd --in-place";
const BARE: &str = "spmd --in-place --on-death fail";

pub(crate) fn run(bench: &mut Bench) {
    let n = bench.effort.scaled(50_000_000);
    let title = format!("In place, {n} f64, steady pass");
    let input = match Input::new(n, 2) {
        Ok(input) => input,
        Err(reason) => return bench.head(&title, &reason),
    };
    let ours = |name, more: &str| {
        let arguments =
            format!("-k square --dtype f64 --in-place {} {more} --input", passes::own());
        Contender::spmd(name, Reading::Pass, &arguments).file(input.path())
    };
    let mut contenders = vec![ours(SAFE, ""), ours(BARE, "--on-death fail")];
    for openmp in &bench.tools.openmps {
        contenders.extend(passes::openmp(bench, openmp, "square_in_place_omp", n));
    }
    let target = |ours, at_most| Target {
        ours,
        families: &["libgomp", "libomp"],
        settings: Settings::Best,
        at_most,
    };
    bench.hold(Contest {
        section: "in-place",
        title,
        definition: "Before each pass the array is made what it was, untimed, by both.".into(),
        unit: Unit::Milliseconds,
        contenders,
        targets: vec![target(SAFE, 1.15), target(BARE, 1.03)],
    });
}
