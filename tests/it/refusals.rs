//! What cannot work is refused at once, in one line that says what and where, and leaves nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use crate::npy;
use crate::sandbox::{SPMD, Sandbox, is_root, skipped};
use crate::values::Type;

fn fifo(sandbox: &Sandbox, name: &str) {
    let made = Command::new("mkfifo").arg(sandbox.path(name)).status().unwrap();
    assert!(made.success());
}

#[test]
fn text_that_is_not_numbers_is_refused_with_its_place() {
    let sandbox = Sandbox::new();
    for (text, place, what) in [
        ("1,2\n3\n", ":2:1: ", "1 numbers in this row, 2 in the first"),
        ("1,2\n3,4,5\n", ":2:1: ", "3 numbers in this row, 2 in the first"),
        ("1\n2\nx\n", ":3:1: ", "`x` is not a number"),
        ("1, 2, three\n", ":1:7: ", "`three` is not a number"),
        ("1,,2\n", ":1:3: ", "no number before the comma"),
        ("1,2,\n", ":1:5: ", "no number after the last comma"),
        ("0x10\n", ":1:1: ", "hexadecimal"),
        ("1;2\n", ":1:1: ", "`1;2` is not a number"),
        ("1\0", ":1:1: ", "is not a number"),
    ] {
        for name in ["bad.csv", "bad.txt"] {
            sandbox.write(name, text);
            let refused = sandbox.spmd(&format!("-k square --input {name}")).run();
            refused.failed(2, &format!("{name}{place}")).says(what);
        }
        let refused = sandbox.spmd("-k square --input -").input(text).run();
        refused.failed(2, &format!("standard input{place}")).says(what);
    }
    sandbox.write("bad.txt", b"1\n\xff\xfe\n");
    sandbox.spmd("-k square --input bad.txt").run().failed(2, "bad.txt:2:1: ");
    sandbox.write("bad.txt", "1\n1.5\n");
    sandbox.spmd("-k square --dtype i64 --input bad.txt").run().failed(2, "bad.txt:2:1: ");
    sandbox.write("bad.txt", "1\n4294967296\n");
    sandbox.spmd("-k square --dtype u32 --input bad.txt").run().failed(2, "range of u32");
}

#[test]
fn literals_that_are_not_numbers_are_refused() {
    let sandbox = Sandbox::new();
    for input in ["1,x", "1,,2", "x", "1;2", "range:1", "range:a:b", "range:5:1", "range:0:1:2"] {
        sandbox.spmd(&format!("-k square --input {input}")).run().failed(2, input);
    }
    sandbox.spmd("-k square --dtype u32 --input 1,-1").run().failed(2, "--input:1:3: ");
    sandbox.spmd("-k square --dtype i32 --input 2147483648").run().failed(2, "range of i32");
}

#[test]
fn npy_files_that_lie_are_refused() {
    let sandbox = Sandbox::new();
    let good = npy::little(Type::I64, &[4], &[1, 2, 3, 4]);
    let header = |descr: &str, order: &str, shape: &str| {
        let text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
        npy::raw(&text, &Type::I64.bytes(&[1, 2, 3, 4]))
    };
    let mut huge = good.clone();
    huge[8..10].copy_from_slice(&[0xff, 0xff]);
    let mut version = good.clone();
    version[6] = 9;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "not a .npy file"),
        ("text", b"1,2,3".to_vec(), "not a .npy file"),
        ("magic alone", good[..6].to_vec(), "cut off"),
        ("half a header", good[..40].to_vec(), "header"),
        ("one byte short", good[..good.len() - 1].to_vec(), "payload is too short"),
        ("one byte long", [&good[..], b"x"].concat(), "payload is too long"),
        ("no payload", good[..good.len() - 32].to_vec(), "payload is too short"),
        ("a header of 65535 bytes", huge, "header claims"),
        ("version 9", version, "unknown .npy version 9.0"),
        ("larger than it is", header("'<i8'", "False", "(5,)"), "payload is too short"),
        ("2^63 elements", header("'<i8'", "False", "(9223372036854775808,)"), "a dimension of"),
        ("2^70 elements", header("'<i8'", "False", "(1180591620717411303424,)"), "too large"),
        ("a product of 2^64", header("'<i8'", "False", "(4294967296, 4294967296)"), "elements"),
        ("a negative shape", header("'<i8'", "False", "(-4,)"), "negative"),
        ("Fortran order", header("'<i8'", "True", "(2, 2)"), "Fortran order"),
        ("complex", header("'<c16'", "False", "(2,)"), "dtype `<c16` is not supported"),
        ("half floats", header("'<f2'", "False", "(16,)"), "dtype `<f2` is not supported"),
        ("small integers", header("'|i1'", "False", "(32,)"), "dtype `|i1` is not supported"),
        ("booleans", header("'|b1'", "False", "(32,)"), "dtype `|b1` is not supported"),
        ("objects", header("'|O'", "False", "(4,)"), "dtype `|O` is not supported"),
        ("strings", header("'<U2'", "False", "(4,)"), "dtype `<U2` is not supported"),
        ("a structure", header("[('a', '<i8')]", "False", "(4,)"), "structured"),
        ("code", header("__import__('os')", "False", "(4,)"), "npy header"),
        (
            "no shape",
            npy::raw("{'descr': '<i8', 'fortran_order': False, }", b""),
            "`shape` is missing",
        ),
    ];
    for (what, bytes, message) in cases {
        sandbox.write("bad.npy", &bytes);
        let refused = sandbox.spmd("-k square --input bad.npy --output out.npy").run();
        refused.failed(2, "bad.npy").says(message);
        if bytes.starts_with(b"\x93NUMPY") {
            let refused = sandbox.spmd("-k square --input -").input(bytes).run();
            refused.failed(2, message);
        }
        assert_eq!(sandbox.names(), ["bad.npy"], "{what}");
    }
    sandbox.write("i64.npy", good);
    sandbox.spmd("-k square --dtype f64 --input i64.npy").run().failed(2, "holds i64");
}

#[test]
fn raw_files_need_a_type_and_a_whole_number_of_elements() {
    let sandbox = Sandbox::new();
    sandbox.write("x.bin", [0; 12]);
    sandbox.spmd("-k square --input x.bin").run().failed(2, "x.bin").says("--dtype");
    sandbox.spmd("-k square --input x.bin --dtype i64").run().failed(2, "not a multiple of 8");
    sandbox.spmd("-q -n 1 -k square --input x.bin --dtype i32").run().ok();
}

#[test]
fn inputs_that_are_no_files_are_refused_and_never_waited_for() {
    let sandbox = Sandbox::new();
    for extension in ["npy", "csv", "txt", "bin"] {
        let name = |kind: &str| format!("{kind}.{extension}");
        let run = |name: &str| {
            sandbox.spmd(&format!("-k square --dtype f64 --input {name}")).deadline(20).run()
        };
        fs::create_dir(sandbox.path(&name("dir"))).unwrap();
        run(&name("dir")).failed(2, "is a directory");
        fifo(&sandbox, &name("fifo"));
        run(&name("fifo")).failed(2, "is a FIFO");
        let _listener = UnixListener::bind(sandbox.path(&name("socket"))).unwrap();
        run(&name("socket")).failed(2, "is a socket");
        std::os::unix::fs::symlink("/dev/zero", sandbox.path(&name("device"))).unwrap();
        run(&name("device")).failed(2, "is a character device");
        std::os::unix::fs::symlink(name("loop"), sandbox.path(&name("loop"))).unwrap();
        run(&name("loop")).failed(2, &name("loop"));
        run(&name("missing")).failed(2, &name("missing")).says("o such file");
    }
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    // Would take minutes: whoever starts it before looking at the output fails by its deadline.
    let slow = "-n 2 -k spin --param cost=1s --size 1000";
    for extension in ["npy", "csv", "txt", "bin"] {
        let name = |kind: &str| format!("{kind}.{extension}");
        let run = |name: &str| sandbox.spmd(&format!("{slow} --output {name}")).deadline(20).run();
        run(&name("missing/out")).failed(2, "no directory `missing`").says("mkdir");
        fs::create_dir(sandbox.path(&name("dir"))).unwrap();
        run(&name("dir")).failed(2, "is a directory, not a regular file");
        fifo(&sandbox, &name("fifo"));
        run(&name("fifo")).failed(2, "is a FIFO, not a regular file");
        std::os::unix::fs::symlink("/dev/full", sandbox.path(&name("device"))).unwrap();
        run(&name("device")).failed(2, "is a character device, not a regular file");
        sandbox.write("file", "");
        run(&format!("file/out.{extension}")).failed(2, "not a directory");
        run(&format!("out.{extension}/")).failed(2, "directory");
    }
    sandbox.spmd(&format!("{slow} --output out.dat")).run().failed(2, "no known extension");
    sandbox.spmd(&format!("{slow} --output out")).run().failed(2, "no known extension");
    sandbox.spmd(&format!("{slow} --output")).arg("").run().failed(2, "extension");
}

#[test]
fn files_of_others_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("secret.txt", "1\n");
    fs::set_permissions(sandbox.path("secret.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(sandbox.path("closed")).unwrap();
    fs::set_permissions(sandbox.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let Some(user) = plain_user(&sandbox) else { return };
    let run = |arguments: &str| sandbox.shell(&format!("exec {user} \"$0\" {arguments}")).run();
    run("-k square --input secret.txt").failed(2, "secret.txt").says("ermission denied");
    run("-k square --output secret.txt").failed(2, "secret.txt").says("ermission denied");
    run("-k square --output closed/out.npy").failed(2, "closed").says("ermission denied");
    fs::set_permissions(sandbox.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns words that run a command as a user without privileges; says why if there are none.
fn plain_user(sandbox: &Sandbox) -> Option<String> {
    if !is_root() {
        return Some(String::new());
    }
    let user = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let probe = sandbox.shell(&format!("exec {user} \"$0\" --version")).run();
    if probe.code == Some(0) {
        return Some(user.to_owned());
    }
    skipped("this is root, and no other user may run the program from where it is");
    None
}

#[test]
fn numbers_of_ranks_that_are_none_are_refused() {
    let sandbox = Sandbox::new();
    for procs in ["0", "-1", "1e9", "4097", "18446744073709551616", "two", "4.0", "+4", "1,2"] {
        for option in ["--procs", "-n", "--np"] {
            let refused = sandbox.spmd(&format!("-k square {option} {procs}")).run();
            refused.failed(2, &format!("`{procs}` is no number of ranks")).says("--procs");
        }
    }
    sandbox.spmd("-k square --procs").arg("").run().failed(2, "no number of ranks");
}

#[test]
fn cpus_that_do_not_exist_are_refused() {
    let sandbox = Sandbox::new();
    for cpus in ["999", "1024", "1023", "0,999", "0-4096", "1048575"] {
        sandbox
            .spmd(&format!("-n 1 -k square --cpus {cpus}"))
            .run()
            .failed(2, &format!("--cpus {cpus}"))
            .says("this process may use cpus ");
    }
    for cpus in ["-1", "x", "3-1", "0-", "1048576", "4294967296", "0:0", ","] {
        sandbox.spmd(&format!("-n 1 -k square --cpus {cpus}")).run().failed(2, "in the cpu list");
    }
    sandbox.spmd("-n 1 -k square --cpus").arg("").run().failed(2, "in the cpu list");
}

#[test]
fn sizes_that_overflow_are_refused() {
    let sandbox = Sandbox::new();
    for size in [
        "1e18",
        "18446744073709551615",
        "18446744073709551616",
        "2305843009213693952",
        "1e99",
        "1099511627777",
        "-1",
        "1.5",
        "x",
        "16777216Ti",
    ] {
        for dtype in ["i64", "f32"] {
            let arguments = format!("-k square --overflow wrap --dtype {dtype} --size {size}");
            let refused = sandbox.spmd(&arguments).run();
            assert_eq!(refused.code, Some(2), "{}", refused.told());
            refused.message("spmd: error: ");
        }
    }
    for range in [
        "range:0:18446744073709551616",
        "range:-9223372036854775808:9223372036854775808",
        "range:-18446744073709551616:18446744073709551616",
        "range:0:1e30",
        "range:0:99999999999999999999999999999999999999999999",
    ] {
        for dtype in ["", "--dtype f64"] {
            let refused = sandbox.spmd(&format!("-k square --input {range} {dtype}")).run();
            refused.failed(2, "range:");
        }
    }
    // Fits the type and the arithmetic, and no machine.
    for backing in ["shm", "memfd"] {
        let arguments = format!("-n 1 -k collatz --size 1e12 --backing {backing}");
        sandbox.spmd(&arguments).run().failed(125, "need ");
    }
    let refused = sandbox.spmd("-n 1 -k spin --dtype f64 --size 1e12 --output out.npy").run();
    refused.failed(125, "out.npy");
}

#[test]
fn chunks_and_schedules_that_are_none_are_refused() {
    let sandbox = Sandbox::new();
    for (schedule, message) in [
        ("dinamic", "did you mean `dynamic`?"),
        ("gided", "did you mean `guided`?"),
        ("round-robin", "one of static[,C], dynamic[,C], guided[,C]"),
        ("dynamic,0", "at least 1"),
        ("dynamic,-1", "at least 1"),
        ("dynamic,x", "at least 1"),
        ("dynamic,", "at least 1"),
        ("dynamic,1,2", "at least 1"),
        ("static,99999999999999999999", "at least 1"),
    ] {
        sandbox.spmd(&format!("-k square --schedule {schedule}")).run().failed(2, message);
    }
}

#[test]
fn options_that_are_none_get_a_suggestion() {
    let sandbox = Sandbox::new();
    for (arguments, message, hint) in [
        ("--scedule dynamic", "unknown option `--scedule`", "did you mean `--schedule`?"),
        ("--kernal square", "unknown option `--kernal`", "did you mean `--kernel`?"),
        ("-k square -np 4", "unknown option `-np`", "did you mean `--np`?"),
        ("-np 4 -k square", "unknown option `-np`", "did you mean `--np`?"),
        ("-k square --zzz", "unknown option `--zzz`", "--help"),
        ("-k square --bind cor", "`cor` is no value for `--bind", "did you mean `core`?"),
        ("-k square --map closed", "`closed` is no value for `--map", "did you mean `close`?"),
        ("-k square --wait spun", "`spun` is no value for `--wait", "did you mean `spin`?"),
        ("-k square --verify ful", "`ful` is no value for `--verify", "did you mean `full`?"),
        ("-k square --overflow wrp", "`wrp` is no value for `--overflow", "did you mean `wrap`?"),
        ("-k square --backing shn", "`shn` is no value for `--backing", "did you mean `shm`?"),
        ("-k square --dtype i16", "unknown dtype `i16`", "i32, i64, u32, u64, f32, f64"),
        ("-k square --timeout 5parsec", "`5parsec` is no length of time", "500ms, 30s, 5m, 1h"),
        ("-k square --timeout 0", "`0` is no length of time", "500ms"),
        ("-k square --repeats 0", "`0` is no value for `--repeats", ""),
        ("-k square --seed -1", "`-1` is no value for `--seed", ""),
        ("-k square --repeats -1", "`-1` is no value for `--repeats", ""),
        ("-k square --warmup -1", "`-1` is no value for `--warmup", ""),
        ("-k square -q -v", "cannot be used with", ""),
        ("-k", "needs a value", ""),
        ("-k square --size 3 --input 1,2", "--size and --input", "give one of the two"),
        ("kernel", "unknown command `kernel`", "did you mean `kernels`?"),
        ("plan", "no kernel named", "--kernel square"),
        ("", "no kernel named", "--kernel square"),
        ("--procs 4", "no kernel named", "--kernel square"),
    ] {
        sandbox.spmd(arguments).run().failed(2, message).says(hint);
    }
}

#[test]
fn kernels_that_are_none_get_a_suggestion() {
    let sandbox = Sandbox::new();
    for (name, hint) in [
        ("squar", "did you mean `square`?"),
        ("helo", "did you mean `hello`?"),
        ("zzzzzzzzz", "`spmd kernels` lists them"),
    ] {
        let refused = sandbox.spmd(&format!("-n 2 -k {name}")).run();
        refused.failed(127, &format!("there is no kernel `{name}`")).says(hint);
    }
    sandbox.spmd("-k").arg("").run().failed(127, "no kernel ``");
}

#[test]
fn a_full_dev_shm_is_a_clear_refusal_and_memfd_the_way_around() {
    let sandbox = Sandbox::new();
    let mounts = "mount -t tmpfs -o size=1m none /dev/shm && exec \"$0\"";
    let run = |arguments: &str| Some(sandbox.mounted(&format!("{mounts} {arguments}"))?.run());
    let Some(refused) = run("-n 2 -k square --size 1e6") else { return };
    refused.failed(125, "/dev/shm has ").says("--backing memfd");
    run("-n 2 -k square --size 1e6 --in-place").unwrap().failed(125, "/dev/shm has ");
    run("-n 2 -k square --size 1e6 --json").unwrap().exited(125);
    let done = run("-q -n 2 -k square --size 1e6 --backing memfd").unwrap().ok();
    assert!(done.text().starts_with("Results: [0, 1, 4, "));
    run("-q -n 2 -k square --size 1e4").unwrap().ok();
    // Results in the output file need no room there.
    run("-q -n 2 -k square --size 1e6 --output out.npy").unwrap().ok();
}

#[test]
fn a_dev_shm_that_fills_up_during_the_run_kills_nobody() {
    let sandbox = Sandbox::new();
    // Free when it is asked, full when the ranks touch their slices: another user was faster.
    let script = "mount -t tmpfs -o size=4m none /dev/shm || exit 9
        (trap exit TERM; while :; do head -c 3m /dev/zero > /dev/shm/x; rm /dev/shm/x; done) &
        for i in 1 2 3 4 5 6 7 8 9 10; do \"$0\" -q -n 2 -k square --size 3e5; echo $?; done
        kill $!; wait";
    let Some(job) = sandbox.mounted(script) else { return };
    let done = job.orphans_follow().run();
    assert!(!done.stderr.contains("SIGBUS"), "{}", done.told());
    let codes = done.text().lines().filter(|line| !line.starts_with("Results"));
    for code in codes {
        assert!(code == "0" || code == "125", "{}", done.told());
    }
}

#[test]
fn a_missing_or_read_only_dev_shm_is_a_clear_refusal() {
    let sandbox = Sandbox::new();
    let script = "mount -t tmpfs -o ro none /dev/shm && exec \"$0\" -n 2 -k square";
    let Some(job) = sandbox.mounted(script) else { return };
    job.run().failed(125, "shared memory");
}

#[test]
fn a_full_disk_fails_the_run_and_keeps_the_old_output() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("disk")).unwrap();
    let run = |name: &str, size: &str| {
        let script = format!(
            "mount -t tmpfs -o size=1m none disk && echo old > disk/{name} \
             && \"$0\" -n 2 -k square --size {size} --output disk/{name}; \
             code=$?; cat disk/{name}; ls -A disk; exit $code"
        );
        Some(sandbox.mounted(&script)?.run())
    };
    // These reserve before anything runs.
    for name in ["out.npy", "out.bin"] {
        let Some(refused) = run(name, "1e6") else { return };
        let refused = refused.exited(125).message("needs ").says("bytes are free");
        assert_eq!(refused.text(), format!("old\n{name}\n"));
    }
    // How long a text will be is known only when it has been written.
    for name in ["out.csv", "out.txt"] {
        let failed = run(name, "1e6").unwrap().exited(1).message("cannot write output");
        assert_eq!(failed.text(), format!("old\n{name}\n"));
    }
}

#[test]
fn a_limit_on_file_sizes_fails_the_run_and_keeps_the_old_output() {
    let sandbox = Sandbox::new();
    for name in ["out.npy", "out.txt"] {
        sandbox.write(name, "old");
        let script = format!(
            "ulimit -f 100; exec \"$0\" -n 2 -k square --size 1e6 --backing memfd --output {name}"
        );
        let failed = sandbox.shell(&script).run();
        assert!(matches!(failed.code, Some(1 | 125)), "{}", failed.told());
        failed.message("arge");
        assert_eq!(sandbox.read(name), b"old");
    }
}

#[test]
fn too_few_descriptors_are_refused_before_the_first_rank() {
    let sandbox = Sandbox::new();
    for limit in [8, 10, 12, 16, 20] {
        let script = format!("ulimit -n {limit}; exec \"$0\" -n 4 -k square");
        sandbox.shell(&script).run().failed(125, "ile");
    }
    sandbox.shell("ulimit -n 16; exec \"$0\" -n 4 -k square").run().failed(125, "open files");
    sandbox.shell("ulimit -n 64; exec \"$0\" -q -n 4 -k square").run().ok();
}

#[test]
fn too_few_processes_are_a_clear_refusal() {
    let sandbox = Sandbox::new();
    let Some(user) = plain_user(&sandbox) else { return };
    for limit in [1, 2, 3] {
        // A limit of the user's: whatever else runs as that user counts too.
        let script = format!("exec {user} prlimit --nproc={limit} \"$0\" -n 6 -k square");
        sandbox.shell(&script).run().failed(125, "cannot start");
    }
}

#[test]
fn too_little_address_space_is_a_clear_refusal() {
    let sandbox = Sandbox::new();
    let script = "ulimit -v 200000; exec \"$0\" -n 2 -k square --size 1e8";
    let refused = sandbox.shell(script).run();
    refused.failed(125, "emory");
}

#[test]
fn an_input_that_shrinks_or_changes_during_the_run_fails_it() {
    let sandbox = Sandbox::new();
    for change in ["shrink", "change"] {
        let file = npy::little(Type::I64, &[200], &[1; 200]);
        sandbox.write("in.npy", &file);
        sandbox.write("out.npy", "old");
        let arguments =
            "-n 2 -k spin --param cost=10ms --schedule static --input in.npy --output out.npy";
        let mut running = sandbox.spmd(arguments).start();
        let ranks = running.ranks(2);
        if change == "shrink" {
            running.until("the input mapped", |_| {
                let maps = |rank| std::fs::read_to_string(format!("/proc/{rank}/maps"));
                let mapped = |rank| maps(rank).is_ok_and(|maps| maps.contains("in.npy"));
                ranks.iter().all(mapped).then_some(())
            });
        }
        if change == "shrink" {
            fs::File::options()
                .write(true)
                .open(sandbox.path("in.npy"))
                .unwrap()
                .set_len(200)
                .unwrap();
        } else {
            std::thread::sleep(Duration::from_millis(20)); // A coarse clock must have moved.
            sandbox.write("in.npy", &file);
        }
        let failed = running.wait();
        assert_eq!(failed.code, Some(1), "{}", failed.told());
        failed.message("in.npy");
        assert_eq!(sandbox.read("out.npy"), b"old");
    }
}

#[test]
fn an_input_that_shrinks_under_the_ranks_is_named_and_not_only_the_signal_it_caused() {
    let sandbox = Sandbox::new();
    sandbox.write("in.npy", npy::little(Type::I64, &[1_000_000], &[1; 1_000_000]));
    let arguments = "-n 2 -k square --input in.npy --repeats 1000000";
    let mut running = sandbox.spmd(arguments).start();
    running.ranks(2);
    fs::File::options().write(true).open(sandbox.path("in.npy")).unwrap().set_len(128).unwrap();
    running.wait().failed(1, "input `in.npy` shrank while it was read: 128 bytes, 8000128 before");
}

#[test]
fn nothing_of_the_machine_is_touched_by_a_refusal() {
    let sandbox = Sandbox::new();
    let script = "strace -f -qq -o trace -e trace=clone,clone3,fork,vfork,memfd_create,execve \
        \"$0\" -n 2 -k square --input 46341 --dtype i32 --schedule bogus";
    let done = sandbox.shell(script).run();
    if done.code != Some(2) {
        return skipped("strace does not work here");
    }
    let trace = String::from_utf8(sandbox.read("trace")).unwrap();
    assert_eq!(trace.lines().filter(|line| line.contains("execve(")).count(), 1, "{trace}");
    assert!(!trace.contains("clone"), "{trace}");
    assert!(trace.contains(SPMD));
}

#[test]
fn more_passes_than_a_run_can_count_are_refused() {
    let sandbox = Sandbox::new();
    for many in ["--warmup 4000000000", "--repeats 715827882"] {
        let refused = sandbox.spmd(&format!("-n 1 -k square --size 1 {many}")).run();
        refused.failed(2, "fewer than 715827882 passes");
    }
}
