//! A backup checked to its last byte, and brought back so that nobody is misled by what is missing in it.

use super::archive::{self, HEAD, Manifest};
use super::source::{Kind, is_secret};
use super::{beside, sync_parent};
use crate::exit::{Exit, Failure, Outcome};
use crate::{ask, out};
use account::VerifierKey;
use agent::core::Record;
use agent::core::state::Killed;
use clap::Args;
use model::Refusal;
use serde::Serialize;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The secrets without which a hub does not start; an older directory has `tls.key` in the last one's place.
const HUB_SECRETS: [&str; 3] = ["keys/checkpoint.key", "keys/engine.seed", "keys/ca.key"];
/// Longest checkpoint file.
const CHECKPOINT_BYTES_MAX: u64 = 1 << 20;

/// Let a restored hub start, once it was held against what members have seen
#[derive(Args, Debug)]
#[command(
    after_help = "A hub that was restored and lost entries would show members a second history. So it does not start \
before it was held against checkpoints that members keep: epimachia agent history show --json > telecom.checkpoint
Examples:
  epimachia hub resume /var/lib/epimachia-hub --checkpoint telecom.checkpoint --checkpoint cloud.checkpoint
Next: epimachia hub --config FILE"
)]
pub struct Resume {
    /// The restored data directory
    dir: PathBuf,
    /// A checkpoint that a member keeps: the note, or the agent's JSON; of as many members as can be had
    #[arg(long = "checkpoint", value_name = "FILE", required_unless_present = "lost")]
    checkpoints: Vec<PathBuf>,
    /// Go on although entries are lost: every agent will report a second history, and ask its people
    #[arg(long, conflicts_with = "checkpoints")]
    lost: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

/// What a backup was found to be.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    kind: &'static str,
    entries: Option<u64>,
    checkpoint: Option<u64>,
    /// The tree is the one that the hub signed.
    verified: bool,
}

impl Report {
    /// Tells it.
    pub fn print(&self, file: &Path, manifest: &Manifest, json: bool) {
        let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        if json {
            out::json(&serde_json::json!({
                "file": file, "kind": self.kind, "at": manifest.at, "secrets": manifest.secrets,
                "files": manifest.files.len(), "bytes": bytes, "entries": self.entries,
                "checkpoint": self.checkpoint, "verified": self.verified,
            }));
            return;
        }
        let secrets = if manifest.secrets { "with keys and tokens" } else { "without keys and tokens" };
        out::line(format_args!(
            "{}: of {} {}, begun {}, {}, {bytes} bytes, {secrets}; every byte is right.",
            file.display(),
            if self.kind == "agent" { "an" } else { "a" },
            self.kind,
            manifest.at,
            out::count(manifest.files.len(), "file"),
        ));
        if let (Some(entries), Some(size)) = (self.entries, self.checkpoint) {
            out::line(format_args!("{entries} entries; the first {size} are exactly what the hub signed."));
        } else if let Some(entries) = self.entries {
            out::line(format_args!("{entries} entries, and no checkpoint over them yet."));
        }
    }
}

/// Checks and tells; changes nothing.
pub fn check(file: &Path, json: bool) -> Outcome {
    let manifest = read(file, None)?;
    inspect(file)?.print(file, &manifest, json);
    Ok(Exit::Done)
}

/// Unpacks beside the backup, looks at what it is, and cleans up.
pub fn inspect(file: &Path) -> Result<Report, Failure> {
    let scratch = Scratch::beside(file)?;
    let manifest = read(file, Some(&scratch.0))?;
    look(&scratch.0, kind_of(&manifest, file)?)
}

/// Restores into a directory that is not there yet.
pub fn unpack(file: &Path, dir: &Path, json: bool) -> Outcome {
    let occupied = fs::read_dir(dir).map(|mut items| items.next().is_some());
    if occupied.unwrap_or(dir.exists()) {
        let limit = "a directory that does not exist, or is empty";
        return Err(Refusal::new(model::Rule::Malformed, format_args!("{}: not empty", dir.display()), limit).into());
    }
    let scratch = Scratch::beside(dir)?;
    let manifest = read(file, Some(&scratch.0))?;
    let kind = kind_of(&manifest, file)?;
    let report = look(&scratch.0, kind)?;
    match kind {
        Kind::Hub => hub::restored::mark(&scratch.0, &manifest.at, report.entries.unwrap_or(0))
            .map_err(crate::hub_cmd::failure)?,
        Kind::Agent => come_up_still(&scratch.0, &manifest)?,
    }
    // An empty directory may stand there.
    let _ = fs::remove_dir(dir);
    fs::rename(&scratch.0, dir)?;
    sync_parent(dir)?;
    report.print(file, &manifest, json);
    if !json {
        tell_next(kind, dir);
    }
    Ok(Exit::Done)
}

fn tell_next(kind: Kind, dir: &Path) {
    let at = dir.display();
    out::line(format_args!("It is restored in {at}."));
    match kind {
        Kind::Agent => {
            out::say("Its kill switch is on: compare the allow-list first, since what was added later is not in it.");
            out::say("Next: start the agent; epimachia allow list --here; epimachia agent resume");
        }
        Kind::Hub => {
            let missing: Vec<&str> = HUB_SECRETS.into_iter().filter(|secret| !dir.join(secret).exists()).collect();
            if !missing.is_empty() {
                out::say(format_args!(
                    "Put these back, mode 0600, from where you keep secrets: {}.",
                    missing.join(", ")
                ));
            }
            out::say("It does not start before it was held against a checkpoint of a member.");
            out::say(format_args!("Next: epimachia hub resume {at} --checkpoint FILE"));
        }
    }
}

/// Lets a restored hub start.
pub fn resume(of: &Resume) -> Outcome {
    let directory = hub::Directory::open(&of.dir).map_err(crate::hub_cmd::failure)?;
    let Some(restored) = hub::restored::found(&of.dir).map_err(crate::hub_cmd::failure)? else {
        out::line(format_args!("{} was not restored from a backup, or may start already.", of.dir.display()));
        return Ok(Exit::Done);
    };
    if of.lost {
        let question = "Entries that members have seen may be lost. Every agent will see a second history, accept \
                        nothing new, and wait for its people: epimachia agent history accept.";
        ask::confirm(question, of.yes)?;
    } else {
        let notes = of.checkpoints.iter().map(|file| note(file)).collect::<Result<Vec<_>, _>>()?;
        let largest = hub::restored::hold_against(&directory, &notes).map_err(told)?;
        out::line(format_args!(
            "All that was shown is in it: the largest checkpoint is over {largest} of its {} entries.",
            restored.entries
        ));
    }
    hub::restored::release(&of.dir).map_err(crate::hub_cmd::failure)?;
    out::line("The hub may start.");
    Ok(Exit::Done)
}

/// A rule that says no keeps its name here.
fn told(error: hub::Error) -> Failure {
    match error {
        hub::Error::Refused(refusal) => Failure::Refused {
            refusal,
            next: "restore a newer backup, or copy newer segments from the old disk; hub resume --lost goes on without"
                .to_owned(),
        },
        other => crate::hub_cmd::failure(other),
    }
}

fn note(file: &Path) -> Result<String, Failure> {
    let failed = |what: String| Failure::failed(format_args!("{}: {what}; nothing was changed", file.display()), "");
    let length = fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if length > CHECKPOINT_BYTES_MAX {
        return Err(failed(format!("{length} bytes, at most {CHECKPOINT_BYTES_MAX}")));
    }
    let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    if !text.trim_start().starts_with('{') {
        return Ok(text);
    }
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let note = json["checkpoint"]["note"].as_str();
    note.map(str::to_owned).ok_or_else(|| failed("no checkpoint.note in it".to_owned()))
}

/// Reads every byte; with `into`, unpacks it there.
fn read(file: &Path, into: Option<&Path>) -> Result<Manifest, Failure> {
    let each = |member: &archive::Member, from: &mut dyn std::io::Read| match into {
        Some(dir) if member.path != HEAD => put(&dir.join(&member.path), member, from),
        _ => Ok(()),
    };
    archive::read(file, each).map_err(|what| {
        let next = "take another copy of the backup, or an older one";
        Failure::failed(format_args!("{}: {what}; nothing was restored", file.display()), next)
    })
}

fn put(path: &Path, member: &archive::Member, from: &mut dyn std::io::Read) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    // A secret is a secret, whatever an archive says.
    let mode = if is_secret(&member.path) { member.mode & 0o600 } else { member.mode & 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    std::io::copy(from, &mut file)?;
    file.sync_all()
}

fn kind_of(manifest: &Manifest, file: &Path) -> Result<Kind, Failure> {
    let unknown = || Failure::failed(format_args!("{}: of neither hub nor agent", file.display()), "");
    Kind::from_word(&manifest.kind).ok_or_else(unknown)
}

/// What is in an unpacked backup: the whole journal against its checkpoint, or the agent's state.
fn look(dir: &Path, kind: Kind) -> Result<Report, Failure> {
    match kind {
        Kind::Agent => {
            agent::Store::open(dir).map_err(|error| Failure::failed(error, "take an older backup"))?;
            Ok(Report { kind: "agent", entries: None, checkpoint: None, verified: true })
        }
        Kind::Hub => {
            let directory = hub::Directory::open(dir).map_err(crate::hub_cmd::failure)?;
            let identity = directory.identity();
            let key = VerifierKey::new(&identity.alliance, identity.checkpoint_key.as_bytes());
            let key = key.map_err(|error| Failure::failed(error, ""))?;
            if !dir.join("journal/00000000000000000000.seg").exists() {
                return Ok(Report { kind: "hub", entries: Some(0), checkpoint: None, verified: true });
            }
            let audit = crate::journal_cmd::audit(dir, Some(&key))?;
            Ok(Report {
                kind: "hub",
                entries: Some(audit.entries),
                checkpoint: audit.checkpoint,
                verified: audit.verified,
            })
        }
    }
}

/// What an agent remembers of long ago must not act by itself: nothing is in force until a person has looked, and the
/// hub is asked for everything that is in force by now.
fn come_up_still(dir: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let failed = |error| Failure::failed(error, "take an older backup");
    let mut store = agent::Store::open(dir).map_err(failed)?.store;
    let reason = format!("restored from the backup of {}: compare the allow-list, then resume", manifest.at);
    let killed = Killed { since: crate::clock::now(), reason };
    store.append(&[Record::Reached(None), Record::Killed(Some(killed))]).map_err(failed)?;
    drop(store);
    fs::remove_file(dir.join("lock")).map_err(Failure::from)
}

/// A directory of our own beside a path; removed unless it was renamed.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(path: &Path) -> Result<Self, Failure> {
        let dir = beside(path, &format!("unpacked-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&dir);
        made.map_err(|error| Failure::failed(format_args!("{}: {error}; nothing was changed", dir.display()), ""))?;
        File::open(&dir)?.sync_all()?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // After a rename it is not there any more.
        let _ = fs::remove_dir_all(&self.0);
    }
}
