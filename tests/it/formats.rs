//! What comes in and what goes out: byte for byte, and never half of it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::npy;
use crate::sandbox::Sandbox;
use crate::values::Type;

#[test]
fn npy_keeps_any_shape() {
    let sandbox = Sandbox::new();
    for shape in [
        vec![],
        vec![0],
        vec![1],
        vec![24],
        vec![2, 12],
        vec![2, 3, 4],
        vec![4, 0, 6],
        vec![1, 1, 24, 1],
    ] {
        let n = shape.iter().product();
        let inputs = Type::F64.inputs(n);
        let squares = Type::F64.squares(&inputs);
        sandbox.write("in.npy", npy::little(Type::F64, &shape, &inputs));
        for mode in ["", "--in-place"] {
            let arguments = "-n 3 -k square --input in.npy --output out.npy --json";
            let done = sandbox.spmd(&format!("{arguments} {mode}")).run().ok();
            let file = sandbox.read("out.npy");
            assert!(
                npy::payload(&file, Type::F64, &shape) == Type::F64.bytes(&squares),
                "{shape:?}"
            );
            let dims: Vec<u64> = shape.iter().map(|&dim| dim as u64).collect();
            assert_eq!(done.json()["result"]["shape"], serde_json::json!(dims));
        }
    }
}

#[test]
fn npy_of_every_type_and_byte_order_is_read_and_little_endian_is_written() {
    let sandbox = Sandbox::new();
    for kind in Type::ALL {
        let inputs = kind.inputs(30);
        let squares = kind.bytes(&kind.squares(&inputs));
        for file in [npy::little(kind, &[5, 6], &inputs), npy::big(kind, &[5, 6], &inputs)] {
            sandbox.write("in.npy", &file);
            sandbox.spmd("-n 2 -k square --input in.npy --output out.npy").run().ok();
            assert!(npy::payload(&sandbox.read("out.npy"), kind, &[5, 6]) == squares, "{kind:?}");
            let job = sandbox.spmd("-n 2 -k square --input - --output out2.npy").input(file);
            job.run().ok();
            assert_eq!(sandbox.read("out2.npy"), sandbox.read("out.npy"));
        }
    }
}

#[test]
fn npy_of_versions_1_2_and_3_and_with_an_odd_offset_is_read() {
    let sandbox = Sandbox::new();
    let payload = Type::I32.bytes(&[1, 2, 3]);
    for major in [1_u8, 2, 3] {
        // 3 bytes longer than aligned: the payload cannot be mapped as it lies.
        let text = npy::dictionary("<i4", "(3,)") + "   \n";
        let mut file = b"\x93NUMPY".to_vec();
        file.extend([major, 0]);
        let len = u32::try_from(text.len()).unwrap().to_le_bytes();
        file.extend(if major == 1 { &len[..2] } else { &len[..] });
        file.extend(text.as_bytes());
        file.extend(&payload);
        sandbox.write("in.npy", file);
        let done = sandbox.spmd("-q -n 2 -k square --input in.npy").run().ok();
        assert_eq!(done.text(), "Results: [1, 4, 9]\n", "version {major}");
    }
}

#[test]
fn fortran_order_of_one_dimension_is_c_order_too() {
    let sandbox = Sandbox::new();
    let dictionary = "{'descr': '<i4', 'fortran_order': True, 'shape': (2,), }";
    sandbox.write("in.npy", npy::raw(dictionary, &Type::I32.bytes(&[3, 4])));
    let done = sandbox.spmd("-q -n 1 -k square --input in.npy").run().ok();
    assert_eq!(done.text(), "Results: [9, 16]\n");
}

#[test]
fn text_may_be_rows_columns_or_a_table() {
    let sandbox = Sandbox::new();
    for (text, shape, squares) in [
        ("1,2,3\n4,5,6\n", vec![2, 3], "1,4,9\n16,25,36\n"),
        ("1 2\n3\t4\r\n# five\n5 , 6 # six\n\n", vec![3, 2], "1,4\n9,16\n25,36\n"),
        ("1\n2\n3", vec![3], "1\n4\n9\n"),
        ("\u{feff}1,2,3", vec![3], "1\n4\n9\n"),
        ("1.5\n-2", vec![2], "2.25\n4.0\n"),
        ("18446744073709551615\n0", vec![2], "1\n0\n"),
    ] {
        for name in ["in.csv", "in.txt", "-"] {
            if name != "-" {
                sandbox.write(name, text);
            }
            let arguments =
                format!("-n 2 -k square --overflow wrap --json --input {name} --output out.csv");
            let done = sandbox.spmd(&arguments).input(text).run().ok();
            assert_eq!(done.json()["result"]["shape"], serde_json::json!(shape), "{text:?}");
            assert_eq!(String::from_utf8(sandbox.read("out.csv")).unwrap(), squares, "{text:?}");
        }
    }
}

#[test]
fn the_type_follows_the_numbers_unless_it_is_named() {
    let sandbox = Sandbox::new();
    for (input, dtype, found) in [
        ("1,2", "", "i64"),
        ("1,2.0", "", "f64"),
        ("nan", "", "f64"),
        ("9223372036854775808", "", "u64"),
        ("1e3,2.0", "--dtype i32", "i32"),
        ("1,2", "--dtype f32", "f32"),
        ("range:0:3", "", "i64"),
        ("range:18446744073709551614:18446744073709551616", "", "u64"),
        ("range:-2:2", "--dtype f32", "f32"),
    ] {
        let arguments = format!("-n 1 -k square --overflow wrap --json --input {input} {dtype}");
        assert_eq!(sandbox.spmd(&arguments).run().ok().json()["dtype"], found, "{input}");
    }
}

#[test]
fn output_to_stdout_is_one_value_a_line_and_nothing_else() {
    let sandbox = Sandbox::new();
    let done = sandbox.spmd("-n 2 -k square --input 1.5,nan,-inf --output -").run().ok();
    assert_eq!(done.text(), "2.25\nNaN\ninf\n");
    let done = sandbox.spmd("-n 2 -k square --size 0 --output -").run().ok();
    assert_eq!(done.text(), "");
    let n = 200_000_u64;
    let done = sandbox.spmd(&format!("-n 2 -k square --size {n} --output -")).run().ok();
    assert!(done.text() == (0..n).map(|x| format!("{}\n", x * x)).collect::<String>());
}

#[test]
fn output_may_be_the_input_file() {
    let sandbox = Sandbox::new();
    let inputs = Type::I64.inputs(5000);
    for (name, file) in [
        ("x.npy", npy::little(Type::I64, &[5000], &inputs)),
        ("x.bin", Type::I64.bytes(&inputs)),
        ("x.txt", Type::I64.lines(&inputs).into()),
        ("x.csv", Type::I64.lines(&inputs).into()),
    ] {
        for mode in ["", "--in-place"] {
            for procs in [1, 3] {
                sandbox.write(name, &file);
                let arguments = format!(
                    "-n {procs} -k square --dtype i64 --input {name} --output {name} {mode} --verify full"
                );
                sandbox.spmd(&arguments).run().ok();
                let squares = Type::I64.squares(&inputs);
                let found = sandbox.read(name);
                match name {
                    "x.npy" => assert!(
                        npy::payload(&found, Type::I64, &[5000]) == Type::I64.bytes(&squares)
                    ),
                    "x.bin" => assert!(found == Type::I64.bytes(&squares)),
                    _ => assert!(found == Type::I64.lines(&squares).into_bytes()),
                }
            }
        }
    }
}

#[test]
fn in_place_leaves_the_input_file_alone_unless_it_is_the_output() {
    let sandbox = Sandbox::new();
    let inputs = Type::F32.inputs(100);
    let file = npy::little(Type::F32, &[100], &inputs);
    sandbox.write("in.npy", &file);
    sandbox.spmd("-n 2 -k square --input in.npy --in-place --output out.npy").run().ok();
    assert_eq!(sandbox.read("in.npy"), file);
}

#[test]
fn a_replaced_output_keeps_its_mode_and_a_linked_one_its_link() {
    let sandbox = Sandbox::new();
    sandbox.write("real.npy", "old");
    fs::set_permissions(sandbox.path("real.npy"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.npy", sandbox.path("link.npy")).unwrap();
    sandbox.spmd("-n 1 -k square --input 3 --output link.npy").run().ok();
    assert!(fs::symlink_metadata(sandbox.path("link.npy")).unwrap().is_symlink());
    let mode = fs::metadata(sandbox.path("real.npy")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(npy::payload(&sandbox.read("real.npy"), Type::I64, &[1]), 9_i64.to_le_bytes());
}

#[test]
fn output_appears_only_when_it_is_complete() {
    let sandbox = Sandbox::new();
    for name in ["new.npy", "new.bin", "new.csv", "new.txt"] {
        let arguments =
            format!("-n 2 -k spin --param cost=1ms --size 2000 --schedule static --output {name}");
        let mut running = sandbox.spmd(&arguments).start();
        running.ranks(2);
        assert!(sandbox.names().is_empty(), "{:?}", sandbox.names());
        running.wait().ok();
        assert_eq!(sandbox.names(), [name]);
        fs::remove_file(sandbox.path(name)).unwrap();
    }
}

#[test]
fn a_run_that_fails_leaves_the_old_output_as_it_was() {
    let sandbox = Sandbox::new();
    for name in ["out.npy", "out.bin", "out.csv", "out.txt"] {
        sandbox.write(name, "old");
        let arguments =
            format!("-n 2 -k spin --param cost=10ms --size 100000 --timeout 200ms --output {name}");
        sandbox.spmd(&arguments).run().failed(124, "time limit");
        assert_eq!(sandbox.read(name), b"old");
        sandbox
            .spmd(&format!("-n 2 -k square --size 5e9 --output {name}"))
            .run()
            .failed(2, "overflows");
        assert_eq!(sandbox.read(name), b"old");
    }
}

#[test]
fn names_may_be_anything_a_file_system_takes() {
    let sandbox = Sandbox::new();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe odd\nname.npy");
    fs::write(sandbox.path("x").with_file_name(odd), npy::little(Type::I32, &[1], &[5])).unwrap();
    let job = sandbox.spmd("-n 1 -k square --json --input").arg(odd).arg("--output").arg(odd);
    job.run().ok().json();
    let file = fs::read(sandbox.path("x").with_file_name(odd)).unwrap();
    assert_eq!(npy::payload(&file, Type::I32, &[1]), 25_i32.to_le_bytes());
    sandbox.spmd("-q -n 1 -k square --input 2 --output").arg("1,2.txt").run().ok();
    assert_eq!(sandbox.read("1,2.txt"), b"4\n");
}
