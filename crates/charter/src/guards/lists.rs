//! Guard lists as they are written: the charter's own, members' assets, CSV files.

use super::class::GuardClass;
use crate::charter::{Charter, GuardFile};
use ipnet::IpNet;
use model::{Digest, Domain, ParseError, Refusal, Rule};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Longest list file, in bytes.
pub const GUARD_FILE_BYTES_MAX: usize = 64 << 20;
/// Most rows in all list files together.
pub const GUARD_ENTRIES_MAX: usize = 4_000_000;
/// What the assets of all members together are called as a list: whose one is, is not for every reader.
pub(super) const ASSETS: &str = "members' assets";
/// One row in so many may be set aside as naming nothing.
const ROWS_FOR_ONE_SET_ASIDE: usize = 1_000;

/// What a guard stands before.
pub(crate) enum Subject {
    Net(IpNet),
    /// In canonical form; may be a single label.
    Name(String),
}

pub(super) struct Entry {
    pub subject: Subject,
    pub class: GuardClass,
    pub source: u32,
}

/// Everything that is guarded, gathered.
#[derive(Default)]
pub(super) struct Listed {
    pub entries: Vec<Entry>,
    pub sources: Vec<Box<str>>,
    pub set_aside: Vec<Refusal>,
    numbers: BTreeMap<Box<str>, u32>,
}

impl Listed {
    pub fn add(&mut self, subject: Subject, class: GuardClass, source: u32) {
        self.entries.push(Entry { subject, class, source });
    }

    /// The number of a list's name.
    pub fn source(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    /// The charter's own list and its members' assets.
    pub fn charter(&mut self, charter: &Charter) -> Result<(), Refusal> {
        let source = self.source("charter");
        for (index, text) in charter.guards.never.iter().enumerate() {
            self.add(never_entry(index, text)?, GuardClass::Never, source);
        }
        let source = self.source(ASSETS);
        for member in &charter.members {
            for prefix in &member.assets.prefixes {
                self.add(Subject::Net(prefix.network()), GuardClass::MemberSpace, source);
            }
            for domain in &member.assets.domains {
                self.add(Subject::Name(domain.as_str().to_owned()), GuardClass::MemberSpace, source);
            }
        }
        Ok(())
    }

    /// The files that the charter names.
    pub fn files(&mut self, files: &[GuardFile], texts: &[Vec<u8>]) -> Result<(), Refusal> {
        if files.len() != texts.len() {
            let limit = format!("the {} files of the charter's guards.list", files.len());
            return Err(Refusal::new(Rule::DigestMismatch, format_args!("{} guard files", texts.len()), limit));
        }
        for (file, text) in files.iter().zip(texts) {
            if text.len() > GUARD_FILE_BYTES_MAX {
                let value = format!("{}: {} bytes", file.file, text.len());
                return Err(Refusal::new(Rule::TooLarge, value, format!("at most {GUARD_FILE_BYTES_MAX} bytes")));
            }
            let digest = Digest::of(&[text]);
            if digest != file.sha256 {
                let value = format!("{}: sha256 {digest}", file.file);
                return Err(Refusal::new(Rule::DigestMismatch, value, format!("{}, which was signed", file.sha256)));
            }
            self.file(&file.file, text)?;
        }
        Ok(())
    }

    fn file(&mut self, name: &str, text: &[u8]) -> Result<(), Refusal> {
        let mut reader = csv::Reader::from_reader(text);
        let broken = |e: csv::Error| {
            let line = e.position().map_or(1, csv::Position::line);
            Refusal::new(Rule::Malformed, format_args!("{name} line {line}"), "CSV of three columns in UTF-8")
        };
        let read = column(name, reader.headers().map_err(broken)?)?;
        let mut row = csv::StringRecord::new();
        let (mut rows, mut empty) = (0, Vec::new());
        while reader.read_record(&mut row).map_err(broken)? {
            let line = row.position().map_or(0, csv::Position::line);
            let field = |i: usize| row.get(i).unwrap_or("");
            let class = GuardClass::listed(field(1)).map_err(|r| at(name, line, r))?;
            if self.entries.len() >= GUARD_ENTRIES_MAX {
                let value = format!("{name} line {line}");
                return Err(Refusal::new(Rule::TooLarge, value, format!("{GUARD_ENTRIES_MAX} guards in all")));
            }
            match read(field(0)) {
                Ok(subject) => {
                    let source = self.source(field(2));
                    self.add(subject, class, source);
                }
                Err(error) => empty.push(at(name, line, error.into())),
            }
            rows += 1;
            if empty.len() > 1 + GUARD_ENTRIES_MAX / ROWS_FOR_ONE_SET_ASIDE {
                break;
            }
        }
        if empty.len() > rows / ROWS_FOR_ONE_SET_ASIDE {
            return Err(empty.swap_remove(0));
        }
        self.set_aside.append(&mut empty);
        Ok(())
    }
}

type Read = fn(&str) -> Result<Subject, ParseError>;

/// How the first column is read, by the header.
fn column(name: &str, headers: &csv::StringRecord) -> Result<Read, Refusal> {
    let columns: Vec<&str> = headers.iter().collect();
    match columns[..] {
        ["cidr", "class", "list"] => Ok(|text| network(text).map(Subject::Net)),
        ["domain", "class", "lists"] => Ok(|text| text.parse().map(|d: Domain| Subject::Name(d.as_str().to_owned()))),
        _ => {
            let value = format!("{name} line 1: {}", columns.join(","));
            Err(Refusal::new(Rule::Malformed, value, "`cidr,class,list` or `domain,class,lists`"))
        }
    }
}

fn at(name: &str, line: u64, refusal: Refusal) -> Refusal {
    Refusal { value: format!("{name} line {line}: {}", refusal.value), ..refusal }
}

/// An entry of the charter's `guards.never`.
///
/// # Errors
/// `malformed` with the entry's number.
pub(crate) fn never_entry(index: usize, text: &str) -> Result<Subject, Refusal> {
    let name = || {
        let single =
            !text.contains('.') && format!("x.{text}").parse::<Domain>().is_ok_and(|d| d.as_str()[2..] == *text);
        match single {
            true => Ok(text.to_owned()),
            false => text.parse::<Domain>().map(|d| d.as_str().to_owned()),
        }
    };
    network(text).map(Subject::Net).or_else(|_| name().map(Subject::Name)).map_err(|_| {
        let value = format!("guards.never[{index}] = {text}");
        Refusal::new(Rule::Malformed, value, "an address, a prefix (not /0) or a name in lower case")
    })
}

/// A network or one address; host bits are cleared, mapped IPv4 is folded.
pub(super) fn network(text: &str) -> Result<IpNet, ParseError> {
    let error = || ParseError::new("cidr", text, "an address, or an address, `/` and a length of at least 1");
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let net: IpNet = text.parse().map_err(|_| error())?;
    let folded = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - 96).map_err(|_| error())?,
            None => net,
        },
        _ => net,
    };
    match folded.prefix_len() {
        0 => Err(error()),
        _ => Ok(folded.trunc()),
    }
}
