//! The program `spmd`.
fn main() {}
