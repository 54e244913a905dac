//! Places in a policy zone: the owner names of RPZ triggers, kept in an order in which what lies below stands together.

use domain::base::{Name, Serial};
use ipnet::IpNet;
use model::{Domain, Refusal, Rule};
use std::fmt;
use std::net::Ipv6Addr;

/// The label under which a zone tells people and our own read-back what it holds. It is no top-level domain and cannot
/// become one (RFC 8552: names that begin with an underscore are not host names).
pub const MARKER: &str = "_epimachia";

/// The label under which a zone's fence stands ([`Owner::fence`]): it sorts after every name that can be listed.
const FENCE: &str = "~epimachia";

/// The label of triggers on addresses in answers.
const RPZ_IP: &str = "rpz-ip";

/// Top-level labels that RPZ reads as other kinds of trigger, and our own: a *name* that ends so would be misread.
const RESERVED: [&str; 7] = [RPZ_IP, "rpz-client-ip", "rpz-nsip", "rpz-nsdname", "rpz-passthru", MARKER, FENCE];

/// Longest domain name on the wire, in octets (RFC 1035 §2.3.4).
const NAME_OCTETS_MAX: usize = 255;

/// A name relative to the zone's apex. Stored from the right, each label followed by a zero byte (`test\0bad\0` is
/// `bad.test`), so that everything below a name follows it directly in the order of a map.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Box<str>);

impl Owner {
    /// The trigger on a queried name.
    ///
    /// # Errors
    /// A name whose last label RPZ would read as another kind of trigger.
    pub fn name(domain: &Domain) -> Result<Self, Refusal> {
        let last = domain.labels().next_back().unwrap_or_default();
        if RESERVED.contains(&last) {
            return Err(Refusal::new(
                Rule::Malformed,
                domain,
                "a name whose last label RPZ does not read as another kind of trigger",
            ));
        }
        Ok(Self::reversed(domain.labels().rev()))
    }

    /// The trigger on an address or network in an answer (draft-vixie-dnsop-dns-rpz §4.1.1): length, then the address
    /// from its end, with `zz` for the longest run of zero words in IPv6.
    pub fn network(network: IpNet) -> Self {
        let words: Vec<String> = match network {
            IpNet::V4(v4) => v4.network().octets().iter().map(u8::to_string).collect(),
            IpNet::V6(v6) => words_v6(v6.network()),
        };
        let length = network.prefix_len().to_string();
        Self::reversed(
            std::iter::once(RPZ_IP).chain(words.iter().map(String::as_str)).chain(std::iter::once(length.as_str())),
        )
    }

    /// The marker tree of a zone with this tag: `tag._epimachia`.
    pub fn marker_root(tag: &str) -> Self {
        Self::reversed([MARKER, tag].into_iter())
    }

    /// Where the zone says its version: `version.tag._epimachia`.
    pub fn version(tag: &str) -> Self {
        Self::marker_root(tag).child("version")
    }

    /// The last name of one version: `1795306237.hot.~epimachia`.
    ///
    /// A resolver may have a version's records before its table of triggers has them: BIND fills that table in the
    /// order of names, and a wildcard that it already holds shows new records below it at once. The fence is under no
    /// wildcard, is new in each version and comes last (RFC 4034 §6.1): whoever answers it acts upon all that was
    /// added.
    pub fn fence(tag: &str, serial: Serial) -> Self {
        Self::reversed([FENCE, tag, &serial.into_int().to_string()].into_iter())
    }

    /// Is this a fence?
    pub fn is_fence(&self) -> bool {
        self.0.strip_prefix(FENCE).is_some_and(|rest| rest.starts_with('\0'))
    }

    /// Where the zone says why this trigger is there: `bad.test.tag._epimachia`, below its [`Owner::marker_root`].
    pub fn marker(&self, root: &Self) -> Self {
        Self([&*root.0, &*self.0].concat().into())
    }

    /// The trigger of which this is the marker, if it is below that marker root.
    pub fn marked(&self, root: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&*root.0)?;
        (!rest.is_empty()).then(|| Self(rest.into()))
    }

    /// One label further down.
    pub fn child(&self, label: &str) -> Self {
        Self(format!("{}{label}\0", self.0).into())
    }

    /// All names directly below this one (RFC 4592).
    pub fn wildcard(&self) -> Self {
        self.child("*")
    }

    /// One label up; `None` when that is the apex.
    pub fn parent(&self) -> Option<Self> {
        let end = self.0.trim_end_matches('\0').rfind('\0')?;
        Some(Self(self.0[..=end].into()))
    }

    /// Every name above this one, nearest first, without the apex.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Is this a trigger on addresses?
    pub fn is_network(&self) -> bool {
        self.0.strip_prefix(RPZ_IP).is_some_and(|rest| rest.starts_with('\0'))
    }

    /// Is this `other` or a name below it?
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&*other.0)
    }

    /// The end of the range of names at or below this one: the first key that is not.
    pub(super) fn range_end(&self) -> Self {
        let mut end = String::from(&self.0[..self.0.len().saturating_sub(1)]);
        end.push('\u{1}');
        Self(end.into())
    }

    /// The full name in the zone whose apex is `apex` (uncompressed octets with the root label).
    pub fn in_zone(&self, apex: &Name<Vec<u8>>) -> Name<Vec<u8>> {
        let mut octets = Vec::with_capacity(self.0.len() + apex.len());
        for label in self.labels() {
            // Labels come from `Domain` or from this file: 63 octets at most.
            octets.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
            octets.extend_from_slice(label.as_bytes());
        }
        octets.extend_from_slice(apex.as_slice());
        Name::from_octets(octets).unwrap_or_else(|_| apex.clone())
    }

    /// Reads a relative name, as a query brings it: labels from the left, in any case.
    pub fn from_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let labels: Vec<String> =
            labels.map(|l| String::from_utf8(l.to_ascii_lowercase()).ok()).collect::<Option<_>>()?;
        let clean = labels.iter().all(|label| !label.contains('\0') && !label.contains('.'));
        (clean && !labels.is_empty()).then(|| Self::reversed(labels.iter().rev().map(String::as_str)))
    }

    /// Do this name, its wildcard and its marker fit under the apex?
    pub(super) fn fits(&self, apex: &Name<Vec<u8>>, tag: &str) -> Result<(), Refusal> {
        let octets = self.0.len() + apex.len() + MARKER.len() + tag.len() + 2;
        match octets <= NAME_OCTETS_MAX {
            true => Ok(()),
            false => Err(Refusal::new(
                Rule::TooLarge,
                format!("{octets} octets with the zone's name: {self}"),
                "at most 255 octets (RFC 1035 §2.3.4); a shorter zone name leaves more room",
            )),
        }
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.trim_end_matches('\0').rsplit('\0')
    }

    fn reversed<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let mut text = String::new();
        for label in labels {
            text.push_str(label);
            text.push('\0');
        }
        Self(text.into())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, label) in self.labels().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            write!(f, "{dot}{label}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The words of an address from its front; the longest run of two or more zero words, the first of equals, is `zz`.
fn words_v6(address: Ipv6Addr) -> Vec<String> {
    let words = address.segments();
    let (start, length) = longest_zeros(&words);
    let mut out = Vec::with_capacity(8);
    let mut i = 0;
    while i < words.len() {
        if length >= 2 && i == start {
            out.push("zz".to_owned());
            i += length;
        } else {
            out.push(format!("{:x}", words[i]));
            i += 1;
        }
    }
    out
}

fn longest_zeros(words: &[u16; 8]) -> (usize, usize) {
    let mut best = (0, 0);
    let mut run = 0;
    for (i, word) in words.iter().enumerate() {
        run = if *word == 0 { run + 1 } else { 0 };
        if run > best.1 {
            best = (i + 1 - run, run);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Owner {
        Owner::name(&text.parse().unwrap()).unwrap()
    }

    fn net(text: &str) -> String {
        Owner::network(text.parse().unwrap()).to_string()
    }

    #[test]
    fn addresses_are_written_from_their_end() {
        assert_eq!(net("1.2.3.4/32"), "32.4.3.2.1.rpz-ip");
        assert_eq!(net("192.0.2.0/24"), "24.0.2.0.192.rpz-ip");
        assert_eq!(net("2001:db8::1/128"), "128.1.zz.db8.2001.rpz-ip");
        assert_eq!(net("2001:db8::/64"), "64.zz.db8.2001.rpz-ip");
        assert_eq!(net("2001:db8:0:1:2:3:4:5/128"), "128.5.4.3.2.1.0.db8.2001.rpz-ip");
        assert_eq!(net("2001:0:0:1:0:0:1:1/128"), "128.1.1.0.0.1.zz.2001.rpz-ip");
    }

    #[test]
    fn name_that_rpz_would_misread_is_refused() {
        for text in ["a.rpz-ip", "32.4.3.2.1.rpz-ip", "a.rpz-nsdname", "a._epimachia"] {
            assert_eq!(Owner::name(&text.parse().unwrap()).unwrap_err().rule, Rule::Malformed);
        }
    }

    #[test]
    fn marker_leads_back_to_its_trigger() {
        let (hot, bulk) = (Owner::marker_root("hot"), Owner::marker_root("bulk"));
        let marker = name("bad.test").marker(&hot);
        assert_eq!(marker.to_string(), "bad.test.hot._epimachia");
        assert_eq!(marker.marked(&hot), Some(name("bad.test")));
        assert_eq!(marker.marked(&bulk), None);
        assert_eq!(hot.marked(&hot), None);
    }

    #[test]
    fn name_too_long_for_the_zone_is_refused() {
        let apex: Name<Vec<u8>> = "rpz.alliance.example".parse().unwrap();
        let long = format!("{}.test", ["a".repeat(49).as_str(); 4].join("."));
        assert!(name(&long).fits(&apex, "hot").is_ok());
        let longer = format!("{}.test", ["a".repeat(55).as_str(); 4].join("."));
        assert_eq!(name(&longer).fits(&apex, "hot").unwrap_err().rule, Rule::TooLarge);
    }

    proptest! {
        #[test]
        fn order_keeps_what_is_below_together(
            a in "[a-c]{1,2}(\\.[a-c]{1,2}){1,3}",
            b in "[a-c]{1,2}(\\.[a-c]{1,2}){1,3}",
        ) {
            let (x, y) = (name(&a), name(&b));
            let below = b == a || b.ends_with(&format!(".{a}"));
            prop_assert_eq!(y.is_within(&x), below);
            prop_assert_eq!(y >= x && y < x.range_end(), below);
        }

        #[test]
        fn text_form_is_the_domain(a in "[a-z]{1,9}(\\.[a-z]{1,9}){1,4}") {
            prop_assert_eq!(name(&a).to_string(), a);
        }
    }
}
