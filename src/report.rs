//! All that a person reads. The only file that prints.
//!
//! Results go to stdout, talk to stderr. Nobody panics because a reader went away: `spmd … | head`
//! ends quietly.

mod bench;
mod compare;
mod doctor;
mod inventory;
mod kernels;
mod plan;
mod ranking;
mod study;

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};

pub(crate) use self::doctor::diagnosis;
pub(crate) use self::inventory::inventory;
pub(crate) use self::kernels::{kernel, kernels};
pub(crate) use self::plan::plan;
use crate::clean::Cleaned;
use crate::data::{OutputSpec, grouped};
use crate::engine::{Counters, Counting, History, Pinned, RankReport, World};
use crate::error::{Error, Explained};
use crate::figures::{scaled, time};
use crate::host::leftover::Deed;
use crate::host::streams::{self, Stream};
use crate::kernel::Shown;
use crate::plan::{Chosen, Plan};
use crate::record::Rates;
use crate::run::Finished;
use crate::schedule::{Schedule, Source};

pub(crate) use self::bench::{bench, benches};
pub(crate) use self::compare::compared;
pub(crate) use self::ranking::ranking;
pub(crate) use self::study::study;

/// Results up to this many are shown whole.
const WHOLE: u64 = 100;
/// Of more, so many at each end.
const EDGE: u64 = 3;

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Talk {
    /// Errors only.
    Quiet,
    /// Warnings, and the report of the run.
    Normal,
    /// Where every option came from, too.
    Verbose,
}

/// Whether messages carry colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal that takes it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Writes messages for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reporter {
    talk: Talk,
    paint: bool,
}

impl Reporter {
    pub(crate) fn new(talk: Talk, color: Color) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !set("NO_COLOR") && !dumb && io::stderr().is_terminal(),
        };
        Self { talk, paint }
    }

    fn say(self, text: &str) {
        // Nobody is left to be told that stderr is gone.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn label(self, kind: &str, code: &str) -> String {
        if self.paint {
            format!("spmd: \x1b[1;{code}m{kind}:\x1b[0m")
        } else {
            format!("spmd: {kind}:")
        }
    }

    /// Says why the run failed, and what to do.
    pub(crate) fn error(self, error: &Error) {
        let mut text = format!("{} {error}\n", self.label("error", "31"));
        for line in error.details() {
            let _ = writeln!(text, "  {line}");
        }
        if let Some(hint) = error.hint() {
            let _ = writeln!(text, "  hint: {hint}");
        }
        self.say(&text);
    }

    pub(crate) fn warning(self, warning: &str) {
        if self.talk >= Talk::Normal {
            self.say(&format!("{} {warning}\n", self.label("warning", "33")));
        }
    }

    pub(crate) fn note(self, note: &str) {
        if self.talk >= Talk::Normal {
            self.say(&format!("spmd: {note}\n"));
        }
    }

    /// Says what only those want to know who want to know everything.
    pub(crate) fn detail(self, note: &str) {
        if self.talk >= Talk::Verbose {
            self.say(&format!("spmd: {note}\n"));
        }
    }

    /// Shows what is resolved, for `-v`.
    pub(crate) fn resolved(self, plan: &Plan, origins: &dyn Fn(&str) -> String) {
        if self.talk >= Talk::Verbose {
            self.say(&self::plan::plan(plan, origins));
        }
    }

    /// Says who computed what, and where the time went.
    pub(crate) fn run(self, finished: &Finished) {
        if self.talk < Talk::Normal {
            return;
        }
        let collected = &finished.collected;
        let plan = &collected.results.world().plan;
        let rates = Rates::of(collected);
        let mut text = format!(
            "spmd: {} on {} x {}, {} ranks, {}{}\n",
            plan.kernel.name(),
            grouped(plan.size()),
            plan.job.dtype,
            plan.procs(),
            if plan.options.schedule.is_some_and(Schedule::is_auto) { "auto: " } else { "" },
            collected.results.world().partition().schedule(),
        );
        if self.talk >= Talk::Verbose {
            text.push_str(&chosen(collected.results.world()));
        }
        if plan.chosen == Chosen::Default {
            let _ = writeln!(
                text,
                "  input  {}, the kernel's own; {} for yours",
                plan.input.name,
                self::kernels::size_options(plan.kernel, &plan.params),
            );
        }
        table(&mut text, &collected.ranks);
        let times = &collected.times;
        let passes = match times.passes.len() {
            0 | 1 => format!("pass {}", time(rates.pass)),
            n => format!("pass {} (median of {n})", time(rates.pass)),
        };
        let _ = writeln!(
            text,
            "  time   {} total: spawn {}, attach {}, init {}, {passes}, output {}",
            time(times.total),
            time(times.spawn),
            time(times.attach),
            time(times.init),
            time(times.output),
        );
        let _ = writeln!(
            text,
            "  rate   {} items/s, {}B/s; imbalance {:.1} %",
            scaled(rates.items).trim_end(),
            scaled(rates.bytes),
            rates.imbalance * 100.0,
        );
        if let Some(counting) = &collected.counting {
            text.push_str(&counted(counting, self.talk));
        }
        text.push_str(&survived(&collected.history));
        if let Some(output) = &plan.options.output
            && *output != OutputSpec::Stdout
        {
            let _ = writeln!(text, "  wrote  {output}");
        }
        if let Some(trace) = &plan.options.trace {
            let _ = writeln!(text, "  trace  {trace}; `spmd tune` ranks schedules by it");
        }
        self.say(&text);
        for rank in &collected.ranks {
            if let Pinned::Refused { wanted } = rank.pinned {
                self.warning(&format!(
                    "rank {} could not be pinned to cpu {wanted}; it ran unpinned",
                    rank.rank
                ));
            }
        }
    }

    /// Says how much a cleaning came to.
    pub(crate) fn cleaned(self, cleaned: &Cleaned) {
        let counted = |n: usize, one: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {one}s")),
        };
        let what: Vec<String> = [
            counted(cleaned.segments.len(), "segment"),
            counted(cleaned.temporaries.len(), "temporary file"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let bytes = cleaned.found().fold(0_u64, |sum, found| sum.saturating_add(found.bytes));
        let did = match cleaned.deed {
            Deed::Remove => "removed",
            Deed::Show => "would remove",
        };
        self.say(&if !what.is_empty() {
            format!("spmd: {did} {}, {bytes} bytes\n", what.join(", "))
        } else if cleaned.errors().next().is_some() {
            format!("spmd: {did} nothing\n")
        } else {
            "spmd: nothing to clean\n".to_owned()
        });
    }

    /// Says which CPU each rank was meant for, and where it was.
    pub(crate) fn bindings(self, plan: &Plan, ranks: Option<&[RankReport]>) {
        let mut text = String::new();
        for (rank, pin) in plan.placement.pins.iter().enumerate() {
            let place = pin.and_then(|cpu| plan.placement.place(cpu));
            let intended = place.map_or_else(
                || {
                    plan.job
                        .cpus
                        .as_ref()
                        .map_or("any cpu".to_owned(), |cpus| format!("cpus {cpus}"))
                },
                |place| {
                    format!(
                        "cpu {} (core {}, package {}, node {})",
                        place.cpu, place.core, place.package, place.node
                    )
                },
            );
            let _ = write!(text, "spmd: rank {rank} bound to {intended}");
            if let Some(report) = ranks.and_then(|ranks| ranks.get(rank)) {
                let seen = report.cpu.map_or("?".to_owned(), |cpu| cpu.to_string());
                let check = match report.pinned {
                    Pinned::Yes => "verified",
                    Pinned::Unasked => "unpinned",
                    Pinned::Refused { .. } => "pin refused",
                };
                let _ = write!(text, "; pid {} seen on cpu {seen}, {check}", report.pid);
            }
            text.push('\n');
        }
        self.say(&text);
    }
}

/// Writes results to stdout as the kernel and the options ask.
pub(crate) fn results(finished: &Finished) -> Result<(), Error> {
    let results = &finished.collected.results;
    let plan = &results.world().plan;
    let output = plan.options.output.as_ref();
    if output.is_some_and(|output| *output != OutputSpec::Stdout) {
        return Ok(()); // Nothing is for stdout, so it may be closed.
    }
    to_stdout("--output FILE writes results to a file", |out| match (output, plan.kernel.shown()) {
        (Some(_), _) => results.write_lines(out),
        (None, Shown::Lines { line, last }) => {
            let shown = results.each_text(|input, result| writeln!(out, "{}", line(input, result)));
            shown.map_err(io::Error::other)??;
            writeln!(out, "{last}")
        }
        (None, Shown::List) => {
            let len = results.len();
            let list = |range: std::ops::Range<u64>| {
                range.map(|index| results.text(index)).collect::<Vec<_>>().join(", ")
            };
            if len <= WHOLE {
                writeln!(out, "Results: [{}]", list(0..len))
            } else {
                writeln!(out, "Results: [{}, ..., {}]", list(0..EDGE), list(len - EDGE..len))
            }
        }
    })
}

/// Writes to stdout what was removed: path and bytes, one a line.
pub(crate) fn leftovers(cleaned: &Cleaned) -> Result<(), Error> {
    to_stdout(ELSEWHERE, |out| {
        cleaned.found().try_for_each(|leftover| {
            writeln!(out, "{} {}", crate::data::shown_path(&leftover.path), leftover.bytes)
        })
    })
}

/// Writes a document to stdout.
pub(crate) fn document(text: &str) -> Result<(), Error> {
    to_stdout(ELSEWHERE, |out| writeln!(out, "{text}"))
}

/// What to do about a standard output that takes nothing, for what no option writes elsewhere.
const ELSEWHERE: &str = "send it to a pipe, or to a file where there is room";

fn to_stdout(
    hint: &'static str,
    write: impl FnOnce(&mut BufWriter<io::StdoutLock<'_>>) -> io::Result<()>,
) -> Result<(), Error> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = write(&mut out).and_then(|()| out.flush());
    let fault = match written {
        Ok(()) if streams::was_closed(Stream::Stdout) => "it is closed".to_owned(),
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            drop(out.into_parts()); // Without another attempt to write what is left.
            return Ok(());
        }
        Ok(()) => return Ok(()),
        Err(error) => {
            drop(out.into_parts());
            crate::data::reason(&error)
        }
    };
    Err(Error::failed(
        Explained::new(format!("cannot write to standard output: {fault}")).hint(hint),
    ))
}

/// Says what a run survived.
fn survived(history: &History) -> String {
    let count = |number: u32, one: &str, more: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    };
    match (history.recovered, history.restarts) {
        (0, _) => String::new(),
        (deaths, 0) => format!("  survived {}\n", count(deaths, "death", "deaths")),
        (deaths, restarts) => format!(
            "  survived {}, and began again {}\n",
            count(deaths, "death", "deaths"),
            count(restarts, "time", "times")
        ),
    }
}

fn table(text: &mut String, ranks: &[RankReport]) {
    /// A world larger than this is shown by its first and last ranks.
    const ROWS: usize = 64;
    let _ = writeln!(
        text,
        "  rank       pid   cpu           items     chunks       busy      claim       wait"
    );
    for (at, rank) in ranks.iter().enumerate() {
        if ranks.len() > ROWS && at >= ROWS / 2 && at < ranks.len() - ROWS / 2 {
            if at == ROWS / 2 {
                let _ = writeln!(text, "   ... {} more ranks", ranks.len() - ROWS);
            }
            continue;
        }
        let cpu = rank.cpu.map_or("?".to_owned(), |cpu| cpu.to_string());
        let cpu = if rank.pinned == Pinned::Yes { cpu } else { format!("~{cpu}") };
        let _ = writeln!(
            text,
            "  {:>4} {:>9} {:>5} {:>15} {:>10} {:>10} {:>10} {:>10}",
            rank.rank,
            rank.pid,
            cpu,
            grouped(rank.items),
            grouped(rank.chunks),
            time(rank.busy),
            time(rank.claim),
            time(rank.wait),
        );
    }
}

/// Says what the processor counted. That it counted nothing is worth a word only to who wants all of them.
fn counted(counting: &Counting, talk: Talk) -> String {
    let counters = match &counting.all {
        Ok(counters) => counters,
        Err(absent) if talk >= Talk::Verbose => {
            return format!("  count  nothing: {}\n", absent.why());
        }
        Err(_) => return String::new(),
    };
    let Counters { cycles, instructions, cache_misses, running, .. } = *counters;
    let count = |count: Option<u64>, unit: &str| {
        count.map(|count| format!("{} {unit}", scaled(count as f64).trim_end()))
    };
    let each = counters.per_cycle().map_or(String::new(), |each| format!(" ({each:.2} a cycle)"));
    let parts: Vec<String> = [
        count(cycles, "cycles"),
        count(instructions, "instructions").map(|text| text + &each),
        count(cache_misses, "cache misses"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let clock = counters.frequency().map_or(String::new(), |rate| format!("; {}Hz", scaled(rate)));
    let share = if running < 1.0 {
        format!("; counted {:.1} % of the time, and scaled up", running * 100.0)
    } else {
        String::new()
    };
    format!("  count  {}{clock}{share}\n", parts.join(", "))
}

/// Says what `auto` chose, and by what.
fn chosen(world: &World) -> String {
    let plan = &world.plan;
    if !plan.options.schedule.is_some_and(Schedule::is_auto) {
        return String::new();
    }
    let claims = world.segment.control().claims();
    let Some(choice) = world.partition().choice() else {
        return "  auto   too few indices to look first: the counter, and the chunk by the stated cost\n"
            .to_owned();
    };
    let seen = claims.seen();
    let why = match choice.source {
        Source::Counter => "no more than 1 %: it stays on the counter",
        Source::Ranges => "more than 1 %: each rank has a range, and takes from others'",
    };
    format!(
        "  auto   {} indices took {} each; on the counter claims would be {:.1} % of the time, {why}\n",
        grouped(seen.items),
        time(seen.ns_per_index() * 1e-9),
        seen.share_of_claims(choice.chunk) * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(1_234_567), "1_234_567");
        assert_eq!(grouped(12), "12");
    }
}
