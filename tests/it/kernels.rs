//! The built-in kernels: what they compute, take and refuse.

use std::collections::BTreeSet;

use crate::npy;
use crate::sandbox::Sandbox;
use crate::values::Type;

#[test]
fn the_largest_exact_input_of_each_type_is_taken_and_the_next_is_refused() {
    let sandbox = Sandbox::new();
    for kind in Type::INTEGERS {
        let root = kind.largest_exact();
        let name = kind.name();
        // Made by the ranks, typed, and read from files of every kind.
        let ways: [&dyn Fn(i128) -> String; 5] = [
            &|x| format!("range:{}:{}", x - 2, x + 1),
            &|x| format!("{},{},{x}", x - 2, x - 1),
            &|x| {
                let inputs = [x - 2, x - 1, x].map(|x| kind.bits(x));
                sandbox.write("in.npy", npy::little(kind, &[3], &inputs));
                "in.npy".to_owned()
            },
            &|x| {
                sandbox.write("in.csv", format!("{}\n{}\n{x}\n", x - 2, x - 1));
                "in.csv".to_owned()
            },
            &|x| {
                let inputs = [x - 2, x - 1, x].map(|x| kind.bits(x));
                sandbox.write("in.bin", kind.bytes(&inputs));
                "in.bin".to_owned()
            },
        ];
        for way in ways {
            for procs in [1, 3] {
                let run = |x: i128| {
                    let input = way(x);
                    let arguments =
                        format!("-q -n {procs} -k square --dtype {name} --input {input}");
                    sandbox.spmd(&arguments).run()
                };
                let squares = [root - 2, root - 1, root].map(|x| (x * x).to_string()).join(", ");
                assert_eq!(run(root).ok().text(), format!("Results: [{squares}]\n"));
                let refused = run(root + 1).failed(2, &format!("overflows {name} at index 2"));
                assert!(refused.stderr.contains(&format!("input {}", root + 1)));
                assert!(refused.stderr.contains(&format!("largest exact input is {root}")));
            }
        }
    }
}

#[test]
fn negative_inputs_have_the_same_limit() {
    let sandbox = Sandbox::new();
    for kind in [Type::I32, Type::I64] {
        let (name, root) = (kind.name(), kind.largest_exact());
        for input in [format!("range:{}:{}", -root, 2 - root), format!("{},{}", -root, 1 - root)] {
            let done = sandbox.spmd(&format!("-q -n 2 -k square --dtype {name} --input {input}"));
            let squares = format!("{}, {}", root * root, (root - 1) * (root - 1));
            assert_eq!(done.run().ok().text(), format!("Results: [{squares}]\n"));
        }
        for (input, index) in [
            (format!("range:{}:{}", -root - 1, 2 - root), 0),
            (format!("5,{},{}", -root - 1, -root - 2), 1),
        ] {
            sandbox
                .spmd(&format!("-n 2 -k square --dtype {name} --input {input}"))
                .run()
                .failed(2, &format!("at index {index}"))
                .says(&format!("input {}", -root - 1));
        }
    }
}

#[test]
fn the_first_offending_index_is_named_whoever_finds_it() {
    let sandbox = Sandbox::new();
    let n = 50_000;
    let mut inputs = vec![1; n];
    for at in [49_999, 30_001, 12_345, 12_346] {
        inputs[at] = Type::U32.bits(65_536);
    }
    sandbox.write("in.npy", npy::little(Type::U32, &[n], &inputs));
    for procs in [1, 2, 3, 7] {
        for schedule in ["static", "dynamic,10", "guided"] {
            sandbox
                .spmd(&format!(
                    "-q -n {procs} -k square --schedule {schedule} --input in.npy --output out.npy"
                ))
                .run()
                .failed(2, "at index 12345: input 65536");
        }
    }
    assert_eq!(sandbox.names(), ["in.npy"], "nothing is written");
}

#[test]
fn integers_wrap_or_saturate_on_request() {
    let sandbox = Sandbox::new();
    for kind in Type::INTEGERS {
        let root = kind.largest_exact();
        let most = match kind {
            Type::I32 => i128::from(i32::MAX),
            Type::I64 => i128::from(i64::MAX),
            Type::U32 => i128::from(u32::MAX),
            _ => i128::from(u64::MAX),
        };
        let mut inputs = vec![root, root + 1, root + 2, most, most - 1, most / 3, 0, 1];
        if kind.is_signed() {
            inputs.extend([-root - 1, -most - 1, -most]);
        }
        let bits: Vec<u64> = inputs.iter().map(|&x| kind.bits(x)).collect();
        sandbox.write("in.npy", npy::little(kind, &[bits.len()], &bits));
        let wrapped: Vec<u64> = bits.iter().map(|&x| kind.square(x)).collect();
        let stopped: Vec<u64> = bits.iter().map(|&x| kind.square_saturating(x)).collect();
        for (how, expected) in [("wrap", wrapped), ("saturate", stopped)] {
            for mode in ["", "--in-place", "--in-place --on-death fail"] {
                let arguments = "-n 3 -k square --input in.npy --output - --verify full --overflow";
                let done = sandbox.spmd(&format!("{arguments} {how} {mode}")).run().ok();
                assert_eq!(done.text(), kind.lines(&expected), "{kind:?} {how}");
            }
        }
    }
}

#[test]
fn odd_floats_keep_their_bits() {
    // The tables of schedules.rs hold these too; here they are alone and by name.
    let sandbox = Sandbox::new();
    let singles: [u32; 9] = [
        0x7fc0_0001, // NaN with a payload
        0xffc0_0000, // negative NaN
        0x7f80_0000, // infinity
        0xff80_0000, // -infinity
        0x8000_0000, // -0
        0x0000_0001, // least denormal
        0x1e3c_e508, // square is a denormal
        0x5f80_0000, // square overflows to infinity
        0x7f7f_ffff, // greatest
    ];
    let bits: Vec<u64> = singles.iter().map(|&bits| bits.into()).collect();
    for file in [npy::little(Type::F32, &[9], &bits), npy::big(Type::F32, &[9], &bits)] {
        sandbox.write("in.npy", file);
        for mode in ["", "--in-place", "--in-place --on-death fail"] {
            let arguments = "-n 2 -k square --input in.npy --output out.bin --verify full";
            sandbox.spmd(&format!("{arguments} {mode}")).run().ok();
            assert_eq!(sandbox.read("out.bin"), Type::F32.bytes(&Type::F32.squares(&bits)));
        }
    }
    let done = sandbox.spmd("-q -n 1 -k square --input nan,-inf,-0.0,5e-324,1e200").run().ok();
    assert_eq!(done.text(), "Results: [NaN, inf, 0.0, 0.0, inf]\n");
}

#[test]
fn hello_names_a_rank_for_every_index() {
    let sandbox = Sandbox::new();
    for (dtype, numbers) in [("i64", ["7", "8", "9"]), ("f32", ["7.0", "8.0", "9.0"])] {
        let arguments = format!("-n 3 -k hello --input range:7:10 --dtype {dtype}");
        let done = sandbox.spmd(&arguments).run().ok();
        let lines: Vec<&str> = done.text().lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], "All processes finished");
        let table =
            done.stderr.lines().skip_while(|line| !line.contains("rank ") || !line.contains("pid"));
        let pids: BTreeSet<&str> =
            table.skip(1).take(3).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(pids.len(), 3, "{}", done.told());
        for (line, number) in lines.iter().zip(numbers) {
            let (pid, found) =
                line.strip_prefix("Process ID: ").unwrap().split_once(", Number: ").unwrap();
            assert_eq!(found, number);
            assert!(pids.contains(pid), "{}", done.told());
            assert_ne!(pid, done.pid.to_string(), "a rank is not the launcher");
        }
    }
}

#[test]
fn the_pids_of_hello_are_those_in_the_record() {
    let sandbox = Sandbox::new();
    let arguments = "-n 2 -k hello --size 100 --schedule static --json --output out.txt";
    let record = sandbox.spmd(arguments).run().ok().json();
    let pids: BTreeSet<String> = record["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|worker| worker["pid"].as_u64().unwrap().to_string())
        .collect();
    let found = String::from_utf8(sandbox.read("out.txt")).unwrap();
    let found: BTreeSet<String> = found.lines().map(str::to_owned).collect();
    assert_eq!(found, pids);
}

#[test]
fn hello_cannot_be_verified_and_says_so() {
    let sandbox = Sandbox::new();
    for how in ["full", "sample"] {
        sandbox
            .spmd(&format!("-n 1 -k hello --verify {how}"))
            .run()
            .failed(2, "cannot be verified");
    }
}

fn collatz(mut x: u128) -> u64 {
    let mut steps = 0;
    while x > 1 {
        x = if x.is_multiple_of(2) { x / 2 } else { 3 * x + 1 };
        steps += 1;
    }
    steps
}

#[test]
fn collatz_counts_steps() {
    let sandbox = Sandbox::new();
    let n = 3000;
    let steps: String = (0..n).map(|x| collatz(x).to_string() + "\n").collect();
    for dtype in ["i32", "i64", "u32", "u64"] {
        for mode in ["", "--in-place", "--in-place --on-death fail"] {
            let arguments = format!(
                "-n 3 -k collatz --size {n} --dtype {dtype} --output - --verify full {mode}"
            );
            assert_eq!(sandbox.spmd(&arguments).run().ok().text(), steps, "{arguments}");
        }
    }
    // Paths that leave 64 bits.
    let done = sandbox.spmd("-q -n 1 -k collatz --input 27,837799,18446744073709551615").run().ok();
    let far = collatz(u64::MAX.into());
    assert_eq!(done.text(), format!("Results: [111, 524, {far}]\n"));
}

#[test]
fn collatz_refuses_what_it_is_not_defined_for() {
    let sandbox = Sandbox::new();
    for input in ["5,-1,3", "range:-1:5"] {
        let index = usize::from(input.starts_with('5'));
        sandbox
            .spmd(&format!("-n 2 -k collatz --input {input}"))
            .run()
            .failed(2, &format!("not defined at index {index}: input -1"));
    }
    sandbox.spmd("-n 2 -k collatz --dtype f64 --size 3").run().failed(2, "does not work on f64");
}

#[test]
fn spin_returns_what_its_indices_cost() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("-q -n 2 -k spin --size 4 --param cost=2us").run().ok();
    assert_eq!(done.text(), "Results: [2000, 2000, 2000, 2000]\n");
    let linear = "-q -n 2 -k spin --size 4 --param cost=1000ns --param dist=linear";
    assert_eq!(sandbox.spmd(linear).run().ok().text(), "Results: [250, 750, 1250, 1750]\n");
    for dist in ["exp", "heavy"] {
        let digest = |seed: u64, procs: u32| {
            let arguments = format!(
                "-n {procs} -k spin --size 500 --param cost=100ns --param dist={dist} --seed {seed} --json"
            );
            sandbox.spmd(&arguments).run().ok().json()["result"]["digest"].clone()
        };
        assert_eq!(digest(1, 1), digest(1, 3), "costs depend on seed and index alone");
        assert_ne!(digest(1, 1), digest(2, 1));
    }
}

#[test]
fn spin_does_its_serial_share_on_rank_0() {
    let sandbox = Sandbox::new();
    let arguments = "-n 2 -k spin --size 200 --param cost=100us --param serial=1 --json";
    let record = sandbox.spmd(arguments).run().ok().json();
    let busy = |rank: usize| record["workers"][rank]["busy_s"].as_f64().unwrap();
    assert!(busy(0) > 0.015, "rank 0 does 200 x 100 us alone: {record}");
    assert!(busy(1) < busy(0), "{record}");
}

#[test]
fn what_is_planted_in_spin_changes_no_result_with_the_ranks() {
    let sandbox = Sandbox::new();
    let uneven = "-q -k spin --size 5 --param cost=1us --param imbalance=0.5 --verify full -n";
    for procs in [1, 2, 3] {
        let done = sandbox.spmd(&format!("{uneven} {procs}")).run().ok();
        assert_eq!(done.text(), "Results: [500, 500, 1000, 1500, 1500]\n");
    }
    let plain = sandbox.spmd("-q -n 1 -k spin --size 300 --param dist=exp --output -").run().ok();
    for procs in [1, 2, 3] {
        let arguments = format!(
            "-q -n {procs} -k spin --size 300 --param dist=exp --param contention=0.5 --verify full"
        );
        let done = sandbox.spmd(&format!("{arguments} --output -")).run().ok();
        assert_eq!(done.text(), plain.text());
    }
}

#[test]
fn spin_takes_no_less_than_what_is_planted_in_it() {
    let sandbox = Sandbox::new();
    // Of 40 ms of work, with two ranks; whatever disturbs them makes it more.
    for (plant, least) in [
        ("serial=0.4", 0.4 + 0.6 / 2.0),
        ("imbalance=0.6", 1.6 / 2.0),
        ("contention=0.8", 0.8),
        ("contention=1", 1.0),
    ] {
        let work = "-n 2 -k spin --size 40 --param cost=1ms --schedule static";
        let record = sandbox.spmd(&format!("{work} --param {plant} --json")).run().ok().json();
        let pass = record["time"]["pass_s"]["median"].as_f64().unwrap();
        assert!(pass >= 0.04 * least, "{plant}: {pass} s: {record}");
    }
}

#[test]
fn parameters_are_checked_and_corrected() {
    let sandbox = Sandbox::new();
    for (parameter, message, hint) in [
        ("cots=1us", "kernel `spin` has no parameter `cots`", "did you mean `cost`?"),
        (
            "bogus=1",
            "kernel `spin` has no parameter `bogus`",
            "it takes cost, dist, serial, imbalance, contention",
        ),
        ("cost=5", "`5` is no value for parameter `cost`", "a time with its unit"),
        ("cost=-1us", "`-1us` is no value for parameter `cost`", "a time with its unit"),
        ("serial=2", "`2` is no value for parameter `serial`", "a number from 0 to 1"),
        ("dist=normal", "`normal` is no value for parameter `dist`", "const, linear, exp, heavy"),
        ("cost", "`cost` is not of the form KEY=VALUE", ""),
    ] {
        sandbox.spmd(&format!("-k spin --param {parameter}")).run().failed(2, message).says(hint);
    }
    sandbox
        .spmd("-k square --param x=1")
        .run()
        .failed(2, "has no parameter `x`")
        .says("takes none");
}

#[test]
fn kernels_are_listed_and_described() {
    let sandbox = Sandbox::new();
    let list = sandbox.spmd("kernels").run().ok();
    for name in ["square", "hello", "collatz", "spin", "chain", "mandelbrot", "triad"] {
        assert!(list.text().lines().any(|line| line.starts_with(name)), "{}", list.told());
    }
    let square = sandbox.spmd("kernels square").run().ok();
    for text in ["square: ", "i32 i64 u32 u64 f32 f64", "46340", "3037000499", "--verify"] {
        assert!(square.text().contains(text), "{}", square.told());
    }
    let spin = sandbox.spmd("kernels spin").run().ok();
    for text in ["--param cost=VALUE", "default 1us", "const|linear|exp|heavy"] {
        assert!(spin.text().contains(text), "{}", spin.told());
    }
    sandbox.spmd("kernels sqare").run().failed(127, "no kernel `sqare`").says("`square`?");
}
