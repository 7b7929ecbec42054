//! What each index costs, as far as a trace tells: the time of a chunk, spread evenly over its indices.

use std::collections::BTreeMap;

use crate::schedule::Chunk;

/// More passes than this tell no more.
const PASSES: usize = 32;

/// The cost of the index space, as a sum that grows piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    /// Where pieces of even cost begin, and the end.
    bounds: Vec<u64>,
    /// Nanoseconds of all before each bound.
    sums: Vec<f64>,
    /// How finely it is known.
    pub(crate) grain: Grain,
}

/// How finely costs are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Grain {
    /// Chunks of a pass, on average.
    pub(crate) chunks: f64,
    /// Indices in a chunk, on average.
    pub(crate) length: f64,
    /// Nanoseconds of the costliest chunk.
    pub(crate) largest: f64,
    /// The share of the indices of which something is known.
    pub(crate) covered: f64,
}

impl Costs {
    /// Learns the costs of n indices from the timed chunks of passes, which are in index order.
    ///
    /// Where passes differ, the middle one counts: work is the same in each, and what disturbs them is
    /// not. But something disturbs each of them, so all is scaled to what the middle pass took. What no
    /// chunk was recorded of costs as much as the rest.
    pub(crate) fn of(n: u64, passes: &BTreeMap<u32, Vec<(Chunk, u64)>>) -> Self {
        // The last ones: the first may have warmed up.
        let passes: Vec<&[(Chunk, u64)]> =
            passes.values().rev().take(PASSES).map(Vec::as_slice).collect();
        let chunks = || passes.iter().flat_map(|chunks| chunks.iter());
        let ends = chunks().flat_map(|(chunk, _)| [chunk.start, chunk.end]);
        let mut bounds: Vec<u64> = [0, n].into_iter().chain(ends).collect();
        bounds.sort_unstable();
        bounds.dedup();

        let indices: u64 = chunks().map(|(chunk, _)| chunk.end - chunk.start).sum();
        let time: f64 = chunks().map(|(_, ns)| *ns as f64).sum();
        let mean = if indices == 0 { 0.0 } else { time / indices as f64 };
        let mut next = vec![0; passes.len()];
        let mut sums = vec![0.0];
        let (mut sum, mut known, mut largest) = (0.0, 0, 0.0_f64);
        for piece in bounds.windows(2) {
            let (begin, end) = (piece[0], piece[1]);
            let mut found = Vec::with_capacity(passes.len());
            for (pass, at) in passes.iter().zip(&mut next) {
                while pass.get(*at).is_some_and(|(chunk, _)| chunk.end <= begin) {
                    *at += 1;
                }
                if let Some((chunk, ns)) = pass.get(*at).filter(|(chunk, _)| chunk.start <= begin) {
                    found.push((*ns as f64, *ns as f64 / (chunk.end - chunk.start) as f64));
                }
            }
            found.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
            let middle = found.get(found.len() / 2);
            known += if middle.is_some() { end - begin } else { 0 };
            largest = largest.max(middle.map_or(0.0, |(chunk, _)| *chunk));
            sum += middle.map_or(mean, |(_, each)| *each) * (end - begin) as f64;
            sums.push(sum);
        }
        let mut costs = Self { bounds, sums, grain: Grain::default() };
        costs.scale_to(&passes);
        let count = chunks().count() as f64;
        costs.grain = Grain {
            chunks: count / passes.len().max(1) as f64,
            length: if count > 0.0 { indices as f64 / count } else { 0.0 },
            largest,
            covered: if n == 0 { 1.0 } else { known as f64 / n as f64 },
        };
        costs
    }

    /// Makes the middle pass cost what it took.
    fn scale_to(&mut self, passes: &[&[(Chunk, u64)]]) {
        let factors = passes.iter().map(|chunks| {
            let took: f64 = chunks.iter().map(|(_, ns)| *ns as f64).sum();
            let expected: f64 = chunks.iter().map(|(chunk, _)| self.between(chunk)).sum();
            if expected > 0.0 { took / expected } else { 1.0 }
        });
        let mut factors: Vec<f64> = factors.collect();
        factors.sort_unstable_by(f64::total_cmp);
        let factor = factors.get(factors.len() / 2).copied().unwrap_or(1.0);
        self.sums.iter_mut().for_each(|sum| *sum *= factor);
    }

    /// Returns the nanoseconds that a range takes.
    pub(crate) fn between(&self, range: &Chunk) -> f64 {
        self.before(range.end) - self.before(range.start)
    }

    /// Returns the nanoseconds of all.
    pub(crate) fn total(&self) -> f64 {
        self.sums.last().copied().unwrap_or(0.0)
    }

    fn before(&self, index: u64) -> f64 {
        let at = self.bounds.partition_point(|bound| *bound <= index);
        match (at.checked_sub(1), self.bounds.get(at)) {
            (Some(last), Some(next)) => {
                let (begin, sum) = (self.bounds[last], self.sums[last]);
                let part = (index - begin) as f64 / (next - begin) as f64;
                sum + (self.sums[at] - sum) * part
            }
            (None, _) => 0.0,
            (_, None) => self.total(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(passes: &[&[(Chunk, u64)]]) -> BTreeMap<u32, Vec<(Chunk, u64)>> {
        (0..).zip(passes.iter().map(|chunks| chunks.to_vec())).collect()
    }

    #[test]
    fn a_chunk_is_spread_evenly_over_its_indices() {
        let costs = Costs::of(10, &passes(&[&[(0..4, 40), (4..10, 6)]]));
        assert_eq!((costs.between(&(0..10)), costs.total()), (46.0, 46.0));
        assert_eq!(costs.between(&(2..5)), 21.0);
        assert_eq!((costs.grain.length, costs.grain.largest), (5.0, 40.0));
    }

    #[test]
    fn the_middle_pass_counts_also_where_chunks_differ() {
        let found: &[&[(Chunk, u64)]] =
            &[&[(0..10, 100)], &[(0..5, 50), (5..10, 5_000)], &[(0..2, 20), (2..10, 80)]];
        assert_eq!(Costs::of(10, &passes(found)).total(), 100.0);
    }

    #[test]
    fn disturbances_count_by_how_much_the_middle_pass_had_of_them() {
        // Each pass is disturbed somewhere else, for as long as all else takes.
        let found: &[&[(Chunk, u64)]] = &[
            &[(0..1, 40), (1..2, 10), (2..3, 10), (3..4, 10)],
            &[(0..1, 10), (1..2, 40), (2..3, 10), (3..4, 10)],
            &[(0..1, 10), (1..2, 10), (2..3, 40), (3..4, 10)],
        ];
        let costs = Costs::of(4, &passes(found));
        assert!((costs.total() - 70.0).abs() < 1e-9);
        assert!((costs.between(&(3..4)) - 17.5).abs() < 1e-9);
    }

    #[test]
    fn what_was_not_recorded_costs_as_the_rest() {
        let costs = Costs::of(10, &passes(&[&[(0..2, 20), (6..8, 20)]]));
        assert_eq!(costs.total(), 100.0);
        assert_eq!(costs.grain.covered, 0.4);
        assert_eq!(Costs::of(0, &passes(&[])).total(), 0.0);
    }
}
