//! In which order the trials of a batch are made.
//!
//! A trial is a point and a number, its repeat. Interleaved, every point has its first trial before one has
//! its second: what drifts in the machine meanwhile meets all alike. Nothing here knows what a trial is.

use super::file::Order;
use crate::kernel::random_bits;

/// Goes through all trials there may be, once.
#[derive(Debug)]
pub(crate) struct Turns {
    order: Order,
    seed: u64,
    points: usize,
    repeats: u32,
    repeat: u32,
    /// Of the points in this round's order, or of all of them.
    at: usize,
    /// The order of the points in this round, where it is not their own.
    round: Vec<u32>,
    /// The points of which no trial will be wanted any more, and how many the others are.
    over: Vec<bool>,
    left: usize,
}

/// What is to become of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    /// There is one already.
    No,
    /// Nor is any later one of its point.
    NeverAgain,
}

impl Turns {
    /// Begins with the first trial of so many points with so many repeats at most.
    pub(crate) fn new(order: Order, seed: u64, points: usize, repeats: u32) -> Self {
        let over = vec![false; points];
        let (repeat, at, round, left) = (0, 0, Vec::new(), points);
        let mut turns = Self { order, seed, points, repeats, repeat, at, round, over, left };
        turns.shuffle();
        turns
    }

    /// Returns the next trial that is wanted. Ends with the last point that is not over: a point may have
    /// billions of repeats, and be settled with ten.
    pub(crate) fn next(
        &mut self,
        mut wanted: impl FnMut(usize, u32) -> Wanted,
    ) -> Option<(usize, u32)> {
        while self.left > 0 && self.at < self.points && self.repeat < self.repeats {
            let shuffled = self.round.get(self.at).map(|&point| point as usize);
            let trial @ (point, repeat) = (shuffled.unwrap_or(self.at), self.repeat);
            let Some(over) = self.over.get_mut(point).filter(|over| !**over) else {
                self.advance();
                continue;
            };
            let found = wanted(point, repeat);
            if found == Wanted::NeverAgain {
                *over = true;
                self.left -= 1;
                if self.order == Order::Sequential {
                    self.repeat = self.repeats - 1; // To the next point.
                }
            }
            self.advance();
            if found == Wanted::Yes {
                return Some(trial);
            }
        }
        None
    }

    fn advance(&mut self) {
        match self.order {
            Order::Sequential => {
                self.repeat += 1;
                if self.repeat == self.repeats {
                    (self.at, self.repeat) = (self.at + 1, 0);
                }
            }
            Order::Interleaved | Order::Shuffled => {
                self.at += 1;
                if self.at == self.points {
                    (self.at, self.repeat) = (0, self.repeat + 1);
                    self.shuffle();
                }
            }
        }
    }

    /// Draws the order of a round (Fisher and Yates), by seed and round alone: a batch that goes on has
    /// the order it would have had.
    fn shuffle(&mut self) {
        if self.order != Order::Shuffled {
            return;
        }
        self.round = (0..).take(self.points).collect();
        let seed = random_bits(self.seed, u64::from(self.repeat));
        for last in (1..self.points).rev() {
            let other = random_bits(seed, last as u64) % (last as u64 + 1);
            self.round.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(order: Order, points: usize, repeats: u32) -> Vec<(usize, u32)> {
        let mut turns = Turns::new(order, 1, points, repeats);
        std::iter::from_fn(|| turns.next(|_, _| Wanted::Yes)).collect()
    }

    #[test]
    fn interleaved_trials_go_round_and_sequential_ones_stay() {
        let round = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)];
        assert_eq!(all(Order::Interleaved, 3, 2), round);
        let stay = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)];
        assert_eq!(all(Order::Sequential, 3, 2), stay);
    }

    #[test]
    fn shuffled_rounds_differ_and_are_the_same_in_each_visit() {
        let trials = all(Order::Shuffled, 20, 3);
        assert_eq!(trials, all(Order::Shuffled, 20, 3));
        let round = |number: u32| -> Vec<usize> {
            trials.iter().filter(|(_, repeat)| *repeat == number).map(|(point, _)| *point).collect()
        };
        assert_ne!(round(0), round(1));
        assert_ne!(round(0), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_trial_that_is_not_wanted_is_passed_over() {
        let mut turns = Turns::new(Order::Interleaved, 1, 3, 2);
        let odd = |point, _| if point == 1 { Wanted::No } else { Wanted::Yes };
        let odd: Vec<_> = std::iter::from_fn(|| turns.next(odd)).collect();
        assert_eq!(odd, [(0, 0), (2, 0), (0, 1), (2, 1)]);
    }

    #[test]
    fn points_that_are_over_are_not_asked_about_again_however_many_repeats_they_have() {
        for order in [Order::Interleaved, Order::Sequential, Order::Shuffled] {
            let mut turns = Turns::new(order, 1, 3, u32::MAX);
            let few = |_, repeat| if repeat < 2 { Wanted::Yes } else { Wanted::NeverAgain };
            let mut found: Vec<_> = std::iter::from_fn(|| turns.next(few)).collect();
            found.sort_unstable();
            assert_eq!(found, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
        }
    }

    proptest! {
        #[test]
        fn every_order_has_each_trial_once(points in 0_usize..30, repeats in 0_u32..5, seed: u64) {
            for order in [Order::Interleaved, Order::Sequential, Order::Shuffled] {
                let mut turns = Turns::new(order, seed, points, repeats);
                let mut found: Vec<_> = std::iter::from_fn(|| turns.next(|_, _| Wanted::Yes)).collect();
                found.sort_unstable();
                let expected: Vec<_> =
                    (0..points).flat_map(|p| (0..repeats).map(move |r| (p, r))).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
