//! Starting other programs: always shown before they run, never through a shell.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;

/// The repository's root: the directory above this crate's own.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// `cargo` as the one that runs us, in the repository's root.
///
/// `cargo run` describes *this* package in our environment. Some build scripts watch those variables; handed on, each
/// change between `cargo xtask test` and `cargo test` would build their packages again.
pub fn cargo<I, S>(words: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words).current_dir(root());
    for (name, _) in std::env::vars_os().filter(|(name, _)| describes_a_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

/// Variables that cargo sets for the program it runs (The Cargo Book, "Environment variables Cargo sets for crates").
fn describes_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"]
        .iter()
        .any(|begin| variable.starts_with(begin))
}

/// Runs a program to its end with our own streams; anything but exit code 0 is a failure that names the command.
pub fn to_the_end(command: &mut Command) -> Result<(), Failure> {
    let line = line(command);
    eprintln!("+ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Failed(format!("`{line}` ended with {status}"))),
        Err(error) => Err(Failure::Failed(format!("`{line}` did not start: {error}"))),
    }
}

/// Whether a program starts and ends well; its output is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The command as a person would type it: variables of its own first, `cargo` by its name.
fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?;
        Some(format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
    });
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    variables.chain([name]).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_where_the_workspace_manifest_lies() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn a_failing_program_is_named_with_its_words() {
        let failed = to_the_end(Command::new("/bin/false").arg("twice").env("LEVEL", "3"));
        assert_eq!(failed, Err(Failure::Failed("`LEVEL=3 false twice` ended with exit status: 1".into())));
    }

    #[test]
    fn cargo_does_not_hand_on_what_describes_this_package() {
        let command = cargo(["--version"]);
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        assert!(removed.contains(&"CARGO_PKG_NAME".as_ref()) && removed.contains(&"CARGO_MANIFEST_DIR".as_ref()));
        assert!(!describes_a_package("CARGO_TARGET_DIR") && !describes_a_package("CARGO_INCREMENTAL"));
    }

    #[test]
    fn a_missing_program_is_a_failure_and_no_panic() {
        let failed = to_the_end(&mut Command::new("/nonexistent/program"));
        let Err(Failure::Failed(text)) = failed else { panic!("succeeded") };
        assert!(text.starts_with("`program` did not start"), "{text}");
        assert!(!succeeds(&mut Command::new("/nonexistent/program")));
    }
}
