//! Who plays in the demo: five founders of different segments and a newcomer, their keys, their charter.

use charter::{Charter, SignedCharter};
use model::{Digest, MemberId, Refusal, SigningKey, Span, Timestamp};

/// The demo's mitigations end so soon, so that a person who watches sees them end.
pub const MITIGATION_LASTS: Span = Span::seconds(12);

/// One member of the demo's alliance.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// Short name.
    pub id: &'static str,
    /// What it is, for people.
    pub name: &'static str,
    segment: &'static str,
    standing: &'static str,
    capabilities: &'static [&'static str],
    /// Address space that it has proven to be its own.
    assets: &'static str,
}

/// Everybody, founders first.
pub const CAST: [Role; 6] = [
    Role {
        id: "telecom",
        name: "a telecom",
        segment: "infrastructure",
        standing: "vetted",
        capabilities: &["dns-filter", "packet-filter"],
        assets: "prefixes = [\"80.96.0.0/16\"]",
    },
    Role {
        id: "cloud",
        name: "a cloud operator",
        segment: "enterprise",
        standing: "vetted",
        capabilities: &["packet-filter"],
        assets: "prefixes = [\"23.92.16.0/20\"]",
    },
    Role {
        id: "dns",
        name: "a DNS operator",
        segment: "home-and-small-business",
        standing: "vetted",
        capabilities: &["dns-filter"],
        assets: "domains = [\"resolver-operator.example\"]",
    },
    Role {
        id: "device",
        name: "a maker of devices",
        segment: "device",
        standing: "vetted",
        capabilities: &["packet-filter"],
        assets: "domains = [\"devices.example\"]",
    },
    Role {
        id: "security",
        name: "a security firm",
        segment: "software",
        standing: "vetted",
        capabilities: &["dns-filter"],
        assets: "domains = [\"security.example\"]",
    },
    Role {
        id: "newcomer",
        name: "a hosting company on probation",
        segment: "infrastructure",
        standing: "probation",
        capabilities: &["packet-filter"],
        assets: "domains = [\"newcomer.example\"]",
    },
];

/// Members that all filter names, for measuring with some of them.
pub const MEASURED: [Role; 50] = [
    measured("member-0"),
    measured("member-1"),
    measured("member-2"),
    measured("member-3"),
    measured("member-4"),
    measured("member-5"),
    measured("member-6"),
    measured("member-7"),
    measured("member-8"),
    measured("member-9"),
    measured("member-10"),
    measured("member-11"),
    measured("member-12"),
    measured("member-13"),
    measured("member-14"),
    measured("member-15"),
    measured("member-16"),
    measured("member-17"),
    measured("member-18"),
    measured("member-19"),
    measured("member-20"),
    measured("member-21"),
    measured("member-22"),
    measured("member-23"),
    measured("member-24"),
    measured("member-25"),
    measured("member-26"),
    measured("member-27"),
    measured("member-28"),
    measured("member-29"),
    measured("member-30"),
    measured("member-31"),
    measured("member-32"),
    measured("member-33"),
    measured("member-34"),
    measured("member-35"),
    measured("member-36"),
    measured("member-37"),
    measured("member-38"),
    measured("member-39"),
    measured("member-40"),
    measured("member-41"),
    measured("member-42"),
    measured("member-43"),
    measured("member-44"),
    measured("member-45"),
    measured("member-46"),
    measured("member-47"),
    measured("member-48"),
    measured("member-49"),
];

/// Members that only report, and have no agent of their own on this stage.
pub const REPORTERS: [Role; 4] =
    [reporting("reporter-0"), reporting("reporter-1"), reporting("reporter-2"), reporting("reporter-3")];

const fn reporting(id: &'static str) -> Role {
    Role { name: "a member that reports", capabilities: &[], ..measured(id) }
}

const fn measured(id: &'static str) -> Role {
    Role {
        id,
        name: "a member that is measured",
        segment: "infrastructure",
        standing: "vetted",
        capabilities: &["dns-filter"],
        assets: "",
    }
}

impl Role {
    /// The member's name as a type.
    ///
    /// # Errors
    /// Never: the names above are well formed, as a test shows.
    pub fn member(&self) -> Result<MemberId, Refusal> {
        Ok(self.id.parse::<MemberId>()?)
    }

    /// The key of the member's agent.
    pub fn key(&self, seed: u64) -> SigningKey {
        SigningKey::from_seed(&self.seed(seed))
    }

    /// The 32 bytes from which the agent's key is made.
    pub fn seed(&self, seed: u64) -> [u8; 32] {
        *derived(seed, self.id).as_bytes()
    }

    /// Has it an agent on this stage?
    pub fn has_agent(&self) -> bool {
        !self.capabilities.is_empty()
    }

    /// Does it filter names?
    pub fn filters_names(&self) -> bool {
        self.capabilities.contains(&"dns-filter")
    }

    /// Does it filter packets, with a filter of its own on this stage?
    pub fn filters_packets(&self) -> bool {
        self.standing == "vetted" && self.capabilities.contains(&"packet-filter")
    }

    /// The 32 bytes from which the key of the member's witness is made.
    pub fn witness_seed(&self, seed: u64) -> [u8; 32] {
        *derived(seed, &format!("witness of {}", self.id)).as_bytes()
    }

    /// The key of the person who approves for the member.
    pub fn person_key(&self, seed: u64) -> SigningKey {
        SigningKey::from_seed(derived(seed, &format!("ada@{}", self.id)).as_bytes())
    }
}

/// Keys of the demo follow from its seed: the same seed plays the same piece. Real keys are random.
fn derived(seed: u64, name: &str) -> Digest {
    Digest::of(&[b"epimachia/demo/", &seed.to_be_bytes(), name.as_bytes()])
}

/// The demo's charter, signed by three founders.
///
/// # Errors
/// Never, as a test shows.
pub fn charter(
    roles: &[Role],
    (lasts, cosignatures): (Span, u32),
    seed: u64,
    hub_key: &model::PublicKey,
    lists: &[(&str, Digest)],
    now: Timestamp,
) -> Result<SignedCharter, Refusal> {
    let mut text = format!(
        "# The charter of the demo's alliance.\n[alliance]\nname = \"demo.example\"\nversion = 1\nmade = \"{now}\"\n\
         hub_key = \"{hub_key}\"\n\n[quorum]\nplan = 2\ndispute = 2\n\n[limits]\n\
         mitigation_default = \"{lasts}\"\nmitigation_max = \"24h\"\n\n[witness]\n\
         cosignatures = {cosignatures}\n\n[corroboration]\n\
         # On its first day nobody has the record to publish alone.\nsolo_confirmations = 1000\n\n[guards]\nnever = [\"198.41.0.4\"]\n"
    );
    for (file, digest) in lists {
        text.push_str(&format!("[[guards.list]]\nfile = \"{file}\"\nsha256 = \"{digest}\"\n"));
    }
    for role in roles {
        text.push_str(&entry(role, seed, now));
    }
    let consents =
        roles[..=roles.len() / 2].iter().map(|role| SignedCharter::consent(&text, &role.member()?, &role.key(seed)));
    let consents = consents.collect::<Result<_, _>>()?;
    Charter::parse(&text)?;
    Ok(SignedCharter::new(text, consents))
}

fn entry(role: &Role, seed: u64, now: Timestamp) -> String {
    let capabilities: Vec<String> = role.capabilities.iter().map(|c| format!("\"{c}\"")).collect();
    format!(
        "\n[[member]]\nid = \"{id}\"\nname = \"{name}\"\nkind = \"full\"\nstanding = \"{standing}\"\n\
         segments = [\"{segment}\"]\nroles = [\"reporter\", \"operator\", \"approver\"]\ncapabilities = [{capabilities}]\n\
         witness = \"{witness}\"\nkeys = [{{ public = \"{key}\", from = \"{from}\" }}]\n[[member.person]]\nid = \"ada@{id}\"\n\
         keys = [{{ public = \"{person}\", from = \"{from}\" }}]\n[member.assets]\n{assets}\n",
        id = role.id,
        name = role.name,
        standing = role.standing,
        segment = role.segment,
        capabilities = capabilities.join(", "),
        witness = SigningKey::from_seed(&role.witness_seed(seed)).public(),
        key = role.key(seed).public(),
        person = role.person_key(seed).public(),
        from = now.minus(Span::hours(1)),
        assets = role.assets,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demo_charter_is_signed_by_a_quorum_and_the_same_for_the_same_seed() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let hub = SigningKey::from_seed(&[1; 32]).public();
        let signed = charter(&CAST, (MITIGATION_LASTS, 2), 42, &hub, &[], now).unwrap();
        let typed = signed.verify_first(now).unwrap();
        assert_eq!(typed.members.len(), CAST.len());
        assert_eq!(charter(&CAST, (MITIGATION_LASTS, 2), 42, &hub, &[], now).unwrap(), signed);
        assert_ne!(charter(&CAST, (MITIGATION_LASTS, 2), 43, &hub, &[], now).unwrap(), signed);
    }
}
