//! What the batch keeps of trials that were made: of each point, those that count.

use serde::Deserialize;

/// How a trial ended, as `status` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ok,
    Failed,
    Wrong,
    Timeout,
    Refused,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Wrong => "wrong",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
        }
    }
}

/// A trial that was done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trial {
    pub(crate) repeat: u32,
    pub(crate) attempt: u32,
    /// What it took, all in all; also if it failed. Of lines that do not say it, 0.
    pub(crate) seconds: f64,
    pub(crate) outcome: Outcome,
}

/// What a trial came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Ok(Figures),
    /// All the others; `status` says which.
    Failed {
        status: Status,
        exit: i32,
        why: Box<str>,
    },
}

/// What reports need of a trial that succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    /// Seconds of its timed pass.
    pub(crate) time: f64,
    /// Seconds that the trial took, from its first process to its last.
    pub(crate) total: f64,
    pub(crate) items_per_s: Option<f64>,
    pub(crate) bytes_per_s: Option<f64>,
    pub(crate) flops_per_s: Option<f64>,
    pub(crate) imbalance: Option<f64>,
    /// Seconds that its ranks computed, all together.
    pub(crate) busy: f64,
    /// Deaths that were recovered in it: its time is not what it would have been.
    pub(crate) recovered: u32,
    /// Whether it was warned of something.
    pub(crate) warned: bool,
    /// Whether its timed passes were disturbed, as its `noise` says.
    pub(crate) disturbed: bool,
}

impl Trial {
    /// Returns the figures of a trial that succeeded.
    pub(crate) fn figures(&self) -> Option<&Figures> {
        match &self.outcome {
            Outcome::Ok(figures) => Some(figures),
            Outcome::Failed { .. } => None,
        }
    }
}

/// What was done of one point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Done {
    round: u32,
    /// The attempt that trials of the round begin with, less one.
    before: u32,
    /// The highest attempt of any trial.
    highest: u32,
    /// Of the round, by repeat; of each repeat the latest attempt.
    trials: Vec<Trial>,
}

/// Of a point that never ran.
pub(super) static NOTHING: Done = Done { round: 0, before: 0, highest: 0, trials: Vec::new() };

impl Done {
    /// Returns the latest round: 0, and one more for each `--rerun`.
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    /// Returns the trials that count, by repeat.
    pub(crate) fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Returns the trials of a round that count, by repeat; of one that has not begun, none.
    pub(crate) fn trials_of(&self, round: u32) -> &[Trial] {
        if round > self.round { &[] } else { &self.trials }
    }

    /// Returns what a repeat came to in a round; `None` if it has to be run.
    pub(crate) fn trial(&self, round: u32, repeat: u32) -> Option<&Trial> {
        if round > self.round {
            return None;
        }
        let at = self.find(repeat).ok()?;
        self.trials.get(at)
    }

    /// Returns the attempt that a trial has which is run now.
    pub(crate) fn next_attempt(&self, round: u32, repeat: u32) -> u32 {
        if round > self.round {
            return self.highest.saturating_add(1);
        }
        let last = self.trial(round, repeat).map_or(self.before, |trial| trial.attempt);
        last.saturating_add(1)
    }

    /// Returns how many trials that count did not succeed, of so many repeats.
    pub(crate) fn failures(&self, repeats: u32) -> u64 {
        let failed = |trial: &&Trial| trial.repeat < repeats && trial.figures().is_none();
        self.trials.iter().filter(failed).count() as u64
    }

    /// Returns the figures of what succeeded, by repeat.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.trials.iter().filter_map(Trial::figures)
    }

    fn find(&self, repeat: u32) -> Result<usize, usize> {
        self.trials.binary_search_by_key(&repeat, |trial| trial.repeat)
    }

    pub(super) fn has(&self, round: u32, repeat: u32, attempt: u32) -> bool {
        self.round == round && self.trial(round, repeat).is_some_and(|last| last.attempt == attempt)
    }

    pub(super) fn add(&mut self, round: u32, trial: Trial) -> Added {
        if self.has(round, trial.repeat, trial.attempt) {
            return Added::Twice;
        }
        if round > self.round {
            (self.round, self.before) = (round, self.highest);
            self.trials.clear();
        }
        self.highest = self.highest.max(trial.attempt);
        if round == self.round {
            match self.find(trial.repeat) {
                Ok(at) => match self.trials.get_mut(at) {
                    Some(last) if last.attempt < trial.attempt => *last = trial,
                    _ => {}
                },
                Err(at) => self.trials.insert(at, trial),
            }
        }
        Added::Once
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    Once,
    /// There was one of its name: that counts.
    Twice,
}
