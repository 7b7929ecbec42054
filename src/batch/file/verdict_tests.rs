//! What `[expect]` and `[reference]` say of records.

use serde_json::json;

use super::read_in_tests::{batch, job};
use super::{Judgement, Metric};

#[test]
fn what_is_expected_is_compared_with_the_record() {
    let body = "expect.len = 3\nexpect.first = [0, 0.5]\nexpect.last = [\"18446744073709551615\"]\n\
                expect.values.sum = 3\nexpect.values.zeta = { value = 1.5, rel = 1e-3 }\nexpect.values.x = \"nan\"";
    let expect = job(body).expect.unwrap();
    let good = json!({
        "result": {"len": 3, "first": [0, 0.5, 7], "last": ["18446744073709551615"], "digest": "blake3:00"},
        "values": {"sum": "3", "zeta": 1.501, "x": "NaN"},
    });
    assert_eq!(expect.check(&good), Ok(()));
    for (pointer, value, part) in [
        ("/result/len", json!(4), "result.len is 4, expected 3"),
        ("/result/first", json!([0]), "result.first is [0], expected [0,0.5]"),
        ("/result/last", json!(["18446744073709551614"]), "result.last is"),
        ("/values/sum", json!(4), "values.sum is 4, expected 3"),
        ("/values/zeta", json!(1.6), "values.zeta is 1.6, expected 1.5 ± 0.0015"),
        ("/values/zeta", json!("nan"), "values.zeta is \"nan\""),
        ("/values", json!({"summ": 3}), "the record has no values.sum (did you mean `summ`?)"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        let message = expect.check(&bad).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
    assert!(expect.check(&json!({})).is_err());
}

#[test]
fn a_jobs_expectations_lie_over_those_of_the_batch() {
    let text = "version = 1\n[expect]\nlen = 3\nvalues.a = 1\nvalues.b = 2\n\
                [[job]]\nname = \"j\"\nexpect.values.b = 3\n";
    let expect = batch(text).jobs[0].expect.clone().unwrap();
    assert_eq!(expect.len, Some(3));
    assert!(expect.check(&json!({"result": {"len": 3}, "values": {"a": 1, "b": 3}})).is_ok());
}

#[test]
fn references_apply_to_their_points_and_allow_their_tolerance() {
    let text = "version = 1\n[reference]\ntime = { value = 1.0, tolerance = \"10%\" }\n\
                throughput = [{ value = 5, tolerance = 0.5 }]\n[[job]]\nname = \"j\"\n\
                matrix.procs = [1, \"4\"]\n\
                reference.throughput = [{ value = 100, tolerance = \"10%\", when = { procs = \"4\" } }, \
                { value = 10, tolerance = 0, when = { procs = 1 } }]\n";
    let job = batch(text).jobs.remove(0);
    let metrics: Vec<Metric> = job.references.iter().map(|reference| reference.metric).collect();
    assert_eq!(metrics, [Metric::Throughput, Metric::Throughput, Metric::Time]);
    let settings: Vec<_> = job.points().map(|point| job.settings(point).unwrap()).collect();
    let applies: Vec<Vec<bool>> = settings
        .iter()
        .map(|settings| job.references.iter().map(|r| r.applies(settings)).collect())
        .collect();
    assert_eq!(applies, [[false, true, true], [true, false, true]]);
    assert_eq!(job.references[0].check(90.0), Judgement::Met);
    assert_eq!(
        job.references[0].check(89.0),
        Judgement::Missed {
            found: "throughput is 8.9000e1 items/s".into(),
            allowed: "at least 9.0000e1 items/s (1.0000e2 - 10%)".into()
        }
    );
    assert_eq!(job.references[2].check(1.1), Judgement::Met);
    assert!(matches!(job.references[2].check(1.2), Judgement::Missed { .. }));
    assert!(matches!(job.references[2].check(f64::NAN), Judgement::Missed { .. }));
}
