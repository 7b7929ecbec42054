//! What each rank did in one trial, from its trace.

use crate::plots::{Activity, Row, Span};
use crate::trace::{self, Kind};

/// A row for each rank.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) rows: Vec<Row>,
    /// Which trial it is.
    pub(crate) about: String,
}

/// So many rows can be told apart; of more ranks the first and the last are shown.
const ROWS: usize = 64;

impl Trial {
    /// Takes one pass of a trace, from its first moment on. `None`: nothing of it was recorded.
    pub(crate) fn of(spans: &[trace::Span], pass: u32, about: &str) -> Option<Self> {
        let spans = || spans.iter().filter(|span| span.pass == pass && span.kind != Kind::Pass);
        let begin = spans().map(|span| span.begin).min()?;
        let mut ranks: Vec<u32> = spans().map(|span| span.rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let mut about = about.to_owned();
        if ranks.len() > ROWS {
            about.push_str(&format!(
                " Of {} ranks, the first and the last {}.",
                ranks.len(),
                ROWS / 2
            ));
            ranks.drain(ROWS / 2..ranks.len() - ROWS / 2);
        }
        let row = |rank: u32| {
            let mut spans: Vec<Span> = spans()
                .filter(|span| span.rank == rank)
                .filter_map(|span| {
                    let activity = match span.kind {
                        Kind::Pass => return None,
                        Kind::Chunk(_) => Activity::Compute,
                        Kind::Claim => Activity::Claim,
                        Kind::Wait => Activity::Wait,
                    };
                    let seconds = |at: u64| at.saturating_sub(begin) as f64 / 1e9;
                    Some(Span { activity, begin: seconds(span.begin), end: seconds(span.end) })
                })
                .collect();
            spans.sort_by(|a, b| a.begin.total_cmp(&b.begin));
            Row { name: format!("rank {rank}"), spans }
        };
        Some(Self { rows: ranks.into_iter().map(row).collect(), about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(rank: u32, pass: u32, kind: Kind, begin: u64, end: u64) -> trace::Span {
        trace::Span { rank, pid: 100 + rank, pass, kind, begin, end }
    }

    #[test]
    fn one_pass_is_shown_from_its_first_moment_on() {
        let chunk = || Kind::Chunk(0..5);
        let spans = [
            span(1, 1, Kind::Wait, 3_000_000_000, 4_000_000_000),
            span(1, 1, chunk(), 2_000_000_000, 3_000_000_000),
            span(0, 1, Kind::Pass, 1_000_000_000, 4_000_000_000),
            span(0, 1, Kind::Claim, 1_500_000_000, 1_750_000_000),
            span(0, 0, chunk(), 0, 900_000_000),
        ];
        let trial = Trial::of(&spans, 1, "The second pass.").unwrap();
        let names: Vec<&str> = trial.rows.iter().map(|row| &*row.name).collect();
        assert_eq!(names, ["rank 0", "rank 1"]);
        assert_eq!(
            trial.rows[0].spans,
            [Span { activity: Activity::Claim, begin: 0.0, end: 0.25 }]
        );
        let second = &trial.rows[1].spans;
        assert_eq!([second[0].activity, second[1].activity], [Activity::Compute, Activity::Wait]);
        assert_eq!([second[0].begin, second[1].end], [0.5, 2.5]);
        assert!(Trial::of(&spans, 2, "").is_none());
    }

    #[test]
    fn of_very_many_ranks_the_first_and_the_last_are_shown_and_that_is_said() {
        let spans: Vec<trace::Span> =
            (0..100).map(|rank| span(rank, 0, Kind::Claim, 0, 1000)).collect();
        let trial = Trial::of(&spans, 0, "A pass.").unwrap();
        assert_eq!((trial.rows.len(), &*trial.rows[32].name), (64, "rank 68"));
        assert_eq!(trial.about, "A pass. Of 100 ranks, the first and the last 32.");
    }
}
