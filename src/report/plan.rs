//! A plan, as `spmd plan` and `-v` show it.

use std::fmt::Write as _;

use crate::data::grouped;
use crate::host::huge::{self, Advice, Means};
use crate::plan::Plan;
use crate::record;

/// Shows the resolved options with their origins, the placement and the sizes; runs nothing.
pub(crate) fn plan(plan: &Plan, origins: &dyn Fn(&str) -> String) -> String {
    let mut text = String::new();
    for (name, value) in record::resolved(plan) {
        if name == "param" {
            for (key, value) in value.as_object().into_iter().flatten() {
                let given = plan.options.param.iter().any(|pair| pair.key == *key);
                let origin = if given { origins("param") } else { "kernel's default".to_owned() };
                let _ = writeln!(text, "{:<40} # {origin}", format!("param.{key} = {value}"));
            }
        } else {
            let mut origin = origins(&name);
            if name == "procs" && plan.options.procs == Some(crate::Procs::Auto) {
                let _ = write!(origin, ": {}", plan.placement.because);
            }
            let _ = writeln!(text, "{:<40} # {origin}", format!("{name} = {value}"));
        }
    }
    let partition = &plan.job.partition;
    let _ = writeln!(
        text,
        "\n# {} indices in {} chunks",
        grouped(plan.size()),
        partition.count().map_or("a number to be found of".to_owned(), grouped)
    );
    let _ = writeln!(
        text,
        "# {} of results, {}{} of bookkeeping",
        crate::host::limits::bytes(plan.result_bytes()),
        match plan.operand_bytes() {
            None | Some(0) => String::new(),
            Some(bytes) => format!("{} of operands, ", crate::host::limits::bytes(bytes)),
        },
        crate::host::limits::bytes(plan.layout(0).map_or(0, |layout| layout.bookkeeping() as u64)),
    );
    if plan.job.huge == Advice::Nothing && plan.result_bytes() >= huge::WORTH {
        let why = match huge::means(plan.holder()) {
            Means::None { fix } => format!("this machine gives shared memory no huge ones ({fix})"),
            Means::Given | Means::Made => "there is no room for whole huge ones".to_owned(),
        };
        let _ = writeln!(text, "# small pages: {why}");
    }
    for (rank, pin) in plan.placement.pins.iter().enumerate() {
        let on = pin.map_or("unpinned".to_owned(), |cpu| format!("cpu {cpu}"));
        let _ = writeln!(text, "# rank {rank}: {on}");
    }
    text
}
