//! A comparison as one JSON document.

use serde::Serialize;
use serde_json::{Value, json};

use super::asked::Asked;
use super::pairing::{Compared, Pair};
use crate::scaling::{Allowed, Estimate, Verdict, Why};
use crate::statistics::Summary;

const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    status: &'static str,
    exit: i32,
    a: &'a str,
    b: &'a str,
    allow: f64,
    points: Vec<Point<'a>>,
    only_a: &'a [Asked],
    only_b: &'a [Asked],
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Point<'a> {
    asked: &'a Asked,
    a: Value,
    b: Value,
    /// B as a multiple of A.
    ratio: Estimate,
    verdict: &'static str,
    /// Why no difference is shown.
    why: Option<Why>,
    allowed: Allowed,
    steal_share: f64,
}

impl Compared {
    pub(crate) fn to_json(&self) -> String {
        let exit = self.exit();
        let document = Document {
            schema: SCHEMA,
            status: exit.status(),
            exit: exit.code(),
            a: &self.shown[0],
            b: &self.shown[1],
            allow: self.allowance,
            points: self.pairs.iter().map(point).collect(),
            only_a: &self.alone[0],
            only_b: &self.alone[1],
            warnings: &self.warnings,
        };
        json!(document).to_string()
    }
}

fn point(pair: &Pair) -> Point<'_> {
    let [a, b] = pair.times.each_ref().map(|times: &Summary| {
        json!({"n": times.n, "median": times.median, "ci95": times.ci95,
            "min": times.min, "max": times.max})
    });
    let comparison = &pair.comparison;
    let why = match comparison.verdict {
        Verdict::NoDifferenceShown(why) => Some(why),
        Verdict::Faster | Verdict::Slower => None,
    };
    Point {
        asked: &pair.asked,
        a,
        b,
        ratio: comparison.ratio,
        verdict: comparison.verdict.words(),
        why,
        allowed: comparison.allowed,
        steal_share: pair.steal,
    }
}
