//! An index space, cut: queues of tickets, and the chunk that each ticket names.

use std::num::NonZeroU64;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Schedule, ScheduleKind};

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
}
