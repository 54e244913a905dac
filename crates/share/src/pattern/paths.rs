//! Which object paths name observables, and which values their properties can have.

use super::tree::{Literal, Operator, Path, Step};
use ipnet::IpNet;
use model::{FileHash, Observable};

/// What a property that names an observable holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Property {
    /// An address or a network.
    Address,
    /// A domain name.
    Domain,
    /// A web address.
    Url,
    /// The value of a referenced object, of whatever type.
    Any,
    /// A file's hash of this many hexadecimal digits.
    Hash(usize),
}

impl Property {
    /// What `path` names, if that is an observable.
    pub fn of(path: &Path) -> Option<Self> {
        match (path.kind.as_str(), path.steps.as_slice()) {
            ("ipv4-addr" | "ipv6-addr", [Step::Key(key)]) if key == "value" => Some(Self::Address),
            ("domain-name", [Step::Key(key)]) if key == "value" => Some(Self::Domain),
            ("url", [Step::Key(key)]) if key == "value" => Some(Self::Url),
            ("file" | "artifact", [Step::Key(hashes), Step::Key(name)]) if hashes == "hashes" => {
                digits(name).filter(|digits| matches!(digits, 32 | 40 | 64) && !is_other_hash(name)).map(Self::Hash)
            }
            (_, [.., Step::Key(reference), Step::Key(key)]) if key == "value" && reference.ends_with("_ref") => {
                Some(Self::Any)
            }
            (_, [.., Step::Key(references), _, Step::Key(key)]) if key == "value" && references.ends_with("_refs") => {
                Some(Self::Any)
            }
            _ => None,
        }
    }

    /// The observable that `text` stands for.
    pub fn observable(self, text: &str) -> Option<Observable> {
        let observable = match (self, text.parse::<IpNet>()) {
            (Self::Address | Self::Any, Ok(net)) => network(net)?,
            (Self::Hash(digits), _) if text.len() == digits => Observable::Hash(text.parse::<FileHash>().ok()?),
            (Self::Hash(_), _) => return None,
            _ => text.parse().ok()?,
        };
        let fits = match self {
            Self::Address => matches!(observable, Observable::Address(_) | Observable::Prefix(_)),
            Self::Domain => matches!(observable, Observable::Domain(_)),
            Self::Url => matches!(observable, Observable::Url(_)),
            Self::Any => !matches!(observable, Observable::Hash(_)),
            Self::Hash(_) => matches!(observable, Observable::Hash(_)),
        };
        fits.then_some(observable)
    }
}

/// The network around an address, host bits cleared; `None` where it would be the whole Internet.
pub fn network(net: IpNet) -> Option<Observable> {
    net.trunc().to_string().parse().ok()
}

/// Does `path` ask for the type of a referenced object? What is asked of its value says that already.
pub fn is_type_of_reference(path: &Path) -> bool {
    let [.., Step::Key(reference), Step::Key(key)] = path.steps.as_slice() else { return false };
    key == "type" && reference.ends_with("_ref")
}

/// A hash has the digits of its algorithm.
///
/// # Errors
/// What is allowed.
pub fn check_hash(path: &Path, operator: &Operator) -> Result<(), String> {
    let [.., Step::Key(hashes), Step::Key(name)] = path.steps.as_slice() else { return Ok(()) };
    let Some(digits) = digits(name).filter(|_| hashes == "hashes") else { return Ok(()) };
    let literals: &[Literal] = match operator {
        Operator::Equal(literal) | Operator::NotEqual(literal) => std::slice::from_ref(literal),
        Operator::In(literals) => literals,
        _ => &[],
    };
    let right = |literal: &Literal| match literal {
        Literal::Text(text) => text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit()),
        _ => false,
    };
    match literals.iter().all(right) {
        true => Ok(()),
        false => Err(format!("{digits} hexadecimal digits, as {name} has")),
    }
}

/// Hexadecimal digits of a hash, by the name of its algorithm (STIX 2.1 §10.6 and common spellings); `None` for what is
/// unknown or has no fixed length.
fn digits(name: &str) -> Option<usize> {
    match plain(name).as_str() {
        "MD5" => Some(32),
        "SHA1" | "RIPEMD160" => Some(40),
        "SHA224" | "SHA3224" => Some(56),
        "SHA256" | "SHA3256" => Some(64),
        "SHA384" | "SHA3384" => Some(96),
        "SHA512" | "SHA3512" | "WHIRLPOOL" => Some(128),
        _ => None,
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| *c != '-').map(|c| c.to_ascii_uppercase()).collect()
}

/// As long as one of ours, but another algorithm.
fn is_other_hash(name: &str) -> bool {
    matches!(plain(name).as_str(), "RIPEMD160" | "SHA3256")
}
