//! An index space, cut: queues of tickets, and the chunk that each ticket names.

use std::num::NonZeroU64;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::rules::{Factoring, Trapezoid, Weight};
use super::{Choice, Schedule, ScheduleKind, Scope, Source};

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
    /// What `auto` has chosen: it is in the segment, and added by whoever reads it there.
    #[serde(skip)]
    choice: Option<Choice>,
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
    /// One queue of chunks that fall linearly.
    Falling,
    /// One queue of batches of equal chunks.
    Batches,
    /// One queue of chunks that each rank draws in proportion to its pace.
    Weighted,
    /// Equal chunks with numbers, of which each rank owns a range.
    Owned,
    /// One queue as far as this index; then what the choice says.
    Probing { until: u64 },
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
            (ScheduleKind::Tss, _) => Rule::Falling,
            (ScheduleKind::Fac2, _) => Rule::Batches,
            (ScheduleKind::AwfB, _) => Rule::Weighted,
            (ScheduleKind::Steal, _) => Rule::Owned,
            (ScheduleKind::Auto, _) => Self::probing(n, procs, preferred),
        };
        let align = if n / u64::from(procs) >= 16 * align.get() { align } else { NonZeroU64::MIN };
        // A chunk beyond n is n; the cap keeps sums of starts and lengths far from overflow.
        let chunk =
            schedule.chunk.unwrap_or(preferred).min(NonZeroU64::new(n).unwrap_or(NonZeroU64::MIN));
        let chunk = if rule == Rule::Owned { owned_chunk(chunk, n) } else { chunk };
        Self { rule, n, procs, chunk, align, choice: None }
    }

    /// Returns how `auto` begins: it looks at a sixty-fourth, or at a chunk a rank. Where that is
    /// more than a sixteenth, nothing is to be gained by looking: then it is `dynamic`.
    fn probing(n: u64, procs: u32, preferred: NonZeroU64) -> Rule {
        let few = preferred.get().saturating_mul(u64::from(procs));
        let until = (n / 64).max(few);
        if until <= n / 16 { Rule::Probing { until } } else { Rule::Equal }
    }

    /// Adds what `auto` has chosen; other rules have no use for it.
    pub(crate) fn with(self, choice: Option<Choice>) -> Self {
        Self { choice, ..self }
    }

    /// Returns what `auto` has chosen.
    pub(crate) fn choice(&self) -> Option<Choice> {
        self.choice
    }

    /// Says whether a choice has to be made before this ticket, which is none yet.
    pub(crate) fn is_undecided_at(&self, ticket: Ticket) -> bool {
        match self.rule {
            Rule::Probing { until } => self.choice.is_none() && ticket.0 >= until,
            _ => false,
        }
    }

    /// Says whether a choice is made while the run goes on.
    pub(crate) fn is_chosen_late(&self) -> bool {
        matches!(self.rule, Rule::Probing { .. })
    }

    /// Returns how many indices a choice is made for, and for how many ranks.
    pub(crate) fn undecided(&self) -> u64 {
        match self.rule {
            Rule::Probing { until } => self.n - until,
            _ => 0,
        }
    }

    /// Returns the batch that an index is of, by the length of its chunks, where ranks have weights.
    pub(crate) fn batch(&self, index: u64) -> Option<u64> {
        (self.rule == Rule::Weighted).then(|| self.factoring().chunk_at(index))
    }

    /// Returns where numbered chunks begin, and how long they are, if there are any.
    fn owned(&self) -> Option<(u64, NonZeroU64)> {
        match (self.rule, self.choice) {
            (Rule::Owned, _) => Some((0, self.chunk)),
            (Rule::Probing { until }, Some(choice)) if choice.source == Source::Ranges => {
                let chunk = owned_chunk(choice.chunk, self.n);
                Some((if choice.scope == Scope::Whole { 0 } else { until }, chunk))
            }
            _ => None,
        }
    }

    /// Says whether ranks own ranges of numbered chunks.
    pub(crate) fn has_ranges(&self) -> bool {
        self.owned().is_some()
    }

    /// Returns the numbers of the chunks that a rank owns at first.
    pub(crate) fn range(&self, rank: u32) -> Range<u32> {
        let Some((from, chunk)) = self.owned() else { return 0..0 };
        let count = (self.n - from).div_ceil(chunk.get());
        let at = |rank: u32| {
            let at = u128::from(count) * u128::from(rank) / u128::from(self.procs);
            u32::try_from(at).unwrap_or(u32::MAX)
        };
        if rank < self.procs { at(rank)..at(rank + 1) } else { 0..0 }
    }

    /// Returns the chunk of this number, where ranks own ranges; `None` past the last.
    pub(crate) fn numbered(&self, number: u32) -> Option<Chunk> {
        let (from, chunk) = self.owned()?;
        let begin = u64::from(number).checked_mul(chunk.get())?.checked_add(from)?;
        (begin < self.n).then(|| begin..self.n.min(begin + chunk.get()))
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
            Rule::Falling => Schedule::new(ScheduleKind::Tss, Some(self.chunk)),
            Rule::Batches => Schedule::new(ScheduleKind::Fac2, Some(self.chunk)),
            Rule::Weighted => Schedule::new(ScheduleKind::AwfB, Some(self.chunk)),
            Rule::Owned => Schedule::new(ScheduleKind::Steal, Some(self.chunk)),
            Rule::Probing { .. } => match self.choice {
                None => Schedule::new(ScheduleKind::Auto, None),
                Some(Choice { source: Source::Counter, chunk, .. }) => {
                    Schedule::new(ScheduleKind::Dynamic, Some(chunk))
                }
                Some(Choice { source: Source::Ranges, chunk, .. }) => {
                    Schedule::new(ScheduleKind::Steal, Some(chunk))
                }
            },
        }
    }

    /// Returns the number of queues: one, or one per rank.
    pub(crate) fn queues(&self) -> u32 {
        match self.rule {
            Rule::Slices | Rule::Dealt => self.procs,
            _ => 1,
        }
    }

    /// Returns the first ticket of a queue, for a rank of this weight.
    pub(crate) fn first(&self, _queue: u32, weight: Weight) -> Ticket {
        match self.rule {
            Rule::Weighted => weighted(0, weight),
            _ => Ticket(0),
        }
    }

    /// Returns the ticket after `ticket`, which must name a chunk, for a rank of this weight.
    pub(crate) fn next(&self, queue: u32, ticket: Ticket, weight: Weight) -> Ticket {
        let end = || self.chunk(queue, ticket).map_or(self.n, |chunk| chunk.end);
        match self.rule {
            Rule::Shrinking | Rule::Probing { .. } => Ticket(end()),
            Rule::Weighted => weighted(end(), weight),
            _ => Ticket(ticket.0 + 1),
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
            Rule::Falling => {
                self.cut(Trapezoid::new(self.n, self.procs, self.chunk).at(ticket.0)?)?
            }
            Rule::Batches => self.cut(self.factoring().at(ticket.0)?)?,
            Rule::Weighted => {
                let (start, weight) = (ticket.0 >> Weight::BITS, Weight::from_raw(ticket.0));
                let length = weight.of_length(self.factoring().chunk_at(start));
                self.cut((start, length.max(self.chunk.get())))?
            }
            Rule::Owned => return None,
            // The ticket is the first index.
            Rule::Probing { until } => self.cut((ticket.0, self.probe(until, ticket.0)?))?,
        };
        (begin < end).then_some(begin..end)
    }

    /// Cuts a chunk off at n; `None` if it begins there or later.
    fn cut(&self, (start, length): (u64, u64)) -> Option<(u64, u64)> {
        (start < self.n).then(|| (start, self.n.min(start.saturating_add(length))))
    }

    fn factoring(&self) -> Factoring {
        Factoring::new(self.n, self.procs, self.chunk)
    }

    /// Returns the length of `auto`'s chunk that begins at this index; `None` if it is none of the queue.
    fn probe(&self, until: u64, start: u64) -> Option<u64> {
        let procs = u64::from(self.procs);
        let choice = self.choice.filter(|choice| start >= until || choice.scope == Scope::Whole);
        match choice {
            // All costs are unknown: a claim's worth at first, and growing.
            None if start < until => {
                let least = (self.chunk.get() / 256).max(1);
                Some((start / (2 * procs)).clamp(least, self.chunk.get()).min(until - start))
            }
            // Nobody claims it before the choice is made: for those who ask what is left.
            None => Some(self.n - start.min(self.n)),
            Some(Choice { source: Source::Ranges, .. }) => None,
            Some(Choice { source: Source::Counter, chunk, .. }) => {
                // The last ones are smaller, so that all end together.
                let taper = (self.n - start.min(self.n)).div_ceil(4 * procs);
                let least = chunk.get().div_ceil(8);
                let length = taper.clamp(least, chunk.get());
                // On a page's boundary, where chunks are that long.
                let end = (start + length).next_multiple_of(self.align.get());
                Some(if length > 2 * self.align.get() { end - start } else { length })
            }
        }
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
            Rule::Owned => Vec::new(),
            Rule::Probing { until } => {
                let end = match self.choice {
                    Some(Choice { source: Source::Ranges, scope: Scope::Rest, .. }) => until,
                    Some(Choice { source: Source::Ranges, scope: Scope::Whole, .. }) => 0,
                    _ => self.n,
                };
                next.first().map(|next| next.0..end).into_iter().collect()
            }
            Rule::Equal | Rule::Shrinking | Rule::Falling | Rule::Batches | Rule::Weighted => {
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
            Rule::Dealt | Rule::Equal | Rule::Owned => chunk.start / self.chunk,
            // Counted: how many there are before it is no formula. For messages, so it may take a while.
            _ => {
                let owned = self.owned().filter(|(from, _)| *from <= chunk.start);
                let end = owned.map_or(chunk.start, |(from, _)| from);
                let before = self.chunks().take_while(|other| other.start < end).count() as u64;
                before + owned.map_or(0, |(from, length)| (chunk.start - from) / length)
            }
        }
    }

    /// Returns the chunks of the only queue, for a rank of even weight.
    fn chunks(&self) -> impl Iterator<Item = Chunk> {
        let mut ticket = self.first(0, Weight::EVEN);
        std::iter::from_fn(move || {
            let chunk = self.chunk(0, ticket)?;
            ticket = self.next(0, ticket, Weight::EVEN);
            Some(chunk)
        })
    }

    /// Returns the slice of the index space that `rank` touches first.
    ///
    /// It is the rank's own under `static`, and a fair share under the other schedules.
    pub(crate) fn slice(&self, rank: u32) -> Chunk {
        match self.owned() {
            Some((0, chunk)) => {
                let range = self.range(rank);
                let at = |number: u32| (u64::from(number) * chunk.get()).min(self.n);
                at(range.start)..at(range.end)
            }
            _ => self.boundary(rank)..self.boundary(rank + 1),
        }
    }

    /// Returns how many chunks there are; `None` where a choice or a pace decides, when the run goes on.
    pub(crate) fn count(&self) -> Option<u64> {
        Some(match self.rule {
            Rule::Slices => {
                (0..self.procs).filter(|&rank| !self.slice(rank).is_empty()).count() as u64
            }
            Rule::Dealt | Rule::Equal | Rule::Owned => self.n.div_ceil(self.chunk.get()),
            Rule::Probing { .. } | Rule::Weighted => return None,
            Rule::Shrinking | Rule::Falling | Rule::Batches => {
                // From some chunk on all have one length: those are not counted one by one.
                let least = match self.rule {
                    Rule::Shrinking => self.chunk.get().next_multiple_of(self.align.get()),
                    _ => self.chunk.get(),
                };
                let mut counted = 0;
                for chunk in self.chunks() {
                    if chunk.end - chunk.start <= least {
                        return Some(counted + (self.n - chunk.start).div_ceil(least));
                    }
                    counted += 1;
                }
                counted
            }
        })
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

/// Returns the ticket of a chunk that begins at this index, for a rank of this weight.
fn weighted(start: u64, weight: Weight) -> Ticket {
    Ticket(start << Weight::BITS | weight.raw())
}

/// Returns the nearest chunk that ranges may have: numbers of chunks fit half a word, and those of a
/// chunk's blocks, none of which is empty, the rest of an undo word beside it.
fn owned_chunk(chunk: NonZeroU64, n: u64) -> NonZeroU64 {
    const MOST: u64 = (1 << 30) - 1;
    let least = n.div_ceil(u64::from(u32::MAX) - 1);
    NonZeroU64::new(chunk.get().max(least).min(MOST)).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests;
