//! A run as whoever sits in front of it sees it: its warnings, and a progress bar if it lasts.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Progress, TalkOptions};
use crate::engine::Audience;
use crate::figures;
use crate::report::Reporter;
use crate::shm::Segment;

/// Says whether there may be a progress bar, should it last.
pub(super) fn bar_wanted(talk: &TalkOptions) -> bool {
    talk.progress == Progress::Auto
        && !talk.json
        && !talk.quiet
        && std::env::var_os("CI").is_none()
        && io::stderr().is_terminal()
}

/// Shows a run to whoever sits in front of it.
pub(super) struct Screen {
    reporter: Reporter,
    bar: Option<Bar>,
}

impl Screen {
    pub(super) fn new(reporter: Reporter, talk: &TalkOptions) -> Self {
        Self { reporter, bar: bar_wanted(talk).then(Bar::new) }
    }

    /// Leaves nothing of the bar.
    pub(super) fn clear(self) {
        if let Some(bar) = self.bar {
            bar.clear();
        }
    }
}

impl Audience for Screen {
    fn began(&mut self, _: &Segment, _: u64) {}

    fn note(&mut self, text: &str) {
        self.reporter.note(text);
    }

    fn warn(&mut self, text: &str) {
        match self.bar.as_ref().and_then(|bar| bar.drawn.as_ref()) {
            Some(bar) => bar.suspend(|| self.reporter.warning(text)),
            None => self.reporter.warning(text),
        }
    }

    fn progress(&mut self, done: u64, total: u64) {
        if let Some(bar) = &mut self.bar {
            bar.show(done, total);
        }
    }

    fn wants_progress(&self) -> bool {
        self.bar.is_some()
    }
}

/// A progress bar that shows itself after a second.
struct Bar {
    began: Instant,
    drawn: Option<ProgressBar>,
}

impl Bar {
    fn new() -> Self {
        Self { began: Instant::now(), drawn: None }
    }

    fn show(&mut self, done: u64, total: u64) {
        let elapsed = self.began.elapsed();
        if elapsed > Duration::from_secs(1) {
            let bar = self.drawn.get_or_insert_with(|| new_bar(total));
            bar.set_position(done);
            bar.set_message(pace(done, total, elapsed));
        }
    }

    fn clear(self) {
        if let Some(bar) = self.drawn {
            bar.finish_and_clear();
        }
    }
}

/// Says how fast the run goes, over all of it so far, and how long it will take at that.
fn pace(done: u64, total: u64, elapsed: Duration) -> String {
    if done == 0 {
        return String::new();
    }
    let rate = done as f64 / elapsed.as_secs_f64();
    let left = Duration::from_secs_f64(total.saturating_sub(done) as f64 / rate);
    format!("{} items/s  {} left", figures::scaled(rate).trim_end(), indicatif::HumanDuration(left))
}

fn new_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{bar:40} {percent:>3} %  {human_pos}/{human_len}  {msg}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
