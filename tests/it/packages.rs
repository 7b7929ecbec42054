//! What is relied upon of the four packages and cannot be read off their types.
//!
//! Their versions are pinned. Before a pin moves, these must hold for the new version, or the code
//! that wraps the package must change with it.
#![expect(unsafe_code, reason = "the packages take raw memory")]

use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use core_affinity::CoreId;
use memmap2::MmapOptions;
use raw_sync::Timeout;
use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shared_memory::{ShmemConf, ShmemError};

use crate::sandbox::cpus;

/// Names of segments that nothing else uses; not `spmd-…`, which other tests look for.
fn segment_name(what: &str) -> String {
    format!("/test-spmd-{}-{what}", std::process::id())
}

fn on_disk(name: &str) -> Option<std::fs::Metadata> {
    std::fs::metadata(format!("/dev/shm{name}")).ok()
}

#[test]
fn shared_memory_reserves_no_page() {
    let name = segment_name("reserve");
    let segment = ShmemConf::new().os_id(&name).size(8 << 20).create().unwrap();
    let found = on_disk(&name).unwrap();
    assert_eq!((found.len(), found.blocks()), (8 << 20, 0));
    assert_eq!(found.mode() & 0o777, 0o600, "nobody else may open it");
    drop(segment);
    assert!(on_disk(&name).is_none(), "an owner unlinks when it is dropped");
}

#[test]
fn shared_memory_does_not_unlink_what_it_does_not_own() {
    let name = segment_name("owner");
    let mut segment = ShmemConf::new().os_id(&name).size(4096).create().unwrap();
    segment.set_owner(false);
    drop(segment);
    assert!(on_disk(&name).is_some());
    std::fs::remove_file(format!("/dev/shm{name}")).unwrap();
}

#[test]
fn shared_memory_stays_mapped_when_its_name_is_gone() {
    let name = segment_name("unlinked");
    let mut segment = ShmemConf::new().os_id(&name).size(4096).create().unwrap();
    std::fs::remove_file(format!("/dev/shm{name}")).unwrap();
    segment.set_owner(false);
    let first = segment.as_ptr();
    // SAFETY: the segment is mapped as long as it lives, and nobody else has it.
    unsafe { first.write(7) };
    // SAFETY: as above.
    assert_eq!(unsafe { first.read() }, 7);
}

#[test]
fn shared_memory_says_when_a_name_is_taken_and_never_opens_it() {
    let name = segment_name("taken");
    let _segment = ShmemConf::new().os_id(&name).size(4096).create().unwrap();
    let again = ShmemConf::new().os_id(&name).size(4096).create();
    assert!(matches!(again, Err(ShmemError::MappingIdExists)));
}

/// A mutex as the launcher makes it: robust and process-shared, in memory of our own.
struct RobustMutex(Box<[u64; 8]>);

impl RobustMutex {
    fn new() -> Self {
        let mut memory = Box::new([0_u64; 8]);
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: writable memory of its type.
        assert_eq!(unsafe { libc::pthread_mutexattr_init(attributes) }, 0);
        // SAFETY: initialised above.
        let shared =
            unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
        // SAFETY: as above.
        let robust =
            unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) };
        // SAFETY: 64 writable bytes, 8-aligned, for a mutex of 40.
        let made = unsafe { libc::pthread_mutex_init(memory.as_mut_ptr().cast(), attributes) };
        assert_eq!([shared, robust, made], [0; 3]);
        Self(memory)
    }

    fn at(&self) -> *mut u8 {
        self.0.as_ptr().cast_mut().cast()
    }

    fn wrapped(&self) -> (Box<dyn LockImpl>, usize) {
        // SAFETY: a mutex was initialised there; the datum is never dereferenced.
        unsafe { Mutex::from_existing(self.at(), std::ptr::null_mut()) }.unwrap()
    }
}

/// An address that may go to another thread.
#[derive(Clone, Copy)]
struct Address(usize);

/// Locks the mutex in a thread of its own, and ends that thread with the lock held.
fn die_holding(mutex: &RobustMutex) {
    let at = Address(mutex.at().expose_provenance());
    thread::spawn(move || {
        let mutex = std::ptr::with_exposed_provenance_mut(at.0);
        // SAFETY: an initialised mutex that outlives this thread.
        assert_eq!(unsafe { libc::pthread_mutex_lock(mutex) }, 0);
    })
    .join()
    .unwrap();
}

#[test]
fn raw_sync_wraps_a_mutex_of_forty_bytes_where_it_lies() {
    let mutex = RobustMutex::new();
    let (lock, used) = mutex.wrapped();
    assert_eq!(size_of::<libc::pthread_mutex_t>(), 40);
    assert!(used <= 128, "the header keeps 128 bytes; {used} are used");
    assert_eq!(lock.as_raw().cast::<u8>(), mutex.at());
    drop(lock.lock().unwrap());
}

#[test]
fn raw_sync_tells_of_a_dead_holder_by_an_error_that_ends_in_130_and_holds_the_lock() {
    let mutex = RobustMutex::new();
    die_holding(&mutex);
    let (lock, _) = mutex.wrapped();
    let Err(error) = lock.try_lock(Timeout::Val(Duration::from_secs(1))) else {
        panic!("the death was not told");
    };
    let text = error.to_string();
    assert_eq!(text.rsplit(' ').next(), Some("130"), "{text}");
    // SAFETY: this thread holds the mutex: that is what is tested.
    assert_eq!(unsafe { libc::pthread_mutex_consistent(lock.as_raw().cast()) }, 0);
    lock.release().unwrap();
    drop(lock.lock().unwrap());
}

#[test]
fn raw_sync_gives_up_a_contended_lock_after_whole_seconds_with_an_error_that_ends_in_110() {
    let mutex = RobustMutex::new();
    let at = Address(mutex.at().expose_provenance());
    let (held, wait_held) = mpsc::channel();
    let (release, wait_release) = mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        let mutex = std::ptr::with_exposed_provenance_mut(at.0);
        // SAFETY: an initialised mutex that outlives this thread.
        assert_eq!(unsafe { libc::pthread_mutex_lock(mutex) }, 0);
        held.send(()).unwrap();
        let _ = wait_release.recv();
        // SAFETY: this thread holds it.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(mutex) }, 0);
    });
    wait_held.recv().unwrap();
    let (lock, _) = mutex.wrapped();
    let Err(error) = lock.try_lock(Timeout::Val(Duration::from_secs(1))) else {
        panic!("two hold one lock");
    };
    let text = error.to_string();
    assert_eq!(text.rsplit(' ').next(), Some("110"), "{text}");
    release.send(()).unwrap();
    holder.join().unwrap();
    drop(lock.lock().unwrap());
}

#[test]
fn core_affinity_reports_the_current_mask_so_it_must_be_asked_before_a_pin() {
    thread::spawn(|| {
        let all = cpus();
        let ids = |cores: Vec<CoreId>| cores.iter().map(|core| core.id as u32).collect::<Vec<_>>();
        assert_eq!(ids(core_affinity::get_core_ids().unwrap()), all);
        let last = *all.last().unwrap();
        assert!(core_affinity::set_for_current(CoreId { id: last as usize }));
        assert_eq!(ids(core_affinity::get_core_ids().unwrap()), [last]);
    })
    .join()
    .unwrap();
}

#[test]
fn core_affinity_answers_false_for_a_cpu_that_is_not_there() {
    thread::spawn(|| assert!(!core_affinity::set_for_current(CoreId { id: 1023 }))).join().unwrap();
}

#[test]
fn memmap2_takes_any_length_so_it_must_be_compared_with_the_file() {
    let file = tempfile();
    file.set_len(100).unwrap();
    let map = MmapOptions::new().len(1 << 20).map_raw_read_only(&file).unwrap();
    assert_eq!(map.len(), 1 << 20);
}

#[test]
fn memmap2_maps_raw_windows_at_offsets_that_are_no_pages() {
    use std::os::unix::fs::FileExt;
    let file = tempfile();
    file.write_all_at(b"0123456789", 0).unwrap();
    let map = MmapOptions::new().offset(3).len(4).map_raw(&file).unwrap();
    // SAFETY: 4 bytes are mapped, and nobody else writes them.
    unsafe { map.as_mut_ptr().write(b'x') };
    let mut found = [0; 10];
    file.read_exact_at(&mut found, 0).unwrap();
    assert_eq!(&found, b"012x456789", "a shared mapping: a store is in the file");
}

/// A file without a name.
fn tempfile() -> std::fs::File {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE);
    options.open(std::env::temp_dir()).unwrap()
}

#[test]
fn ranks_are_started_without_copying_the_launcher() {
    // A real fork of a launcher with gigabytes mapped takes as long as the rest of a start.
    let sandbox = crate::sandbox::Sandbox::new();
    let script = "strace -f -qq -o trace -e trace=clone,clone3,fork,vfork \"$0\" -q -n 3 -k square";
    let done = sandbox.shell(script).run();
    if done.code != Some(0) {
        return crate::sandbox::skipped("strace does not work here");
    }
    let trace = String::from_utf8(sandbox.read("trace")).unwrap();
    let started = trace.lines().filter(|line| line.contains("CLONE_VM|CLONE_VFORK")).count();
    assert_eq!(started, 3, "{trace}");
}
