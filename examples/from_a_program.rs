//! A run started from a program, which stays free to do other things meanwhile.
//!
//! ```text
//! cargo run --release --example from_a_program
//! ```
#![expect(clippy::print_stdout, reason = "this program prints; the library does not")]

use std::thread;
use std::time::Duration;

use spmd::{Error, Run};

fn main() -> Result<(), Error> {
    // First of all: a rank is this program started again, and does not come back from here.
    spmd::init(&[]);

    // The short form: start, and wait.
    let finished = Run::new("square").procs(4).input([1_i64, 2, 3, 4, 5]).start()?.wait()?;
    println!("squares: {:?}", finished.values::<i64>()?);

    // A longer run: look at it now and then, as a window or a service would.
    let run = Run::new("spin").procs(2).size(2000).param("cost", "100us").start()?;
    while !run.is_finished() {
        let progress = run.progress();
        println!("{} of {}", progress.done, progress.total);
        thread::sleep(Duration::from_millis(50));
    }
    let finished = run.wait()?;
    println!("busy for {} ns in all", finished.values::<i64>()?.iter().sum::<i64>());

    // One that nobody wants any more.
    let run = Run::new("spin").procs(2).size(1_000_000).param("cost", "1ms").start()?;
    run.cancel();
    match run.wait() {
        Err(error @ Error::Interrupted { .. }) => println!("{error}"),
        Err(error) => return Err(error),
        Ok(_) => println!("it was faster"),
    }
    Ok(())
}
