//! `--schedule auto` against the best of our own schedules.

use crate::Bench;
use crate::contender::{Contender, Reading, Standing};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::sections::costs;

const OURS: &str = "spmd --schedule auto";

pub(crate) fn run(bench: &mut Bench) {
    for shape in costs::SHAPES {
        let with = |name: &str, schedule: &str| {
            let arguments = format!("{} --schedule {schedule}", costs::own(shape));
            Contender::spmd(name, Reading::Pass, &arguments)
        };
        let mut contenders = vec![with(OURS, "auto")];
        for schedule in [
            "static",
            "static,16",
            "dynamic",
            "dynamic,1",
            "dynamic,16",
            "dynamic,256",
            "guided",
            "tss",
            "fac2",
            "awf-b",
            "steal",
        ] {
            contenders.push(with(schedule, schedule).standing(Standing::Default));
        }
        bench.hold(Contest {
            section: "auto",
            title: format!("Auto, costs: {shape}"),
            definition: "A steady pass of the same work by each of our own schedules.".into(),
            unit: Unit::Milliseconds,
            contenders,
            targets: vec![Target {
                ours: OURS,
                families: &["spmd"],
                settings: Settings::Best,
                at_most: 1.05,
            }],
        });
    }
}
