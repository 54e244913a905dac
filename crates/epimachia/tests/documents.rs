//! The reference of the command line and the list of commands are what the program says of itself.
//! With `EPIMACHIA_UPDATE=1` they are written anew.

#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use std::path::Path;
use std::process::Command;

fn said(what: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_epimachia")).args(["docs", what]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn compare(what: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let said = said(what);
    if std::env::var_os("EPIMACHIA_UPDATE").is_some() {
        return std::fs::write(path, said).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == said, "{} is not what `epimachia docs {what}` prints: EPIMACHIA_UPDATE=1", path.display());
}

#[test]
fn the_list_of_commands_is_the_programs() {
    compare("commands", "commands.txt");
}

#[test]
fn the_reference_of_the_command_line_is_the_programs() {
    compare("cli", "../../docs/reference/cli.md");
}

#[test]
fn every_command_has_help_and_every_list_has_json() {
    for line in said("commands").lines() {
        let output =
            Command::new(env!("CARGO_BIN_EXE_epimachia")).args(line.split(' ')).arg("--help").output().unwrap();
        assert!(output.status.success(), "{line}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(!line.ends_with(" list") || help.contains("--json"), "{line} has no --json");
    }
}
