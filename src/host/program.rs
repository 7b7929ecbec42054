//! This program, as a file.

use std::fs::File;
use std::io;
use std::sync::OnceLock;

/// Returns the digest of what this program is: kernels are built into it, and one that was built again may
/// compute otherwise, and in another time, under the same version.
pub(crate) fn digest() -> io::Result<&'static str> {
    static DIGEST: OnceLock<String> = OnceLock::new();
    if let Some(digest) = DIGEST.get() {
        return Ok(digest);
    }
    let mut hash = blake3::Hasher::new();
    hash.update_reader(File::open("/proc/self/exe")?)?;
    Ok(DIGEST.get_or_init(|| format!("blake3:{}", hash.finalize().to_hex())))
}
