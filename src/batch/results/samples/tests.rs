use std::time::UNIX_EPOCH;

use serde_json::json;

use super::*;

fn key(number: u32) -> Key {
    let options = json!({ "size": number });
    Key::of(options.as_object().unwrap(), "program", None).unwrap()
}

fn ok(time: f64) -> Map<String, Value> {
    let record = json!({
        "schema": 1, "status": "ok", "exit": 0, "time": {"total_s": 9.0, "pass_s": {"n": 1, "median": time}},
        "throughput": {"items_per_s": 10.0, "bytes_per_s": 80.0}, "imbalance": 0.25,
        "workers": [{"rank": 0, "busy_s": 1.5}, {"rank": 1, "busy_s": 0.5}],
    });
    record.as_object().unwrap().clone()
}

fn failed() -> Map<String, Value> {
    failure("square", Some(2), Map::new(), &Error::failed("rank 1 \"died\""))
}

/// Adds a sample as the directory does: written, then read.
fn add(
    samples: &mut Samples,
    (repeat, attempt, round): (u32, u32, u32),
    record: &Map<String, Value>,
) -> Result<(), Error> {
    let (key, options) = (key(1), Map::new());
    let sample = Sample {
        batch: "b",
        job: "j",
        key: &key,
        id: "j/size=1",
        repeat,
        attempt,
        round,
        start: UNIX_EPOCH,
        options: &options,
        record,
    };
    let mut line = Vec::new();
    samples.line(&sample, &mut line)?;
    samples.take(line.strip_suffix(b"\n").unwrap()).unwrap();
    Ok(())
}

#[test]
fn a_sample_is_read_as_it_was_written() {
    let mut samples = Samples::default();
    add(&mut samples, (0, 1, 0), &ok(0.5)).unwrap();
    add(&mut samples, (1, 1, 0), &failed()).unwrap();
    let done = samples.done(&key(1));
    let figures = Figures {
        time: 0.5,
        total: 9.0,
        items_per_s: Some(10.0),
        bytes_per_s: Some(80.0),
        flops_per_s: None,
        imbalance: Some(0.25),
        busy: 2.0,
        recovered: 0,
        warned: false,
        disturbed: false,
    };
    assert_eq!(done.trial(0, 0).unwrap().figures(), Some(&figures));
    let why = "rank 1 \"died\"".into();
    let outcome = Outcome::Failed { status: Status::Failed, exit: 1, why };
    assert_eq!(done.trial(0, 1).unwrap().outcome, outcome);
    assert_eq!((samples.count(), done.trial(0, 2)), (2, None));
    assert_eq!(samples.done(&key(2)).trials(), []);
}

#[test]
fn a_line_has_what_the_contract_names_and_then_the_record() {
    let (key, record) = (key(1), ok(0.5));
    let options = json!({"procs": 2}).as_object().unwrap().clone();
    let sample = Sample {
        batch: "b",
        job: "j",
        key: &key,
        id: "j/procs=2",
        repeat: 3,
        attempt: 1,
        round: 0,
        start: UNIX_EPOCH,
        options: &options,
        record: &record,
    };
    let mut line = Vec::new();
    Samples::default().line(&sample, &mut line).unwrap();
    let line = String::from_utf8(line).unwrap();
    let start = format!(
        "{{\"batch\":\"b\",\"job\":\"j\",\"key\":\"{key}\",\"id\":\"j/procs=2\",\"repeat\":3,\"attempt\":1,\
         \"round\":0,\"warmup\":false,\"start\":\"1970-01-01T00:00:00.000Z\",\"options\":{{\"procs\":2}},\
         \"schema\":1,\"status\":\"ok\","
    );
    assert!(line.starts_with(&start), "{line}");
    assert!(line.ends_with("}]}\n") && line.matches('\n').count() == 1, "{line}");
}

#[test]
fn of_a_repeat_the_latest_attempt_counts() {
    let mut samples = Samples::default();
    for repeat in 0..3 {
        add(&mut samples, (repeat, 1, 0), &if repeat == 1 { failed() } else { ok(1.0) }).unwrap();
    }
    let attempt = samples.done(&key(1)).next_attempt(0, 1);
    assert_eq!(attempt, 2);
    add(&mut samples, (1, attempt, 0), &ok(2.0)).unwrap();
    let done = samples.done(&key(1));
    let times: Vec<f64> = done.figures().map(|figures| figures.time).collect();
    assert_eq!(times, [1.0, 2.0, 1.0]);
    assert_eq!(
        [done.next_attempt(0, 0), done.next_attempt(0, 1), done.next_attempt(0, 3)],
        [2, 3, 1]
    );
}

#[test]
fn of_a_point_the_latest_round_counts_and_its_attempts_are_new() {
    let mut samples = Samples::default();
    for repeat in 0..3 {
        add(&mut samples, (repeat, 1, 0), &ok(1.0)).unwrap();
    }
    add(&mut samples, (1, 2, 0), &ok(2.0)).unwrap();
    let done = samples.done(&key(1));
    assert_eq!((done.trial(1, 0), done.next_attempt(1, 0)), (None, 3));
    add(&mut samples, (0, 3, 1), &failed()).unwrap();
    let done = samples.done(&key(1));
    assert_eq!((done.round(), done.trials().len(), samples.round()), (1, 1, 1));
    assert_eq!([done.next_attempt(1, 0), done.next_attempt(1, 1)], [4, 3]);
}

#[test]
fn of_two_lines_of_one_trial_the_first_counts_and_it_is_said() {
    let mut samples = Samples::default();
    add(&mut samples, (0, 1, 0), &ok(1.0)).unwrap();
    let line = format!(
        "{{\"key\":\"{}\",\"repeat\":0,\"status\":\"ok\",\"time\":{{\"pass_s\":{{\"median\":7.0}}}}}}",
        key(1)
    );
    assert_eq!(samples.warning(), None);
    samples.take(line.as_bytes()).unwrap();
    samples.take(line.as_bytes()).unwrap();
    assert_eq!(samples.done(&key(1)).figures().next().unwrap().time, 1.0);
    assert_eq!(samples.count(), 1);
    let name = format!("{}, repeat 0, attempt 1", key(1));
    let warning = format!("2 samples are of a trial that has one, which counts: {name}");
    assert_eq!(samples.warning(), Some(warning));
}

#[test]
fn a_trial_is_not_written_down_twice() {
    let mut samples = Samples::default();
    add(&mut samples, (0, 1, 0), &ok(1.0)).unwrap();
    let error = add(&mut samples, (0, 1, 0), &ok(2.0)).unwrap_err();
    assert_eq!(error.to_string(), "sample of `j/size=1`, repeat 0 is there already");
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let mut samples = Samples::default();
    for change in ["status", "time"] {
        let mut record = ok(1.0);
        record.remove(change);
        let error = add(&mut samples, (0, 1, 0), &record).unwrap_err();
        assert!(error.to_string().contains(change), "{error}");
    }
    assert_eq!(samples.count(), 0);
}

#[test]
fn passes_that_warm_up_are_no_trials() {
    let mut samples = Samples::default();
    let line = format!("{{\"key\":\"{}\",\"repeat\":0,\"status\":\"ok\",\"warmup\":true}}", key(1));
    samples.take(line.as_bytes()).unwrap();
    assert_eq!(samples.count(), 0);
}

#[test]
fn a_trial_that_never_had_a_number_of_ranks_says_none() {
    let error = Error::failed("a hook");
    assert!(!failure("square", None, Map::new(), &error).contains_key("procs"));
    assert_eq!(failure("square", Some(2), Map::new(), &error)["procs"], 2);
}
