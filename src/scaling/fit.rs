//! The parameters of a law that fit a study best, how sure they are, and what they predict.
//!
//! **What is minimised**: the squares of relative differences between the law and the medians, Σ((T −
//! law)/law)². Of times, and not of speedups: all speedups share the one T₁ of their base, so that its noise
//! would be in every residual, and the base alone in none. Relative, because the noise of a time is mostly a
//! share of it: unweighted, the long times of few ranks would decide, which tell the least of how it
//! scales. The weights are equal for all points: a variance estimated from ten samples is itself off by a
//! half, and would favour whatever point came out quiet by chance.
//!
//! **How**: the laws are linear in coefficients of their own ([`Law`]) which may not be negative. Such a
//! minimum is that of an ordinary least squares over the coefficients which are not 0 in it. With two or
//! three of them every choice can be tried, so the answer is exact, with no starting value and no iteration
//! that might not converge. It is made twice: weighted by what was measured, then by the law found, so that
//! a time that came out short does not weigh more for that.
//!
//! **How sure**: rounds are drawn anew and the law is fitted again, ten thousand times ([`Bootstrap`]). The
//! intervals are of noise alone: that the law is the right one they take for granted. Whether it is, the
//! goodness of fit says: points whose own interval does not hold the law are named.
//!
//! [`Bootstrap`]: crate::statistics::Bootstrap

use serde::Serialize;

use super::law::{Law, Quantity};
use super::least_squares::{Row, best};
use super::point::{Estimate, Point};
use super::study::{Study, time};
use crate::error::Explained;

/// With fewer points a fit is shown with a doubt.
const ENOUGH: usize = 6;

/// A law, fitted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fit {
    pub(crate) law: Law,
    pub(crate) parameters: Vec<Parameter>,
    /// The time of one rank, by the law.
    pub(crate) one_s: Estimate,
    /// Where the speedup is greatest, in ranks; infinite: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) knee: Option<Estimate>,
    /// The speedup that no number of ranks goes beyond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<Estimate>,
    pub(crate) goodness: Goodness,
    pub(crate) doubts: Vec<Doubt>,
    /// Of the samples, and of each draw.
    #[serde(skip)]
    coefficients: [f64; 3],
    #[serde(skip)]
    drawn: Vec<[f64; 3]>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) estimate: Estimate,
}

/// How far the law is from what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Goodness {
    /// Points that could have been otherwise once the parameters are chosen.
    pub(crate) freedom: usize,
    /// Root of the mean square of relative differences.
    pub(crate) rms: f64,
    /// The greatest relative difference, measured against the law, and where it is.
    pub(crate) largest: f64,
    pub(crate) largest_procs: u32,
    /// Of the logarithms of times; 1 is perfect. It flatters: with few points nearly all fits have 0.99.
    pub(crate) r2: f64,
    /// Points whose own interval does not hold the law.
    pub(crate) missed: Vec<u32>,
}

/// Why a fit tells less than it seems to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Doubt {
    /// This many points, where six are a measure.
    FewPoints(usize),
    /// Samples are too few for intervals.
    NoIntervals,
    /// This parameter stands at 0, or at 1: the samples would have it beyond.
    AtBound(&'static str),
    /// More points than are to be expected by chance do not agree with the law.
    Misfit,
}

/// What a law says of a number of ranks that was not measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Prediction {
    pub(crate) procs: u32,
    /// Of the median, by the law, if that holds there: noise alone is in the intervals.
    pub(crate) time_s: Estimate,
    pub(crate) speedup: Estimate,
    pub(crate) reach: Reach,
}

/// Where a prediction lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reach {
    /// Between points that were measured.
    Between,
    /// Outside of them, but not beyond twice the largest.
    Outside,
    /// Beyond twice the largest: whoever shows it has to say so in the same sentence.
    Far,
}

impl Fit {
    /// Fits a law to a study. Refused, with the reason, where the law is of other studies, or where points
    /// are so few that any law would fit.
    pub(crate) fn of(study: &Study, law: Law) -> Result<Self, Explained> {
        if let Some(why) = law.unfit_for(study.kind) {
            return Err(format!("{} says nothing here: {why}", law.name()).into());
        }
        let (points, free) = (study.points.len(), law.parameters().len() + 1);
        if points <= free {
            let what = format!(
                "{} has {free} parameters, with the time of one rank, and there are {points} points: it \
                 would fit whatever they are",
                law.name()
            );
            return Err(Explained::new(what).hint(format!("measure {} numbers of ranks", free + 1)));
        }
        let places: Vec<[f64; 2]> =
            study.points.iter().map(|point| [f64::from(point.procs), study.work(point)]).collect();
        let fitted = |medians: &[f64]| fit(law, &places, medians);
        let coefficients = fitted(&study.medians).ok_or_else(|| {
            Explained::new(format!("{} cannot be fitted to these times", law.name()))
        })?;
        let drawn: Vec<[f64; 3]> =
            study.bootstrap.rows().map(|row| fitted(row).unwrap_or([f64::NAN; 3])).collect();
        let estimate = |figure: &dyn Fn([f64; 3]) -> f64| Estimate {
            value: figure(coefficients),
            ci95: study
                .bootstrap
                .spread(&study.fitted(), drawn.iter().map(|drawn| figure(*drawn)).collect()),
        };
        let parameters: Vec<Parameter> = law
            .parameters()
            .iter()
            .enumerate()
            .map(|(at, name)| Parameter {
                name,
                estimate: estimate(&|found| law.parameter(at, found)),
            })
            .collect();
        let one_s = estimate(&|found| law.one(found));
        let (knee, limit) = (
            law.knee(coefficients).map(|_| estimate(&|found| law.knee(found).unwrap_or(f64::NAN))),
            law.limit(coefficients)
                .map(|_| estimate(&|found| law.limit(found).unwrap_or(f64::NAN))),
        );
        let goodness = Goodness::of(study, law, coefficients, points - free);
        let doubts = doubts(&parameters, points, &goodness);
        Ok(Self { law, parameters, one_s, knee, limit, goodness, doubts, coefficients, drawn })
    }

    /// Returns how long a pass takes by the law, with so many ranks and so many times the work of one.
    pub(crate) fn time(&self, procs: f64, work: f64) -> f64 {
        self.law.time(self.coefficients, procs, work)
    }

    /// Says what so many ranks would take, for the same size, or in a weak study for as much a rank.
    pub(crate) fn predict(&self, study: &Study, procs: u32) -> Prediction {
        let (p, work) = (f64::from(procs), study.work_at(procs));
        let base = study.medians[study.points.len()];
        let time = |found: [f64; 3]| self.law.time(found, p, work);
        let spread = |of: &[usize], figures: Vec<f64>| study.bootstrap.spread(of, figures);
        let fitted = study.fitted();
        let with_base: Vec<usize> = fitted.iter().copied().chain([study.points.len()]).collect();
        // The base is drawn together with what it is divided by.
        let speedups = study
            .bootstrap
            .rows()
            .zip(&self.drawn)
            .map(|(row, found)| work * row[study.points.len()] / time(*found));
        let procs_of = |point: Option<&Point>| point.map_or(0, |point| point.procs);
        let (least, most) = (procs_of(study.points.first()), procs_of(study.points.last()));
        Prediction {
            procs,
            time_s: Estimate {
                value: time(self.coefficients),
                ci95: spread(&fitted, self.drawn.iter().map(|found| time(*found)).collect()),
            },
            speedup: Estimate {
                value: work * base / time(self.coefficients),
                ci95: spread(&with_base, speedups.collect()),
            },
            reach: if (least..=most).contains(&procs) {
                Reach::Between
            } else if u64::from(procs) <= 2 * u64::from(most) {
                Reach::Outside
            } else {
                Reach::Far
            },
        }
    }
}

impl Goodness {
    fn of(study: &Study, law: Law, coefficients: [f64; 3], freedom: usize) -> Self {
        let (mut squares, mut largest, mut largest_procs) = (0.0, 0.0_f64, 0);
        let mut missed = Vec::new();
        let (mut left, mut all) = (0.0, 0.0);
        let count = study.points.len() as f64;
        let seen = &study.medians[..study.points.len()];
        let middle = seen.iter().map(|time| time.ln()).sum::<f64>() / count;
        for (point, seen) in study.points.iter().zip(seen) {
            let by_law = law.time(coefficients, f64::from(point.procs), study.work(point));
            let away = seen / by_law - 1.0;
            squares += away * away;
            if away.abs() >= largest.abs() {
                (largest, largest_procs) = (away, point.procs);
            }
            let measured = time(point);
            if measured.ci95.is_some() && !measured.may_be(by_law) {
                missed.push(point.procs);
            }
            left += (seen / by_law).ln().powi(2);
            all += (seen.ln() - middle).powi(2);
        }
        let r2 = if all > 0.0 { 1.0 - left / all } else { 1.0 };
        Self { freedom, rms: (squares / count).sqrt(), largest, largest_procs, r2, missed }
    }
}

fn doubts(parameters: &[Parameter], points: usize, goodness: &Goodness) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if points < ENOUGH {
        doubts.push(Doubt::FewPoints(points));
    }
    if parameters.iter().any(|parameter| parameter.estimate.ci95.is_none()) {
        doubts.push(Doubt::NoIntervals);
    }
    for Parameter { name, estimate } in parameters {
        if estimate.value == 0.0 || (*name == "s" && estimate.value == 1.0) {
            doubts.push(Doubt::AtBound(name));
        }
    }
    // One in twenty is outside of its interval by chance; of a handful, two are no chance any more.
    if goodness.missed.len() > 1 {
        doubts.push(Doubt::Misfit);
    }
    doubts
}

/// Returns the coefficients; `None` if the points determine none.
fn fit(law: Law, places: &[[f64; 2]], medians: &[f64]) -> Option<[f64; 3]> {
    let seen = |time: f64| match law.quantity() {
        Quantity::Time => time,
        Quantity::Rate => 1.0 / time,
    };
    let mut rows: Vec<Row> = places
        .iter()
        .zip(medians)
        .map(|([p, work], time)| Row {
            columns: law.columns(*p, *work),
            seen: seen(*time),
            scale: seen(*time),
        })
        .collect();
    let found = best(&rows, law.supports())?;
    for (row, [p, work]) in rows.iter_mut().zip(places) {
        let by_law = seen(law.time(found, *p, *work));
        if by_law > 0.0 {
            row.scale = by_law;
        }
    }
    best(&rows, law.supports())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::study::Base;
    use proptest::prelude::*;

    const PROCS: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

    /// Points that lie on the law, but for noise that all points of a round share.
    fn study(law: Law, coefficients: [f64; 3], weak: bool, procs: &[u32]) -> Study {
        let point = |&procs: &u32| {
            let size = if weak { 1000 * u64::from(procs) } else { 1000 };
            let time = law.time(coefficients, f64::from(procs), size as f64 / 1000.0);
            let noise = [1.0, 1.02, 0.98, 1.01, 0.99, 1.0, 1.03];
            Point::new(procs, size, &noise.map(|noise| noise * time))
        };
        Study::new(procs.iter().map(point).collect(), Base::OneRank, 1).unwrap()
    }

    #[test]
    fn parameters_of_exact_points_are_found_exactly() {
        for (law, coefficients, weak, expected) in [
            (Law::Amdahl, [0.3, 5.7, 0.0], false, vec![0.05]),
            (Law::Usl, [6.0, 0.24, 0.015], false, vec![0.04, 0.0025]),
            (Law::Usl, [6.0, 0.24, 0.015], true, vec![0.04, 0.0025]),
            (Law::Usl, [6.0, 0.0, 0.015], false, vec![0.0, 0.0025]),
            (Law::Gustafson, [0.2, 0.02, 0.0], true, vec![0.1]),
        ] {
            let study = study(law, coefficients, weak, &PROCS);
            let fit = Fit::of(&study, law).unwrap();
            for (found, expected) in fit.parameters.iter().zip(&expected) {
                let Estimate { value, ci95 } = found.estimate;
                assert!((value - expected).abs() < 1e-9, "{law:?}: {value} {expected}");
                let [low, high] = ci95.unwrap();
                assert!((low - expected).abs() < 1e-9 && (high - expected).abs() < 1e-9);
            }
            assert!(
                fit.goodness.rms < 1e-9 && fit.goodness.missed.is_empty(),
                "{:?}",
                fit.goodness
            );
            assert!((fit.one_s.value / law.one(coefficients) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn as_many_points_as_parameters_fit_nothing_and_that_is_said() {
        let two = study(Law::Amdahl, [0.3, 5.7, 0.0], false, &PROCS[..2]);
        let refusal = Fit::of(&two, Law::Amdahl).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Amdahl's law has 2 parameters, with the time of one rank, and there are 2 points: it would \
             fit whatever they are"
        );
        let three = study(Law::Amdahl, [0.3, 5.7, 0.0], false, &PROCS[..3]);
        assert!(Fit::of(&three, Law::Usl).is_err());
        let fit = Fit::of(&three, Law::Amdahl).unwrap();
        assert_eq!((fit.goodness.freedom, &fit.doubts[0]), (1, &Doubt::FewPoints(3)));
    }

    #[test]
    fn a_base_with_few_samples_leaves_what_it_is_no_part_of_its_interval() {
        let times = [6.0, 6.1, 5.9, 6.05, 5.95, 6.0, 6.02];
        let point = |at: u32| {
            let part = |time: &f64| time * (0.05 + 0.95 / f64::from(at));
            Point::new(at, 1000, &times.iter().map(part).collect::<Vec<_>>())
        };
        let few = Base::Serial(Point::new(1, 1000, &times[..5]));
        let study = Study::new([1, 2, 4, 8].map(point).into(), few, 1).unwrap();
        let fit = Fit::of(&study, Law::Amdahl).unwrap();
        assert!(fit.parameters[0].estimate.ci95.is_some() && fit.one_s.ci95.is_some());
        let found = fit.predict(&study, 16);
        assert!(found.time_s.ci95.is_some());
        assert_eq!(found.speedup.ci95, None, "it is a ratio to the base");
    }

    #[test]
    fn a_law_is_refused_for_the_other_kind_of_study() {
        let strong = study(Law::Amdahl, [0.3, 5.7, 0.0], false, &PROCS);
        let weak = study(Law::Gustafson, [0.2, 0.02, 0.0], true, &PROCS);
        assert!(Fit::of(&strong, Law::Gustafson).unwrap_err().to_string().contains("is fixed"));
        assert!(Fit::of(&weak, Law::Amdahl).unwrap_err().to_string().contains("grows"));
    }

    #[test]
    fn a_faster_than_ideal_study_stands_at_the_bound_and_says_so() {
        let times = [8.0, 3.6, 1.7, 0.8];
        let point = |(at, time): (usize, f64)| Point::new(1 << at, 10, &[time; 6]);
        let points = times.into_iter().enumerate().map(point).collect();
        let study = Study::new(points, Base::OneRank, 1).unwrap();
        let fit = Fit::of(&study, Law::Amdahl).unwrap();
        assert_eq!(fit.parameters[0].estimate.value, 0.0);
        assert!(fit.doubts.contains(&Doubt::AtBound("s")) && fit.doubts.contains(&Doubt::Misfit));
        assert_eq!(fit.limit.unwrap().value, f64::INFINITY);
        let usl = Fit::of(&study, Law::Usl).unwrap();
        assert_eq!(
            (usl.parameters[1].estimate.value, usl.knee.unwrap().value),
            (0.0, f64::INFINITY)
        );
    }

    #[test]
    fn a_wrong_law_is_told_by_the_points_it_misses() {
        let turning = study(Law::Usl, [6.0, 0.0, 0.03], false, &PROCS);
        let fit = Fit::of(&turning, Law::Amdahl).unwrap();
        assert!(fit.doubts.contains(&Doubt::Misfit), "{:?}", fit.goodness);
        assert!(Fit::of(&turning, Law::Usl).unwrap().goodness.missed.is_empty());
    }

    #[test]
    fn predictions_say_how_far_they_reach() {
        let study = study(
            Law::Usl,
            [6.0, 0.24, 0.015],
            false,
            &PROCS[1..=4].iter().copied().chain([1]).collect::<Vec<_>>(),
        );
        let fit = Fit::of(&study, Law::Usl).unwrap();
        let found = [3, 32, 33].map(|procs| fit.predict(&study, procs));
        assert_eq!(found.each_ref().map(|f| f.reach), [Reach::Between, Reach::Outside, Reach::Far]);
        // 3/(1 + 0.08 + 0.015) = 2.7397..
        assert!((found[0].speedup.value - 3.0 / 1.095).abs() < 1e-9);
        assert!((found[0].time_s.value - 6.0 * 1.095 / 3.0).abs() < 1e-9);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_other_parameters_fit_better(
            times in prop::collection::vec(0.1_f64..10.0, 7), nudge in prop::array::uniform3(-0.2_f64..0.2),
        ) {
            let places = PROCS.map(|procs| [f64::from(procs), 1.0]);
            let rows: Vec<Row> = places.iter().zip(&times).map(|([p, work], time)| Row {
                columns: Law::Usl.columns(*p, *work), seen: *time, scale: *time,
            }).collect();
            let squares = |found: [f64; 3]| -> f64 {
                rows.iter().map(|row| {
                    let sum: f64 = row.columns.iter().zip(found).map(|(x, c)| x * c).sum();
                    ((row.seen - sum) / row.scale).powi(2)
                }).sum()
            };
            // One rank takes some time: where times would rather have it take none, there is no best of the rest.
            let all: &[&[usize]] = &[&[0, 1, 2], &[0, 1], &[0, 2], &[1, 2], &[0], &[1], &[2]];
            prop_assume!(best(&rows, all).unwrap()[0] > 0.0);
            let found = best(&rows, Law::Usl.supports()).unwrap();
            let other = [0, 1, 2].map(|at| (found[at] + nudge[at]).max(0.0));
            prop_assert!(squares(found) <= squares(other) * (1.0 + 1e-9));
        }

        #[test]
        fn parameters_are_the_same_in_any_unit_of_time(
            times in prop::collection::vec(0.1_f64..10.0, 7), unit in 1e-9_f64..1e9,
        ) {
            let places = PROCS.map(|procs| [f64::from(procs), 1.0]);
            for law in [Law::Amdahl, Law::Usl] {
                let found = fit(law, &places, &times).unwrap();
                let scaled: Vec<f64> = times.iter().map(|time| time * unit).collect();
                let scaled = fit(law, &places, &scaled).unwrap();
                for at in 0..law.parameters().len() {
                    let (a, b) = (law.parameter(at, found), law.parameter(at, scaled));
                    prop_assert!((a - b).abs() <= 1e-7 * (1.0 + a.abs()), "{a} {b}");
                }
            }
        }
    }
}
