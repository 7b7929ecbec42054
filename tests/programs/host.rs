//! A program of the tests: a host with habits that a library has to live with.
#![expect(clippy::print_stdout, reason = "this program prints; the library does not")]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use spmd::{Error, Run};

fn main() -> Result<(), Error> {
    spmd::init(&[]);
    match std::env::args().nth(1).as_deref() {
        Some("thief") => steal_children(),
        Some("short-thread") => {}
        other => panic!("{other:?} is no habit"),
    }
    // The thread that starts the run is gone long before the run is over.
    let (sender, receiver) = mpsc::channel();
    let starter = thread::spawn(move || {
        let run = Run::new("spin").procs(2).size(300).param("cost", "1ms").start();
        sender.send(run).is_ok()
    });
    let run = receiver.recv().expect("the thread sends one run")?;
    starter.join().expect("the thread does not panic");
    let finished = run.wait()?;
    let sum: i64 = finished.values::<i64>()?.iter().sum();
    println!("{sum} ns, {} warnings", finished.warnings().len());
    Ok(())
}

/// Waits for any child whatever, as some event loops and test harnesses do.
#[expect(unsafe_code, reason = "waitpid")]
fn steal_children() {
    thread::spawn(|| {
        loop {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
            thread::sleep(Duration::from_micros(100));
        }
    });
}
