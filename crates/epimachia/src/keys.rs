//! Secret key files: one form for members and persons, readable by their owner only.

use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use clap::Subcommand;
use model::SigningKey;
use std::path::{Path, PathBuf};

/// What to do with keys.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a secret key file; prints the public half for the charter
    New {
        /// Where to write it; refused if something is there
        file: PathBuf,
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
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    let (file, json) = match command {
        Command::New { file, json } => {
            create(&file)?;
            (file, json)
        }
        Command::Show { file, json } => (file, json),
    };
    let public = read(&file)?.public();
    match json {
        true => out::json(&serde_json::json!({"id": public.id(), "public": public, "file": file})),
        false => {
            out::line(format_args!("public = \"{public}\""));
            out::say(format_args!("{} in {}; the secret half stays there.", public.id(), file.display()));
        }
    }
    Ok(Exit::Done)
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
