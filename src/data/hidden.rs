//! Names of files that are to become outputs, where one has to have a name before it is complete.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::ffi::OsStrExt;

/// What is left of 255 bytes for the NAME in a hidden name.
const ROOM: usize = 200;

/// Between the NAME and the RANDOM of a hidden name.
const MARK: &str = ".spmd.";

/// Returns a new name of the form `.NAME.spmd.RANDOM`.
pub(super) fn hidden(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    let random = RandomState::new().build_hasher().finish();
    let mut hidden = OsString::from(".");
    hidden.push(OsStr::from_bytes(bytes.get(..ROOM).unwrap_or(bytes)));
    hidden.push(format!("{MARK}{random:016x}"));
    hidden
}

/// Says whether a name is of the form `.NAME.spmd.RANDOM`.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    let Some((start, random)) = name.as_bytes().split_last_chunk::<16>() else { return false };
    let name = start.strip_prefix(b".").and_then(|rest| rest.strip_suffix(MARK.as_bytes()));
    name.is_some_and(|name| (1..=ROOM).contains(&name.len()))
        && random.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_hidden_names_from_others() {
        for name in ["a", ".a", "out.npy", "\u{fc}.spmd.", &"n".repeat(255)] {
            assert!(is_hidden(&hidden(OsStr::new(name))), "{name}");
        }
        for name in [
            "",
            ".out.spmd.",
            "out.spmd.0123456789abcdef",
            ".spmd.0123456789abcdef",
            "..spmd.0123456789abcde",
            ".out.spmd.0123456789abcdeF",
            ".out.spmd.0123456789abcdef0",
            ".out.spmb.0123456789abcdef",
            &format!(".{}.spmd.0123456789abcdef", "n".repeat(201)),
        ] {
            assert!(!is_hidden(OsStr::new(name)), "{name}");
        }
    }
}
