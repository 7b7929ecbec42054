//! What `--set`, profiles, the environment and `--only` do to a batch.

use serde_json::Value;

use super::read_in_tests::batch;
use super::read_in_tests::{
    SQUARES, Said, labels, of_job, read, refused, shown_error, values, with, wrong_with,
};
use super::{Only, Order};
use crate::options::RunOptions;

#[test]
fn a_set_overrides_the_file() {
    let kernels = with(
        SQUARES,
        &["repeats=2", "weak.matrix.procs=[1,2]", "matrix.schedule=[\"tss\",\"fac2\"]"],
    );
    let [strong, weak, _] = kernels.jobs.as_slice() else { panic!() };
    assert_eq!((strong.repeats, weak.len()), (2, 2));
    assert_eq!(strong.len(), 4 * 2 - 1 + 1);
    let origins = strong.origins(strong.points().next().unwrap()).unwrap();
    assert!(origins.iter().any(|(.., o)| o == "--set matrix.schedule=[\"tss\",\"fac2\"]"));
    let changed = with(
        SQUARES,
        &["weak.derive.size=10 * procs", "weak.param.cost=2us", "order=shuffled", "seed=9"],
    );
    assert_eq!((changed.order, changed.seed), (Order::Shuffled, 9));
    assert_eq!(values(&changed.jobs[1], "size")[4], 160);
    assert_eq!(values(&changed.jobs[1], "param.cost")[0], "2us");
    let added = with(
        &of_job("procs = 1"),
        &["j.matrix.procs={from=1,to=3,step=1}", "size=1e4", "schedule=dynamic,7"],
    );
    assert_eq!(labels(&added.jobs[0]), ["j/procs=1", "j/procs=2", "j/procs=3"]);
    assert_eq!(values(&added.jobs[0], "size")[0], 10_000);
    assert_eq!(values(&added.jobs[0], "schedule")[0], "dynamic,7");
}

#[test]
fn an_exclude_may_match_nothing_once_its_axis_was_replaced() {
    let text = of_job("matrix.procs = [1, 2, 8]\nexclude = [{ procs = 8 }]");
    assert_eq!(labels(&with(&text, &["matrix.procs=[1,2]"]).jobs[0]), ["j/procs=1", "j/procs=2"]);
}

#[test]
fn wrong_sets_are_named() {
    let text = of_job(
        "matrix.procs = [1, 2]\nderive.size = \"5 * procs\"\n[[job.zip]]\nseed = [1]\nretries = [1]",
    );
    let sets: [(&'static [&'static str], &str); 12] = [
        (
            &["procs=3"],
            "--set procs=3: `procs` is an axis in job `j`\nhint: --set matrix.procs=[…] replaces",
        ),
        (
            &["size=3"],
            "--set size=3: `size` is derived in job `j`\nhint: --set derive.size=… replaces",
        ),
        (&["input=1,2"], "--set input=1,2: `input` and `size` both say what job `j` computes on"),
        (&["seed=3"], "`seed` is in a zip in job `j`"),
        (&["j.matrix.seed=[3]"], "`seed` is in a zip of job `j`, with other options"),
        (&["sizes=3"], "--set sizes=3: unknown key `sizes` in --set\nhint: did you mean `size`?"),
        (&["k.warmup=3"], "--set k.warmup=3: no job `k`\nhint: did you mean `j`?"),
        (&["matrix.warmup=[1]"], "no job has an axis `warmup` in its matrix"),
        (&["derive.warmup=1"], "no job derives `warmup`"),
        (&["warmup=many"], "--set warmup=many: `many` is no value for `warmup`"),
        (&["j.order=sequential"], "it is the order of the whole batch"),
        (&["warmup"], "`warmup` is not of the form KEY=VALUE"),
    ];
    for (sets, part) in sets {
        let message = wrong_with(&text, sets);
        assert!(message.contains(part), "{sets:?}: {message}");
    }
}

#[test]
fn the_environment_does_not_change_the_grid() {
    let text = of_job("matrix.procs = [1, 2]");
    let above = RunOptions { procs: Some("4".parse().unwrap()), ..RunOptions::default() };
    assert_eq!(
        refused(&text, &Said { above, ..Said::default() }),
        "dir/x.toml: `procs` (SPMD_PROCS) is an axis in job `j`\n\
         hint: --set matrix.procs=[…] replaces the values of the axis"
    );
    let above = RunOptions { repeats: std::num::NonZeroU32::new(3), ..RunOptions::default() };
    let said = Said { above, ..Said::default() };
    assert_eq!(read(&text, &said).unwrap().jobs[0].repeats, 3);
}

#[test]
fn a_profile_is_found_by_its_name() {
    let text =
        of_job("matrix.procs = [1]\n[profile.quick]\nprocs = 1\n[profile.long]\nrepeats = 3");
    let said = |profile| Said { profile: Some(profile), ..Said::default() };
    assert!(
        refused(&text, &said("quik")).ends_with("no profile `quik`\nhint: did you mean `quick`?")
    );
    assert!(
        refused(&text, &said("quick")).contains("dir/x.toml:6:1: `procs` is an axis in job `j`")
    );
    assert_eq!(read(&text, &said("long")).unwrap().jobs[0].repeats, 3);
}

#[test]
fn an_upper_layer_speaks_first() {
    let text = "version = 1\n[defaults]\nseed = 1\nwarmup = 1\nretries = 1\nprocs = 1\n\
                [profile.p]\nwarmup = 3\nretries = 3\nprocs = 3\nrepeats = 3\n\
                [[job]]\nname = \"j\"\nseed = 2\nwarmup = 2\nrepeats = 2\n";
    let above =
        RunOptions { retries: Some(4), procs: Some("4".parse().unwrap()), ..RunOptions::default() };
    let said = Said { profile: Some("p"), sets: &["procs=5", "j.procs=6"], above };
    let job = read(text, &said).unwrap().jobs.remove(0);
    let point = job.points().next().unwrap();
    let settings = job.settings(point).unwrap();
    let of = |name: &str| settings.get(name).cloned().unwrap_or_default();
    assert_eq!(
        [of("seed"), of("warmup"), of("retries"), of("procs")],
        [2, 3, 4, 6].map(Value::from)
    );
    assert_eq!(job.repeats, 3);
    let origins = job.origins(point).unwrap();
    let origin = |name: &str| origins.iter().find(|(n, ..)| n == name).map(|(.., o)| o.as_str());
    assert_eq!(origin("seed"), Some("dir/x.toml:14 [[job]] j"));
    assert_eq!(origin("warmup"), Some("dir/x.toml:8 [profile.p]"));
    assert_eq!(origin("retries"), Some("SPMD_RETRIES"));
    assert_eq!(origin("procs"), Some("--set j.procs=6"));
    assert_eq!(origin("strict"), Some("default"));
    assert_eq!(origin("repeats"), Some("dir/x.toml:11 [profile.p]"));
}

#[test]
fn only_some_points_are_meant() {
    let batch = batch(SQUARES);
    let count = |only: &str| {
        let only: Only = only.parse().unwrap();
        let points = batch.jobs.iter().flat_map(|job| job.points().map(move |point| (job, point)));
        points.filter(|(job, point)| only.selects(job, *point)).count()
    };
    assert_eq!(count("procs=4"), 3 + 1 + 2);
    assert_eq!(count("procs=4 kernel=square"), 3 + 1);
    assert_eq!(count("job=weak"), 5);
    assert_eq!(count("size=1e8 schedule=static"), 4);
    assert_eq!(count("job=none"), 0);
    let error = "job=waek".parse::<Only>().unwrap().check(&batch).unwrap_err();
    assert_eq!(shown_error(&error), "--only: no job `waek`\nhint: did you mean `weak`?");
    assert!("job=weak".parse::<Only>().unwrap().check(&batch).is_ok());
    for (text, part) in [
        ("proc=4", "did you mean `procs`?"),
        ("procs", "is not of the form KEY=VALUE"),
        ("procs=x", "`x` is no number of ranks"),
        ("  ", "names nothing"),
    ] {
        let message = shown_error(&text.parse::<Only>().unwrap_err());
        assert!(message.contains(part), "{message}");
    }
}
