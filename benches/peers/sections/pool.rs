//! A million squares, as Python's pool maps them.

use crate::contender::{Contender, Reading, Standing};
use crate::contest::{Contest, Settings, Target, Unit};
use crate::toolchain::source;
use crate::{Bench, CPUS};

const OURS: &str = "spmd";

pub(crate) fn run(bench: &mut Bench) {
    let n = bench.effort.scaled(1_000_000);
    let arguments = format!("-k square --procs {CPUS} --input range:1:{} -q", n + 1);
    let mut contenders = vec![Contender::spmd(OURS, Reading::Whole, &arguments)];
    if let Some(python) = &bench.tools.python {
        let contender = |family, name: &str, script: &str, more: &str| {
            Contender::new(family, name, &python.program, Reading::Whole)
                .file(&source(script))
                .args(&format!("{CPUS} {n} {more}"))
        };
        contenders.push(contender("Python Pool", "Python Pool.map", "pool.py", ""));
        for chunk in [1000, 10_000, n / 8, n / 2] {
            let name = format!("Python Pool.map, chunks of {chunk}");
            let contender = contender("Python Pool", &name, "pool.py", &chunk.to_string());
            contenders.push(contender.standing(Standing::Tuned));
        }
        if python.has("joblib") {
            let half = (n / 2).to_string();
            let contender = contender("joblib", "joblib, a batch each", "pool_joblib.py", &half);
            contenders.push(contender.standing(Standing::Beside));
        }
    }
    bench.hold(Contest {
        section: "pool",
        title: format!("Pool.map of {n} squares"),
        definition: "Time of the whole process.".into(),
        unit: Unit::Milliseconds,
        contenders,
        targets: vec![Target {
            ours: OURS,
            families: &["Python Pool"],
            settings: Settings::Best,
            at_most: 0.02,
        }],
    });
}
