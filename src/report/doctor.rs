//! What `spmd doctor` shows: each finding, and where not all is well why it matters and what to do.

use std::fmt::Write as _;

use crate::doctor::{Diagnosis, Grade};

/// Makes the list of findings, and their sum.
pub(crate) fn diagnosis(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for finding in &diagnosis.findings {
        let _ =
            writeln!(text, "{:<8} {:<20} {}", finding.grade.word(), finding.name, finding.found);
        let mut line = |name: &str, said: &str| {
            let _ = writeln!(text, "{:<8} {:<20} {name} {said}", "", "");
        };
        if finding.grade != Grade::Well {
            line("why:", finding.why);
        }
        if let Some(fix) = &finding.fix {
            line("fix:", fix);
        }
        if finding.grade == Grade::Stop {
            line("a run", "with the defaults would be stopped by this");
        }
    }
    let count = |grade| diagnosis.count(grade);
    let counted =
        |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let _ = write!(
        text,
        "\n{} ok, {}, {}; {}",
        count(Grade::Well),
        counted(count(Grade::Note), "note"),
        counted(count(Grade::Warning) + count(Grade::Stop), "warning"),
        match count(Grade::Stop) {
            0 => "nothing would stop a run".to_owned(),
            n => format!("{n} of these would stop a run"),
        }
    );
    text
}
