//! `journal.jsonl`: what happened and when, a line each. For people, and for whoever asks why: what was done
//! is in the samples alone.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::samples::Samples;
use crate::host::clock::rfc3339;

pub(super) const NAME: &str = "journal.jsonl";

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event<'a> {
    /// A visit begins.
    Begin {
        batch: &'a str,
        pid: u32,
        command: &'a str,
        /// The round that a `--rerun` is in.
        #[serde(skip_serializing_if = "Option::is_none")]
        rerun: Option<u32>,
        /// The points that `--only` chose; without it, all.
        #[serde(skip_serializing_if = "Option::is_none")]
        only: Option<String>,
    },
    /// A visit ends.
    End { how: End },
    /// The file was edited since the last visit.
    Edited { added: usize, orphaned: usize, dropped: usize, kept: usize },
    /// A trial starts.
    Start { key: &'a str, id: &'a str, repeat: u32, attempt: u32 },
    /// A trial has ended.
    Done { key: &'a str, repeat: u32, attempt: u32, status: &'a str },
    /// A trial that is under way is given up, without a sample.
    Abandoned { key: &'a str, repeat: u32, attempt: u32 },
    /// What is left of a job, or of the batch, is not run.
    Skipped { job: Option<&'a str>, why: &'a str },
    /// A hook has ended.
    Hook { hook: &'a str, job: Option<&'a str>, exit: i32, seconds: f64 },
    /// A file had an end that was no line.
    Cut { file: &'a str, whole: u64, torn: u64 },
    /// Somebody should know.
    Warning { text: &'a str },
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    /// Everything was run.
    Complete,
    /// `on-fail` ended it.
    Stopped,
    /// A signal did.
    Interrupted,
    /// An error did.
    Failed,
}

/// Writes an event as its line.
pub(super) fn line(event: &Event<'_>, line: &mut Vec<u8>) -> serde_json::Result<()> {
    #[derive(Serialize)]
    struct Entry<'a> {
        time: String,
        #[serde(flatten)]
        event: &'a Event<'a>,
    }

    line.clear();
    let time = rfc3339(SystemTime::now());
    serde_json::to_writer(&mut *line, &Entry { time, event })?;
    line.push(b'\n');
    Ok(())
}

/// Which `--rerun`s have not come to their end, as the journal tells: each choice of points has its own.
#[derive(Debug, Default)]
pub(super) struct Reruns {
    /// What the visit that began last makes again, if it does.
    visit: Option<Chosen>,
    /// The round that each began.
    unfinished: BTreeMap<Chosen, u32>,
}

/// What `--only` said; nothing: all points are meant.
type Chosen = Option<String>;

/// What is read of a line; what events there may be later is no concern.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Read {
    Begin {
        rerun: Option<u32>,
        only: Chosen,
    },
    End {
        how: End,
    },
    #[serde(other)]
    Other,
}

impl Reruns {
    /// Takes a line of the file; one that cannot be read says nothing.
    pub(super) fn take(&mut self, text: &[u8]) {
        match serde_json::from_slice(text) {
            Ok(Read::Begin { rerun, only }) => {
                self.visit = rerun.map(|round| {
                    self.unfinished.insert(only.clone(), round);
                    only
                });
            }
            Ok(Read::End { how: End::Complete }) => match &self.visit {
                Some(None) => self.unfinished.clear(), // All points are some of all.
                Some(chosen) => drop(self.unfinished.remove(chosen)),
                None => {}
            },
            Ok(Read::End { .. } | Read::Other) | Err(_) => {}
        }
    }

    /// Returns the round of that of this choice of points.
    fn unfinished(&self, only: Option<&str>) -> Option<u32> {
        self.unfinished.get(&only.map(str::to_owned)).copied()
    }

    /// Returns the round of a `--rerun` of these points: see [`Self::unfinished`]; else a new one.
    pub(super) fn round(&self, only: Option<&str>, samples: &Samples) -> u32 {
        match self.unfinished(only) {
            Some(round) => round,
            None if samples.count() == 0 => 0,
            None => samples.round().saturating_add(1),
        }
    }

    pub(super) fn are_finished(&self) -> bool {
        self.unfinished.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reruns(events: &[Event<'_>]) -> Reruns {
        let (mut reruns, mut text) = (Reruns::default(), Vec::new());
        for event in events {
            line(event, &mut text).unwrap();
            reruns.take(text.strip_suffix(b"\n").unwrap());
        }
        reruns.take(b"no JSON");
        reruns.take(b"{\"event\":\"of-a-later-version\"}");
        reruns
    }

    fn unfinished(events: &[Event<'_>]) -> Option<u32> {
        reruns(events).unfinished(None)
    }

    #[test]
    fn each_choice_of_points_has_a_rerun_of_its_own_and_that_of_all_ends_them() {
        let begin = |rerun, only: &str| {
            let only = Some(only.to_owned()).filter(|only| !only.is_empty());
            Event::Begin { batch: "b", pid: 1, command: "c", rerun: Some(rerun), only }
        };
        let complete = || Event::End { how: End::Complete };
        let two = [begin(1, "procs=1"), begin(2, "procs=2"), complete()];
        let found = reruns(&two);
        assert_eq!(
            ["procs=1", "procs=2"].map(|only| found.unfinished(Some(only))),
            [Some(1), None]
        );
        assert!(found.unfinished(None).is_none() && !found.are_finished());
        let all = [begin(1, "procs=1"), begin(2, ""), complete()];
        assert!(reruns(&all).are_finished());
        let part = [begin(1, ""), begin(2, "procs=1"), complete()];
        assert_eq!(reruns(&part).unfinished(None), Some(1));
    }

    #[test]
    fn a_rerun_is_unfinished_until_one_of_its_visits_is_complete() {
        let begin = |rerun| Event::Begin { batch: "b", pid: 1, command: "c", rerun, only: None };
        let end = |how| Event::End { how };
        assert_eq!(unfinished(&[]), None);
        assert_eq!(unfinished(&[begin(None), end(End::Interrupted)]), None);
        assert_eq!(unfinished(&[begin(Some(1))]), Some(1));
        assert_eq!(unfinished(&[begin(Some(1)), end(End::Interrupted), begin(None)]), Some(1));
        assert_eq!(unfinished(&[begin(Some(1)), begin(None), end(End::Complete)]), Some(1));
        assert_eq!(unfinished(&[begin(Some(1)), begin(Some(1)), end(End::Complete)]), None);
    }

    #[test]
    fn a_line_has_the_time_the_event_and_its_fields() {
        let mut text = Vec::new();
        line(&Event::Start { key: "k", id: "i", repeat: 2, attempt: 1 }, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("{\"time\":\"20"), "{text}");
        let rest = ",\"event\":\"start\",\"key\":\"k\",\"id\":\"i\",\"repeat\":2,\"attempt\":1}\n";
        assert!(text.ends_with(rest), "{text}");
    }
}
