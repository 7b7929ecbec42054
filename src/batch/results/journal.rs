//! `journal.jsonl`: what happened and when, a line each. For people, and for whoever asks why: what was done
//! is in the samples alone.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

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

/// Which `--rerun` has not come to its end, as the journal tells.
#[derive(Debug, Default)]
pub(super) struct Reruns {
    /// That of the visit that began last.
    visit: Option<u32>,
    unfinished: Option<u32>,
}

/// What is read of a line; what events there may be later is no concern.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Read {
    Begin {
        rerun: Option<u32>,
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
            Ok(Read::Begin { rerun }) => {
                self.visit = rerun;
                self.unfinished = rerun.or(self.unfinished);
            }
            Ok(Read::End { how: End::Complete }) if self.visit.is_some() => self.unfinished = None,
            Ok(Read::End { .. } | Read::Other) | Err(_) => {}
        }
    }

    pub(super) fn unfinished(&self) -> Option<u32> {
        self.unfinished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfinished(events: &[Event<'_>]) -> Option<u32> {
        let (mut reruns, mut text) = (Reruns::default(), Vec::new());
        for event in events {
            line(event, &mut text).unwrap();
            reruns.take(text.strip_suffix(b"\n").unwrap());
        }
        reruns.take(b"no JSON");
        reruns.take(b"{\"event\":\"of-a-later-version\"}");
        reruns.unfinished()
    }

    #[test]
    fn a_rerun_is_unfinished_until_one_of_its_visits_is_complete() {
        let begin = |rerun| Event::Begin { batch: "b", pid: 1, command: "c", rerun };
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
