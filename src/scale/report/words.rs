//! How a study's figures are written, the same in every report.

use crate::scaling::{Cause, Doubt, Estimate, Law, Reach};

/// Writes a figure and what holds it with 95 %.
pub(super) fn estimate(figure: Estimate, write: impl Fn(f64) -> String) -> String {
    format!("{} {}", write(figure.value), interval(figure, write))
}

/// Writes the interval alone.
pub(super) fn interval(figure: Estimate, write: impl Fn(f64) -> String) -> String {
    match figure.ci95 {
        // The base is 1 of itself; what was measured is never exact, though samples may be equal.
        Some([low, high]) if (low, figure.value, high) == (1.0, 1.0, 1.0) => "exact".to_owned(),
        Some(ends) => {
            let [low, high] =
                ends.map(|end| if end.is_finite() { write(end) } else { "∞".to_owned() });
            format!("[{low}, {high}]")
        }
        None => "[too few samples]".to_owned(),
    }
}

/// Writes a share.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.1} %", share * 100.0);
    if text == "-0.0 %" { "0.0 %".to_owned() } else { text }
}

/// Writes a multiple.
pub(super) fn times(multiple: f64) -> String {
    if multiple.is_finite() { format!("{multiple:.2}") } else { "∞".to_owned() }
}

/// Writes how many there are of something that is rare.
pub(super) fn few(count: f64) -> String {
    format!("{count:.4}")
}

pub(super) fn ranks(count: u64) -> String {
    if count == 1 { "1 rank".to_owned() } else { format!("{count} ranks") }
}

pub(super) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Launch => "launch",
        Cause::Touch => "first touch",
        Cause::Claim => "claiming",
        Cause::Imbalance => "imbalance",
        Cause::Barrier => "barrier",
        Cause::Memory => "memory",
        Cause::Steal => "steal",
        Cause::Delay => "waiting for a CPU",
        Cause::Frequency => "frequency",
        Cause::Computing => "computing",
        Cause::Output => "output",
        Cause::Rest => "rest",
    }
}

pub(super) fn doubt(doubt: &Doubt) -> String {
    match doubt {
        Doubt::FewPoints(points) => format!("{points} points, where six are a measure"),
        Doubt::NoIntervals => "samples are too few for intervals".to_owned(),
        Doubt::AtBound(name) => format!("{name} stands at its bound"),
        Doubt::Misfit => "more points than by chance do not agree with it".to_owned(),
    }
}

pub(super) fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Between => "between measured points",
        Reach::Outside => "outside of measured points",
        Reach::Far => "beyond twice the most ranks that were measured",
    }
}

/// The name of a law as a label.
pub(super) fn law_name(law: Law) -> String {
    let name = law.name();
    name.strip_prefix("the ").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_so_by_definition_is_exact() {
        let of = |value: f64, ends: Option<[f64; 2]>| {
            interval(Estimate { value, ci95: ends }, |number| format!("{number:.2}"))
        };
        assert_eq!(of(1.0, Some([1.0, 1.0])), "exact");
        assert_eq!(of(2.0, Some([2.0, 2.0])), "[2.00, 2.00]", "equal samples are measured, too");
        assert_eq!(of(0.0, Some([0.0, 0.0])), "[0.00, 0.00]");
        assert_eq!(of(3.0, Some([2.0, f64::INFINITY])), "[2.00, ∞]");
        assert_eq!(of(3.0, None), "[too few samples]");
    }
}
