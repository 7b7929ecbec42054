//! Peers: spmd beside what people use instead, on the same work, in one sitting.
//!
//! `cargo bench --bench peers` builds the peers this machine has compilers for, runs them in turn with
//! `spmd`, and prints medians, paired ratios and targets as Markdown. `benches/README.md` says how each
//! section is defined. What a peer is not there for is said, with how to get it; nothing is downloaded
//! unless `-- --install` asks for it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks")]

mod contender;
mod contest;
mod input;
#[path = "../shared/memory.rs"]
mod memory;
mod options;
#[path = "../shared/paired.rs"]
mod paired;
mod python;
mod rayon_peer;
mod sections;
#[path = "../shared/mod.rs"]
mod shared;
mod toolchain;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use contest::Contest;
use options::{Effort, Options};
use toolchain::Toolchain;

/// Every section runs on two CPUs: its targets are stated for two.
pub(crate) const CPUS: usize = 2;

/// What sections need, and where they leave what they found.
pub(crate) struct Bench {
    pub(crate) tools: Toolchain,
    pub(crate) effort: Effort,
    report: String,
    raw: String,
}

impl Bench {
    /// Begins a section.
    pub(crate) fn head(&mut self, title: &str, definition: &str) {
        eprintln!("{title}");
        self.say(&format!("## {title}\n\n{definition}\n"));
    }

    /// Adds a paragraph or a table to the report.
    pub(crate) fn say(&mut self, text: &str) {
        self.report.push_str(text);
        self.report.push('\n');
    }

    /// Keeps samples.
    pub(crate) fn keep(&mut self, samples: &serde_json::Value) {
        self.raw.push_str(&samples.to_string());
        self.raw.push('\n');
    }

    /// Runs a contest and reports it.
    pub(crate) fn hold(&mut self, contest: Contest) {
        let (title, definition) = contest.head();
        self.head(&title, &definition);
        let found = contest.hold(self.effort);
        self.say(&found.text);
        found.samples.iter().for_each(|samples| self.keep(samples));
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS; // `cargo test --benches` asks whether it starts.
    }
    if let Some((first, rest)) = arguments.split_first()
        && first == rayon_peer::FLAG
    {
        return rayon_peer::main(rest);
    }
    let options = match Options::read(&arguments) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("peers: {what}");
            return ExitCode::from(2);
        }
    };
    if let Err(what) = confine() {
        eprintln!("peers: {what}");
        return ExitCode::from(1);
    }
    let tools = match Toolchain::find(options.install) {
        Ok(tools) => tools,
        Err(what) => {
            eprintln!("peers: {what}");
            return ExitCode::from(1);
        }
    };
    let mut bench =
        Bench { tools, effort: options.effort, report: String::new(), raw: String::new() };
    let head = shared::machine("Peers", "peers") + &bench.tools.described();
    bench.say(&head);
    bench.say(&options.effort.described());
    for (_, run) in sections::ALL.iter().filter(|(name, _)| options.includes(name)) {
        let told = bench.report.len();
        run(&mut bench);
        // At once: a sitting is long, and may be ended.
        println!("{}", &bench.report[told..]);
        shared::save(&arguments, &bench.report, &bench.raw);
    }
    ExitCode::SUCCESS
}

/// Starts this program again on the first CPUs it may use, if it may use more than it needs.
fn confine() -> Result<(), String> {
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    if cpus.len() < CPUS {
        return Err(format!("needs {CPUS} CPUs, may use {}", cpus.len()));
    }
    if cpus.len() == CPUS {
        return Ok(());
    }
    let list: Vec<String> = cpus.iter().take(CPUS).map(|cpu| cpu.id.to_string()).collect();
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let error = Command::new("taskset")
        .args(["-c", &list.join(",")])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(format!("cannot confine itself to {CPUS} CPUs: taskset: {error}"))
}
