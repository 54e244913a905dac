//! Secret key files: a plain form for agents, a sealed one for persons; readable by their owner only.

mod change;

use crate::ask::Read;
use crate::client::settings::Passphrase;
use crate::exit::{Exit, Failure, Outcome};
use crate::{out, person_key};
use clap::Subcommand;
use model::{KeyAct, MemberId, PersonId, PublicKey, SigningKey};
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Longest line that is taken for a passphrase.
const ASKED_BYTES_MAX: u64 = 2_048;

/// What to do with keys.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a secret key file; prints the public half for the charter
    ///
    /// With --person the file is a person's own: its secret half is sealed under a passphrase, and agents cannot use it
    New {
        /// Where to write it; refused if something is there
        file: PathBuf,
        /// Whose own key it is, as `name@member`
        #[arg(long)]
        person: Option<PersonId>,
        #[command(flatten)]
        passphrase: Passphrase,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print the public half of a secret key file
    Show {
        /// The secret key file
        file: PathBuf,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// List the keys that count, and those that were revoked
    List {
        /// Only this member's
        #[arg(long)]
        member: Option<MemberId>,
        #[command(flatten)]
        read: Read,
    },
    /// Have another key count, for this member's agents or for a person
    Add(change::Add),
    /// Add a new key and retire the one that signs
    Rotate(change::Rotate),
    /// Have a key count no more; what it signed before still counts
    Retire(change::Take),
    /// Have a key never count again, nor anything that it has signed
    Revoke(change::Take),
    /// Show that a new key's secret half is here, for whoever adds it elsewhere
    Prove(change::Prove),
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    let (file, json) = match command {
        Command::New { file, person: None, json, .. } => {
            create(&file)?;
            (file, json)
        }
        Command::New { file, person: Some(person), passphrase, json } => {
            create_person(&file, &person, &passphrase)?;
            (file, json)
        }
        Command::Show { file, json } => (file, json),
        Command::List { member, read } => return change::list(member.as_ref(), &read),
        Command::Add(wish) => return change::add(&wish),
        Command::Rotate(wish) => return change::rotate(&wish),
        Command::Retire(wish) => return change::take(&wish, KeyAct::Retire),
        Command::Revoke(wish) => return change::take(&wish, KeyAct::Revoke),
        Command::Prove(wish) => return change::prove(&wish),
    };
    let public = public_of(&file)?;
    match json {
        true => out::json(&serde_json::json!({"id": public.id(), "public": public, "file": file})),
        false => {
            out::line(format_args!("public = \"{public}\""));
            out::say(format_args!("{} in {}; the secret half stays there.", public.id(), file.display()));
        }
    }
    Ok(Exit::Done)
}

/// Makes a person's sealed key file.
fn create_person(file: &Path, person: &PersonId, passphrase: &Passphrase) -> Result<(), Failure> {
    let passphrase = passphrase_of(passphrase, true)?;
    person_key::create(file, person, &passphrase).map(drop)
}

/// The public half; a person's key file shows it without its passphrase.
fn public_of(file: &Path) -> Result<PublicKey, Failure> {
    match sealed(file) {
        Some(text) => Ok(person_key::public(&text)?.1),
        None => Ok(read(file)?.public()),
    }
}

/// A person's key, from a sealed file or a plain one.
///
/// # Errors
/// It cannot be read or opened, or no way to its passphrase was given.
pub fn read_person(file: &Path, person: &PersonId, passphrase: &Passphrase) -> Result<SigningKey, Failure> {
    match sealed(file) {
        Some(text) => person_key::open(&text, person, &passphrase_of(passphrase, false)?),
        None => read(file),
    }
}

/// The text of a sealed key file that only its owner can read.
fn sealed(file: &Path) -> Option<String> {
    agent::keys::read_secret(file).ok().filter(|text| person_key::is_sealed(text))
}

fn passphrase_of(passphrase: &Passphrase, new: bool) -> Result<String, Failure> {
    if let Some(file) = &passphrase.passphrase_file {
        return agent::keys::read_secret(file)
            .map_err(|e| Failure::failed(e, format_args!("chmod 600 {}", file.display())));
    }
    if !passphrase.ask_passphrase {
        let ways = "a passphrase is needed: --ask-passphrase on a terminal, or --passphrase-file FILE";
        return Err(Failure::Usage(ways.to_owned()));
    }
    let given = ask("Passphrase: ")?;
    if new && ask("Once more: ")? != given {
        return Err(Failure::failed("the two passphrases differ; nothing was changed", "try again"));
    }
    Ok(given)
}

/// Asks on the terminal itself, whatever standard input is, without showing what is typed.
fn ask(prompt: &str) -> Result<String, Failure> {
    let none =
        |e: std::io::Error| Failure::failed(format_args!("no terminal to ask on: {e}"), "--passphrase-file FILE");
    let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(none)?;
    let silent = Silent::on(&terminal).map_err(none)?;
    terminal.write_all(prompt.as_bytes()).map_err(none)?;
    let mut line = String::new();
    let read = std::io::BufReader::new(&terminal).take(ASKED_BYTES_MAX).read_line(&mut line);
    drop(silent);
    terminal.write_all(b"\n").map_err(none)?;
    read.map_err(none)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The terminal shows nothing of what is typed until this is dropped.
struct Silent(std::fs::File);

impl Silent {
    fn on(terminal: &std::fs::File) -> std::io::Result<Self> {
        let silent = Self(terminal.try_clone()?);
        match silent.set("-echo")? {
            true => Ok(silent),
            false => Err(std::io::Error::other("it goes on showing what is typed")),
        }
    }

    /// By `stty` (POSIX), which is where a terminal is.
    fn set(&self, mode: &str) -> std::io::Result<bool> {
        let status = std::process::Command::new("stty").arg(mode).stdin(self.0.try_clone()?).status()?;
        Ok(status.success())
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Nothing is left to be done if the terminal has gone.
        let _ = self.set("echo");
    }
}

/// Makes a secret key file.
///
/// # Errors
/// Something is there already, or the file cannot be written.
pub fn create(file: &Path) -> Result<SigningKey, Failure> {
    let failed = |error: agent::Error| Failure::failed(error, "choose another file name; nothing was changed");
    agent::keys::create_key(file).map_err(failed)?;
    read(file)
}

/// Reads a secret key file that only its owner can read.
///
/// # Errors
/// It is missing, readable by others, or no key.
pub fn read(file: &Path) -> Result<SigningKey, Failure> {
    agent::keys::read_key(file).map_err(|error| match error {
        agent::Error::Broken(agent::Broken::Exposed { .. }) => {
            let what = format!("{}: others can read this secret key", file.display());
            Failure::failed(what, format_args!("chmod 600 {}", file.display()))
        }
        other => Failure::failed(other.to_string().trim_start_matches("agent broken: "), ""),
    })
}
