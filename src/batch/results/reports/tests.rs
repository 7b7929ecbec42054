use std::time::UNIX_EPOCH;

use serde_json::{Map, Value, json};

use super::*;
use crate::batch::results::samples::failure;
use crate::batch::results::{Directory, Machine, MixMachines, PlanLine, Sample, Visit};
use crate::data::testing::Folder;

fn point(job: &str, procs: u32, schedule: &str) -> PlanLine {
    let options =
        json!({"kernel": "square", "procs": procs, "schedule": schedule, "param": {"a": 1}});
    let options = options.as_object().unwrap().clone();
    let id = format!("{job}/procs={procs}");
    PlanLine::new(job, &id, options, "program", None).unwrap()
}

fn record(time: f64) -> Map<String, Value> {
    let record = json!({
        "status": "ok", "exit": 0, "time": {"pass_s": {"median": time}}, "imbalance": 0.02,
        "throughput": {"items_per_s": 1.0 / time, "bytes_per_s": 8.0 / time},
        "workers": [{"busy_s": time}, {"busy_s": time}],
    });
    record.as_object().unwrap().clone()
}

fn failed() -> Map<String, Value> {
    let error = Error::TimedOut("time limit of 5s | reached <&\"\x1b>".into());
    failure("square", None, Map::new(), &error)
}

/// A batch with a point of seven samples, one with failures, one that never ran, and an orphan.
fn study(folder: &Folder) -> Study {
    let machine = Machine {
        start: "2026-01-02T03:04:05.678Z".to_owned(),
        command: "spmd batch a,b.toml".to_owned(),
        spmd: "0.1.0".to_owned(),
        program: "blake3:0123456789abcdef".to_owned(),
        host: "here".to_owned(),
        kernel: "6.1.0".to_owned(),
        cpus: "0-1".to_owned(),
        memory_bytes: Some(2 << 30),
        ..Default::default()
    };
    let mix = MixMachines::No;
    let visit = Visit { name: "my_study", text: "", machine: &machine, mix };
    let mut directory = Directory::open(&folder.path("out"), &visit).unwrap();
    let orphan = point("strong", 16, "auto");
    let points = [
        point("strong", 1, "static"),
        point("strong", 2, "dynamic,8"),
        point("strong", 4, "static"),
        point("weak", 1, "auto"),
    ];
    let planned = points.iter().cloned().chain([orphan.clone()]);
    directory.plan(planned).unwrap();
    let mut add = |point: &PlanLine, repeat: u32, record: &Map<String, Value>| {
        let round = directory.done(&point.key).round();
        let attempt = directory.done(&point.key).next_attempt(round, repeat);
        let options = Map::new();
        directory
            .sample(&Sample {
                batch: "my_study",
                job: &point.job,
                key: &point.key,
                id: &point.id,
                repeat,
                attempt,
                round,
                start: UNIX_EPOCH,
                options: &options,
                record,
            })
            .unwrap();
    };
    for (repeat, time) in (0..).zip([0.5, 0.25, 0.125, 1.0, 0.5, 0.25, 2.0]) {
        add(&points[0], repeat, &record(time));
    }
    add(&points[1], 0, &record(0.5));
    add(&points[1], 1, &failed());
    add(&points[1], 2, &failed());
    add(&points[1], 2, &failed());
    add(&points[3], 0, &record(0.000_25));
    add(&orphan, 0, &record(0.5));
    directory.plan(points.iter().cloned()).unwrap();
    let study = directory.study().unwrap();
    directory.close().unwrap();
    study
}

#[test]
fn the_summary_has_a_row_for_each_point() {
    let folder = Folder::new();
    let study = study(&folder);
    let text = summary::text(&study);
    let comments: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
    assert_eq!(
        comments,
        [
            "# batch: my_study",
            "# command: spmd batch a,b.toml",
            "# spmd: 0.1.0 (blake3:0123456789ab)",
            "# start: 2026-01-02T03:04:05.678Z",
            "# host: here",
            "# cpu model: not known",
            "# usable cpus: 0-1",
            "# kernel: 6.1.0",
            "# governor: not known",
            "# cpu quota: none",
            "# huge pages: not known",
            "# huge pages of shared memory: not known",
            "# memory: 2.0 GiB",
            "# units: seconds of one pass; items and bytes a second; imbalance max/mean - 1",
        ]
    );
    let keys: Vec<&str> = study.points.iter().map(|point| point.key.as_str()).collect();
    let expected = format!(
        "job,id,key,kernel,procs,schedule,n,failed,min,p25,median,p75,p95,max,mean,ci_lo,ci_hi,\
         items_per_s,bytes_per_s,imbalance,flags\n\
         strong,strong/procs=1,{},square,1,static,7,0,0.125,0.25,0.5,0.75,1.6999999999999993,2.0,\
         0.6607142857142857,0.125,2.0,2.0,16.0,0.02,\n\
         strong,strong/procs=2,{},square,2,\"dynamic,8\",1,2,0.5,0.5,0.5,0.5,0.5,0.5,0.5,,,2.0,16.0,0.02,\
         failed few retried\n\
         strong,strong/procs=4,{},square,4,static,0,0,,,,,,,,,,,,,missing\n\
         weak,weak/procs=1,{},square,1,auto,1,0,0.00025,0.00025,0.00025,0.00025,0.00025,0.00025,0.00025,,,\
         4000.0,32000.0,0.02,few\n",
        keys[0], keys[1], keys[2], keys[3]
    );
    assert_eq!(text.lines().skip(comments.len()).collect::<Vec<_>>().join("\n") + "\n", expected);
}

#[test]
fn the_report_has_the_median_and_its_interval_in_front() {
    let folder = Folder::new();
    let text = markdown::text(&study(&folder));
    let (report, environment) = text.split_once("\n## Environment\n").unwrap();
    assert_eq!(
        report,
        "\
# my\\_study

9 samples of 4 points, 2 failed, 0 disturbed. 1 point is not run yet. Times are of one pass: the median, in brackets \
what holds it with 95 % whatever the distribution (of fewer than six samples nothing is sure), and the \
least.

## strong

kernel square, param.a 1

| procs | schedule | median [95 %] | min | n | items/s | B/s | imbalance | failed | flags |
|---|---|--:|--:|--:|--:|--:|--:|--:|---|
| 1 | static | 500 ms [125 ms, 2.00 s] | 125 ms | 7 | 2.00 | 16.00 | 2.0 % | 0 |  |
| 2 | dynamic,8 | 500 ms | 500 ms | 1 | 2.00 | 16.00 | 2.0 % | 2 | failed few retried |
| 4 | static |  |  | 0 |  |  |  | 0 | missing |

## weak

kernel square, procs 1, schedule auto, param.a 1

| point | median [95 %] | min | n | items/s | B/s | imbalance | failed | flags |
|---|--:|--:|--:|--:|--:|--:|--:|---|
| weak/procs=1 | 250 us | 250 us | 1 | 4.00 k | 32.00 k | 2.0 % | 0 | few |

## Failures

- strong/procs=2 (2 repeats, 1 to 2): timeout: time limit of 5s \\| reached \\<&\"\\\\u{1b}>

1 point is no longer what file, options and this build of spmd make, and left out; the samples are kept.
"
    );
    assert!(environment.contains("\n| command | spmd batch a,b.toml |\n"), "{environment}");
}

#[test]
fn junit_has_a_case_for_each_point() {
    let folder = Folder::new();
    assert_eq!(
        junit::text(&study(&folder)),
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="my_study" tests="4" failures="1" errors="0" skipped="1" time="5.125250">
  <testsuite name="strong" tests="3" failures="1" errors="0" skipped="1" time="5.125000">
    <testcase classname="strong" name="strong/procs=1" time="4.625000"/>
    <testcase classname="strong" name="strong/procs=2" time="0.500000">
      <failure type="timeout" message="time limit of 5s | reached &lt;&amp;&quot;\u{1b}&gt;">repeat 1, attempt 1: timeout (124): time limit of 5s | reached &lt;&amp;&quot;\u{1b}&gt;
repeat 2, attempt 2: timeout (124): time limit of 5s | reached &lt;&amp;&quot;\u{1b}&gt;
</failure>
    </testcase>
    <testcase classname="strong" name="strong/procs=4" time="0.000000">
      <skipped/>
    </testcase>
  </testsuite>
  <testsuite name="weak" tests="1" failures="0" errors="0" skipped="0" time="0.000250">
    <testcase classname="weak" name="weak/procs=1" time="0.000250"/>
  </testsuite>
</testsuites>
"#
    );
}

#[test]
fn hyperfines_readers_find_what_they_look_for() {
    let folder = Folder::new();
    let export: Value = serde_json::from_str(&hyperfine::text(&study(&folder))).unwrap();
    let results = export["results"].as_array().unwrap();
    assert_eq!(results.len(), 3, "a point without a time has no result");
    let first = &results[0];
    assert_eq!(first["command"], "strong/procs=1");
    assert_eq!(first["times"], json!([0.5, 0.25, 0.125, 1.0, 0.5, 0.25, 2.0]));
    assert_eq!(first["exit_codes"], json!([0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(
        first["parameters"],
        json!({"kernel": "square", "procs": "1", "schedule": "static"})
    );
    assert_eq!(
        (&first["median"], &first["min"], &first["max"]),
        (&json!(0.5), &json!(0.125), &json!(2.0))
    );
    for name in ["mean", "stddev", "user", "system"] {
        assert!(first[name].is_f64(), "{name}");
    }
    assert_eq!(results[1]["exit_codes"], json!([0, 124, 124]));
    assert_eq!(results[1]["stddev"], Value::Null);
}

#[test]
fn reports_are_made_again_from_what_lies_there() {
    let folder = Folder::new();
    let before = study(&folder);
    let after = Study::read(&folder.path("out")).unwrap();
    after.write(&folder.path("out")).unwrap();
    after.export_junit(&folder.path("junit.xml")).unwrap();
    after.export_hyperfine(&folder.path("hyperfine.json")).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    assert_eq!(read("out/summary.csv"), summary::text(&before));
    assert_eq!(read("out/report.md"), markdown::text(&before));
    assert_eq!(read("junit.xml"), junit::text(&before));
    assert_eq!(read("hyperfine.json"), hyperfine::text(&before));
}

#[test]
fn no_samples_make_a_report_too() {
    let folder = Folder::new();
    let study = Study::read(folder.root()).unwrap();
    for text in [summary::text(&study), markdown::text(&study), junit::text(&study)] {
        assert!(!text.contains("NaN") && !text.contains("-0"), "{text}");
    }
    assert_eq!(hyperfine::text(&study), "{\n  \"results\": []\n}\n");
}
