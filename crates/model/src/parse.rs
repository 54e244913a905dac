//! The error of everything that is parsed: which field, which value, what is allowed.

use std::fmt;

/// Longest part of an offending value that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Text that is not what it should be: names the field, repeats the value (cut to 80 characters, control characters
/// escaped) and says what is allowed. Whoever sent the text is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: `{value}` is not allowed; allowed: {allowed}")]
pub struct ParseError {
    /// The field or kind of thing that was to be read, `observable` for example.
    pub field: String,
    /// The offending text, safe to print.
    pub value: String,
    /// What would have been accepted, in words.
    pub allowed: String,
}

impl ParseError {
    /// An error about `value`, which is cut and escaped so that it is safe to print.
    pub fn new(field: &str, value: &str, allowed: impl fmt::Display) -> Self {
        Self { field: field.to_owned(), value: printable(value), allowed: allowed.to_string() }
    }
}

/// Hostile text made safe to print: control and invisible characters escaped, cut to 80 characters.
pub fn printable(value: &str) -> String {
    printable_within(value, SHOWN_CHARS_MAX)
}

/// As [`printable`], cut to `chars_max` characters: for what a person has to read whole.
pub fn printable_within(value: &str, chars_max: usize) -> String {
    let mut shown: String = value.chars().take(chars_max).flat_map(escape).collect();
    if value.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

fn escape(c: char) -> Vec<char> {
    let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    match c.is_control() || hidden {
        true => c.escape_unicode().collect(),
        false => vec![c],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_cut_and_escaped() {
        let error = ParseError::new("domain", &format!("a\u{1b}[31m\u{202e}{}", "x".repeat(200)), "a domain name");
        assert!(error.value.starts_with("a\\u{1b}[31m\\u{202e}xxx"));
        assert!(error.value.ends_with('…'));
        assert!(error.value.chars().count() < 120);
    }
}
