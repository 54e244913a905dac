//! Tests of the state on disk: torn ends, damage, versions, locks, compaction.

use super::*;
use model::Timestamp;
use proptest::prelude::*;

fn time(n: i64) -> Record {
    Record::Time(Timestamp::from_millis(1_700_000_000_000 + n))
}

fn log(directory: &Path) -> PathBuf {
    directory.join("state.log")
}

fn filled(directory: &Path, count: i64) {
    let mut store = Store::open(directory).unwrap().store;
    (0..count).for_each(|n| store.append(&[time(n), Record::Reached(Some(n as u64))]).unwrap());
}

#[test]
fn what_was_appended_is_there_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 5);
    let opened = Store::open(dir.path()).unwrap();
    assert_eq!((opened.state.position, opened.torn_bytes), (Some(4), 0));
}

#[test]
fn a_torn_end_is_cut_at_any_byte_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let whole = fs::read(log(dir.path())).unwrap();
    let last = frame(&[time(2), Record::Reached(Some(2))], dir.path()).unwrap().len();
    for cut in 1..=last {
        fs::write(log(dir.path()), &whole[..whole.len() - cut]).unwrap();
        let opened = Store::open(dir.path()).unwrap();
        assert_eq!((opened.state.position, opened.torn_bytes), (Some(1), (last - cut) as u64), "{cut}");
    }
    let mut zeros = whole.clone();
    zeros.extend([0; 4096]);
    fs::write(log(dir.path()), &zeros).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().state.position, Some(2));
}

#[test]
fn damage_before_the_end_is_refused_with_place_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let mut bytes = fs::read(log(dir.path())).unwrap();
    let at = bytes.len() - 200;
    bytes[at] ^= 1;
    fs::write(log(dir.path()), &bytes).unwrap();
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("state.log: byte ") && error.contains("put back a copy"), "{error}");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 1);
    let mut bytes = fs::read(log(dir.path())).unwrap();
    bytes[16] = 9;
    let sum = crc32c::crc32c(&bytes[..20]).to_le_bytes();
    bytes[20..24].copy_from_slice(&sum);
    fs::write(log(dir.path()), &bytes).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Broken(Broken::Newer { found: 9, known: 1, .. })), "{error}");
}

#[test]
fn a_second_agent_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(Error::Broken(Broken::Locked { .. }))));
    drop(first);
    assert!(Store::open(dir.path()).is_ok());
}

#[test]
fn a_grown_file_is_written_anew_and_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let mut state = State::default();
    let big: Vec<Record> = (0..100_000).map(time).collect();
    for _ in 0..4 {
        store.append(&big).unwrap();
        big.iter().cloned().for_each(|record| state.apply(record));
    }
    let before = store.bytes();
    store.compact(&state).unwrap();
    assert!(store.bytes() < before / 100, "{} of {before}", store.bytes());
    store.append(&[Record::Reached(Some(7))]).unwrap();
    drop(store);
    let opened = Store::open(dir.path()).unwrap();
    assert_eq!((opened.state.position, opened.state.seen), (Some(7), state.seen));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_changed_byte_is_noticed_or_only_the_last_batch_is_lost(place: proptest::sample::Index, flip in 1_u8..) {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 4);
        let mut bytes = fs::read(log(dir.path())).unwrap();
        let at = place.index(bytes.len());
        bytes[at] ^= flip;
        fs::write(log(dir.path()), &bytes).unwrap();
        match Store::open(dir.path()) {
            Err(Error::Broken(_)) => {}
            Ok(opened) => prop_assert!(opened.torn_bytes > 0 && opened.state.position == Some(2)),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

/// Runs the test below on a disk of 24 MiB that only it sees.
#[test]
fn full_disk_ends_what_is_in_force_and_forgets_nothing() {
    testbed::disk::run_on_disk("store::tests::the_room_that_is_kept", 24 << 10).unwrap();
}

#[test]
#[ignore = "fills its disk: full_disk_ends_what_is_in_force_and_forgets_nothing runs it on one of its own"]
fn the_room_that_is_kept_is_written_to_when_there_is_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut store = Store::open(&state).unwrap().store;
    assert!(store.has_room());
    let sign = dir.path().join("sign");
    crate::room::write_small(&sign, "before").unwrap();
    let filler = dir.path().join("filler");
    let mut file = File::create(&filler).unwrap();
    let mut written = 0;
    while file.write_all(&[1; 4_096]).is_ok() {
        written += 4_096;
        assert!(written < 64 << 20, "TMPDIR is no small tmpfs");
    }
    let mut count = 0;
    // Beyond the page that the file has already.
    while store.has_room() {
        store.append(&[time(count), Record::Reached(Some(count as u64))]).unwrap();
        count += 1;
    }
    store.append(&[time(count), Record::Reached(Some(count as u64))]).unwrap();
    let room = file.metadata().unwrap().len();
    while file.write_all(&[1; 512]).is_ok() {}
    crate::room::write_small(&sign, "after").unwrap();
    assert_eq!(fs::read_to_string(&sign).unwrap().trim(), "after", "written over");
    file.set_len(room).unwrap();
    store.make_room();
    assert!(!store.has_room() && !store.wants_compaction(), "there is none");
    drop(store);
    let mut opened = Store::open(&state).unwrap();
    assert_eq!((opened.state.position, opened.torn_bytes), (Some(count as u64), 0));
    assert!(!opened.store.has_room(), "as after a start");
    opened.store.append(&[time(count + 1)]).unwrap();
    drop(file);
    fs::remove_file(&filler).unwrap();
    opened.store.make_room();
    assert!(opened.store.has_room());
}
