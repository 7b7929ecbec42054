//! The main job as a whole: how long a small run takes beside its peers, and what memory it needs.
//!
//! `cargo bench --bench main_job` prints Markdown; `-- --save DIR` also writes it, with every sample,
//! to DIR. Alternatives are run in turn within each round, so that whatever else the machine does meets
//! all of them. Run it alone. A peer that is not installed is named, with how to get it.

#![expect(clippy::print_stdout, reason = "a bench talks")]

#[path = "shared/mod.rs"]
mod shared;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shared::{interval, machine, median, save};

/// Rounds of the launch comparison.
const ROUNDS: usize = 60;
/// Elements of the large input.
const LARGE: u64 = 100_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return; // `cargo test --benches` asks whether it starts.
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("main_job");
    fs::create_dir_all(&folder).expect("a folder for inputs");

    let mut report = machine("Main job", "main_job");
    let mut raw = String::new();
    launch(&folder, &mut report, &mut raw);
    alone(&folder, &mut report, &mut raw);
    small_memory(&mut report, &mut raw);
    large(&folder, &mut report, &mut raw);
    println!("{report}");
    save(&arguments, &report, &raw);
    let _ = fs::remove_dir_all(&folder);
}

fn spmd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_spmd"))
}

/// One command to time as a whole process.
struct Contender {
    name: &'static str,
    command: Command,
    samples: Vec<f64>,
}

fn launch(folder: &Path, report: &mut String, raw: &mut String) {
    let mut square = spmd();
    square.args(["--procs", "4", "--kernel", "square", "--input", "1,2,3,4,5", "-q"]);
    let mut contenders = vec![Contender {
        name: "spmd --procs 4 --kernel square",
        command: square,
        samples: vec![],
    }];
    let mut absent = String::new();
    for (name, cc, mpirun, package) in [
        ("MPI hello, MPICH, 4 ranks", "mpicc.mpich", "mpirun.mpich", "apt install mpich"),
        (
            "MPI hello, Open MPI, 4 ranks",
            "mpicc.openmpi",
            "mpirun.openmpi",
            "apt install openmpi-bin libopenmpi-dev",
        ),
    ] {
        match mpi_hello(folder, cc) {
            Some(program) => {
                let mut command = Command::new(mpirun);
                command.args(["-n", "4"]).arg(program);
                command
                    .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
                    .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
                command.env("OMPI_MCA_rmaps_base_oversubscribe", "1");
                contenders.push(Contender { name, command, samples: vec![] });
            }
            None => writeln!(absent, "- absent: {name} ({package})").expect("a String"),
        }
    }
    let mut pool = Command::new("python3");
    pool.args(["-c", "from multiprocessing import Pool\ndef square(x): return x*x\nif __name__ == '__main__':\n    with Pool(4) as pool: pool.map(square, [1,2,3,4,5])"]);
    contenders.push(Contender {
        name: "Python Pool(4).map, 5 squares",
        command: pool,
        samples: vec![],
    });

    for contender in &mut contenders {
        time(&mut contender.command); // Once for the caches, not counted.
    }
    for _ in 0..ROUNDS {
        for contender in &mut contenders {
            let sample = time(&mut contender.command);
            contender.samples.push(sample);
        }
    }
    let base = median(&contenders[0].samples);
    report.push_str("## Whole process, 4 ranks, 5 numbers\n\n| command | median ms | 95 % of the median | spmd / it |\n|---|--:|--:|--:|\n");
    for contender in &contenders {
        let (low, high) = interval(&contender.samples);
        let middle = median(&contender.samples);
        writeln!(
            report,
            "| {} | {:.2} | {:.2} .. {:.2} | {:.3} |",
            contender.name,
            middle * 1e3,
            low * 1e3,
            high * 1e3,
            base / middle
        )
        .expect("a String");
        writeln!(raw, "{}", serde_json::json!({"bench": "launch", "command": contender.name, "seconds": contender.samples})).expect("a String");
    }
    writeln!(
        report,
        "\n{ROUNDS} rounds, in turn. Target: at most 4 ms, and a tenth of MPICH.\n{absent}"
    )
    .expect("a String");
}

/// The same run back to back, as a script would have it, beside the least a process can cost.
///
/// Also as a copy: a file that was written in one go lies differently in the page cache than one the
/// linker wrote, and an installed program is such a copy.
fn alone(folder: &Path, report: &mut String, raw: &mut String) {
    let copy = folder.join("spmd");
    fs::copy(env!("CARGO_BIN_EXE_spmd"), &copy).expect("a copy of the program");
    let square = |program: &Path| {
        let mut command = Command::new(program);
        command.args(["--procs", "4", "--kernel", "square", "--input", "1,2,3,4,5", "-q"]);
        command
    };
    let mut contenders = [
        ("/bin/true", Command::new("/bin/true")),
        ("spmd, 4 ranks, as installed (a copy)", square(&copy)),
        ("spmd, 4 ranks, as built in target/", square(Path::new(env!("CARGO_BIN_EXE_spmd")))),
    ];
    report.push_str("## The same, back to back\n\n| command | median ms | 95 % of the median | least |\n|---|--:|--:|--:|\n");
    for (name, command) in &mut contenders {
        for _ in 0..10 {
            time(command);
        }
        let samples: Vec<f64> = (0..200).map(|_| time(command)).collect();
        let (low, high) = interval(&samples);
        let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
        writeln!(
            report,
            "| {name} | {:.2} | {:.2} .. {:.2} | {:.2} |",
            median(&samples) * 1e3,
            low * 1e3,
            high * 1e3,
            least * 1e3
        )
        .expect("a String");
        let line = serde_json::json!({"bench": "alone", "command": name, "seconds": samples});
        writeln!(raw, "{line}").expect("a String");
    }
    report.push_str("\n200 runs each, one after the other.\n\n");
}

fn mpi_hello(folder: &Path, cc: &str) -> Option<PathBuf> {
    let source = folder.join("hello.c");
    fs::write(&source, "#include <mpi.h>\nint main(int c, char **v) { MPI_Init(&c, &v); MPI_Finalize(); return 0; }\n").ok()?;
    let program = folder.join(format!("hello-{cc}"));
    let built = Command::new(cc)
        .arg("-O2")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .stderr(Stdio::null())
        .status()
        .ok()?;
    built.success().then_some(program)
}

fn time(command: &mut Command) -> f64 {
    let begin = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let passed = begin.elapsed().as_secs_f64();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
    passed
}

/// Peak resident memory of launcher and ranks of a run whose data are 800 bytes.
fn small_memory(report: &mut String, raw: &mut String) {
    let mut launcher: u64 = 0;
    let mut rank: u64 = 0;
    for _ in 0..10 {
        let child = spmd()
            .args([
                "--procs", "4", "--kernel", "spin", "--size", "100", "--param", "cost=2ms",
                "--json",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("spmd starts");
        // The run lasts 100 ms or more; its memory is what it is after a few.
        std::thread::sleep(Duration::from_millis(60));
        launcher = launcher.max(status_bytes(child.id(), "VmHWM:").unwrap_or(0));
        let out = child.wait_with_output().expect("a record");
        let record: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
        for worker in record["workers"].as_array().expect("workers") {
            rank = rank.max(worker["max_rss_bytes"].as_u64().expect("bytes"));
        }
    }
    writeln!(report, "## Resident memory beyond the data\n\n| process | peak MiB | target |\n|---|--:|--:|\n| launcher | {:.1} | 12 |\n| rank | {:.1} | 6 |\n\nThe highest of 10 runs with 800 bytes of data; shared libraries counted in full.\n", mib(launcher), mib(rank)).expect("a String");
    writeln!(
        raw,
        "{}",
        serde_json::json!({"bench": "memory", "launcher_bytes": launcher, "rank_bytes": rank})
    )
    .expect("a String");
}

/// Reads a size from `/proc/PID/status`.
fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// A hundred million f64 from a file: the steady pass, and whether anybody copies the data.
fn large(folder: &Path, report: &mut String, raw: &mut String) {
    let input = folder.join("large.bin");
    write_large(&input);
    let mut child = spmd()
        .args([
            "--procs",
            "2",
            "--kernel",
            "square",
            "--dtype",
            "f64",
            "--repeats",
            "20",
            "--warmup",
            "1",
            "--json",
        ])
        .arg("--input")
        .arg(&input)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("spmd starts");
    let mut private: Vec<(u32, u64)> = Vec::new();
    while child.try_wait().expect("a child").is_none() {
        for pid in family(child.id()) {
            let Some(bytes) = anonymous(pid) else { continue };
            match private.iter_mut().find(|(known, _)| *known == pid) {
                Some((_, most)) => *most = bytes.max(*most),
                None => private.push((pid, bytes)),
            }
        }
        std::thread::sleep(Duration::from_millis(5));
        if private.len() >= 3 && child.try_wait().is_ok_and(|done| done.is_some()) {
            break;
        }
    }
    let out = child.wait_with_output().expect("a record");
    let record: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let pass = record["time"]["pass_s"]["median"].as_f64().expect("seconds");
    let total = record["time"]["total_s"].as_f64().expect("seconds");
    let most = private.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    writeln!(
        report,
        "## 1e8 f64 from a file (800 MB), 2 ranks, out of place\n\n| what | value |\n|---|--:|\n| steady pass, median of 20 | {:.1} ms |\n| | {:.2} Gitems/s, {:.1} GB/s |\n| whole run of 21 passes | {total:.2} s |\n| most anonymous memory of any of {} processes | {:.1} MiB |\n",
        pass * 1e3,
        LARGE as f64 / pass / 1e9,
        16.0 * LARGE as f64 / pass / 1e9,
        private.len(),
        mib(most),
    )
    .expect("a String");
    report.push_str("Anonymous memory is what a process has to itself: a private copy of the data would be 763 MiB.\n");
    writeln!(
        raw,
        "{}",
        serde_json::json!({"bench": "large", "time": record["time"], "anonymous_bytes": private})
    )
    .expect("a String");
}

fn write_large(path: &Path) {
    let mut out =
        std::io::BufWriter::with_capacity(1 << 20, fs::File::create(path).expect("an input"));
    for index in 0..LARGE {
        // Not zeroes: some processors drop stores of zero over zero.
        out.write_all(&(index as f64 + 0.5).to_le_bytes()).expect("800 MB of disk");
    }
}

/// A process and its children.
fn family(parent: u32) -> Vec<u32> {
    let mut pids = vec![parent];
    for task in fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    pids
}

fn anonymous(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
