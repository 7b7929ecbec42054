//! The formulas of the literature: which chunk the s-th step of a schedule names.
//!
//! Each is a pure function of the step, n, procs and the least chunk, in integers, so that every rank
//! and every reader agrees to the last bit. Starts and lengths are cut at n by the caller.

use std::num::NonZeroU64;

/// Trapezoid self-scheduling (Tzeng and Ni, IEEE TPDS 4(1), 1993): chunks fall linearly from
/// f = n/2P to l, the least, in ⌈2n/(f + l)⌉ steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trapezoid {
    first: u64,
    least: u64,
    fall: u64,
    /// Steps that fall before all are the least.
    falling: u64,
}

impl Trapezoid {
    pub(super) fn new(n: u64, procs: u32, least: NonZeroU64) -> Self {
        let least = least.get();
        let first = (n / (2 * u64::from(procs))).max(least);
        let steps = (2 * n).div_ceil(first + least);
        let fall = if steps > 1 { (first - least) / (steps - 1) } else { 0 };
        let falling = (first - least).checked_div(fall).unwrap_or(u64::MAX);
        Self { first, least, fall, falling }
    }

    /// Returns start and length of chunk `step`; both may lie beyond n.
    pub(super) fn at(&self, step: u64) -> Option<(u64, u64)> {
        let (first, fall) = (u128::from(self.first), u128::from(self.fall));
        // f·s − δ·s(s − 1)/2.
        let start = |step: u128| {
            (first * step)
                .checked_sub(fall * step * step.saturating_sub(1) / 2)
                .unwrap_or(u128::MAX)
        };
        let (start, length) = if step <= self.falling {
            (start(step.into()), self.first - self.fall * step)
        } else {
            let after = self.falling + 1;
            let least = u128::from(self.least) * u128::from(step - after);
            (start(after.into()) + least, self.least)
        };
        Some((u64::try_from(start).ok()?, length))
    }
}

/// Factoring with x = 2 (Hummel, Schonberg and Flynn, CACM 35(8), 1992): batches of P equal chunks,
/// each batch half of what was left: ⌈n/(P·2^(j+1))⌉ in batch j, at least the least chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factoring {
    n: u64,
    procs: u64,
    least: u64,
}

/// One batch of [`Factoring`].
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// Where it begins.
    start: u64,
    /// The length of its chunks.
    chunk: u64,
    /// Whether all later batches are like it.
    last: bool,
}

impl Factoring {
    pub(super) fn new(n: u64, procs: u32, least: NonZeroU64) -> Self {
        Self { n, procs: procs.into(), least: least.get() }
    }

    /// Returns the batches; the last one never ends.
    fn batches(self) -> impl Iterator<Item = Batch> {
        let mut start = 0;
        let mut parts = self.procs;
        let mut over = false;
        std::iter::from_fn(move || {
            parts = parts.saturating_mul(2);
            let exact = self.n.div_ceil(parts);
            let last = exact <= self.least;
            let batch = Batch { start, chunk: exact.max(self.least), last };
            start = batch.start.saturating_add(batch.chunk.saturating_mul(self.procs));
            (!std::mem::replace(&mut over, last)).then_some(batch)
        })
    }

    /// Returns start and length of chunk `step`; both may lie beyond n.
    pub(super) fn at(self, step: u64) -> Option<(u64, u64)> {
        let (wanted, within) = (step / self.procs, step % self.procs);
        let (number, batch) = (0..)
            .zip(self.batches())
            .find(|&(number, batch)| number == wanted || batch.last || batch.start >= self.n)?;
        // Within the last batch steps go on for ever.
        let steps = (wanted - number).checked_mul(self.procs)?.checked_add(within)?;
        Some((batch.start.checked_add(steps.checked_mul(batch.chunk)?)?, batch.chunk))
    }

    /// Returns the length of the chunks of the batch that an index lies in.
    pub(super) fn chunk_at(self, index: u64) -> u64 {
        let batch = self.batches().take_while(|batch| batch.start <= index).last();
        batch.map_or(self.least, |batch| batch.chunk)
    }
}

/// How fast a rank is beside the others, in 32nds: the weight of adaptive weighted factoring
/// (Banicescu, Velusamy and Devaprasad, Cluster Computing 6, 2003).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight(u8);

impl Weight {
    pub(super) const BITS: u32 = 7;
    const ONE: u8 = 32;
    /// As fast as the mean.
    pub(crate) const EVEN: Self = Self(Self::ONE);

    pub(super) fn from_raw(raw: u64) -> Self {
        Self(u8::try_from(raw & ((1 << Self::BITS) - 1)).unwrap_or(Self::ONE))
    }

    pub(super) fn raw(self) -> u64 {
        self.0.into()
    }

    /// Returns the weight of a rank that takes `own` a time unit of work, beside the others' figures;
    /// who has none yet counts as the mean. wᵣ = (π̄/πᵣ)·P / Σᵢ(π̄/πᵢ).
    pub(crate) fn of(own: Option<f64>, all: impl Iterator<Item = Option<f64>> + Clone) -> Self {
        let sound = |pace: &f64| pace.is_finite() && *pace > 0.0;
        let known = || all.clone().flatten().filter(sound);
        let (count, sum) = known().fold((0.0, 0.0), |(count, sum), pace| (count + 1.0, sum + pace));
        let (Some(own), true) = (own.filter(|own| sound(own)), count > 0.0) else {
            return Self::EVEN;
        };
        let mean = sum / count;
        let procs = all.clone().count() as f64;
        let total: f64 = known().map(|pace| mean / pace).sum::<f64>() + (procs - count);
        let weight = mean / own * procs / total;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let raw = (weight * f64::from(Self::ONE)).round().clamp(1.0, 127.0) as u8;
        Self(raw)
    }

    /// Scales a length, to at least one.
    pub(super) fn of_length(self, length: u64) -> u64 {
        let scaled = u128::from(length) * u128::from(self.0) / u128::from(Self::ONE);
        u64::try_from(scaled).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(least: u64) -> NonZeroU64 {
        NonZeroU64::new(least).unwrap()
    }

    #[test]
    fn trapezoid_falls_as_in_the_paper() {
        // n = 1000, P = 4, l = 1: f = 125, 16 steps, δ = 8.
        let rule = Trapezoid::new(1000, 4, least(1));
        let chunks: Vec<_> = (0..16).map(|step| rule.at(step).unwrap()).collect();
        assert_eq!(chunks[..4], [(0, 125), (125, 117), (242, 109), (351, 101)]);
        assert!(chunks.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
    }

    #[test]
    fn factoring_halves_what_is_left_batch_by_batch() {
        let rule = Factoring::new(1000, 4, least(1));
        let lengths: Vec<u64> = (0..12).map(|step| rule.at(step).unwrap().1).collect();
        assert_eq!(lengths, [125, 125, 125, 125, 63, 63, 63, 63, 32, 32, 32, 32]);
        assert_eq!(rule.at(4).unwrap().0, 500);
        assert_eq!((rule.chunk_at(499), rule.chunk_at(500)), (125, 63));
    }

    #[test]
    fn weights_are_even_until_paces_are_known_and_then_favour_the_fast() {
        let of = |own, all: &[Option<f64>]| Weight::of(own, all.iter().copied());
        assert_eq!(of(None, &[None, None]), Weight::EVEN);
        assert_eq!(of(Some(2.0), &[Some(2.0), Some(2.0)]), Weight::EVEN);
        // Twice as fast as the other: two thirds of the work, 4/3 of a fair share.
        assert_eq!(of(Some(1.0), &[Some(1.0), Some(2.0)]).raw(), 43);
        assert_eq!(of(Some(2.0), &[Some(1.0), Some(2.0)]).raw(), 21);
        assert_eq!(of(Some(f64::NAN), &[Some(f64::NAN), Some(0.0)]), Weight::EVEN);
    }
}
