//! Commands of the user's around trials, jobs and the batch.

use std::fs::File;
use std::io;

use crate::error::{Error, Explained};
use crate::host::guard::Guard;
use crate::host::shell::{self, Ended};

/// What a hook's command finds in its environment.
pub(crate) struct Setting<'a> {
    pub(crate) batch: &'a str,
    /// The results directory.
    pub(crate) out: String,
    pub(crate) job: Option<&'a str>,
    /// The point's key and name, and the repeat.
    pub(crate) trial: Option<(String, &'a str, u32)>,
}

impl Setting<'_> {
    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables =
            vec![("SPMD_BATCH", self.batch.to_owned()), ("SPMD_OUT", self.out.clone())];
        if let Some(job) = self.job {
            variables.push(("SPMD_JOB", job.to_owned()));
        }
        if let Some((key, id, repeat)) = &self.trial {
            variables.push(("SPMD_KEY", key.clone()));
            variables.push(("SPMD_POINT", (*id).to_owned()));
            variables.push(("SPMD_REPEAT", repeat.to_string()));
        }
        variables
    }
}

/// Runs a hook to its end; what it writes goes to `log`.
///
/// # Errors
/// [`Error::Failed`] if it ends otherwise than with 0; whatever `go_on` said, which is asked meanwhile.
pub(crate) fn run(
    name: &str,
    command: &str,
    guard: &Guard,
    setting: &Setting<'_>,
    log: &File,
    go_on: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    match shell::run(command, guard, &setting.variables(), log, || {
        go_on().map_err(Stopped::Ordered)
    }) {
        Ok(Ended::Exited(0)) => Ok(()),
        Ok(Ended::Exited(status)) => Err(failed(name, command, &format!("exited with {status}"))),
        Ok(Ended::Killed(signal)) => {
            Err(failed(name, command, &format!("was killed by signal {signal}")))
        }
        Err(Stopped::Ordered(error)) => Err(error),
        Err(Stopped::Machine(error)) => {
            Err(failed(name, command, &format!("has no process: {error}")))
        }
    }
}

/// Keeps what hooks leave in the background from outliving spmd: for as long as a later hook may end it.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    /// Of `setup`.
    visit: Vec<Guard>,
    /// Of `before-each`.
    trial: Vec<Guard>,
}

impl Guards {
    /// Begins the group of a hook.
    pub(crate) fn start(name: &str, command: &str) -> Result<Guard, Error> {
        Guard::start()
            .map_err(|error| failed(name, command, &format!("has no process group: {error}")))
    }

    /// Keeps the group of a hook that has ended, as long as what it set up.
    pub(crate) fn keep(&mut self, name: &str, guard: Guard) {
        match name {
            "setup" => self.visit.push(guard),
            "before-each" => self.trial.push(guard),
            _ => {}
        }
    }

    /// A trial and the hooks around it are over.
    pub(crate) fn trial_is_over(&mut self) {
        self.trial.clear();
    }
}

fn failed(name: &str, command: &str, how: &str) -> Error {
    Error::failed(
        Explained::new(format!("the hook `{name}` {how}: {command}"))
            .hint("what it wrote is in the results directory, under logs/"),
    )
}

/// Why a hook was not run to its end.
enum Stopped {
    Ordered(Error),
    Machine(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Machine(error)
    }
}
