//! Free room on the disk.

use std::io;
use std::path::Path;

/// Bytes that this process may still write below `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
