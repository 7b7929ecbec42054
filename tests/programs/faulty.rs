//! A program of the tests: kernels that go wrong at one index, each in its own way.
//!
//! It has the whole command line; `faulty follow` runs what stdin says with ranks that stay alive.

mod crew;

use std::process::ExitCode;
use std::time::Duration;

use spmd::{Block, DType, Kernel, KernelError, Param, ParamKind};

/// y = x + 1, but for one index: see `how`.
struct Faulty;

/// The index at which it happens, from the environment, which ranks inherit.
fn place() -> u64 {
    std::env::var("FAULTY_AT").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

fn in_rank() -> bool {
    std::env::var_os("SPMD_RANK").is_some()
}

#[expect(unsafe_code, reason = "dies as broken kernels die")]
fn happen(how: &str, index: u64) -> Result<(), KernelError> {
    match how {
        "error" => return Err(KernelError::at(index, "the index is unlucky")),
        "error-somewhere" => return Err(KernelError::new("something is wrong")),
        "panic" => panic!("the index is unlucky"),
        "panic-any" => std::panic::panic_any(7_u8),
        // SAFETY: none; the fault is the purpose.
        "segv" => unsafe { std::ptr::null_mut::<u8>().wrapping_add(1).write_volatile(1) },
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        "exit7" => std::process::exit(7),
        "sleep" => std::thread::sleep(Duration::MAX),
        "stubborn" => {
            // SAFETY: ignoring a signal needs no handler.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            std::thread::sleep(Duration::MAX);
        }
        "kill" => {
            // SAFETY: no memory is involved.
            unsafe { libc::raise(libc::SIGKILL) };
        }
        "bus" => {
            // SAFETY: the default needs no handler; Rust's takes one that was sent for a fluke.
            unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
            // SAFETY: no memory is involved.
            unsafe { libc::raise(libc::SIGBUS) };
        }
        "overflow" => {
            fn deeper(n: u64) -> u64 {
                std::hint::black_box([n; 512]);
                if n == u64::MAX { 0 } else { deeper(n + 1) + 1 }
            }
            std::hint::black_box(deeper(0));
        }
        "print" => print(),
        "devour" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        // The kernel forgets which locks are to be marked at this thread's death, as it does when
        // the out-of-memory reaper has taken the list.
        "unmarked" => {
            // SAFETY: a list that is not there is never walked.
            unsafe { libc::syscall(libc::SYS_set_robust_list, std::ptr::null::<u8>(), 24) };
        }
        // In steps, so that a process that was stopped meanwhile still has some of them to do.
        "doze" => (0..7).for_each(|_| std::thread::sleep(Duration::from_millis(100))),
        // SAFETY: the child calls nothing but pause, which is async-signal-safe.
        "fork" if in_rank() && unsafe { libc::fork() } == 0 => loop {
            // SAFETY: no memory is involved.
            unsafe { libc::pause() };
        },
        _ => {}
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a kernel that prints is what is tested")]
fn print() {
    println!("a kernel prints");
}

impl Kernel for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn about(&self) -> &'static str {
        "y = x + 1, and a fault at index FAULTY_AT"
    }

    fn dtypes(&self) -> &'static [DType] {
        &[DType::I64]
    }

    fn params(&self) -> &'static [Param] {
        &[Param {
            name: "how",
            about: "what goes wrong",
            kind: ParamKind::Choice(&[
                "not",
                "error",
                "error-somewhere",
                "panic",
                "panic-any",
                "segv",
                "abort",
                "exit",
                "exit7",
                "sleep",
                "stubborn",
                "kill",
                "bus",
                "overflow",
                "print",
                "devour",
                "unmarked",
                "doze",
                "fork",
                "fickle",
                "verify-panic",
                "verify-error",
                "odd",
            ]),
            default: "not",
        }]
    }

    fn run(&self, block: &mut Block<'_>) -> Result<(), KernelError> {
        let how = block.params().choice("how");
        let (first, place) = (block.first(), place());
        let (input, result) = block.slices::<i64>();
        for (index, (y, x)) in (first..).zip(result.iter_mut().zip(input)) {
            if how == "odd" && index % 2 == 0 {
                continue; // It is left as it was found.
            }
            *y = x + 1;
            if index == place {
                match how {
                    "fickle" if !in_rank() => *y += 1,
                    "verify-panic" if !in_rank() => panic!("only the second time"),
                    "verify-error" if !in_rank() => {
                        return Err(KernelError::at(index, "only the second time"));
                    }
                    "fickle" | "verify-panic" | "verify-error" => {}
                    _ => happen(how, index)?,
                }
            }
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("follow") {
        spmd::init(&[&Faulty]);
        return crew::follow().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    spmd::main(&[&Faulty])
}
