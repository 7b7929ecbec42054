//! What `spmd compare` shows: a line a point, what only one side has, and what it comes to.

use std::fmt::Write as _;

use super::time;
use crate::compare::{Asked, Compared, Pair};
use crate::error::Exit;
use crate::scaling::{Allowed, Why};

/// Points that only one side has are listed up to this many.
const LISTED: usize = 20;

/// Makes the table of a comparison.
pub(crate) fn compared(found: &Compared) -> String {
    let [a, b] = &found.shown;
    let mut text = format!("A  {a}\nB  {b}\n\n");
    let varying = Asked::varying(&found.asked());
    let labels: Vec<String> = found.pairs.iter().map(|pair| label(&pair.asked, &varying)).collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        text,
        "  {:<width$} {:>9} {:>10} {:>10} {:>7}   {:<16} verdict",
        "point", "samples", "A", "B", "B/A", "95 % interval"
    );
    for (pair, label) in found.pairs.iter().zip(&labels) {
        text.push_str(&line(pair, label, width, found.allowance));
    }
    for (side, alone) in ["A", "B"].iter().zip(&found.alone) {
        for asked in alone.iter().take(LISTED) {
            let _ = writeln!(text, "  only in {side}: {}", label(asked, &varying));
        }
        if alone.len() > LISTED {
            let _ =
                writeln!(text, "  only in {side}: {} more; --json has all", alone.len() - LISTED);
        }
    }
    text.push('\n');
    notes(&mut text, found);
    open(&mut text, found);
    summary(&mut text, found);
    text
}

fn line(pair: &Pair, label: &str, width: usize, allowance: f64) -> String {
    let [a, b] = &pair.times;
    let comparison = &pair.comparison;
    let interval = match comparison.ratio.ci95 {
        Some([low, high]) => format!("{low:.3} .. {high:.3}"),
        None => "too few samples".to_owned(),
    };
    let allowed = match comparison.allowed {
        Allowed::Beyond => format!(", beyond {} allowed", percent(allowance)),
        Allowed::Undecided if !pair.is_few() => {
            format!(", {} not ruled out", percent(allowance))
        }
        Allowed::Within | Allowed::Undecided => String::new(),
    };
    format!(
        "  {label:<width$} {:>9} {:>10} {:>10} {:>7.3}   {interval:<16} {}{allowed}\n",
        format!("{}, {}", a.n, b.n),
        time(a.median),
        time(b.median),
        comparison.ratio.value,
        comparison.verdict.words(),
    )
}

/// Says why some points have no verdict, and what to do.
fn notes(text: &mut String, found: &Compared) {
    let few = found.undecided(Why::Few);
    if few > 0 {
        let _ = writeln!(
            text,
            "few     {} fewer than 6 samples on a side: no interval, no verdict; more --repeats",
            have(few)
        );
    }
    let steal = found.undecided(Why::Steal);
    if steal > 0 {
        let most = found.pairs.iter().map(|pair| pair.steal).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "steal   {} a difference under 5 %, which is not claimed where the host keeps CPUs for others (up to {:.1} %)",
            have(steal),
            most * 100.0
        );
    }
}

/// Says what would decide the points that nothing is wrong with but their spread.
fn open(text: &mut String, found: &Compared) {
    let open = |pair: &&Pair| pair.comparison.allowed == Allowed::Undecided && !pair.is_few();
    let open = found.pairs.iter().filter(open).count();
    if open > 0 {
        let _ = writeln!(
            text,
            "open    {} an interval that reaches beyond what is allowed: more --repeats, or a quieter machine",
            have(open)
        );
    }
}

fn summary(text: &mut String, found: &Compared) {
    let count =
        |allowed| found.pairs.iter().filter(|pair| pair.comparison.allowed == allowed).count();
    let [within, undecided, beyond] =
        [Allowed::Within, Allowed::Undecided, Allowed::Beyond].map(count);
    let verdict = match (found.exit(), undecided) {
        (Exit::GateMissed, _) if beyond == 0 => "not all of A was measured again",
        (Exit::GateMissed, _) => "slower than allowed",
        (_, 0) => "within what is allowed",
        _ => "not shown to be slower than allowed",
    };
    let _ = write!(
        text,
        "{verdict}: {beyond} of {} beyond {}, {within} within, {undecided} undecided",
        points(found.pairs.len()),
        percent(found.allowance)
    );
    let [a, b] = found.alone.each_ref().map(Vec::len);
    if a + b > 0 {
        let _ = write!(text, "; {a} only in A, {b} only in B");
        if found.is_missing_some() {
            text.push_str(" (--allow-missing lets pass what B has no sample of)");
        }
    }
    text.push('\n');
}

/// Names a point by what tells it from the others.
fn label(asked: &Asked, varying: &[&str]) -> String {
    let mut label = asked.get("kernel").unwrap_or_default().to_owned();
    let usual = ["procs", "size"].into_iter();
    let more = varying.iter().copied().filter(|name| !["kernel", "procs", "size"].contains(name));
    for name in usual.chain(more) {
        if let Some(value) = asked.get(name) {
            let _ = write!(label, " {name}={value}");
        }
    }
    // Files say what they like; a terminal is not theirs.
    label
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn points(number: usize) -> String {
    format!("{number} point{}", if number == 1 { "" } else { "s" })
}

fn have(number: usize) -> String {
    format!("{} {}", points(number), if number == 1 { "has" } else { "have" })
}
