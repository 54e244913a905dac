//! Identifiers as people type them: whole, or by a beginning that only one has.

use crate::client::{Client, ITEMS_MAX, answers::List};
use crate::exit::Failure;
use model::{CertificateId, FindingId, JoinTokenId, KeyId, MitigationId, ParseError, PlanId, TokenId};
use serde::Deserialize;
use std::fmt::Display;
use std::str::FromStr;

/// Fewest characters after the dash: fewer would often name another thing tomorrow.
const PREFIX_CHARS_MIN: usize = 4;
/// Characters after the dash of a whole identifier.
const SUFFIX_CHARS: usize = 12;
/// Candidates that are shown where several fit.
const CANDIDATES_MAX: usize = 10;
/// Crockford's base 32, in order, as identifiers are sorted.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A kind of identifier that the hub lists.
pub trait Listed: FromStr<Err = ParseError> + Display + Copy {
    /// What it begins with, such as `fin-`.
    const PREFIX: &'static str;
    /// The noun of its commands.
    const NOUN: &'static str;
    /// Where the hub lists them.
    const PATH: &'static str;
    /// Are they listed in their own order?
    const ORDERED: bool;
}

macro_rules! listed {
    ($name:ident, $noun:literal, $path:literal, $ordered:literal) => {
        impl Listed for $name {
            const PREFIX: &'static str = Self::PREFIX;
            const NOUN: &'static str = $noun;
            const PATH: &'static str = $path;
            const ORDERED: bool = $ordered;
        }
    };
}

listed!(FindingId, "finding", "/api/v1/findings", true);
listed!(PlanId, "plan", "/api/v1/plans", false);
listed!(MitigationId, "mitigation", "/api/v1/mitigations", true);
listed!(TokenId, "token", "/api/v1/tokens", false);
listed!(JoinTokenId, "join token", "/api/v1/join-tokens", false);
listed!(KeyId, "key", "/api/v1/keys", false);
listed!(CertificateId, "certificate", "/api/v1/certificates", false);

/// The identifier that a text means: the hub is asked only where the text is a beginning.
///
/// # Errors
/// It is none, nothing begins with it, or several do; those are listed.
pub fn resolve<I: Listed>(client: &Client, text: &str) -> Result<I, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let prefix = beginning::<I>(text)?;
    let found = candidates::<I>(client, &prefix)?;
    pick(&prefix, I::NOUN, found)?.parse().map_err(|e: ParseError| Failure::failed(e, ""))
}

/// The one identifier among `all` that a text means.
///
/// # Errors
/// As [`resolve`].
pub fn among<I: Listed>(text: &str, all: impl Iterator<Item = I>) -> Result<I, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let prefix = beginning::<I>(text)?;
    let found = all.map(|id| id.to_string()).filter(|id| id.starts_with(&prefix)).take(CANDIDATES_MAX + 1).collect();
    pick(&prefix, I::NOUN, found)?.parse().map_err(|e: ParseError| Failure::failed(e, ""))
}

fn beginning<I: Listed>(text: &str) -> Result<String, Failure> {
    let wrong = || {
        let shown = model::parse::printable(text);
        let allowed = format!("`{}` and {PREFIX_CHARS_MIN} to {SUFFIX_CHARS} characters of 0-9 a-z", I::PREFIX);
        Failure::Usage(format!("{shown} is no identifier of a {}: {allowed}", I::NOUN))
    };
    let suffix = text.strip_prefix(I::PREFIX).ok_or_else(wrong)?.as_bytes();
    let fits = (PREFIX_CHARS_MIN..SUFFIX_CHARS).contains(&suffix.len());
    match fits && suffix.iter().all(|c| ALPHABET.contains(c)) {
        true => Ok(text.to_owned()),
        false => Err(wrong()),
    }
}

fn candidates<I: Listed>(client: &Client, prefix: &str) -> Result<Vec<String>, Failure> {
    #[derive(Deserialize)]
    struct Item {
        id: String,
    }
    let mut after = if I::ORDERED { before(prefix) } else { None };
    let (mut found, mut seen) = (Vec::new(), 0);
    loop {
        let mut query = Vec::new();
        if !["token", "join token", "certificate"].contains(&I::NOUN) {
            query.push(("limit", "1000".to_owned()));
        }
        query.extend(after.map(|after| ("after", after)));
        let page: List<Item> = client.get(I::PATH, &query)?;
        seen += page.items.len();
        let past =
            I::ORDERED && page.items.last().is_some_and(|item| !item.id.starts_with(prefix) && *item.id > *prefix);
        found.extend(page.items.into_iter().map(|item| item.id).filter(|id| id.starts_with(prefix)));
        after = page.next;
        if after.is_none() || past || found.len() > CANDIDATES_MAX || seen >= ITEMS_MAX {
            return Ok(found);
        }
    }
}

/// The last identifier before all that begin with `prefix`; none if they are the first.
pub fn before(prefix: &str) -> Option<String> {
    let (head, suffix) = prefix.split_once('-')?;
    let mut suffix: Vec<u8> = format!("{suffix:0<SUFFIX_CHARS$}").into_bytes();
    for place in (0..suffix.len()).rev() {
        let digit = ALPHABET.iter().position(|c| *c == suffix[place])?;
        suffix[place] = ALPHABET[(digit + 31) % 32];
        if digit > 0 {
            return Some(format!("{head}-{}", String::from_utf8(suffix).ok()?));
        }
    }
    None
}

fn pick(prefix: &str, noun: &str, mut found: Vec<String>) -> Result<String, Failure> {
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            Err(Failure::failed(format_args!("no {noun} begins with {prefix}"), format_args!("epimachia {noun} list")))
        }
        n => {
            let more = if n > CANDIDATES_MAX { ", and more" } else { "" };
            found.truncate(CANDIDATES_MAX);
            Err(Failure::Usage(format!("{prefix} could be {}{more}: type more of it", found.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<FindingId> {
        ["fin-7k2q00000001", "fin-7k2q00000002", "fin-8aaa00000003"].map(|id| id.parse().unwrap()).to_vec()
    }

    #[test]
    fn a_beginning_that_only_one_has_is_enough() {
        assert_eq!(among("fin-8aaa", ids().into_iter()).unwrap(), ids()[2]);
        assert_eq!(among("fin-7k2q", ids()[1..].iter().copied()).unwrap(), ids()[1]);
    }

    #[test]
    fn an_ambiguous_beginning_lists_the_candidates() {
        let told = among("fin-7k2q", ids().into_iter()).unwrap_err().message();
        assert!(told.contains("fin-7k2q00000001, fin-7k2q00000002") && told.contains("type more"), "{told}");
    }

    #[test]
    fn too_short_beginnings_and_other_kinds_are_wrong_usage() {
        for bad in ["fin-8aa", "plan-8aaa", "8aaa", "fin-8aao"] {
            assert!(matches!(among(bad, ids().into_iter()), Err(Failure::Usage(_))), "{bad}");
        }
        assert!(matches!(among("fin-zzzz", ids().into_iter()), Err(Failure::Failed { .. })));
    }

    #[test]
    fn the_one_before_a_beginning_is_exact() {
        assert_eq!(before("fin-7k2q").unwrap(), "fin-7k2pzzzzzzzz");
        assert_eq!(before("fin-1000").unwrap(), "fin-0zzzzzzzzzzz");
        assert_eq!(before("fin-0000"), None);
    }
}
