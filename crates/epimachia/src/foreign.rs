//! Files of other tools: read whole, within a limit.

use crate::exit::Failure;
use std::io::Read as _;
use std::path::Path;

/// The bytes of a file of at most `bytes_max`.
///
/// # Errors
/// What the system says, or that the file is too long.
pub fn read(file: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let failed = |what: String| Failure::failed(format_args!("{}: {what}", file.display()), "give another file");
    let opened = std::fs::File::open(file).map_err(|e| failed(e.to_string()))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    opened.take(limit).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
    match bytes.len() > bytes_max {
        true => Err(failed(format!("more than {bytes_max} bytes"))),
        false => Ok(bytes),
    }
}

/// The file is not what it was said to be.
pub fn wrong(file: &Path, error: &model::ParseError) -> Failure {
    Failure::failed(format_args!("{}: {error}", file.display()), "correct the file, or give another --format")
}
