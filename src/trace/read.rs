//! Reads a trace, believing nothing of it: the file may be anybody's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use super::{About, Kind, SCHEMA, Span, Trace};
use crate::data::{reason, shown_path};
use crate::error::{Error, Explained};
use crate::schedule::{Chunk, MAX_SIZE};

/// The largest file that is read: ours are a tenth of it at most.
const MOST_BYTES: u64 = 1 << 29;
/// The longest time that is believed, in microseconds: thirty years, exact in an f64.
const LONGEST: f64 = 1e15;

/// The file, as far as it is looked at.
#[derive(Deserialize)]
struct Document<'a> {
    spmd: Option<About>,
    #[serde(borrow, rename = "traceEvents")]
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    ph: Cow<'a, str>,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    args: Args,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Args {
    first: Option<u64>,
    end: Option<u64>,
    pass: Option<u32>,
}

impl Trace {
    /// Reads and checks a trace that a run with `--trace` has written.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let shown = shown_path(path);
        let cannot = |error: &io::Error| {
            let what = format!("cannot read trace `{shown}`: {}", reason(error));
            Error::rejected(Explained::new(what).hint("a run with --trace FILE writes one"))
        };
        let file = File::open(path).map_err(|error| cannot(&error))?;
        let mut bytes = Vec::new();
        // One more than is allowed, to see that it is too many: a pipe has no length to ask for.
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
        let read = if bytes.len() as u64 > MOST_BYTES {
            Err(format!("it is larger than {} MiB, and no run writes such", MOST_BYTES >> 20))
        } else {
            Self::of(&bytes)
        };
        read.map_err(|fault| {
            Error::rejected(
                Explained::new(format!("`{shown}` is no trace of spmd: {fault}"))
                    .hint("a run with --trace FILE writes one"),
            )
        })
    }

    fn of(bytes: &[u8]) -> Result<Self, String> {
        let document: Document<'_> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let about = document.spmd.ok_or("it has no `spmd`, which says what was run")?;
        check(&about)?;
        let ranks: HashMap<u32, u32> =
            about.ranks.iter().map(|process| (process.pid, process.rank)).collect();
        let mut spans = Vec::with_capacity(document.events.len());
        for (number, event) in document.events.iter().enumerate() {
            let span = span(event, &about, &ranks);
            spans.extend(span.map_err(|fault| format!("event {number}: {fault}"))?);
        }
        let trace = Self { about, spans };
        trace.check_once()?;
        Ok(trace)
    }

    /// Returns the chunks of each pass in index order, with the nanoseconds of each.
    pub(crate) fn chunks(&self) -> BTreeMap<u32, Vec<(Chunk, u64)>> {
        let mut passes: BTreeMap<u32, Vec<(Chunk, u64)>> = BTreeMap::new();
        for span in &self.spans {
            if let Kind::Chunk(chunk) = &span.kind {
                let timed = (chunk.clone(), span.end - span.begin);
                passes.entry(span.pass).or_default().push(timed);
            }
        }
        for chunks in passes.values_mut() {
            chunks.sort_unstable_by_key(|(chunk, _)| chunk.start);
        }
        passes
    }

    /// Checks that no index was computed twice in a pass.
    fn check_once(&self) -> Result<(), String> {
        for (pass, chunks) in self.chunks() {
            if let Some(pair) = chunks.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
                let [(a, _), (b, _)] = pair else { continue };
                return Err(format!(
                    "pass {pass} computes index {} twice, in {}..{} and in {}..{}",
                    b.start, a.start, a.end, b.start, b.end
                ));
            }
        }
        Ok(())
    }
}

/// Checks the numbers that everything else is compared with.
fn check(about: &About) -> Result<(), String> {
    let within = |name: &str, found: u64, least: u64, most: u64| {
        if (least..=most).contains(&found) {
            Ok(())
        } else {
            Err(format!("`{name}` is {found}, and {least} to {most} is what it can be"))
        }
    };
    if about.schema != SCHEMA {
        return Err(format!("its schema is {}, and this program reads {SCHEMA}", about.schema));
    }
    within("procs", about.procs.into(), 1, 4096)?;
    within("size", about.size, 0, MAX_SIZE)?;
    within("cpus", about.cpus.into(), 1, 1 << 16)?;
    within("repeats", about.repeats.into(), 1, u64::from(u32::MAX))?;
    within("passes", about.passes.into(), 1, about.repeats.into())?;
    let sound = |seconds: &f64| seconds.is_finite() && (0.0..LONGEST).contains(seconds);
    if !sound(&about.stated_ns) || !about.pass_s.iter().all(sound) {
        return Err("a time in `spmd` is none".to_owned());
    }
    Ok(())
}

/// Returns the time an event is about; `None` if it is not one of ours, which may be there too.
fn span(
    event: &Event<'_>,
    about: &About,
    ranks: &HashMap<u32, u32>,
) -> Result<Option<Span>, String> {
    let known = ["pass", "claim", "chunk", "wait"].contains(&event.name.as_ref());
    if event.ph != "X" || !known {
        return Ok(None);
    }
    let Args { first, end, pass } = event.args;
    let kind = match event.name.as_ref() {
        "pass" => Kind::Pass,
        "claim" => Kind::Claim,
        "wait" => Kind::Wait,
        _ => match (first, end) {
            (Some(first), Some(end)) if first < end && end <= about.size => Kind::Chunk(first..end),
            (Some(first), Some(end)) => {
                return Err(format!("indices {first}..{end} are none of 0..{}", about.size));
            }
            _ => return Err("a chunk without `first` and `end`".to_owned()),
        },
    };
    let pass = pass.ok_or("it has no `pass`")?;
    if pass >= about.passes {
        return Err(format!("it is of pass {pass}, and {} were recorded", about.passes));
    }
    let rank = *ranks
        .get(&event.pid)
        .filter(|&&rank| rank < about.procs)
        .ok_or_else(|| format!("process {} is no rank in `spmd`", event.pid))?;
    let (begin, length) = (nanoseconds(event.ts)?, nanoseconds(event.dur)?);
    Ok(Some(Span { rank, pid: event.pid, pass, kind, begin, end: begin + length }))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn nanoseconds(microseconds: f64) -> Result<u64, String> {
    if (0.0..LONGEST).contains(&microseconds) {
        Ok((microseconds * 1e3).round() as u64)
    } else {
        Err(format!("{microseconds} is no time in microseconds"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::{Process, write};
    use super::*;
    use crate::data::DType;

    fn about() -> About {
        About {
            schema: SCHEMA,
            version: "1".to_owned(),
            kernel: "chain".to_owned(),
            procs: 2,
            size: 10,
            dtype: DType::F64,
            schedule: "dynamic,4".parse().unwrap(),
            chosen: "dynamic,4".parse().unwrap(),
            stated_ns: 2.5,
            cpus: 2,
            warmup: 0,
            repeats: 1,
            passes: 1,
            left_out: 0,
            pass_s: vec![0.5],
            ranks: vec![Process { rank: 0, pid: 70 }, Process { rank: 1, pid: 71 }],
            options: Map::new(),
        }
    }

    fn span(rank: u32, kind: Kind, begin: u64, end: u64) -> Span {
        Span { rank, pid: 70 + rank, pass: 0, kind, begin, end }
    }

    fn text(about: &About, spans: &[Span]) -> Vec<u8> {
        let mut text = Vec::new();
        write(&mut text, about, spans.iter().cloned()).unwrap();
        text
    }

    #[test]
    fn reads_what_was_written_with_times_from_the_first_on() {
        let spans = [
            span(0, Kind::Pass, 5_000, 90_001),
            span(0, Kind::Claim, 5_100, 5_201),
            span(0, Kind::Chunk(0..4), 5_201, 80_000),
            span(1, Kind::Chunk(4..10), 5_300, 80_000),
            span(1, Kind::Wait, 80_000, 90_000),
        ];
        let trace = Trace::of(&text(&about(), &spans)).unwrap();
        let earlier =
            |span: &Span| Span { begin: span.begin - 5_000, end: span.end - 5_000, ..span.clone() };
        assert_eq!(trace.spans, spans.iter().map(earlier).collect::<Vec<_>>());
        assert_eq!(trace.chunks()[&0], [(0..4, 74_799), (4..10, 74_700)]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let refused = |about: &About, spans: &[Span]| Trace::of(&text(about, spans)).unwrap_err();
        let chunk = |chunk| span(0, Kind::Chunk(chunk), 0, 5);
        assert_eq!(
            refused(&about(), &[chunk(0..4), chunk(3..5)]),
            "pass 0 computes index 3 twice, in 0..4 and in 3..5"
        );
        let beyond = refused(&about(), &[chunk(8..11)]);
        assert_eq!(beyond, "event 6: indices 8..11 are none of 0..10");
        let stranger = Span { pid: 99, ..chunk(0..4) };
        assert_eq!(refused(&about(), &[stranger]), "event 6: process 99 is no rank in `spmd`");
        let late = Span { pass: 1, ..chunk(0..4) };
        assert_eq!(refused(&about(), &[late]), "event 6: it is of pass 1, and 1 were recorded");
        assert!(refused(&About { procs: 0, ..about() }, &[]).starts_with("`procs` is 0"));
        assert!(refused(&About { schema: 9, ..about() }, &[]).starts_with("its schema is 9"));
        let none = |value: serde_json::Value| Trace::of(value.to_string().as_bytes()).unwrap_err();
        assert!(none(json!({ "traceEvents": [] })).starts_with("it has no `spmd`"));
        assert!(none(json!([])).contains("at line 1"));
        assert!(Trace::of(b"\xff\x00").is_err());
    }
}
