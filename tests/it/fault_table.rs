//! The table of faults in `tests/README.md` is whole, and the tests it names are there.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn every_fault_has_its_row() {
    let table = read("tests/README.md");
    for (letter, rows) in [('W', 21), ('L', 11), ('R', 10), ('S', 11), ('D', 10), ('B', 2)] {
        for number in 1..=rows {
            let row = format!("| {letter}{number} | ");
            assert_eq!(table.matches(&row).count(), 1, "{row}");
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let table = read("tests/README.md");
    let quoted = table.split('`').skip(1).step_by(2);
    let named: Vec<(&str, &str)> = quoted.filter_map(|name| name.split_once("::")).collect();
    assert!(named.len() > 50, "{named:?}");
    for (file, name) in named {
        let file = if file == "cp" { "crash_points" } else { file };
        let text = read(&format!("tests/it/{file}.rs"));
        // An ellipsis stands for the rest of a name.
        let wanted = match name.strip_suffix('…') {
            Some(start) => format!("fn {start}"),
            None => format!("fn {name}()"),
        };
        assert!(text.contains(&wanted), "`{file}::{name}` is not there");
    }
}
