//! `spmd batch`: many runs from one file, with results that outlive whatever ends them.
//!
//! ```text
//! key       what a point is: by that its samples are found again
//! results   the directory: samples, plan, journal, environment, reports
//! ```

#[allow(dead_code, reason = "whoever runs a batch calls it")]
mod key;
#[allow(dead_code, unused_imports, reason = "whoever runs a batch calls it")]
mod results;
