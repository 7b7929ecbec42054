//! Outputs that appear whole, or not at all.

use crate::data::hidden::is_hidden;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;
use crate::data::testing::Folder;
use crate::host::leftover::{self, Deed, Young};

fn write(staged: &StagedFile, text: &str) {
    staged.file().write_all(text.as_bytes()).unwrap();
}

#[test]
fn publishes_a_new_file_only_when_told_to() {
    let folder = Folder::new();
    let target = folder.path("out.bin");
    let staged = StagedFile::create(&target, None).unwrap();
    write(&staged, "new");
    assert_eq!(folder.names(), Vec::<String>::new());
    staged.publish().unwrap();
    assert_eq!(folder.names(), ["out.bin"]);
    assert_eq!(fs::read_to_string(&target).unwrap(), "new");
}

#[test]
fn leaves_nothing_when_dropped() {
    let folder = Folder::new();
    let target = folder.path("out.bin");
    fs::write(&target, "old").unwrap();
    drop(StagedFile::create(&target, Some(1 << 20)).unwrap());
    assert_eq!(folder.names(), ["out.bin"]);
    assert_eq!(fs::read_to_string(&target).unwrap(), "old");
}

#[test]
fn replaces_a_file_and_keeps_its_mode() {
    let folder = Folder::new();
    let target = folder.path("out.bin");
    fs::write(&target, "old").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o4640)).unwrap();
    let before = File::open(&target).unwrap();
    let staged = StagedFile::create(&target, Some(3)).unwrap();
    write(&staged, "new");
    staged.publish().unwrap();
    assert_eq!(folder.names(), ["out.bin"]);
    assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o640);
    // Who still reads the old one, such as the run it is the input of, keeps it.
    assert_eq!(io::read_to_string(before).unwrap(), "old");
}

#[test]
fn follows_links_to_the_file_they_name() {
    let folder = Folder::new();
    fs::create_dir(folder.path("deep")).unwrap();
    symlink("deep/two", folder.path("one")).unwrap();
    symlink("three", folder.path("deep/two")).unwrap();
    for text in ["first", "second"] {
        let staged = StagedFile::create(&folder.path("one"), None).unwrap();
        write(&staged, text);
        staged.publish().unwrap();
        assert!(fs::symlink_metadata(folder.path("one")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(folder.path("deep/two")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(folder.path("deep/three")).unwrap(), text);
    }
}

#[test]
fn refuses_a_loop_of_links() {
    let folder = Folder::new();
    symlink("b", folder.path("a")).unwrap();
    symlink("a", folder.path("b")).unwrap();
    let error = StagedFile::create(&folder.path("a"), None).unwrap_err();
    assert!(error.to_string().ends_with("is behind more than 40 symbolic links"), "{error}");
}

#[test]
fn refuses_what_is_not_a_regular_file() {
    let folder = Folder::new();
    let _listener = UnixListener::bind(folder.path("socket")).unwrap();
    symlink("/dev/full", folder.path("link")).unwrap();
    let at = |name: &str| folder.path(name).into_os_string().into_string().unwrap();
    for (target, what) in [
        (at("."), "is a directory, not a regular file"),
        (at(".."), "names a directory"),
        (at("out.npy/"), "names a directory"),
        (at("socket"), "is a socket, not a regular file"),
        (at("link"), "is a character device, not a regular file"),
        ("/dev/null".to_owned(), "is a character device, not a regular file"),
        ("/".to_owned(), "names a directory"),
        (String::new(), "names a directory"),
    ] {
        let error = StagedFile::create(Path::new(&target), None).unwrap_err();
        assert_eq!(error.exit().code(), 2, "{target}");
        assert!(error.to_string().ends_with(what), "{target}: {error}");
    }
}

#[test]
fn refuses_a_missing_directory() {
    let folder = Folder::new();
    let error = StagedFile::create(&folder.path("no/out.bin"), None).unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert!(error.to_string().contains("no directory `"), "{error}");
    fs::write(folder.path("file"), "").unwrap();
    let error = StagedFile::create(&folder.path("file/out.bin"), None).unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert!(error.to_string().ends_with("is not a directory"), "{error}");
}

#[test]
fn refuses_a_directory_that_takes_no_files() {
    // Not even from the superuser, as whom tests may run.
    let error = StagedFile::create(Path::new("/proc/out.npy"), None).unwrap_err();
    assert_eq!(error.exit().code(), 2, "{error}");
}

#[test]
fn refuses_more_than_the_disk_has_before_anything_runs() {
    let folder = Folder::new();
    let error = StagedFile::create(&folder.path("out.bin"), Some(1 << 60)).unwrap_err();
    assert_eq!(error.exit().code(), 125);
    assert!(error.to_string().contains("needs 1152921504606846976 bytes; "), "{error}");
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn reserves_the_whole_length() {
    let folder = Folder::new();
    let staged = StagedFile::create(&folder.path("out.bin"), Some(100_000)).unwrap();
    let found = staged.file().metadata().unwrap();
    assert_eq!(found.len(), 100_000);
    assert!(found.blocks() * 512 >= 100_000);
    StagedFile::create(&folder.path("empty.bin"), Some(0)).unwrap().publish().unwrap();
    assert_eq!(fs::read(folder.path("empty.bin")).unwrap(), b"");
}

#[test]
fn writes_names_that_are_not_utf8_or_very_long() {
    let folder = Folder::new();
    for name in [OsString::from_vec(b"\xff\n.npy".to_vec()), OsString::from("n".repeat(255))] {
        let target = folder.path(&name);
        for text in ["first", "second"] {
            let staged = StagedFile::create(&target, None).unwrap();
            write(&staged, text);
            staged.publish().unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
        }
    }
    assert_eq!(folder.names().len(), 2);
}

#[test]
fn uses_a_hidden_name_where_there_are_no_files_without() {
    let folder = Folder::new();
    let make = || {
        let (file, standing) = open_hidden(folder.root(), OsStr::new("out")).unwrap();
        let dir = File::open(folder.root()).unwrap();
        StagedFile {
            file,
            dir,
            name: c"out".into(),
            noun: "output",
            shown: "out".to_owned(),
            standing,
        }
    };
    let staged = make();
    let names = folder.names();
    assert!(names.len() == 1 && names[0].starts_with(".out.spmd."), "{names:?}");
    drop(staged);
    assert_eq!(folder.names(), Vec::<String>::new());
    for text in ["first", "second"] {
        let staged = make();
        write(&staged, text);
        staged.publish().unwrap();
        assert_eq!(folder.names(), ["out"]);
        assert_eq!(fs::read_to_string(folder.path("out")).unwrap(), text);
    }
}

#[test]
fn a_hidden_name_is_swept_once_nobody_has_the_file() {
    let folder = Folder::new();
    let sweep = || leftover::sweep(folder.root(), &is_hidden, Young::Watch, Deed::Remove);
    let (file, _) = open_hidden(folder.root(), OsStr::new("out.npy")).unwrap();
    let inherited = file.try_clone().unwrap(); // As a rank has it.
    drop(file);
    assert!(sweep().unwrap().found.is_empty());
    drop(inherited);
    assert_eq!(sweep().unwrap().found.len(), 1);
    assert!(folder.names().is_empty());
    // The name a replacement has for a moment.
    let mut staged = StagedFile::create(&folder.path("out.npy"), None).unwrap();
    staged.link_hidden().unwrap();
    assert!(sweep().unwrap().found.is_empty());
    staged.publish().unwrap();
    assert_eq!(folder.names(), ["out.npy"]);
}

#[test]
fn a_published_file_may_be_locked_by_anybody() {
    let folder = Folder::new();
    let staged = StagedFile::create(&folder.path("out"), None).unwrap();
    let also = staged.file().try_clone().unwrap();
    staged.publish().unwrap();
    File::open(folder.path("out")).unwrap().try_lock().unwrap();
    drop(also);
}

#[test]
fn a_new_name_is_taken_once() {
    let folder = Folder::new();
    let target = folder.path("out");
    let make = || StagedFile::create_as("checkpoint", &target, Some(10)).unwrap();
    let (first, second) = (make(), make());
    let placed = first.publish_new().unwrap().unwrap();
    assert_eq!(placed.name.as_c_str(), c"out");
    assert!(second.publish_new().unwrap().is_none());
    assert_eq!(folder.names(), ["out"]);
}

#[test]
fn leaves_nothing_when_the_name_cannot_be_taken() {
    let folder = Folder::new();
    let staged = StagedFile::create(&folder.path("out"), None).unwrap();
    fs::create_dir(folder.path("out")).unwrap();
    let error = staged.publish().unwrap_err();
    assert_eq!(error.exit().code(), 1);
    assert_eq!(folder.names(), ["out"]);
}
