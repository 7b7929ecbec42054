//! Partitions are partitions, whatever cuts them.

use super::*;
use proptest::prelude::*;

/// All chunks of the queues and of the ranks' ranges; who draws next differs in weight.
fn all_chunks(partition: &Partition) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for queue in 0..partition.queues() {
        let weight = |turn: usize| Weight::from_raw([32, 7, 127, 1][turn % 4]);
        let mut ticket = partition.first(queue, weight(0));
        while let Some(chunk) = partition.chunk(queue, ticket) {
            chunks.push(chunk);
            ticket = partition.next(queue, ticket, weight(chunks.len()));
        }
    }
    for rank in 0..partition.procs() {
        chunks.extend(partition.range(rank).map(|number| partition.numbered(number).unwrap()));
    }
    chunks
}

fn schedules() -> impl Strategy<Value = Schedule> {
    use ScheduleKind::{Auto, AwfB, Dynamic, Fac2, Guided, Static, Steal, Tss};
    let kinds = vec![Static, Dynamic, Guided, Tss, Fac2, AwfB, Steal, Auto];
    (
        proptest::sample::select(kinds),
        prop_oneof![Just(None), (1_u64..5000).prop_map(NonZeroU64::new)],
    )
        .prop_map(|(kind, chunk)| Schedule::new(kind, chunk))
}

fn choices() -> impl Strategy<Value = Option<Choice>> {
    let sources = proptest::sample::select(vec![Source::Counter, Source::Ranges]);
    let scopes = proptest::sample::select(vec![Scope::Rest, Scope::Whole]);
    let choice = (sources, scopes, 1_u64..5000).prop_map(|(source, scope, chunk)| {
        let chunk = NonZeroU64::new(chunk).unwrap();
        Some(Choice { source, scope, chunk })
    });
    prop_oneof![1 => Just(None), 4 => choice]
}

#[test]
fn chunks_of_ranges_fit_their_words_however_many_indices_there_are() {
    for (text, least, most) in [("steal,1", 256, 1 << 30), ("steal,1e12", 1 << 29, 1 << 30)] {
        let one = NonZeroU64::MIN;
        let partition = Partition::new(text.parse().unwrap(), MAX_SIZE, 3, one, one);
        let first = partition.numbered(0).unwrap();
        assert!(first.end > least && first.end < most, "{text}: {first:?}");
        let range = partition.range(2);
        assert_eq!(partition.numbered(range.end - 1).unwrap().end, MAX_SIZE);
        assert_eq!(partition.numbered(range.end), None);
    }
}

proptest! {
    #[test]
    fn the_chunks_of_every_schedule_partition_the_index_space(
        schedule in schedules(),
        choice in choices(),
        n in prop_oneof![0_u64..20_000, 200_000_u64..300_000],
        procs in 1_u32..70,
        preferred in 1_u64..5000,
        align in 1_u64..600,
    ) {
        let partition = Partition::new(
            schedule, n, procs,
            NonZeroU64::new(preferred).unwrap(), NonZeroU64::new(align).unwrap(),
        );
        let partition = partition.with(choice);
        let mut chunks = all_chunks(&partition);
        if let Some(count) = partition.count() {
            prop_assert_eq!(chunks.len() as u64, count);
        }
        chunks.sort_by_key(|chunk| chunk.start);
        for (number, chunk) in (0..).zip(&chunks).step_by(chunks.len() / 20 + 1) {
            if schedule.kind() != ScheduleKind::AwfB {
                prop_assert_eq!(partition.number(chunk), number);
            }
        }
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
        schedule in schedules(), choice in choices(), n in 0_u64..3000, procs in 1_u32..6,
        steps in proptest::collection::vec(0_usize..40, 6),
    ) {
        let partition = Partition::new(schedule, n, procs, NonZeroU64::MIN, NonZeroU64::MIN);
        let partition = partition.with(choice);
        prop_assert!(partition.is_sound());
        let mut taken = Vec::new();
        let mut next = Vec::new();
        for queue in 0..partition.queues() {
            let mut ticket = partition.first(queue, Weight::EVEN);
            for _ in 0..steps[queue as usize] {
                let Some(chunk) = partition.chunk(queue, ticket) else { break };
                taken.push(chunk);
                ticket = partition.next(queue, ticket, Weight::EVEN);
            }
            next.push(ticket);
        }
        let owned = (0..procs).flat_map(|rank| partition.range(rank));
        let owned: Vec<Chunk> =
            owned.map(|number| partition.numbered(number).unwrap()).collect();
        let length = |chunks: &[Chunk]| -> u64 {
            chunks.iter().map(|chunk| chunk.end - chunk.start).sum()
        };
        let rest = merged(partition.rest(&next));
        prop_assert_eq!(length(&taken) + length(&owned) + length(&rest), n);
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
                let next = partition.next(queue, Ticket::from_raw(raw), Weight::from_raw(127));
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
