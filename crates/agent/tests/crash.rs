//! kill -9 in the middle of writing: what was acknowledged to anybody is there after the next start.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a surprise is a failed test")]

use agent::Store;
use agent::core::Record;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// How often it is killed; `EPIMACHIA_KILLS` says otherwise.
const ROUNDS: u32 = 8;
const CHILD: &str = "EPIMACHIA_TEST_CRASH_DIRECTORY";

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&directory));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    let rounds = std::env::var("EPIMACHIA_KILLS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        acknowledged = run_and_kill(dir.path(), 5 + round % 11 * 37).unwrap_or(acknowledged);
        let opened = Store::open(dir.path()).unwrap();
        let position = opened.state.position.unwrap_or(0);
        assert!(position >= acknowledged, "{position} on disk, {acknowledged} acknowledged");
        assert_eq!(opened.state.outbox.next, Some(position), "a batch is there whole or not at all");
    }
    assert!(acknowledged > u64::from(rounds) * 5);
    println!("{rounds} kills, {acknowledged} batches acknowledged");
}

/// Lets a child write, and kills it after it has acknowledged so many; gives the last acknowledged number.
fn run_and_kill(directory: &Path, count: u32) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_was_acknowledged_survives_kill_nine", "--nocapture"])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut numbers = lines.filter_map(|line| line.strip_prefix("durable ")?.parse().ok());
    let last = numbers.by_ref().take(count as usize).last();
    // SIGKILL, as far as the standard library is concerned.
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still printed before it died was acknowledged, too.
    numbers.last().or(last)
}

fn write_until_killed(directory: &Path) {
    let opened = Store::open(directory).unwrap();
    let (mut store, from) = (opened.store, opened.state.position.unwrap_or(0));
    for n in from + 1.. {
        store.append(&[Record::Reached(Some(n)), Record::Sequence(n)]).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "durable {n}").unwrap();
        out.flush().unwrap();
    }
}
