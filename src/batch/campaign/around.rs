//! What a batch does around its trials: hooks, in their order, with the groups that end with them.

use super::Campaign;
use crate::batch::file::Hooks;
use crate::batch::hooks::{self, Guards, Setting};
use crate::batch::job::Job;
use crate::batch::results::Event;
use crate::error::Error;

impl<'a> Campaign<'a> {
    /// Runs the hooks around one trial: those of the batch outside, those of its job inside.
    pub(super) fn hooks_of_trial(
        &mut self,
        name: &'static str,
        at: usize,
        repeat: u32,
    ) -> Result<(), Error> {
        let point = &self.points[at];
        let job = &self.batch.jobs[point.job];
        let of = |hooks: &'a Hooks| match name {
            "before-each" => hooks.before_each.as_deref(),
            _ => hooks.after_each.as_deref(),
        };
        let mut commands = [of(&self.batch.hooks), of(&job.hooks)];
        if name == "after-each" {
            commands.reverse();
        }
        for command in commands.into_iter().flatten() {
            let trial = Some((point.key.to_string(), point.id.as_str(), repeat));
            self.hook(name, command, Some(job), trial)?;
        }
        Ok(())
    }

    /// Sets up the batch and a job, if that has not happened in this visit.
    pub(super) fn set_up(&mut self, job: usize) -> Result<(), Error> {
        // Marked before they run: what one that fails has begun is to be torn down, too.
        if !std::mem::replace(&mut self.setup.batch, true)
            && let Some(command) = &self.batch.hooks.setup
        {
            self.hook("setup", command, None, None)?;
        }
        if !std::mem::replace(&mut self.setup.jobs[job], true)
            && let Some(command) = &self.batch.jobs[job].hooks.setup
        {
            self.hook("setup", command, Some(&self.batch.jobs[job]), None)?;
        }
        Ok(())
    }

    /// Tears down whatever was set up; goes on after an error, and returns the first.
    pub(super) fn tear_down(&mut self) -> Result<(), Error> {
        let mut first = Ok(());
        for (at, job) in self.batch.jobs.iter().enumerate() {
            if std::mem::take(&mut self.setup.jobs[at])
                && let Some(command) = &job.hooks.teardown
            {
                first = first.and(self.hook("teardown", command, Some(job), None));
            }
        }
        if std::mem::take(&mut self.setup.batch)
            && let Some(command) = &self.batch.hooks.teardown
        {
            first = first.and(self.hook("teardown", command, None, None));
        }
        first
    }

    fn hook(
        &mut self,
        name: &'static str,
        command: &str,
        job: Option<&Job>,
        trial: Option<(String, &str, u32)>,
    ) -> Result<(), Error> {
        self.orders.limit(None);
        let job = job.map(|job| job.name.as_str());
        let log = self.directory.log(trial.as_ref().map(|(key, ..)| key.as_str()))?;
        let out = self.directory.path().display().to_string();
        let setting = Setting { batch: &self.batch.name, out, job, trial };
        let begun = std::time::Instant::now();
        let guard = Guards::start(name, command)?;
        // What was begun is ended also after the first signal; the second ends everything.
        let ran = hooks::run(name, command, &guard, &setting, &log, || match name {
            "teardown" | "after-each" => self.orders.hear(),
            _ => self.orders.check(),
        });
        self.guards.keep(name, guard);
        let exit = ran.as_ref().map_or(1, |()| 0);
        let seconds = begun.elapsed().as_secs_f64();
        self.directory.note(&Event::Hook { hook: name, job, exit, seconds })?;
        ran
    }
}
