//! A few numbered things, remembered alike at both ends of a line.
//!
//! Each end applies the same calls in the same order, so what one finds the other one has: a thing needs to be
//! sent once only, until so many others were sent after it.

/// So many things are remembered.
const MOST: usize = 8;

/// The things used last, the latest first.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    things: Vec<(u64, T)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { things: Vec::new() }
    }
}

impl<T> Recent<T> {
    /// Returns the thing of this number, which becomes the latest.
    pub(crate) fn find(&mut self, number: u64) -> Option<&T> {
        let at = self.things.iter().position(|(known, _)| *known == number)?;
        self.things[..=at].rotate_right(1);
        self.things.first().map(|(_, thing)| thing)
    }

    /// Adds the latest thing, and forgets the one that was used longest ago where there are too many. One of this
    /// number is replaced.
    pub(crate) fn add(&mut self, number: u64, thing: T) -> &T {
        self.things.retain(|(known, _)| *known != number);
        self.things.truncate(MOST - 1);
        self.things.insert(0, (number, thing));
        &self.things[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_is_forgotten() {
        let mut recent = Recent::default();
        (0..MOST as u64)
            .for_each(|number| assert_eq!(*recent.add(number, number * 10), number * 10));
        assert_eq!(recent.find(0), Some(&0), "and is the latest now");
        recent.add(100, 7);
        assert_eq!(recent.find(1), None);
        assert_eq!(recent.find(0), Some(&0));
        assert_eq!(recent.find(100), Some(&7));
        recent.add(100, 8);
        assert_eq!(recent.find(100), Some(&8));
        assert_eq!(recent.find(2), Some(&20), "a thing that is replaced takes no other's place");
    }
}
