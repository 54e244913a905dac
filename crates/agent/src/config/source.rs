//! `[[source]]`: one sensor.

use model::{ParseError, Sighting, Timestamp};
use observe::{Aggregator, Csv, CsvSettings, Eve, EveSettings, Intake, JsonLines, Settings};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One sensor's file, or standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// A name for logs and alarms, each once: under it is remembered how far the file has been read.
    pub name: String,
    /// The file, which is followed from its end on, also when it is rotated. Absent: standard input.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// Read the file from its beginning at the first start; default false.
    #[serde(default)]
    pub from_beginning: bool,
    /// How it is written: `eve`, `csv`, `json-lines`.
    pub format: Format,
    /// For `eve`: what signatures and categories mean.
    #[serde(default)]
    pub eve: Option<EveSettings>,
    /// For `csv`: columns.
    #[serde(default)]
    pub csv: Option<CsvSettings>,
    /// For `json-lines`: fields.
    #[serde(default)]
    pub fields: Option<observe::ColumnMap>,
}

/// How a sensor writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Suricata's `eve.json`.
    Eve,
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// A sensor's reader, whatever its format.
pub(crate) enum Reader {
    Eve(Box<Intake<Eve>>),
    Csv(Intake<Csv>),
    JsonLines(Intake<JsonLines>),
}

impl SourceConfig {
    /// The reader of this sensor.
    ///
    /// # Errors
    /// The format's own settings are missing or wrong.
    pub(crate) fn reader(&self, settings: &Settings) -> Result<Reader, ParseError> {
        let missing = |key: &str| ParseError::new("source", &self.name, format_args!("`{key}` for this format"));
        let (settings, aggregator) = (settings.clone(), Aggregator::default());
        Ok(match self.format {
            Format::Eve => {
                let eve = Eve::new(self.eve.clone().unwrap_or_default())?;
                Reader::Eve(Box::new(Intake::new(eve, settings, aggregator)))
            }
            Format::Csv => {
                let csv = Csv::new(self.csv.clone().ok_or_else(|| missing("csv"))?)?;
                Reader::Csv(Intake::new(csv, settings, aggregator))
            }
            Format::JsonLines => {
                let fields = self.fields.clone().ok_or_else(|| missing("fields"))?;
                Reader::JsonLines(Intake::new(JsonLines::new(fields), settings, aggregator))
            }
        })
    }
}

impl Reader {
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Sighting> {
        match self {
            Self::Eve(intake) => intake.push(bytes),
            Self::Csv(intake) => intake.push(bytes),
            Self::JsonLines(intake) => intake.push(bytes),
        }
    }

    pub fn due(&mut self, now: Timestamp) -> Vec<Sighting> {
        match self {
            Self::Eve(intake) => intake.due(now),
            Self::Csv(intake) => intake.due(now),
            Self::JsonLines(intake) => intake.due(now),
        }
    }

    /// The file has ended: its last line, and all that has waited.
    pub fn finish(&mut self) -> Vec<Sighting> {
        match self {
            Self::Eve(intake) => intake.finish(),
            Self::Csv(intake) => intake.finish(),
            Self::JsonLines(intake) => intake.finish(),
        }
    }

    /// The latest event time seen.
    pub fn latest(&self) -> Timestamp {
        match self {
            Self::Eve(intake) => intake.latest(),
            Self::Csv(intake) => intake.latest(),
            Self::JsonLines(intake) => intake.latest(),
        }
    }
}
