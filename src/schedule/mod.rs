//! How an index space is cut into chunks: pure arithmetic, in OpenMP's words.
//!
//! A [`Schedule`] is what a user types, `dynamic,1024`. With n, procs and a settled chunk it becomes
//! a [`Partition`]: a set of *queues*, each a sequence of *tickets*, each ticket naming one chunk. A
//! shared schedule (`dynamic`, `guided`, `tss`, `fac2`, `awf-b`) has one queue that all ranks draw from;
//! `static` has one per rank. Under `steal`, and where `auto` chooses it, chunks have numbers, and each
//! rank owns a range of them. Which chunk a ticket or a number names depends on it alone, never on who
//! draws it or when: that is what makes a chunk something that can be handed on, and the output
//! independent of procs.

mod choice;
mod partition;
mod rules;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use self::choice::{Choice, Scope, Seen, Source};
pub use self::partition::Chunk;
pub(crate) use self::partition::{MAX_SIZE, Partition, Ticket, merged};
pub(crate) use self::rules::Weight;
use crate::data::text_in_files;
use crate::error::{Error, Explained, nearest};

/// How the index space is cut into chunks, as typed: `static[,C]`, `dynamic[,C]`, `guided[,C]`,
/// `tss[,C]`, `fac2[,C]`, `awf-b[,C]`, `steal[,C]`, `auto`.
///
/// C is in indices; where chunks shrink it is the least. Without it, `static` gives every rank one
/// contiguous slice, and the others use a chunk that lasts about 50 µs by the kernel's stated cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Schedule {
    kind: ScheduleKind,
    chunk: Option<NonZeroU64>,
}

/// The rule of a [`Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Chunks are dealt to the ranks in turn, before the run.
    Static,
    /// Each rank takes the next chunk of a fixed size when it is free.
    Dynamic,
    /// As dynamic, with chunks that shrink with what remains: ⌈R/2P⌉, at least C.
    Guided,
    /// Trapezoid self-scheduling: chunks fall linearly from n/2P to C.
    Tss,
    /// Factoring: batches of P equal chunks, each batch half of what is left.
    Fac2,
    /// Factoring, with chunks in proportion to how fast each rank has been seen to be.
    AwfB,
    /// Each rank has a slice of chunks, and takes from the end of others' when its own is done.
    Steal,
    /// Begins as dynamic, looks at what indices and claims cost, and chooses chunk and rule by that.
    Auto,
}

impl ScheduleKind {
    const NAMES: [(&'static str, Self); 8] = [
        ("static", Self::Static),
        ("dynamic", Self::Dynamic),
        ("guided", Self::Guided),
        ("tss", Self::Tss),
        ("fac2", Self::Fac2),
        ("awf-b", Self::AwfB),
        ("steal", Self::Steal),
        ("auto", Self::Auto),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("?", |(name, _)| name)
    }
}

impl Schedule {
    /// Returns a schedule; without `chunk` it is settled when the run is planned.
    #[must_use]
    pub fn new(kind: ScheduleKind, chunk: Option<NonZeroU64>) -> Self {
        Self { kind, chunk }
    }

    /// Returns the rule.
    #[must_use]
    pub fn kind(self) -> ScheduleKind {
        self.kind
    }

    /// Says whether chunk and rule are to be chosen.
    pub(crate) fn is_auto(self) -> bool {
        self.kind == ScheduleKind::Auto
    }

    /// Returns the chunk that was asked for, in indices.
    #[must_use]
    pub fn chunk(self) -> Option<NonZeroU64> {
        self.chunk
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        self.chunk.map_or(Ok(()), |chunk| write!(f, ",{chunk}"))
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, chunk) = match text.split_once(',') {
            Some((kind, chunk)) => (kind.trim(), Some(chunk.trim())),
            None => (text.trim(), None),
        };
        let names = ScheduleKind::NAMES.map(|(name, _)| name);
        let Some(&(_, kind)) = ScheduleKind::NAMES.iter().find(|(name, _)| *name == kind) else {
            let hint = nearest(kind, names).map_or_else(
                || {
                    "one of static[,C], dynamic[,C], guided[,C], tss[,C], fac2[,C], awf-b[,C], \
                     steal[,C], auto"
                        .to_owned()
                },
                |name| format!("did you mean `{name}`?"),
            );
            return Err(Error::rejected(
                Explained::new(format!("unknown schedule `{kind}`")).hint(hint),
            ));
        };
        let chunk = match chunk {
            None => None,
            Some(chunk) => {
                Some(crate::data::parse_count(chunk).ok().and_then(NonZeroU64::new).ok_or_else(
                    || {
                        Error::rejected(
                            Explained::new(format!(
                                "chunk `{chunk}` of schedule `{text}` is not a count"
                            ))
                            .hint("a number of indices, at least 1: dynamic,1024"),
                        )
                    },
                )?)
            }
        };
        if kind == ScheduleKind::Auto && chunk.is_some() {
            return Err(Error::rejected(
                Explained::new(format!("schedule `{text}`: auto chooses the chunk itself"))
                    .hint("dynamic,C or steal,C takes a chunk"),
            ));
        }
        Ok(Self { kind, chunk })
    }
}

text_in_files!(Schedule);

/// How many chunks a rank is to have at least, for the last ones to balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    /// 16: by a cost that was stated, not seen.
    Fair,
    /// 64.
    Fine,
    /// 256: where claims cost next to nothing. Not of less time: a stream that is cut shorter was slower.
    Finest,
}

/// Chooses a chunk by time and bytes, for a kernel that takes `ns_per_index`.
///
/// At least 50 µs, so that a claim of well under a microsecond is noise, and at least 64 KiB of
/// results, a whole number of pages, so that no two writers share a page; at most a part of a rank's
/// fair share, so that the last chunks still balance. The rule is in time because a count is
/// wrong both ways: right for microsecond indices, it drowns nanosecond ones in claims.
pub(crate) fn chunk_by_time(
    n: u64,
    procs: u32,
    ns_per_index: f64,
    element: usize,
    balance: Balance,
) -> NonZeroU64 {
    const NS: f64 = 50_000.0;
    const BYTES: u64 = 64 * 1024;
    const PAGE: u64 = 4096;
    let parts = match balance {
        Balance::Fair => 16,
        Balance::Fine => 64,
        Balance::Finest => 256,
    };
    let element = element as u64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let by_time = (NS / ns_per_index.max(1e-3)).ceil() as u64;
    // A costly index needs no company: the floor in bytes is for kernels that stream.
    let by_bytes = if ns_per_index < 100.0 { BYTES / element } else { 1 };
    let share = n.div_ceil(parts * u64::from(procs));
    let chunk = by_time.max(by_bytes).min(share).max(1);
    let page = PAGE / element;
    let whole = if chunk >= page { chunk.next_multiple_of(page) } else { chunk };
    NonZeroU64::new(whole).unwrap_or(NonZeroU64::MIN)
}

/// Chooses the chunk for a schedule that names none, by the cost that the kernel states.
fn preferred_chunk(n: u64, procs: u32, ns_per_index: f64, element: usize) -> NonZeroU64 {
    chunk_by_time(n, procs, ns_per_index, element, Balance::Fair)
}

/// Settles a schedule for n indices of a kernel that states `ns_per_index`.
pub(crate) fn settle(
    schedule: Schedule,
    n: u64,
    procs: u32,
    ns_per_index: f64,
    element: usize,
) -> Partition {
    let align = NonZeroU64::new(4096 / element as u64).unwrap_or(NonZeroU64::MIN);
    let preferred = preferred_chunk(n, procs, ns_per_index, element);
    Partition::new(schedule, n, procs, preferred, align)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_openmps_words_and_says_them_back() {
        for text in [
            "static",
            "static,64",
            "dynamic",
            "dynamic,1",
            "guided,16",
            "tss",
            "fac2,8",
            "awf-b",
            "steal,1",
            "auto",
        ] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        assert_eq!("dynamic,1e3".parse::<Schedule>().unwrap().to_string(), "dynamic,1000");
    }

    #[test]
    fn refuses_what_is_no_schedule_with_the_nearest_name() {
        let error = "dynamik,4".parse::<Schedule>().unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `dynamic`?"));
        for text in
            ["", ",", "dynamic,0", "dynamic,-1", "dynamic,x", "static,1,2", "roundrobin", "auto,4"]
        {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_preferred_chunk_is_a_time_a_number_of_pages_and_leaves_enough_to_balance() {
        // A streaming kernel: 50 µs at 1 ns an index, in whole pages.
        assert_eq!(preferred_chunk(100_000_000, 4, 1.0, 8).get(), 50_176);
        // A costly kernel: 50 µs is 10 indices.
        assert_eq!(preferred_chunk(1_000_000, 4, 5_000.0, 8).get(), 10);
        // Few indices: a sixteenth of a rank's share.
        assert_eq!(preferred_chunk(640, 4, 1.0, 8).get(), 10);
        assert_eq!(preferred_chunk(5, 4, 1.0, 8).get(), 1);
        assert_eq!(preferred_chunk(0, 4, 1.0, 8).get(), 1);
    }
}
