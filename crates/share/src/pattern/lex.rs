//! Cuts a pattern into tokens; the longest that fits wins, a keyword over a name of the same length.

use super::tree::{Instant, Literal};
use crate::stix::StixTime;
use base64::Engine as _;
use model::ParseError;

/// A token and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    /// What it is.
    pub what: What,
    /// Its first byte.
    pub at: usize,
}

/// What a token is.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    /// A keyword in capitals.
    Word(&'static str),
    /// A name; with hyphens it can only be an object type.
    Name(String),
    /// A literal. Numbers keep their text, as some places take only some of them; text has it once.
    Literal(Literal, String),
    /// Punctuation and operators.
    Sign(&'static str),
    /// The end of the pattern.
    End,
}

const WORDS: [&str; 18] = [
    "AND",
    "OR",
    "NOT",
    "FOLLOWEDBY",
    "LIKE",
    "MATCHES",
    "ISSUPERSET",
    "ISSUBSET",
    "EXISTS",
    "LAST",
    "IN",
    "START",
    "STOP",
    "SECONDS",
    "WITHIN",
    "REPEATS",
    "TIMES",
    "true",
];

/// Longer ones first.
const SIGNS: [&str; 17] = ["==", "!=", "<>", "<=", ">=", "=", "<", ">", ":", ".", ",", "(", ")", "[", "]", "*", "+"];

/// Tokens of a comparison of one property with one value, and of two.
const TOKENS_USUAL: usize = 16;

/// The tokens of `text`; the last is [`What::End`].
///
/// # Errors
/// A character or literal that the grammar does not have.
pub fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut found = Vec::with_capacity(TOKENS_USUAL);
    let mut at = skip(text, 0);
    while at < text.len() {
        let (what, length) = token(&text[at..]).ok_or_else(|| fault(text, at, "a token of the pattern language"))?;
        found.push(Token { what, at });
        at = skip(text, at + length);
    }
    found.push(Token { what: What::End, at: text.len() });
    Ok(found)
}

/// An error at a place of the pattern.
pub fn fault(text: &str, at: usize, allowed: impl std::fmt::Display) -> ParseError {
    let rest = text.get(at..).unwrap_or("");
    let shown = if rest.is_empty() { "its end" } else { rest };
    ParseError::new(&format!("pattern at byte {at}"), shown, allowed)
}

/// Is this a property that needs no quotes?
pub fn is_plain_name(text: &str) -> bool {
    name_length(text) == text.len() && !text.is_empty() && !text.contains('-') && !is_word(text) && text != "false"
}

fn is_word(text: &str) -> bool {
    WORDS.contains(&text)
}

/// Passes over blanks and comments.
fn skip(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
        let comment = match &rest[blanks..] {
            line if line.starts_with("//") => line.find(['\r', '\n']).unwrap_or(line.len()),
            block if block.starts_with("/*") => block.find("*/").map_or(0, |end| end + 2),
            _ => 0,
        };
        if blanks + comment == 0 {
            return at;
        }
        at += blanks + comment;
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

fn token(rest: &str) -> Option<(What, usize)> {
    let literal = prefixed(rest).or_else(|| string(rest)).or_else(|| number(rest));
    literal.or_else(|| word_or_name(rest)).or_else(|| {
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign))?;
        Some((What::Sign(sign), sign.len()))
    })
}

fn word_or_name(rest: &str) -> Option<(What, usize)> {
    let length = name_length(rest);
    let text = &rest[..length];
    let what = match WORDS.into_iter().find(|word| *word == text) {
        Some("true") => What::Literal(Literal::Bool(true), text.to_owned()),
        Some(word) => What::Word(word),
        None if text == "false" => What::Literal(Literal::Bool(false), text.to_owned()),
        None => What::Name(text.to_owned()),
    };
    (length > 0).then_some((what, length))
}

fn name_length(text: &str) -> usize {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let more = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if first { text.find(|c| !more(c)).unwrap_or(text.len()) } else { 0 }
}

/// `t'…'`, `h'…'`, `b'…'`; where the inside is wrong this is no literal at all, as the grammar has it.
fn prefixed(rest: &str) -> Option<(What, usize)> {
    let inside = rest.get(1..)?.strip_prefix('\'')?;
    let inside = &inside[..inside.find('\'')?];
    let literal = match rest.as_bytes()[0] {
        b't' => Literal::Time(instant(inside)?),
        b'h' => Literal::Bytes(hexadecimal(inside)?),
        b'b' if !inside.is_empty() => Literal::Bytes(base64::engine::general_purpose::STANDARD.decode(inside).ok()?),
        _ => return None,
    };
    Some((What::Literal(literal, inside.to_owned()), inside.len() + 3))
}

fn instant(text: &str) -> Option<Instant> {
    let time = StixTime::parse("time", text).ok()?;
    Some(Instant { text: text.to_owned(), time })
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let all_digits = text.bytes().all(|b| b.is_ascii_hexdigit()) && text.len().is_multiple_of(2);
    if all_digits { text.as_bytes().chunks(2).map(pair).collect() } else { None }
}

/// `'…'` in which only quotes and backslashes are escaped.
fn string(rest: &str) -> Option<(What, usize)> {
    let inside = rest.strip_prefix('\'')?;
    let literal = |text: String, end: usize| Some((What::Literal(Literal::Text(text), String::new()), end + 2));
    let plain = inside.find(['\'', '\\'])?;
    if inside.as_bytes()[plain] == b'\'' {
        return literal(inside[..plain].to_owned(), plain);
    }
    let mut text = inside[..plain].to_owned();
    let mut chars = inside[plain..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return literal(text, plain + at),
            '\\' => text.push(chars.next().map(|(_, c)| c).filter(|c| matches!(c, '\\' | '\''))?),
            c => text.push(c),
        }
    }
    None
}

fn number(rest: &str) -> Option<(What, usize)> {
    let sign = usize::from(rest.starts_with(['+', '-']));
    let whole = digits(&rest[sign..]);
    let fraction = rest[sign + whole..].strip_prefix('.').map_or(0, digits);
    if fraction > 0 {
        let length = sign + whole + 1 + fraction;
        let text = &rest[..length];
        return Some((What::Literal(Literal::Float(text.parse().ok()?), text.to_owned()), length));
    }
    let length = match rest[sign..].starts_with('0') {
        true => sign + 1,
        false => sign + whole,
    };
    let text = &rest[..length];
    (whole > 0).then_some(())?;
    // Beyond 64 bits a number is still a number.
    let literal = text.parse().map(Literal::Integer).or_else(|_| text.parse().map(Literal::Float)).ok()?;
    Some((What::Literal(literal, text.to_owned()), length))
}

fn digits(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(text: &str) -> Vec<What> {
        tokens(text).unwrap().into_iter().map(|token| token.what).collect()
    }

    #[test]
    fn the_longest_token_wins() {
        let name = |text: &str| What::Name(text.to_owned());
        assert_eq!(whats("ipv4-addr"), [name("ipv4-addr"), What::End]);
        assert_eq!(whats("INside IN"), [name("INside"), What::Word("IN"), What::End]);
        assert_eq!(whats("<=>"), [What::Sign("<="), What::Sign(">"), What::End]);
        assert_eq!(whats("t'x'").len(), 3, "no timestamp: a name and a string");
        assert_eq!(whats("007").len(), 4, "a number has no leading zeros");
        assert_eq!(whats("a /* b */ // c\n d"), [name("a"), name("d"), What::End]);
    }

    #[test]
    fn literals_are_read_and_bad_ones_refused() {
        let literal = |text: &str| match whats(text).remove(0) {
            What::Literal(literal, _) => literal,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(literal(r"'it\'s \\ é'"), Literal::Text(r"it's \ é".to_owned()));
        assert_eq!(literal("h'0aFF'"), Literal::Bytes(vec![10, 255]));
        assert_eq!(literal("b'AQI='"), Literal::Bytes(vec![1, 2]));
        assert_eq!(literal("-.5"), Literal::Float(-0.5));
        assert_eq!(literal("+12"), Literal::Integer(12));
        assert_eq!(literal("99999999999999999999"), Literal::Float(1e20));
        for bad in [r"'a\b'", "'open", "#", "é", "/* never closed", "\u{0}"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }
}
