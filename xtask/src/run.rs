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
pub fn cargo<I, S>(words: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words).current_dir(root());
    command
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
        let failed = to_the_end(cargo(["no-such-verb-here"]).env("LEVEL", "3"));
        let Err(Failure::Failed(text)) = failed else { panic!("succeeded") };
        assert!(text.starts_with("`LEVEL=3 cargo no-such-verb-here` ended with"), "{text}");
    }

    #[test]
    fn a_missing_program_is_a_failure_and_no_panic() {
        let failed = to_the_end(&mut Command::new("/nonexistent/program"));
        let Err(Failure::Failed(text)) = failed else { panic!("succeeded") };
        assert!(text.starts_with("`program` did not start"), "{text}");
        assert!(!succeeds(&mut Command::new("/nonexistent/program")));
    }
}
