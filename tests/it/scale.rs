//! Scaling studies: answers that add up, samples that are made once, gates that are kept.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::numpy::python;
use crate::sandbox::{Outcome, Sandbox};

const SMALL: &str = "scale -k spin --param cost=200ns --size 2000 --procs 1,2";

fn study(sandbox: &Sandbox, more: &str) -> Outcome {
    sandbox.spmd(&format!("{SMALL} {more}")).run()
}

/// The timed samples of a study.
fn samples(sandbox: &Sandbox, directory: &str) -> Vec<Value> {
    let text = String::from_utf8(sandbox.read(&format!("{directory}/samples.jsonl"))).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|sample| sample["warmup"] == false).collect()
}

/// The trials that were made, of each number of ranks; those made again in place of disturbed ones count once.
fn repeats(sandbox: &Sandbox, directory: &str) -> BTreeMap<u64, usize> {
    let mut found: BTreeMap<u64, std::collections::BTreeSet<u64>> = BTreeMap::new();
    for sample in samples(sandbox, directory) {
        let procs = sample["procs"].as_u64().unwrap();
        found.entry(procs).or_default().insert(sample["repeat"].as_u64().unwrap());
    }
    found.into_iter().map(|(procs, repeats)| (procs, repeats.len())).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn a_study_has_points_models_losses_noise_and_a_verdict() {
    let sandbox = Sandbox::new();
    let found = study(&sandbox, "--repeats 6 --json").ok().json();
    assert_eq!((&found["schema"], &found["kind"]), (&1.into(), &"strong".into()));
    let points = found["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    for (point, procs) in points.iter().zip([1, 2]) {
        assert_eq!((&point["procs"], &point["n"]), (&procs.into(), &6.into()));
        assert_eq!(point["ended"], "repeats");
        for name in ["time_s", "speedup", "efficiency", "first_pass_s", "launch_s"] {
            let (value, ends) = (number(&point[name]["value"]), &point[name]["ci95"]);
            assert!(number(&ends[0]) <= value && value <= number(&ends[1]), "{name}: {point}");
        }
    }
    assert_eq!(points[0]["speedup"]["value"], 1.0);
    assert_eq!(found["models"]["karp_flatt"][0]["procs"], 2);
    for law in ["amdahl", "gustafson", "usl"] {
        let model = &found["models"][law];
        assert!(model["refused"].is_string(), "two points fit any law: {model}");
    }
    assert_eq!(
        (&found["base"]["name"], &found["noise"]["samples"]),
        (&"one rank".into(), &12.into())
    );
    assert!(found["verdict"].is_string() && found["environment"]["usable cpus"].is_string());
    assert_eq!(found["roofline"], Value::Null, "a kernel that moves nothing is bound by no memory");
}

#[test]
fn the_serial_loop_is_measured_in_the_same_rounds_and_is_what_speedups_are_multiples_of() {
    let sandbox = Sandbox::new();
    let study = study(&sandbox, "--repeats 6 --baseline serial --out s --json").ok();
    let found = study.json();
    let (base, points) = (&found["base"], found["points"].as_array().unwrap());
    assert_eq!((&base["name"], points.len()), (&"plain serial loop".into(), 2));
    let plain = |sample: &&Value| sample["params"]["plain"] == true;
    let samples = samples(&sandbox, "s");
    let mut times: Vec<f64> = samples
        .iter()
        .filter(plain)
        .map(|sample| number(&sample["time"]["pass_s"]["median"]))
        .collect();
    assert!(times.len() >= 6 && samples.len() >= 18, "{} of {}", times.len(), samples.len());
    times.sort_by(f64::total_cmp);
    let time = number(&base["time_s"]["value"]);
    assert!(times[0] <= time && time <= times[times.len() - 1], "{time}: {times:?}");
    for point in points {
        let ratio = time / number(&point["time_s"]["value"]);
        let speedup = number(&point["speedup"]["value"]);
        assert!((speedup - ratio).abs() < 1e-9, "{speedup} is not {ratio}");
    }
    assert!(study.text().contains("memory of its own"), "{}", study.text());
}

#[test]
fn losses_add_up_to_the_whole_time_of_every_point() {
    let sandbox = Sandbox::new();
    let found = study(&sandbox, "--repeats 3 --json").ok().json();
    for window in ["losses", "run_losses"] {
        let all = found[window].as_array().unwrap();
        assert_eq!(all.len(), 2);
        for losses in all {
            let parts = losses["parts"].as_array().unwrap();
            let lost: f64 = parts.iter().map(|part| number(&part["lost_s"])).sum();
            let whole = number(&losses["whole_s"]);
            let sum = number(&losses["ideal_s"]) + lost;
            assert!((sum - whole).abs() <= 1e-9 * whole, "{sum} of {whole}: {losses}");
        }
    }
}

#[test]
fn a_study_goes_on_where_it_stopped_and_makes_nothing_twice() {
    let sandbox = Sandbox::new();
    study(&sandbox, "--repeats 2 --out s").ok();
    assert_eq!(repeats(&sandbox, "s"), BTreeMap::from([(1, 2), (2, 2)]));
    let before = sandbox.read("s/samples.jsonl");
    study(&sandbox, "--repeats 2 --out s").ok();
    assert_eq!(sandbox.read("s/samples.jsonl"), before);
    study(&sandbox, "--repeats 4 --out s").ok();
    assert_eq!(repeats(&sandbox, "s"), BTreeMap::from([(1, 4), (2, 4)]));
    let after = sandbox.read("s/samples.jsonl");
    assert!(after.starts_with(&before), "what was measured stays");
}

#[test]
fn a_disturbed_sample_stays_beside_the_one_made_in_its_place() {
    let sandbox = Sandbox::new();
    let found = study(&sandbox, "--repeats 4 --out s --json").ok().json();
    let marked = |sample: &&Value| {
        sample["noise"]["marked"].as_array().is_some_and(|marks| !marks.is_empty())
    };
    let samples = samples(&sandbox, "s");
    let noise = &found["noise"];
    let marked = samples.iter().filter(marked).count();
    assert_eq!(noise["marked"], marked, "{noise}");
    let again = samples.iter().filter(|sample| sample["attempt"].as_u64() > Some(1)).count();
    assert_eq!(noise["rerun"], again, "{noise}");
    assert_eq!(noise["stayed_marked"], marked - again, "each but the last was marked: {noise}");
    assert!(samples.iter().all(|sample| sample["attempt"].as_u64() <= Some(4)));
}

#[test]
fn a_weak_study_computes_as_much_with_each_rank() {
    let sandbox = Sandbox::new();
    let found = study(&sandbox, "--weak --repeats 2 --json").ok().json();
    assert_eq!(found["kind"], "weak");
    let sizes = [&found["points"][0]["size"], &found["points"][1]["size"]];
    assert_eq!(sizes, [&Value::from(2000), &Value::from(4000)]);
    assert_eq!(found["models"]["karp_flatt"], Value::Array(Vec::new()));
}

#[test]
fn a_weak_study_of_one_rank_is_weak() {
    let sandbox = Sandbox::new();
    let found = study(&sandbox, "--weak --procs 1 --repeats 2 --json").ok().json();
    assert_eq!((&found["kind"], found["points"].as_array().unwrap().len()), (&"weak".into(), 1));
}

#[test]
fn another_question_in_the_same_directory_has_its_own_trace_and_pictures() {
    let sandbox = Sandbox::new();
    study(&sandbox, "--repeats 2 --schedule static --out s").ok();
    let trace = sandbox.read("s/trace.json");
    assert!(!sandbox.read("s/serial-share.svg").is_empty());
    study(&sandbox, "--repeats 2 --schedule static --out s").ok();
    assert_eq!(sandbox.read("s/trace.json"), trace, "the same question has it already");
    study(&sandbox, "--repeats 2 --schedule dynamic,100 --out s").ok();
    let text = String::from_utf8(sandbox.read("s/trace.json")).unwrap();
    assert!(text.contains("dynamic,100"), "of the schedule that was asked for");
    study(&sandbox, "--procs 1 --repeats 2 --schedule dynamic,100 --out s").ok();
    let pictures = fs::read_dir(sandbox.path("s")).unwrap().flatten();
    let pictures: Vec<_> = pictures.map(|file| file.file_name()).collect();
    assert!(!pictures.contains(&"serial-share.svg".into()), "one rank has none: {pictures:?}");
    assert!(pictures.contains(&"time.svg".into()));
}

#[test]
fn samples_that_cannot_be_of_their_point_are_refused() {
    let sandbox = Sandbox::new();
    study(&sandbox, "--repeats 2 --out s").ok();
    let good = String::from_utf8(sandbox.read("s/samples.jsonl")).unwrap();
    let edited = |edit: fn(&mut Value)| -> String {
        let lines = good.lines().map(|line| {
            let mut sample: Value = serde_json::from_str(line).unwrap();
            if sample["procs"] == 2 && sample["warmup"] == false {
                edit(&mut sample);
            }
            format!("{sample}\n")
        });
        lines.collect()
    };
    let edits: [fn(&mut Value); 3] = [
        |sample| sample["workers"] = Value::Array(Vec::new()),
        |sample| sample["time"]["pass_s"]["median"] = 1e308.into(),
        |sample| sample["workers"][0]["busy_s"] = (-1.0).into(),
    ];
    for edit in edits {
        sandbox.write("s/samples.jsonl", edited(edit));
        study(&sandbox, "--repeats 2 --out s").failed(2, "is none of a study");
    }
    sandbox.write("s/samples.jsonl", &good);
    study(&sandbox, "--repeats 2 --out s").ok();
}

#[test]
fn a_gate_that_is_not_met_is_exit_4_with_found_and_wanted() {
    let sandbox = Sandbox::new();
    study(&sandbox, "--repeats 2 --require speedup@1>=1 --require time<=1000s").ok();
    let missed =
        study(&sandbox, "--repeats 2 --require speedup>=1000 --require time<=1000s --json");
    assert!(missed.told().contains("wanted >= 1000"), "{}", missed.told());
    let found = missed.exited(4).json();
    assert_eq!((&found["exit"], &found["status"]), (&4.into(), &"slow".into()));
    assert_eq!(
        (&found["gates"][0]["met"], &found["gates"][1]["met"]),
        (&false.into(), &true.into())
    );
}

#[test]
fn a_study_leaves_what_the_contract_names_and_without_out_nothing() {
    let sandbox = Sandbox::new();
    study(&sandbox, "--repeats 2 --out s").ok();
    for name in [
        "samples.jsonl",
        "summary.csv",
        "report.md",
        "report.html",
        "env.json",
        "extrap.jsonl",
        "trace.json",
        "time.svg",
        "speedup.svg",
        "efficiency.svg",
        "losses.svg",
    ] {
        assert!(!sandbox.read(&format!("s/{name}")).is_empty(), "{name}");
    }
    let html = String::from_utf8(sandbox.read("s/report.html")).unwrap();
    assert!(!html.contains("src=\"http") && !html.contains("<script"), "it needs no network");
    fs::create_dir(sandbox.path("tmp")).unwrap();
    let command = sandbox.spmd(&format!("{SMALL} --repeats 2"));
    command.env("TMPDIR", sandbox.path("tmp")).run().ok();
    assert_eq!(fs::read_dir(sandbox.path("tmp")).unwrap().count(), 0);
}

#[test]
fn what_no_study_can_be_made_of_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    for (more, says) in [
        ("--procs 2,4", "no point with 1 rank"),
        ("--procs 1,x", "`x` is no number of ranks"),
        ("--procz 1", "did you mean `--procs`?"),
        ("--out s --trace t.json", "a study writes a trace of its own"),
        ("--output y.npy", "a study has no output"),
        ("--checkpoint c", "has no time to compare"),
        ("--repeats 3 --target-ci 2%", "two ways to end a study"),
        ("--target-ci 2", "no share above 0 and below 1"),
        ("--require efficency>=1", "did you mean `efficiency`?"),
        ("--require efficiency@4>=0.5", "no point with 4 ranks"),
        ("--size 0 --out s", "no times to compare"),
    ] {
        study(&sandbox, more).failed(2, says);
    }
    let weak = sandbox.spmd("scale -k spin --weak --procs 1,2").run();
    weak.failed(2, "--weak without --size");
    assert!(sandbox.names().is_empty(), "{:?}", sandbox.names());
}

#[test]
fn a_dry_run_shows_the_batch_that_a_study_is() {
    let sandbox = Sandbox::new();
    let shown = study(&sandbox, "--dry-run").ok();
    assert!(shown.text().contains("matrix.procs = [1, 2]"), "{}", shown.text());
    let document = study(&sandbox, "--dry-run --json").ok().json();
    assert_eq!(document["status"], "planned");
    assert!(sandbox.names().is_empty());
}

#[test]
fn an_independent_program_finds_the_same_figures_in_the_samples() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::new();
    let found = study(&sandbox, "--repeats 9 --out s --json").ok();
    sandbox.write("found.json", found.text());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/recompute.py");
    let again = sandbox.program(&python).arg(script).words("s found.json").deadline(120).run();
    assert_eq!(again.ok().text().trim(), "6 figures of 2 points agree");
}
