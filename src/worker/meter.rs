//! What the processor counts of this rank while passes are timed.
//!
//! It is begun and ended with the watch, so nothing before the first timed pass is in it; the preparation of
//! further passes is, and so are waits that spin. To open counters takes system calls, long before the first
//! timed pass, and once a process; to begin is one.

use crate::host::events::{EventGroup, Source};
use crate::shm::{Counted, RankSlot};

/// For tests, on machines without counters: set, the system's are asked in place of the processor's. What is
/// said to be cycles are nanoseconds on a CPU then, and instructions are page faults.
const INSTEAD: &str = "SPMD_TEST_SYSTEM_COUNTERS";

/// Counts in one world after another; counters stay open between them.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Once they were asked for. Of the error its number is kept.
    opened: Option<Result<EventGroup, u64>>,
    began: bool,
}

impl Meter {
    /// Opens the counters.
    pub(super) fn get_ready(&mut self) {
        let opened = self.opened.get_or_insert_with(|| {
            let instead = std::env::var_os(INSTEAD).is_some();
            let source = if instead { Source::System } else { Source::Processor };
            EventGroup::open(source).map_err(|error| number(&error))
        });
        if let (true, Ok(group)) = (self.began, opened) {
            let _ = group.end(); // Of a world that ended early: nobody will read it.
        }
        self.began = false;
    }

    /// A timed pass begins; the first one counts.
    pub(super) fn begin(&mut self) {
        if let (false, Some(Ok(group))) = (self.began, &mut self.opened) {
            self.began = group.begin().is_ok();
        }
    }

    /// The last timed pass is over: writes down what was counted, or why nothing was.
    pub(super) fn end(&mut self, slot: &RankSlot) {
        let counted = match (std::mem::take(&mut self.began), &mut self.opened) {
            (true, Some(Ok(group))) => group.end().map_err(|error| number(&error)),
            (_, Some(Err(refused))) => Err(*refused),
            // This process was in no timed pass.
            (_, Some(Ok(_)) | None) => return,
        };
        slot.counted.store(&match counted {
            Err(refused) => Counted { refused: Some(refused), ..Counted::default() },
            Ok(counts) => {
                let [cycles, instructions, cache_misses] = counts.values;
                let (enabled, running) = (Some(counts.enabled), Some(counts.running));
                Counted { cycles, instructions, cache_misses, enabled, running, refused: None }
            }
        });
    }
}

/// Returns the number of an error that the system gave; 0 of others.
fn number(error: &std::io::Error) -> u64 {
    error.raw_os_error().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}
