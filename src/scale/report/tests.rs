//! Reports of a study that never ran: its times are those of a law with noise, so everything is in it.

use std::fs;
use std::path::Path;

use super::{Counters, Findings, Glyphs, Noise, Point, Roofline, Trial};
use crate::plots::{Activity, Row, Span};
use crate::scaling::{Base, Fit, Kind, Law, Losses, Memory, RankTime, Spent, Study};

impl Findings {
    pub(super) fn write(&self, dir: &Path) -> std::io::Result<()> {
        self.files().iter().try_for_each(|(name, text)| fs::write(dir.join(name), text))
    }
}

const PROCS: [u32; 8] = [1, 2, 3, 4, 6, 8, 12, 16];
const SIZE: u64 = 100_000_000;
const BYTES: f64 = 24.0;

/// A memory-bound kernel that turns down at about twenty ranks.
pub(super) fn study() -> Findings {
    of(&PROCS, Kind::Strong)
}

/// Studies that are drawn quite differently: one point, two, many, one whose size grows, one with gains and
/// more ranks than have a row.
pub(super) fn studies() -> Vec<(&'static str, Findings)> {
    let many: Vec<u32> = (1..=40).collect();
    let mut gains = of(&[1, 2, 128], Kind::Strong);
    let losses = &mut gains.losses[1];
    let whole = losses.whole;
    let shares = [0.05, 0.04, 0.03, 0.02, 0.02, 0.01, 0.05, 0.04, -0.3];
    for (part, share) in losses.parts.iter_mut().zip(shares) {
        part.lost += share * whole;
    }
    losses.ideal += 0.04 * whole;
    gains.points[1].figures.karp_flatt =
        Some(crate::scaling::Estimate { value: -0.2, ci95: Some([-0.3, -0.1]) });
    vec![
        ("one", of(&[1], Kind::Strong)),
        ("two", of(&[1, 2], Kind::Strong)),
        ("many", of(&many, Kind::Strong)),
        ("weak", of(&PROCS, Kind::Weak)),
        ("gains", gains),
    ]
}

fn seconds(procs: u32) -> f64 {
    let p = f64::from(procs);
    0.0612 * (1.0 + 0.04 * (p - 1.0) + 0.0025 * p * (p - 1.0)) / p
}

fn of(procs: &[u32], kind: Kind) -> Findings {
    let work = |procs: u32| match kind {
        Kind::Strong => 1,
        Kind::Weak => u64::from(procs),
    };
    // Two kinds of noise: what a round does to all points, and what it does to each.
    let noise = |round: u32, procs: u32| {
        let all = f64::from(round * 7 % 11) / 11.0 - 0.5;
        let own = f64::from((round * 5 + procs * 3) % 13) / 13.0 - 0.5;
        1.0 + 0.02 * all + 0.05 * own
    };
    let point = |&procs: &u32| {
        let times: Vec<f64> = (0..12)
            .map(|round| seconds(procs) * work(procs) as f64 * noise(round, procs))
            .collect();
        crate::scaling::Point::new(procs, SIZE * work(procs), &times)
    };
    let study = Study::new(procs.iter().map(point).collect(), Base::OneRank, 42).unwrap();
    let fits: Vec<Fit> = Law::ALL.into_iter().filter_map(|law| Fit::of(&study, law).ok()).collect();
    let refused = Law::ALL
        .into_iter()
        .filter_map(|law| Fit::of(&study, law).err().map(|why| (law, why.to_string())));
    let most = procs.last().copied().unwrap();
    let predictions = fits.iter().map(|fit| (fit.law, fit.predict(&study, 2 * most))).collect();
    let points = study.figures().into_iter().map(|figures| {
        let rate = figures.size as f64 / figures.time_s.value;
        Point {
            imbalance: Some(0.01 * f64::from(figures.procs)),
            items_per_s: Some(rate),
            bytes_per_s: Some(rate * BYTES),
            flops_per_s: Some(rate * 2.0),
            counters: Counters {
                per_cycle: Some(0.9 / f64::from(figures.procs).sqrt()),
                frequency: Some(3.2e9 - 2e7 * f64::from(figures.procs)),
                against_one: Some(1.0 - 0.00625 * f64::from(figures.procs - 1)),
                cache_misses: Some(0.375),
                counted: Some(1.0),
            },
            marked: usize::from(figures.procs > 4) * 3,
            rerun: usize::from(figures.procs > 4) * 2,
            stayed: usize::from(figures.procs > 4),
            ended: if figures.procs > 8 { "budget" } else { "narrow" }.to_owned(),
            figures,
        }
    });
    Findings {
        kernel: "triad".to_owned(),
        options: [("param", "scalar=3"), ("schedule", "dynamic,131072"), ("tag", "night")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        size: SIZE,
        dtype: "f64".to_owned(),
        kind: study.kind,
        verdict: Some("memory-bound from 12 ranks: 93 % of the measured ceiling".to_owned()),
        base: study.base_name(),
        base_time: study.base_time(),
        points: points.collect(),
        refused: refused.collect(),
        fits,
        predictions,
        losses: procs.iter().map(|procs| losses(*procs)).collect(),
        roofline: Some(Roofline {
            flops: 2.0,
            bytes: BYTES,
            ceilings: procs.iter().map(|procs| (*procs, ceiling(*procs))).collect(),
            peak: None,
        }),
        trial: Some(Trial {
            rows: (0..most.min(64)).map(|rank| row(rank, seconds(most))).collect(),
            about: "Repeat 3, the one in the middle by its time.".to_owned(),
        }),
        noise: Noise {
            labels: vec![("steal".to_owned(), 7), ("involuntary switches".to_owned(), 5)],
        },
        ended: "until half of an interval is 2 % of the median, or 60 s a point".to_owned(),
        seed: 42,
        environment: vec![
            (
                "command",
                format!("spmd scale --kernel triad --size 1e8 --procs {procs:?} --out study"),
            ),
            ("spmd", "0.1.0 (blake3:0123456789ab)".to_owned()),
            ("cpu model", "Imaginary Processor 9000 @ 3.00GHz".to_owned()),
            ("usable cpus", format!("0-{}", most - 1)),
        ],
        notes: vec!["12 and 16 ranks: the budget ended before intervals were narrow".to_owned()],
    }
}

fn ceiling(procs: u32) -> f64 {
    4.1e10 * f64::from(procs.min(8))
}

fn losses(procs: u32) -> Losses {
    let spent = |procs: u32| {
        let time = seconds(procs);
        let ranks = (0..procs).map(|rank| {
            let busy = time * (0.97 - 0.06 * f64::from(rank % 4) * f64::from(procs > 1));
            let claim = time * 0.004 * f64::from(procs - 1).sqrt();
            RankTime { busy, claim, wait: time * 0.995 - busy - claim }
        });
        let mut spent = Spent::pass(time, ranks.collect());
        spent.stolen = Some(0.0004 * f64::from(procs * procs));
        spent.clock = Some(3.0 - 0.02 * f64::from(procs));
        spent
    };
    let memory = Memory { bytes: BYTES * SIZE as f64, ceiling: ceiling(procs) };
    Losses::of(&spent(procs), &spent(1), 1.0, Some(memory))
}

fn row(rank: u32, time: f64) -> Row {
    let chunks = 24 + rank % 5 * 2;
    let each = time * 0.9 / 33.0;
    let mut spans = Vec::new();
    let mut now = 0.0;
    let mut put = |activity, long: f64| {
        spans.push(Span { activity, begin: now, end: now + long });
        now += long;
    };
    for _ in 0..chunks {
        put(Activity::Claim, each * 0.05);
        put(Activity::Compute, each * 0.95);
    }
    put(Activity::Wait, time - each * f64::from(chunks));
    Row { name: format!("rank {rank}"), spans }
}

fn file(findings: &Findings, name: &str) -> String {
    let found = findings.files().into_iter().find(|(other, _)| other == name);
    found.unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn a_study_is_these_files_and_the_same_bytes_twice() {
    let (one, two) = (study().files(), study().files());
    let names: Vec<&str> = one.iter().map(|(name, _)| &**name).collect();
    assert_eq!(
        names,
        [
            "time.svg",
            "speedup.svg",
            "efficiency.svg",
            "serial-share.svg",
            "losses.svg",
            "roofline.svg",
            "gantt.svg",
            "summary.csv",
            "report.md",
            "report.html"
        ]
    );
    assert_eq!(one, two);
}

#[test]
fn hostile_text_in_a_parameter_is_text_in_every_report() {
    let hostile = "</p><script>alert(1)</script>|`*[x](y)\n\"'\u{1b}[31m";
    let mut findings = study();
    findings.kernel = hostile.to_owned();
    findings.options.push((hostile.to_owned(), hostile.to_owned()));
    findings.environment.push(("command", hostile.to_owned()));
    findings.environment.push(("cpu model", hostile.to_owned()));
    findings.notes.push(hostile.to_owned());
    findings.points[0].ended = hostile.to_owned();
    findings.verdict = Some(hostile.to_owned());
    findings.trial.as_mut().unwrap().rows[0].name = hostile.to_owned();
    for (name, text) in findings.files() {
        assert!(!text.contains('\u{1b}') || name == "summary.csv", "{name}");
        if name == "summary.csv" {
            let cells = text.lines().filter(|line| !line.starts_with('#'));
            assert!(cells.clone().count() > PROCS.len(), "a break in a cell is quoted: {text}");
            continue;
        }
        let markdown = name == "report.md";
        assert!(
            !text.contains("<script") || (markdown && !text.replace("\\<", "").contains('<')),
            "{name}"
        );
    }
    let html = file(&findings, "report.html");
    assert!(html.contains("&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn a_study_of_one_point_draws_what_it_can() {
    let findings = of(&[1], Kind::Strong);
    let names: Vec<String> = findings.files().into_iter().map(|(name, _)| name).collect();
    assert!(
        names.contains(&"time.svg".to_owned()) && !names.contains(&"serial-share.svg".to_owned())
    );
    for (name, text) in findings.files() {
        assert!(!text.contains("NaN") && !text.contains("inf "), "{name}: {text}");
    }
    assert!(file(&findings, "report.html").contains("not fitted"));
}

#[test]
fn a_study_of_which_little_is_known_says_so_and_draws_what_it_can() {
    let mut findings = study();
    findings.losses.clear();
    findings.roofline = None;
    findings.trial = None;
    findings.verdict = None;
    findings.fits.clear();
    findings.predictions.clear();
    for point in &mut findings.points {
        (point.imbalance, point.items_per_s) = (None, None);
        (point.bytes_per_s, point.flops_per_s) = (None, None);
        point.counters = Counters::default();
        point.figures.time_s.ci95 = None;
        point.figures.speedup.ci95 = None;
    }
    let html = file(&findings, "report.html");
    assert!(html.contains("No verdict") && html.contains("too few samples"));
    for name in ["imbalance", "instructions a cycle", "clock", "cache misses an index"] {
        assert!(!html.contains(&format!("<th scope=\"col\" class=\"n\">{name}</th>")), "{name}");
    }
    assert!(!findings.terminal(Glyphs::Ascii).contains("clock"));
    assert_eq!(html.matches("<figure>").count(), 4);
}

#[test]
fn the_losses_of_each_point_add_up_in_the_table_too() {
    let csv = file(&study(), "summary.csv");
    let mut lines = csv.lines().filter(|line| !line.starts_with('#'));
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    let lost: Vec<usize> = head
        .iter()
        .enumerate()
        .filter(|(_, name)| name.starts_with("loss_") || **name == "ideal")
        .map(|(at, _)| at)
        .collect();
    assert_eq!(lost.len(), 12);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), PROCS.len());
    for row in rows {
        assert_eq!(row.len(), head.len());
        let sum: f64 = lost.iter().map(|at| row[*at].parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}: {row:?}");
    }
}

#[test]
fn what_the_processor_counted_is_in_every_report_that_has_points() {
    let mut findings = study();
    findings.points[1].counters = Counters::default();
    let (html, markdown) = (file(&findings, "report.html"), file(&findings, "report.md"));
    let terminal = findings.terminal(Glyphs::Ascii);
    for text in [&html, &markdown, &terminal] {
        for said in ["instructions a cycle", "clock", "cache misses an index", "3.18 GHz", "0.3750"]
        {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
    let csv = file(&findings, "summary.csv");
    let rows: Vec<Vec<&str>> = csv
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(',').collect())
        .collect();
    let at = rows[0].iter().position(|name| *name == "frequency_hz").unwrap();
    assert_eq!((rows[1][at], rows[2][at]), ("3180000000.0", ""));
}

#[test]
fn predictions_are_marked_wherever_they_are() {
    let findings = study();
    let html = file(&findings, "report.html");
    assert!(html.contains("none of this was measured") && html.contains("predicted, not measured"));
    assert!(html.contains("<title>predicted by the Universal Scalability Law: 32 ranks"));
    assert!(file(&findings, "report.md").contains("none of this was measured"));
    assert!(file(&findings, "summary.csv").contains("# predicted, not measured: procs 32"));
    // Hollow: the inside is that of the page.
    let svg = file(&findings, "speedup.svg");
    let hollow = svg.split("<polygon ").skip(1).filter(|shape| shape.contains("predicted by"));
    assert_eq!(hollow.filter(|shape| shape.contains("fill=\"#ffffff\"")).count(), 2);
}

#[test]
fn a_file_of_a_picture_says_where_its_figures_are_from() {
    for (name, text) in study().files().into_iter().filter(|(name, _)| name.ends_with(".svg")) {
        let texts = text.split('<').filter_map(|rest| Some(rest.split_once('>')?.1.trim()));
        let told: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
        let told = told.join(" ");
        for said in ["triad", "Imaginary Processor", "seed", "one rank", "n 12"] {
            assert!(told.contains(said), "{name} does not say {said}: {told}");
        }
        assert!(text.contains("prefers-color-scheme:dark") && text.contains("<desc"), "{name}");
    }
}

#[test]
fn a_terminal_of_eighty_columns_has_room_for_it() {
    for findings in studies().into_iter().map(|(_, findings)| findings).chain([study()]) {
        for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
            let text = findings.terminal(glyphs);
            for line in text.lines() {
                assert!(
                    line.chars().count() <= 80,
                    "{} columns: {line}\n{text}",
                    line.chars().count()
                );
            }
            assert_eq!(text.is_ascii(), glyphs == Glyphs::Ascii, "{text}");
            assert!(!text.contains('\u{1b}'));
        }
    }
}

#[test]
fn bars_are_as_long_as_speedups_and_the_ideal_is_marked() {
    let mut findings = study();
    findings.points.truncate(4);
    for (point, speedup) in findings.points.iter_mut().zip([1.0, 2.0, 2.25, 2.0]) {
        point.figures.speedup.value = speedup;
    }
    let text = findings.terminal(Glyphs::Ascii);
    let bars: Vec<&str> = text.lines().skip_while(|line| !line.contains("is ideal")).collect();
    let marks = |line: &str| line.matches('#').count();
    // Four ranks are ideal at the last cell of 62.
    assert_eq!([1, 2, 3, 4].map(|at| marks(bars[at])), [16, 31, 35, 31]);
    assert_eq!([3, 4].map(|at| bars[at].find('|')), [Some(8 + 47), Some(8 + 62)]);
    assert_eq!(bars[1].find('|'), None, "one rank is ideal");
}

#[test]
fn a_terminal_shows_what_its_locale_says() {
    let of = |set: &[(&str, &str)]| {
        Glyphs::of(|name| {
            set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), Glyphs::Unicode);
    assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]), Glyphs::Ascii);
    assert_eq!(of(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]), Glyphs::Unicode);
    assert_eq!(of(&[]), Glyphs::Ascii);
}
