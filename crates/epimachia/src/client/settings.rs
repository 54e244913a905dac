//! Where the hub and the agent are, and who I am: from flags, the environment, or one small file.

use crate::exit::Failure;
use clap::Args;
use model::{PersonId, SigningKey};
use serde::Deserialize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Longest settings or token file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// How every token begins, and how long it is.
const TOKEN: (&str, usize) = ("epi_", 47);

/// How the hub is reached: flags, then environment, then `~/.config/epimachia/client.toml`.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub struct Connect {
    /// The hub, such as https://hub.example.org:8443
    #[arg(long, env = "EPIMACHIA_HUB", value_name = "URL")]
    pub hub: Option<String>,
    /// PEM file with the hub's certificate (the hub's ca.pem); no other is trusted
    #[arg(long, env = "EPIMACHIA_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// File with the access token, readable by its owner only
    #[arg(long, env = "EPIMACHIA_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Where this member's agent is.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub struct Beside {
    /// The state directory of this member's agent, in which its control socket is
    #[arg(long, env = "EPIMACHIA_AGENT", value_name = "DIR")]
    pub agent: Option<PathBuf>,
}

/// What a person signs with.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Signature")]
pub struct Signer {
    /// Who signs, as `name@member`
    #[arg(long, env = "EPIMACHIA_PERSON", value_name = "PERSON")]
    pub person: Option<PersonId>,
    /// File with the person's own secret key; it stays on this machine
    #[arg(long, env = "EPIMACHIA_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    #[command(flatten)]
    pub passphrase: Passphrase,
}

/// What opens a person's key file.
#[derive(Args, Clone, Debug, Default)]
pub struct Passphrase {
    /// File with the passphrase of the key file, readable by its owner only
    #[arg(long, env = "EPIMACHIA_PASSPHRASE_FILE", value_name = "FILE", conflicts_with = "ask_passphrase")]
    pub passphrase_file: Option<PathBuf>,
    /// Ask for the passphrase of the key file on the terminal
    #[arg(long)]
    pub ask_passphrase: bool,
}

/// The settings file.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(default, deny_unknown_fields)]
struct Stored {
    hub: Option<String>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    agent: Option<PathBuf>,
    person: Option<PersonId>,
    key: Option<PathBuf>,
}

/// Flags, environment and file, put together.
#[derive(Clone, Debug)]
pub struct Settings {
    connect: Connect,
    stored: Stored,
}

impl Settings {
    /// Reads the settings file, if there is one, under the flags and the environment.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn load(connect: &Connect) -> Result<Self, Failure> {
        let stored = match file() {
            Some(path) if path.exists() => parse(&path)?,
            _ => Stored::default(),
        };
        Ok(Self { connect: connect.clone(), stored })
    }

    /// The hub's address without a final slash.
    pub(super) fn hub(&self) -> Result<String, Failure> {
        let hub = self.connect.hub.as_ref().or(self.stored.hub.as_ref());
        let hub = hub.ok_or_else(|| missing("the hub's address", "--hub URL", "EPIMACHIA_HUB", "hub"))?;
        match hub.starts_with("https://") {
            true => Ok(hub.trim_end_matches('/').to_owned()),
            false => Err(Failure::Usage(format!("--hub {}: not https://", model::parse::printable(hub)))),
        }
    }

    /// The file with the certificate that is trusted.
    pub(super) fn ca(&self) -> Result<PathBuf, Failure> {
        let ca = self.connect.ca.as_ref().or(self.stored.ca.as_ref());
        ca.cloned().ok_or_else(|| missing("the hub's certificate", "--ca FILE", "EPIMACHIA_CA", "ca"))
    }

    /// The token; no error ever repeats it.
    pub(super) fn token(&self) -> Result<String, Failure> {
        let file = self.connect.token_file.as_ref().or(self.stored.token_file.as_ref());
        let file = file.ok_or_else(|| missing("a token", "--token-file FILE", "EPIMACHIA_TOKEN_FILE", "token_file"))?;
        read_token(file)
    }

    /// Is there a hub to ask?
    pub fn has_hub(&self) -> bool {
        self.connect.hub.is_some() || self.stored.hub.is_some()
    }

    /// The agent's state directory, if one is set.
    pub fn agent(&self, beside: &Beside) -> Option<PathBuf> {
        beside.agent.as_ref().or(self.stored.agent.as_ref()).cloned()
    }

    /// The person who signs, and the key, opened on this machine.
    ///
    /// # Errors
    /// One of them is not known, or the key file cannot be opened.
    pub fn signer(&self, signer: &Signer) -> Result<(PersonId, SigningKey), Failure> {
        let person = signer.person.as_ref().or(self.stored.person.as_ref()).cloned();
        let person =
            person.ok_or_else(|| missing("who signs", "--person NAME@MEMBER", "EPIMACHIA_PERSON", "person"))?;
        let key = signer.key.as_ref().or(self.stored.key.as_ref()).cloned();
        let file = key.ok_or_else(|| missing("the signing key", "--key FILE", "EPIMACHIA_KEY", "key"))?;
        let key = crate::keys::read_person(&file, &person, &signer.passphrase)?;
        Ok((person, key))
    }
}

/// `$XDG_CONFIG_HOME/epimachia/client.toml` or `~/.config/epimachia/client.toml`.
fn file() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(base.join("epimachia/client.toml"))
}

fn parse(path: &Path) -> Result<Stored, Failure> {
    let failed = |what: String| Failure::failed(format_args!("{}: {what}", path.display()), "correct the file");
    let text = read_small(path).map_err(|e| failed(e.to_string()))?;
    toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        failed(format!("line {line}: {}", e.message()))
    })
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let failed = |what: &str, next: String| Failure::failed(format_args!("{}: {what}", file.display()), next);
    let metadata = std::fs::metadata(file).map_err(|e| failed(&e.to_string(), "epimachia token new".to_owned()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(failed("others can read this token", format!("chmod 600 {}", file.display())));
    }
    let text = read_small(file).map_err(|e| failed(&e.to_string(), String::new()))?;
    let token = text.trim();
    let (prefix, length) = TOKEN;
    match token.len() == length && token.starts_with(prefix) && token.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(token.to_owned()),
        false => Err(failed("no token: it begins with epi_ and has 47 characters", "epimachia token new".to_owned())),
    }
}

fn read_small(path: &Path) -> std::io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    match length > FILE_BYTES_MAX {
        true => Err(std::io::Error::other(format!("{length} bytes, at most {FILE_BYTES_MAX}"))),
        false => std::fs::read_to_string(path),
    }
}

/// Something is not known, and three ways to give it.
pub fn missing(what: &str, flag: &str, variable: &str, key: &str) -> Failure {
    let told = format!("{what} is not known: give {flag}, set {variable}, or write `{key}` into client.toml");
    Failure::Usage(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_others_can_read_is_refused_and_never_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let secret = format!("epi_{}", "s".repeat(43));
        std::fs::write(&file, &secret).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let told = read_token(&file).unwrap_err().message();
        assert!(told.contains("others can read") && told.contains("chmod 600") && !told.contains("sss"), "{told}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_token(&file).unwrap(), secret);
        std::fs::write(&file, "epi_sss").unwrap();
        assert!(!read_token(&file).unwrap_err().message().contains("sss"));
    }

    #[test]
    fn a_mistake_in_the_settings_file_names_line_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("client.toml");
        std::fs::write(&file, "hub = \"https://h\"\ntokenfile = \"x\"\n").unwrap();
        let told = parse(&file).unwrap_err().message();
        assert!(told.contains("line 2") && told.contains("tokenfile") && told.contains("token_file"), "{told}");
    }

    #[test]
    fn what_is_missing_is_named_with_three_ways_to_give_it() {
        let settings = Settings { connect: Connect::default(), stored: Stored::default() };
        let told = settings.hub().unwrap_err().message();
        assert!(told.contains("--hub") && told.contains("EPIMACHIA_HUB") && told.contains("client.toml"), "{told}");
        let connect = Connect { hub: Some("http://hub".into()), ..Connect::default() };
        assert!(Settings { connect, stored: Stored::default() }.hub().is_err());
    }
}
