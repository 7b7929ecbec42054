//! The laws of scaling, as sums that a fit can weigh.
//!
//! | law | speedup | of |
//! |---|---|---|
//! | Amdahl (1967) | 1/(s + (1−s)/p) | strong studies: s of one rank's time is serial |
//! | Gustafson (1988) | p − s·(p−1) | weak ones: s of the time on p ranks is serial |
//! | USL: Universal Scalability Law, Gunther (1993) | p/(1 + σ(p−1) + κp(p−1)) | both |
//!
//! In the last, σ is of queues for something shared, and κ of keeping alike what each rank has.
//!
//! Each is linear in parameters of its own, once it is written for the right quantity. With w the work as a
//! multiple of one rank's, and T₁ the time of one rank, which is fitted with the rest:
//!
//! - Amdahl: T = a·1 + b·1/p, with s = a/(a+b) and T₁ = a+b. Both not negative, so s is a share.
//! - USL: T = w·(a/p + b·(p−1)/p + c·(p−1)), with T₁ = a, σ = b/a, κ = c/a.
//! - Gustafson: a rate, 1/T = a·p/w − b·(p−1)/w, with T₁ = 1/a, s = b/a.

use serde::Serialize;

use super::study::Kind;

/// One law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Law {
    Amdahl,
    Gustafson,
    Usl,
}

/// What is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Time,
    /// 1/time.
    Rate,
}

impl Law {
    pub(crate) const ALL: [Self; 3] = [Self::Amdahl, Self::Gustafson, Self::Usl];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amdahl => "Amdahl's law",
            Self::Gustafson => "Gustafson's law",
            Self::Usl => "the Universal Scalability Law",
        }
    }

    /// Says why it is no law for such a study, if it is none.
    pub(super) fn unfit_for(self, kind: Kind) -> Option<&'static str> {
        match (self, kind) {
            (Self::Amdahl, Kind::Weak) => {
                Some("the size grows with the ranks, and it is of a fixed one")
            }
            (Self::Gustafson, Kind::Strong) => {
                Some("the size is fixed, and it is of one that grows")
            }
            _ => None,
        }
    }

    pub(super) fn quantity(self) -> Quantity {
        match self {
            Self::Amdahl | Self::Usl => Quantity::Time,
            Self::Gustafson => Quantity::Rate,
        }
    }

    /// Returns what each coefficient is multiplied with.
    pub(super) fn columns(self, p: f64, work: f64) -> [f64; 3] {
        match self {
            Self::Amdahl => [1.0, 1.0 / p, 0.0],
            Self::Gustafson => [p / work, -(p - 1.0) / work, 0.0],
            Self::Usl => [work / p, work * (p - 1.0) / p, work * (p - 1.0)],
        }
    }

    /// Returns which coefficients may be other than nothing, together: each way to stand at the bounds.
    pub(super) fn supports(self) -> &'static [&'static [usize]] {
        match self {
            Self::Amdahl => &[&[0, 1], &[0], &[1]],
            Self::Gustafson => &[&[0, 1], &[0]],
            Self::Usl => &[&[0, 1, 2], &[0, 1], &[0, 2], &[0]],
        }
    }

    /// Returns the names of the parameters, apart from the time of one rank.
    pub(super) fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Amdahl | Self::Gustafson => &["s"],
            Self::Usl => &["sigma", "kappa"],
        }
    }

    /// Returns the parameter of this number.
    pub(super) fn parameter(self, at: usize, [a, b, c]: [f64; 3]) -> f64 {
        match (self, at) {
            (Self::Amdahl, _) => a / (a + b),
            (Self::Gustafson, _) | (Self::Usl, 0) => b / a,
            (Self::Usl, _) => c / a,
        }
    }

    /// Returns the time of one rank, with the work of one.
    pub(super) fn one(self, [a, b, _]: [f64; 3]) -> f64 {
        match self {
            Self::Amdahl => a + b,
            Self::Gustafson => 1.0 / a,
            Self::Usl => a,
        }
    }

    /// Returns how long p ranks take for this work: for ever, where the law leaves them no speed at all.
    pub(super) fn time(self, coefficients: [f64; 3], p: f64, work: f64) -> f64 {
        let sum: f64 = self.columns(p, work).iter().zip(coefficients).map(|(x, c)| x * c).sum();
        match self.quantity() {
            Quantity::Time => sum,
            Quantity::Rate if sum > 0.0 => 1.0 / sum,
            Quantity::Rate => f64::INFINITY,
        }
    }

    /// Returns the number of ranks at which the speedup is greatest: √((1−σ)/κ). Infinite where it never
    /// turns down; `None` of laws that have no such place.
    pub(super) fn knee(self, coefficients: [f64; 3]) -> Option<f64> {
        (self == Self::Usl).then(|| {
            let [sigma, kappa] = [0, 1].map(|at| self.parameter(at, coefficients));
            if kappa > 0.0 { ((1.0 - sigma).max(0.0) / kappa).sqrt() } else { f64::INFINITY }
        })
    }

    /// Returns the speedup that no number of ranks goes beyond: 1/s. `None` of laws without such a bound.
    pub(super) fn limit(self, coefficients: [f64; 3]) -> Option<f64> {
        (self == Self::Amdahl).then(|| 1.0 / self.parameter(0, coefficients))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The laws as books have them, against the sums that are fitted.
    #[test]
    fn each_sum_is_the_law_of_the_books() {
        let (one, s, sigma, kappa) = (3.0, 0.05, 0.04, 0.0025);
        for p in [1.0, 2.0, 3.0, 8.0, 20.0, 64.0_f64] {
            let amdahl = 1.0 / (s + (1.0 - s) / p);
            let usl = p / (1.0 + sigma * (p - 1.0) + kappa * p * (p - 1.0));
            let gustafson = p - s * (p - 1.0);
            for (law, coefficients, work, speedup) in [
                (Law::Amdahl, [one * s, one * (1.0 - s), 0.0], 1.0, amdahl),
                (Law::Usl, [one, one * sigma, one * kappa], 1.0, usl),
                (Law::Usl, [one, one * sigma, one * kappa], p, usl),
                (Law::Gustafson, [1.0 / one, s / one, 0.0], p, gustafson),
            ] {
                let found = work * one / law.time(coefficients, p, work);
                assert!((found / speedup - 1.0).abs() < 1e-12, "{law:?} {p}: {found} {speedup}");
                assert!((law.one(coefficients) / one - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn figures_on_paper_are_found() {
        // Amdahl, s = 0.05 and p = 8: 1/(0.05 + 0.11875) = 5.925..; limit 20. Gustafson: 8 - 0.35 = 7.65.
        // USL, 0.04 and 0.0025: p* = sqrt(0.96/0.0025) = 19.5959..; at 8: 8/(1 + 0.28 + 0.14) = 5.6338..
        let amdahl = [0.05, 0.95, 0.0];
        assert!((1.0 / Law::Amdahl.time(amdahl, 8.0, 1.0) - 5.925_925_925_9).abs() < 1e-9);
        assert!((Law::Amdahl.limit(amdahl).unwrap() - 20.0).abs() < 1e-12);
        assert!((8.0 / Law::Gustafson.time([1.0, 0.05, 0.0], 8.0, 8.0) - 7.65).abs() < 1e-12);
        let usl = [1.0, 0.04, 0.0025];
        assert!((1.0 / Law::Usl.time(usl, 8.0, 1.0) - 5.633_802_816_9).abs() < 1e-9);
        assert!((Law::Usl.knee(usl).unwrap() - 19.595_917_942_3).abs() < 1e-9);
        assert_eq!(Law::Usl.knee([1.0, 0.1, 0.0]), Some(f64::INFINITY));
        assert_eq!((Law::Usl.limit(usl), Law::Amdahl.knee(amdahl)), (None, None));
        assert_eq!(Law::Gustafson.time([1.0, 2.0, 0.0], 8.0, 8.0), f64::INFINITY);
    }

    #[test]
    fn the_knee_is_where_the_speedup_is_greatest() {
        for (sigma, kappa) in [(0.0, 0.01), (0.1, 0.001), (0.3, 0.02)] {
            let usl = [1.0, sigma, kappa];
            let knee = Law::Usl.knee(usl).unwrap();
            let at = |p: f64| 1.0 / Law::Usl.time(usl, p, 1.0);
            assert!(at(knee) > at(knee * 1.01) && at(knee) > at(knee * 0.99), "{sigma} {kappa}");
        }
    }
}
