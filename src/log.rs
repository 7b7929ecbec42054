//! The log of what spmd itself does, for whoever looks into spmd: off unless `SPMD_LOG` asks.

use std::io;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// Writes a log to stderr if `SPMD_LOG` names a level: error, warn, info, debug or trace.
///
/// For programs that are spmd's own, launcher and rank; a host program has a log of its own.
pub(crate) fn start_if_asked() {
    let level = std::env::var("SPMD_LOG").ok().and_then(|text| LevelFilter::from_str(&text).ok());
    if let Some(level) = level {
        let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
        let _ = log.try_init(); // A program that has its own keeps it.
    }
}
