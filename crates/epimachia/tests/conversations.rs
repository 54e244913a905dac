//! Conversations that an engineer could type, with the expected output beside them: `tests/scripts/*.txt`.
//!
//! ```text
//! # a comment
//! $ epimachia charter check broken.toml      a command for the shell, in a directory of its own
//! > more of the same command                 after the first line
//! what it prints
//! ! what it says on standard error
//! = 1                                        how it ends, where that is not 0
//! ```
//!
//! A command that ends in ` &` runs until the script has ended; one that begins with `until ` is tried again until it
//! succeeds. What differs from run to run (times, identifiers, keys, ports) is blanked on both sides. `8443` in a
//! command is a free port. With `EPIMACHIA_UPDATE=1` the expected output is written anew: read the difference.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says so by failing")]

#[path = "support/blank.rs"]
mod blank;
#[path = "support/script.rs"]
mod script;

use script::{Form, run_file, run_pages};
use std::path::Path;

fn conversation(name: &str) {
    run_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name), Form::Script);
}

#[test]
fn charters_with_mistakes_are_told_line_and_key() {
    conversation("charter.txt");
}

#[test]
fn a_journal_verifies_and_a_damaged_copy_does_not() {
    conversation("journal.txt");
}

#[test]
fn a_backup_comes_back_and_never_as_a_second_history() {
    conversation("backup.txt");
}

#[test]
fn wrong_usage_and_missing_settings_say_what_to_type() {
    conversation("usage.txt");
}

#[test]
fn keys_stay_private() {
    conversation("keys.txt");
}

#[test]
fn files_of_other_tools_are_read_and_patterns_explained() {
    conversation("share.txt");
}

#[test]
fn a_whole_conversation_with_a_hub() {
    conversation("hub.txt");
}

#[test]
fn the_pages_on_starting_an_alliance_and_admitting_a_member_can_be_typed() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-to");
    run_pages(&["start-an-alliance.md", "admit-a-member.md"].map(|page| pages.join(page)));
}
