//! What happened in a run beside its work: for its report, its record, and its exit code.

use crate::schedule::{Chunk, merged};

/// Whether what lies in memory can be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing is known against it.
    #[default]
    Sound,
    /// The death that ended the run may have damaged it.
    Suspect,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// In the order they were given.
    pub(crate) warnings: Vec<String>,
    /// Deaths that the run survived.
    pub(crate) recovered: u32,
    /// How often all of it was begun again, after a fault that may have damaged memory.
    pub(crate) restarts: u32,
    pub(super) memory: Memory,
    /// Indices that have no result, in ascending order.
    pub(crate) missing: Vec<Chunk>,
}

impl History {
    /// Adds to what is missing.
    pub(super) fn miss(&mut self, range: Chunk) {
        self.missing.push(range);
        self.missing = merged(std::mem::take(&mut self.missing));
    }

    /// Says which indices are missing, in words; `None` if none is.
    pub(crate) fn missing_text(&self) -> Option<String> {
        const SHOWN: usize = 8;
        let count: u64 = self.missing.iter().map(|range| range.end - range.start).sum();
        let name = |range: &Chunk| match range.end - range.start {
            1 => range.start.to_string(),
            _ => format!("{}..{}", range.start, range.end),
        };
        let mut names: Vec<String> = self.missing.iter().take(SHOWN).map(name).collect();
        if self.missing.len() > SHOWN {
            names.push(format!("{} more ranges", self.missing.len() - SHOWN));
        }
        match count {
            0 => None,
            1 => Some(format!("index {} has no result", names.join(", "))),
            _ => Some(format!("{count} indices have no result: {}", names.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_in_order_and_without_overlap() {
        let mut history = History::default();
        assert_eq!(history.missing_text(), None);
        history.miss(7..8);
        assert_eq!(history.missing_text().unwrap(), "index 7 has no result");
        history.miss(2..4);
        history.miss(8..10);
        assert_eq!(history.missing_text().unwrap(), "5 indices have no result: 2..4, 7..10");
    }
}
