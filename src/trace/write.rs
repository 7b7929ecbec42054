//! Writes a trace.

use std::io::{self, Write};

use super::{About, Kind, Span};

/// Writes a trace as JSON, an event a line.
pub(crate) fn write(
    out: &mut impl Write,
    about: &About,
    spans: impl Iterator<Item = Span> + Clone,
) -> io::Result<()> {
    let described = serde_json::to_string(about).map_err(io::Error::other)?;
    write!(out, "{{\"displayTimeUnit\":\"ns\",\"spmd\":{described},\n\"traceEvents\":[")?;
    let mut comma = "";
    for process in &about.ranks {
        let (rank, pid) = (process.rank, process.pid);
        // A thread number of 0 means the idle thread to some viewers, so it is not the rank.
        let head = format!("\"ph\":\"M\",\"pid\":{pid},\"tid\":{pid}");
        write!(
            out,
            "{comma}\n{{\"name\":\"process_name\",{head},\"args\":{{\"name\":\"rank {rank}\"}}}},\n\
             {{\"name\":\"process_sort_index\",{head},\"args\":{{\"sort_index\":{rank}}}}},\n\
             {{\"name\":\"thread_name\",{head},\"args\":{{\"name\":\"rank {rank}\"}}}}"
        )?;
        comma = ",";
    }
    let first = spans.clone().map(|span| span.begin).min().unwrap_or(0);
    for span in spans {
        let Span { pid, pass, kind, begin, end, .. } = &span;
        write!(
            out,
            "{comma}\n{{\"name\":\"{}\",\"ph\":\"X\",\"pid\":{pid},\"tid\":{pid},\"ts\":{},\"dur\":{},\"args\":{{",
            kind.name(),
            Microseconds(begin - first),
            Microseconds(end - begin),
        )?;
        if let Kind::Chunk(chunk) = kind {
            write!(out, "\"first\":{},\"end\":{},", chunk.start, chunk.end)?;
        }
        write!(out, "\"pass\":{pass}}}}}")?;
        comma = ",";
    }
    out.write_all(b"\n]}\n")
}

/// Nanoseconds, shown as microseconds to the last of them.
struct Microseconds(u64);

impl std::fmt::Display for Microseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) => write!(f, "{whole}.{part:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        let text = |ns| Microseconds(ns).to_string();
        assert_eq!(
            [0, 1, 999, 1000, 1_002_050].map(text),
            ["0", "0.001", "0.999", "1", "1002.050"]
        );
    }
}
