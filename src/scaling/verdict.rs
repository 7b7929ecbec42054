//! One sentence on how far a problem scales, and why not further.
//!
//! It names what most was lost by at the most ranks measured. Two causes go before the others, as they are
//! laws of the problem and the machine, which no schedule changes: the memory's ceiling, and a serial share.
//! The ceiling is named where the ranks reach nine tenths of it. A serial share is named where waiting is
//! what is lost, Amdahl's law agrees with every point, and its share is above 0 with 95 %: imbalance alone
//! does not look like that, as it does not grow with the ranks as a serial share does.

use super::fit::Fit;
use super::law::Law;
use super::losses::{Cause, Losses};
use crate::figures::time;

/// Ranks that reach this share of the ceiling are bound by it.
const BOUND: f64 = 0.9;
/// Where more than this is not lost, nothing is worth a cause.
const FINE: f64 = 0.95;

/// Says it of the losses of each number of ranks, and whatever laws could be fitted; `None` where there is
/// nothing to say it of.
///
/// Losses are of one trial in the middle; whether the problem scales is said by the `efficiency` of all trials with
/// that many ranks, where it is known.
pub(crate) fn verdict(
    losses: &[Losses],
    fits: &[Fit],
    efficiency: &[(u32, f64)],
) -> Option<String> {
    let last = losses.iter().filter(|losses| losses.procs > 1).max_by_key(|losses| losses.procs)?;
    let procs = last.procs;
    let known = efficiency.iter().find(|(of, _)| *of as usize == procs);
    let efficiency = known.map_or_else(|| last.efficiency(), |(_, efficiency)| *efficiency);
    let bound = |losses: &&Losses| losses.bandwidth.is_some_and(|share| share >= BOUND);
    if efficiency >= FINE {
        let scales = format!("scales to {procs} ranks: efficiency {efficiency:.2}");
        // Nothing is lost, and yet so many ranks cannot have more.
        let share = last.bandwidth.filter(|share| *share >= BOUND).map(|share| share * 100.0);
        return Some(match share {
            Some(share) => format!("{scales}, with memory at {share:.0} % of the measured ceiling"),
            None => scales,
        });
    }
    if bound(&last) {
        // From the fewest ranks on after which all are.
        let mut sorted: Vec<&Losses> = losses.iter().collect();
        sorted.sort_by_key(|losses| losses.procs);
        let from = sorted.iter().rev().take_while(|losses| bound(losses)).last()?;
        let share = last.bandwidth? * 100.0;
        let ranks = if from.procs == 1 { "rank" } else { "ranks" };
        return Some(format!(
            "memory-bound from {} {ranks}: {share:.0} % of the measured ceiling",
            from.procs
        ));
    }
    let greatest = last.greatest()?;
    if matches!(greatest.cause, Cause::Imbalance | Cause::Barrier)
        && let Some((share, limit)) = serial(fits)
    {
        return Some(format!("serial share {:.1} % limits to {limit:.1}x", share * 100.0));
    }
    let share = format!("{:.0} %", last.share(greatest.cause) * 100.0);
    let each = time(greatest.lost / procs as f64);
    let of = format!("{share} of the ranks' time at {procs} ranks, {each} each");
    Some(match greatest.cause {
        Cause::Imbalance => format!(
            "imbalance: the busiest rank is busy {:.0} % longer than the mean",
            last.imbalance * 100.0
        ),
        Cause::Launch => format!("start-up: {of}; longer runs have more of it back"),
        Cause::Touch => format!("first touch of the pages: {of}"),
        Cause::Claim => format!("claims: {of}; larger chunks have fewer of them"),
        Cause::Barrier => format!("waits at the barrier that no imbalance explains: {of}"),
        Cause::Memory => format!(
            "memory's ceiling, of which the ranks reach {:.0} %: {of}",
            last.bandwidth.unwrap_or(0.0) * 100.0
        ),
        Cause::Steal => format!("cpu time that the host kept for others: {of}"),
        Cause::Delay => {
            format!("waiting for a cpu that others had: {of}; a quieter machine has it back")
        }
        Cause::Frequency => format!("a lower clock than with the base: {of}"),
        Cause::Computing => format!(
            "the same work takes ranks longer, which caches, siblings of a core or memory may do: {of}"
        ),
        Cause::Output => format!("verifying and writing the output: {of}"),
        Cause::Rest => format!("time that nobody accounts for: {of}; the losses do not tell"),
    })
}

/// Returns Amdahl's serial share and its bound, where the law can be believed.
fn serial(fits: &[Fit]) -> Option<(f64, f64)> {
    let fit = fits.iter().find(|fit| fit.law == Law::Amdahl)?;
    let share = fit.parameters.first()?.estimate;
    let [low, _] = share.ci95?;
    let believed = low > 0.0 && fit.goodness.missed.is_empty();
    believed.then_some((share.value, fit.limit?.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::losses::{Memory, RankTime, Spent};
    use crate::scaling::point::Point;
    use crate::scaling::study::{Base, Study};

    fn ranks(busy: &[f64], until: f64) -> Spent {
        let rank = |&busy: &f64| RankTime { busy, claim: 0.0, wait: until - busy };
        Spent::pass(until, busy.iter().map(rank).collect())
    }

    fn said(trial: &Spent, base: f64) -> String {
        verdict(&[Losses::of(trial, &Spent::serial(base), 1.0, None)], &[], &[]).unwrap()
    }

    #[test]
    fn what_scales_is_said_to() {
        assert_eq!(said(&ranks(&[4.0, 4.0], 4.1), 8.0), "scales to 2 ranks: efficiency 0.98");
        assert_eq!(verdict(&[], &[], &[]), None);
        let alone = Losses::of(&Spent::serial(1.0), &Spent::serial(1.0), 1.0, None);
        assert_eq!(verdict(&[alone], &[], &[]), None);
    }

    #[test]
    fn all_trials_say_whether_it_scales_and_not_the_one_that_is_cut() {
        let losses = [Losses::of(&ranks(&[4.0, 4.0], 4.1), &Spent::serial(8.0), 1.0, None)];
        let found = verdict(&losses, &[], &[(1, 1.0), (2, 0.7)]).unwrap();
        assert!(!found.starts_with("scales"), "{found}");
        assert_eq!(
            verdict(&losses, &[], &[(2, 0.96)]).unwrap(),
            "scales to 2 ranks: efficiency 0.96"
        );
    }

    #[test]
    fn the_ceiling_is_named_with_the_first_ranks_that_reach_it() {
        let losses = |procs: usize, seconds: f64| {
            let memory = Memory { bytes: 100.0, ceiling: 25.0 };
            let trial = ranks(&vec![seconds; procs], seconds);
            Losses::of(&trial, &Spent::serial(7.0), 1.0, Some(memory))
        };
        let found = verdict(&[losses(4, 4.3), losses(1, 7.0), losses(2, 4.4)], &[], &[]).unwrap();
        assert_eq!(found, "memory-bound from 2 ranks: 93 % of the measured ceiling");
    }

    #[test]
    fn what_scales_up_to_the_ceiling_is_said_to_have_reached_it() {
        let memory = Memory { bytes: 100.0, ceiling: 25.0 };
        let trial = ranks(&[4.1, 4.1], 4.1);
        let losses = Losses::of(&trial, &Spent::serial(8.0), 1.0, Some(memory));
        let found = verdict(&[losses], &[], &[]).unwrap();
        let wanted =
            "scales to 2 ranks: efficiency 0.98, with memory at 98 % of the measured ceiling";
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_busiest_rank_is_compared_with_the_mean() {
        let found = said(&ranks(&[7.0, 3.0, 5.0, 5.0], 7.0), 20.0);
        assert_eq!(found, "imbalance: the busiest rank is busy 40 % longer than the mean");
    }

    #[test]
    fn a_serial_share_is_named_where_amdahls_law_holds_and_not_where_imbalance_looks_alike() {
        let fit = |time: &dyn Fn(f64) -> f64| {
            let noise = [1.0, 1.01, 0.99, 1.005, 0.995, 1.0, 1.002];
            let point = |procs: u32| {
                Point::new(procs, 10, &noise.map(|noise| noise * time(f64::from(procs))))
            };
            let points = [1, 2, 4, 8, 16, 32].map(point).to_vec();
            Fit::of(&Study::new(points, Base::OneRank, 1).unwrap(), Law::Amdahl).unwrap()
        };
        let mut busy = vec![95.2 / 32.0; 32];
        busy[0] += 4.8;
        let trial = ranks(&busy, busy[0]);
        let losses = [Losses::of(&trial, &Spent::serial(100.0), 1.0, None)];
        let serial = fit(&|p| 4.8 + 95.2 / p);
        assert_eq!(
            verdict(&losses, std::slice::from_ref(&serial), &[]).unwrap(),
            "serial share 4.8 % limits to 20.8x"
        );
        let mut doubted = serial.clone();
        doubted.goodness.missed = vec![8];
        assert!(
            verdict(&losses, &[doubted], &[]).unwrap().starts_with("imbalance"),
            "one point is off"
        );
        let uneven = fit(&|p| if p > 1.0 { 130.0 / p } else { 100.0 });
        assert!(verdict(&losses, &[uneven], &[]).unwrap().starts_with("imbalance"));
    }

    #[test]
    fn other_causes_are_named_with_their_share() {
        let mut trial = ranks(&[4.0, 4.0], 4.0);
        (trial.launch, trial.time) = (1.0, 5.0);
        assert_eq!(
            said(&trial, 8.0),
            "start-up: 20 % of the ranks' time at 2 ranks, 1.00 s each; longer runs have more of it back"
        );
        assert!(said(&ranks(&[5.0, 5.0], 5.0), 8.0).contains("20 % of the ranks' time at 2 ranks"));
    }
}
