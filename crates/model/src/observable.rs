//! What can be observed: address, prefix, domain, URL, file hash. Parsed once, one canonical form each.

use crate::digest::hex;
use crate::parse::ParseError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Longest text that is read as an observable, in bytes.
pub const TEXT_BYTES_MAX: usize = 2048;

/// Something that an attack comes from, goes to or carries: the STIX 2.1 cyber-observables the alliance acts upon.
/// Text form: the address, the prefix, the domain, the URL, or `sha256:…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Observable {
    /// One IPv4 or IPv6 address; an IPv4-mapped IPv6 address is folded to IPv4.
    Address(IpAddr),
    /// A network of more than one address.
    Prefix(Prefix),
    /// A domain name.
    Domain(Domain),
    /// A web address.
    Url(WebUrl),
    /// The hash of a file.
    Hash(FileHash),
}

impl Observable {
    /// Reads what a person pastes: also defanged (`hxxp://`, `[.]`, `(dot)`, `[:]`), with surrounding blanks.
    ///
    /// # Errors
    /// Names the text and what would have been accepted.
    pub fn parse_pasted(text: &str) -> Result<Self, ParseError> {
        refang(text).parse()
    }

    /// The kind, as one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address(IpAddr::V4(_)) => "ipv4-addr",
            Self::Address(IpAddr::V6(_)) => "ipv6-addr",
            Self::Prefix(p) if p.address().is_ipv4() => "ipv4-net",
            Self::Prefix(_) => "ipv6-net",
            Self::Domain(_) => "domain-name",
            Self::Url(_) => "url",
            Self::Hash(_) => "file-hash",
        }
    }

    /// The network that this covers, if it is an address or a prefix.
    pub fn network(&self) -> Option<ipnet::IpNet> {
        match self {
            Self::Address(address) => Some(ipnet::IpNet::from(*address)),
            Self::Prefix(prefix) => Some(prefix.0),
            _ => None,
        }
    }

    /// The host name that this names, if it is a domain or a URL with a domain.
    pub fn domain(&self) -> Option<Domain> {
        match self {
            Self::Domain(domain) => Some(domain.clone()),
            Self::Url(url) => url.domain(),
            _ => None,
        }
    }
}

impl fmt::Display for Observable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.pad(&address.to_string()),
            Self::Prefix(prefix) => f.pad(&prefix.to_string()),
            Self::Domain(domain) => f.pad(domain.as_str()),
            Self::Url(url) => f.pad(url.as_str()),
            Self::Hash(hash) => f.pad(&hash.to_string()),
        }
    }
}

impl FromStr for Observable {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ParseError::new("observable", text, format_args!("at most {TEXT_BYTES_MAX} bytes")));
        }
        if text.contains("://") {
            return text.parse().map(Self::Url);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(fold(address)));
        }
        if text.contains('/') {
            return parse_network(text);
        }
        match text.split_once(':') {
            Some(("md5" | "sha1" | "sha256", _)) => text.parse().map(Self::Hash),
            _ if is_bare_hash(text) => text.parse().map(Self::Hash),
            _ => text.parse().map(Self::Domain),
        }
    }
}

impl TryFrom<String> for Observable {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Observable> for String {
    fn from(observable: Observable) -> Self {
        observable.to_string()
    }
}

/// A prefix of full length is the address itself.
fn parse_network(text: &str) -> Result<Observable, ParseError> {
    let net: ipnet::IpNet = text.parse().map_err(|_| ParseError::new("prefix", text, PREFIX_ALLOWED))?;
    if net.prefix_len() == net.max_prefix_len() {
        return Ok(Observable::Address(fold(net.addr())));
    }
    text.parse().map(Observable::Prefix)
}

/// IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2) are the IPv4 address.
fn fold(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn is_bare_hash(text: &str) -> bool {
    matches!(text.len(), 32 | 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Undoes the marks that people put into dangerous text so that nobody clicks on it.
fn refang(text: &str) -> String {
    let mut text = text.trim().to_owned();
    for (marked, plain) in [("[.]", "."), ("(.)", "."), ("[dot]", "."), ("(dot)", "."), ("[:]", ":"), ("[://]", "://")]
    {
        text = text.replace(marked, plain);
    }
    for (marked, plain) in [("hxxps", "https"), ("hXXps", "https"), ("hxxp", "http"), ("hXXp", "http")] {
        if let Some(rest) = text.strip_prefix(marked) {
            text = format!("{plain}{rest}");
            break;
        }
    }
    text
}

const PREFIX_ALLOWED: &str = "an address, `/` and a length of 1 to 31 (IPv4) or 1 to 127 (IPv6), host bits zero";

/// A network of more than one and less than all addresses: `0.0.0.0/0` and `::/0` cannot be represented.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(ipnet::IpNet);

impl Prefix {
    /// A network whose host bits are zero.
    ///
    /// # Errors
    /// A length of 0, a full length, or host bits that are set.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, ParseError> {
        format!("{address}/{length}").parse()
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.0.addr()
    }

    /// The length in bits.
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
    }

    /// The network, for set arithmetic.
    pub fn network(&self) -> ipnet::IpNet {
        self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Prefix {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("prefix", text, PREFIX_ALLOWED);
        let net: ipnet::IpNet = text.parse().map_err(|_| error())?;
        let net = unmap(net).ok_or_else(error)?;
        let whole_or_single = net.prefix_len() == 0 || net.prefix_len() == net.max_prefix_len();
        if whole_or_single || net.trunc() != net {
            return Err(error());
        }
        Ok(Self(net))
    }
}

/// `::ffff:192.0.2.0/120` is `192.0.2.0/24`; a mapped prefix shorter than 96 bits means nothing.
fn unmap(net: ipnet::IpNet) -> Option<ipnet::IpNet> {
    match net {
        ipnet::IpNet::V6(v6) => match v6.addr().to_ipv4_mapped() {
            Some(v4) => ipnet::Ipv4Net::new(v4, v6.prefix_len().checked_sub(96)?).ok().map(Into::into),
            None => Some(net),
        },
        ipnet::IpNet::V4(_) => Some(net),
    }
}

impl TryFrom<String> for Prefix {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

/// A domain name in lower-case A-label form (RFC 5890 §2.3.2.1), without a final dot, of at least two labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Box<str>);

impl Domain {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from the left.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Is this `other` or a name below it?
    pub fn is_within(&self, other: &Self) -> bool {
        match self.0.strip_suffix(&*other.0) {
            Some(front) => front.is_empty() || front.ends_with('.'),
            None => false,
        }
    }

    /// The name one label up; `None` at a top-level domain.
    pub fn parent(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, parent)| parent)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("domain", text, "a domain name of two labels or more, at most 253 characters");
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > TEXT_BYTES_MAX {
            return Err(error());
        }
        let ascii = match is_plain(name) {
            true => name.to_owned(),
            false => idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::EMPTY)
                .map_err(|_| error())?
                .into_owned(),
        };
        let labels_ok = ascii.split('.').all(is_label);
        let last_is_number = ascii.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        match ascii.len() <= 253 && ascii.contains('.') && labels_ok && !last_is_number {
            true => Ok(Self(ascii.into())),
            false => Err(error()),
        }
    }
}

/// Most names need no Unicode work.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
    name.bytes().all(plain) && !name.contains("xn--")
}

/// RFC 1035 §2.3.1 with the underscore that service names use.
fn is_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=63).contains(&label.len()) && label.bytes().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
}

impl TryFrom<String> for Domain {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0.into()
    }
}

/// A web address, normalised by the WHATWG rules: scheme and host in lower case, default port, fragment and user
/// information removed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebUrl(Box<str>);

impl WebUrl {
    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, if it is a domain.
    pub fn domain(&self) -> Option<Domain> {
        url::Url::parse(&self.0).ok()?.domain()?.parse().ok()
    }

    /// The host, if it is an address; mapped IPv4 is folded.
    pub fn address(&self) -> Option<IpAddr> {
        match url::Url::parse(&self.0).ok()?.host()? {
            url::Host::Ipv4(v4) => Some(v4.into()),
            url::Host::Ipv6(v6) => Some(fold(v6.into())),
            url::Host::Domain(_) => None,
        }
    }
}

impl FromStr for WebUrl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("url", text, "http, https, ftp, ws or wss with a host, at most 2048 bytes");
        let mut url = url::Url::parse(text).map_err(|_| error())?;
        let known = matches!(url.scheme(), "http" | "https" | "ftp" | "ws" | "wss");
        if !known || !url.has_host() || text.len() > TEXT_BYTES_MAX {
            return Err(error());
        }
        url.set_fragment(None);
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| error())?;
        // What is written must be read again, and the canonical form may be three times as long as what came.
        match url.as_str().len() <= TEXT_BYTES_MAX {
            true => Ok(Self(String::from(url).into())),
            false => Err(error()),
        }
    }
}

impl TryFrom<String> for WebUrl {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<WebUrl> for String {
    fn from(url: WebUrl) -> Self {
        url.0.into()
    }
}

/// A file's hash: `md5:`, `sha1:` or `sha256:` and lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FileHash {
    /// MD5, 16 bytes: only ever a hint, since collisions can be made.
    Md5([u8; 16]),
    /// SHA-1, 20 bytes: a hint likewise.
    Sha1([u8; 20]),
    /// SHA-256, 32 bytes.
    Sha256([u8; 32]),
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Md5(bytes) => write!(f, "md5:{}", hex(bytes)),
            Self::Sha1(bytes) => write!(f, "sha1:{}", hex(bytes)),
            Self::Sha256(bytes) => write!(f, "sha256:{}", hex(bytes)),
        }
    }
}

impl FromStr for FileHash {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("file hash", text, "md5, sha1 or sha256 in hexadecimal digits");
        let lower = text.to_ascii_lowercase();
        let (kind, digits) = lower.split_once(':').unwrap_or(("", &lower));
        let parsed = match (kind, digits.len()) {
            ("md5" | "", 32) => crate::digest::unhex(digits).map(Self::Md5),
            ("sha1" | "", 40) => crate::digest::unhex(digits).map(Self::Sha1),
            ("sha256" | "", 64) => crate::digest::unhex(digits).map(Self::Sha256),
            _ => None,
        };
        parsed.ok_or_else(error)
    }
}

impl TryFrom<String> for FileHash {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<FileHash> for String {
    fn from(hash: FileHash) -> Self {
        hash.to_string()
    }
}

/// Networks that nobody on the Internet can be attacked from: private, loopback, link-local, multicast,
/// documentation, reserved (IANA special-purpose registries, RFC 6890). Gives the network's name.
pub fn bogon(address: IpAddr) -> Option<&'static str> {
    match fold(address) {
        IpAddr::V4(v4) => bogon_v4(v4),
        IpAddr::V6(v6) => bogon_v6(v6),
    }
}

fn bogon_v4(a: Ipv4Addr) -> Option<&'static str> {
    let o = a.octets();
    match o {
        [0, ..] => Some("this network (0.0.0.0/8)"),
        [10, ..] => Some("private (10.0.0.0/8)"),
        [100, 64..=127, ..] => Some("carrier-grade NAT (100.64.0.0/10)"),
        [127, ..] => Some("loopback (127.0.0.0/8)"),
        [169, 254, ..] => Some("link-local (169.254.0.0/16)"),
        [172, 16..=31, ..] => Some("private (172.16.0.0/12)"),
        [192, 0, 0, _] => Some("protocol assignments (192.0.0.0/24)"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("documentation (RFC 5737)"),
        [192, 168, ..] => Some("private (192.168.0.0/16)"),
        [198, 18..=19, ..] => Some("benchmarking (198.18.0.0/15)"),
        [224..=239, ..] => Some("multicast (224.0.0.0/4)"),
        [240..=255, ..] => Some("reserved (240.0.0.0/4)"),
        _ => None,
    }
}

fn bogon_v6(a: Ipv6Addr) -> Option<&'static str> {
    let s = a.segments();
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Some("unspecified or loopback"),
        [0x2001, 0xdb8, ..] => Some("documentation (2001:db8::/32)"),
        [0x3fff, b, ..] if b < 0x1000 => Some("documentation (3fff::/20)"),
        [0x2001, b, ..] if b < 0x200 => Some("protocol assignments (2001::/23)"),
        [0x0064, 0xff9b, 1, ..] => Some("local translation (64:ff9b:1::/48)"),
        [0x0100, 0, 0, 0, ..] => Some("discard only (100::/64)"),
        [a, ..] if a & 0xfe00 == 0xfc00 => Some("unique local (fc00::/7)"),
        [a, ..] if a & 0xffc0 == 0xfe80 => Some("link-local (fe80::/10)"),
        [a, ..] if a & 0xff00 == 0xff00 => Some("multicast (ff00::/8)"),
        [a, ..] if a & 0xe000 == 0x2000 || a == 0x0064 => None,
        _ => Some("not global unicast"),
    }
}

#[cfg(test)]
#[path = "observable_tests.rs"]
mod tests;
