//! A data directory that came out of a backup: it may lack entries that members have seen, and a hub that goes on from
//! there would show them a second history. So it is marked, and does not serve before it was held against what members
//! have.

use crate::directory::{Directory, write_whole};
use crate::error::Error;
use account::{Audit, Checkpoint, SignedCheckpoint, VerifierKey};
use model::{Refusal, Rule};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The mark's name in the data directory.
const MARK: &str = "restored.toml";
/// Longest mark, in bytes.
const MARK_BYTES_MAX: u64 = 4_096;

/// What the mark says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// When the backup was begun, RFC 3339.
    pub backup: String,
    /// Entries of the journal in it.
    pub entries: u64,
}

/// Marks an unpacked data directory.
///
/// # Errors
/// Unavailable: it cannot be written.
pub fn mark(root: &Path, backup: &str, entries: u64) -> Result<(), Error> {
    let path = root.join(MARK);
    let text = toml::to_string(&Restored { backup: backup.to_owned(), entries });
    let text = text.map_err(|error| Error::Broken(error.to_string()))?;
    let failed = |error| Error::unavailable(format_args!("writing {}", path.display()), error);
    write_whole(&path, text.as_bytes(), true).map_err(failed)
}

/// The mark, where there is one.
///
/// # Errors
/// Unavailable: it cannot be read. Refused: it is no mark.
pub fn found(root: &Path) -> Result<Option<Restored>, Error> {
    let path = root.join(MARK);
    let failed = |error| Error::unavailable(format_args!("reading {}", path.display()), error);
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(about) if about.len() > MARK_BYTES_MAX => return Err(Error::refused(path.display(), "what restore wrote")),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    toml::from_str(&text).map(Some).map_err(|_| Error::refused(path.display(), "what restore wrote"))
}

/// Refuses to go on while the mark is there.
///
/// # Errors
/// Refused: it is there.
pub(crate) fn refuse_marked(directory: &Directory, root: &Path) -> Result<(), Error> {
    let Some(Restored { entries, .. }) = found(root)? else { return Ok(()) };
    let value = format!("{}: {entries} entries, restored from a backup", directory.identity().alliance);
    let limit = "a directory that was held against what members have seen, which may be more: epimachia hub resume DIR \
                 --checkpoint FILE";
    Err(Error::Refused(Refusal::new(Rule::HistoryForked, value, limit)))
}

/// Holds a restored directory against checkpoints that members keep; the largest of their sizes.
///
/// # Errors
/// Refused `history_forked`: one is over more entries than there are, or over others. Refused: one is not signed by
/// this hub. Broken: the journal is damaged.
pub fn hold_against(directory: &Directory, notes: &[String]) -> Result<u64, Error> {
    let identity = directory.identity();
    let key = VerifierKey::new(&identity.alliance, identity.checkpoint_key.as_bytes())
        .map_err(|error| Error::refused(error, "an alliance's name"))?;
    let mut largest = 0;
    for note in notes {
        let signed = SignedCheckpoint::parse(note.as_bytes())
            .map_err(|error| Error::refused(error, "a checkpoint, as an agent keeps it"))?;
        let checkpoint =
            signed.verify(&key).map_err(|error| Error::refused(error, "a checkpoint that this hub signed"))?;
        covers(directory, checkpoint)?;
        largest = largest.max(checkpoint.size);
    }
    Ok(largest)
}

fn covers(directory: &Directory, checkpoint: &Checkpoint) -> Result<(), Error> {
    let mut audit = Audit::new(checkpoint);
    let verified =
        journal::verify(&directory.path("journal"), Some(directory.log()), &mut |record: journal::Record| {
            audit.push(&record.nonce, &record.entry);
        })?;
    let forked = |value: String, limit: String| Error::Refused(Refusal::new(Rule::HistoryForked, value, limit));
    if checkpoint.size > verified.head {
        let lost = checkpoint.size - verified.head;
        let value = format!("{} entries are here, {} were signed: {lost} are lost", verified.head, checkpoint.size);
        return Err(forked(value, format!("a journal of at least {} entries", checkpoint.size)));
    }
    audit
        .finish()
        .map(|_| ())
        .map_err(|fault| forked(fault.to_string(), "the entries that the checkpoint is over".into()))
}

/// Takes the mark away.
///
/// # Errors
/// Unavailable: it cannot be removed.
pub fn release(root: &Path) -> Result<(), Error> {
    let path = root.join(MARK);
    let failed = |error| Error::unavailable(format_args!("removing {}", path.display()), error);
    std::fs::remove_file(&path).and_then(|()| std::fs::File::open(root)?.sync_all()).map_err(failed)
}
