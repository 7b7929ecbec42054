//! A batch as whoever sits in front of it sees it, and as a script that follows it does.
//!
//! On a terminal a bar with trials done and failed, what runs, and the time left; elsewhere a line every
//! ten seconds. `--events FILE` has a JSON line for everything that happens.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::batch::{Planned, Tally, Watcher};
use crate::engine::Audience;
use crate::error::{Error, Explained};
use crate::report::{Reporter, Talk};
use crate::shm::Segment;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Between two drawings of the bar: trials may be over in a fraction of a millisecond.
const DRAW_EVERY: Duration = Duration::from_millis(50);

/// Shows a batch.
pub(in crate::cli) struct BatchScreen {
    reporter: Reporter,
    shown: Shown,
    events: Option<Events>,
    began: Instant,
    last: Instant,
    tally: Tally,
    /// The point and the repeat that run.
    running: String,
}

/// How progress is shown.
enum Shown {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl BatchScreen {
    pub(in crate::cli) fn new(
        reporter: Reporter,
        talk: Talk,
        bar: bool,
        events: Option<Events>,
    ) -> Self {
        let shown = match (talk, bar) {
            (Talk::Quiet, _) => Shown::Nothing,
            (_, true) => Shown::Bar(new_bar()),
            (_, false) => Shown::Lines,
        };
        let now = Instant::now();
        Self {
            reporter,
            shown,
            events,
            began: now,
            last: now,
            tally: Tally::default(),
            running: String::new(),
        }
    }

    /// Leaves nothing of the bar.
    pub(in crate::cli) fn clear(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    /// Returns what kept events from being written, if something did.
    pub(in crate::cli) fn events_fault(&self) -> Option<&Error> {
        self.events.as_ref().and_then(|events| events.fault.as_ref())
    }

    fn refresh(&mut self) {
        let every = match self.shown {
            Shown::Bar(_) => DRAW_EVERY,
            Shown::Lines => LINE_EVERY,
            Shown::Nothing => return,
        };
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        let Tally { made, failed, done, total } = self.tally;
        let mut said = String::new();
        if failed > 0 {
            said = format!("{failed} failed  ");
        }
        if made > 0
            && let Some(left) = self.left()
        {
            said.push_str(&format!("{} left  ", HumanDuration(left)));
        }
        said.push_str(&self.running);
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(said);
            }
            Shown::Lines => self.reporter.note(&format!("{done} of {total} trials  {said}")),
            Shown::Nothing => {}
        }
    }

    /// Returns how long the rest will take, at this visit's pace.
    fn left(&self) -> Option<Duration> {
        let left = self.tally.total.saturating_sub(self.tally.done) as f64;
        let pace = self.began.elapsed().as_secs_f64() / self.tally.made as f64;
        Duration::try_from_secs_f64(pace * left).ok()
    }

    /// Writes an event.
    pub(in crate::cli) fn happens(&mut self, name: &str, facts: Value) {
        if let Some(events) = &mut self.events {
            events.write(name, facts);
        }
    }
}

impl Audience for BatchScreen {
    fn began(&mut self, _: &Segment, _: u64) {}

    fn note(&mut self, _: &str) {}

    fn warn(&mut self, text: &str) {
        let said = format!("{}: {text}", self.running);
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(|| self.reporter.warning(&said)),
            Shown::Lines | Shown::Nothing => self.reporter.warning(&said),
        }
        self.happens("warn", json!({"message": text}));
    }

    fn progress(&mut self, _: u64, _: u64) {
        self.refresh(); // Of one trial: but time passes.
    }

    fn wants_progress(&self) -> bool {
        !matches!(self.shown, Shown::Nothing)
    }
}

impl Watcher for BatchScreen {
    fn counted(&mut self, tally: Tally) {
        self.tally = tally;
        self.refresh();
    }

    fn begins(&mut self, point: &Planned, repeat: u32) {
        self.running.clear();
        self.running.push_str(&point.id);
        self.running.push_str(" #");
        self.running.push_str(&repeat.to_string());
        if self.events.is_some() {
            let facts = json!({"id": point.id, "key": point.key.to_string(), "repeat": repeat});
            self.happens("trial_start", facts);
        }
    }

    fn ended(&mut self, point: &Planned, repeat: u32, record: &Value, failed: Option<&Error>) {
        if let Some(error) = failed {
            let said = format!("{}: {error}", self.running);
            match &self.shown {
                Shown::Bar(bar) => bar.suspend(|| self.reporter.warning(&said)),
                Shown::Lines | Shown::Nothing => self.reporter.warning(&said),
            }
        }
        if self.events.is_some() {
            let facts = json!({
                "id": point.id,
                "key": point.key.to_string(),
                "repeat": repeat,
                "status": record["status"],
                "exit": record["exit"],
                "pass_s": record["time"]["pass_s"]["median"],
                "error": failed.map(ToString::to_string),
            });
            self.happens("trial_end", facts);
        }
    }
}

fn new_bar() -> ProgressBar {
    // Not as wide as the terminal: what Ctrl-C echoes would begin another line.
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} trials  {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// A file that has a line for everything that happens.
pub(in crate::cli) struct Events {
    file: File,
    batch: String,
    /// Why lines are missing in it: the batch does not end by that.
    fault: Option<Error>,
}

impl Events {
    /// Opens the file; what is there already stays.
    pub(in crate::cli) fn open(path: &Path, batch: &str) -> Result<Self, Error> {
        let file = File::options().create(true).append(true).open(path).map_err(|error| {
            Error::rejected(
                Explained::new(format!("cannot write events to `{}`: {error}", path.display()))
                    .hint("--events names a file in a directory that exists"),
            )
        })?;
        Ok(Self { file, batch: batch.to_owned(), fault: None })
    }

    fn write(&mut self, name: &str, facts: Value) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut event = json!({"v": 1, "ts": now.as_secs_f64(), "batch": self.batch, "ev": name});
        if let (Some(event), Value::Object(facts)) = (event.as_object_mut(), facts) {
            event.extend(facts);
        }
        if self.fault.is_none()
            && let Err(error) = self.file.write_all(format!("{event}\n").as_bytes())
        {
            self.fault = Some(Error::failed(format!("events are missing: {error}")));
        }
    }
}
