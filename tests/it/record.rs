//! The record that `--json` prints, field by field as the contract lists them.

use serde_json::Value;

use crate::npy;
use crate::sandbox::{Sandbox, cpus, example};
use crate::values::Type;

#[track_caller]
fn number(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!(number.is_finite() && number >= 0.0, "{value}");
    number
}

#[track_caller]
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn has(value: &Value, names: &[&str]) {
    for name in names {
        assert!(keys(value).contains(name), "no `{name}` among {:?}", keys(value));
    }
}

#[test]
fn every_field_of_the_contract_is_there_with_its_type() {
    let sandbox = Sandbox::new();
    let arguments = "-n 2 -k square --size 1000000 --repeats 3 --verify sample --json";
    let done = sandbox.spmd(arguments).run().ok();
    let record = done.json();
    has(&record, &["schema", "kernel", "procs", "size", "dtype", "schedule", "params", "status"]);
    has(&record, &["exit", "verify", "recovered", "warnings", "time", "throughput", "imbalance"]);
    has(&record, &["workers", "result", "values", "environment"]);
    assert_eq!(record["schema"], 1);
    assert_eq!(record["kernel"], "square");
    assert_eq!(record["procs"], 2);
    assert_eq!(record["size"], 1_000_000);
    assert_eq!(record["dtype"], "i64");
    assert!(record["schedule"].as_str().unwrap().starts_with("dynamic,"));
    assert_eq!(record["status"], "ok");
    assert_eq!(record["exit"], 0);
    assert_eq!(record["verify"], "ok");
    assert_eq!(record["recovered"], 0);
    assert!(record["warnings"].is_array());
    assert!(record["values"].is_object() && record["environment"].is_object());

    let time = &record["time"];
    has(time, &["total_s", "spawn_s", "attach_s", "init_s", "output_s", "pass_s"]);
    let total = number(&time["total_s"]);
    for phase in ["spawn_s", "attach_s", "init_s", "output_s"] {
        assert!(number(&time[phase]) <= total, "{phase}: {time}");
    }
    let pass = &time["pass_s"];
    has(pass, &["n", "median", "min", "max", "samples"]);
    let mut samples: Vec<f64> = pass["samples"].as_array().unwrap().iter().map(number).collect();
    samples.sort_by(f64::total_cmp);
    assert_eq!((pass["n"].as_u64(), samples.len()), (Some(3), 3));
    let stated = [&pass["min"], &pass["median"], &pass["max"]].map(number);
    assert_eq!(stated.map(f64::to_bits), [samples[0], samples[1], samples[2]].map(f64::to_bits));
    assert!(samples.iter().sum::<f64>() <= total);

    has(&record["throughput"], &["items_per_s", "bytes_per_s", "flops_per_s"]);
    let rate = number(&record["throughput"]["items_per_s"]);
    assert!((rate * stated[1] / 1e6 - 1.0).abs() < 1e-6, "items over the median pass: {record}");
    let bytes = number(&record["throughput"]["bytes_per_s"]);
    assert!((bytes / rate - 16.0).abs() < 1e-6, "8 read and 8 written for each item");
    number(&record["imbalance"]);

    let workers = record["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    for (rank, worker) in workers.iter().enumerate() {
        assert_eq!(worker["rank"], rank);
        assert!(worker["pid"].as_i64().unwrap() > 1);
        assert_ne!(worker["pid"], done.pid);
        assert!(cpus().contains(&u32::try_from(worker["cpu"].as_u64().unwrap()).unwrap()));
        for figure in ["busy_s", "claim_s", "wait_s"] {
            number(&worker[figure]);
        }
        for count in ["items", "chunks", "max_rss_bytes", "nivcsw", "migrations"] {
            assert!(worker[count].is_u64(), "{count}: {worker}");
        }
        assert_eq!(worker["exit"], 0);
        assert!(keys(worker).contains(&"signal") && worker["signal"].is_null());
        assert!(worker["max_rss_bytes"].as_u64().unwrap() > 100_000);
    }
    let result = &record["result"];
    assert_eq!(result["len"], 1_000_000);
    assert_eq!(result["first"], serde_json::json!([0, 1, 4]));
    assert_eq!(result["last"], serde_json::json!([999_998_000_001_u64]));
    let inputs: Vec<u64> = (0..1_000_000).collect();
    assert_eq!(result["digest"], Type::I64.digest(&Type::I64.squares(&inputs)));
}

#[test]
fn the_items_of_the_workers_sum_to_the_size() {
    let sandbox = Sandbox::new();
    for schedule in ["static", "static,3", "dynamic", "dynamic,1", "guided", "guided,5"] {
        for procs in [1, 2, 3, 7] {
            let arguments = format!(
                "-n {procs} -k square --size 1009 --schedule {schedule} --json --repeats 2"
            );
            let record = sandbox.spmd(&arguments).run().ok().json();
            let workers = record["workers"].as_array().unwrap();
            let sum =
                |name: &str| -> u64 { workers.iter().map(|w| w[name].as_u64().unwrap()).sum() };
            assert_eq!(sum("items"), 1009, "{record}");
            assert!(sum("chunks") >= 1);
        }
    }
}

#[test]
fn params_hold_every_option_that_was_resolved() {
    let sandbox = Sandbox::new();
    let arguments = "-n 1 -k spin --param cost=1us --size 10 --json --seed 5 --timeout 10s --cpus";
    let record = sandbox.spmd(&format!("{arguments} {}", cpus()[0])).run().ok().json();
    let params = &record["params"];
    has(
        params,
        &["procs", "kernel", "schedule", "bind", "map", "wait", "backing", "huge", "dtype", "size"],
    );
    has(
        params,
        &["seed", "timeout", "cpus", "overflow", "in-place", "verify", "repeats", "warmup"],
    );
    assert_eq!(params["procs"], 1);
    assert_eq!(params["kernel"], "spin");
    assert_eq!(params["seed"], 5);
    assert_eq!(params["cpus"], cpus()[0].to_string());
    assert_eq!(params["schedule"], record["schedule"]);
    assert_eq!(params["param"]["cost"], "1us");
    assert_eq!(params["param"]["dist"], "const", "defaults too");
}

#[test]
fn the_input_in_params_is_one_that_can_be_typed() {
    let sandbox = Sandbox::new();
    let input = |arguments: &str| {
        let record = sandbox.spmd(&format!("-n 1 --json {arguments}")).run().ok().json();
        record["params"]["input"].clone()
    };
    assert_eq!(input("-k square"), "1,2,3,4,5", "the kernel's own default");
    assert_eq!(input("-k square --input 7,8"), "7,8");
    assert_eq!(input("-k square --input range:1:9"), "range:1:9");
    assert_eq!(input("-k spin --param cost=1ns"), "range:0:10000");
}

#[test]
fn integers_beyond_2_to_the_53_are_strings() {
    let sandbox = Sandbox::new();
    let record = sandbox.spmd("-n 1 -k square --json --input 94906265,94906266,3037000499").run();
    let record = record.ok().json();
    let exact = 94_906_265_u64 * 94_906_265; // 2^53 - 2.2e7
    assert_eq!(record["result"]["first"][0], exact);
    assert_eq!(record["result"]["first"][1], "9007199326062756");
    assert_eq!(record["result"]["last"][0], "9223372030926249001");
    let odd = sandbox.spmd("-n 1 -k square --json --input nan,inf,0.5").run().ok().json();
    assert_eq!(odd["result"]["first"], serde_json::json!(["NaN", "inf", 0.25]));
}

#[test]
fn an_empty_run_has_a_whole_record() {
    let sandbox = Sandbox::new();
    let record = sandbox.spmd("-n 2 -k square --size 0 --json").run().ok().json();
    assert_eq!(record["result"]["len"], 0);
    assert_eq!(record["result"]["first"], serde_json::json!([]));
    assert_eq!(record["result"]["digest"], Type::I64.digest(&[]));
    number(&record["throughput"]["items_per_s"]);
    number(&record["imbalance"]);
}

#[test]
fn with_json_stdout_is_one_document_also_when_results_go_to_stdout() {
    let sandbox = Sandbox::new();
    for arguments in [
        "-n 2 -k square --json --output out.npy",
        "-n 2 -k hello --json",
        "-n 2 -k square --json --output -",
        "-n 2 -k square --json -v --report-bindings",
    ] {
        assert_eq!(sandbox.spmd(arguments).run().ok().json()["status"], "ok");
    }
}

#[test]
fn errors_are_documents_too() {
    let sandbox = Sandbox::new();
    for (arguments, code, status) in [
        ("-k square -n 0 --json", 2, "refused"),
        ("-k square --bogus --json", 2, "refused"),
        ("--json", 2, "refused"),
        ("-k nothing --json", 127, "refused"),
        ("-n 1 -k square --input missing.npy --json", 2, "refused"),
        ("-n 1 -k square --dtype i32 --input 46341 --json", 2, "refused"),
        ("-n 1 -k square --dtype i32 --input range:0:99999 --json", 2, "refused"),
        ("plan -k nothing --json", 127, "refused"),
        ("-n 1 -k collatz --size 1e12 --json", 125, "refused"),
        ("-n 1 -k spin --param cost=1s --size 100 --timeout 100ms --json", 124, "timeout"),
    ] {
        let failed = sandbox.spmd(arguments).run().exited(code);
        let document = failed.json();
        assert_eq!(document["schema"], 1);
        assert_eq!(document["status"], status, "{}", failed.told());
        assert_eq!(document["exit"], code);
        let message = document["error"]["message"].as_str().unwrap();
        assert!(failed.stderr.contains(message), "both say the same: {}", failed.told());
        failed.message(message);
    }
    // Asked for by the environment: the same.
    let failed = sandbox.spmd("-k square -n 0").env("SPMD_JSON", "true").run().exited(2);
    assert_eq!(failed.json()["exit"], 2);
}

#[test]
fn a_program_of_ones_own_has_the_same_record() {
    let sandbox = Sandbox::new();
    let job = sandbox.program(example("own_kernel")).words("-n 2 -k horner --input 0,0.5,1 --json");
    let record = job.run().ok().json();
    assert_eq!(record["kernel"], "horner");
    assert_eq!(record["result"]["first"], serde_json::json!([1.0, 2.75, 6.0]));
}

#[test]
fn the_record_of_a_file_run_names_its_files() {
    let sandbox = Sandbox::new();
    sandbox.write("in.npy", npy::little(Type::F32, &[2, 2], &Type::F32.inputs(4)));
    let arguments = "-n 2 -k square --input in.npy --output out.npy --json";
    let record = sandbox.spmd(arguments).run().ok().json();
    assert_eq!(record["params"]["input"], "in.npy");
    assert_eq!(record["params"]["output"], "out.npy");
    assert_eq!(record["dtype"], "f32");
}
