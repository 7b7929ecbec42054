//! The compilers, MPIs and Pythons of this machine, and the programs built with them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::CPUS;
use crate::contender::{Contender, Reading, install};
use crate::options::Install;
use crate::python::{self, Python};

/// What was found, and what was not.
pub(crate) struct Toolchain {
    pub(crate) openmps: Vec<OpenMp>,
    pub(crate) mpis: Vec<Mpi>,
    pub(crate) python: Option<Python>,
    folder: PathBuf,
    present: Vec<String>,
    absent: Vec<String>,
}

/// A C compiler with its OpenMP.
pub(crate) struct OpenMp {
    pub(crate) family: &'static str,
    cc: &'static str,
    flags: &'static str,
}

/// An MPI: its compiler and its launcher.
pub(crate) struct Mpi {
    pub(crate) family: &'static str,
    pub(crate) name: String,
    cc: PathBuf,
    run: PathBuf,
}

/// For this machine, as well as the compiler can.
const FLAGS: &str = "-O3 -march=native -Wall";

impl Toolchain {
    /// Looks for everything; a compiler counts when a small program of it builds.
    pub(crate) fn find(install: Install) -> Result<Self, String> {
        match install {
            Install::Asked => python::install()?,
            Install::Never => {}
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut tools = Self {
            openmps: vec![],
            mpis: vec![],
            python: None,
            folder,
            present: vec![],
            absent: vec![],
        };
        for (family, cc, flags, package) in [
            ("libgomp", "gcc", "-fopenmp", "apt install gcc"),
            ("libomp", "clang", "-fopenmp=libomp", "apt install clang libomp-dev"),
        ] {
            let openmp = OpenMp { family, cc, flags };
            match tools.openmp_program(&openmp, "barrier_omp", "") {
                Some(_) => {
                    tools.present.push(format!("{family}: {}", version(Path::new(cc))));
                    tools.openmps.push(openmp);
                }
                None => tools.absent.push(format!("C OpenMP with {family} (`{package}`)")),
            }
        }
        tools.find_mpis();
        tools.find_python();
        Ok(tools)
    }

    fn find_mpis(&mut self) {
        for (family, key, package) in [
            ("Open MPI", "openmpi", "apt install openmpi-bin libopenmpi-dev"),
            ("MPICH", "mpich", "apt install mpich"),
        ] {
            let wheel = python::place(key).join("bin");
            for (name, cc, run, how) in [
                (
                    family.to_owned(),
                    PathBuf::from(format!("mpicc.{key}")),
                    PathBuf::from(format!("mpirun.{key}")),
                    package,
                ),
                (
                    format!("{family} (wheel)"),
                    wheel.join("mpicc"),
                    wheel.join("mpiexec"),
                    "`cargo bench --bench peers -- --install`",
                ),
            ] {
                let mpi = Mpi { family, name, cc, run };
                match self.mpi_program(&mpi, "hello_mpi") {
                    Some(_) => {
                        self.present.push(format!("{}: {}", mpi.name, version(&mpi.run)));
                        self.mpis.push(mpi);
                    }
                    None => self.absent.push(format!("{} (`{}`)", mpi.name, how.trim_matches('`'))),
                }
            }
        }
    }

    fn find_python(&mut self) {
        self.python = Python::find();
        let Some(python) = &self.python else {
            self.absent.push("Python Pool, joblib, numpy, numexpr (`apt install python3`)".into());
            return;
        };
        self.present.push(format!("Python: {}", version(&python.program)));
        for module in ["joblib", "numpy", "numexpr"] {
            if python.has(module) {
                self.present.push(format!("Python's {module}"));
            } else {
                self.absent.push(format!(
                    "Python's {module} (`cargo bench --bench peers -- --install`, or a Python that has it in SPMD_BENCH_PYTHON)"
                ));
            }
        }
    }

    /// Says what was found and what was not.
    pub(crate) fn described(&self) -> String {
        let mut text = String::new();
        for line in &self.present {
            writeln!(text, "- peer: {line}").expect("a String");
        }
        text.push_str("- peer: rayon, in this program\n");
        for line in &self.absent {
            writeln!(text, "- absent: {line}").expect("a String");
        }
        text
    }

    /// Builds an OpenMP program, with more flags where it needs any.
    pub(crate) fn openmp_program(
        &self,
        openmp: &OpenMp,
        name: &str,
        more: &str,
    ) -> Option<PathBuf> {
        let flags = format!("{} {more}", openmp.flags);
        self.built(Path::new(openmp.cc), name, &flags, &format!("{}{more}", openmp.family))
    }

    /// Builds a program with plain threads.
    pub(crate) fn threads_program(&self, name: &str) -> Option<PathBuf> {
        let built = |cc: &str| self.built(Path::new(cc), name, "-pthread", cc);
        built("gcc").or_else(|| built("clang"))
    }

    /// Builds an MPI program.
    pub(crate) fn mpi_program(&self, mpi: &Mpi, name: &str) -> Option<PathBuf> {
        self.built(&mpi.cc, name, "", &mpi.name)
    }

    fn built(&self, cc: &Path, name: &str, flags: &str, tag: &str) -> Option<PathBuf> {
        let tag: String = tag.chars().filter(char::is_ascii_alphanumeric).collect();
        let program = self.folder.join(format!("{name}-{tag}"));
        let linked = program.with_extension("linked");
        let out = Command::new(cc)
            .args(FLAGS.split_whitespace())
            .args(flags.split_whitespace())
            .arg(source(&format!("{name}.c")))
            .arg("-o")
            .arg(&linked)
            .output()
            .ok()?; // Not installed.
        if out.status.success() {
            install(&linked, &program).expect("room for a copy of a peer");
            return Some(program);
        }
        eprintln!("peers: {name} by {}: {}", cc.display(), String::from_utf8_lossy(&out.stderr));
        None
    }
}

impl OpenMp {
    /// A contender whose threads are pinned, one a core, where there are no more of them than cores.
    pub(crate) fn contender(
        &self,
        label: &str,
        program: &Path,
        threads: usize,
        reading: Reading,
    ) -> Contender {
        let name = format!("{}{label}", self.family);
        let contender = Contender::new(self.family, &name, program, reading);
        match threads {
            ..=CPUS => contender.variables("OMP_PROC_BIND=close OMP_PLACES=cores"),
            _ => contender,
        }
    }
}

impl Mpi {
    /// A contender whose ranks are pinned, one a core, where there are no more of them than cores.
    pub(crate) fn contender(
        &self,
        label: &str,
        options: &str,
        ranks: usize,
        program: &Path,
        reading: Reading,
    ) -> Contender {
        let contender =
            Contender::new(self.family, &format!("{}{label}", self.name), &self.run, reading);
        let placed = match (self.family, ranks) {
            ("MPICH", ..=CPUS) => "-bind-to core",
            ("MPICH", _) => "",
            (_, ..=CPUS) => "--oversubscribe --bind-to core",
            _ => "--oversubscribe --bind-to none",
        };
        contender.args(placed).args(options).args(&format!("-n {ranks}")).file(program)
    }
}

/// Returns where the source of a peer lies.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/programs").join(name)
}

/// What a program says it is, in a line.
fn version(program: &Path) -> String {
    let out = Command::new(program).arg("--version").output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let text = text.unwrap_or_default();
    // MPICH's launcher says its number on a line of its own.
    let numbered = text.lines().find(|line| line.trim_start().starts_with("Version:"));
    let line = numbered.or_else(|| text.lines().next()).unwrap_or("?");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
