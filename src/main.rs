//! The program `spmd`.

fn main() -> std::process::ExitCode {
    spmd::main(&[])
}
