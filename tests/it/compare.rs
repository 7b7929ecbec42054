//! `spmd compare`: a planted difference is found, noise is not taken for one, and nothing is believed of a file.

use serde_json::{Value, json};

use crate::sandbox::{Outcome, Sandbox};

/// Times of a point that nothing is wrong with: 2 % of spread.
const STEADY: [f64; 12] =
    [1.0, 1.008, 0.994, 1.02, 1.004, 0.988, 1.014, 0.998, 1.0, 1.01, 0.992, 1.002];

/// One trial as a batch writes it.
fn trial(key: u64, procs: u32, repeat: usize, seconds: f64) -> Value {
    json!({
        "batch": "b", "job": "j", "key": format!("{key:012x}"), "id": "p", "repeat": repeat,
        "warmup": false, "status": "ok", "exit": 0, "schema": 1, "kernel": "square", "size": 1000,
        "dtype": "i64", "procs": procs, "schedule": "static",
        "params": {"kernel": "square", "procs": procs, "schedule": "static", "repeats": 12},
        "time": {"pass_s": {"n": 1, "median": seconds, "samples": [seconds]}},
        "environment": {"cpu_model": "one", "kernel": "6.1"},
    })
}

/// The trials of one point, each slower by a factor, as lines.
fn lines(key: u64, procs: u32, factor: f64) -> String {
    let trials = STEADY.iter().enumerate();
    trials.map(|(n, time)| format!("{}\n", trial(key, procs, n, time * factor))).collect()
}

fn compared(sandbox: &Sandbox, more: &str) -> Outcome {
    sandbox.spmd(&format!("compare a.jsonl b.jsonl {more}")).run()
}

#[test]
fn a_planted_regression_is_found() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    sandbox.write("b.jsonl", lines(2, 2, 1.2));
    let found = compared(&sandbox, "").exited(4);
    assert!(found.text().contains("slower, beyond 3 % allowed"), "{}", found.told());
    let document = compared(&sandbox, "--json").exited(4).json();
    let point = &document["points"][0];
    assert_eq!((&document["status"], &point["verdict"]), (&json!("slow"), &json!("slower")));
    assert_eq!((&document["exit"], &point["allowed"]), (&json!(4), &json!("beyond")));
    assert!((point["ratio"]["value"].as_f64().unwrap() - 1.2).abs() < 1e-9, "{document}");
    assert_eq!((&point["a"]["n"], &point["b"]["n"]), (&json!(12), &json!(12)));
}

#[test]
fn the_same_samples_in_another_order_show_no_difference() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    let mut shuffled: Vec<String> = lines(1, 2, 1.0).lines().map(str::to_owned).collect();
    shuffled.rotate_left(5);
    shuffled.swap(0, 7);
    sandbox.write("b.jsonl", shuffled.join("\n") + "\n");
    let found = compared(&sandbox, "").ok();
    assert!(found.text().contains("no difference shown"), "{}", found.told());
    let document = compared(&sandbox, "--json").ok().json();
    assert_eq!(document["points"][0]["why"], "alike");
}

#[test]
fn an_improvement_is_faster_and_passes() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    sandbox.write("b.jsonl", lines(1, 2, 0.8));
    let found = compared(&sandbox, "").ok();
    assert!(found.text().contains("faster"), "{}", found.told());
}

#[test]
fn the_allowance_is_a_share_with_or_without_percent() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    sandbox.write("b.jsonl", lines(1, 2, 1.2));
    for (allowed, code) in [("3%", 4), ("0.03", 4), ("40%", 0), ("0.4", 0)] {
        compared(&sandbox, &format!("--allow {allowed}")).exited(code);
    }
    compared(&sandbox, "--allow 3").failed(2, "no share below 1").says("did you mean `3%`?");
    compared(&sandbox, "--allow=-1%").failed(2, "is no share");
}

#[test]
fn a_point_that_only_one_side_has_is_listed_and_one_that_is_gone_fails_the_gate() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0) + &lines(2, 4, 1.0));
    sandbox.write("b.jsonl", lines(1, 2, 1.0) + &lines(3, 8, 1.0));
    let gone = compared(&sandbox, "").exited(4);
    assert!(gone.text().contains("--allow-missing"), "{}", gone.told());
    let found = compared(&sandbox, "--allow-missing").ok();
    for line in ["only in A: square procs=4", "only in B: square procs=8"] {
        assert!(found.text().contains(line), "{}", found.told());
    }
    let document = compared(&sandbox, "--json --allow-missing").ok().json();
    assert_eq!(document["only_a"][0]["procs"], "4");
    assert_eq!(document["only_b"][0]["procs"], "8");
}

#[test]
fn warmups_failures_and_superseded_attempts_do_not_count() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    let mut more = lines(1, 2, 1.0);
    let mut slow = trial(1, 2, 0, 50.0);
    slow["warmup"] = true.into();
    more += &format!("{slow}\n");
    let mut failed = trial(1, 2, 12, 50.0);
    failed["status"] = "failed".into();
    more += &format!("{failed}\n");
    let mut again = trial(1, 2, 1, 1.0);
    again["attempt"] = 2.into();
    sandbox.write("b.jsonl", more + &format!("{again}\n"));
    let document = compared(&sandbox, "--json").ok().json();
    let b = &document["points"][0]["b"];
    assert_eq!((&b["n"], &b["max"]), (&json!(12), &json!(1.02)));
}

#[test]
fn samples_of_an_earlier_program_are_left_out_with_a_word() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(7, 2, 9.0) + &lines(1, 2, 1.0));
    sandbox.write("b.jsonl", lines(1, 2, 1.0));
    let found = compared(&sandbox, "--json").ok().says("12 samples are of an earlier program");
    assert_eq!(found.json()["points"][0]["a"]["n"], 12);
}

#[test]
fn too_few_samples_are_said_and_fail_no_gate() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    let few: Vec<String> = lines(1, 2, 9.0).lines().take(5).map(str::to_owned).collect();
    sandbox.write("b.jsonl", few.join("\n") + "\n");
    let found = compared(&sandbox, "").ok();
    assert!(found.text().contains("fewer than 6 samples"), "{}", found.told());
    assert!(found.text().contains("--repeats"), "{}", found.told());
}

#[test]
fn where_time_is_stolen_small_differences_are_not_claimed() {
    let sandbox = Sandbox::new();
    let stolen: String = STEADY
        .iter()
        .enumerate()
        .map(|(n, time)| {
            let mut trial = trial(1, 2, n, 1.04 + (time - 1.0) / 100.0);
            trial["noise"] = json!({"steal_s": 0.2});
            format!("{trial}\n")
        })
        .collect();
    let steady: String = STEADY
        .iter()
        .enumerate()
        .map(|(n, time)| format!("{}\n", trial(1, 2, n, 1.0 + (time - 1.0) / 100.0)))
        .collect();
    sandbox.write("a.jsonl", steady);
    sandbox.write("b.jsonl", stolen.clone());
    let found = compared(&sandbox, "").ok();
    assert!(found.text().contains("difference under 5 %"), "{}", found.told());
    // The same times, where nothing was stolen, are beyond what is allowed.
    sandbox.write("b.jsonl", stolen.replace("\"steal_s\":0.2", "\"steal_s\":0.0"));
    compared(&sandbox, "").exited(4);
}

#[test]
fn another_machine_is_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    sandbox.write(
        "b.jsonl",
        lines(1, 2, 1.0).replace("\"cpu_model\":\"one\"", "\"cpu_model\":\"two\""),
    );
    let found = compared(&sandbox, "--json").ok().says("cpu_model `one` and `two`");
    assert!(found.stderr.contains("spmd: warning: A and B are of different machines"));
    found.json();
}

#[test]
fn a_torn_last_line_is_left_out_with_a_word() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    let whole = lines(1, 2, 1.0);
    sandbox.write("b.jsonl", &whole[..whole.len() - 30]);
    let found = compared(&sandbox, "--json").ok().says("are no line, and left out");
    assert_eq!(found.json()["points"][0]["b"]["n"], 11);
}

#[test]
fn hostile_bytes_are_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    let deep = "[".repeat(100_000);
    let zero = lines(1, 2, 0.0);
    let wrong_in_between = format!("{}\0\x1b[31m\n{}", lines(1, 2, 1.0), trial(1, 2, 20, 1.0));
    for bytes in [
        &b""[..],
        b"\xff\xfe\0\0\n\x1b[31m",
        b"{}",
        b"[]\n",
        b"null",
        b"{\"key\":3}\n",
        b"{\"status\":\"ok\",\"time\":{\"pass_s\":{\"samples\":[1e999]}}}",
        b"{\"status\":\"ok\",\"time\":{\"pass_s\":{\"samples\":[-1,1]}}}",
        b"{\"status\":\"ok\",\"time\":{\"pass_s\":{\"samples\":[1,2]}}}",
        deep.as_bytes(),
        zero.as_bytes(),
        format!("{wrong_in_between}\n").as_bytes(),
    ] {
        sandbox.write("b.jsonl", bytes);
        compared(&sandbox, "").failed(2, "b.jsonl");
    }
    let found = compared(&sandbox, "--json").exited(2);
    assert_eq!(found.json()["status"], "refused");
    sandbox.spmd("compare a.jsonl nowhere").run().failed(2, "no such file");
    sandbox.spmd("compare a.jsonl /dev/null").run().failed(2, "no regular file");
    sandbox.spmd("compare a.jsonl .").run().failed(2, "samples.jsonl");
    sandbox.spmd("compare a.jsonl").run().exited(2);
}

#[test]
fn nothing_in_common_is_an_error_that_says_what_differs() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jsonl", lines(1, 2, 1.0));
    sandbox.write("b.jsonl", lines(1, 4, 1.0));
    compared(&sandbox, "").failed(2, "have no point in common").says("procs is 2 in A, 4 in B");
}

#[test]
fn two_records_of_real_runs_are_compared_by_their_passes() {
    let sandbox = Sandbox::new();
    let run = "-k square --size 1000 --procs 1 --repeats 20 --json";
    for name in ["a.jsonl", "b.jsonl"] {
        let record = sandbox.spmd(run).run().ok().json();
        sandbox.write(name, format!("{record}\n"));
    }
    let document = compared(&sandbox, "--allow 99% --json").json();
    let point = &document["points"][0];
    assert_eq!((&point["a"]["n"], &point["b"]["n"]), (&json!(20), &json!(20)));
    assert!(point["ratio"]["ci95"][0].as_f64().unwrap() > 0.0, "{document}");
}

#[test]
fn a_directory_of_a_real_batch_compares_with_itself_and_stays_as_it_was() {
    let sandbox = Sandbox::new();
    let batch = "version = 1\nname = \"b\"\n[defaults]\nsize = 1000\nrepeats = 6\n\
                 [[job]]\nname = \"j\"\nkernel = \"square\"\nmatrix.procs = [1, 2]\n";
    sandbox.write("b.toml", batch);
    sandbox.spmd("batch b.toml --out r").run().ok();
    let before = sandbox.read("r/samples.jsonl");
    let names = |dir: &str| {
        let mut names: Vec<_> = std::fs::read_dir(sandbox.path(dir))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let found = names("r");
    let document = sandbox.spmd("compare r r/samples.jsonl --json").run().ok().json();
    assert_eq!(document["points"].as_array().unwrap().len(), 2);
    for point in document["points"].as_array().unwrap() {
        assert_eq!((&point["why"], &point["a"]["n"]), (&json!("alike"), &json!(6)), "{document}");
    }
    assert_eq!((before, found), (sandbox.read("r/samples.jsonl"), names("r")));
}

#[test]
fn two_studies_are_compared_point_by_point() {
    let sandbox = Sandbox::new();
    let study =
        "scale -k spin --param cost=200ns --size 2000 --procs 1,2 --repeats 6 --ceiling never";
    for directory in ["one", "two"] {
        sandbox.spmd(&format!("{study} --out {directory}")).run().ok();
    }
    // What they took differs as machines do: the gate is as wide as there is.
    let document = sandbox.spmd("compare one two --allow 99% --json").run().json();
    let points = document["points"].as_array().unwrap();
    assert_eq!(points.len(), 2, "{document}");
    for point in points {
        assert_eq!((&point["a"]["n"], &point["b"]["n"]), (&json!(6), &json!(6)), "{document}");
    }
    assert_eq!(document["only_a"], document["only_b"], "{document}");
}

#[test]
fn a_side_that_is_not_given_is_named() {
    let sandbox = Sandbox::new();
    let failed = sandbox.spmd("compare a.jsonl").run();
    failed.failed(2, "missing <B>").says("spmd compare <A> <B>");
}
