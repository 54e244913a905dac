//! What happens when a journal is opened: every segment checked, an interrupted write cut, anything else refused.

use super::frame::Fault;
use super::scan::{Mark, Scan, later_append, scan};
use super::segment::{self, Segment, damaged};
use super::{Check, disk};
use crate::error::{Error, broken, unavailable};
use model::Digest;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What opening found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Entries in the journal.
    pub head: u64,
    /// Segment files.
    pub segments: usize,
    /// Segments whose every frame was read and checked.
    pub checked: usize,
    /// An interrupted write at the end, if there was one.
    pub torn: Option<Torn>,
    /// Unfinished files of a crash that were deleted.
    pub swept: Vec<PathBuf>,
}

/// The trace of a write that a crash interrupted: never acknowledged, and not part of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The last segment.
    pub file: PathBuf,
    /// The byte at which the interrupted append begins; the file is good before it.
    pub from: u64,
    /// How many bytes it had left behind. They are cut off, unless the journal is opened read-only.
    pub bytes: u64,
    /// The byte at which it stops being readable.
    pub at: u64,
    /// What was expected there, and what was found.
    pub reason: String,
}

/// A segment as the running journal knows it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) segment: Segment,
    /// Byte after the last complete append; unknown until the segment is scanned.
    pub(crate) end: Option<u64>,
    pub(crate) marks: Vec<Mark>,
}

/// What was recovered.
pub(crate) struct Recovered {
    pub(crate) known: Vec<Known>,
    pub(crate) report: OpenReport,
    /// Byte at which the last append begins, in the last segment.
    pub(crate) last_append: u64,
}

/// Reads the directory and checks what `check` asks for; changes nothing.
///
/// `acknowledged` is a head the caller has proof of (a signed checkpoint, a snapshot): ending before it is damage.
pub(crate) fn recover(dir: &Path, log: Option<Digest>, check: Check, acknowledged: u64) -> Result<Recovered, Error> {
    let segments = segment::list(dir, log)?;
    let mut recovered = Recovered { known: Vec::new(), report: OpenReport::default(), last_append: 0 };
    let followers: Vec<u64> = segments.iter().skip(1).map(|next| next.header.first).collect();
    for (n, segment) in segments.into_iter().enumerate() {
        if n == 0 && segment.header.first != 0 {
            let fault = Fault::new(48, "position 0 in the first segment", segment.header.first);
            return Err(damaged(&segment.path, 0, &fault));
        }
        let known = match followers.get(n) {
            Some(follower) if *follower <= check.from() => Known { segment, end: None, marks: Vec::new() },
            Some(follower) => sealed(segment, *follower, &mut recovered.report)?,
            None => last(segment, acknowledged, &mut recovered)?,
        };
        recovered.known.push(known);
    }
    recovered.report.segments = recovered.known.len();
    Ok(recovered)
}

/// Scans a segment that another one follows: it must be whole and end where the next begins.
pub(crate) fn scan_sealed(segment: &Segment, follower: u64) -> Result<(Vec<Mark>, u64), Error> {
    let (_, scanned) = open_and_scan(segment)?;
    if let Some((at, fault)) = scanned.stop {
        return Err(damaged(&segment.path, at, &fault));
    }
    match scanned.next == follower {
        true => Ok((scanned.marks, scanned.end)),
        false => {
            let expected = format!("entries up to position {follower}, where the next segment begins");
            let fault = Fault::new(0, expected, format!("the end before position {}", scanned.next));
            Err(damaged(&segment.path, scanned.end, &fault))
        }
    }
}

fn sealed(segment: Segment, follower: u64, report: &mut OpenReport) -> Result<Known, Error> {
    let (marks, end) = scan_sealed(&segment, follower)?;
    report.checked += 1;
    Ok(Known { segment, end: Some(end), marks })
}

fn last(segment: Segment, acknowledged: u64, recovered: &mut Recovered) -> Result<Known, Error> {
    let (file, scanned) = open_and_scan(&segment)?;
    if let Some((at, fault)) = &scanned.stop {
        recovered.report.torn = Some(torn(&segment, &file, &scanned, *at, fault)?);
    }
    if scanned.next < acknowledged {
        let fault = scanned.stop.map_or((scanned.end, None), |(at, fault)| (at, Some(fault)));
        let expected = format!("entries up to position {acknowledged}, which were acknowledged");
        let found = fault.1.map_or_else(|| "the end of the file".to_owned(), |fault| fault.to_string());
        return Err(damaged(&segment.path, fault.0, &Fault::new(0, expected, found)));
    }
    recovered.report.head = scanned.next;
    recovered.report.checked += 1;
    recovered.last_append = scanned.last_append;
    Ok(Known { segment, end: Some(scanned.end), marks: scanned.marks })
}

/// Decides whether what is wrong in the last segment is an interrupted write; if not, it is damage.
fn torn(segment: &Segment, file: &File, scanned: &Scan, at: u64, fault: &Fault) -> Result<Torn, Error> {
    let length = length_of(file, &segment.path)?;
    if let Some(later) = later_append(segment, file, at.min(length), length, scanned.next)? {
        let found = format!("{}, and a later append at byte {later}", fault.found);
        return Err(damaged(&segment.path, at, &Fault { found, ..fault.clone() }));
    }
    Ok(Torn {
        file: segment.path.clone(),
        from: scanned.end,
        bytes: length - scanned.end,
        at: at + fault.at,
        reason: fault.to_string(),
    })
}

/// Cuts an interrupted write off, then makes the last append durable once more.
///
/// A process that was killed may have left its last append only in the operating system's memory, or, after a failed
/// sync, in memory that the system believes to be written. It is written again so that what is read is what is kept.
pub(crate) fn settle(recovered: &Recovered, file: &File) -> Result<u64, Error> {
    let Some(Known { segment, end: Some(end), .. }) = recovered.known.last() else {
        return Ok(0);
    };
    let failed = |doing: &'static str| move |error| unavailable(doing, &segment.path, &error);
    if recovered.report.torn.is_some() {
        file.set_len(*end).map_err(failed("cutting the interrupted write off"))?;
    }
    // An append is at most APPEND_BYTES_MAX and its headers, so this length fits.
    let mut again = vec![0; usize::try_from(end - recovered.last_append).unwrap_or_default()];
    file.read_exact_at(&mut again, recovered.last_append).map_err(failed("reading"))?;
    file.write_all_at(&again, recovered.last_append).map_err(failed("writing the last append again to"))?;
    file.sync_all().map_err(failed("syncing"))?;
    disk::sync_directory(segment.path.parent().unwrap_or(Path::new(".")))
        .map_err(failed("syncing the directory of"))?;
    Ok(*end)
}

fn open_and_scan(segment: &Segment) -> Result<(File, Scan), Error> {
    let file = File::open(&segment.path).map_err(|error| unavailable("opening", &segment.path, &error))?;
    let length = length_of(&file, &segment.path)?;
    let scanned = scan(segment, &file, length)?;
    Ok((file, scanned))
}

fn length_of(file: &File, path: &Path) -> Result<u64, Error> {
    Ok(file.metadata().map_err(|error| broken("measuring", path, &error))?.len())
}
