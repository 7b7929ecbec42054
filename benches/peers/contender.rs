//! One command that does the work, and how its time is read.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use crate::shared::median;

/// No command of a bench needs longer; what does is stuck.
const LIMIT_S: &str = "180";

/// Where the time of a command stands.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Reading {
    /// Nowhere: it is the time of the whole process.
    Whole,
    /// In its line `{"seconds":[…]}`.
    Line,
    /// In spmd's record of a run: the median pass.
    Pass,
    /// In what `spmd bench` says.
    PerOperation,
}

/// Which comparisons a contender is part of.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Standing {
    /// What is compared.
    Ours,
    /// A peer as it comes.
    Default,
    /// A peer with a setting that may be its best.
    Tuned,
    /// A peer of another kind, shown and not aimed at.
    Beside,
}

/// One command to time.
pub(crate) struct Contender {
    pub(crate) family: &'static str,
    pub(crate) name: String,
    pub(crate) standing: Standing,
    reading: Reading,
    words: Vec<OsString>,
    variables: Vec<(String, String)>,
}

/// The program under test as an installation leaves it.
fn installed() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers").join("spmd");
        let folder = copy.parent().map_or(Ok(()), std::fs::create_dir_all);
        folder
            .and_then(|()| install(Path::new(env!("CARGO_BIN_EXE_spmd")), &copy))
            .expect("room for a copy of the program");
        copy
    })
}

/// Copies a program, as an installation does; all contenders that are built here are copies. A linker writes
/// its output page by page, in which form the system keeps it in memory, and starts it more slowly.
pub(crate) fn install(linked: &Path, copy: &Path) -> io::Result<()> {
    match std::fs::remove_file(copy) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {} // Not written over: somebody may run it.
    }
    std::fs::copy(linked, copy).map(|_: u64| ())
}

/// What one run of a command came to.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// The first and last result, where the command tells them.
    pub(crate) ends: Option<(f64, f64)>,
}

impl Contender {
    /// The program under test.
    pub(crate) fn spmd(name: &str, reading: Reading, arguments: &str) -> Self {
        Self::new("spmd", name, installed(), reading).standing(Standing::Ours).args(arguments)
    }

    pub(crate) fn new(family: &'static str, name: &str, program: &Path, reading: Reading) -> Self {
        Self {
            family,
            name: name.to_owned(),
            standing: Standing::Default,
            reading,
            words: vec![program.into()],
            variables: vec![],
        }
    }

    pub(crate) fn standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// Appends arguments without spaces in them.
    pub(crate) fn args(mut self, arguments: &str) -> Self {
        self.words.extend(arguments.split_whitespace().map(OsString::from));
        self
    }

    /// Appends a file.
    pub(crate) fn file(mut self, path: &Path) -> Self {
        self.words.push(path.into());
        self
    }

    /// Sets variables, as a shell has them: `A=1 B=2`.
    pub(crate) fn variables(mut self, assignments: &str) -> Self {
        let pairs = assignments.split_whitespace().filter_map(|word| word.split_once('='));
        self.variables.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// Runs the command once.
    pub(crate) fn sample(&self) -> Result<Sample, String> {
        if self.reading == Reading::Whole {
            return self.whole();
        }
        let mut command = self.command(&["timeout", "-k", "5", LIMIT_S]);
        let out = command.output().map_err(|error| format!("timeout: {error}"))?;
        if !out.status.success() {
            return Err(self.reason(&out));
        }
        let text = String::from_utf8_lossy(&out.stdout);
        let unread = || format!("{}: no time in `{}`", self.name, text.trim());
        let json: serde_json::Value = text
            .lines()
            .find_map(|line| serde_json::from_str(line).ok())
            .or_else(|| serde_json::from_str(&text).ok())
            .ok_or_else(unread)?;
        let number = |value: &serde_json::Value| value.as_f64();
        let (seconds, ends) = match self.reading {
            Reading::Whole => (None, None),
            Reading::Line => {
                let list = json["seconds"].as_array().ok_or_else(unread)?;
                let list: Vec<f64> = list.iter().filter_map(number).collect();
                let seconds = (!list.is_empty()).then(|| median(&list));
                (seconds, number(&json["first"]).zip(number(&json["last"])))
            }
            Reading::Pass => {
                let result = &json["result"];
                let last = result["last"].as_array().and_then(|last| last.last());
                let ends = number(&result["first"][0]).zip(last.and_then(number));
                (number(&json["time"]["pass_s"]["median"]), ends)
            }
            Reading::PerOperation => {
                (number(&json["ns_per_op"]["median"]).map(|ns| ns * 1e-9), None)
            }
        };
        Ok(Sample { seconds: seconds.ok_or_else(unread)?, ends })
    }

    /// Times the whole process, with nothing around it.
    fn whole(&self) -> Result<Sample, String> {
        let mut command = self.command(&[]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        let status = command.status();
        let seconds = begin.elapsed().as_secs_f64();
        if status.is_ok_and(|status| status.success()) {
            return Ok(Sample { seconds, ends: None });
        }
        // Once more, to hear why.
        match self.command(&[]).output() {
            Ok(out) => Err(self.reason(&out)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    fn command(&self, before: &[&str]) -> Command {
        let mut words: Vec<OsString> = before.iter().map(OsString::from).collect();
        words.extend(self.words.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        // What the user's shell sets is no setting of this bench.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let theirs = ["OMP_", "GOMP_", "KMP_", "OMPI_", "PRTE_", "MPIR_", "HYDRA_", "SPMD_"];
            if theirs.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        // Open MPI asks twice before it runs as root.
        command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn reason(&self, out: &Output) -> String {
        let text = String::from_utf8_lossy(&out.stderr);
        let refusal = text.lines().find_map(|line| line.strip_prefix("spmd: error: "));
        match refusal {
            Some(refusal) => format!("spmd refuses: {}: {refusal}", self.name),
            None if out.status.code() == Some(124) => {
                format!("{}: not finished after {LIMIT_S} s", self.name)
            }
            None => {
                let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                format!("{}: {}: {line}", self.name, out.status)
            }
        }
    }
}
