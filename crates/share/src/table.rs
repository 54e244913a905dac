//! Comma-separated values (RFC 4180): lists of others with a header, and findings as a table.

use crate::limits::Limits;
use crate::loose::moment;
use crate::meaning;
use crate::reading::{Defaults, Reading, Silent, Skip, Word};
use csv::StringRecord;
use model::{Finding, Observable, ParseError, Sighting, Timestamp, Tlp};

/// Most columns.
pub const COLUMNS_MAX: usize = 256;

/// Which column is what, by the name in the header; without one the usual names are tried.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Columns {
    /// The observable.
    pub value: Option<String>,
    /// What it did, in any words.
    pub behaviour: Option<String>,
    /// When it was first seen.
    pub first: Option<String>,
    /// When it was last seen.
    pub last: Option<String>,
    /// How many times.
    pub count: Option<String>,
}

const VALUE: &[&str] = &[
    "observable",
    "value",
    "indicator",
    "ioc",
    "ioc_value",
    "ip",
    "ip_address",
    "dst_ip",
    "src_ip",
    "address",
    "domain",
    "host",
    "url",
    "sha256_hash",
    "sha256",
];
const BEHAVIOUR: &[&str] = &["behaviour", "behavior", "threat_type", "threat", "type", "category", "tags", "malware"];
const FIRST: &[&str] = &["first", "first_seen", "first_seen_utc", "dateadded", "date", "timestamp", "time"];
const LAST: &[&str] = &["last", "last_seen", "last_seen_utc", "last_online", "last_reported"];
const COUNT: &[&str] = &["count", "hits", "reports", "events"];

/// The columns that a header has.
struct Places {
    value: usize,
    behaviour: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
    count: Option<usize>,
}

/// Reads a table whose first line that is no comment is its header, or else the last comment before it. Rows without
/// times were seen at `fetched`, and none
/// after it. Places are rows, from 0.
///
/// # Errors
/// What is beyond `limits`, no text, without a header or without the column of the observable. A bad row is refused by
/// itself.
pub fn read(
    bytes: &[u8],
    columns: &Columns,
    limits: &Limits,
    defaults: &Defaults,
    fetched: Timestamp,
) -> Result<Reading, ParseError> {
    let text = limits.text(bytes)?.trim_start_matches('\u{feff}');
    let separator = separator(text);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .trim(csv::Trim::All)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut rows = reader.records();
    let (mut comment, mut first) = (None, None);
    for row in rows.by_ref() {
        match row {
            Ok(row) if is_comment(&row) => comment = Some(row),
            row => {
                first = row.ok();
                break;
            }
        }
    }
    let first = first.ok_or_else(|| ParseError::new("header", "nothing", "a first line with the columns' names"))?;
    let in_comment = comment.map(|comment| uncommented(&comment)).filter(|header| header.len() == first.len());
    let (places, data) = match (Places::of(&first, columns), in_comment.map(|header| Places::of(&header, columns))) {
        (Ok(places), _) => (places, None),
        (Err(_), Some(Ok(places))) => (places, Some(Ok(first))),
        (Err(error), _) => return Err(error),
    };
    let mut reading = Reading::default();
    let rows = data.into_iter().chain(rows.filter(|row| !row.as_ref().is_ok_and(is_comment)));
    for (place, row) in rows.enumerate() {
        limits.count("rows", place + 1)?;
        let row = row.map_err(|error| Silent::from(ParseError::new("row", &error.to_string(), "RFC 4180")));
        let sighting = row.and_then(|row| places.sighting(&row, defaults, fetched));
        reading.take(place, sighting.map(|sighting| vec![Word::Sighting(sighting)]));
    }
    Ok(reading)
}

/// Some tables have their header in the last comment before the data.
fn uncommented(row: &StringRecord) -> StringRecord {
    row.iter().map(|column| column.trim_start_matches(['#', ' ', '"']).trim_end_matches('"')).collect()
}

fn is_comment(row: &StringRecord) -> bool {
    row.get(0).is_none_or(|first| first.starts_with('#')) || row.iter().all(str::is_empty)
}

/// A comma, unless the first line has a tab or only semicolons.
fn separator(text: &str) -> u8 {
    let line = text.lines().find(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()).unwrap_or("");
    match line {
        line if line.contains('\t') => b'\t',
        line if line.contains(';') && !line.contains(',') => b';',
        _ => b',',
    }
}

impl Places {
    fn of(header: &StringRecord, columns: &Columns) -> Result<Self, ParseError> {
        if header.len() > COLUMNS_MAX {
            let found = format!("{} columns", header.len());
            return Err(ParseError::new("header", &found, format_args!("at most {COLUMNS_MAX} columns")));
        }
        let place = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
        let find = |given: &Option<String>, usual: &[&str]| match given {
            Some(name) => {
                let listed = header.iter().collect::<Vec<_>>().join(", ");
                place(name).map(Some).ok_or_else(|| ParseError::new("column", name, format_args!("one of: {listed}")))
            }
            None => Ok(usual.iter().find_map(|name| place(name))),
        };
        let listed = header.iter().collect::<Vec<_>>().join(", ");
        let missing = || ParseError::new("header", &listed, format_args!("a column such as {}", VALUE[..4].join(", ")));
        Ok(Self {
            value: find(&columns.value, VALUE)?.ok_or_else(missing)?,
            behaviour: find(&columns.behaviour, BEHAVIOUR)?,
            first: find(&columns.first, FIRST)?,
            last: find(&columns.last, LAST)?,
            count: find(&columns.count, COUNT)?,
        })
    }

    fn sighting(&self, row: &StringRecord, defaults: &Defaults, fetched: Timestamp) -> Result<Sighting, Silent> {
        let field = |place: Option<usize>| place.and_then(|place| row.get(place)).filter(|text| !text.is_empty());
        let value = field(Some(self.value)).ok_or_else(|| ParseError::new("value", "nothing", "an observable"))?;
        let observable = Observable::parse_pasted(value)?;
        let behaviour = meaning::behaviour(field(self.behaviour)).or(defaults.behaviour).ok_or(Skip::NoBehaviour)?;
        let first = field(self.first).map(|text| moment("first", text)).transpose()?;
        let last = field(self.last).map(|text| moment("last", text)).transpose()?.or(first).unwrap_or(fetched);
        let first = first.unwrap_or(last);
        if last < first || last > fetched {
            return Err(ParseError::new("last", &last.to_string(), format_args!("from {first} to {fetched}")).into());
        }
        let count = match field(self.count) {
            Some(text) => text
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| ParseError::new("count", text, format_args!("a whole number, 1 to {}", u32::MAX)))?,
            None => 1,
        };
        if defaults.handling.tlp == Tlp::Red {
            return Err(ParseError::new("tlp", "red", "clear, green, amber or amber+strict").into());
        }
        let (sensor, grade, handling) = (defaults.sensor, defaults.grade, defaults.handling.clone());
        Ok(Sighting { observable, behaviour, first, last, count, sensor, grade, handling })
    }
}

/// Findings as a table with a header. No field begins with a sign that a spreadsheet takes for a formula.
pub fn write<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> String {
    let mut text =
        "finding,observable,kind,behaviours,state,actionable,points,threshold,tlp,group,first,last\r\n".to_owned();
    for finding in findings {
        let behaviours: Vec<&str> = finding.behaviours.iter().map(|behaviour| behaviour.as_str()).collect();
        let group = finding.handling.group.as_ref().map_or("", |group| group.as_str());
        let fields = [
            finding.id.to_string(),
            finding.observable.to_string(),
            finding.observable.kind().to_owned(),
            behaviours.join(" "),
            finding.state.to_string(),
            finding.actionable.to_string(),
            finding.sum.total.to_string(),
            finding.sum.threshold.to_string(),
            finding.handling.tlp.to_string(),
            group.to_owned(),
            finding.first.to_string(),
            finding.last.to_string(),
        ];
        text += &fields.map(|field| quoted(&field)).join(",");
        text += "\r\n";
    }
    text
}

fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Behaviour, Grade, Handling, Sensor};

    fn read_with(text: &str, columns: &Columns) -> Result<Reading, ParseError> {
        let handling = Handling::alliance(Tlp::Green);
        let defaults =
            Defaults { handling, behaviour: Some(Behaviour::Scan), sensor: Sensor::List, grade: Grade::Spoofable };
        read(text.as_bytes(), columns, &Limits::ENVELOPE, &defaults, "2026-06-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn tables_of_others_are_read_by_their_usual_names() {
        for text in [
            "# a comment\nfirst_seen_utc,dst_ip,dst_port,malware\n2026-05-05 16:53:20,198.51.100.7,443,botnet\n",
            "\"first_seen\";\"IOC\";\"threat_type\"\r\n\"2026-05-05 16:53:20\";\"198.51.100.7\";\"c2\"\r\n",
            "# by somebody\n# \"first_seen_utc\",\"ioc\",\"threat\"\n\"2026-05-05 16:53:20\",\"198.51.100.7\",\"c2\"\n",
            "\u{feff}ip\tfirst\ttags\n198.51.100[.]7\t1778000000\tcommand-and-control\n",
        ] {
            let reading = read_with(text, &Columns::default()).unwrap();
            let (_, sighting) = reading.sightings().next().unwrap_or_else(|| panic!("{text}: {reading:?}"));
            let found = (sighting.observable.to_string(), sighting.behaviour, sighting.first.to_string());
            assert_eq!(found, ("198.51.100.7".into(), Behaviour::C2, "2026-05-05T16:53:20Z".into()), "{text}");
        }
    }

    #[test]
    fn columns_can_be_named_and_rows_without_times_were_seen_now() {
        let columns = Columns { value: Some("what".to_owned()), count: Some("n".to_owned()), ..Columns::default() };
        let reading = read_with("what,n\n\"evil.example\",3\n", &columns).unwrap();
        let (_, sighting) = reading.sightings().next().unwrap();
        assert_eq!((sighting.count, sighting.last.to_string().as_str()), (3, "2026-06-01T00:00:00Z"));
        assert_eq!(read_with("a,b\n", &columns).map(|_| ()).unwrap_err().field, "column");
    }

    #[test]
    fn bad_rows_are_refused_by_their_number() {
        let text = "value,first,last,count\nevil.example,2026-05-01,2026-04-01,1\nevil.example,,2027-01-01,1\n\
            evil.example,,,0\n,,,1\nevil.example\nnonsense!,,,1\n";
        let reading = read_with(text, &Columns::default()).unwrap();
        let refused: Vec<(usize, &str)> = reading.refused.iter().map(|(at, e)| (*at, e.field.as_str())).collect();
        assert_eq!(refused, [(0, "last"), (1, "last"), (2, "count"), (3, "value"), (5, "domain")]);
        assert_eq!(reading.words.len(), 1);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let wide = vec!["a"; COLUMNS_MAX + 1].join(",");
        for text in ["", "# only\n", "colour,size\nred,3\n", &wide] {
            assert_eq!(read_with(text, &Columns::default()).map(|_| ()).unwrap_err().field, "header", "{text}");
        }
    }
}
