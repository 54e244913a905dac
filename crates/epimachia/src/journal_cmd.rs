//! `epimachia journal`: verify, show, export, prove, on a directory; needs no hub.

use crate::client::Connect;
use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use account::{Audit, Audited, SignedCheckpoint, VerifierKey};
use alliance::Entry;
use clap::Subcommand;
use journal::{Error, FileJournal, Journal as _, Record};
use serde::Serialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What to do with a journal.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Read every byte, rebuild the tree, compare it with the signed checkpoint
    Verify {
        /// The journal's directory, or a copy of it
        dir: PathBuf,
        /// The hub's public key (the `hub_key` line of the charter, as `name+hash+key`); without it only the bytes are
        /// checked
        #[arg(long)]
        key: Option<String>,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// List entries
    Show {
        /// The journal's directory
        dir: PathBuf,
        /// First position
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        max: usize,
        /// Only entries of this kind, such as plan-in-force
        #[arg(long)]
        kind: Option<String>,
        /// A JSON list of the entries
        #[arg(long)]
        json: bool,
    },
    /// Write all entries as JSON lines
    Export {
        /// The journal's directory
        dir: PathBuf,
    },
    /// Throw away what is derived from the journal, so that the hub's next start rebuilds it
    Rebuild {
        /// The hub's data directory, whose hub must not run
        dir: PathBuf,
        /// Do it; without this it is only said what would be done
        #[arg(long)]
        yes: bool,
    },
    /// Check a proof file for one entry, offline
    Check {
        /// The proof file
        proof: PathBuf,
        /// The hub's public key, as `name+hash+key`
        #[arg(long)]
        key: String,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Fetch the proof of one entry from the hub
    Proof {
        /// The entry's position
        position: u64,
        /// Write it into this file; to standard output where it is left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        connect: Connect,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Verify { dir, key, json } => verify(&dir, key.as_deref(), json),
        Command::Show { dir, from, max, kind, json } => show(&dir, from, max, kind.as_deref(), json),
        Command::Export { dir } => export(&dir),
        Command::Rebuild { dir, yes } => rebuild(&dir, yes),
        Command::Check { proof, key, json } => check(&proof, &key, json),
        Command::Proof { position, out, connect } => proof(position, out.as_deref(), &connect),
    }
}

/// What an audit of a journal's directory found.
#[derive(Serialize)]
pub struct Report {
    directory: PathBuf,
    /// Entries in it.
    pub entries: u64,
    segments: usize,
    torn: Option<String>,
    /// Entries under the checkpoint beside them.
    pub checkpoint: Option<u64>,
    root: Option<model::Digest>,
    /// Their tree is the one that the hub signed.
    pub verified: bool,
}

fn verify(dir: &Path, key: Option<&str>, json: bool) -> Outcome {
    let key = key.map(parse_key).transpose()?;
    let report = audit(dir, key.as_ref())?;
    match json {
        true => out::json(&report),
        false => print_report(&report, key.is_some()),
    }
    Ok(Exit::Done)
}

/// Reads every byte of a journal, rebuilds its tree, and holds it against the signed checkpoint beside it.
pub fn audit(dir: &Path, key: Option<&VerifierKey>) -> Result<Report, Failure> {
    let dir = journal_dir(dir);
    let checkpoint = checkpoint(&dir, key)?;
    let mut audit = checkpoint.as_ref().map(|signed| Audit::new(signed.unverified()));
    let bar = crate::progress::entries(checkpoint.as_ref().map_or(0, |c| c.unverified().size), "Verifying");
    let mut visit = |record: Record| {
        if let Some(audit) = &mut audit {
            audit.push(&record.nonce, &record.entry);
        }
        bar.inc(1);
    };
    let verified = journal::verify(&dir, None, &mut visit).map_err(|e| damaged(&e))?;
    bar.finish_and_clear();
    let audited: Option<Audited> = audit.map(Audit::finish).transpose().map_err(|fault| {
        Failure::failed(
            format_args!("The entries are whole, but they are not what the hub signed: {fault}"),
            "keep this copy, compare it with another member's, and tell the alliance",
        )
    })?;
    Ok(Report {
        directory: dir,
        entries: verified.head,
        segments: verified.segments,
        torn: verified.torn.as_ref().map(|torn| format!("{torn:?}")),
        checkpoint: checkpoint.as_ref().map(|c| c.unverified().size),
        root: audited.as_ref().map(|_| checkpoint.as_ref().map_or(model::Digest::of(&[]), |c| c.unverified().root)),
        verified: audited.is_some() && key.is_some(),
    })
}

fn print_report(report: &Report, with_key: bool) {
    let (dir, entries, segments) = (report.directory.display(), report.entries, report.segments);
    out::line(format_args!("{dir}: {entries} entries in {segments} segments, every frame whole."));
    if let Some(torn) = &report.torn {
        out::line(format_args!("At the end stands an interrupted write that was never acknowledged: {torn}."));
    }
    match (report.checkpoint, with_key) {
        (None, _) => out::line("No checkpoint stands beside them, so only their bytes were checked."),
        (Some(size), true) => {
            out::line(format_args!("The first {size} are exactly what the hub signed; {} came after.", entries - size));
        }
        (Some(size), false) => {
            out::line(format_args!(
                "Their tree agrees with the checkpoint over {size}, whose signature was not checked."
            ));
            out::say("Next: epimachia journal verify DIR --key NAME+HASH+KEY");
        }
    }
}

fn show(dir: &Path, from: u64, max: usize, kind: Option<&str>, json: bool) -> Outcome {
    let journal = open(dir)?;
    let (mut position, mut shown) = (from, Vec::new());
    while shown.len() < max {
        let records = journal.read(position, max.min(1_000)).map_err(|e| damaged(&e))?;
        let Some(last) = records.last() else { break };
        position = last.position + 1;
        for record in records {
            let entry = Entry::from_bytes(&record.entry)?;
            if shown.len() < max && kind.is_none_or(|kind| entry.event.kind() == kind) {
                shown.push((record.position, entry));
            }
        }
    }
    #[derive(Serialize)]
    struct Item<'a> {
        position: u64,
        entry: &'a Entry,
    }
    if json {
        let items: Vec<Item> = shown.iter().map(|(position, entry)| Item { position: *position, entry }).collect();
        out::json_list(&items);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = shown.iter().map(|(position, entry)| row(*position, entry)).collect();
    out::table(&["POSITION", "TIME", "AUTHOR", "HANDLING", "KIND", "WHAT"], &rows);
    Ok(Exit::Done)
}

/// An entry as a row of a table.
pub fn row(position: u64, entry: &Entry) -> Vec<String> {
    let author = match &entry.author {
        alliance::Author::Hub => "hub".to_owned(),
        alliance::Author::Member(member) => member.to_string(),
        alliance::Author::Person(person) => person.to_string(),
    };
    let (time, handling) = (entry.time.to_string(), entry.handling.to_string());
    vec![position.to_string(), time, author, handling, entry.event.kind().to_owned(), crate::words::what(&entry.event)]
}

fn export(dir: &Path) -> Outcome {
    let journal = open(dir)?;
    let mut position = 0;
    let mut stdout = std::io::stdout().lock();
    loop {
        let records = journal.read(position, 1_000).map_err(|e| damaged(&e))?;
        let Some(last) = records.last() else { break };
        position = last.position + 1;
        for record in &records {
            stdout.write_all(&record.entry)?;
            stdout.write_all(b"\n")?;
        }
    }
    out::say(format_args!("{position} entries."));
    Ok(Exit::Done)
}

/// Snapshots and tiles are derived: without them the next start reads the whole journal.
fn rebuild(dir: &Path, yes: bool) -> Outcome {
    let derived: Vec<PathBuf> =
        ["snapshots", "tiles"].iter().map(|name| dir.join(name)).filter(|path| path.exists()).collect();
    if derived.is_empty() {
        out::line("Nothing derived is there; the next start reads the whole journal anyway.");
        return Ok(Exit::Done);
    }
    let names: Vec<String> = derived.iter().map(|path| path.display().to_string()).collect();
    if !yes {
        out::line(format_args!("Would remove {}. Nothing was changed.", names.join(", ")));
        out::say(format_args!("Next: epimachia journal rebuild {} --yes", dir.display()));
        return Ok(Exit::Done);
    }
    // Opening for writing takes the directory's lock: with a hub running it is refused.
    let log = open(dir)?.log().map_err(|e| damaged(&e))?;
    let journal = FileJournal::open(&journal_dir(dir), journal::Options::new(log)).map_err(|e| damaged(&e))?;
    derived.iter().try_for_each(std::fs::remove_dir_all)?;
    drop(journal);
    out::line(format_args!("Removed {}. The hub's next start rebuilds them from the journal.", names.join(", ")));
    Ok(Exit::Done)
}

/// What a proof file proves.
#[derive(Serialize)]
pub struct Shown {
    /// The entry's position.
    pub position: u64,
    /// Entries in the journal that the hub signed.
    pub tree_size: u64,
    /// The entry, if the proof shows it.
    pub entry: Option<Entry>,
}

/// Reads a proof file.
///
/// # Errors
/// It cannot be read, is too long, or is none.
pub fn read_proof(file: &Path) -> Result<account::EntryProof, Failure> {
    let failed = |what: &dyn std::fmt::Display, next| Failure::failed(format_args!("{}: {what}", file.display()), next);
    let about = std::fs::metadata(file).map_err(|e| failed(&e, ""))?;
    if about.len() > account::PROOF_BYTES_MAX as u64 {
        return Err(failed(&format_args!("more than {} bytes", account::PROOF_BYTES_MAX), "ask for the proof again"));
    }
    let bytes = std::fs::read(file).map_err(|e| failed(&e, ""))?;
    account::EntryProof::parse(&bytes).map_err(|e| failed(&e, "ask for the proof again"))
}

/// Checks a proof file against the hub's public key, and nothing else.
pub fn prove(file: &Path, key: &VerifierKey) -> Result<Shown, Failure> {
    let proof = read_proof(file)?;
    let proven = proof.verify(key).map_err(|fault| {
        let what = format!("{}: the proof does not hold: {fault}", file.display());
        Failure::failed(what, "ask for the proof again, from another member too")
    })?;
    let entry = proven.entry.map(Entry::from_bytes).transpose()?;
    Ok(Shown { position: proven.index, tree_size: proven.size, entry })
}

fn check(file: &Path, key: &str, json: bool) -> Outcome {
    let key = parse_key(key)?;
    let shown = prove(file, &key)?;
    if json {
        out::json(&shown);
        return Ok(Exit::Done);
    }
    let (position, size) = (shown.position, shown.tree_size);
    out::line(format_args!("Entry {position} stands in the journal of {size} entries that {} signed.", key.name()));
    match &shown.entry {
        Some(entry) => out::line(row(position, entry)[1..].join("  ")),
        None => out::line("Its content is not shown in this proof; only its place is proven."),
    }
    Ok(Exit::Done)
}

fn proof(position: u64, file: Option<&Path>, connect: &Connect) -> Outcome {
    let text = crate::ask::connect(connect)?.text(&format!("/api/v1/log/proof/{position}"))?;
    match file {
        None => out::raw(&text),
        Some(file) => {
            std::fs::write(file, text).map_err(|e| Failure::failed(format_args!("{}: {e}", file.display()), ""))?;
            out::line(format_args!("The proof of entry {position} is in {}.", file.display()));
            out::say(format_args!("Next: epimachia journal check {} --key KEY", file.display()));
        }
    }
    Ok(Exit::Done)
}

/// A hub's data directory holds its journal in `journal`; the journal's own directory is accepted too.
fn journal_dir(dir: &Path) -> PathBuf {
    let inner = dir.join("journal");
    if inner.is_dir() { inner } else { dir.to_owned() }
}

pub(crate) fn open(dir: &Path) -> Result<FileJournal, Failure> {
    FileJournal::open_read_only(&journal_dir(dir), None, journal::Check::From(u64::MAX)).map_err(|e| damaged(&e))
}

fn checkpoint(dir: &Path, key: Option<&VerifierKey>) -> Result<Option<SignedCheckpoint>, Failure> {
    let Some(bytes) = journal::read_checkpoint(dir).map_err(|e| damaged(&e))? else { return Ok(None) };
    let place = dir.join("checkpoint");
    let failed = |what: &dyn std::fmt::Display| Failure::failed(format_args!("{}: {what}", place.display()), "");
    let signed = SignedCheckpoint::parse(&bytes).map_err(|e| failed(&e))?;
    if let Some(key) = key {
        signed.verify(key).map_err(|e| failed(&e))?;
    }
    Ok(Some(signed))
}

fn parse_key(text: &str) -> Result<VerifierKey, Failure> {
    text.parse().map_err(|e| Failure::Usage(format!("--key: {e}")))
}

pub(crate) fn damaged(error: &Error) -> Failure {
    Failure::failed(error, "keep the directory as it is; restore a backup, or copy it from another member")
}
