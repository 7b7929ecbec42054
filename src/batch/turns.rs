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
}

impl Turns {
    /// Begins with the first trial of so many points with so many repeats at most.
    pub(crate) fn new(order: Order, seed: u64, points: usize, repeats: u32) -> Self {
        let mut turns = Self { order, seed, points, repeats, repeat: 0, at: 0, round: Vec::new() };
        turns.shuffle();
        turns
    }

    /// Returns the next trial that is wanted; a point that is not any more is asked about again for each
    /// of its repeats, so `wanted` should be quick.
    pub(crate) fn next(
        &mut self,
        mut wanted: impl FnMut(usize, u32) -> bool,
    ) -> Option<(usize, u32)> {
        while self.at < self.points && self.repeat < self.repeats {
            let shuffled = self.round.get(self.at).map(|&point| point as usize);
            let trial = (shuffled.unwrap_or(self.at), self.repeat);
            self.advance();
            if wanted(trial.0, trial.1) {
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
        std::iter::from_fn(|| turns.next(|_, _| true)).collect()
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
        let odd: Vec<_> = std::iter::from_fn(|| turns.next(|point, _| point != 1)).collect();
        assert_eq!(odd, [(0, 0), (2, 0), (0, 1), (2, 1)]);
    }

    proptest! {
        #[test]
        fn every_order_has_each_trial_once(points in 0_usize..30, repeats in 0_u32..5, seed: u64) {
            for order in [Order::Interleaved, Order::Sequential, Order::Shuffled] {
                let mut turns = Turns::new(order, seed, points, repeats);
                let mut found: Vec<_> = std::iter::from_fn(|| turns.next(|_, _| true)).collect();
                found.sort_unstable();
                let expected: Vec<_> =
                    (0..points).flat_map(|p| (0..repeats).map(move |r| (p, r))).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
