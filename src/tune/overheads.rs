//! What a run costs beside its indices, as far as a trace tells: claims, and ranks that begin late.

use std::collections::BTreeMap;

use crate::schedule::ScheduleKind;
use crate::trace::{Kind, Span, Trace};

/// Fewer claims of a kind are mostly cold ones, and no measure.
const ENOUGH: usize = 64;
/// What is assumed where a trace does not tell, in nanoseconds: of a machine of 2020 and later.
const LOCKED: f64 = 200.0;
const OWN: f64 = 50.0;
const BETWEEN: f64 = 50.0;
const SCAN: f64 = 60.0;

/// Nanoseconds that are spent beside computing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Overheads {
    /// A claim under the counter's lock, which one rank at a time can make.
    pub(crate) locked: f64,
    /// The same where the lock was waited for: from its being free to the claim's end.
    pub(crate) contended: f64,
    /// A claim of a chunk of one's own range.
    pub(crate) own: f64,
    /// A look at another rank's range.
    pub(crate) scan: f64,
    /// From the end of a chunk to the next claim.
    pub(crate) between: f64,
    /// From one rank's begin to the next one's.
    pub(crate) skew: f64,
    /// From the first rank's begin to its first claim: the kernel's serial share, if there is one.
    pub(crate) prelude: f64,
    /// Where `locked` is from.
    pub(crate) origin: Origin,
}

/// Where a figure is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The trace.
    Measured,
    /// Nowhere: the trace has too little of it.
    Assumed,
}

impl Overheads {
    pub(crate) fn of(trace: &Trace) -> Self {
        let owned = trace.about.chosen.kind() == ScheduleKind::Steal;
        let Claims { alone, waited } = Claims::of(trace);
        // In a run's first pass, claims of what another rank has touched include mapping it: dear ones say
        // nothing of the lock.
        let part = if is_cold(trace) { 4 } else { 2 };
        let measured = |times: Vec<f64>| {
            let count = times.len();
            ranked(times, count / part).filter(|_| count >= ENOUGH)
        };
        let claim = measured(alone);
        let (locked, own) = match (claim, owned) {
            (Some(own), true) => (LOCKED.max(own), own),
            (Some(locked), false) => (locked, OWN.min(locked)),
            (None, _) => (LOCKED, OWN),
        };
        let contended = measured(waited).filter(|_| !owned).unwrap_or(locked);
        let origin = if claim.is_some() && !owned { Origin::Measured } else { Origin::Assumed };
        let rows = rows(trace);
        let between = rows.values().flat_map(|row| {
            row.windows(2).filter_map(|pair| match (&pair[0].kind, &pair[1].kind) {
                (Kind::Chunk(_), Kind::Claim) => {
                    Some(pair[1].begin.saturating_sub(pair[0].end) as f64)
                }
                _ => None,
            })
        });
        let between = median(between.collect()).unwrap_or(BETWEEN);
        let (skew, prelude) = begins(trace, &rows);
        Self { locked, contended, own, scan: SCAN, between, skew, prelude, origin }
    }
}

/// Nanoseconds of claims.
struct Claims {
    /// During which nobody else made one.
    alone: Vec<f64>,
    /// Of those that began during another's: from the other's end on.
    waited: Vec<f64>,
}

impl Claims {
    fn of(trace: &Trace) -> Self {
        let counts_first = trace.about.warmup > 0 || is_cold(trace);
        let mut claims: Vec<(u64, u64)> = trace
            .spans
            .iter()
            .filter(|span| span.kind == Kind::Claim && (span.pass > 0 || counts_first))
            .map(|span| (span.begin, span.end))
            .collect();
        claims.sort_unstable();
        let mut before = 0;
        let mut found = Self { alone: Vec::new(), waited: Vec::new() };
        for (at, &(begin, end)) in claims.iter().enumerate() {
            let after = claims.get(at + 1).map_or(u64::MAX, |next| next.0);
            if before <= begin && end <= after {
                found.alone.push((end - begin) as f64);
            } else if begin < before && before < end {
                found.waited.push((end - before) as f64);
            }
            before = before.max(end);
        }
        found
    }
}

/// Returns claims and chunks of each process in each pass, in order.
fn rows(trace: &Trace) -> BTreeMap<(u32, u32), Vec<&Span>> {
    let mut rows: BTreeMap<(u32, u32), Vec<&Span>> = BTreeMap::new();
    for span in &trace.spans {
        if matches!(span.kind, Kind::Claim | Kind::Chunk(_)) {
            rows.entry((span.pass, span.pid)).or_default().push(span);
        }
    }
    rows.values_mut().for_each(|row| row.sort_unstable_by_key(|span| (span.begin, span.end)));
    rows
}

/// Returns how much later each rank begins than the one before, and how long it was until the first
/// claim.
fn begins(trace: &Trace, rows: &BTreeMap<(u32, u32), Vec<&Span>>) -> (f64, f64) {
    // Of each rank: a process that takes a dead one's place begins late, and that is no skew.
    let mut claims: BTreeMap<u32, BTreeMap<u32, u64>> = BTreeMap::new();
    for ((pass, _), row) in rows {
        if let Some(first) = row.first() {
            let earliest = claims.entry(*pass).or_default().entry(first.rank).or_insert(u64::MAX);
            *earliest = first.begin.min(*earliest);
        }
    }
    let mut begun: BTreeMap<u32, u64> = BTreeMap::new();
    for span in trace.spans.iter().filter(|span| span.kind == Kind::Pass) {
        let earliest = begun.entry(span.pass).or_insert(span.begin);
        *earliest = span.begin.min(*earliest);
    }
    let (mut skews, mut preludes) = (Vec::new(), Vec::new());
    for (pass, claims) in &claims {
        let (Some(first), Some(last)) = (claims.values().min(), claims.values().max()) else {
            continue;
        };
        if claims.len() > 1 {
            skews.push((last - first) as f64 / (claims.len() - 1) as f64);
        }
        if let Some(begun) = begun.get(pass) {
            preludes.push(first.saturating_sub(*begun) as f64);
        }
    }
    (median(skews).unwrap_or(0.0), median(preludes).unwrap_or(0.0))
}

/// Says whether all that was recorded is the run's first pass.
fn is_cold(trace: &Trace) -> bool {
    trace.about.warmup == 0 && trace.about.passes == 1
}

/// Returns the middle one.
fn median(values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    ranked(values, middle)
}

/// Returns the one that so many are not above.
fn ranked(mut values: Vec<f64>, rank: usize) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(rank).copied()
}
