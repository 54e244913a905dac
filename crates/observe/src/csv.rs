//! Comma-separated values (RFC 4180) of any shape, read through a column map; one record a line: a quoted field may not
//! go on in the next line.

use crate::columns::{ColumnMap, Record};
use crate::source::{FIELDS_MAX, Outcome, Settings, Skip, Source, text};
use model::{ParseError, Sighting};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The shape of the records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvSettings {
    /// The columns' names by their place; without them the first line is the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// What separates fields: one ASCII character other than a quote; default a comma.
    #[serde(default = "comma")]
    pub separator: char,
    /// Lines that begin with this are passed over; default `#`.
    #[serde(default = "hash")]
    pub comment: char,
    /// Which column is what.
    pub columns: ColumnMap,
}

fn comma() -> char {
    ','
}

fn hash() -> char {
    '#'
}

/// The source.
#[derive(Clone, Debug)]
pub struct Csv {
    names: Option<Vec<String>>,
    separator: u8,
    comment: char,
    columns: ColumnMap,
}

impl Csv {
    /// The source that `settings` describe.
    ///
    /// # Errors
    /// A separator that is not one ASCII character, too many names.
    pub fn new(settings: CsvSettings) -> Result<Self, ParseError> {
        let CsvSettings { names, separator, comment, columns } = settings;
        let allowed = separator.is_ascii() && !matches!(separator, '"' | '\r' | '\n');
        let byte = u8::try_from(separator).ok().filter(|_| allowed);
        let byte = byte.ok_or_else(|| {
            ParseError::new("separator", &separator.to_string(), "one ASCII character, not a quote or line end")
        })?;
        if let Some(names) = names.as_ref().filter(|names| names.len() > FIELDS_MAX) {
            return Err(ParseError::new("names", &names.len().to_string(), format_args!("at most {FIELDS_MAX}")));
        }
        Ok(Self { names, separator: byte, comment, columns })
    }

    fn sighting(&mut self, bytes: &[u8], settings: &Settings) -> Result<Sighting, Outcome> {
        let line = text(bytes)?;
        if line.trim().is_empty() || line.starts_with(self.comment) {
            return Err(Skip::Blank.into());
        }
        let fields = split(line.trim_start_matches('\u{feff}'), self.separator)?;
        let Some(names) = &self.names else {
            self.names = Some(fields.into_iter().map(Cow::into_owned).collect());
            return Err(Skip::Blank.into());
        };
        if fields.len() != names.len() {
            let found = format!("{} fields", fields.len());
            return Err(ParseError::new("line", &found, format_args!("{} fields", names.len())).into());
        }
        self.columns.sighting(&Row { names, fields: &fields }, settings)
    }
}

impl Source for Csv {
    fn line(&mut self, bytes: &[u8], settings: &Settings) -> Outcome {
        self.sighting(bytes, settings).into()
    }
}

struct Row<'a> {
    names: &'a [String],
    fields: &'a [Cow<'a, str>],
}

impl Record for Row<'_> {
    fn column(&self, name: &str) -> Option<Cow<'_, str>> {
        let place = self.names.iter().position(|known| known == name)?;
        let field = self.fields.get(place).map(|field| field.trim())?;
        (!field.is_empty()).then_some(Cow::Borrowed(field))
    }
}

/// The fields of one line.
fn split(line: &str, separator: u8) -> Result<Vec<Cow<'_, str>>, ParseError> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or_else(|| ParseError::new("line", line, "every quote closed"))?,
            None => {
                let end = rest.bytes().position(|b| b == separator).unwrap_or(rest.len());
                (Cow::Borrowed(&rest[..end]), &rest[end..])
            }
        };
        fields.push(field);
        if fields.len() > FIELDS_MAX {
            return Err(ParseError::new("line", line, format_args!("at most {FIELDS_MAX} fields")));
        }
        match after.as_bytes().first() {
            None => return Ok(fields),
            Some(byte) if *byte == separator => rest = &after[1..],
            Some(_) => return Err(ParseError::new("line", after, "a separator after a closing quote")),
        }
    }
}

/// A quoted field up to its closing quote, with doubled quotes made single, and what follows; `None`: never closed.
fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut from = 0;
    let mut doubled = false;
    loop {
        let quote = from + text[from..].find('"')?;
        match text[quote + 1..].starts_with('"') {
            true => (from, doubled) = (quote + 2, true),
            false if doubled => return Some((text[..quote].replace("\"\"", "\"").into(), &text[quote + 1..])),
            false => return Some((text[..quote].into(), &text[quote + 1..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_split_as_rfc_4180_says() {
        for (line, wanted) in [
            ("a,b,,d", Some(vec!["a", "b", "", "d"])),
            (r#""a,1","say ""no""",c"#, Some(vec!["a,1", "say \"no\"", "c"])),
            (r#""","#, Some(vec!["", ""])),
            (r#"a,"open"#, None),
            (r#""a"b,c"#, None),
            ("ä,ö", Some(vec!["ä", "ö"])),
        ] {
            let fields = split(line, b',').ok();
            assert_eq!(fields.as_ref().map(|f| f.iter().map(|c| c.as_ref()).collect()), wanted, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(fields in proptest::collection::vec("[a\",;é ]{0,8}", 1..6)) {
            let quoted: Vec<String> = fields.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect();
            let line = quoted.join(";");
            prop_assert_eq!(split(&line, b';').unwrap(), fields);
        }
    }
}
