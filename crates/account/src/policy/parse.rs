//! Policy files, line by line.

use super::{Group, POLICY_BYTES_MAX, POLICY_ITEMS_MAX, Part, Policy, PolicyWitness};
use crate::cosignature::WitnessKey;
use crate::note::VerifierKey;
use model::ParseError;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The name that stands for no cosignature at all.
const NONE: &[u8] = b"none";

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// The line that is not as C2SP `tlog-policy` has it, with its number; or beyond a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > POLICY_BYTES_MAX {
            let size = format!("{} bytes", bytes.len());
            return Err(ParseError::new("policy", &size, format!("at most {POLICY_BYTES_MAX} bytes")));
        }
        let allowed = |byte: u8| matches!(byte, b'\t' | b'\n' | 0x20..=0x7e | 0x80..);
        if let Some(byte) = bytes.iter().find(|byte| !allowed(**byte)) {
            return Err(ParseError::new(
                "policy",
                &format!("byte {byte:#04x}"),
                "no control characters but tab and newline",
            ));
        }
        let mut reader = Reader::default();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let words: Vec<&[u8]> =
                line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
            match words.first() {
                Some(first) if !first.starts_with(b"#") => reader.line(&words).map_err(|error| at(index, error))?,
                _ => {}
            }
        }
        reader.finish()
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    logs: Vec<(VerifierKey, String)>,
    log_keys: BTreeSet<Vec<u8>>,
    witnesses: Vec<PolicyWitness>,
    witness_keys: BTreeSet<model::PublicKey>,
    groups: Vec<Group>,
    names: BTreeMap<Vec<u8>, Part>,
    /// Names that are in a group already: each counts in one way only.
    used: BTreeSet<Vec<u8>>,
    quorum: Option<Option<Part>>,
}

impl Reader {
    fn line(&mut self, words: &[&[u8]]) -> Result<(), ParseError> {
        match words {
            [b"log", key] => self.log(key, b""),
            [b"log", key, url] => self.log(key, url),
            [b"witness", name, key] => self.witness(name, key, b""),
            [b"witness", name, key, url] => self.witness(name, key, url),
            [b"group", name, least, members @ ..] if !members.is_empty() => self.group(name, least, members),
            [b"quorum", name] => self.quorum(name),
            _ => Err(refused(
                &words.join(&b' '),
                "log KEY [URL], witness NAME KEY [URL], group NAME all|any|K NAME..., quorum NAME",
            )),
        }
    }

    fn log(&mut self, key: &[u8], url: &[u8]) -> Result<(), ParseError> {
        let parsed: VerifierKey = parse_word(key)?;
        if !self.log_keys.insert(parsed.public().to_vec()) {
            return Err(refused(key, "each log's key once"));
        }
        self.logs.push((parsed, text(url)?.to_owned()));
        few(self.logs.len(), "logs")
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: &[u8]) -> Result<(), ParseError> {
        let parsed: WitnessKey = parse_word(key)?;
        if !self.witness_keys.insert(parsed.public()) {
            return Err(refused(key, "each witness's key once"));
        }
        self.name(name, Part::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.to_vec(), key: parsed, url: text(url)?.to_owned() });
        few(self.witnesses.len(), "witnesses")
    }

    fn group(&mut self, name: &[u8], least: &[u8], members: &[&[u8]]) -> Result<(), ParseError> {
        let least = match least {
            b"all" => members.len(),
            b"any" => 1,
            number => counted(number, members.len())?,
        };
        let parts = members.iter().map(|member| self.member(member)).collect::<Result<_, _>>()?;
        self.name(name, Part::Group(self.groups.len()))?;
        self.groups.push(Group { name: name.to_vec(), least, parts });
        few(self.groups.len(), "groups")
    }

    fn member(&mut self, name: &[u8]) -> Result<Part, ParseError> {
        let part = self.names.get(name).copied();
        let part = part.ok_or_else(|| refused(name, "a witness or group of a line above"))?;
        match self.used.insert(name.to_vec()) {
            true => Ok(part),
            false => Err(refused(name, "each name in one group, once")),
        }
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), ParseError> {
        if self.quorum.is_some() {
            return Err(refused(name, "one quorum line"));
        }
        self.quorum = Some(match name {
            NONE => None,
            name => {
                Some(self.names.get(name).copied().ok_or_else(|| refused(name, "none, or a name of a line above"))?)
            }
        });
        Ok(())
    }

    fn name(&mut self, name: &[u8], part: Part) -> Result<(), ParseError> {
        match name != NONE && self.names.insert(name.to_vec(), part).is_none() {
            true => Ok(()),
            false => Err(refused(name, "a name that is not taken; none is")),
        }
    }

    fn finish(self) -> Result<Policy, ParseError> {
        let quorum =
            self.quorum.ok_or_else(|| ParseError::new("policy", "no quorum line", "one line `quorum NAME`"))?;
        Ok(Policy { logs: self.logs, witnesses: self.witnesses, groups: self.groups, quorum })
    }
}

fn counted(number: &[u8], members: usize) -> Result<usize, ParseError> {
    let found = std::str::from_utf8(number).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let found = found.and_then(|text| text.parse().ok()).filter(|k| (1..=members).contains(k));
    found.ok_or_else(|| refused(number, &format!("all, any, or a number from 1 to {members}, the members named")))
}

fn few(count: usize, what: &str) -> Result<(), ParseError> {
    match count <= POLICY_ITEMS_MAX {
        true => Ok(()),
        false => Err(ParseError::new("policy", &format!("{count} {what}"), format!("at most {POLICY_ITEMS_MAX}"))),
    }
}

fn parse_word<T: FromStr<Err = ParseError>>(word: &[u8]) -> Result<T, ParseError> {
    text(word)?.parse()
}

fn text(word: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(word).map_err(|_| refused(word, "UTF-8"))
}

fn refused(value: &[u8], allowed: &str) -> ParseError {
    ParseError::new("policy", &String::from_utf8_lossy(value), allowed)
}

/// Says which line an error is about, from 1.
fn at(index: usize, error: ParseError) -> ParseError {
    ParseError { field: format!("policy line {}: {}", index + 1, error.field), ..error }
}
