//! What the processor counts while this process runs: cycles, instructions, cache misses.
//!
//! Linux calls it perf events. Counted is this thread, in user space alone: that is allowed up to
//! `perf_event_paranoid` = 2, what most systems have. All counters are one group, so that they count at the same
//! time, or none of them does: where others want the same few registers the group has a share of the time, and
//! its two times say which. A counter that this machine lacks is left out; a machine without any is no error.
//!
//! The one file that imports `perf_event`. Of a group it is only asked to begin and to end: its `Group::read`
//! panics once any counter of the group could not be opened. Counters that stand still are as well read one by one.

use std::io;

use perf_event::events::{Event, Hardware, Software};
use perf_event::{Builder, Counter, Group};

/// How many counters there are in a [`Counts`].
pub(crate) const COUNTERS: usize = 3;

/// Whose counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The processor's: cycles, instructions, misses of the last cache.
    Processor,
    /// The system's own, in their place: nanoseconds on a CPU, page faults, switches of user space, which are none.
    /// For tests, where a machine has no others.
    System,
}

impl Source {
    fn events(self) -> [Event; COUNTERS] {
        match self {
            Self::Processor => {
                [Hardware::CPU_CYCLES, Hardware::INSTRUCTIONS, Hardware::CACHE_MISSES]
                    .map(Event::from)
            }
            Self::System => {
                [Software::TASK_CLOCK, Software::PAGE_FAULTS, Software::CONTEXT_SWITCHES]
                    .map(Event::from)
            }
        }
    }
}

/// What was counted, and for how long, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// In the order of the events; `None`: there is no such counter here.
    pub(crate) values: [Option<u64>; COUNTERS],
    /// How long the thread was on a CPU meanwhile.
    pub(crate) enabled: u64,
    /// How much of that the counters were its own.
    pub(crate) running: u64,
}

impl Counts {
    fn since(&self, before: &Self) -> Self {
        let mut values = self.values;
        for (value, before) in values.iter_mut().zip(before.values) {
            *value = value.map(|now| now.saturating_sub(before.unwrap_or(0)));
        }
        Self {
            values,
            enabled: self.enabled.saturating_sub(before.enabled),
            running: self.running.saturating_sub(before.running),
        }
    }
}

/// Counters of the thread that opened them, which stand still until they are begun.
#[derive(Debug)]
pub(crate) struct EventGroup {
    group: Group,
    counters: [Option<Counter>; COUNTERS],
    /// Up to the last end: times cannot be set back to nothing.
    before: Counts,
}

impl EventGroup {
    /// Opens the counters. An error says why there is not even one.
    pub(crate) fn open(source: Source) -> io::Result<Self> {
        let mut group = Group::new()?;
        let mut why = None;
        let counters = source.events().map(|event| {
            match Builder::new().group(&mut group).kind(event).build() {
                Ok(counter) => Some(counter),
                Err(error) => {
                    why.get_or_insert(error);
                    None
                }
            }
        });
        match why {
            Some(error) if counters.iter().all(Option::is_none) => Err(error),
            _ => Ok(Self { group, counters, before: Counts::default() }),
        }
    }

    /// Counts from now on.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        self.group.enable()
    }

    /// Counts no longer, and returns what was counted since the last end.
    pub(crate) fn end(&mut self) -> io::Result<Counts> {
        self.group.disable()?;
        let mut now = Counts::default();
        for (value, counter) in now.values.iter_mut().zip(&mut self.counters) {
            let Some(counter) = counter else { continue };
            let read = counter.read_count_and_time()?;
            *value = Some(read.count);
            // One group: the same of each of them.
            (now.enabled, now.running) = (read.time_enabled, read.time_running);
        }
        let counted = now.since(&self.before);
        self.before = now;
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use super::*;

    /// Touches pages that nobody has touched.
    fn fault(pages: usize) {
        // More than any allocator keeps: it is mapped for this, and unmapped after.
        let mut memory = vec![0_u8; pages * 4096];
        for page in memory.chunks_mut(4096) {
            page[0] = black_box(1);
        }
        black_box(&memory);
    }

    fn busy(time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            black_box(0);
        }
    }

    /// The system's counters; nothing where even they are not to be had, which a container may decide.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn system() -> Option<EventGroup> {
        let opened = EventGroup::open(Source::System);
        opened.map_err(|error| eprintln!("skipped: perf_event_open: {error}")).ok()
    }

    const PAGES: usize = 4096;

    #[test]
    fn what_happens_between_begin_and_end_is_counted_and_nothing_else() {
        let Some(mut counting) = system() else { return };
        fault(PAGES);
        counting.begin().unwrap();
        fault(PAGES);
        busy(Duration::from_millis(20));
        let first = counting.end().unwrap();
        let [Some(on_cpu), Some(faults), Some(switches)] = first.values else {
            panic!("{first:?}")
        };
        assert!(on_cpu > 0 && on_cpu <= first.enabled, "{first:?}");
        assert!(
            first.enabled > 0 && first.running == first.enabled,
            "nobody wants them: {first:?}"
        );
        // Fewer than its pages where the system gives huge ones.
        assert!(faults >= ((PAGES * 4096) >> 21) as u64, "{first:?}");
        assert_eq!(switches, 0, "those are the kernel's, which is not counted");

        fault(PAGES);
        counting.begin().unwrap();
        let second = counting.end().unwrap();
        assert!(second.values[1] < Some(faults), "{first:?} {second:?}");
    }

    #[test]
    fn time_without_a_cpu_is_not_in_it() {
        let Some(mut counting) = system() else { return };
        let begun = Instant::now();
        counting.begin().unwrap();
        let asleep = Duration::from_millis(50);
        std::thread::sleep(asleep);
        let counts = counting.end().unwrap();
        let awake = begun.elapsed().saturating_sub(asleep);
        assert!(u128::from(counts.enabled) <= awake.as_nanos(), "{counts:?} {awake:?}");
    }

    #[test]
    fn a_machine_without_counters_says_so_by_an_error_and_one_with_them_counts() {
        match EventGroup::open(Source::Processor) {
            Err(error) => assert!(error.raw_os_error().is_some(), "{error}"),
            Ok(mut counting) => {
                counting.begin().unwrap();
                busy(Duration::from_millis(20));
                let counts = counting.end().unwrap();
                assert!(counts.running <= counts.enabled, "{counts:?}");
                if counts.running > 0 {
                    assert!(
                        counts.values.into_iter().flatten().any(|value| value > 0),
                        "{counts:?}"
                    );
                }
            }
        }
    }
}
