//! Tests of the file backend: the contract, and everything a crash, a disk or a stranger can do to the files.

use super::*;
use crate::conformance::{self, Store, entries, record};
use std::sync::Arc;
use tempfile::TempDir;

fn options() -> Options {
    Options::new(Digest::of(&[b"test log"]))
}

/// Small segments, so that every test crosses several.
fn small() -> Options {
    Options { segment_bytes: 4096, ..options() }
}

struct Directory(TempDir, Options);

impl Store for Directory {
    fn open(&self) -> Result<Arc<dyn Journal>, Error> {
        Ok(Arc::new(FileJournal::open(self.0.path(), self.1)?))
    }
}

#[test]
fn file_backend_conforms() {
    for options in [options(), small()] {
        conformance::run(|| Directory(tempfile::tempdir().unwrap(), options)).unwrap();
    }
}

/// A journal of `appends` appends of `each` entries; returns its directory and last segment.
fn written(options: Options, appends: u64, each: u64) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(dir.path(), options).unwrap();
    for n in 0..appends {
        journal.append(n * each, &entries(n * each, each).unwrap()).unwrap();
    }
    let last = segments(dir.path()).pop().unwrap();
    (dir, last)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    segment::list(dir, None).unwrap().into_iter().map(|segment| segment.path).collect()
}

fn check(journal: &FileJournal, head: u64) {
    assert_eq!(journal.head().unwrap(), head);
    let expected: Vec<Record> = (0..head).map(record).collect();
    assert_eq!(journal.read(0, usize::MAX).unwrap(), expected);
}

/// The damage an opening ends with.
fn damage(opened: Result<FileJournal, Error>) -> crate::Damage {
    match opened {
        Err(Error::Broken(crate::Broken::Damaged(damage))) => damage,
        other => panic!("expected damage, got {other:?}"),
    }
}

#[test]
fn tail_torn_at_any_byte_is_cut_and_reported() {
    let (dir, last) = written(options(), 3, 4);
    let whole = std::fs::read(&last).unwrap();
    let ends = frame_ends(&whole);
    let (kept, all) = (ends[7], whole.len());
    for length in kept..all {
        std::fs::write(&last, &whole[..length]).unwrap();
        let journal = FileJournal::open(dir.path(), options()).unwrap();
        check(&journal, 8);
        match &journal.report().torn {
            None => assert_eq!(length, kept, "a tail was lost unreported"),
            Some(torn) => assert_eq!((torn.from, torn.bytes), (kept as u64, (length - kept) as u64)),
        }
        assert_eq!(std::fs::metadata(&last).unwrap().len(), kept as u64);
        assert_eq!(journal.append(8, &entries(8, 4).unwrap()).unwrap(), 12);
        check(&journal, 12);
    }
}

#[test]
fn tail_of_zeros_is_cut() {
    let (dir, last) = written(options(), 3, 4);
    let mut bytes = std::fs::read(&last).unwrap();
    let end = bytes.len() as u64;
    bytes.resize(bytes.len() + 5000, 0);
    std::fs::write(&last, bytes).unwrap();
    let journal = FileJournal::open(dir.path(), options()).unwrap();
    assert_eq!(journal.report().torn.as_ref().map(|torn| (torn.from, torn.bytes)), Some((end, 5000)));
    check(&journal, 12);
}

#[test]
fn hole_inside_the_last_append_is_a_torn_tail() {
    let (dir, last) = written(options(), 2, 6);
    let mut bytes = std::fs::read(&last).unwrap();
    let ends = frame_ends(&bytes);
    bytes[ends[6]..ends[8]].fill(0);
    std::fs::write(&last, bytes).unwrap();
    let journal = FileJournal::open(dir.path(), options()).unwrap();
    assert_eq!(journal.report().torn.as_ref().map(|torn| torn.from), Some(ends[5] as u64));
    check(&journal, 6);
}

#[test]
fn every_flipped_bit_is_found_at_its_frame() {
    let (dir, last) = written(options(), 3, 3);
    let good = std::fs::read(&last).unwrap();
    let ends = frame_ends(&good);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&last, &bad).unwrap();
        let opened = FileJournal::open_read_only(dir.path(), None, Check::Everything);
        if bit / 8 < ends[5] {
            let damage = damage(opened);
            let frame_at = ends.iter().rev().chain([&segment::HEADER_BYTES]).find(|end| **end <= bit / 8).copied();
            let frame_at = frame_at.unwrap_or(0) as u64;
            assert!((frame_at..=frame_at + 76).contains(&damage.offset), "bit {bit}: {damage}");
            assert_eq!(damage.file, last);
        } else {
            // The last append cannot be told from an interrupted one, unless the caller knows that it counted.
            assert_eq!(opened.unwrap().report().torn.as_ref().map(|torn| torn.from), Some(ends[5] as u64));
            let known = Options { acknowledged: 9, ..options() };
            assert!(damage(FileJournal::open(dir.path(), known)).expected.contains("acknowledged"), "bit {bit}");
        }
        assert_eq!(std::fs::read(&last).unwrap(), bad, "damage is left as it is");
    }
}

#[test]
fn damage_in_an_earlier_segment_stops_the_start() {
    let (dir, _) = written(small(), 40, 5);
    let earlier = segments(dir.path());
    assert!(earlier.len() > 3);
    let whole = std::fs::read(&earlier[1]).unwrap();
    let cut = frame_ends(&whole).into_iter().rev().nth(1).unwrap();
    for bad in [&whole[..whole.len() - 1], &whole[..cut], &whole[..10], &[&whole[..], &[0; 100]].concat()] {
        std::fs::write(&earlier[1], bad).unwrap();
        assert_eq!(damage(FileJournal::open(dir.path(), small())).file, earlier[1]);
    }
}

#[test]
fn segment_cut_at_an_append_is_found_by_its_follower() {
    let (dir, _) = written(small(), 100, 1);
    let earlier = segments(dir.path());
    let whole = std::fs::read(&earlier[1]).unwrap();
    let cut = frame_ends(&whole).into_iter().rev().nth(1).unwrap();
    std::fs::write(&earlier[1], &whole[..cut]).unwrap();
    let damage = damage(FileJournal::open(dir.path(), small()));
    assert!(damage.expected.contains("where the next segment begins"), "{damage}");
}

#[test]
fn missing_segment_stops_the_start() {
    for missing in [0, 1] {
        let (dir, _) = written(small(), 40, 5);
        std::fs::remove_file(&segments(dir.path())[missing]).unwrap();
        damage(FileJournal::open(dir.path(), small()));
    }
}

#[test]
fn missing_last_segment_is_found_by_who_knows_the_head() {
    let (dir, last) = written(small(), 40, 5);
    std::fs::remove_file(last).unwrap();
    damage(FileJournal::open(dir.path(), Options { acknowledged: 200, ..small() }));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(FileJournal::open(empty.path(), Options { acknowledged: 1, ..small() }), Err(Error::Broken(_))));
}

#[test]
fn frame_written_by_a_member_into_an_entry_is_no_frame() {
    // Whoever knows the format, the offset and the position still does not know the seed.
    let dir = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(dir.path(), options()).unwrap();
    let mut forged = Vec::new();
    frame::encode(&mut forged, 0, 148, 5, 0, 1, &entries(5, 1).unwrap()[0]);
    journal.append(0, &[Entry::new([0; 32], &forged).unwrap()]).unwrap();
    drop(journal);
    let last = segments(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&last).unwrap();
    bytes[segment::HEADER_BYTES] ^= 1;
    std::fs::write(&last, bytes).unwrap();
    let journal = FileJournal::open(dir.path(), options()).unwrap();
    assert!(journal.report().torn.is_some());
}

#[test]
fn second_opener_is_told_who_holds_the_lock() {
    let (dir, _) = written(options(), 1, 1);
    let first = FileJournal::open(dir.path(), options()).unwrap();
    let second = FileJournal::open(dir.path(), options());
    assert!(matches!(second, Err(Error::Unavailable(told)) if told.contains("another process")));
    drop(first);
    check(&FileJournal::open(dir.path(), options()).unwrap(), 1);
}

#[test]
fn another_logs_directory_is_refused() {
    let (dir, last) = written(options(), 1, 1);
    let damage = damage(FileJournal::open(dir.path(), Options::new(Digest::of(&[b"another"]))));
    assert_eq!((damage.file, damage.offset), (last, 16));
}

#[test]
fn newer_format_is_refused_by_its_number() {
    let (dir, last) = written(options(), 1, 1);
    let mut bytes = std::fs::read(&last).unwrap();
    bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
    std::fs::write(&last, bytes).unwrap();
    let damage = damage(FileJournal::open(dir.path(), options()));
    assert_eq!((damage.offset, damage.found.as_str()), (8, "version 7"));
}

#[test]
fn read_only_opening_changes_nothing_and_appends_nothing() {
    let (dir, last) = written(small(), 40, 5);
    let whole = std::fs::read(&last).unwrap();
    std::fs::write(&last, &whole[..whole.len() - 3]).unwrap();
    let before = listing(dir.path());
    let journal = FileJournal::open_read_only(dir.path(), None, Check::Everything).unwrap();
    check(&journal, 195);
    assert!(matches!(journal.append(195, &entries(195, 1).unwrap()), Err(Error::Refused(Refusal::ReadOnly))));
    assert!(matches!(journal.write_checkpoint(b""), Err(Error::Refused(Refusal::ReadOnly))));
    assert_eq!(listing(dir.path()), before);
}

fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|item| item.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn checking_from_a_position_finds_older_damage_when_it_is_read() {
    let (dir, _) = written(small(), 40, 5);
    let earlier = segments(dir.path());
    let late = Options { check: Check::From(190), ..small() };
    let journal = FileJournal::open(dir.path(), late).unwrap();
    assert!(journal.report().checked < earlier.len());
    check(&journal, 200);
    drop(journal);
    let mut bytes = std::fs::read(&earlier[1]).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&earlier[1], bytes).unwrap();
    let journal = FileJournal::open(dir.path(), late).unwrap();
    assert_eq!(journal.read(195, 5).unwrap().len(), 5);
    assert!(matches!(journal.read(0, 200), Err(Error::Broken(_))));
}

#[test]
fn unfinished_segment_of_a_crash_is_swept() {
    let (dir, _) = written(options(), 1, 1);
    let unfinished = dir.path().join("00000000000000000001.seg.tmp");
    std::fs::write(&unfinished, b"EPIM").unwrap();
    let journal = FileJournal::open(dir.path(), options()).unwrap();
    assert_eq!(journal.report().swept, [unfinished]);
    check(&journal, 1);
}

#[test]
fn checkpoint_is_replaced_whole() {
    let (dir, _) = written(options(), 1, 1);
    assert_eq!(read_checkpoint(dir.path()).unwrap(), None);
    let journal = FileJournal::open(dir.path(), options()).unwrap();
    journal.write_checkpoint(b"first, longer").unwrap();
    journal.write_checkpoint(b"second").unwrap();
    assert_eq!(read_checkpoint(dir.path()).unwrap(), Some(b"second".to_vec()));
    assert!(matches!(
        journal.write_checkpoint(&vec![0; CHECKPOINT_BYTES_MAX + 1]),
        Err(Error::Refused(Refusal::BlobBytes { .. }))
    ));
}

#[test]
fn verification_visits_every_record_once_in_order() {
    let (dir, _) = written(small(), 400, 5);
    let mut next = 0;
    let verified = verify(dir.path(), Some(options().log), &mut |visited| {
        assert_eq!(visited, record(next));
        next += 1;
    });
    let verified = verified.unwrap();
    assert_eq!((verified.head, next, verified.torn), (2000, 2000, None));
}

#[test]
fn readers_beside_a_writer_see_only_whole_acknowledged_records() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(FileJournal::open(dir.path(), small()).unwrap());
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let journal = Arc::clone(&journal);
            std::thread::spawn(move || {
                let mut next = 0;
                while next < 500 {
                    let head = journal.wait(next, Duration::from_secs(30)).unwrap();
                    for read in journal.read(next, 1000).unwrap() {
                        assert_eq!(read, record(next));
                        next += 1;
                    }
                    assert!(next >= head);
                }
            })
        })
        .collect();
    for n in 0..50 {
        journal.append(n * 10, &entries(n * 10, 10).unwrap()).unwrap();
    }
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

/// Where each frame of a good segment ends.
fn frame_ends(bytes: &[u8]) -> Vec<usize> {
    let seed = segment::Header::decode(bytes).unwrap().seed;
    let (mut at, mut ends) = (segment::HEADER_BYTES, Vec::new());
    while at < bytes.len() {
        let header = frame::header(&bytes[at..], seed, at as u64).unwrap();
        at += frame::HEADER_BYTES + header.body_bytes as usize;
        ends.push(at);
    }
    ends
}
