//! `epimachia backup` and `epimachia restore`: a hub's data directory or an agent's state as one file, and back.

mod archive;
mod restore;
mod source;

pub use restore::{Resume, resume};

use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use archive::{Manifest, Writer};
use clap::Args;
use source::Kind;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Copy a hub's data directory or an agent's state directory into one file; the hub or agent goes on running
#[derive(Args, Debug)]
#[command(
    after_help = "The file is a plain tar archive. Every byte of it is checked before it gets its name. It holds what \
members reported: keep it like the directory itself. Keys and tokens are left out unless you ask for them.
Examples:
  epimachia backup /var/lib/epimachia-hub --to hub-2026-11-22.tar
  epimachia backup /var/lib/epimachia-agent --to agent-2026-11-22.tar
Next: epimachia restore FILE --check"
)]
pub struct Backup {
    /// The hub's data directory, or the agent's state directory
    dir: PathBuf,
    /// The file to be made; it must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Put keys and tokens in as well: whoever has the file is then the hub
    #[arg(long)]
    with_secrets: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Check a backup, or bring it back into a new directory
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia restore hub-2026-11-22.tar --check             every byte, and the whole Merkle tree
  epimachia restore hub-2026-11-22.tar --to /var/lib/epimachia-hub
  epimachia hub resume /var/lib/epimachia-hub --checkpoint telecom.checkpoint
A restored hub does not start before it was held against a checkpoint that a member has. A restored agent comes up with its
kill switch on. Exit code 1 when the backup is damaged.
Next: epimachia hub resume DIR")]
pub struct Restore {
    /// The backup's file
    file: PathBuf,
    /// Check it, and change nothing
    #[arg(long, conflicts_with = "to", required_unless_present = "to")]
    check: bool,
    /// The directory to be made; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Makes a backup.
pub fn backup(of: &Backup) -> Outcome {
    let kind = Kind::of(&of.dir)?;
    let failed = |error: std::io::Error| {
        Failure::failed(format_args!("{}: {error}; nothing was made", of.to.display()), "choose another file name")
    };
    if of.to.exists() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
    }
    let unfinished = beside(&of.to, "unfinished");
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let file = options.map_err(failed)?;
    let made = write(of, kind, file).and_then(|manifest| {
        // Nobody should learn on the day of need that a backup cannot be restored.
        let report = restore::inspect(&unfinished)?;
        std::fs::rename(&unfinished, &of.to).map_err(failed)?;
        sync_parent(&of.to).map_err(failed)?;
        Ok((manifest, report))
    });
    if made.is_err() {
        // The failure is what the person must read; a file that is left is named by its end.
        let _ = std::fs::remove_file(&unfinished);
    }
    let (manifest, report) = made?;
    report.print(&of.to, &manifest, of.json);
    if !of.json {
        out::say(format_args!("Next: epimachia restore {} --check", of.to.display()));
    }
    Ok(Exit::Done)
}

fn write(of: &Backup, kind: Kind, file: File) -> Result<Manifest, Failure> {
    let at = crate::clock::now().to_string();
    let mut writer = Writer::begin(BufWriter::new(file), kind.word(), &at, of.with_secrets)?;
    source::copy(&of.dir, kind, of.with_secrets, &mut writer)?;
    let (out, manifest) = writer.finish()?;
    let mut file = out.into_inner().map_err(|error| Failure::failed(error.error(), ""))?;
    file.flush()?;
    file.sync_all()?;
    Ok(manifest)
}

/// Checks a backup, or restores it.
pub fn restore(of: &Restore) -> Outcome {
    match &of.to {
        None => restore::check(&of.file, of.json),
        Some(dir) => restore::unpack(&of.file, dir, of.json),
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
