//! Points, and what they are held against: speedup, efficiency, Karp and Flatt's serial share.
//!
//! With w the work of a point as a multiple of the base's (1 where the size stays, p where it grows with the
//! ranks), speedup is S = w·T_base/T_p and efficiency E = S/p. For a strong study that is T_1/T_p; for a weak
//! one S is the scaled speedup, and E = T_1/T_p. All are ratios of medians, never medians of ratios: what
//! they are made of can be shown beside them.

use serde::Serialize;

use super::point::{Estimate, Point};
use crate::error::Explained;
use crate::statistics::{APART, Bootstrap, Pairing, interval, modified_z_scores, variation};

/// What stays the same when ranks are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The size of the whole problem.
    Strong,
    /// The size of each rank's part.
    Weak,
}

/// What speedups are multiples of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Base {
    /// The same program with one rank.
    OneRank,
    /// The plain serial loop, in the same rounds; its `procs` is 1.
    Serial(Point),
}

impl Base {
    /// Returns what a report calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::OneRank => "one rank",
            Self::Serial(_) => "plain serial loop",
        }
    }
}

/// The points of one problem, measured in rounds.
#[derive(Clone, Debug)]
pub(crate) struct Study {
    pub(crate) kind: Kind,
    pub(super) base: Base,
    /// By procs; each once.
    pub(super) points: Vec<Point>,
    /// The medians of all points, in their order, and then of the base.
    pub(super) medians: Vec<f64>,
    /// The same of each draw.
    pub(super) bootstrap: Bootstrap,
}

/// One point's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) procs: u32,
    pub(crate) size: u64,
    pub(crate) n: usize,
    /// The median; its interval is that of order statistics.
    pub(crate) time_s: Estimate,
    /// Standard deviation by mean.
    pub(crate) variation: Option<f64>,
    /// Rounds whose sample is far apart from the others: a label.
    pub(crate) apart: Vec<usize>,
    pub(crate) speedup: Estimate,
    pub(crate) efficiency: Estimate,
    /// What serial share alone would explain the speedup; of strong studies and more than one rank. Below 0
    /// where a rank is faster than the base.
    pub(crate) karp_flatt: Option<Estimate>,
}

impl Study {
    /// Takes points in any order. The same seed gives the same intervals.
    pub(crate) fn new(mut points: Vec<Point>, base: Base, seed: u64) -> Result<Self, Explained> {
        points.sort_by_key(|point| point.procs);
        checked(&points, &base)?;
        let kind = kind(&points)?;
        let based = match &base {
            Base::Serial(point) => point,
            Base::OneRank => points.first().filter(|point| point.procs == 1).ok_or_else(|| {
                Explained::new("no samples of one rank, which speedups are multiples of")
                    .hint("measure --procs 1, too, or the plain serial loop: --baseline serial")
            })?,
        };
        let all = points.iter().chain([based]);
        let medians = all.clone().filter_map(Point::median).collect();
        let series: Vec<&[Option<f64>]> = all.map(|point| &*point.rounds).collect();
        let bootstrap = Bootstrap::of(&series, Pairing::Rounds, seed)
            .ok_or_else(|| Explained::new("no samples"))?; // `checked` has refused that.
        Ok(Self { kind, base, points, medians, bootstrap })
    }

    /// Returns the figures of each point, by procs.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        (0..self.points.len()).map(|at| self.figures_of(at)).collect()
    }

    /// Returns the time that speedups are multiples of.
    pub(crate) fn base_time(&self) -> Estimate {
        time(self.based())
    }

    /// Returns what a report calls the base.
    pub(crate) fn base_name(&self) -> &'static str {
        self.base.name()
    }

    fn figures_of(&self, at: usize) -> Figures {
        let point = &self.points[at];
        let (procs, work) = (f64::from(point.procs), self.work(point));
        let base = self.points.len();
        let ratio = |medians: &[f64]| work * medians[base] / medians[at];
        let ci95 = self.bootstrap.interval(&[base, at], ratio);
        let speedup = Estimate { value: ratio(&self.medians), ci95 };
        let times = point.times();
        let scores = modified_z_scores(&times);
        let sampled = point.rounds.iter().enumerate().filter(|(_, time)| time.is_some());
        Figures {
            procs: point.procs,
            size: point.size,
            n: times.len(),
            time_s: time(point),
            variation: variation(&times),
            apart: sampled
                .zip(scores)
                .filter(|(_, score)| score.abs() > APART)
                .map(|((round, _), _)| round)
                .collect(),
            speedup,
            efficiency: speedup.through(|speedup| speedup / procs),
            karp_flatt: (self.kind == Kind::Strong && point.procs > 1)
                .then(|| speedup.through(|speedup| karp_flatt(speedup, procs))),
        }
    }

    /// Returns the series that a law is fitted to: all but the base, which only ratios are taken to.
    pub(super) fn fitted(&self) -> Vec<usize> {
        (0..self.points.len()).collect()
    }

    pub(super) fn based(&self) -> &Point {
        match &self.base {
            Base::Serial(point) => point,
            Base::OneRank => &self.points[0], // `new` has looked that it is there.
        }
    }

    /// Returns a point's work as a multiple of the base's.
    pub(super) fn work(&self, point: &Point) -> f64 {
        point.size as f64 / self.based().size as f64
    }

    /// Returns the work of a point that was not measured.
    pub(super) fn work_at(&self, procs: u32) -> f64 {
        match self.kind {
            Kind::Strong => 1.0,
            Kind::Weak => f64::from(procs),
        }
    }
}

/// Returns the serial share that Amdahl's law needs for this speedup: (1/S − 1/p)/(1 − 1/p).
fn karp_flatt(speedup: f64, procs: f64) -> f64 {
    (1.0 / speedup - 1.0 / procs) / (1.0 - 1.0 / procs)
}

/// Returns the median of a point's samples, with the interval of order statistics.
pub(super) fn time(point: &Point) -> Estimate {
    let mut sorted = point.times();
    sorted.sort_by(f64::total_cmp);
    Estimate { value: point.median().unwrap_or(f64::NAN), ci95: interval(&sorted) }
}

fn checked(points: &[Point], base: &Base) -> Result<(), Explained> {
    let serial = match base {
        Base::Serial(point) => Some(point),
        Base::OneRank => None,
    };
    if points.is_empty() {
        return Err("a study needs points, and there are none".into());
    }
    for pair in points.windows(2) {
        if pair[0].procs == pair[1].procs {
            let what =
                format!("{} ranks were given twice; a point has its samples once", pair[0].procs);
            return Err(what.into());
        }
    }
    for point in points.iter().chain(serial) {
        let procs = point.procs;
        if procs == 0 || point.size == 0 {
            let what = format!("{procs} ranks with {} indices have no speedup", point.size);
            return Err(what.into());
        }
        let mut times = point.rounds.iter().flatten().peekable();
        if times.peek().is_none() {
            return Err(format!("no samples of {procs} ranks").into());
        }
        if let Some(time) = times.find(|time| !(time.is_finite() && **time > 0.0)) {
            let what = format!("a sample of {procs} ranks took {time} s, which is not a time");
            return Err(what.into());
        }
    }
    if let Some(serial) = serial.filter(|serial| serial.procs != 1) {
        return Err(format!("the plain serial loop had {} ranks", serial.procs).into());
    }
    Ok(())
}

/// Tells strong from weak; sizes that grow with the ranks may be off by rounding, less than an index a rank.
fn kind(points: &[Point]) -> Result<Kind, Explained> {
    let same = points.iter().all(|point| point.size == points[0].size);
    let share = |point: &Point| point.size as f64 / f64::from(point.procs);
    let grows = points.iter().all(|point| (share(point) - share(&points[0])).abs() < 1.0);
    match (same, grows) {
        (true, _) => Ok(Kind::Strong),
        (false, true) => Ok(Kind::Weak),
        (false, false) => Err(Explained::new(
            "sizes are neither the same for all ranks nor in proportion to them",
        )
        .details(
            points.iter().map(|point| format!("{} ranks: {} indices", point.procs, point.size)),
        )
        .hint("one size (strong), or --weak, which takes it for each rank")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOISE: [f64; 8] = [1.0, 1.01, 0.99, 1.02, 0.98, 1.005, 0.995, 1.0];

    fn points(times: &[(u32, u64, f64)]) -> Vec<Point> {
        let point = |&(procs, size, time): &(u32, u64, f64)| {
            Point::new(procs, size, &NOISE.map(|noise| noise * time))
        };
        times.iter().map(point).collect()
    }

    #[test]
    fn figures_of_a_strong_study_are_those_on_paper() {
        // By hand: S = 8/5 = 1.6, E = 0.8, e = (1/1.6 - 1/2)/(1/2) = 0.25; S = 8/3.5, e = (0.4375 -
        // 0.25)/0.75.
        let study =
            Study::new(points(&[(4, 100, 3.5), (1, 100, 8.0), (2, 100, 5.0)]), Base::OneRank, 1)
                .unwrap();
        assert_eq!((study.kind, study.base_name()), (Kind::Strong, "one rank"));
        let figures = study.figures();
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}");
        close(figures[1].speedup.value, 1.6);
        close(figures[1].efficiency.value, 0.8);
        close(figures[1].karp_flatt.unwrap().value, 0.25);
        close(figures[2].speedup.value, 8.0 / 3.5);
        close(figures[2].karp_flatt.unwrap().value, 0.25);
        assert_eq!((figures[0].karp_flatt, figures[0].speedup.ci95), (None, Some([1.0, 1.0])));
        // The noise is that of the rounds, and so in no ratio.
        let [low, high] = figures[1].speedup.ci95.unwrap();
        assert!(high - low < 1e-12 && figures[1].time_s.ci95.unwrap()[0] < 4.99);
    }

    #[test]
    fn a_weak_study_is_told_by_its_sizes_and_has_no_serial_share() {
        let study =
            Study::new(points(&[(1, 100, 8.0), (2, 201, 8.0), (4, 400, 10.0)]), Base::OneRank, 1)
                .unwrap();
        let figures = study.figures();
        assert_eq!(study.kind, Kind::Weak);
        assert!((figures[2].speedup.value - 3.2).abs() < 1e-12);
        assert!((figures[2].efficiency.value - 0.8).abs() < 1e-12);
        assert_eq!(figures[2].karp_flatt, None);
    }

    #[test]
    fn speedups_are_multiples_of_the_stated_base() {
        let serial = Base::Serial(points(&[(1, 100, 6.0)]).remove(0));
        let study = Study::new(points(&[(2, 100, 4.0), (4, 100, 2.0)]), serial, 1).unwrap();
        assert_eq!((study.base_name(), study.base_time().value), ("plain serial loop", 6.0));
        assert_eq!(study.figures()[1].speedup.value, 3.0);
    }

    #[test]
    fn what_is_no_study_is_refused_with_the_reason() {
        let refused =
            |points: Vec<Point>| Study::new(points, Base::OneRank, 1).unwrap_err().to_string();
        let mut bad = points(&[(1, 10, 1.0), (2, 10, 1.0)]);
        bad[1].rounds[0] = Some(0.0);
        for (points, expected) in [
            (vec![], "a study needs points"),
            (points(&[(2, 10, 1.0), (2, 10, 1.0)]), "2 ranks were given twice"),
            (points(&[(2, 10, 1.0)]), "no samples of one rank"),
            (points(&[(1, 10, 1.0), (2, 15, 1.0)]), "neither the same for all ranks"),
            (bad, "took 0 s, which is not a time"),
            (vec![Point::new(1, 10, &[])], "no samples of 1 ranks"),
            (vec![Point::new(1, 0, &[1.0])], "1 ranks with 0 indices"),
        ] {
            let found = refused(points);
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_spike_is_labelled_with_its_round_and_moves_no_median() {
        let mut noisy = points(&[(1, 10, 8.0), (2, 10, 4.0)]);
        noisy[1].rounds[2] = None;
        noisy[1].rounds[5] = Some(40.0);
        let figures = Study::new(noisy, Base::OneRank, 1).unwrap().figures();
        assert_eq!((figures[0].apart.len(), &*figures[1].apart, figures[1].n), (0, &[5][..], 7));
        assert!((figures[1].speedup.value - 2.0).abs() < 0.02);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn figures_are_the_same_in_any_unit_of_time(unit in 1e-9_f64..1e9, second in 1.0_f64..9.0) {
            let of = |unit: f64| {
                let points = points(&[(1, 10, 8.0 * unit), (2, 10, second * unit)]);
                Study::new(points, Base::OneRank, 5).unwrap().figures().remove(1)
            };
            let (found, scaled) = (of(1.0), of(unit));
            prop_assert!((scaled.time_s.value / found.time_s.value / unit - 1.0).abs() < 1e-9);
            for (a, b) in [(found.speedup, scaled.speedup), (found.efficiency, scaled.efficiency)] {
                prop_assert!((a.value - b.value).abs() < 1e-9);
                prop_assert!((a.ci95.unwrap()[1] - b.ci95.unwrap()[1]).abs() < 1e-9);
            }
        }

        #[test]
        fn a_longer_time_is_a_smaller_speedup_and_a_greater_serial_share(
            time in 1.0_f64..8.0, more in 1.0001_f64..4.0, procs in 2_u32..64,
        ) {
            let of = |time: f64| {
                let points = points(&[(1, 10, 8.0), (procs, 10, time)]);
                Study::new(points, Base::OneRank, 5).unwrap().figures().remove(1)
            };
            let (short, long) = (of(time), of(time * more));
            prop_assert!(long.speedup.value < short.speedup.value);
            prop_assert!(long.karp_flatt.unwrap().value > short.karp_flatt.unwrap().value);
        }
    }
}
