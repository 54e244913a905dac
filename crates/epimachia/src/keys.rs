//! Secret key files: 32 random bytes in base64, readable by their owner only.

use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use model::SigningKey;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| Failure::failed(format_args!("no random numbers: {e}"), ""))?;
    let failed = |e| Failure::failed(format_args!("{}: {e}", file.display()), "choose another file name");
    let mut options = OpenOptions::new();
    let mut handle = options.write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    handle.write_all(STANDARD.encode(seed).as_bytes()).and_then(|()| handle.sync_all()).map_err(failed)?;
    Ok(SigningKey::from_seed(&seed))
}

/// Reads a secret key file that only its owner can read.
///
/// # Errors
/// It is missing, readable by others, or no key.
pub fn read(file: &Path) -> Result<SigningKey, Failure> {
    let failed = |what: String, next: String| Failure::failed(format_args!("{}: {what}", file.display()), next);
    let metadata = std::fs::metadata(file).map_err(|e| failed(e.to_string(), String::new()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(failed("others can read this secret key".into(), format!("chmod 600 {}", file.display())));
    }
    let text = std::fs::read_to_string(file).map_err(|e| failed(e.to_string(), String::new()))?;
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
    let seed = bytes.ok_or_else(|| failed("no secret key: 44 characters of base64".into(), String::new()))?;
    Ok(SigningKey::from_seed(&seed))
}
