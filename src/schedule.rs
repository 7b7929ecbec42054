//! How an index space is cut into chunks: pure arithmetic, in OpenMP's words.
//!
//! A [`Schedule`] is what a user types, `dynamic,1024`. With n, procs and a settled chunk it becomes
//! a [`Partition`]: a set of *queues*, each a sequence of *tickets*, each ticket naming one chunk. A
//! shared schedule (`dynamic`, `guided`) has one queue that all ranks draw from; `static` has one
//! per rank. Which chunk a ticket names depends on the ticket alone, never on who draws it or when:
//! that is what makes a chunk something that can be handed on, and the output independent of procs.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Explained, nearest};

/// How the index space is cut into chunks, as typed: `static[,C]`, `dynamic[,C]`, `guided[,C]`.
///
/// C is in indices. Without it, `static` gives every rank one contiguous slice, and the others use
/// a chunk that lasts about 50 µs by the kernel's stated cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Schedule {
    kind: ScheduleKind,
    chunk: Option<NonZeroU64>,
}

/// The rule of a [`Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Chunks are dealt to the ranks in turn, before the run.
    Static,
    /// Each rank takes the next chunk of a fixed size when it is free.
    Dynamic,
    /// As dynamic, with chunks that shrink with what remains: ⌈R/2P⌉, at least C.
    Guided,
}

impl ScheduleKind {
    const NAMES: [(&'static str, Self); 3] =
        [("static", Self::Static), ("dynamic", Self::Dynamic), ("guided", Self::Guided)];

    fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::Guided => "guided",
        }
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
                || "one of static[,C], dynamic[,C], guided[,C]".to_owned(),
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
        Ok(Self { kind, chunk })
    }
}

impl TryFrom<String> for Schedule {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.to_string()
    }
}

/// A half-open run of indices.
pub type Chunk = Range<u64>;

/// Sorts ranges, and joins those that touch or overlap; empty ones are left out.
pub(crate) fn merged(mut ranges: Vec<Chunk>) -> Vec<Chunk> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Chunk> = Vec::with_capacity(ranges.len().min(64));
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// One position in a queue; the partition knows which chunk it names.
///
/// Below 2^48, so that it fits a claim word beside who claimed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    pub(crate) const BITS: u32 = 48;

    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw & ((1 << Self::BITS) - 1))
    }

    pub(crate) fn raw(self) -> u64 {
        self.0
    }
}

/// The largest index space. Every ticket, an index or a chunk number, stays below 2^48 with it.
pub(crate) const MAX_SIZE: u64 = 1 << 40;

/// An index space, cut: which tickets there are, and which chunk each names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Partition {
    rule: Rule,
    n: u64,
    procs: u32,
    chunk: NonZeroU64,
    /// Boundaries of computed chunks are multiples of this: a page of elements when n is large.
    align: NonZeroU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Rule {
    /// One contiguous slice per rank.
    Slices,
    /// Chunks dealt in turn.
    Dealt,
    /// One queue of equal chunks.
    Equal,
    /// One queue of shrinking chunks.
    Shrinking,
}

impl Partition {
    /// Settles a schedule for n indices and procs ranks.
    ///
    /// `preferred` is the chunk to use where the schedule names none; `align` the number of elements
    /// in a page, to which computed boundaries are rounded once slices are much larger.
    pub(crate) fn new(
        schedule: Schedule,
        n: u64,
        procs: u32,
        preferred: NonZeroU64,
        align: NonZeroU64,
    ) -> Self {
        debug_assert!(n <= MAX_SIZE && procs > 0);
        let rule = match (schedule.kind, schedule.chunk) {
            (ScheduleKind::Static, None) => Rule::Slices,
            (ScheduleKind::Static, Some(_)) => Rule::Dealt,
            (ScheduleKind::Dynamic, _) => Rule::Equal,
            (ScheduleKind::Guided, _) => Rule::Shrinking,
        };
        let align = if n / u64::from(procs) >= 16 * align.get() { align } else { NonZeroU64::MIN };
        // A chunk beyond n is n; the cap keeps sums of starts and lengths far from overflow.
        let chunk =
            schedule.chunk.unwrap_or(preferred).min(NonZeroU64::new(n).unwrap_or(NonZeroU64::MIN));
        Self { rule, n, procs, chunk, align }
    }

    /// Returns the size of the index space.
    pub(crate) fn size(&self) -> u64 {
        self.n
    }

    /// Returns the number of ranks it was made for.
    pub(crate) fn procs(&self) -> u32 {
        self.procs
    }

    /// Returns the schedule with its chunk settled, as the record shows it.
    pub(crate) fn schedule(&self) -> Schedule {
        match self.rule {
            Rule::Slices => Schedule::new(ScheduleKind::Static, None),
            Rule::Dealt => Schedule::new(ScheduleKind::Static, Some(self.chunk)),
            Rule::Equal => Schedule::new(ScheduleKind::Dynamic, Some(self.chunk)),
            Rule::Shrinking => Schedule::new(ScheduleKind::Guided, Some(self.chunk)),
        }
    }

    /// Returns the number of queues: one, or one per rank.
    pub(crate) fn queues(&self) -> u32 {
        match self.rule {
            Rule::Slices | Rule::Dealt => self.procs,
            Rule::Equal | Rule::Shrinking => 1,
        }
    }

    /// Returns the first ticket of a queue.
    pub(crate) fn first(&self, _queue: u32) -> Ticket {
        Ticket(0)
    }

    /// Returns the ticket after `ticket`, which must name a chunk.
    pub(crate) fn next(&self, queue: u32, ticket: Ticket) -> Ticket {
        match self.rule {
            Rule::Slices | Rule::Dealt | Rule::Equal => Ticket(ticket.0 + 1),
            Rule::Shrinking => Ticket(self.chunk(queue, ticket).map_or(self.n, |chunk| chunk.end)),
        }
    }

    /// Returns the chunk that a ticket of a queue names, or `None` past the queue's end.
    pub(crate) fn chunk(&self, queue: u32, ticket: Ticket) -> Option<Chunk> {
        let (begin, end) = match self.rule {
            Rule::Slices if ticket.0 == 0 => (self.boundary(queue), self.boundary(queue + 1)),
            Rule::Slices => return None,
            Rule::Dealt => self.equal(
                ticket.0.checked_mul(u64::from(self.procs))?.checked_add(u64::from(queue))?,
            )?,
            Rule::Equal => self.equal(ticket.0)?,
            Rule::Shrinking => {
                // The ticket is the first index.
                let left = self.n.checked_sub(ticket.0)?;
                let share = left.div_ceil(2 * u64::from(self.procs)).max(self.chunk.get());
                let length = share.next_multiple_of(self.align.get()).min(left);
                (ticket.0, ticket.0 + length)
            }
        };
        (begin < end).then_some(begin..end)
    }

    /// Returns all chunks from these tickets of the queues on, one ticket for each queue.
    ///
    /// Dealt chunks of ranks that are far apart would be a very long list; then all from the slowest
    /// rank's on are named, those between them that others have passed included.
    pub(crate) fn rest(&self, next: &[Ticket]) -> Vec<Chunk> {
        /// Dealt chunks that are looked at one by one.
        const MOST: u64 = 1 << 20;
        match self.rule {
            Rule::Slices => {
                (0_u32..).zip(next).filter_map(|(queue, &next)| self.chunk(queue, next)).collect()
            }
            Rule::Equal | Rule::Shrinking => {
                let first = next.first().and_then(|&next| self.chunk(0, next));
                first.map(|chunk| chunk.start..self.n).into_iter().collect()
            }
            Rule::Dealt => {
                let procs = u64::from(self.procs);
                let least = next.iter().min().map_or(0, |ticket| ticket.0);
                let most = next.iter().max().map_or(0, |ticket| ticket.0);
                let apart = (most - least).checked_mul(procs).is_some_and(|chunks| chunks <= MOST);
                let common = if apart { most } else { least };
                let from =
                    common.saturating_mul(procs).saturating_mul(self.chunk.get()).min(self.n);
                let mut rest: Vec<Chunk> = (0_u32..)
                    .zip(next)
                    .flat_map(|(queue, next)| {
                        (next.0..common).filter_map(move |at| self.chunk(queue, Ticket(at)))
                    })
                    .collect();
                rest.push(from..self.n);
                rest
            }
        }
    }

    /// Says whether this is a partition that [`Partition::new`] could have made: for one that was read.
    pub(crate) fn is_sound(&self) -> bool {
        self.n <= MAX_SIZE
            && (1..=4096).contains(&self.procs)
            && self.chunk.get() <= self.n.max(1)
            && self.align.get() <= 1 << 16
    }

    /// Returns the number of a chunk among all of them, in index order.
    pub(crate) fn number(&self, chunk: &Chunk) -> u64 {
        match self.rule {
            Rule::Slices => {
                let first = (0..self.procs).find(|&rank| self.boundary(rank + 1) > chunk.start);
                first.unwrap_or(self.procs).into()
            }
            Rule::Dealt | Rule::Equal => chunk.start / self.chunk,
            // Counted: how many there are before it is no formula. For messages, so it may take a while.
            Rule::Shrinking => {
                let (mut ticket, mut number) = (self.first(0), 0);
                while ticket.0 < chunk.start {
                    ticket = self.next(0, ticket);
                    number += 1;
                }
                number
            }
        }
    }

    /// Returns the slice of the index space that `rank` touches first.
    ///
    /// It is the rank's own under `static`, and a fair share under the other schedules.
    pub(crate) fn slice(&self, rank: u32) -> Chunk {
        self.boundary(rank)..self.boundary(rank + 1)
    }

    /// Returns how many chunks there are.
    pub(crate) fn count(&self) -> u64 {
        match self.rule {
            Rule::Slices => {
                (0..self.procs).filter(|&rank| !self.slice(rank).is_empty()).count() as u64
            }
            Rule::Dealt | Rule::Equal => self.n.div_ceil(self.chunk.get()),
            Rule::Shrinking => {
                let mut ticket = self.first(0);
                let mut count = 0;
                while let Some(chunk) = self.chunk(0, ticket) {
                    count += 1;
                    // From here on every chunk is the smallest.
                    let left = self.n - chunk.end;
                    if left <= self.chunk.get() * 2 * u64::from(self.procs) {
                        let least = self.chunk.get().next_multiple_of(self.align.get());
                        return count + left.div_ceil(least);
                    }
                    ticket = self.next(0, ticket);
                }
                count
            }
        }
    }

    fn equal(&self, number: u64) -> Option<(u64, u64)> {
        let begin = number.checked_mul(self.chunk.get())?;
        (begin < self.n).then(|| (begin, self.n.min(begin + self.chunk.get())))
    }

    /// Returns where slice `rank` begins: sizes differ by at most one index, or by one page.
    fn boundary(&self, rank: u32) -> u64 {
        if rank >= self.procs {
            return self.n;
        }
        let exact = u128::from(self.n) * u128::from(rank) / u128::from(self.procs);
        #[expect(clippy::cast_possible_truncation, reason = "at most n, which is a u64")]
        let exact = exact as u64;
        exact - exact % self.align
    }
}

/// Chooses a chunk by time and bytes, for a kernel that takes `ns_per_index`.
///
/// At least 50 µs, so that a claim of well under a microsecond is noise, and at least 64 KiB of
/// results, a whole number of pages, so that no two writers share a page; at most a sixteenth of a
/// rank's fair share, so that the last chunks still balance. The rule is in time because a count is
/// wrong both ways: right for microsecond indices, it drowns nanosecond ones in claims.
pub(crate) fn preferred_chunk(n: u64, procs: u32, ns_per_index: f64, element: usize) -> NonZeroU64 {
    const NS: f64 = 50_000.0;
    const BYTES: u64 = 64 * 1024;
    const PAGE: u64 = 4096;
    let element = element as u64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let by_time = (NS / ns_per_index.max(1e-3)).ceil() as u64;
    // A costly index needs no company: the floor in bytes is for kernels that stream.
    let by_bytes = if ns_per_index < 100.0 { BYTES / element } else { 1 };
    let share = n.div_ceil(16 * u64::from(procs));
    let chunk = by_time.max(by_bytes).min(share).max(1);
    let page = PAGE / element;
    let whole = if chunk >= page { chunk.next_multiple_of(page) } else { chunk };
    NonZeroU64::new(whole).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all_chunks(partition: &Partition) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for queue in 0..partition.queues() {
            let mut ticket = partition.first(queue);
            while let Some(chunk) = partition.chunk(queue, ticket) {
                chunks.push(chunk);
                ticket = partition.next(queue, ticket);
            }
        }
        chunks
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        (
            prop_oneof![
                Just(ScheduleKind::Static),
                Just(ScheduleKind::Dynamic),
                Just(ScheduleKind::Guided)
            ],
            prop_oneof![Just(None), (1_u64..5000).prop_map(NonZeroU64::new)],
        )
            .prop_map(|(kind, chunk)| Schedule::new(kind, chunk))
    }

    proptest! {
        #[test]
        fn the_chunks_of_every_schedule_partition_the_index_space(
            schedule in schedules(),
            n in 0_u64..20_000,
            procs in 1_u32..70,
            preferred in 1_u64..5000,
            align in 1_u64..600,
        ) {
            let partition = Partition::new(
                schedule, n, procs,
                NonZeroU64::new(preferred).unwrap(), NonZeroU64::new(align).unwrap(),
            );
            let mut chunks = all_chunks(&partition);
            prop_assert_eq!(chunks.len() as u64, partition.count());
            chunks.sort_by_key(|chunk| chunk.start);
            let mut at = 0;
            for chunk in chunks {
                prop_assert_eq!(chunk.start, at);
                prop_assert!(chunk.end > chunk.start);
                at = chunk.end;
            }
            prop_assert_eq!(at, n);
            let mut at = 0;
            for rank in 0..procs {
                prop_assert_eq!(partition.slice(rank).start, at);
                at = partition.slice(rank).end;
            }
            prop_assert_eq!(at, n);
        }

        #[test]
        fn the_rest_is_all_that_the_tickets_before_do_not_name(
            schedule in schedules(), n in 0_u64..3000, procs in 1_u32..6,
            steps in proptest::collection::vec(0_usize..40, 6),
        ) {
            let partition = Partition::new(schedule, n, procs, NonZeroU64::MIN, NonZeroU64::MIN);
            prop_assert!(partition.is_sound());
            let mut taken = Vec::new();
            let mut next = Vec::new();
            for queue in 0..partition.queues() {
                let mut ticket = partition.first(queue);
                for _ in 0..steps[queue as usize] {
                    let Some(chunk) = partition.chunk(queue, ticket) else { break };
                    taken.push(chunk);
                    ticket = partition.next(queue, ticket);
                }
                next.push(ticket);
            }
            let taken: u64 = taken.iter().map(|chunk| chunk.end - chunk.start).sum();
            let rest = merged(partition.rest(&next));
            let left: u64 = rest.iter().map(|chunk| chunk.end - chunk.start).sum();
            prop_assert_eq!(taken + left, n);
        }

        #[test]
        fn no_ticket_of_the_largest_index_space_overflows(
            schedule in schedules(), procs in 1_u32..=4096, raw in 0_u64..(1 << Ticket::BITS),
        ) {
            let partition = Partition::new(
                schedule, MAX_SIZE, procs, NonZeroU64::MIN, NonZeroU64::new(512).unwrap());
            for queue in [0, partition.queues() - 1] {
                if let Some(chunk) = partition.chunk(queue, Ticket::from_raw(raw)) {
                    prop_assert!(chunk.end <= MAX_SIZE);
                    let next = partition.next(queue, Ticket::from_raw(raw));
                    prop_assert!(next.raw() < 1 << Ticket::BITS);
                }
            }
        }
    }

    #[test]
    fn reads_openmps_words_and_says_them_back() {
        for text in ["static", "static,64", "dynamic", "dynamic,1", "guided,16"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        assert_eq!("dynamic,1e3".parse::<Schedule>().unwrap().to_string(), "dynamic,1000");
    }

    #[test]
    fn refuses_what_is_no_schedule_with_the_nearest_name() {
        let error = "dynamik,4".parse::<Schedule>().unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `dynamic`?"));
        for text in ["", ",", "dynamic,0", "dynamic,-1", "dynamic,x", "static,1,2", "roundrobin"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }

    #[test]
    fn static_gives_each_rank_one_slice_of_nearly_equal_size() {
        let schedule = Schedule::new(ScheduleKind::Static, None);
        let partition = Partition::new(schedule, 10, 4, NonZeroU64::MIN, NonZeroU64::MIN);
        assert_eq!(all_chunks(&partition), [0..2, 2..5, 5..7, 7..10]);
    }

    #[test]
    fn guided_chunks_shrink_with_what_remains() {
        let schedule = Schedule::new(ScheduleKind::Guided, NonZeroU64::new(3));
        let partition = Partition::new(schedule, 40, 2, NonZeroU64::MIN, NonZeroU64::MIN);
        let lengths: Vec<u64> = all_chunks(&partition).iter().map(|c| c.end - c.start).collect();
        assert_eq!(lengths, [10, 8, 6, 4, 3, 3, 3, 3]);
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
