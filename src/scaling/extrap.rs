//! Points as Extra-P reads them: JSON lines, an object a line, `value` the repeats.
//!
//! Extra-P wants five numbers of ranks or more, with five repeats each, and then finds how each call path
//! grows: so there is a line for each phase that was timed, not only for the whole.

use serde::Serialize;

/// The repeats of one phase with so many ranks.
#[derive(Clone, Debug)]
pub(crate) struct Measured<'a> {
    pub(crate) procs: u32,
    /// Outermost first, such as `["square", "pass"]`.
    pub(crate) path: &'a [&'a str],
    pub(crate) metric: &'a str,
    pub(crate) values: Vec<f64>,
}

#[derive(Serialize)]
struct Line<'a> {
    params: Params,
    callpath: String,
    metric: &'a str,
    value: Vec<f64>,
}

#[derive(Serialize)]
struct Params {
    p: u32,
}

/// Writes a line for each that has values.
pub(crate) fn lines<'a>(measured: impl IntoIterator<Item = Measured<'a>>) -> String {
    let mut text = String::new();
    for Measured { procs, path, metric, values } in measured {
        let value: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        if value.is_empty() {
            continue;
        }
        let line = Line { params: Params { p: procs }, callpath: path.join("->"), metric, value };
        // A struct of plain values cannot fail.
        text.push_str(&serde_json::to_string(&line).unwrap_or_default());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_format() {
        let one = |procs, path: &'static [&'static str], values: &[f64]| Measured {
            procs,
            path,
            metric: "time",
            values: values.to_vec(),
        };
        let found = lines([
            one(4, &["main", "compute"], &[0.521, 0.5198, 0.5223]),
            one(8, &["main"], &[]),
            one(8, &["say \"x\""], &[f64::NAN, 1.0]),
        ]);
        assert_eq!(
            found,
            "{\"params\":{\"p\":4},\"callpath\":\"main->compute\",\"metric\":\"time\",\
             \"value\":[0.521,0.5198,0.5223]}\n\
             {\"params\":{\"p\":8},\"callpath\":\"say \\\"x\\\"\",\"metric\":\"time\",\"value\":[1.0]}\n"
        );
    }
}
