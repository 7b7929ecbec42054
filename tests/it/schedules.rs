//! Whatever cuts the work and whoever does it, the bits are the same.

use crate::npy;
use crate::sandbox::Sandbox;
use crate::values::Type;

const SCHEDULES: [&str; 12] = [
    "static",
    "static,5",
    "dynamic",
    "dynamic,1",
    "guided",
    "guided,3",
    "tss",
    "fac2,2",
    "awf-b,3",
    "steal",
    "steal,1",
    "auto",
];
const PROCS: [usize; 4] = [1, 2, 3, 7];

/// A prime: no number of ranks and no chunk divides it.
const N: usize = 1009;

/// How numbers come in and go out, in turn.
const FORMATS: [(&str, &str); 8] = [
    ("in.npy", "out.npy"),
    ("big.npy", "out.bin"),
    ("in.csv", "out.csv"),
    ("in.txt", "out.txt"),
    ("in.bin", "-"),
    ("-npy", "out.npy"),
    ("-text", "out.txt"),
    ("in.npy", "in.npy"),
];

/// Runs one line of the table and compares every byte.
fn check(sandbox: &Sandbox, kind: Type, schedule: &str, procs: usize, turn: usize, in_place: bool) {
    let (from, to) = FORMATS[turn % FORMATS.len()];
    let textual = !matches!(from, "in.npy" | "big.npy" | "in.bin" | "-npy");
    let inputs = if textual { kind.inputs_as_text_has_them(N) } else { kind.inputs(N) };
    let squares = kind.squares(&inputs);
    let stdin = match from {
        "-npy" => npy::little(kind, &[N], &inputs),
        "-text" => kind.lines(&inputs).into(),
        "big.npy" => {
            sandbox.write(from, npy::big(kind, &[N], &inputs));
            Vec::new()
        }
        "in.npy" => {
            sandbox.write(from, npy::little(kind, &[N], &inputs));
            Vec::new()
        }
        "in.bin" => {
            sandbox.write(from, kind.bytes(&inputs));
            Vec::new()
        }
        _ => {
            sandbox.write(from, kind.lines(&inputs));
            Vec::new()
        }
    };
    let from = if from.starts_with('-') { "-" } else { from };
    let mut arguments = format!(
        "-n {procs} -k square --schedule {schedule} --input {from} --output {to} --dtype {}",
        kind.name()
    );
    if in_place {
        // Without recovery nothing is saved, which is another way to the same bits.
        arguments +=
            if turn.is_multiple_of(3) { " --in-place --on-death fail" } else { " --in-place" };
    }
    let what = format!("{arguments} ({kind:?})");
    let done = sandbox.spmd(&arguments).input(stdin).run().ok();
    match to {
        "-" => assert_eq!(done.text(), kind.lines(&squares), "{what}"),
        "out.bin" => assert!(sandbox.read(to) == kind.bytes(&squares), "{what}"),
        "out.npy" | "in.npy" => {
            let file = sandbox.read(to);
            assert!(npy::payload(&file, kind, &[N]) == kind.bytes(&squares), "{what}");
        }
        _ => {
            let found = String::from_utf8(sandbox.read(to)).unwrap();
            assert_eq!(found, kind.lines(&squares), "{what}");
        }
    }
    if to != "-" {
        assert!(done.stdout.is_empty(), "results went to a file: {}", done.told());
    }
}

/// Every schedule with every number of ranks, through every format, apart and in place.
fn table(kind: Type) {
    let sandbox = Sandbox::new();
    let mut turn = 0;
    for schedule in SCHEDULES {
        for procs in PROCS {
            // 8 formats and 48 lines: each format six times; the modes shifted, so that over the
            // types each format is met by each mode.
            let in_place = (turn / FORMATS.len() + turn + kind as usize) % 2 == 1;
            check(&sandbox, kind, schedule, procs, turn, in_place);
            turn += 1;
        }
    }
}

#[test]
fn every_schedule_and_number_of_ranks_gives_the_same_bits_of_i32() {
    table(Type::I32);
}

#[test]
fn every_schedule_and_number_of_ranks_gives_the_same_bits_of_i64() {
    table(Type::I64);
}

#[test]
fn every_schedule_and_number_of_ranks_gives_the_same_bits_of_u32() {
    table(Type::U32);
}

#[test]
fn every_schedule_and_number_of_ranks_gives_the_same_bits_of_u64() {
    table(Type::U64);
}

#[test]
fn every_schedule_and_number_of_ranks_gives_the_same_bits_of_f32() {
    table(Type::F32);
}

#[test]
fn every_schedule_and_number_of_ranks_gives_the_same_bits_of_f64() {
    table(Type::F64);
}

#[test]
fn every_type_takes_every_format_apart_and_in_place() {
    let sandbox = Sandbox::new();
    for kind in Type::ALL {
        for turn in 0..FORMATS.len() {
            for in_place in [false, true] {
                check(&sandbox, kind, "dynamic,100", 2, turn, in_place);
            }
        }
    }
}

#[test]
fn the_digest_is_that_of_the_bytes_whatever_the_world() {
    let sandbox = Sandbox::new();
    let n = 100_003;
    let kind = Type::F64;
    let inputs = kind.inputs(n);
    sandbox.write("in.npy", npy::little(kind, &[n], &inputs));
    let expected = kind.digest(&kind.squares(&inputs));
    for schedule in ["static", "static,1000", "dynamic", "dynamic,77", "guided", "guided,100"] {
        for procs in PROCS {
            for mode in ["", "--in-place", "--output out.npy", "--output out.csv --repeats 2"] {
                let arguments = format!(
                    "-n {procs} -k square --schedule {schedule} --input in.npy --json {mode}"
                );
                let record = sandbox.spmd(&arguments).run().ok().json();
                assert_eq!(record["result"]["digest"], *expected, "{arguments}");
            }
        }
    }
}

#[test]
fn more_ranks_than_indices_and_chunks_larger_than_the_index_space_work() {
    let sandbox = Sandbox::new();
    for schedule in ["static", "static,1000", "dynamic,1000", "guided,1000", "dynamic,1"] {
        let done = sandbox.spmd(&format!("-q -n 7 -k square --size 3 --schedule {schedule}")).run();
        assert_eq!(done.ok().text(), "Results: [0, 1, 4]\n");
    }
}

#[test]
fn static_deals_what_openmp_deals() {
    let sandbox = Sandbox::new();
    let items = |schedule: &str| -> Vec<u64> {
        let arguments = format!("-n 3 -k square --size 100 --json --schedule {schedule}");
        let record = sandbox.spmd(&arguments).run().ok().json();
        let workers = record["workers"].as_array().unwrap();
        workers.iter().map(|worker| worker["items"].as_u64().unwrap()).collect()
    };
    // Ten at a time in turn: 0, 3, 6, 9 - 1, 4, 7 - 2, 5, 8.
    assert_eq!(items("static,10"), [40, 30, 30]);
    let mut slices = items("static");
    slices.sort_unstable();
    assert_eq!(slices, [33, 33, 34]);
}

#[test]
fn guided_takes_fewer_chunks_than_dynamic_and_covers_as_much() {
    let sandbox = Sandbox::new();
    let chunks = |schedule: &str| -> u64 {
        let arguments = format!("-n 2 -k square --size 100000 --json --schedule {schedule}");
        let record = sandbox.spmd(&arguments).run().ok().json();
        let workers = record["workers"].as_array().unwrap();
        workers.iter().map(|worker| worker["chunks"].as_u64().unwrap()).sum()
    };
    assert_eq!(chunks("dynamic,100"), 1000);
    assert_eq!(chunks("static,100"), 1000);
    assert_eq!(chunks("static"), 2);
    let guided = chunks("guided,100");
    assert!((10..200).contains(&guided), "{guided}");
}

#[test]
fn a_hundred_million_chunks_of_one_index_need_little_bookkeeping() {
    let sandbox = Sandbox::new();
    let problem = "-n 2 -k square --size 1e8 --schedule dynamic,1 --dtype u32 --overflow wrap";
    let plan = sandbox.spmd(&format!("plan {problem}")).run().ok();
    let line = plan.text().lines().find(|line| line.ends_with("of bookkeeping")).unwrap();
    let size = line.rsplit(", ").next().unwrap();
    assert!(size.contains(" KiB ") || size.contains(" B "), "{line}");
    let done = sandbox.spmd(&format!("{problem} --json")).deadline(300).run().ok();
    let record = done.json();
    let workers = record["workers"].as_array().unwrap();
    let chunks: u64 = workers.iter().map(|worker| worker["chunks"].as_u64().unwrap()).sum();
    assert_eq!(chunks, 100_000_000);
    let mut hash = blake3::Hasher::new();
    for first in (0..100_000_000_u32).step_by(1 << 20) {
        let squares = first..100_000_000.min(first + (1 << 20));
        let bytes: Vec<u8> = squares.flat_map(|x| x.wrapping_mul(x).to_le_bytes()).collect();
        hash.update(&bytes);
    }
    assert_eq!(record["result"]["digest"], format!("blake3:{}", hash.finalize().to_hex()));
}
