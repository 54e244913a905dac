//! Bytes from a sensor into sightings; one file a source.
//!
//! `lines` cuts a stream into lines, a [`Source`] reads one line, `aggregate` merges what repeats, `tally` counts what
//! was not used and why, `intake` joins them. Nothing here is ever fatal: hostile lines are counted and passed over.

pub mod aggregate;
pub mod columns;
pub mod csv;
pub mod eve;
pub mod intake;
pub mod jsonl;
pub mod lines;
pub mod networks;
pub mod source;
pub mod tally;
pub mod times;

pub use self::csv::{Csv, CsvSettings};
pub use aggregate::Aggregator;
pub use columns::ColumnMap;
pub use eve::{Eve, EveSettings};
pub use intake::Intake;
pub use jsonl::JsonLines;
pub use networks::Networks;
pub use source::{Outcome, Settings, Skip, Source};
pub use tally::Tally;
