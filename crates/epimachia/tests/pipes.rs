//! Readers that go away early, as `| head` does: no command fails because of them.

use std::process::{Command, Stdio};

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for words in [&["completions", "bash"][..], &["charter", "explain"], &["config", "explain", "--json"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_epimachia"))
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
