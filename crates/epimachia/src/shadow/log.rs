//! Logs as they lie on a disk or come through a pipe: opened, expanded, cut into lines, read by their format.

use super::watch::Watch;
use crate::exit::Failure;
use crate::progress;
use clap::ValueEnum;
use model::ParseError;
use observe::lines::{Line, Lines};
use observe::source::LINE_BYTES_MAX;
use observe::{Aggregator, Csv, CsvSettings, Eve, EveSettings, JsonLines, Outcome, Settings, Source as _, Tally};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes read at once.
pub const PIECE_BYTES: usize = 256 << 10;
/// Longest column map, in bytes.
const MAP_BYTES_MAX: u64 = 1 << 20;

/// How a log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Suricata's EVE JSON
    Eve,
    /// Comma-separated values; needs --map
    Csv,
    /// One JSON object a line; needs --map
    Jsonl,
}

impl Format {
    /// The format's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eve => "eve",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// A reader of one format, as the map describes it.
#[derive(Clone, Debug)]
enum Reader {
    Eve(Box<Eve>),
    Csv(Box<CsvSettings>, Box<Csv>),
    Json(Box<JsonLines>),
}

/// Reads lines into a [`Watch`].
pub struct Intake {
    reader: Reader,
    settings: Settings,
    lines: Lines,
    aggregator: Aggregator,
    /// What came of the lines.
    pub tally: Tally,
}

impl Intake {
    /// An intake for `format`; `map` is the file that says which column is what (for EVE: what signatures mean).
    ///
    /// # Errors
    /// The map is missing, cannot be read, or says what is not allowed.
    pub fn new(format: Format, map: Option<&Path>, settings: Settings) -> Result<Self, Failure> {
        let reader = match (format, map.map(|path| Ok::<_, Failure>((path, text_of(path)?))).transpose()?) {
            (Format::Eve, None) => Reader::Eve(Box::default()),
            (Format::Eve, Some((path, text))) => Reader::Eve(Box::new(Eve::new(parsed::<EveSettings>(path, &text)?)?)),
            (Format::Csv, Some((path, text))) => {
                let settings: CsvSettings = parsed(path, &text)?;
                Reader::Csv(Box::new(settings.clone()), Box::new(Csv::new(settings)?))
            }
            (Format::Jsonl, Some((path, text))) => Reader::Json(Box::new(JsonLines::new(parsed(path, &text)?))),
            (Format::Csv | Format::Jsonl, None) => {
                let what = format!("--format {}: which column is what? Give --map FILE", format.as_str());
                return Err(Failure::Usage(what));
            }
        };
        let (lines, aggregator, tally) = (Lines::default(), Aggregator::default(), Tally::default());
        Ok(Self { reader, settings, lines, aggregator, tally })
    }

    /// Begins another file: an unfinished line of the one before ends, a header is read anew.
    ///
    /// # Errors
    /// The map is not what it was.
    pub fn begin_file(&mut self, watch: &mut Watch) -> Result<(), Failure> {
        self.end_file(watch);
        self.lines = Lines::default();
        if let Reader::Csv(settings, reader) = &mut self.reader {
            **reader = Csv::new(CsvSettings::clone(settings))?;
        }
        Ok(())
    }

    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8], watch: &mut Watch) {
        let Self { reader, settings, lines, aggregator, tally } = self;
        let mut out = Vec::new();
        lines.push(bytes, |number, line| {
            let outcome = read(reader, settings, line, watch);
            take(number, outcome, tally, aggregator, watch, &mut out);
        });
        out.iter().for_each(|sighting| watch.report(sighting));
    }

    fn end_file(&mut self, watch: &mut Watch) {
        let Self { reader, settings, lines, aggregator, tally } = self;
        let mut out = Vec::new();
        lines.finish(|number, line| {
            let outcome = read(reader, settings, line, watch);
            take(number, outcome, tally, aggregator, watch, &mut out);
        });
        out.iter().for_each(|sighting| watch.report(sighting));
    }

    /// The end: the last line, and what waits to be merged.
    pub fn finish(&mut self, watch: &mut Watch) {
        self.end_file(watch);
        self.aggregator.finish().iter().for_each(|sighting| watch.report(sighting));
    }
}

fn read(reader: &mut Reader, settings: &Settings, line: Line<'_>, watch: &mut Watch) -> Outcome {
    let bytes = match line {
        Line::Whole(bytes) => bytes,
        Line::TooLong(length) => {
            let limit = format!("at most {LINE_BYTES_MAX} bytes");
            return ParseError::new("line", &format!("{length} bytes"), limit).into();
        }
    };
    match reader {
        Reader::Eve(eve) => {
            let (outcome, contact) = eve.line_and_contact(bytes, settings);
            if let Some(contact) = contact {
                watch.contact(&contact);
            }
            outcome
        }
        Reader::Csv(_, csv) => csv.line(bytes, settings),
        Reader::Json(json) => json.line(bytes, settings),
    }
}

fn take(
    number: u64,
    outcome: Outcome,
    tally: &mut Tally,
    aggregator: &mut Aggregator,
    watch: &mut Watch,
    out: &mut Vec<model::Sighting>,
) {
    tally.count(number, &outcome);
    if let Outcome::Seen(sighting) = outcome {
        watch.evidence(&sighting);
        aggregator.add(*sighting, out);
    }
}

/// Reads whole files, one after the other, with a bar where a person looks. `-` is standard input.
///
/// # Errors
/// A file cannot be read; those before it have been.
pub fn read_files(files: &[PathBuf], intake: &mut Intake, watch: &mut Watch) -> Result<(), Failure> {
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |about| about.len());
    let bar = progress::bytes(files.iter().map(size).sum(), "Reading");
    let mut piece = vec![0; PIECE_BYTES];
    for path in files {
        let mut log = open(path, &bar)?;
        intake.begin_file(watch)?;
        loop {
            let count = log.read(&mut piece).map_err(|e| wrong(path, &e))?;
            if count == 0 {
                break;
            }
            intake.push(piece.get(..count).unwrap_or_default(), watch);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn open(path: &Path, bar: &indicatif::ProgressBar) -> Result<Box<dyn Read>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = bar.wrap_read(File::open(path).map_err(|e| wrong(path, &e))?);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("zst") => Ok(Box::new(zstd::Decoder::new(file).map_err(|e| wrong(path, &e))?)),
        Some("gz" | "xz" | "bz2") => {
            let what = format!("{}: compressed in a way that is not read here", path.display());
            Err(Failure::failed(what, format_args!("zcat {} | epimachia shadow -", path.display())))
        }
        _ => Ok(Box::new(file)),
    }
}

pub fn wrong(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format_args!("{}: {error}; nothing was changed", path.display()), "give a log that can be read")
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(|e| wrong(path, &e))?;
    file.take(MAP_BYTES_MAX + 1).read_to_string(&mut text).map_err(|e| wrong(path, &e))?;
    match text.len() as u64 > MAP_BYTES_MAX {
        true => Err(Failure::failed(format_args!("{}: more than {MAP_BYTES_MAX} bytes", path.display()), "")),
        false => Ok(text),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, Failure> {
    toml::from_str(text).map_err(|e| {
        let what = format!("{}: {}", path.display(), e.to_string().trim_end());
        Failure::failed(what, "docs/how-to/shadow.md shows a map")
    })
}
