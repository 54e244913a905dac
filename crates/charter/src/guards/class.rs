//! The classes of guards: how strict each is, and how far a guarded name reaches.

use model::{ParseError, Refusal, Rule};
use std::str::FromStr;

/// Why something is guarded. Declared from the strictest, so that the first hit is the one that counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum GuardClass {
    /// Never blocked, not even by a quorum: the charter's own list, bogons, public suffixes, root servers.
    Never,
    /// A member has proven it to be its own.
    MemberSpace,
    /// What the Internet needs to work: certificate status, updates, search robots.
    Infrastructure,
    /// Public resolvers' addresses.
    Resolver,
    /// Public resolvers' names.
    PublicDns,
    /// Banks.
    Bank,
    /// Makers of the software and devices everybody runs.
    Vendor,
    /// The most visited sites.
    Top,
    /// Universities.
    University,
    /// Security firms and their publications.
    SecurityVendor,
    /// Defenders' sinkholes: victims report in there.
    Sinkhole,
    /// Clouds whose addresses change hands.
    CloudShared,
    /// Hosting where the guilty share a name with the innocent.
    SharedHosting,
    /// Relays and virtual private networks with many users behind one address.
    RelayVpn,
    /// Carrier-grade NAT: many subscribers behind one address.
    CarrierNat,
    /// Scanners of researchers who say who they are.
    ResearchScanner,
}

impl GuardClass {
    /// Every class, from the strictest.
    pub const ALL: [Self; 16] = [
        Self::Never,
        Self::MemberSpace,
        Self::Infrastructure,
        Self::Resolver,
        Self::PublicDns,
        Self::Bank,
        Self::Vendor,
        Self::Top,
        Self::University,
        Self::SecurityVendor,
        Self::Sinkhole,
        Self::CloudShared,
        Self::SharedHosting,
        Self::RelayVpn,
        Self::CarrierNat,
        Self::ResearchScanner,
    ];

    /// The class as lists and refusals write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::MemberSpace => "member-space",
            Self::Infrastructure => "infrastructure",
            Self::Resolver => "resolver",
            Self::PublicDns => "public-dns",
            Self::Bank => "bank",
            Self::Vendor => "vendor",
            Self::Top => "top",
            Self::University => "university",
            Self::SecurityVendor => "security-vendor",
            Self::Sinkhole => "sinkhole",
            Self::CloudShared => "cloud-shared",
            Self::SharedHosting => "shared-hosting",
            Self::RelayVpn => "relay-vpn",
            Self::CarrierNat => "carrier-nat",
            Self::ResearchScanner => "research-scanner",
        }
    }

    /// Absolute classes hold back machines altogether; the others ask for more evidence.
    pub const fn is_absolute(self) -> bool {
        (self as u8) < Self::CloudShared as u8
    }

    /// Is a name below a listed one guarded too?
    ///
    /// Where one owner answers for the whole tree, yes: `login.bank.example` is the bank's. Not where names below
    /// are given to others: the most visited names, makers' clouds and shared hosting hold most of the phishing pages
    /// there are (in three months of indicators 4,262 names stood below listed ones of these classes, and 2 below all
    /// others). There the listed name itself and its `www.` are guarded. Whatever the class, a name *above* a listed
    /// one is guarded, since a measure against a name takes everything below with it.
    pub const fn guards_below(self) -> bool {
        matches!(
            self,
            Self::Never | Self::MemberSpace | Self::Infrastructure | Self::Bank | Self::University | Self::Sinkhole
        )
    }

    /// The rule that a machine breaks which acts against this class.
    pub const fn rule(self) -> Rule {
        match self {
            Self::MemberSpace => Rule::MemberSpace,
            _ if self.is_absolute() => Rule::GuardNever,
            _ => Rule::GuardCaution,
        }
    }

    /// The classes that list files may name: a member's space is proven in the charter, not listed.
    pub(crate) fn listed(text: &str) -> Result<Self, Refusal> {
        match text.parse() {
            Ok(Self::MemberSpace) => Err(ParseError::new("class", text, LISTED).into()),
            other => Ok(other?),
        }
    }
}

const LISTED: &str = "never infrastructure resolver public-dns bank vendor top university security-vendor sinkhole \
                      cloud-shared shared-hosting relay-vpn carrier-nat research-scanner";

impl FromStr for GuardClass {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let found = Self::ALL.into_iter().find(|class| class.as_str() == text);
        found.ok_or_else(|| ParseError::new("class", text, LISTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_classes_is_the_order_of_strictness() {
        assert!(GuardClass::ALL.is_sorted());
        assert!(GuardClass::ALL.is_sorted_by_key(|class| !class.is_absolute()));
        assert_eq!(GuardClass::ALL.iter().filter(|class| class.is_absolute()).count(), 11);
    }

    #[test]
    fn every_class_reads_back_and_only_member_space_cannot_be_listed() {
        for class in GuardClass::ALL {
            assert_eq!(class.as_str().parse::<GuardClass>().unwrap(), class);
            assert_eq!(GuardClass::listed(class.as_str()).is_ok(), class != GuardClass::MemberSpace);
        }
        assert_eq!(GuardClass::listed("friends").unwrap_err().rule, Rule::Malformed);
    }

    #[test]
    fn each_class_has_the_rule_that_refusals_carry() {
        assert_eq!(GuardClass::Top.rule(), Rule::GuardNever);
        assert_eq!(GuardClass::MemberSpace.rule(), Rule::MemberSpace);
        assert_eq!(GuardClass::CarrierNat.rule(), Rule::GuardCaution);
    }
}
