//! How other people's bytes look in a message: paths, fields, and what the system said.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest excerpt of a file that a message quotes, in bytes.
const EXCERPT: usize = 40;

/// Returns a path as a message shows it: plain, with control characters escaped.
pub(crate) fn path(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

/// Returns a few bytes of a file as a message shows them: escaped, and cut where they are long.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    match bytes.get(..EXCERPT) {
        Some(start) if bytes.len() > EXCERPT => format!("{}…", escaped(start)),
        _ => escaped(bytes),
    }
}

/// Returns why the system refused, as a fragment without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut chars = text.chars();
            chars
                .next()
                .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}

/// Writes a number with its digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// Escapes control characters and bytes that are not UTF-8, so that a message stays one line and
/// a file name cannot drive the terminal.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            out.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn leaves_ordinary_paths_alone() {
        assert_eq!(path(Path::new("a b/ü'`.npy")), "a b/ü'`.npy");
    }

    #[test]
    fn escapes_newlines_and_bytes_that_are_not_utf8() {
        let name = Path::new(OsStr::from_bytes(b"a\n\x1b[31m\xff.npy"));
        assert_eq!(path(name), "a\\n\\u{1b}[31m\\xff.npy");
    }

    #[test]
    fn cuts_long_excerpts() {
        assert_eq!(excerpt(&[b'x'; 41]), format!("{}…", "x".repeat(40)));
        assert_eq!(excerpt(&[b'x'; 40]), "x".repeat(40));
    }

    #[test]
    fn drops_the_number_of_a_system_error() {
        assert_eq!(reason(&io::Error::from_raw_os_error(libc::EISDIR)), "is a directory");
    }
}
