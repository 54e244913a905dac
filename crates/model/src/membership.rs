//! Membership: who wants to belong, what it claims to own, and what persons of members say to it.

use crate::digest::Digest;
use crate::ids::{KeyId, MemberId, PersonId};
use crate::key::{PublicKey, Signature, SigningKey, Statement};
use crate::observable::{Domain, Prefix};
use crate::refusal::{Refusal, Rule};
use crate::time::Timestamp;
use crate::words::{Capability, MemberKind, MembershipAct, MembershipStage, Segment};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest name and contact of an applicant, and longest reason, in characters.
pub const WORDS_CHARS_MAX: usize = 500;
/// Longest proof of a claim, in characters.
pub const PROOF_CHARS_MAX: usize = 2_000;
/// Most persons, and most assets of one claim.
pub const APPLICANT_ITEMS_MAX: usize = 64;

/// A company wants to belong. It signs with the key that its agent will sign with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Which alliance.
    pub alliance: String,
    /// The short name it wants, for ever.
    pub member: MemberId,
    /// The company's name as people write it.
    pub name: String,
    /// How far it wants to belong.
    pub kind: MemberKind,
    /// Which parts of the ecosystem it belongs to.
    pub segments: BTreeSet<Segment>,
    /// What it can do for others.
    pub capabilities: BTreeSet<Capability>,
    /// Its agent's signing key.
    pub key: PublicKey,
    /// Its persons, each with a key of their own.
    pub persons: BTreeMap<PersonId, PublicKey>,
    /// How a person reaches it.
    pub contact: String,
    /// When.
    pub made: Timestamp,
}

impl Statement for Application {
    const CONTEXT: &'static str = "epimachia/application/v1";
}

/// What an applicant says to be its own, and why anybody should believe it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Which alliance.
    pub alliance: String,
    /// Who claims.
    pub member: MemberId,
    /// Networks.
    pub prefixes: BTreeSet<Prefix>,
    /// Names, each with everything below it.
    pub domains: BTreeSet<Domain>,
    /// Autonomous systems.
    pub asns: BTreeSet<u32>,
    /// The proof, in words: a registry's entry, a record in the zone, a letter.
    pub proof: String,
    /// When.
    pub made: Timestamp,
}

impl Statement for Claim {
    const CONTEXT: &'static str = "epimachia/claim/v1";
}

/// What a person may say of a member or an applicant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Say {
    /// I stand for this applicant; the vote begins.
    Sponsor,
    /// My member votes for it.
    Yes,
    /// My member votes against it.
    No,
    /// It must not belong; why is for the secretariat alone.
    Object,
    /// It is not heard for a time.
    Suspend {
        /// Until then.
        until: Timestamp,
    },
    /// It is heard again.
    Restore,
    /// My own member leaves.
    Leave,
}

impl Say {
    /// As one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sponsor => "sponsor",
            Self::Yes => "yes",
            Self::No => "no",
            Self::Object => "object",
            Self::Suspend { .. } => "suspend",
            Self::Restore => "restore",
            Self::Leave => "leave",
        }
    }

    /// What it does, as the table of stages has it.
    pub const fn act(self) -> MembershipAct {
        match self {
            Self::Sponsor => MembershipAct::Sponsor,
            Self::Yes | Self::No => MembershipAct::Vote,
            Self::Object => MembershipAct::Object,
            Self::Suspend { .. } => MembershipAct::Suspend,
            Self::Restore => MembershipAct::Restore,
            Self::Leave => MembershipAct::Leave,
        }
    }

    /// Is it for the secretariat, the members with the role admin?
    pub const fn is_admins(self) -> bool {
        matches!(self, Self::Suspend { .. } | Self::Restore)
    }
}

/// A person's word on somebody's membership.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// Which alliance.
    pub alliance: String,
    /// About whom.
    pub member: MemberId,
    /// What is said.
    pub say: Say,
    /// Who says it.
    pub person: PersonId,
    /// The person's key.
    pub key: KeyId,
    /// When.
    pub made: Timestamp,
    /// Why, in words, 1 to [`WORDS_CHARS_MAX`] characters.
    pub reason: String,
}

impl Statement for Word {
    const CONTEXT: &'static str = "epimachia/membership/v1";
}

/// What is handed in about somebody's membership, each with its signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum MembershipStatement {
    /// By the applicant's key.
    Apply(Box<Application>, Signature),
    /// By the applicant's key.
    Claim(Box<Claim>, Signature),
    /// By the person's key.
    Say(Box<Word>, Signature),
}

impl MembershipStatement {
    /// Signs an application.
    pub fn apply(application: Application, key: &SigningKey) -> Self {
        let signature = key.sign(&application);
        Self::Apply(Box::new(application), signature)
    }

    /// Signs a claim.
    pub fn claim(claim: Claim, key: &SigningKey) -> Self {
        let signature = key.sign(&claim);
        Self::Claim(Box::new(claim), signature)
    }

    /// Signs a person's word.
    pub fn say(word: Word, key: &SigningKey) -> Self {
        let signature = key.sign(&word);
        Self::Say(Box::new(word), signature)
    }

    /// About whom it is.
    pub fn member(&self) -> &MemberId {
        match self {
            Self::Apply(application, _) => &application.member,
            Self::Claim(claim, _) => &claim.member,
            Self::Say(word, _) => &word.member,
        }
    }

    /// When it was made.
    pub fn made(&self) -> Timestamp {
        match self {
            Self::Apply(application, _) => application.made,
            Self::Claim(claim, _) => claim.made,
            Self::Say(word, _) => word.made,
        }
    }

    /// What it does, as the table of stages has it.
    pub fn act(&self) -> MembershipAct {
        match self {
            Self::Apply(..) => MembershipAct::Apply,
            Self::Claim(..) => MembershipAct::Prove,
            Self::Say(word, _) => word.say.act(),
        }
    }

    /// What it is known by: Ed25519 signatures are a function of key and content (RFC 8032 §5.1.6).
    pub fn mark(&self) -> Digest {
        let (Self::Apply(_, signature) | Self::Claim(_, signature) | Self::Say(_, signature)) = self;
        Digest::of(&[b"epimachia/membership-mark/v1\n", signature.as_bytes()])
    }

    /// For which alliance it is.
    pub fn alliance(&self) -> &str {
        match self {
            Self::Apply(application, _) => &application.alliance,
            Self::Claim(claim, _) => &claim.alliance,
            Self::Say(word, _) => &word.alliance,
        }
    }

    /// Checks the signature by this key.
    ///
    /// # Errors
    /// `bad_signature`.
    pub fn verify(&self, key: &PublicKey) -> Result<(), Refusal> {
        match self {
            Self::Apply(application, signature) => key.verify(&**application, signature),
            Self::Claim(claim, signature) => key.verify(&**claim, signature),
            Self::Say(word, signature) => key.verify(&**word, signature),
        }
    }

    /// Checks lengths and counts, and that persons are the applicant's own.
    ///
    /// # Errors
    /// `malformed`, `too_large`.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Apply(application, _) => application.check(),
            Self::Claim(claim, _) => claim.check(),
            Self::Say(word, _) => text("reason", &word.reason, WORDS_CHARS_MAX),
        }
    }
}

/// May this be said of a company that stands there? `None`: nobody has heard of it. Whoever changes this changes
/// docs/reference/membership.md too, which a test compares.
pub const fn may_follow(stage: Option<MembershipStage>, act: MembershipAct) -> bool {
    use MembershipStage as Stage;
    match act {
        MembershipAct::Apply => matches!(stage, None | Some(Stage::Refused)),
        MembershipAct::Prove | MembershipAct::Object => matches!(stage, Some(Stage::Applied | Stage::Voting)),
        MembershipAct::Sponsor => matches!(stage, Some(Stage::Applied)),
        MembershipAct::Vote => matches!(stage, Some(Stage::Voting)),
        MembershipAct::Suspend => matches!(stage, Some(Stage::Probation | Stage::Member | Stage::Suspended)),
        MembershipAct::Restore => matches!(stage, Some(Stage::Suspended | Stage::Left)),
        MembershipAct::Leave => matches!(stage, Some(Stage::Probation | Stage::Member)),
    }
}

impl Application {
    /// Is this one of the keys that it names?
    pub fn has_key(&self, key: &PublicKey) -> bool {
        self.key == *key || self.persons.values().any(|known| known == key)
    }

    fn check(&self) -> Result<(), Refusal> {
        text("name", &self.name, WORDS_CHARS_MAX)?;
        text("contact", &self.contact, WORDS_CHARS_MAX)?;
        count("persons", self.persons.len())?;
        if self.segments.is_empty() {
            return Err(Refusal::new(Rule::Malformed, "segments: none", "one or more"));
        }
        match self.persons.keys().find(|person| person.member() != self.member) {
            None => Ok(()),
            Some(other) => Err(Refusal::new(Rule::Malformed, other, format!("name@{}", self.member))),
        }
    }
}

impl Claim {
    fn check(&self) -> Result<(), Refusal> {
        text("proof", &self.proof, PROOF_CHARS_MAX)?;
        let assets = self.prefixes.len() + self.domains.len() + self.asns.len();
        if assets == 0 {
            return Err(Refusal::new(Rule::Malformed, "no asset", "a prefix, a domain or an AS number"));
        }
        count("assets", assets)
    }
}

fn text(field: &str, value: &str, chars_max: usize) -> Result<(), Refusal> {
    match (1..=chars_max).contains(&value.trim().chars().count()) {
        true => Ok(()),
        false => {
            Err(Refusal::new(Rule::Malformed, format_args!("{field}: {value}"), format!("1 to {chars_max} characters")))
        }
    }
}

fn count(field: &str, items: usize) -> Result<(), Refusal> {
    match items <= APPLICANT_ITEMS_MAX {
        true => Ok(()),
        false => Err(Refusal::new(Rule::TooLarge, format_args!("{items} {field}"), APPLICANT_ITEMS_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application() -> Application {
        Application {
            alliance: "test".to_owned(),
            member: "shop".parse().unwrap(),
            name: "Shop".to_owned(),
            kind: MemberKind::Full,
            segments: BTreeSet::from([Segment::Enterprise]),
            capabilities: BTreeSet::new(),
            key: SigningKey::from_seed(&[1; 32]).public(),
            persons: BTreeMap::new(),
            contact: "security@shop.example".to_owned(),
            made: "2026-02-01T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_handed_in_reads_back_and_verifies_by_its_own_key_only() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let signed = MembershipStatement::apply(application(), &key);
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<MembershipStatement>(&text).unwrap(), signed);
        assert!(signed.verify(&key.public()).is_ok() && signed.check().is_ok());
        assert_eq!(signed.verify(&other.public()).unwrap_err().rule, Rule::BadSignature);
    }

    #[test]
    fn everything_has_a_length_and_persons_are_ones_own() {
        let key = SigningKey::from_seed(&[1; 32]);
        let rule = |application| MembershipStatement::apply(application, &key).check().unwrap_err().rule;
        assert_eq!(rule(Application { name: " ".to_owned(), ..application() }), Rule::Malformed);
        assert_eq!(rule(Application { contact: "x".repeat(501), ..application() }), Rule::Malformed);
        assert_eq!(rule(Application { segments: BTreeSet::new(), ..application() }), Rule::Malformed);
        let persons = BTreeMap::from([("ada@other".parse().unwrap(), key.public())]);
        assert_eq!(rule(Application { persons, ..application() }), Rule::Malformed);
        let of = application();
        let claim = Claim {
            alliance: of.alliance,
            member: of.member,
            prefixes: BTreeSet::new(),
            domains: BTreeSet::new(),
            asns: BTreeSet::new(),
            proof: "registry".to_owned(),
            made: of.made,
        };
        let rule = |claim| MembershipStatement::claim(claim, &key).check().map_err(|refusal| refusal.rule);
        assert_eq!(rule(claim.clone()), Err(Rule::Malformed));
        assert_eq!(rule(Claim { asns: (0..65).collect(), ..claim.clone() }), Err(Rule::TooLarge));
        assert_eq!(rule(Claim { asns: BTreeSet::from([64_500]), ..claim }), Ok(()));
    }

    #[test]
    fn the_page_on_membership_has_the_table_of_stages_as_it_is() {
        let page = include_str!("../../../docs/reference/membership.md");
        let stages = || std::iter::once(None).chain(MembershipStage::ALL.iter().map(|stage| Some(*stage)));
        for act in MembershipAct::ALL {
            let after: Vec<String> = stages()
                .filter(|stage| may_follow(*stage, *act))
                .map(|stage| stage.map_or_else(|| "unknown".to_owned(), |stage| format!("`{stage}`")))
                .collect();
            let row = format!("| `{act}` | {} |", after.join(", "));
            assert!(page.contains(&row), "docs/reference/membership.md lacks: {row}");
        }
        for stage in MembershipStage::ALL {
            assert!(page.contains(&format!("| `{stage}` | ")), "docs/reference/membership.md lacks {stage}");
        }
    }
}
