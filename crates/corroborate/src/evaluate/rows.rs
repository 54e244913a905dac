//! Recorded sightings as CSV text: `observed_at,member,type,value,category`, one row a sighting, quoted as RFC 4180
//! says.

use crate::engine::MEMBERS_MAX;
use crate::error::Error;
use model::Timestamp;

/// The header every file starts with.
pub const HEADER: &str = "observed_at,member,type,value,category";
/// The most rows of one file.
pub const ROWS_MAX: usize = 50_000_000;
/// The most bytes of one field.
pub const FIELD_MAX: usize = 4096;

/// One recorded sighting, borrowed from the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub member: String,
    /// The kind of value: `ipv4`, `domain`, `url`, …
    pub kind: String,
    /// What.
    pub value: String,
}

/// Reads a whole file. Empty lines are left out; rows need not be sorted.
///
/// # Errors
/// [`Error::Refused`] naming line, field, value and what is allowed.
pub fn parse(text: &[u8]) -> Result<Vec<Row>, Error> {
    let text = std::str::from_utf8(text).map_err(|e| {
        let line = 1 + text[..e.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Error::refused("line", line, "UTF-8 text")
    })?;
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.strip_suffix('\r').unwrap_or(line)));
    match lines.next() {
        Some((_, header)) if header.trim_start_matches('\u{feff}') == HEADER => (),
        other => return Err(Error::refused("line 1", cut(other.map_or("", |(_, line)| line)), HEADER)),
    }
    let mut rows = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if rows.len() == ROWS_MAX {
            return Err(Error::refused("rows", rows.len() + 1, format!("at most {ROWS_MAX}")));
        }
        rows.push(row(number, line)?);
    }
    Ok(rows)
}

/// The names that occur, sorted.
///
/// # Errors
/// [`Error::Refused`] for more than [`MEMBERS_MAX`].
pub fn members<'a>(rows: impl Iterator<Item = &'a Row>) -> Result<Vec<String>, Error> {
    let names: std::collections::BTreeSet<&str> = rows.map(|row| row.member.as_str()).collect();
    if names.len() > MEMBERS_MAX {
        return Err(Error::refused("members", names.len(), format!("at most {MEMBERS_MAX}")));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn row(number: usize, line: &str) -> Result<Row, Error> {
    let fields = fields(line).ok_or_else(|| refused(number, "quotes", line, "fields quoted as in RFC 4180"))?;
    let [at, member, kind, value, _category] = &fields[..] else {
        return Err(refused(number, "fields", &fields.len().to_string(), "5, as in the header"));
    };
    for (name, field) in [("member", member), ("type", kind), ("value", value)] {
        if field.is_empty() || field.len() > FIELD_MAX {
            return Err(refused(number, name, field, &format!("1 to {FIELD_MAX} bytes")));
        }
    }
    let at = at.parse().map_err(|e: model::ParseError| refused(number, "observed_at", at, &e.allowed))?;
    Ok(Row { at, member: member.clone(), kind: kind.clone(), value: value.clone() })
}

/// The fields of one line; `None` where a quote is left open or something follows a closed one.
pub(crate) fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::with_capacity(5);
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return after.is_empty().then_some(fields),
        }
    }
}

fn quoted_field(quoted: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        match rest[end + 1..].strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, &rest[end + 1..])),
        }
    }
}

pub(crate) fn refused(line: usize, field: &str, value: &str, allowed: &str) -> Error {
    Error::Refused {
        field: "recorded sightings",
        value: format!("line {line}, {field}: {}", cut(value)),
        allowed: allowed.to_owned(),
    }
}

/// At most 80 characters, control characters escaped: what is recorded is hostile text.
fn cut(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        parse(format!("{HEADER}\n{line}\n").as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn rows_are_read_with_quotes_and_either_line_end() {
        let text = format!("{HEADER}\r\n2025-01-01T00:00:00Z,a,url,\"http://x/\"\"q\"\",1\",c2\r\n\n");
        let rows = parse(text.as_bytes()).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].member.as_str(), rows[0].value.as_str()), ("a", "http://x/\"q\",1"));
    }

    #[test]
    fn errors_name_line_field_and_what_is_allowed() {
        assert!(error("2025-13-01T00:00:00Z,a,url,v,c").contains("line 2, observed_at: 2025-13-01"));
        assert!(error("2025-01-01T00:00:00Z,a,url,v").contains("line 2, fields: 4"));
        assert!(error("2025-01-01T00:00:00Z,,url,v,c").contains("line 2, member"));
        assert!(error("2025-01-01T00:00:00Z,a,url,\"v,c").contains("quotes"));
        let long = "v".repeat(FIELD_MAX + 1);
        assert!(error(&format!("2025-01-01T00:00:00Z,a,url,{long},c")).contains("1 to 4096 bytes"));
    }

    #[test]
    fn hostile_text_is_escaped_in_errors() {
        assert!(!error("\u{1b}[31m,a,url,v,c").contains('\u{1b}'));
    }

    #[test]
    fn another_header_and_text_that_is_not_utf8_are_refused() {
        assert!(parse(b"time,member\n").unwrap_err().to_string().contains(HEADER));
        assert!(parse(b"").is_err());
        let text = [format!("{HEADER}\n2025").as_bytes(), &[0xff]].concat();
        assert!(parse(&text).unwrap_err().to_string().contains("`2`"));
    }
}
