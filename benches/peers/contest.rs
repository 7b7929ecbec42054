//! Contenders with the same work, run in turn; and what is said about them.

use std::fmt::Write as _;

use crate::contender::{Contender, Standing};
use crate::options::Effort;
use crate::paired::ratio;
use crate::shared::{interval, median};

/// Contenders with the same work, and what is aimed at.
pub(crate) struct Contest {
    pub(crate) section: &'static str,
    pub(crate) title: String,
    pub(crate) definition: String,
    pub(crate) unit: Unit,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) targets: Vec<Target>,
}

/// What the numbers of a table are in.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Nanoseconds,
    Milliseconds,
}

/// At most so much of the time of the best of some peers.
pub(crate) struct Target {
    /// The name of our contender.
    pub(crate) ours: &'static str,
    pub(crate) families: &'static [&'static str],
    pub(crate) settings: Settings,
    pub(crate) at_most: f64,
}

/// Which settings of a peer count.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Settings {
    /// The best of all that were tried.
    Best,
    /// As it comes.
    Default,
}

/// What a contest came to: a table, and one line of samples a contender.
pub(crate) struct Found {
    pub(crate) text: String,
    pub(crate) samples: Vec<serde_json::Value>,
}

/// A contender with its samples, one a round.
struct Entry {
    contender: Contender,
    seconds: Vec<f64>,
}

impl Contest {
    /// Returns the title and the definition.
    pub(crate) fn head(&self) -> (String, String) {
        (self.title.clone(), self.definition.clone())
    }

    /// Runs everybody once, uncounted, and then in turn.
    ///
    /// Who cannot run, or comes to another result than the first, leaves, and it is said why.
    pub(crate) fn hold(mut self, effort: Effort) -> Found {
        let ours = |entries: &[Entry]| {
            entries.iter().any(|entry| entry.contender.standing == Standing::Ours)
        };
        let mut left = vec![];
        let mut ends = None;
        let mut entries = vec![];
        for contender in std::mem::take(&mut self.contenders) {
            if contender.standing != Standing::Ours && !ours(&entries) {
                break; // Ours come first, and there is none: nothing to compare.
            }
            match contender.sample() {
                Ok(sample) => {
                    let same = ends.is_none() || sample.ends.is_none() || sample.ends == ends;
                    if same {
                        ends = ends.or(sample.ends);
                        entries.push(Entry { contender, seconds: vec![] });
                    } else {
                        left.push(format!(
                            "{}: other results, {:?} and not {:?}",
                            contender.name, sample.ends, ends
                        ));
                    }
                }
                Err(reason) => left.push(reason),
            }
        }
        for round in 0..effort.rounds() {
            let count = entries.len();
            let mut gone = vec![];
            // Each round begins with another, so that nobody always follows the same one.
            for at in (0..count).map(|at| (at + round) % count) {
                match entries[at].contender.sample() {
                    Ok(sample) => entries[at].seconds.push(sample.seconds),
                    Err(reason) => gone.push((at, reason)),
                }
            }
            gone.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
            for (at, reason) in gone {
                entries.remove(at);
                left.push(format!("{reason} (round {round})"));
            }
        }
        let mut text = String::new();
        if ours(&entries) {
            self.table(&entries, &mut text);
            self.verdicts(&entries, effort, &mut text);
        }
        for reason in left {
            writeln!(text, "- {reason}").expect("a String");
        }
        Found { text, samples: entries.iter().map(|entry| self.line(entry)).collect() }
    }

    fn table(&self, entries: &[Entry], text: &mut String) {
        let unit = self.unit.name();
        writeln!(text, "| contender | median {unit} | 95 % of the median | spmd / it | 95 % of the ratio |\n|---|--:|--:|--:|--:|")
            .expect("a String");
        let base = entries.iter().find(|entry| entry.contender.standing == Standing::Ours);
        for entry in entries {
            let (low, high) = interval(&entry.seconds);
            let shown = |seconds: f64| self.unit.shown(seconds);
            let compared = match base {
                Some(base) if entry.contender.standing != Standing::Ours => {
                    let found = ratio(&base.seconds, &entry.seconds);
                    found.shown()
                }
                _ => " | ".to_owned(),
            };
            writeln!(
                text,
                "| {} | {} | {} .. {} | {compared} |",
                entry.contender.name,
                shown(median(&entry.seconds)),
                shown(low),
                shown(high)
            )
            .expect("a String");
        }
        text.push('\n');
    }

    fn verdicts(&self, entries: &[Entry], effort: Effort, text: &mut String) {
        if self.targets.is_empty() {
            return;
        }
        text.push_str(
            "| ours | against | ratio | 95 % | at most | verdict |\n|---|---|--:|--:|--:|---|\n",
        );
        for target in &self.targets {
            let ours = entries.iter().find(|entry| entry.contender.name == target.ours);
            let best = entries
                .iter()
                .filter(|entry| target.counts(&entry.contender))
                .min_by(|a, b| median(&a.seconds).total_cmp(&median(&b.seconds)));
            let found = match (ours, best) {
                (Some(ours), Some(best)) => {
                    let found = ratio(&ours.seconds, &best.seconds);
                    let verdict = match target.at_most {
                        _ if effort == Effort::Quick => "a trial",
                        most if found.high <= most => "met",
                        most if found.low > most => "missed",
                        most if found.median <= most => "open; the median meets it",
                        _ => "open; the median misses it",
                    };
                    format!(
                        "{} | {} | {} | {verdict}",
                        best.contender.name,
                        found.shown(),
                        target.at_most
                    )
                }
                (None, _) => {
                    format!("{} | | | {} | ours did not run", target.whom(), target.at_most)
                }
                (_, None) => {
                    format!("{} | | | {} | no such peer ran", target.whom(), target.at_most)
                }
            };
            writeln!(text, "| {} | {found} |", target.ours).expect("a String");
        }
        text.push('\n');
    }

    fn line(&self, entry: &Entry) -> serde_json::Value {
        serde_json::json!({
            "bench": "peers",
            "section": self.section,
            "title": self.title,
            "family": entry.contender.family,
            "contender": entry.contender.name,
            "seconds": entry.seconds,
        })
    }
}

impl Target {
    fn counts(&self, contender: &Contender) -> bool {
        let setting = match contender.standing {
            Standing::Ours | Standing::Beside => false,
            Standing::Default => true,
            Standing::Tuned => self.settings == Settings::Best,
        };
        setting && self.families.contains(&contender.family)
    }

    fn whom(&self) -> String {
        self.families.join(", ")
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Milliseconds => "ms",
        }
    }

    /// Writes a time in this unit, with as many digits as say something.
    pub(crate) fn shown(self, seconds: f64) -> String {
        let number = match self {
            Self::Nanoseconds => seconds * 1e9,
            Self::Milliseconds => seconds * 1e3,
        };
        let digits = if number < 10.0 { 2 } else { usize::from(number < 1000.0) };
        format!("{number:.digits$}")
    }
}
