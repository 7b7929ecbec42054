//! The points of two sources that answer the same question, held against each other.

use super::asked::Asked;
use super::reading::{Source, Times};
use crate::engine::STEAL;
use crate::error::{Error, Exit, Explained};
use crate::scaling::{Allowed, Comparison, Steal, Verdict, Why};
use crate::statistics::{FEWEST, Pairing, Summary};

/// Any number would do: the same samples are to have the same interval each time.
const SEED: u64 = 0x005b_d00d;
/// Among so many points of each the nearest match is looked for.
const LOOKED_AT: usize = 300;
/// So many differences are told.
const TOLD: usize = 4;

/// What a point does that A has and B has no sample of: what crashes now was not slower before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Passes,
    Fails,
}

/// Passes of fewer runs than this may differ by what the runs differ in.
const RUNS: usize = 6;

/// Two sources, compared.
#[derive(Debug)]
pub(crate) struct Compared {
    /// What messages call them: A, B.
    pub(crate) shown: [String; 2],
    pub(crate) allowance: f64,
    missing: Missing,
    pub(crate) pairs: Vec<Pair>,
    /// The points that only one of them has: A, B.
    pub(crate) alone: [Vec<Asked>; 2],
    /// What should be known besides.
    pub(crate) warnings: Vec<String>,
}

/// One point of both.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) asked: Asked,
    /// A, B.
    pub(crate) times: [Summary; 2],
    /// The share of the CPUs' time that the host kept for others, of the one that it is larger of.
    pub(crate) steal: f64,
    pub(crate) comparison: Comparison,
}

impl Compared {
    /// Compares the second source with the first; `Err` if they have nothing in common.
    pub(super) fn of(
        a: Source,
        b: Source,
        allowance: f64,
        missing: Missing,
    ) -> Result<Self, Error> {
        let mut warnings: Vec<String> = [&a, &b].map(|s| s.warnings.clone()).concat();
        warnings.extend(machines(&a, &b));
        warnings.extend([("A", &a), ("B", &b)].into_iter().flat_map(|(side, of)| doubts(side, of)));
        let only = |from: &Source, other: &Source| {
            from.points.keys().filter(|asked| !other.points.contains_key(asked)).cloned().collect()
        };
        let alone: [Vec<Asked>; 2] = [only(&a, &b), only(&b, &a)];
        let pairs: Vec<Pair> = a
            .points
            .iter()
            .filter_map(|(asked, before)| pair(asked, before, b.points.get(asked)?, allowance))
            .collect();
        if pairs.is_empty() {
            return Err(nothing_in_common([&a.shown, &b.shown], &alone));
        }
        Ok(Self { shown: [a.shown, b.shown], allowance, missing, pairs, alone, warnings })
    }

    /// Returns how the command ends.
    pub(crate) fn exit(&self) -> Exit {
        let beyond = |pair: &Pair| pair.comparison.allowed == Allowed::Beyond;
        if self.pairs.iter().any(beyond) || self.is_missing_some() {
            Exit::GateMissed
        } else {
            Exit::Complete
        }
    }

    /// Says whether points are missing in B, and that is not let pass.
    pub(crate) fn is_missing_some(&self) -> bool {
        self.missing == Missing::Fails && !self.alone[0].is_empty()
    }

    /// Returns all points, for what they have in common.
    pub(crate) fn asked(&self) -> Vec<&Asked> {
        let pairs = self.pairs.iter().map(|pair| &pair.asked);
        pairs.chain(self.alone.iter().flatten()).collect()
    }

    /// Counts the pairs that are held back from a verdict for this reason.
    pub(crate) fn undecided(&self, why: Why) -> usize {
        let verdict = Verdict::NoDifferenceShown(why);
        self.pairs.iter().filter(|pair| pair.comparison.verdict == verdict).count()
    }
}

impl Pair {
    /// Says whether one of the two has too few samples for an interval.
    pub(crate) fn is_few(&self) -> bool {
        self.times.iter().any(|times| times.n < FEWEST)
    }
}

fn pair(asked: &Asked, before: &Times, after: &Times, allowance: f64) -> Option<Pair> {
    let share = before.steal().max(after.steal());
    let rounds = [before, after].map(|times| times.seconds.iter().copied().map(Some).collect());
    let [one, two]: [Vec<Option<f64>>; 2] = rounds;
    let steal = Some(Steal { share, threshold: STEAL });
    let comparison = Comparison::of([&one, &two], Pairing::Apart, allowance, steal, SEED)?;
    let times = [Summary::of(before.seconds.clone())?, Summary::of(after.seconds.clone())?];
    Some(Pair { asked: asked.clone(), times, steal: share, comparison })
}

/// Says what an interval of these samples does not hold.
fn doubts(side: &str, of: &Source) -> Vec<String> {
    let few =
        of.points.values().filter(|times| times.runs < RUNS && times.seconds.len() > times.runs);
    let few = few.count();
    let few = (few > 0).then(|| {
        format!(
            "{side} has passes of fewer than {RUNS} runs, at {few} of its points: what differs from run to run is not \
             in their interval; `spmd batch` with `repeats` makes each sample a run of its own"
        )
    });
    let [marked, runs] = of
        .points
        .values()
        .fold([0, 0], |[marked, runs], times| [marked + times.marked, runs + times.runs]);
    let marked = (2 * marked > runs)
        .then(|| format!("{side} was disturbed: {marked} of its runs are marked so, of {runs}"));
    few.into_iter().chain(marked).collect()
}

/// Says in what the machines differ, as far as that is known of both.
fn machines(a: &Source, b: &Source) -> Option<String> {
    let facts = a.machine.iter().zip(&b.machine).filter(|(one, two)| one != two);
    let facts: Vec<String> =
        facts.map(|((name, one), (_, two))| format!("{name} `{one}` and `{two}`")).collect();
    (!facts.is_empty())
        .then(|| format!("A and B are of different machines or set-ups: {}", facts.join("; ")))
}

fn nothing_in_common(shown: [&str; 2], alone: &[Vec<Asked>; 2]) -> Error {
    let [a, b] = shown;
    let near = alone[0]
        .iter()
        .take(LOOKED_AT)
        .flat_map(|one| alone[1].iter().take(LOOKED_AT).map(move |two| one.differences(two)));
    let near = near.min_by_key(Vec::len).unwrap_or_default();
    let mut told: Vec<String> = near
        .iter()
        .take(TOLD)
        .map(|(name, one, two)| {
            let value = |value: &Option<&str>| value.unwrap_or("not set").to_owned();
            format!("{name} is {} in A, {} in B", value(one), value(two))
        })
        .collect();
    if near.len() > TOLD {
        told.push(format!("and {} more", near.len() - TOLD));
    }
    Error::rejected(
        Explained::new(format!("`{a}` and `{b}` have no point in common")).hint(format!(
            "the nearest two differ in {}: {}",
            near.len(),
            told.join("; ")
        )),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(points: &[(&str, &[f64])]) -> Source {
        let mut source = Source::default();
        for (schedule, seconds) in points {
            let record = json!({"kernel": "k", "procs": 2, "size": 9, "dtype": "i64",
                "params": {"schedule": schedule}});
            let times =
                Times { seconds: seconds.to_vec(), runs: seconds.len(), ..Times::default() };
            source.points.insert(Asked::of(&record).unwrap(), times);
        }
        source
    }

    const ONE: [f64; 8] = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01];

    fn slower(by: f64) -> Vec<f64> {
        ONE.iter().map(|time| time * by).collect()
    }

    #[test]
    fn points_of_the_same_question_are_paired_and_others_listed() {
        let a = source(&[("static", &ONE), ("tss", &ONE)]);
        let b = source(&[("steal", &ONE), ("static", &slower(1.2))]);
        let found = Compared::of(a, b, 0.03, Missing::Passes).unwrap();
        assert_eq!(found.pairs.len(), 1);
        assert_eq!(found.pairs[0].comparison.verdict, Verdict::Slower);
        assert_eq!(found.exit(), Exit::GateMissed);
        let names = found.alone.each_ref().map(|alone| alone[0].get("schedule").unwrap());
        assert_eq!(names, ["tss", "steal"]);
    }

    #[test]
    fn a_point_that_the_second_has_no_sample_of_fails_unless_that_is_let_pass() {
        let ends = |missing| {
            let a = source(&[("static", &ONE), ("tss", &ONE)]);
            Compared::of(a, source(&[("static", &ONE)]), 0.03, missing).unwrap().exit()
        };
        assert_eq!(ends(Missing::Fails), Exit::GateMissed);
        assert_eq!(ends(Missing::Passes), Exit::Complete);
        let b = source(&[("static", &ONE), ("tss", &ONE)]);
        let more = Compared::of(source(&[("static", &ONE)]), b, 0.03, Missing::Fails).unwrap();
        assert_eq!(more.exit(), Exit::Complete, "what is new was not there before");
    }

    #[test]
    fn passes_of_one_run_and_disturbed_ones_are_told() {
        let mut a = source(&[("static", &ONE)]);
        let b = source(&[("static", &ONE)]);
        a.points.values_mut().for_each(|times| (times.runs, times.marked) = (1, 1));
        let found = Compared::of(a, b, 0.03, Missing::Fails).unwrap();
        let told = |text: &str| found.warnings.iter().any(|warning| warning.contains(text));
        assert!(told("A has passes of fewer than 6 runs"), "{:?}", found.warnings);
        assert!(told("A was disturbed: 1 of its runs are marked so, of 1"), "{:?}", found.warnings);
        assert!(!told("B "), "{:?}", found.warnings);
    }

    #[test]
    fn an_allowance_lets_pass_what_it_covers() {
        let [a, b] = [source(&[("static", &ONE)]), source(&[("static", &slower(1.2))])];
        assert_eq!(Compared::of(a, b, 0.3, Missing::Fails).unwrap().exit(), Exit::Complete);
    }

    #[test]
    fn too_few_samples_fail_no_gate() {
        let [a, b] = [source(&[("static", &ONE)]), source(&[("static", &[9.0; 5])])];
        let found = Compared::of(a, b, 0.03, Missing::Passes).unwrap();
        assert!(found.pairs[0].is_few());
        assert_eq!((found.exit(), found.undecided(Why::Few)), (Exit::Complete, 1));
    }

    #[test]
    fn where_nothing_is_in_common_the_nearest_are_told_apart() {
        let error = Compared::of(
            source(&[("static", &ONE)]),
            source(&[("tss", &ONE)]),
            0.03,
            Missing::Fails,
        )
        .unwrap_err();
        let hint = "the nearest two differ in 1: schedule is static in A, tss in B";
        assert_eq!((error.hint(), error.exit()), (Some(hint), Exit::Rejected));
    }
}
