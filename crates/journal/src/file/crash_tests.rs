//! Crashes for real: a child process is killed in the middle of appending, sectors are lost, disks are full.

use super::*;
use crate::conformance::{entries, record};
use proptest::prelude::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

const DIR: &str = "JOURNAL_CRASH_TEST_DIR";
const ROUNDS: u64 = 50;

fn options() -> Options {
    Options { segment_bytes: 128 << 10, ..Options::new(Digest::of(&[b"crash test"])) }
}

/// This test binary again, as a process of its own that runs one of the ignored tests below.
fn child(test: &str, dir: &Path, limits: &[&str]) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut command = match limits.split_first() {
        None => Command::new(&exe),
        Some((program, args)) => {
            let mut command = Command::new(program);
            command.args(args).arg(&exe);
            command
        }
    };
    let test = format!("file::crash_tests::{test}");
    command.args(["--exact", &test, "--ignored", "--nocapture"]).env(DIR, dir).stdout(Stdio::piped());
    command
}

/// Kills the child however the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_acknowledged_entry_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut torn) = (0, 0);
    for round in 0..ROUNDS {
        let mut child = Killed(child("child_that_appends_until_killed", dir.path(), &[]).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        // Somewhere between the child's first append and its thirtieth; where inside an append, the scheduler decides.
        let patience = usize::from(Digest::of(&[&round.to_be_bytes()]).as_bytes()[0] % 30);
        for line in lines.by_ref().map_while(Result::ok).filter_map(|line| acknowledged_in(&line)).take(patience + 1) {
            acknowledged = line;
        }
        child.0.kill().unwrap();
        acknowledged =
            lines.map_while(Result::ok).filter_map(|line| acknowledged_in(&line)).last().unwrap_or(acknowledged);
        drop(child);
        let journal = FileJournal::open(dir.path(), options()).unwrap();
        let head = journal.head().unwrap();
        assert!(head >= acknowledged, "round {round}: {acknowledged} acknowledged, {head} there");
        torn += u64::from(journal.report().torn.is_some());
        assert_holds(&journal, head);
        acknowledged = head;
    }
    assert!(acknowledged > ROUNDS, "the children did append; {torn} of {ROUNDS} left a torn tail");
}

fn acknowledged_in(line: &str) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}

fn assert_holds(journal: &FileJournal, head: u64) {
    let mut next = 0;
    while next < head {
        for read in journal.read(next, 1000).unwrap() {
            assert_eq!(read, record(next));
            next += 1;
        }
    }
}

#[test]
#[ignore = "the child of every_acknowledged_entry_survives_kill_9"]
fn child_that_appends_until_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let journal = FileJournal::open(Path::new(&dir), options()).unwrap();
    let mut head = journal.head().unwrap();
    loop {
        head = journal.append(head, &entries(head, head % 40 + 1).unwrap()).unwrap();
        // A line cut short would be another number: written at once, a pipe keeps it whole.
        std::io::stdout().write_all(format!("acknowledged {head}\n").as_bytes()).unwrap();
    }
}

#[test]
fn file_size_limit_breaks_the_journal_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // 64 blocks of 1 KiB; a write beyond fails instead of raising a signal.
    let limits = ["bash", "-c", r#"trap '' XFSZ; ulimit -f 64; exec "$0" "$@""#];
    let output = child("child_that_fills_the_disk", dir.path(), &limits).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("it broke and lost nothing"), "{told}");
    let journal = FileJournal::open(dir.path(), options()).unwrap();
    let head = journal.head().unwrap();
    assert_holds(&journal, head);
    journal.append(head, &entries(head, 500).unwrap()).unwrap();
}

#[test]
fn full_disk_breaks_the_journal_and_it_opens_read_only() {
    testbed::disk::run_on_disk("file::crash_tests::child_that_fills_the_disk", 256).unwrap();
}

#[test]
#[ignore = "the child of the full disk tests"]
fn child_that_fills_the_disk() {
    let Some(dir) = std::env::var_os(DIR).or_else(testbed::disk::given) else { return };
    let journal = FileJournal::open(Path::new(&dir), options()).unwrap();
    let mut head = 0;
    let told = loop {
        match journal.append(head, &entries(head, 50).unwrap()) {
            Ok(next) => head = next,
            Err(Error::Broken(told)) => break told.to_string(),
            Err(other) => panic!("{other}"),
        }
    };
    assert!(told.contains("disk is full") || told.contains("too large"), "{told}");
    assert!(head > 0);
    assert!(matches!(journal.append(head, &entries(head, 1).unwrap()), Err(Error::Broken(_))), "it stays broken");
    assert!(matches!(journal.wait(head, Duration::from_secs(30)), Err(Error::Broken(_))), "who waits is told");
    assert_holds(&journal, head);
    drop(journal);
    let journal = FileJournal::open_read_only(Path::new(&dir), None, Check::Everything).unwrap();
    assert_eq!(journal.head().unwrap(), head);
    assert_holds(&journal, head);
    println!("it broke and lost nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Power fails during the last write: each sector of it is on the disk or not, in any combination.
    #[test]
    fn last_append_is_there_whole_or_not_at_all(
        kept in proptest::collection::vec(any::<bool>(), 40),
        length_kept in 0_usize..20_000,
    ) {
        const SECTOR: usize = 512;
        let dir = tempfile::tempdir().unwrap();
        let journal = FileJournal::open(dir.path(), options()).unwrap();
        journal.append(0, &entries(0, 30).unwrap()).unwrap();
        let path = dir.path().join(segment::name(0));
        let before = std::fs::read(&path).unwrap();
        journal.append(30, &entries(30, 90).unwrap()).unwrap();
        drop(journal);
        let mut after = std::fs::read(&path).unwrap();
        let whole = after.clone();
        after.truncate(before.len().max(whole.len().min(before.len() + length_kept)));
        let length = after.len();
        for (sector, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
            let from = (before.len() / SECTOR + sector) * SECTOR;
            let range = from.max(before.len()).min(length)..(from + SECTOR).min(length);
            after[range].fill(0);
        }
        std::fs::write(&path, &after).unwrap();
        let journal = FileJournal::open(dir.path(), options()).unwrap();
        let head = journal.head().unwrap();
        prop_assert_eq!(head, if after == whole { 120 } else { 30 });
        prop_assert_eq!(journal.report().torn.is_some(), head == 30 && after != before);
        assert_holds(&journal, head);
    }
}
