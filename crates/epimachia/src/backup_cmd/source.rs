//! What is copied of a running hub or agent, and in which order, so that the copy is of one moment.
//!
//! Files of a hub are written once and then renamed into place; only the journal's last segment grows. Of that one as
//! much is copied as was there when it was looked at: an append that was under way is cut off at the next start, as
//! after a crash. What leads *to* the journal is copied before it (snapshots, the checkpoint), what the journal leads
//! to after it (guard lists): so nothing that is copied points to what is not.

use super::archive::Writer;
use crate::exit::Failure;
use std::fs::{self, File};
use std::io::{Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Most files that are copied of one directory, and how deep it may be.
const FILES_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 6;

/// Whose directory it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A hub's data directory.
    Hub,
    /// An agent's state directory.
    Agent,
}

impl Kind {
    /// Looks at a directory.
    ///
    /// # Errors
    /// It is neither.
    pub fn of(dir: &Path) -> Result<Self, Failure> {
        match (dir.join("identity.toml").is_file(), dir.join("state.log").is_file()) {
            (true, _) => Ok(Self::Hub),
            (_, true) => Ok(Self::Agent),
            _ => {
                let what = format!("{}: neither a hub's data directory nor an agent's state directory", dir.display());
                Err(Failure::failed(what, "epimachia help backup"))
            }
        }
    }

    /// As the manifest has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Agent => "agent",
        }
    }

    /// The reverse of [`Kind::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Hub, Self::Agent].into_iter().find(|kind| kind.word() == word)
    }

    /// When a file is copied, the first first; `None`: not at all.
    fn turn(self, path: &str, with_secrets: bool) -> Option<u8> {
        let top = path.split('/').next().unwrap_or_default();
        match self {
            // What is derived and quickly made again, and what belongs to a process.
            Self::Hub if matches!(top, "tiles" | "lock" | "restored.toml") || path.ends_with("/lock") => None,
            Self::Hub if is_secret(path) && !with_secrets => None,
            Self::Hub if top == "snapshots" => Some(0),
            Self::Hub if path == "journal/checkpoint" => Some(1),
            Self::Hub if top == "journal" => Some(2),
            Self::Hub => Some(3),
            // The serial of a zone is left out on purpose: an old one brought back would be lower than what resolvers
            // have seen, and they would keep their old zone without a word.
            Self::Agent => (path == "state.log" || path.starts_with("list-")).then_some(0),
        }
    }
}

/// Keys, seeds and tokens.
pub fn is_secret(path: &str) -> bool {
    path.starts_with("keys/") || [".key", ".seed", ".token", ".secret"].iter().any(|end| path.ends_with(end))
}

/// Copies a directory.
///
/// # Errors
/// A file cannot be read, or the archive not be written.
pub fn copy<W: Write>(dir: &Path, kind: Kind, with_secrets: bool, to: &mut Writer<W>) -> Result<(), Failure> {
    for turn in 0..=3 {
        // Each turn looks anew: what came meanwhile is in it.
        let mut paths = Vec::new();
        walk(dir, "", 0, &mut paths)?;
        paths.retain(|path| kind.turn(path, with_secrets) == Some(turn));
        paths.sort();
        for path in &paths {
            copy_file(dir, path, to)?;
        }
    }
    Ok(())
}

fn copy_file<W: Write>(dir: &Path, path: &str, to: &mut Writer<W>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::failed(format_args!("{}: {error}", dir.join(path).display()), "");
    let file = match File::open(dir.join(path)) {
        // An older snapshot that was dropped meanwhile: a newer one has taken its place.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(failed)?,
    };
    let about = file.metadata().map_err(failed)?;
    let (mode, bytes) = (about.permissions().mode() & 0o777, about.len());
    to.add(path, mode, bytes, &mut file.take(bytes)).map_err(failed)
}

fn walk(dir: &Path, below: &str, depth: usize, found: &mut Vec<String>) -> Result<(), Failure> {
    let here = dir.join(below);
    let failed = |error: std::io::Error| Failure::failed(format_args!("{}: {error}", here.display()), "");
    for item in fs::read_dir(&here).map_err(failed)? {
        let item = item.map_err(failed)?;
        let name = item.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = item.file_type().map_err(failed)?;
        if name.ends_with(".tmp") || name.ends_with(".new") {
            continue;
        }
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(dir, &path, depth + 1, found)?;
        } else if kind.is_file() {
            found.push(path);
        }
        if found.len() > FILES_MAX {
            return Err(Failure::failed(format_args!("{}: more than {FILES_MAX} files", dir.display()), ""));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_the_journal_is_copied_before_it_and_secrets_only_when_asked_for() {
        let turn = |path: &str| Kind::Hub.turn(path, false);
        let order =
            ["snapshots/a.snap", "journal/checkpoint", "journal/00000000000000000000.seg", "lists/abc"].map(turn);
        assert_eq!(order, [Some(0), Some(1), Some(2), Some(3)]);
        for left_out in ["keys/checkpoint.key", "keys/new/thing", "admin.token", "tiles/0/000", "journal/lock"] {
            assert_eq!(turn(left_out), None, "{left_out}");
        }
        assert_eq!(Kind::Hub.turn("keys/checkpoint.key", true), Some(3));
        for left_out in ["rpz.serial", "heartbeat", "control.sock", "lock", "watchdog"] {
            assert_eq!(Kind::Agent.turn(left_out, true), None, "{left_out}");
        }
    }
}
