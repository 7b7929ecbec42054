//! What a batch file may say, and what it is told where it says something else.

use serde_json::{Value, json};

use super::read_in_tests::*;
use super::*;
use crate::options::RunOptions;

#[test]
fn a_whole_file_is_read() {
    let batch = batch(SQUARES);
    assert_eq!(batch.name, "square-study");
    assert_eq!(batch.text, SQUARES);
    assert_eq!(batch.order, Order::Sequential);
    assert_eq!(batch.hooks.setup.as_deref(), Some("true"));
    let [strong, weak, kernels] = batch.jobs.as_slice() else { panic!() };
    assert_eq!((strong.len(), weak.len(), kernels.len()), (12, 5, 2));
    assert_eq!(strong.on_fail, OnFail::StopAfter(Limit::Percent(10.0)));
    assert_eq!((strong.repeats, strong.target_ci), (10, Some(0.02)));
    assert_eq!(strong.max_time.map(|time| time.0.as_secs()), Some(300));
    assert_eq!(weak.on_fail, OnFail::SkipJob);
    assert_eq!(weak.hooks.before_each.as_deref(), Some("sync"));
    assert_eq!(weak.expect.as_ref().and_then(|expect| expect.len), Some(100));
    assert_eq!(values(weak, "size"), [25_000, 50_000, 100_000, 200_000, 400_000].map(Value::from));
    assert_eq!(values(kernels, "size"), [100_000_000, 200_000].map(Value::from));
    let shown = labels(strong);
    assert_eq!(shown[0], "strong/procs=1,schedule=static");
    assert_eq!(shown[1], "strong/procs=1,schedule=dynamic,4096");
    assert_eq!(shown[2], "strong/procs=2,schedule=static");
    assert_eq!(shown[11], "strong/procs=3,schedule=guided,1024");
    let last = weak.points().last().unwrap();
    let options = weak.options(last).unwrap();
    assert_eq!(options.kernel.as_deref(), Some("spin"));
    assert_eq!(options.size.map(|size| size.0), Some(400_000));
    assert_eq!(options.param.iter().map(ToString::to_string).collect::<Vec<_>>(), ["cost=1us"]);
    assert_eq!(options.repeats, None, "repeats are trials of their own");
    assert_eq!(options.warmup, Some(1));
    assert_eq!(weak.axes(last), [("procs".to_owned(), json!(16))]);
}

#[test]
fn a_file_without_a_name_is_called_by_its_stem() {
    assert_eq!(batch(&of_job("")).name, "x");
    assert_eq!(labels(&job("")), ["j"], "a job without axes is one point");
}

#[test]
fn values_are_read_as_flags_are() {
    let job = job(
        "size = 1e6\ntimeout = 30\nprocs = \"4\"\nseed = \"5\"\nin-place = \"yes\"\ncpus = 3\n\
         inject = [\"kill:rank=0,chunk=1\"]\nparam.x = 3\nparam.y = 1e3\nparam.z = 0.5\nparam.w = \"1Ki\"",
    );
    let options = job.options(job.points().next().unwrap()).unwrap();
    assert_eq!(options.size.map(|size| size.0), Some(1_000_000));
    assert_eq!(options.timeout.map(|time| time.0.as_secs()), Some(30));
    assert_eq!(options.procs.map(|procs| procs.to_string()).as_deref(), Some("4"));
    assert_eq!((options.seed, options.in_place), (Some(5), Some(true)));
    assert_eq!(options.inject.len(), 1);
    let params: Vec<String> = options.param.iter().map(ToString::to_string).collect();
    assert_eq!(params, ["w=1Ki", "x=3", "y=1000", "z=0.5"]);
}

#[test]
fn parameters_of_layers_are_merged_one_by_one() {
    let text = format!(
        "[defaults]\nparam.a = 1\nparam.b = 2\n[profile.p]\nparam.c = 9\n{}",
        "[[job]]\nname = \"j\"\nparam.b = 3\nparam.c = 4\nmatrix.param.d = [5, 6]\n"
    );
    let text = format!("version = 1\n{text}");
    let said = Said { profile: Some("p"), ..Said::default() };
    let job = read(&text, &said).unwrap().jobs.remove(0);
    let shown = |point| {
        let options = job.options(point).unwrap();
        options.param.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(job.points().map(shown).collect::<Vec<_>>(), ["a=1 b=3 c=9 d=5", "a=1 b=3 c=9 d=6"]);
    assert_eq!(labels(&job), ["j/param.d=5", "j/param.d=6"]);
}

#[test]
fn a_range_includes_both_its_ends() {
    for (range, expected) in [
        ("{ from = 1, to = 16, mul = 2 }", "1 2 4 8 16"),
        ("{ from = 1, to = 15, mul = 2 }", "1 2 4 8"),
        ("{ from = 1, to = 4, step = 1 }", "1 2 3 4"),
        ("{ from = 8, to = 2, step = -3 }", "8 5 2"),
        ("{ from = \"1Ki\", to = \"4Ki\", mul = 2 }", "1024 2048 4096"),
        ("{ from = 27, to = 1, mul = 0.5 }", "27"),
    ] {
        let body = format!("matrix.size = {range}");
        if range.contains("27") {
            let message = wrong(&of_job(&body));
            assert!(message.contains("`size`: count `13.5` is not a whole number"), "{message}");
            continue;
        }
        let found: Vec<String> = values(&job(&body), "size").iter().map(shown).collect();
        assert_eq!(found.join(" "), expected, "{range}");
    }
    let found: Vec<String> =
        values(&job("matrix.param.x = { from = 0.1, to = 0.5, step = 0.1 }"), "param.x")
            .iter()
            .map(shown)
            .collect();
    assert_eq!(found.join(" "), "0.1 0.2 0.3 0.4 0.5", "decimals add up");
}

#[test]
fn ranges_without_an_end_or_a_value_are_refused() {
    for (range, part) in [
        ("{ from = 1, to = 4, step = 0 }", "a step of 0 has no end"),
        ("{ from = 1, to = 4, mul = 1 }", "a factor above 0 that is not 1"),
        ("{ from = 0, to = 4, mul = 2 }", "needs ends above 0"),
        ("{ from = 4, to = 1, step = 1 }", "a range from 4 to 1 has no values"),
        ("{ from = 1, to = 4 }", "needs either `step` or `mul`"),
        ("{ from = 1, to = 4, step = 1, mul = 2 }", "needs either `step` or `mul`"),
        ("{ from = 1, step = 1 }", "needs `from` and `to`"),
        ("{ from = 1, too = 4, step = 1 }", "did you mean `to`?"),
        ("{ from = 1, to = 99_000_000, step = 1 }", "more than 10000000 values"),
        ("{ from = 1, to = nan, step = 1 }", "where a number is expected"),
        ("[]", "`size` has no values"),
        ("4", "an integer where a list is expected"),
    ] {
        let message = wrong(&of_job(&format!("matrix.size = {range}")));
        assert!(message.contains(part), "{range}: {message}");
    }
}

#[test]
fn an_empty_list_of_faults_differs_from_none() {
    let text = "version = 1\n[defaults]\ninject = [\"kill:rank=0,chunk=1\"]\n[[job]]\nname = \"j\"\n\
                matrix.inject = [[], [\"stop:rank=0,chunk=1\", \"kill:rank=1,chunk=0\"]]\n";
    let job = batch(text).jobs.remove(0);
    let counts: Vec<usize> =
        job.points().map(|point| job.options(point).unwrap().inject.len()).collect();
    assert_eq!(counts, [0, 2]);
    assert_eq!(labels(&job)[0], "j/inject=none");
}

#[test]
fn axes_and_derived_options_name_their_places() {
    let text =
        of_job("matrix.procs = [1, 2]\nderive.size = \"10 * procs\"\n[[job.zip]]\nseed = [1]");
    let job = batch(&text).jobs.remove(0);
    let origins = job.origins(job.points().nth(1).unwrap()).unwrap();
    let of = |name: &str| origins.iter().find(|(n, ..)| n == name).cloned().unwrap();
    assert_eq!(of("procs"), ("procs".into(), 2.into(), "dir/x.toml:4 [[job]] j, matrix".into()));
    assert_eq!(of("size"), ("size".into(), 20.into(), "dir/x.toml:5 [[job]] j, derive".into()));
    assert_eq!(of("seed"), ("seed".into(), 1.into(), "dir/x.toml:7 [[job]] j, zip".into()));
}

#[test]
fn the_size_of_a_job_beats_the_input_of_the_defaults() {
    let text = "version = 1\n[defaults]\ninput = \"1,2,3\"\n[[job]]\nname = \"a\"\nsize = 5\n\
                [[job]]\nname = \"b\"\nmatrix.size = [5]\n[[job]]\nname = \"c\"\n";
    for job in &batch(text).jobs {
        let options = job.options(job.points().next().unwrap()).unwrap();
        assert_ne!(options.size.is_some(), options.input.is_some(), "{}", job.name);
        assert_eq!(options.input.is_some(), job.name == "c");
    }
    let message = wrong(&of_job("input = \"1,2\"\nmatrix.size = [5]"));
    assert!(message.contains("`input` and `size` both say what job `j` computes on"), "{message}");
    let message = wrong(&of_job("input = \"1,2\"\nsize = 5"));
    assert!(message.contains("`size` and `input` both say"), "{message}");
}

#[test]
fn faults_name_line_and_column_and_show_the_place() {
    for (text, expected) in [
        (
            of_job("proc = 4"),
            "dir/x.toml:4:1: unknown key `proc` in [[job]] j\n4 | proc = 4\n  | ^^^^\nhint: did you mean `procs`?",
        ),
        (
            of_job("size = \"x\""),
            "dir/x.toml:4:8: `size`: count `x` is not a number\n4 | size = \"x\"\n  |        ^^^\n\
             hint: a count is digits such as 1_000_000, 1e6 or 2.5e3, with K, M, G, T (thousands) or Ki, Mi, Gi, Ti (1024s)",
        ),
        (
            of_job("bind = \"corn\""),
            "dir/x.toml:4:8: `corn` is no value for `bind`\n4 | bind = \"corn\"\n  |        ^^^^^^\n\
             hint: did you mean `core`?",
        ),
        (
            of_job("matrix.schedule = [\"static\", \"dinamic\"]"),
            "dir/x.toml:4:30: `schedule`: unknown schedule `dinamic`\n\
             4 | matrix.schedule = [\"static\", \"dinamic\"]\n  |                              ^^^^^^^^^\n\
             hint: did you mean `dynamic`?",
        ),
        (
            of_job("procs = [1, 2]"),
            "dir/x.toml:4:9: `1;2` is no value for `procs`\n4 | procs = [1, 2]\n  |         ^^^^^^\n\
             hint: a list is an axis: matrix.procs = […]",
        ),
        (
            of_job("json = true"),
            "dir/x.toml:4:1: `json` is an option of one invocation, not a key of a batch file\n\
             4 | json = true\n  | ^^^^\nhint: give it on the command line: --json",
        ),
        (
            of_job("output = \"-\""),
            "dir/x.toml:4:10: a batch cannot write results to standard output\n4 | output = \"-\"\n  |          ^^^\n\
             hint: leave `output` out, or name a file; the digest is in every sample",
        ),
        (
            of_job("procs = 2\nmatrix.procs = [1]"),
            "dir/x.toml:4:1: `procs` is given twice in job `j`: here, and an axis\n4 | procs = 2\n  | ^^^^^\n\
             hint: an option has one place in a job: by itself, in matrix, in a zip, or in derive",
        ),
        (
            of_job("matrix.procs = [1, 2]\nexclude = [{ procs = 3 }]"),
            "dir/x.toml:5:12: excludes nothing: no point of job `j` has procs=3\n\
             5 | exclude = [{ procs = 3 }]\n  |            ^^^^^^^^^^^^^\n\
             hint: an entry drops the points in which all its keys are equal",
        ),
        (
            of_job("matrix.procs = [1, 2]\nmatrix.seed = [1]\ninclude = [{ procs = 3 }]"),
            "dir/x.toml:6:12: an include without `seed`\n6 | include = [{ procs = 3 }]\n  |            ^^^^^^^^^^^^^\n\
             hint: an included point gives a value to every axis of its job",
        ),
        (
            of_job("[[job.zip]]\nprocs = [1, 2]\nsize = [1, 2, 3]"),
            "dir/x.toml:6:8: `size` has 3 values, and `procs` has 2\n6 | size = [1, 2, 3]\n  |        ^^^^^^^^^\n\
             hint: the lists of one [[job.zip]] advance together: equal lengths",
        ),
        (
            of_job("matrix.procs = [1, 2, \"1\"]"),
            "dir/x.toml:2:1: two points of job `j` are equal: point 1, `j/procs=1`, and point 3, `j/procs=1`\n\
             2 | [[job]]\n  | ^^^^^^^\nhint: `repeats` runs a point more than once",
        ),
        (
            of_job("matrix.procs = [1, 2]\noutput = \"y.npy\""),
            "dir/x.toml:5:1: `j/procs=1` and `j/procs=2` both write output `y.npy`\n\
             5 | output = \"y.npy\"\n  | ^^^^^^\nhint: leave `output` out, or give each point its own file in a zip",
        ),
        (
            of_job("matrix.procs = [3]\nderive.size = \"100 / procs\""),
            "dir/x.toml:5:8: at `j/procs=3`: 100 / 3 is no whole number\n\
             5 | derive.size = \"100 / procs\"\n  |        ^^^^\n\
             hint: floor(…), ceil(…) or round(…) makes a fraction whole",
        ),
        (
            of_job("matrix.procs = [3]\nderive.size = \"2 * prox\""),
            "dir/x.toml:5:20: no option is called `prox`\n5 | derive.size = \"2 * prox\"\n  |                    ^^^^\n\
             hint: did you mean `procs`?",
        ),
        (
            of_job("derive.size = \"2 * \""),
            "dir/x.toml:4:20: expression `2 * `: it ends where a number or a name should stand\n\
             4 | derive.size = \"2 * \"\n  |                    ^\n\
             hint: + - * / %, parentheses, min max floor ceil round, and names of numeric options",
        ),
        (
            "version = 1\n[[job]\nname = \"j\"\n".to_owned(),
            "dir/x.toml:2:7: unclosed array table, expected `]`\n2 | [[job]\n  |       ^",
        ),
        (
            "name = \"a b\"\nversion = 2\n".to_owned(),
            "dir/x.toml:1:8: `a b` is no name\n1 | name = \"a b\"\n  |        ^^^^^\n\
             hint: letters, digits, - _ and ., at most 100, not a . first\n\
             dir/x.toml:2:11: this is no version of the format that is known\n2 | version = 2\n  |           ^\n\
             hint: version = 1",
        ),
    ] {
        assert_eq!(wrong(&text), expected, "{text}");
    }
}

#[test]
fn every_fault_of_a_file_is_shown_at_once() {
    let message = wrong(&of_job("proc = 4\nsize = \"x\"\nbnid = \"core\""));
    for part in [
        "4:1: unknown key `proc`",
        "5:8: `size`",
        "6:1: unknown key `bnid`",
        "did you mean `bind`?",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let many: String = (0..20).map(|n| format!("x{n} = 1\n")).collect();
    assert!(wrong(&of_job(&many)).ends_with("and 12 more"));
}

#[test]
fn what_is_missing_or_misplaced_is_said() {
    for (text, part) in [
        ("", "no `version`"),
        ("version = 1", "no [[job]]: nothing to run"),
        ("version = \"1\"\n[[job]]\nname = \"j\"", "no version of the format that is known"),
        ("version = 1\n[[job]]\nprocs = 1", "a job without a `name`"),
        ("version = 1\n[job]\nname = \"j\"", "a job begins with [[job]]"),
        ("version = 1\nprocs = 1\n[[job]]\nname = \"j\"", "options of runs belong in [defaults]"),
        ("version = 1\n[[job]]\nname = \"j\"\n[[job]]\nname = \"j\"", "there is another job `j`"),
        ("version = 1\n[[job]]\nname = \"../j\"", "`../j` is no name"),
        (
            "version = 1\n[defaults]\nordre = \"sequential\"\n[[job]]\nname = \"j\"",
            "did you mean `order`?",
        ),
        (
            "version = 1\n[defaults]\norder = \"random\"\n[[job]]\nname = \"j\"",
            "`random` is no order",
        ),
    ] {
        let message = wrong(text);
        assert!(message.contains(part), "{text}: {message}");
    }
    for (body, part) in [
        ("order = \"sequential\"", "it is the order of the whole batch"),
        ("on-fail = \"stop-after:0\"", "is nothing to do on a failure"),
        ("on-fail = \"stopp\"", "did you mean `stop`?"),
        ("repeats = 0", "`repeats` is a whole number from 1 on"),
        ("target-ci = 2", "200 % of the median"),
        ("max-time = \"long\"", "`long` is no length of time"),
        ("matrix.repeats = [1, 2]", "`repeats` cannot be an axis"),
        ("matrix.proc = [1, 2]", "did you mean `procs`?"),
        ("matrix.procs = [1]\nexclude = [{ proc = 1 }]", "did you mean `procs`?"),
        ("matrix.procs = [1]\nexclude = [{ procs = 1 }]", "all are excluded"),
        ("matrix.procs = [1]\nexclude = [{}]", "an exclude that names no axis"),
        ("include = [{}]", "has no axes to include in"),
        ("param = [\"x=1\"]", "`param` is a table"),
        ("seed = -1", "is no value for `seed`"),
        ("procs = 0", "`procs`: `0` is no number of ranks"),
        ("inject = \"kill:rank=1\"", "`inject` is a list"),
        ("input = \"-\"", "cannot read standard input more than once"),
        ("hooks.befor-each = \"x\"", "did you mean `before-each`?"),
        ("expect.first = [1, 2, 3, 4]", "`first` has 4 values, and a record shows 3"),
        ("expect.digest = \"abc\"", "is no digest"),
        ("expect.values.sum = { value = 3 }", "neither `rel` nor `abs`"),
        ("reference.tiem = { value = 1, tolerance = 0.1 }", "did you mean `time`?"),
        ("reference.time = { value = 1 }", "a reference without `tolerance`"),
        (
            "reference.time = { value = 1, tolerance = 0.1, when = { proc = 1 } }",
            "did you mean `procs`?",
        ),
        ("derive.schedule = \"1\"", "`schedule` is no number"),
        ("derive.size = 5", "an expression: derive.size"),
        ("derive.size = \"2 * procs\"\nderive.procs = \"size / 2\"", "derived from itself: `"),
        ("derive.size = \"size\"", "derived from itself: `size` needs `size`"),
        ("derive.size = \"procs\"", "`procs` is `auto`, which is no number"),
        ("derive.procs = \"size\"", "`size` has no value in this job"),
        ("derive.procs = \"0 - 1\"", "`-1` is no number of ranks"),
        ("derive.size = \"1.5 * warmup + 1.5\"", "count `1.5` is not a whole number"),
        ("[[job.zip]]\n", "a zip without lists"),
        ("matrix.seed = [1]\n[[job.zip]]\nseed = [1]\n", "`seed` is given twice"),
        ("matrix.trace = [\"a.json\"]\nmatrix.seed = [1, 2]", "both write trace `a.json`"),
    ] {
        let message = wrong(&of_job(body));
        assert!(message.contains(part), "{body}: {message}");
        assert!(message.starts_with("dir/x.toml:"), "{body}: {message}");
    }
}

#[test]
fn the_schema_knows_every_option_and_nothing_else() {
    let schema = schema();
    let all = serde_json::to_value(RunOptions::default()).unwrap();
    let mut names: Vec<&str> = all.as_object().unwrap().keys().map(String::as_str).collect();
    names.extend(["param", "inject"]); // Lists are left out where they are empty.
    let job = schema.pointer("/properties/job/items").unwrap();
    for properties in [schema.pointer("/$defs/defaults/properties"), job.pointer("/properties")]
        .map(Option::unwrap)
    {
        for name in &names {
            let property = properties.get(name).unwrap_or_else(|| panic!("{name}"));
            assert!(property.get("description").is_some(), "{name} is described");
        }
    }
    let axes = job.pointer("/properties/matrix/properties").unwrap();
    for name in names.iter().filter(|name| **name != "repeats") {
        assert!(axes.get(name).is_some(), "{name}");
    }
    let words = job.pointer("/properties/bind/enum").unwrap();
    assert_eq!(words, &json!(["core", "hwthread", "none"]));
    check_closed(&schema, "");
    for key in top::KEYS {
        assert!(schema.pointer(&format!("/properties/{key}")).is_some(), "{key}");
    }
    for key in jobs::KEYS {
        assert!(job.pointer(&format!("/properties/{key}")).is_some(), "{key}");
    }
}

/// Every object of the schema says what else may be in it, and every reference leads somewhere.
fn check_closed(schema: &Value, path: &str) {
    match schema {
        Value::Object(map) => {
            if map.get("type") == Some(&json!("object")) {
                assert!(map.contains_key("additionalProperties"), "{path}");
            }
            if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                let root = super::schema();
                assert!(root.pointer(target.trim_start_matches('#')).is_some(), "{path}: {target}");
            }
            map.iter().for_each(|(key, value)| check_closed(value, &format!("{path}/{key}")));
        }
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(n, value)| check_closed(value, &format!("{path}/{n}")));
        }
        _ => {}
    }
}

#[test]
fn a_million_points_are_expanded() {
    let job = job("matrix.seed = { from = 1, to = 100, step = 1 }\n\
                   matrix.procs = { from = 1, to = 100, step = 1 }\n\
                   matrix.retries = { from = 0, to = 99, step = 1 }\n\
                   exclude = [{ seed = 5, procs = 5 }, { retries = 7 }]\n\
                   include = [{ seed = 1000, procs = 1, retries = 7 }]\n\
                   derive.size = \"floor(1_000_000 / procs) + seed\"");
    // One point is excluded by both entries.
    assert_eq!(job.len(), 1_000_000 - 100 - 10_000 + 1 + 1);
    assert_eq!(job.points().filter_map(|point| job.value(point, "size")).count(), job.len());
}

#[test]
fn an_axis_may_have_a_million_values() {
    let body = "matrix.seed = { from = 1, to = 1_000_000, step = 1 }\nderive.size = \"seed * 2\"\n\
                exclude = [{ seed = 7 }]";
    assert_eq!(job(body).len(), 999_999);
}

#[test]
fn a_wrong_value_in_a_list_is_explained_by_its_own_parser() {
    let text = "version = 1\n[[job]]\nname = \"a\"\ninject = [\"kill:rang=2\"]\n";
    let error = wrong(text);
    assert!(error.contains("rang=2") && error.contains("rank chunk point"), "{error}");
}
