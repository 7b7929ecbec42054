use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::data::testing::Folder;
use crate::error::Error;

const TEXT: &str = "version = 1\n";

fn machine() -> Machine {
    Machine { host: "here".to_owned(), cpus: "0-1".to_owned(), ..Default::default() }
}

fn visit(machine: &Machine) -> Visit<'_> {
    Visit { name: "study", text: TEXT, machine, mix: MixMachines::No }
}

fn open(path: &Path) -> Result<Directory, Error> {
    Directory::open(path, &visit(&machine()))
}

fn point(size: u32) -> PlanLine {
    let options = json!({"kernel": "square", "size": size, "timeout": "5s"});
    let options = options.as_object().unwrap().clone();
    PlanLine::new("j", &format!("j/size={size}"), options, "program", None).unwrap()
}

fn record(time: f64) -> Map<String, Value> {
    let record = json!({
        "schema": 1, "status": "ok", "exit": 0,
        "time": {"pass_s": {"n": 1, "median": time}}, "workers": [],
    });
    record.as_object().unwrap().clone()
}

fn add(directory: &mut Directory, point: &PlanLine, repeat: u32) -> Result<(), Error> {
    let done = directory.done(&point.key);
    let (round, attempt) = (done.round(), done.next_attempt(done.round(), repeat));
    add_in(directory, point, round, repeat, attempt)
}

fn add_in(
    directory: &mut Directory,
    point: &PlanLine,
    round: u32,
    repeat: u32,
    attempt: u32,
) -> Result<(), Error> {
    directory.sample(&Sample {
        batch: "study",
        job: &point.job,
        key: &point.key,
        id: &point.id,
        repeat,
        attempt,
        round,
        start: UNIX_EPOCH,
        options: &Map::new(),
        record: &record(f64::from(repeat) + 1.0),
    })
}

/// A directory with samples of two points, three each.
fn filled(folder: &Folder) -> PathBuf {
    let path = folder.path("out");
    let mut directory = open(&path).unwrap();
    directory.plan([point(1), point(2)].into_iter()).unwrap();
    for repeat in 0..3 {
        add(&mut directory, &point(1), repeat).unwrap();
        add(&mut directory, &point(2), repeat).unwrap();
    }
    directory.close().unwrap();
    path
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_directory_has_what_the_contract_names() {
    let folder = Folder::new();
    let path = folder.path("a/b/out");
    let mut directory = open(&path).unwrap();
    directory.plan([point(1)].into_iter()).unwrap();
    directory.study().unwrap().write(directory.path()).unwrap();
    directory.close().unwrap();
    assert_eq!(
        names(&path),
        [
            "batch.toml",
            "env.json",
            "journal.jsonl",
            "lock",
            "logs",
            "plan.jsonl",
            "report.md",
            "samples.jsonl",
            "summary.csv",
        ]
    );
    assert_eq!(fs::read_to_string(path.join("batch.toml")).unwrap(), TEXT);
}

#[test]
fn what_was_done_is_there_again() {
    let folder = Folder::new();
    let path = filled(&folder);
    let directory = open(&path).unwrap();
    assert_eq!(directory.samples().count(), 6);
    let times: Vec<f64> = directory.done(&point(2).key).figures().map(|f| f.time).collect();
    assert_eq!(times, [1.0, 2.0, 3.0]);
    assert_eq!(directory.warnings(), [] as [String; 0]);
}

#[test]
fn what_is_dropped_without_a_word_is_there_as_well() {
    let folder = Folder::new();
    let path = folder.path("out");
    let mut directory = open(&path).unwrap();
    add(&mut directory, &point(1), 0).unwrap();
    drop(directory);
    assert_eq!(open(&path).unwrap().samples().count(), 1);
}

#[test]
fn a_second_batch_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    let path = folder.path("out");
    let first = open(&path).unwrap();
    let before = fs::read(path.join("env.json")).unwrap();
    let error = open(&path).unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert!(error.to_string().starts_with("another batch (pid "), "{error}");
    assert_eq!(fs::read(path.join("env.json")).unwrap(), before);
    drop(first);
    open(&path).unwrap();
}

#[test]
fn a_directory_of_other_things_is_refused_and_left_alone() {
    let folder = Folder::new();
    fs::write(folder.path("thesis.tex"), "").unwrap();
    let error = open(folder.root()).unwrap_err();
    assert!(error.to_string().ends_with("(`thesis.tex`), and no results of a batch"), "{error}");
    assert_eq!(folder.names(), ["thesis.tex"]);
    let error = open(&folder.path("thesis.tex")).unwrap_err();
    assert_eq!(error.exit().code(), 2);
}

#[test]
fn a_batch_file_of_ones_own_is_not_written_over() {
    let folder = Folder::new();
    fs::write(folder.path("batch.toml"), "mine").unwrap();
    let error = open(folder.root()).unwrap_err();
    assert!(error.to_string().contains("has other things in it (`batch.toml`)"), "{error}");
    assert_eq!(fs::read(folder.path("batch.toml")).unwrap(), b"mine");
    assert_eq!(folder.names(), ["batch.toml"]);
}

#[test]
fn what_a_kill_left_before_there_was_a_batch_is_swept() {
    let folder = Folder::new();
    let path = folder.path("out");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("lock"), "pid 1 on here\n").unwrap();
    let hidden = path.join(".batch.toml.spmd.0123456789abcdef");
    fs::write(&hidden, "vers").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::options().write(true).open(&hidden).unwrap().set_modified(old).unwrap();
    open(&path).unwrap();
    assert!(!hidden.exists());
}

#[test]
fn the_results_of_another_batch_are_refused() {
    let folder = Folder::new();
    let path = filled(&folder);
    let machine = machine();
    let other = Visit { name: "other", ..visit(&machine) };
    let error = Directory::open(&path, &other).unwrap_err();
    assert!(error.to_string().contains("of batch `study`, and this is batch `other`"), "{error}");
}

#[test]
fn samples_of_another_machine_are_refused_unless_they_may_be_mixed() {
    let folder = Folder::new();
    let path = filled(&folder);
    let other = Machine { cpus: "0-3".to_owned(), ..machine() };
    let error = Directory::open(&path, &visit(&other)).unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert!(error.to_string().ends_with("usable cpus: found 0-3, expected 0-1"), "{error}");
    let mixed = Visit { mix: MixMachines::Yes, ..visit(&other) };
    Directory::open(&path, &mixed).unwrap().close().unwrap();
    // From now on either may go on.
    Directory::open(&path, &visit(&other)).unwrap().close().unwrap();
    open(&path).unwrap();
}

#[test]
fn a_machine_that_left_no_samples_holds_nobody_up() {
    let folder = Folder::new();
    let path = folder.path("out");
    open(&path).unwrap().close().unwrap();
    let other = Machine { cpus: "0-3".to_owned(), ..machine() };
    Directory::open(&path, &visit(&other)).unwrap().close().unwrap();
    let visits = visits::Visits::read(&path).unwrap();
    assert_eq!(visits.visits.len(), 1);
    assert_eq!(visits.last().unwrap().machine, other);
}

#[test]
fn a_sample_torn_at_any_byte_is_taken_off_and_run_again() {
    let folder = Folder::new();
    let path = filled(&folder);
    let whole = fs::read(path.join("samples.jsonl")).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    for len in last..whole.len() {
        fs::write(path.join("samples.jsonl"), &whole[..len]).unwrap();
        let mut directory = open(&path).unwrap();
        assert_eq!(directory.samples().count(), 5);
        assert_eq!(directory.warnings().len(), usize::from(len > last), "{len}");
        assert_eq!(directory.done(&point(2).key).trial(0, 2), None);
        add(&mut directory, &point(2), 2).unwrap();
        directory.close().unwrap();
        assert!(fs::read(path.join("samples.jsonl")).unwrap() == whole, "{len}");
    }
}

#[test]
fn what_a_power_cut_left_of_the_end_is_taken_off_and_noted() {
    let folder = Folder::new();
    let path = filled(&folder);
    let whole = fs::read(path.join("samples.jsonl")).unwrap();
    for tail in [&b"\0\0\0\0"[..], b"\0\0\n\0\0\n\0", b"{\"key\":\"00\n\n", b"\xff\xfe\n"] {
        fs::write(path.join("samples.jsonl"), [&whole, tail].concat()).unwrap();
        let journal = fs::OpenOptions::new().append(true).open(path.join("journal.jsonl"));
        journal.unwrap().write_all(b"{\"torn").unwrap();
        let directory = open(&path).unwrap();
        assert_eq!((directory.samples().count(), directory.warnings().len()), (6, 2));
        directory.close().unwrap();
        assert_eq!(fs::read(path.join("samples.jsonl")).unwrap(), whole);
        let journal = fs::read_to_string(path.join("journal.jsonl")).unwrap();
        assert!(journal.contains("\"event\":\"cut\",\"file\":\"samples.jsonl\""), "{journal}");
        assert!(journal.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
}

#[test]
fn a_wrong_line_in_the_middle_is_refused_and_nothing_is_cut() {
    let folder = Folder::new();
    let path = filled(&folder);
    let whole = fs::read_to_string(path.join("samples.jsonl")).unwrap();
    for wrong in ["no JSON", "{}", "{\"key\":\"xyz\",\"repeat\":0,\"status\":\"ok\"}", ""] {
        let mut lines: Vec<&str> = whole.lines().collect();
        lines.insert(2, wrong);
        let text = lines.join("\n") + "\n";
        fs::write(path.join("samples.jsonl"), &text).unwrap();
        let error = open(&path).unwrap_err();
        let place = format!("{}:3:", path.join("samples.jsonl").display());
        assert!(error.to_string().starts_with(&place), "{error}");
        assert!(error.hint().unwrap().starts_with("remove the line, and its trial runs again"));
        assert_eq!(error.exit().code(), 2);
        assert_eq!(fs::read_to_string(path.join("samples.jsonl")).unwrap(), text);
    }
}

#[test]
fn an_edited_file_adds_and_orphans_points_and_says_so() {
    let folder = Folder::new();
    let path = filled(&folder);
    let mut directory = open(&path).unwrap();
    let same = directory.plan([point(1), point(2)].into_iter()).unwrap();
    assert_eq!(same, Edited { kept: 2, ..Edited::default() });
    let edited = directory.plan([point(2), point(3), point(4)].into_iter()).unwrap();
    assert_eq!(edited, Edited { added: 2, orphaned: 1, kept: 1, ..Edited::default() });
    // Points 3 and 4 never ran: nothing of them stays. Point 1 comes back, with its samples.
    let back = directory.plan([point(1)].into_iter()).unwrap();
    assert_eq!(back, Edited { added: 1, orphaned: 1, dropped: 2, ..Edited::default() });
    let study = directory.study().unwrap();
    assert_eq!((study.points.len(), study.orphans), (1, 1));
    assert_eq!(study.points[0].times, [1.0, 2.0, 3.0]);
}

#[test]
fn a_point_that_is_another_by_now_says_in_which_field() {
    let folder = Folder::new();
    let path = filled(&folder);
    let mut directory = open(&path).unwrap();
    let options = json!({"kernel": "square", "size": 1, "seed": 7, "param": {"a": "x"}});
    let options = options.as_object().unwrap().clone();
    let changed = PlanLine::new("j", "j/size=1", options, "anew", None).unwrap();
    let edited = directory.plan([changed, point(2)].into_iter()).unwrap();
    let differences = ["seed: not given -> 7", "param.a: not given -> x", "program: built anew"];
    let expected = ("j/size=1".to_owned(), differences.map(str::to_owned).to_vec());
    assert_eq!(edited.changed, [expected]);
    assert_eq!((edited.added, edited.orphaned, edited.kept), (1, 1, 1));
}

#[test]
fn differences_are_told_field_by_field() {
    let of = |options: Value, input: Option<&str>| {
        let options = options.as_object().unwrap().clone();
        PlanLine::new("j", "j", options, "program", input.map(str::to_owned)).unwrap()
    };
    let old = of(json!({"size": 1000, "input": "x.npy", "procs": 2}), Some("1"));
    let new = of(json!({"size": 2000, "input": "x.npy", "seed": "y".repeat(100)}), Some("2"));
    assert_eq!(
        plan::difference(&old, &new),
        [
            "size: 1000 -> 2000".to_owned(),
            format!("seed: not given -> {}…", "y".repeat(60)),
            "procs: 2 -> not given".to_owned(),
            "input x.npy: content changed".to_owned(),
        ]
    );
    assert_eq!(plan::difference(&old, &old), [] as [String; 0]);
}

#[test]
fn a_point_with_another_name_keeps_its_samples() {
    let folder = Folder::new();
    let path = filled(&folder);
    let mut directory = open(&path).unwrap();
    let renamed = PlanLine { id: "k".to_owned(), job: "k".to_owned(), ..point(1) };
    // In two jobs at once, too.
    let edited = directory.plan([renamed, point(1), point(2)].into_iter()).unwrap();
    assert_eq!(edited, Edited { kept: 3, ..Edited::default() });
    assert_eq!(directory.study().unwrap().orphans, 0);
}

#[test]
fn a_rerun_goes_on_where_one_was_interrupted_else_it_begins_anew() {
    let folder = Folder::new();
    let path = folder.path("out");
    let mut directory = open(&path).unwrap();
    let begin = |rerun| Event::Begin { batch: "study", pid: 1, command: "c", rerun, only: None };
    assert_eq!(directory.rerun(None), 0);
    add(&mut directory, &point(1), 0).unwrap();
    assert_eq!(directory.rerun(None), 1);
    directory.note(&begin(Some(1))).unwrap();
    add_in(&mut directory, &point(1), 1, 0, 2).unwrap();
    drop(directory);
    let mut directory = open(&path).unwrap();
    assert_eq!(directory.rerun(None), 1);
    directory.note(&begin(Some(1))).unwrap();
    directory.note(&Event::End { how: End::Complete }).unwrap();
    drop(directory);
    let directory = open(&path).unwrap();
    assert_eq!((directory.rerun(None), directory.done(&point(1).key).round()), (2, 1));
}

/// Where [`in_a_process_of_its_own`] writes to.
const HERE: &str = "SPMD_TEST_RESULTS";

/// The process of the next two tests: goes on with a batch of four points and three thousand repeats. Without its
/// variable it is no test.
#[test]
fn in_a_process_of_its_own() {
    let Some(path) = std::env::var_os(HERE) else { return };
    let mut directory = open(path.as_ref()).unwrap();
    let points = [1, 2, 3, 4].map(point);
    directory.plan(points.iter().cloned()).unwrap();
    for repeat in 0..3000 {
        for point in &points {
            if directory.done(&point.key).trial(0, repeat).is_none() {
                directory.note(&Event::Start { key: "k", id: "i", repeat, attempt: 1 }).unwrap();
                let result = add(&mut directory, point, repeat);
                if let Err(error) = result {
                    assert_eq!(error.exit().code(), 125);
                    assert!(error.hint().unwrap().contains("the same command continues"));
                    return;
                }
            }
        }
    }
    directory.study().unwrap().write(directory.path()).unwrap();
    directory.close().unwrap();
}

/// Starts it, by this shell command.
fn process(path: &Path, shell: &str) -> std::process::Child {
    std::process::Command::new("sh")
        .args(["-c", shell, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "batch::results::tests::in_a_process_of_its_own"])
        .env(HERE, path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// The (key, repeat, attempt) of every line, as they stand there.
fn trials(path: &Path) -> Vec<(String, u64, u64)> {
    let text = fs::read_to_string(path.join("samples.jsonl")).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let trial = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let key = line["key"].as_str().unwrap().to_owned();
        (key, line["repeat"].as_u64().unwrap(), line["attempt"].as_u64().unwrap())
    };
    lines.map(trial).collect()
}

#[test]
fn a_kill_at_any_moment_loses_no_sample_and_doubles_none() {
    let folder = Folder::new();
    let path = folder.path("out");
    let mut seen = Vec::new();
    for pause in 0..20 {
        let mut child = process(&path, "exec \"$@\"");
        std::thread::sleep(std::time::Duration::from_micros(2_000 + 1_700 * pause));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = trials(&path);
        assert!(now.starts_with(&seen), "a sample was lost");
        seen = now;
    }
    assert!(process(&path, "exec \"$@\"").wait().unwrap().success());
    let mut all = trials(&path);
    assert!(all.starts_with(&seen), "a sample was lost");
    assert!(all.iter().all(|(_, _, attempt)| *attempt == 1));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 12_000);
    assert_eq!(open(&path).unwrap().samples().count(), 12_000);
}

#[test]
fn a_full_disk_keeps_whole_lines_and_the_same_command_goes_on() {
    let folder = Folder::new();
    let path = folder.path("out");
    // A limit on the length of files, 64 KiB and then more, which ends a write in the middle of a line.
    for blocks in [128, 200, 333] {
        let shell = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        assert!(process(&path, &shell).wait().unwrap().success());
        let text = fs::read_to_string(path.join("samples.jsonl")).unwrap();
        assert!(text.len() > 400 * blocks && text.ends_with("}\n"), "{}", text.len());
    }
    assert!(process(&path, "exec \"$@\"").wait().unwrap().success());
    let mut all = trials(&path);
    all.sort();
    all.dedup();
    assert_eq!((all.len(), open(&path).unwrap().samples().count()), (12_000, 12_000));
}

#[test]
fn samples_are_appended_to_a_directory_that_grows_from_visit_to_visit() {
    let folder = Folder::new();
    let path = folder.path("out");
    for visit in 0_u32..20 {
        let mut directory = open(&path).unwrap();
        assert_eq!(directory.samples().count(), u64::from(visit));
        let repeat = (0..).find(|repeat| directory.done(&point(1).key).trial(0, *repeat).is_none());
        add(&mut directory, &point(1), repeat.unwrap()).unwrap();
    }
    assert_eq!(visits::Visits::read(&path).unwrap().visits.len(), 20);
    assert_eq!(open(&path).unwrap().warnings(), [] as [String; 0]);
}

/// A folder of this test's thread, for many cases.
fn disturbed(name: &str, bytes: &[u8]) {
    let folder = Folder::new();
    let path = filled(&folder);
    fs::write(path.join(name), bytes).unwrap();
    let study = reports::Study::read(&path);
    let opened = open(&path).and_then(|mut directory| {
        directory.plan([point(1), point(3)].into_iter())?;
        directory.study()?.write(directory.path())?;
        directory.close()
    });
    for error in [study.err(), opened.err()].into_iter().flatten() {
        error.check_printable();
        assert!(matches!(error.exit().code(), 2 | 125), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_that_lies_in_a_directory_makes_it_panic(
        name in prop::sample::select(vec!["samples.jsonl", "plan.jsonl", "env.json", "journal.jsonl"]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        disturbed(name, &bytes);
    }

    #[test]
    fn no_change_to_what_lies_there_makes_it_panic(
        name in prop::sample::select(vec!["samples.jsonl", "plan.jsonl", "env.json", "journal.jsonl"]),
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let bytes = {
            let folder = Folder::new();
            let mut bytes = fs::read(filled(&folder).join(name)).unwrap();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(cut.index(bytes.len() * 2 + 1));
            }
            bytes
        };
        disturbed(name, &bytes);
    }
}
