//! What a rank writes down of its chunks where a trace was asked for: when it asked for each, had it,
//! and was done with it.
//!
//! Each rank has a row of steps, which it alone writes, and a count of those that are whole. A step is
//! counted after it is written, so a death leaves at most one that nobody reads; the rank's next process
//! goes on behind the last that counts. A row that is full stays as it is, and what did not fit is
//! counted.

use super::sync::{Acquire, AtomicU64, Relaxed, Release};
use crate::schedule::Chunk;

/// How far a rank's row is filled, alone on its line.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct TrailHead {
    /// Steps that are whole.
    count: AtomicU64,
    /// Chunks that did not fit.
    left_out: AtomicU64,
}

const WORDS: usize = 6;

/// One step, as words: {pid: 32, kind: 2, pass: 30}, two of its kind, asked, ready, done.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct StepWords([AtomicU64; WORDS]);

/// What a rank did next, with its three times in nanoseconds by CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) pid: u32,
    /// Which of the timed passes.
    pub(crate) pass: u32,
    pub(crate) what: What,
    /// It asked for a chunk.
    pub(crate) asked: u64,
    /// It had one; or knew that there is none, and arrived at the barrier.
    pub(crate) ready: u64,
    /// It had computed it; or left the barrier.
    pub(crate) done: u64,
}

/// What a step was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A chunk was computed.
    Chunk(Chunk),
    /// There was none, and the rank waited for the others. Its pass had begun then.
    Wait {
        /// When the rank began the pass.
        begun: u64,
    },
}

const CHUNK: u64 = 1;
const WAIT: u64 = 2;
const PASS_BITS: u32 = 30;

impl Step {
    fn words(&self) -> [u64; WORDS] {
        let (kind, [first, second]) = match &self.what {
            What::Chunk(chunk) => (CHUNK, [chunk.start, chunk.end]),
            What::Wait { begun } => (WAIT, [*begun, 0]),
        };
        let pass = u64::from(self.pass) & ((1 << PASS_BITS) - 1);
        let label = u64::from(self.pid) << 32 | kind << PASS_BITS | pass;
        [label, first, second, self.asked, self.ready, self.done]
    }

    /// Reads words that another process wrote; `None` if they are no step.
    fn of([label, first, second, asked, ready, done]: [u64; WORDS]) -> Option<Self> {
        let what = match label >> PASS_BITS & 3 {
            CHUNK if first < second => What::Chunk(first..second),
            WAIT if first <= asked => What::Wait { begun: first },
            _ => return None,
        };
        let pid = u32::try_from(label >> 32).ok()?;
        let pass = u32::try_from(label & ((1 << PASS_BITS) - 1)).ok()?;
        (asked <= ready && ready <= done).then_some(Self { pid, pass, what, asked, ready, done })
    }
}

/// One rank's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail<'a> {
    head: &'a TrailHead,
    steps: &'a [StepWords],
}

impl<'a> Trail<'a> {
    pub(super) fn new(head: &'a TrailHead, steps: &'a [StepWords]) -> Self {
        Self { head, steps }
    }

    /// Maps the pages of the row into this process, so that no chunk pays for them. By the row's rank.
    pub(crate) fn touch(&self) {
        const PAGE: usize = 4096;
        for step in self.steps.iter().step_by(PAGE / size_of::<StepWords>()) {
            step.0[0].store(step.0[0].load(Relaxed), Relaxed); // What it is; nobody else writes it.
        }
    }

    /// Adds a step. By the row's rank alone.
    pub(crate) fn add(&self, step: &Step) {
        // Relaxed: its only writers are this process and those before it, which are dead.
        let count = self.head.count.load(Relaxed);
        let Some(words) = usize::try_from(count).ok().and_then(|at| self.steps.get(at)) else {
            if matches!(step.what, What::Chunk(_)) {
                self.head.left_out.fetch_add(1, Relaxed); // Read after all ranks have left.
            }
            return;
        };
        for (place, word) in words.0.iter().zip(step.words()) {
            place.store(word, Relaxed); // Published by [trail].
        }
        self.head.count.store(count + 1, Release); // Pairs with Acquire in `steps` [trail].
    }

    /// Returns the steps that are whole, in the order in which they were taken.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> + Clone + use<'a> {
        let count = self.head.count.load(Acquire); // Pairs with Release in `add` [trail].
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.steps.len());
        // Relaxed: ordered by [trail].
        let read = |words: &StepWords| Step::of(words.0.each_ref().map(|word| word.load(Relaxed)));
        self.steps[..count].iter().filter_map(read)
    }

    /// Returns how many chunks did not fit.
    pub(crate) fn left_out(&self) -> u64 {
        self.head.left_out.load(Relaxed) // Read after all ranks have left.
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use super::*;

    fn row(len: usize) -> (TrailHead, Vec<StepWords>) {
        let words = || StepWords(std::array::from_fn(|_| AtomicU64::new(0)));
        let head = TrailHead { count: AtomicU64::new(0), left_out: AtomicU64::new(0) };
        (head, std::iter::repeat_with(words).take(len).collect())
    }

    fn chunk(first: u64) -> Step {
        let what = What::Chunk(first..first + 5);
        Step { pid: u32::MAX, pass: 7, what, asked: 10, ready: 12, done: 20 }
    }

    #[test]
    fn a_row_says_what_was_added_as_far_as_it_fits_and_counts_the_rest() {
        let (head, steps) = row(3);
        let trail = Trail::new(&head, &steps);
        trail.add(&chunk(0));
        let wait = Step { what: What::Wait { begun: 9 }, ..chunk(0) };
        trail.add(&wait);
        trail.touch();
        // As the process does that takes the place of one that died.
        let trail = Trail::new(&head, &steps);
        trail.add(&chunk(5));
        trail.add(&chunk(10));
        trail.add(&wait);
        assert_eq!(trail.steps().collect::<Vec<_>>(), [chunk(0), wait, chunk(5)]);
        assert_eq!(trail.left_out(), 1);
    }

    #[test]
    fn words_that_are_no_step_are_left_out() {
        let (head, steps) = row(4);
        head.count.store(u64::MAX, Relaxed);
        let trail = Trail::new(&head, &steps);
        assert_eq!(trail.steps().count(), 0);
        let words = |words: [u64; WORDS]| Step::of(words);
        assert!(words(chunk(3).words()).is_some());
        let [label, ..] = chunk(3).words();
        assert_eq!(words([label, 5, 5, 1, 2, 3]), None, "an empty chunk");
        assert_eq!(words([label, 5, 6, 3, 2, 1]), None, "time that runs backwards");
        assert_eq!(words([u64::MAX; WORDS]), None, "no kind");
    }
}
